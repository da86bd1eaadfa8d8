//! Postings: for each rule the records of each block, for records that come one at a time.
//!
//! What a run pairs within a block is found here without passing over the block: a record that is in a hub stands
//! under the keys of the hub's parts instead, twice refined where these are oversized too.

use hashbrown::HashMap;
use rayon::prelude::*;

use super::rules::{Sketch, refined_key, refinements};
use super::{Blocking, Hubs, RULES};
use crate::features::Features;

/// The records of each block, by rule and key.
pub(crate) struct Postings {
    /// Per rule, key and record in one number, sorted.
    early: Vec<Vec<u64>>,
    /// Of records that came later.
    late: HashMap<(u8, u32), Vec<u32>>,
}

impl Blocking<'_> {
    /// The same by all rules that are at work.
    fn each_leaf(&self, record: u32, mut leaf: impl FnMut(usize, u32)) {
        let sketch = self.sketch(record);
        for rule in (0..RULES.len()).filter(|rule| !self.hubs.idle[*rule]) {
            self.leaves(rule, &sketch, |key| leaf(rule, key));
        }
    }

    /// The keys under which a record meets those that a rule pairs it with.
    fn leaves(&self, rule: usize, sketch: &Sketch, mut leaf: impl FnMut(u32)) {
        for key in sketch.keys(rule).into_iter().filter(|key| *key != 0) {
            if !self.is_hub(rule, key) {
                leaf(key);
                continue;
            }
            let has = |part| Some(sketch.refinement(part)).filter(|value| *value != 0);
            for part in refinements(rule) {
                let Some(value) = has(part) else { continue };
                let refined = refined_key(key, part, value);
                if !self.is_hub(rule, refined) {
                    leaf(refined);
                    continue;
                }
                for second in refinements(rule).filter(|other| *other != part) {
                    if let Some(value) = has(second) {
                        leaf(refined_key(refined, second, value));
                    }
                }
            }
        }
    }
}

impl Postings {
    /// Of all records.
    pub(crate) fn build(features: &Features, hubs: &Hubs) -> Self {
        const PIECE: u32 = 1 << 14;
        let blocking = Blocking::new(features, hubs);
        let records = features.len() as u32;
        let mut pieces: Vec<Vec<Vec<u64>>> = (0..records.div_ceil(PIECE))
            .into_par_iter()
            .map(|piece| {
                let mut entries = vec![Vec::new(); RULES.len()];
                for record in piece * PIECE..records.min((piece + 1) * PIECE) {
                    blocking.each_leaf(record, |rule, key| {
                        entries[rule].push(u64::from(key) << 32 | u64::from(record));
                    });
                }
                entries
            })
            .collect();
        let early = (0..RULES.len()).map(|rule| {
            let mut entries = Vec::with_capacity(pieces.iter().map(|p| p[rule].len()).sum());
            for piece in &mut pieces {
                entries.append(&mut std::mem::take(&mut piece[rule]));
            }
            entries.par_sort_unstable();
            entries.dedup();
            entries
        });
        Self {
            early: early.collect(),
            late: HashMap::new(),
        }
    }

    /// Adds a record that is among the features.
    pub(crate) fn add(&mut self, features: &Features, hubs: &Hubs, record: u32) {
        let late = &mut self.late;
        Blocking::new(features, hubs).each_leaf(record, |rule, key| {
            late.entry((rule as u8, key)).or_default().push(record);
        });
    }

    /// The records that any rule pairs a record of the features with, in order. A few may be among them that share
    /// a key by chance.
    pub(crate) fn candidates(&self, blocking: &Blocking<'_>, record: u32) -> Vec<u32> {
        let mut found = Vec::new();
        blocking.each_leaf(record, |rule, key| {
            let early = &self.early[rule];
            let begin = early.partition_point(|entry| entry >> 32 < u64::from(key));
            let block = early[begin..].iter();
            let block = block.take_while(|entry| *entry >> 32 == u64::from(key));
            found.extend(block.map(|entry| *entry as u32));
            found.extend(self.late.get(&(rule as u8, key)).into_iter().flatten());
        });
        found.sort_unstable();
        found.dedup();
        found
    }
}
