//! In which order whole names are written. In many lists some people stand as `Nguyen Van An` and others as `Van An
//! Nguyen`: which words are family names is learnt from all names together, by expectation maximisation over the two
//! ways in which each name may be read. Commas, capitals and initials at the end say it outright, columns of family and
//! given names too, and so do names that are frequent somewhere.

use anyhow::Result;
use arrow::array::{ArrayRef, StringArray};
use hashbrown::HashMap;
use musubi_clean::name;
use musubi_identity::tells_generation;

use super::{names, role::Role, table::Table};

/// Names of a file that are looked at.
const NAMES: usize = 100_000;
const ITERATIONS: usize = 12;
/// How often each word is taken to have stood in either place before any name is seen.
const DOUBT: f64 = 0.5;
/// The same of names that are frequent somewhere, for their own place.
const KNOWN: f64 = 50.0;
/// Share of names with the family name first, to begin with, and the names that it counts for.
const FAMILY_FIRST: f64 = 0.1;
const BELIEF: f64 = 20.0;
/// A smaller share are no names in another order, but people with a given name for a family name.
const FEW: f64 = 0.01;

/// How the names of all files are read.
#[derive(Default)]
pub(super) struct Order {
    /// Log odds of each word that it is the family name of a name that holds it.
    words: HashMap<Box<str>, f64>,
    /// By file: the log odds that the family name is first, where some are.
    tables: Vec<Option<f64>>,
}

/// The first and the last word of a name that may be a family name, by their places among all words.
struct Ends {
    first: usize,
    last: usize,
    /// Whether the name itself says that the family name is the first.
    family_first: bool,
}

/// The words that may be a family name, where the name does not say.
fn ends(words: &[&str]) -> Option<Ends> {
    let counts = |word: &&str| !name::is_title(word) && !tells_generation(word);
    let first = words.iter().position(counts)?;
    let mut last = words.iter().rposition(counts)?;
    let is_initial = |word: &str| word.trim_end_matches('.').chars().count() == 1;
    // Smith John A: nobody's family name is an initial, when there are two other words.
    let family_first = last >= first + 2 && is_initial(words[last]) && !is_initial(words[first]);
    while family_first && last > first && is_initial(words[last]) {
        last -= 1;
    }
    (last > first).then_some(Ends {
        first,
        last,
        family_first,
    })
}

/// The words of a name in letters whose order it does not say with a comma or capitals.
fn words_of(value: &str) -> Option<Vec<&str>> {
    if value.contains(',') || value.chars().any(name::is_japanese) {
        return None;
    }
    let words: Vec<&str> = value.split_whitespace().collect();
    let small = |word: &&str| word.chars().any(char::is_lowercase);
    let marked = words.iter().any(small) && words.iter().any(|word| name::is_capitals(word));
    (words.len() > 1 && !marked).then_some(words)
}

/// Counts of words, by number.
#[derive(Default)]
struct Counts {
    numbers: HashMap<Box<str>, usize>,
    /// Family and given names that are told, and what is known of frequent ones.
    told: Vec<[f64; 2]>,
    /// Names: file, first and last word, times.
    names: HashMap<(usize, usize, usize), f64>,
}

impl Counts {
    fn number(&mut self, word: &str) -> usize {
        let key = name::key(word);
        if let Some(number) = self.numbers.get(key.as_str()) {
            return *number;
        }
        let number = self.told.len();
        let known = names::known(&key).map(|known| if known { KNOWN } else { 0.0 });
        self.told.push(known.map(|known| known + DOUBT));
        self.numbers.insert(key.into(), number);
        number
    }

    fn told(&mut self, family: &str, given: &str) {
        for (at, word) in [(0, family), (1, given)] {
            let number = self.number(word);
            self.told[number][at] += 1.0;
        }
    }

    fn name(&mut self, table: usize, value: &str) {
        if let Some((family, given)) = value.split_once(',') {
            let (family, given) = (family.trim(), given.split_whitespace().next());
            if let Some(given) = given.filter(|_| !family.contains(' ')) {
                self.told(family, given);
            }
            return;
        }
        let Some(words) = words_of(value) else { return };
        let Some(ends) = ends(&words) else { return };
        let (first, last) = (words[ends.first], words[ends.last]);
        if ends.family_first {
            return self.told(first, last);
        }
        let ends = (table, self.number(first), self.number(last));
        *self.names.entry(ends).or_default() += 1.0;
    }

    /// Log odds of each word that it is a family name, and of each file that these are first.
    fn fit(&self, tables: usize) -> (Vec<f64>, Vec<f64>) {
        let mut names: Vec<((usize, usize, usize), f64, f64)> =
            self.names.iter().map(|(k, n)| (*k, *n, 0.0)).collect();
        names.sort_unstable_by_key(|name| name.0);
        let mut counts = self.told.clone();
        let belief = vec![(FAMILY_FIRST * BELIEF, BELIEF); tables];
        let shares = |turned: Vec<(f64, f64)>| -> Vec<f64> {
            turned.into_iter().map(|(some, all)| some / all).collect()
        };
        // To begin with, what names say of which one word is known.
        let mut votes = belief.clone();
        for ((table, first, last), n, _) in &names {
            let sided = |word: usize| (self.told[word][0] / self.told[word][1]).ln();
            let vote = sided(*first) - sided(*last);
            if vote != 0.0 {
                votes[*table].0 += if vote > 0.0 { *n } else { 0.0 };
                votes[*table].1 += *n;
            }
        }
        let mut share_of = shares(votes);
        for round in 0..ITERATIONS {
            let mut next = self.told.clone();
            let mut turned = belief.clone();
            for ((table, first, last), n, is_turned) in &mut names {
                // What the name itself has added says nothing of it.
                let own = |turned: f64| if round == 0 { 0.0 } else { *n * turned };
                let (kept, swapped) = (own(1.0 - *is_turned), own(*is_turned));
                let [family_a, given_a] = counts[*first];
                let [family_b, given_b] = counts[*last];
                let share = share_of[*table];
                let other = share * (family_a - swapped) * (given_b - swapped);
                let usual = (1.0 - share) * (given_a - kept) * (family_b - kept);
                *is_turned = other / (other + usual);
                let (kept, swapped) = (*n * (1.0 - *is_turned), *n * *is_turned);
                next[*first][0] += swapped;
                next[*first][1] += kept;
                next[*last][0] += kept;
                next[*last][1] += swapped;
                turned[*table].0 += swapped;
                turned[*table].1 += *n;
            }
            counts = next;
            share_of = shares(turned);
        }
        let odds = counts.iter().map(|[family, given]| (family / given).ln());
        (odds.collect(), share_of)
    }
}

impl Order {
    /// Learns from the first names of each file.
    pub(super) fn learn(tables: &[Table]) -> Result<Self> {
        let at = |table: &Table, field: &str| {
            let mut columns = table.columns.iter();
            columns.position(|c| c.role == Role::field(field))
        };
        if !tables.iter().any(|table| at(table, "name").is_some()) {
            return Ok(Self::default());
        }
        let mut counts = Counts::default();
        for (number, table) in tables.iter().enumerate() {
            if let Some(names) = at(table, "name") {
                table.first_values(&[names], NAMES, &mut |values| {
                    counts.name(number, values[0]);
                })?;
            } else if let (Some(family), Some(given)) =
                (at(table, "family_name"), at(table, "given_name"))
            {
                table.first_values(&[family, given], NAMES, &mut |values| {
                    counts.told(values[0], values[1]);
                })?;
            }
        }
        Ok(Self::of(counts, tables.len()))
    }

    /// What counts of so many files tell.
    fn of(counts: Counts, tables: usize) -> Self {
        let (odds, shares) = counts.fit(tables);
        let words = counts.numbers.into_iter();
        Self {
            words: words.map(|(word, number)| (word, odds[number])).collect(),
            tables: shares
                .into_iter()
                .map(|share| (share >= FEW).then(|| (share / (1.0 - share)).ln()))
                .collect(),
        }
    }

    /// Names of a file with a comma behind the family name, where it is the first word.
    pub(super) fn told(&self, table: usize, names: &StringArray) -> Option<ArrayRef> {
        let share = self.tables.get(table).copied().flatten()?;
        let told = names.iter().map(|name| {
            let name = name?;
            Some(self.turned(share, name).unwrap_or_else(|| name.to_owned()))
        });
        Some(std::sync::Arc::new(told.collect::<StringArray>()))
    }

    fn turned(&self, share: f64, value: &str) -> Option<String> {
        let words = words_of(value)?;
        let ends = ends(&words)?;
        let odds = |at: usize| {
            let known = self.words.get(name::key(words[at]).as_str());
            known.copied().unwrap_or(0.0)
        };
        let turned = ends.family_first || odds(ends.first) - odds(ends.last) + share > 0.0;
        turned.then(|| {
            let given = words[ends.first + 1..].join(" ");
            format!("{}, {given}", words[ends.first])
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How names of one file are read after others of it.
    fn read(names: &[(&str, usize)], of: &[&str]) -> Vec<String> {
        let mut counts = Counts::default();
        for (name, times) in names {
            (0..*times).for_each(|_| counts.name(0, name));
        }
        let order = Order::of(counts, 1);
        let share = order.tables[0].expect("some names are turned");
        let told = of.iter().map(|name| order.turned(share, name));
        (told.zip(of))
            .map(|(told, name)| told.unwrap_or_else(|| (*name).to_owned()))
            .collect()
    }

    #[test]
    fn words_that_are_mostly_last_are_family_names_where_they_are_first() {
        // Names that no list knows.
        let names = [
            ("Ada Quiborn", 5),
            ("Ada Velstrom", 4),
            ("Ben Quiborn", 6),
            ("Ben Velstrom", 3),
            ("Quiborn Ada", 1),
            ("Velstrom Ben", 2),
        ];
        let of = ["Quiborn Ada", "Dr. Velstrom Ben", "Ada Velstrom", "Ada Ben"];
        let want = ["Quiborn, Ada", "Velstrom, Ben", "Ada Velstrom", "Ada Ben"];
        assert_eq!(read(&names, &of), want);
    }

    #[test]
    fn frequent_family_names_are_known_and_teach_others() {
        let names = [
            ("Nguyen Van An", 3),
            ("Tran Thi Mai", 3),
            ("Trinh Van An", 2),
            ("Thi Mai Nguyen", 1),
        ];
        let of = ["Nguyễn Văn An", "Trinh Thi Mai", "Thi Mai Nguyen"];
        let want = ["Nguyễn, Văn An", "Trinh, Thi Mai", "Thi Mai Nguyen"];
        assert_eq!(read(&names, &of), want);
    }

    #[test]
    fn commas_and_initials_tell() {
        let names = [
            ("Quiborn, Ada", 3),
            ("VELSTROM BEN J", 3),
            ("ADA QUIBORN", 9),
        ];
        let of = [
            "QUIBORN ADA",
            "VELSTROM ADA",
            "VELSTROM BEN J.",
            "ADA B QUIBORN",
        ];
        let want = [
            "QUIBORN, ADA",
            "VELSTROM, ADA",
            "VELSTROM, BEN J.",
            "ADA B QUIBORN",
        ];
        assert_eq!(read(&names, &of), want);
    }
}
