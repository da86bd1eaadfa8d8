//! Many short texts in one piece of memory.

use std::ops::Index;

use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64;

/// Texts by number.
#[derive(Clone, Debug, Default)]
pub(crate) struct Texts {
    text: String,
    /// Where each ends.
    ends: Vec<usize>,
}

impl Texts {
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(crate) fn push(&mut self, text: &str) {
        self.text.push_str(text);
        self.ends.push(self.text.len());
    }

    pub(super) fn reserve(&mut self, texts: usize) {
        const LENGTH: usize = 16;
        self.text.reserve_exact(texts * LENGTH);
        self.ends.reserve_exact(texts);
    }

    pub(crate) fn truncate(&mut self, len: usize) {
        self.ends.truncate(len);
        self.text.truncate(self.ends.last().copied().unwrap_or(0));
    }

    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        (0..self.len()).map(|n| &self[n])
    }
}

impl Index<usize> for Texts {
    type Output = str;

    fn index(&self, n: usize) -> &str {
        let begin = n.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[begin..self.ends[n]]
    }
}

/// Distinct texts in the order in which they came. Number 0 is the empty one.
pub(super) struct Interner {
    texts: Texts,
    numbers: HashTable<u32>,
}

impl Default for Interner {
    fn default() -> Self {
        let mut texts = Texts::default();
        texts.push("");
        Self {
            texts,
            numbers: HashTable::new(),
        }
    }
}

impl Interner {
    pub(super) fn number(&mut self, text: &str) -> u32 {
        if text.is_empty() {
            return 0;
        }
        let Self { texts, numbers } = self;
        let hash = |text: &str| xxh3_64(text.as_bytes());
        let of = |n: &u32| hash(&texts[*n as usize]);
        let entry = numbers.entry(hash(text), |n| texts[*n as usize] == *text, of);
        let next = texts.len() as u32;
        let number = *entry.or_insert(next).get();
        if number == next {
            texts.push(text);
        }
        number
    }

    pub(super) fn len(&self) -> usize {
        self.texts.len()
    }

    pub(super) fn texts(self) -> Texts {
        self.texts
    }
}
