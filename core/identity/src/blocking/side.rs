//! Which pairs of a tile are scored in it, eight at a time: what the records of a side have for the parts that rules look
//! at is laid out column by column, so that one record is held against eight others without a branch.

use super::rules::Held;
use super::{Block, Blocking, RULE_BITS, Sketch};

/// Records that are looked at together.
const LANES: usize = 8;

/// Records of a tile.
pub(crate) struct Side {
    records: Vec<u32>,
    /// By eight records what they have in each column; the last ones are filled up with nothing.
    columns: Vec<[u32; LANES]>,
    /// What rules look at, of each record, where it takes more than the columns to tell whose a pair is.
    sketches: Vec<Sketch>,
}

impl Side {
    /// Its records, in ascending order.
    pub(crate) fn records(&self) -> &[u32] {
        &self.records
    }
}

impl Blocking<'_> {
    /// Some records of a block of a rule, in ascending order.
    pub(crate) fn side(&self, rule: usize, records: impl Iterator<Item = u32>) -> Side {
        let records: Vec<u32> = records.collect();
        let width = self.held.columns.len();
        let mut columns = vec![[0; LANES]; records.len().div_ceil(LANES) * width];
        let mut sketches = Vec::new();
        let telling = self.is_sure(rule) && !self.refined[..rule].contains(&true);
        for (at, record) in records.iter().enumerate() {
            let columns = &mut columns[at / LANES * width..][..width];
            match self.sketches.filter(|_| telling) {
                Some(kept) => {
                    for (column, word) in columns.iter_mut().zip(kept.of(*record)) {
                        column[at % LANES] = *word;
                    }
                }
                None => {
                    let sketch = self.sketch(*record);
                    for (column, word) in columns.iter_mut().zip(&self.held.columns) {
                        column[at % LANES] = sketch.word(*word);
                    }
                    sketches.push(sketch);
                }
            }
        }
        Side {
            records,
            columns,
            sketches,
        }
    }

    /// Calls `pair` with the places of those of a side, from one on, whose pairs with a record this block scores.
    pub(crate) fn owned(
        &self,
        block: &Block<'_>,
        (ones, n): (&Side, usize),
        (others, from): (&Side, usize),
        mut pair: impl FnMut(usize),
    ) {
        let needs = self.needs[block.rule];
        let sure = self.is_sure(block.rule);
        let width = self.held.columns.len().max(1);
        let own = &ones.columns[n / LANES * width..][..width];
        let eights = others.columns.chunks_exact(width).enumerate();
        for (eight, columns) in eights.skip(from / LANES) {
            let shared = shared(&self.held, (own, n % LANES), columns);
            let made = self.made_before(block.rule, &shared);
            let places = (eight * LANES..others.records.len()).zip(shared.iter().zip(made));
            for (at, (shared, made)) in places.skip_while(|(at, _)| *at < from) {
                if shared & needs != needs || made & self.plain != 0 {
                    continue;
                }
                let owns = || {
                    let (a, b) = (&ones.sketches[n], &others.sketches[at]);
                    self.meet(block, *shared, a, b) && self.is_none_of(made, *shared, a, b)
                };
                if sure && made == 0 || owns() {
                    pair(at);
                }
            }
        }
    }

    /// The earlier rules that find what they need among what eight pairs share.
    fn made_before(&self, rule: usize, shared: &[u32; LANES]) -> [u32; LANES] {
        let mut made = [0; LANES];
        let rules = self.at_work.iter();
        for (needs, bit) in rules.take_while(|(_, bit)| *bit < RULE_BITS[rule]) {
            for (made, shared) in made.iter_mut().zip(shared) {
                *made |= bit_if(shared & needs == *needs, *bit);
            }
        }
        made
    }
}

/// A bit, or none: without a branch, so that eight are one step of the processor's wide registers.
#[inline(always)]
fn bit_if(is: bool, bit: u32) -> u32 {
    u32::from(is).wrapping_neg() & bit
}

/// The parts that a record, one of eight, shares with each of eight.
fn shared(
    held: &Held,
    (own, lane): (&[[u32; LANES]], usize),
    columns: &[[u32; LANES]],
) -> [u32; LANES] {
    let mut shared = [0; LANES];
    for (mine, theirs, bit) in &held.against {
        let own = own[*mine][lane];
        if own == 0 {
            continue;
        }
        for (shared, theirs) in shared.iter_mut().zip(&columns[*theirs]) {
            *shared |= bit_if(own == *theirs, *bit);
        }
    }
    shared
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Mutex;

    use rayon::prelude::*;

    use super::*;
    use crate::blocking::{Hubs, Room, Sketches};
    use crate::compare::made_features;
    use crate::features::Features;

    type Pairs = BTreeMap<(u32, u32), usize>;

    /// The pairs that blocks own, with the rule of each.
    fn owned(features: &Features, hubs: &Hubs, sketches: Option<&Sketches>) -> Pairs {
        let blocking = Blocking::over(features, sketches, hubs);
        let pairs = Mutex::new(Pairs::new());
        for pass in blocking.passes(Room::default(), 1) {
            let blocks = blocking.blocks(&pass, |_| true, |_, _, _| true);
            for rule in pass.rules.clone() {
                blocks.of(rule).for_each(|block| {
                    let side = blocking.side(rule, block.records());
                    for (n, a) in side.records().iter().enumerate() {
                        blocking.owned(&block, (&side, n), (&side, n + 1), |at| {
                            let mut pairs = pairs.lock().expect("no panic before");
                            let before = pairs.insert((*a, side.records()[at]), rule);
                            assert_eq!(before, None, "a pair is scored once");
                        });
                    }
                });
            }
        }
        pairs.into_inner().expect("no panic before")
    }

    /// Hubs of all blocks past a size.
    fn hubs(features: &Features, largest: usize) -> Hubs {
        let mut hubs = Hubs::default();
        let unrefined = Hubs::default();
        let blocking = Blocking::over(features, None, &unrefined);
        for pass in blocking.passes(Room::default(), 1) {
            let blocks = blocking.blocks(&pass, |_| true, |_, _, _| true);
            for rule in pass.rules.clone() {
                let large = blocks.of(rule).filter(|block| block.len() > largest);
                let keys: Vec<(u8, u32)> = large.map(|b| (rule as u8, b.key)).collect();
                hubs.keys.extend(keys);
            }
        }
        hubs
    }

    #[test]
    fn each_pair_that_rules_make_is_scored_once_by_the_first_of_them() {
        let features = made_features(150);
        let mut idle = Hubs::default();
        idle.idle[8] = true;
        for hubs in [Hubs::default(), idle, hubs(&features, 12)] {
            let plain = Blocking::new(&features, &hubs);
            let all = (0..150).flat_map(|b| (0..b).map(move |a| (a, b)));
            let first = all.filter_map(|(a, b)| Some(((a, b), plain.first_rule(a, b)?)));
            let first: Pairs = first.collect();
            let rules: std::collections::BTreeSet<_> = first.values().collect();
            assert!(
                first.len() > 1000 && rules.len() > 5,
                "{} {rules:?}",
                first.len()
            );
            let sketches = Sketches::within(Room::default(), &features, &hubs);
            assert!(sketches.is_some());
            assert_eq!(owned(&features, &hubs, sketches.as_ref()), first);
            assert_eq!(owned(&features, &hubs, None), first);
        }
    }
}
