//! Postings: for each rule the records of each block, for records that come one at a time.
//!
//! What a run pairs within a block is found here without passing over the block.

use super::blocks::entries_by_rule;
use super::{Blocking, Hubs, RULES};
use crate::by_key::{ByKey, entry};
use crate::features::Features;

/// The records of each block, by rule and key.
pub(crate) struct Postings(Vec<ByKey>);

impl Blocking<'_> {
    /// Calls `leaf` with the keys under which a record meets others, by all rules that are at work.
    fn each_leaf(&self, record: u32, mut leaf: impl FnMut(usize, u32)) {
        let sketch = self.sketch(record);
        for rule in 0..RULES.len() {
            self.leaves(rule, &sketch, |_, key| leaf(rule, key));
        }
    }
}

impl Postings {
    /// Of all records.
    pub(crate) fn build(features: &Features, hubs: &Hubs) -> Self {
        let blocking = Blocking::new(features, hubs);
        let entries = entries_by_rule(features.len() as u32, |record, entries| {
            blocking.each_leaf(record, |rule, key| entries[rule].push(entry(key, record)));
        });
        Self(entries.into_iter().map(ByKey::new).collect())
    }

    /// Adds a record that is among the features.
    pub(crate) fn add(&mut self, features: &Features, hubs: &Hubs, record: u32) {
        Blocking::new(features, hubs).each_leaf(record, |rule, key| self.0[rule].add(key, record));
    }

    /// The records that any rule pairs a record of the features with, in order. A few may be among them that share
    /// a key by chance.
    pub(crate) fn candidates(&self, blocking: &Blocking<'_>, record: u32) -> Vec<u32> {
        let mut found = Vec::new();
        blocking.each_leaf(record, |rule, key| {
            found.extend(self.0[rule].having(key));
        });
        found.sort_unstable();
        found.dedup();
        found
    }
}
