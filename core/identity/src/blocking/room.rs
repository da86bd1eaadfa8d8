//! How much memory blocking may take, and the passes that keep to it.

use std::ops::Range;

use super::{KEY_SLOTS, RULES, Sketches, slot_of};

/// Memory, in bytes, that training and matching may take beside the records. What they find is the same with any; with
/// less they look at the records more often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room(pub u64);

impl Default for Room {
    /// As much as is of use.
    fn default() -> Self {
        Self(u64::MAX)
    }
}

impl Room {
    /// Whether what rules look at is kept for so many records.
    pub(super) fn keeps_sketches(self, records: usize) -> bool {
        self.0 / 2 >= Sketches::bytes(records)
    }

    /// Entries of blocks that may be in memory at one time, beside what is kept for so many records.
    pub(super) fn entries(self, records: usize) -> u64 {
        const MOST: u64 = 8 << 20;
        /// An entry is there twice while lists become one.
        const BYTES: u64 = 16;
        let kept = match self.keeps_sketches(records) {
            true => Sketches::bytes(records),
            false => 0,
        };
        // Four bytes a record are always there: passes are a hundred at most, and not thousands.
        let fewest = (records as u64 / 4).max(1);
        ((self.0 - kept) / BYTES).clamp(fewest, MOST.max(fewest))
    }
}

/// Blocks that are in memory together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pass {
    pub(crate) rules: Range<usize>,
    /// Which part of their keys, of so many.
    part: (u32, u32),
}

impl Pass {
    pub(super) fn has(&self, key: u32) -> bool {
        let (part, parts) = self.part;
        slot_of(key) % parts == part
    }
}

/// Passes of at most so many entries; `entries` by rule.
pub(super) fn passes(entries: &[u64; RULES.len()], most: u64) -> Vec<Pass> {
    let mut passes = Vec::new();
    let mut rule = 0;
    while rule < RULES.len() {
        let parts = entries[rule].div_ceil(most).clamp(1, u64::from(KEY_SLOTS)) as u32;
        let (mut end, mut sum) = (rule + 1, entries[rule]);
        while end < RULES.len() && sum + entries[end] <= most {
            sum += entries[end];
            end += 1;
        }
        passes.extend((0..parts).map(|part| Pass {
            rules: rule..end,
            part: (part, parts),
        }));
        rule = end;
    }
    passes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_hold_every_rule_once_and_no_more_than_there_is_room_for() {
        for most in [1, 10, 70, 1000] {
            let entries = std::array::from_fn(|rule| rule as u64 * 3);
            let passes = passes(&entries, most);
            let mut next = 0;
            for pass in &passes {
                assert!(pass.rules.start == next || pass.part.0 > 0, "{pass:?}");
                next = pass.rules.end;
                let sum: u64 = pass.rules.clone().map(|r| entries[r]).sum();
                assert!(sum / u64::from(pass.part.1) <= most, "{pass:?}");
            }
            assert_eq!(next, RULES.len());
        }
    }
}
