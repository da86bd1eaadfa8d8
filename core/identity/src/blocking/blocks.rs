//! Blocks: the records of each key, pass by pass, so that no more of them are in memory than there is room for; and the
//! tiles that a large one is compared in.

use std::ops::Range;

use hashbrown::HashSet;
use rayon::prelude::*;

use super::{Blocking, Pass, RULES, Room, room, shard_of};
use crate::by_key::{entry, sort_by_key};

/// Records on one side of a tile.
const SIDE: usize = 512;

/// The records of one key: two and more.
#[derive(Clone, Copy)]
pub(crate) struct Block<'a> {
    pub(crate) rule: usize,
    pub(crate) key: u32,
    entries: &'a [u64],
}

impl<'a> Block<'a> {
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it has more than one tile.
    pub(crate) fn is_large(&self) -> bool {
        self.len() > SIDE
    }

    /// Its records in ascending order.
    pub(crate) fn records(&self) -> impl Iterator<Item = u32> + use<'a> {
        self.entries.iter().map(|e| *e as u32)
    }

    /// The tiles of its pairs; of most blocks there is one. Those of a block that the model says is oversized however it
    /// is refined are dealt out to shards, of which all hold the block.
    pub(crate) fn tiles(
        self,
        blocking: &Blocking<'_>,
        (shard, shards): (u32, u32),
    ) -> impl Iterator<Item = Tile<'a>> + use<'a> {
        let sides = self.len().div_ceil(SIDE);
        let dealt = blocking.is_hub(self.rule, self.key);
        let tiles = (0..sides).flat_map(move |a| (a..sides).map(move |b| (a, b)));
        let own = move |n: usize| !dealt || (n as u32).wrapping_add(self.key) % shards == shard;
        let tiles = tiles.enumerate().filter(move |(n, _)| own(*n));
        tiles.map(move |(_, (a, b))| Tile {
            block: self,
            sides: [a, b],
        })
    }
}

/// Pairs of a block: those of a piece of its records with one that comes later, or among themselves.
pub(crate) struct Tile<'a> {
    pub(crate) block: Block<'a>,
    sides: [usize; 2],
}

impl<'a> Tile<'a> {
    /// The records of both sides; the second is empty where the pairs are those among the first.
    pub(crate) fn records(&self) -> [impl Iterator<Item = u32> + use<'a>; 2] {
        let [a, b] = self.sides;
        let entries = self.block.entries;
        let piece = |side: usize| side * SIDE..entries.len().min((side + 1) * SIDE);
        let second = if a == b { 0..0 } else { piece(b) };
        [piece(a), second].map(|piece: Range<usize>| entries[piece].iter().map(|e| *e as u32))
    }
}

/// Blocks of some rules: per rule the entries, key and record in one number, sorted.
pub(crate) struct Blocks(Vec<Vec<u64>>);

impl Blocks {
    /// The records of a key, in ascending order.
    pub(crate) fn records_of(&self, rule: usize, key: u32) -> Vec<u32> {
        let entries = &self.0[rule];
        let begin = entries.partition_point(|e| ((e >> 32) as u32) < key);
        let of_key = entries[begin..].iter();
        let of_key = of_key.take_while(|e| (**e >> 32) as u32 == key);
        of_key.map(|e| *e as u32).collect()
    }

    /// The blocks of a rule, ordered by key.
    pub(crate) fn of(&self, rule: usize) -> impl ParallelIterator<Item = Block<'_>> {
        self.0[rule]
            .par_chunk_by(|a, b| a >> 32 == b >> 32)
            .filter(|entries| entries.len() > 1)
            .map(move |entries| Block {
                rule,
                key: (entries[0] >> 32) as u32,
                entries,
            })
    }
}

/// Entries by rule, sorted, each once. `add` adds those of a record to the list of each rule.
pub(super) fn entries_by_rule(
    records: u32,
    add: impl Fn(u32, &mut [Vec<u64>]) + Sync,
) -> Vec<Vec<u64>> {
    const PIECE: u32 = 1 << 14;
    let mut pieces: Vec<Vec<Vec<u64>>> = (0..records.div_ceil(PIECE))
        .into_par_iter()
        .map(|piece| {
            let mut entries = vec![Vec::new(); RULES.len()];
            for record in piece * PIECE..records.min((piece + 1) * PIECE) {
                add(record, &mut entries);
            }
            entries
        })
        .collect();
    let mut rules: Vec<Vec<u64>> = Vec::new();
    for rule in 0..RULES.len() {
        let mut entries = Vec::with_capacity(pieces.iter().map(|p| p[rule].len()).sum());
        for piece in &mut pieces {
            entries.append(&mut std::mem::take(&mut piece[rule]));
        }
        rules.push(entries);
    }
    drop(pieces);
    rules.par_iter_mut().for_each(|entries| {
        sort_by_key(entries);
        entries.dedup();
    });
    rules
}

impl Blocking<'_> {
    /// The blocks of a pass with the records that one predicate takes, and the keys (that of the rule, and that of the
    /// block) that another one takes.
    pub(crate) fn blocks(
        &self,
        pass: &Pass,
        member: impl Fn(u32) -> bool + Sync,
        take: impl Fn(usize, u32, u32) -> bool + Sync,
    ) -> Blocks {
        let records = self.features.len() as u32;
        Blocks(entries_by_rule(records, |record, entries| {
            if !member(record) {
                return;
            }
            let sketch = self.sketch(record);
            for rule in pass.rules.clone() {
                self.leaves(rule, &sketch, |of_rule, key| {
                    if pass.has(key) && take(rule, of_rule, key) {
                        entries[rule].push(entry(key, record));
                    }
                });
            }
        }))
    }

    /// The blocks of a rule with the records of some of its keys.
    pub(crate) fn blocks_among<'k>(
        &self,
        rule: usize,
        keys: impl Iterator<Item = (u32, &'k [u32])>,
    ) -> Blocks {
        let mut entries = Vec::new();
        for (key, records) in keys {
            for record in records {
                self.leaves(rule, &self.sketch(*record), |of_rule, leaf| {
                    if of_rule == key {
                        entries.push(entry(leaf, *record));
                    }
                });
            }
        }
        entries.par_sort_unstable();
        entries.dedup();
        let mut blocks = Blocks(vec![Vec::new(); RULES.len()]);
        blocks.0[rule] = entries;
        blocks
    }

    /// Whether a shard holds the block of a key: that of a part which stays oversized is dealt out to all of them.
    pub(crate) fn holds(&self, rule: usize, key: u32, (shard, shards): (u32, u32)) -> bool {
        shard_of(key, shards) == shard || self.is_hub(rule, key)
    }

    /// Keys of the blocks that each rule puts some records into.
    pub(crate) fn keys_of(&self, records: &[u32]) -> Vec<HashSet<u32>> {
        let mut keys = vec![HashSet::new(); RULES.len()];
        for record in records {
            let sketch = self.sketch(*record);
            for (rule, keys) in keys.iter_mut().enumerate() {
                self.leaves(rule, &sketch, |_, key| {
                    keys.insert(key);
                });
            }
        }
        keys
    }

    /// Passes in which the blocks of a shard, of so many, fit into the room: some rules in each, or some keys of one.
    pub(crate) fn passes(&self, room: Room, shards: u32) -> Vec<Pass> {
        const LOOKED_AT: u32 = 1 << 12;
        let records = self.features.len() as u32;
        let step = (records / LOOKED_AT).max(1);
        let mut counts = [0u64; RULES.len()];
        for record in (0..records).step_by(step as usize) {
            let sketch = self.sketch(record);
            for (rule, count) in counts.iter_mut().enumerate() {
                self.leaves(rule, &sketch, |_, key| {
                    let holders = if self.is_hub(rule, key) { shards } else { 1 };
                    *count += u64::from(step) * u64::from(holders);
                });
            }
        }
        let own = counts.map(|count| count / u64::from(shards.max(1)));
        room::passes(&own, room.entries(self.features.len()))
    }
}
