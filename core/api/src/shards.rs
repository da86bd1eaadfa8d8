//! Lists of shards, as Kubernetes writes indexes: `0-41,43`.

use std::{collections::BTreeSet, fmt, str::FromStr};

/// Shards, in order, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shards(BTreeSet<u32>);

/// Shards that a list may name: as many as a Job may have.
const MOST: u32 = 100_000;

impl Shards {
    /// The first `n` shards.
    #[must_use]
    pub fn first(n: u32) -> Self {
        Self((0..n).collect())
    }

    /// What a status says: nothing when it says nothing.
    ///
    /// What is not a list counts as an empty one: it comes from the API server itself.
    #[must_use]
    pub fn said(text: Option<&str>) -> Self {
        text.and_then(|t| t.parse().ok()).unwrap_or_default()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The shard at a place, from 0.
    #[must_use]
    pub fn at(&self, place: u32) -> Option<u32> {
        self.0.iter().nth(usize::try_from(place).ok()?).copied()
    }

    /// The shards at some places of this list.
    #[must_use]
    pub fn pick(&self, places: &Self) -> Self {
        let chosen = self.0.iter().zip(0_u32..);
        let chosen = chosen.filter(|(_, place)| places.0.contains(place));
        Self(chosen.map(|(shard, _)| *shard).collect())
    }

    /// These, and the others.
    #[must_use]
    pub fn and(&self, others: &Self) -> Self {
        Self(&self.0 | &others.0)
    }

    /// These without the others.
    #[must_use]
    pub fn without(&self, others: &Self) -> Self {
        Self(&self.0 - &others.0)
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.0.iter().copied()
    }

    /// The text, or nothing when there is none.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        (!self.is_empty()).then(|| self.to_string())
    }
}

impl FromIterator<u32> for Shards {
    fn from_iter<I: IntoIterator<Item = u32>>(shards: I) -> Self {
        Self(shards.into_iter().collect())
    }
}

impl fmt::Display for Shards {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shards = self.0.iter().copied().peekable();
        let mut comma = "";
        while let Some(first) = shards.next() {
            let mut last = first;
            while let Some(next) = shards.next_if_eq(&(last + 1)) {
                last = next;
            }
            match last - first {
                0 => write!(f, "{comma}{first}")?,
                _ => write!(f, "{comma}{first}-{last}")?,
            }
            comma = ",";
        }
        Ok(())
    }
}

impl FromStr for Shards {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("`{text}` is not a list of shards: write numbers and ranges, as in 0-41,43");
        let number = |text: &str| text.parse::<u32>().ok().filter(|n| *n < MOST);
        let mut all = BTreeSet::new();
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let range = number(first).zip(number(last)).filter(|(a, b)| a <= b);
            let (first, last) = range.ok_or_else(wrong)?;
            all.extend(first..=last);
        }
        Ok(Self(all))
    }
}

#[cfg(test)]
mod tests {
    use super::Shards;

    fn list(text: &str) -> Shards {
        text.parse().unwrap_or_else(|e| panic!("{e}"))
    }

    #[test]
    fn a_list_is_written_as_it_was_read() {
        for text in ["", "0", "0-41,43", "1,3,5-6,99999"] {
            assert_eq!(list(text).to_string(), text);
        }
        assert_eq!(list("3,1,2,2").to_string(), "1-3");
        for wrong in ["a", "3-1", "-1", "1-", "0-100000", "1;2"] {
            assert!(wrong.parse::<Shards>().is_err(), "{wrong} passes");
        }
    }

    #[test]
    fn what_is_missing_is_repeated_and_its_places_lead_back() {
        let missing = Shards::first(10).without(&list("0-2,4,6-9"));
        assert_eq!(missing.to_string(), "3,5");
        assert_eq!((missing.at(1), missing.at(2)), (Some(5), None));
        let done = missing.pick(&list("1"));
        assert_eq!(list("0-2").and(&done).to_string(), "0-2,5");
        assert_eq!(
            (Shards::said(None).text(), Shards::said(Some("7")).len()),
            (None, 1)
        );
    }
}
