//! Records by key.

use hashbrown::HashMap;

/// A key and a record in one number, so that sorting puts the records of a key side by side.
pub(crate) fn entry(key: u32, record: u32) -> u64 {
    u64::from(key) << 32 | u64::from(record)
}

/// The records of each key: those known from the start, and those that came later.
pub(crate) struct ByKey {
    /// Entries, sorted.
    early: Vec<u64>,
    late: HashMap<u32, Vec<u32>>,
}

impl ByKey {
    /// From entries in order.
    pub(crate) fn new(early: Vec<u64>) -> Self {
        debug_assert!(early.is_sorted());
        Self {
            early,
            late: HashMap::new(),
        }
    }

    /// Adds a record that came later.
    pub(crate) fn add(&mut self, key: u32, record: u32) {
        self.late.entry(key).or_default().push(record);
    }

    /// The records of a key.
    pub(crate) fn having(&self, key: u32) -> impl Iterator<Item = u32> {
        let begin = self.early.partition_point(|e| *e < entry(key, 0));
        let early = self.early[begin..].iter();
        let early = early.take_while(move |e| **e <= entry(key, u32::MAX));
        let late = self.late.get(&key).into_iter().flatten();
        early.map(|e| *e as u32).chain(late.copied())
    }
}
