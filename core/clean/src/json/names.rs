//! Names of members, each kept once for a batch: rows of one stream have the same ones, in the same order.

use hashbrown::HashMap;

/// A name that members of a batch have; an index into [`Names`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Name(u32);

impl Name {
    /// Of what has no name: rows, and elements of arrays.
    pub(super) const NONE: Self = Self(u32::MAX);

    /// A bit that it shares with few others.
    pub(super) const fn bit(self) -> u128 {
        1 << (self.0 % u128::BITS)
    }
}

/// The names that occur in a batch.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    texts: Vec<Box<str>>,
    by_text: HashMap<Box<str>, Name>,
    /// For each name the one that was met after it.
    next: Vec<Name>,
    /// The name that was met last.
    last: Option<Name>,
}

impl Names {
    /// The names, in the order of their numbers.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &str> {
        self.texts.iter().map(AsRef::as_ref)
    }

    /// The text of a name; nothing for [`Name::NONE`].
    pub(super) fn text(&self, name: Name) -> &str {
        self.texts.get(name.0 as usize).map_or("", AsRef::as_ref)
    }

    /// The name with a text, when a member has it.
    pub(crate) fn find(&self, text: &str) -> Option<Name> {
        self.by_text.get(text).copied()
    }

    /// The name of the next member of the text that is read. Most rows repeat the order of those before.
    pub(super) fn meet(&mut self, text: &str) -> Name {
        let expected = self.last.and_then(|last| self.next.get(last.0 as usize));
        // Nothing is expected after a name that was last before; `""` is a name as well.
        let is_met = |name: &&Name| {
            self.texts
                .get(name.0 as usize)
                .is_some_and(|t| **t == *text)
        };
        let name = match expected.filter(is_met) {
            Some(name) => *name,
            None => self.find(text).unwrap_or_else(|| self.add(text)),
        };
        if let Some(last) = self.last.replace(name) {
            self.next[last.0 as usize] = name;
        }
        name
    }

    fn add(&mut self, text: &str) -> Name {
        // a batch has fewer names than bytes, and those are counted in 32 bits
        let name = Name(u32::try_from(self.texts.len()).unwrap_or(u32::MAX));
        self.texts.push(text.into());
        self.by_text.insert(text.into(), name);
        self.next.push(Name::NONE);
        name
    }
}

/// Something for each name of a batch.
#[derive(Clone, Debug, Default)]
pub(crate) struct ByName<T>(Vec<T>);

impl<T: Copy> ByName<T> {
    pub(crate) fn new(names: &Names, each: impl FnMut(&str) -> T) -> Self {
        Self(names.texts().map(each).collect())
    }

    /// What belongs to a name; nothing to [`Name::NONE`].
    pub(crate) fn get(&self, name: Name) -> Option<T> {
        self.0.get(name.0 as usize).copied()
    }
}
