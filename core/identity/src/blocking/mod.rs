//! Blocking: which pairs are compared at all. Rules are many and cheap; a pair belongs to the first
//! rule that makes it. Blocks that were oversized when the model was trained (hubs) are refined: a pair in
//! them must also share a name, the birth date, the place or the house, whichever the rule does not imply; and
//! two of these where such a part of a hub was oversized too. A record stands in the blocks of a hub's parts in
//! place of the hub, so that parts are blocks like any other. A part that is oversized even then is compared in tiles.

mod blocks;
mod grams;
mod postings;
mod room;
mod rules;

use std::borrow::Cow;

use hashbrown::{HashMap, HashSet};
use rayon::prelude::*;

use crate::compare::Glance;
use crate::features::{Features, Row};

pub(crate) use blocks::{Block, Tile};
pub(crate) use postings::Postings;
pub(crate) use room::Pass;
pub use room::Room;
pub(crate) use rules::Sketch;
pub(crate) use rules::{GRAMS_KEYS, GRAMS_RULE, RULES};
use rules::{Part, bits, is_manifold, refined_key, refinements};

/// A bit for each rule.
const RULE_BITS: [u32; RULES.len()] = bits();

/// Slots that shards are made of: the same key is always in the same slot.
pub const KEY_SLOTS: u32 = 4096;

/// What training found out about the rules.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hubs {
    /// Oversized blocks and their oversized parts, by rule and key.
    pub(crate) keys: HashSet<(u8, u32)>,
    /// Rules that are left out.
    pub(crate) idle: [bool; RULES.len()],
}

impl Hubs {
    /// What rules that are not left out look at.
    fn sketch(&self, features: &Features, row: &Row) -> Sketch {
        Sketch::of(features, row, !self.idle[GRAMS_RULE])
    }
}

/// A record of a block with what its pairs look at, side by side with the other members in memory.
pub(crate) struct Member {
    pub(crate) record: u32,
    pub(crate) row: Row,
    /// Records of the block that it stands for, those with the same row.
    pub(crate) copies: u64,
    pub(crate) glance: Glance,
    pub(crate) sketch: Sketch,
}

/// What rules look at, of every record.
pub(crate) struct Sketches(Vec<Sketch>);

impl Sketches {
    /// Where there is room to keep it.
    pub(crate) fn within(room: Room, features: &Features, hubs: &Hubs) -> Option<Self> {
        let rows = features.rows.par_iter();
        let all = || rows.map(|row| hubs.sketch(features, row)).collect();
        room.keeps_sketches(features.len()).then(|| Self(all()))
    }

    /// What it takes for so many records.
    fn bytes(records: usize) -> u64 {
        (records * size_of::<Sketch>()) as u64
    }
}

/// Records and the blocks that they are in.
pub(crate) struct Blocking<'a> {
    features: &'a Features,
    /// Made once where all records are looked at.
    sketches: Option<&'a Sketches>,
    hubs: &'a Hubs,
    /// Whether a rule has hubs.
    refined: [bool; RULES.len()],
    /// What a rule needs, as a set of parts; of one that is left out what no pair has.
    needs: [u32; RULES.len()],
}

impl<'a> Blocking<'a> {
    /// Over a few records, looked at one by one.
    pub(crate) fn new(features: &'a Features, hubs: &'a Hubs) -> Self {
        Self::over(features, None, hubs)
    }

    /// Over all records; with what rules look at, where there is room to keep it.
    pub(crate) fn over(
        features: &'a Features,
        sketches: Option<&'a Sketches>,
        hubs: &'a Hubs,
    ) -> Self {
        let mut refined = [false; RULES.len()];
        for (rule, _) in &hubs.keys {
            refined[usize::from(*rule)] = true;
        }
        Self {
            features,
            sketches,
            hubs,
            refined,
            needs: std::array::from_fn(|r| match hubs.idle[r] {
                true => u32::MAX,
                false => RULES[r].needs(),
            }),
        }
    }

    /// What rules look at, of a record.
    pub(crate) fn sketch(&self, record: u32) -> Cow<'_, Sketch> {
        match self.sketches {
            Some(sketches) => Cow::Borrowed(&sketches.0[record as usize]),
            None => {
                let row = &self.features.rows[record as usize];
                Cow::Owned(self.hubs.sketch(self.features, row))
            }
        }
    }

    /// Whether the records of a key stand under its parts instead. Of the keys that records do stand under, those of
    /// parts that are oversized although they are refined as far as they can be.
    fn is_hub(&self, rule: usize, key: u32) -> bool {
        self.refined[rule] && self.hubs.keys.contains(&(rule as u8, key))
    }

    /// Calls `leaf` with the keys that a rule gives to a record, each with those of the blocks in which the record
    /// meets others by it: the key itself, or in place of a hub the keys of its parts. A rule that is left out gives none.
    fn leaves(&self, rule: usize, sketch: &Sketch, mut leaf: impl FnMut(u32, u32)) {
        if self.hubs.idle[rule] {
            return;
        }
        for key in sketch.keys(rule) {
            if !self.is_hub(rule, key) {
                leaf(key, key);
                continue;
            }
            let has = |part: &Part| sketch.refinement(*part) != 0;
            let mut parts = refinements(rule).filter(has);
            while let Some(part) = parts.next() {
                let refined = refined_key(key, part, sketch.refinement(part));
                if !self.is_hub(rule, refined) {
                    leaf(key, refined);
                    continue;
                }
                // The first part that two records share is the first key, so the second one comes later.
                for second in parts.clone() {
                    leaf(key, refined_key(refined, second, sketch.refinement(second)));
                }
            }
        }
    }

    /// The block in which a key of a rule, which both have, makes a pair that shares some parts.
    fn leaf(&self, rule: usize, key: u32, shared: u32, a: &Sketch) -> Option<u32> {
        if !self.is_hub(rule, key) {
            return Some(key);
        }
        let mut common = refinements(rule).filter(|p| shared & p.bit() != 0);
        let part = common.next()?;
        let refined = refined_key(key, part, a.refinement(part));
        if !self.is_hub(rule, refined) {
            return Some(refined);
        }
        let second = common.next()?;
        Some(refined_key(refined, second, a.refinement(second)))
    }

    /// The block in which a rule makes a pair that shares its parts and some others. Where a pair may have several, the
    /// one with the smallest key counts.
    fn leaf_of(&self, rule: usize, shared: u32, a: &Sketch, b: &Sketch) -> Option<u32> {
        match is_manifold(rule) {
            true => {
                let leaf = |key| self.leaf(rule, key, shared, a);
                a.common_keys(b, rule).filter_map(leaf).min()
            }
            false => self.leaf(rule, a.key(rule), shared, a),
        }
    }

    /// Whether a rule makes a pair that shares some parts.
    fn makes(&self, rule: usize, shared: u32, a: &Sketch, b: &Sketch) -> bool {
        let needs = self.needs[rule];
        shared & needs == needs && self.makes_sharing(rule, shared, a, b)
    }

    /// The same of a pair that shares what the rule needs.
    fn makes_sharing(&self, rule: usize, shared: u32, a: &Sketch, b: &Sketch) -> bool {
        !self.refined[rule] || self.leaf_of(rule, shared, a, b).is_some()
    }

    /// Whether a block is the one in which its rule makes a pair.
    fn meet(&self, block: &Block<'_>, shared: u32, a: &Sketch, b: &Sketch) -> bool {
        // Two values may share a key by chance.
        let needs = self.needs[block.rule];
        let sure = !self.refined[block.rule] && !is_manifold(block.rule);
        shared & needs == needs
            && (sure || self.leaf_of(block.rule, shared, a, b) == Some(block.key))
    }

    /// Whether this block is the one that scores the pair.
    pub(crate) fn owns(&self, block: &Block<'_>, a: &Sketch, b: &Sketch) -> bool {
        let shared = a.shared(b);
        self.meet(block, shared, a, b) && self.is_first(block.rule, shared, a, b)
    }

    /// Whether no earlier rule makes a pair.
    fn is_first(&self, rule: usize, shared: u32, a: &Sketch, b: &Sketch) -> bool {
        // All rules at once, without a branch: this is asked of every pair.
        let mut made = 0;
        for (needs, bit) in self.needs.iter().zip(RULE_BITS) {
            made |= if shared & needs == *needs { bit } else { 0 };
        }
        made &= RULE_BITS[rule] - 1;
        while made != 0 {
            if self.makes_sharing(made.trailing_zeros() as usize, shared, a, b) {
                return false;
            }
            made &= made - 1;
        }
        true
    }

    /// Some records of a block, in ascending order.
    pub(crate) fn members(&self, records: impl Iterator<Item = u32>) -> Vec<Member> {
        records.map(|record| self.member(record)).collect()
    }

    fn member(&self, record: u32) -> Member {
        let row = self.features.rows[record as usize];
        Member {
            record,
            row,
            copies: 1,
            sketch: self.sketch(record).into_owned(),
            glance: Glance::of(self.features, &row),
        }
    }

    /// Calls `pair` for the pairs that a block makes, once for all pairs of the same two rows of the same two sources,
    /// with their number and with whether no earlier rule makes them. Of a block of very many rows some stand for all.
    pub(crate) fn kinds_of_pairs(
        &self,
        block: &Block<'_>,
        mut pair: impl FnMut(&Member, &Member, u64, bool),
    ) {
        let mut kinds: Vec<Member> = Vec::new();
        let mut places: HashMap<(u16, Row), usize> = HashMap::new();
        for record in block.records() {
            let at = record as usize;
            let place = places.entry((self.features.source[at], self.features.rows[at]));
            let place = *place.or_insert(kinds.len());
            match kinds.get_mut(place) {
                Some(kind) => kind.copies += 1,
                None => kinds.push(self.member(record)),
            }
        }
        let times = thin(&mut kinds);
        let mut each = |a: &Member, b: &Member, n: u64| {
            let (left, right) = (&a.sketch, &b.sketch);
            let shared = left.shared(right);
            if self.meet(block, shared, left, right) {
                let first = self.is_first(block.rule, shared, left, right);
                pair(a, b, n * times, first);
            }
        };
        for (at, a) in kinds.iter().enumerate() {
            let among = pairs_of(a.copies as usize);
            if among > 0 {
                each(a, a, among);
            }
            for b in &kinds[at + 1..] {
                each(a, b, a.copies * b.copies);
            }
        }
    }

    /// What would become of a block that is a hub: the most pairs that it has, and the keys of its parts that are
    /// oversized, which are refined once more and then compared in tiles.
    pub(crate) fn refine(&self, block: &Block<'_>, largest: usize) -> (u64, Vec<u32>) {
        let (mut pairs, mut oversized) = (0, Vec::new());
        let all: Vec<u32> = block.records().collect();
        let mut parts = refinements(block.rule);
        while let Some(part) = parts.next() {
            for (value, group) in self.groups(&all, part) {
                let key = refined_key(block.key, part, value);
                if group.len() <= largest {
                    pairs += pairs_of(group.len());
                    continue;
                }
                oversized.push(key);
                for second in parts.clone() {
                    for (value, group) in self.groups(&group, second) {
                        let key = refined_key(key, second, value);
                        if group.len() > largest {
                            oversized.push(key);
                        }
                        pairs += pairs_of(group.len());
                    }
                }
            }
        }
        (pairs, oversized)
    }

    /// Records by what they have for a refinement, where two and more have it.
    fn groups(&self, records: &[u32], part: Part) -> Vec<(u32, Vec<u32>)> {
        let valued = records
            .iter()
            .map(|r| (self.sketch(*r).refinement(part), *r));
        let mut valued: Vec<(u32, u32)> = valued.filter(|v| v.0 != 0).collect();
        valued.sort_unstable();
        valued
            .chunk_by(|a, b| a.0 == b.0)
            .filter(|group| group.len() > 1)
            .map(|group| (group[0].0, group.iter().map(|v| v.1).collect()))
            .collect()
    }

    /// How many rules make a pair.
    pub(crate) fn rules(&self, a: u32, b: u32) -> usize {
        let (a, b) = (self.sketch(a), self.sketch(b));
        let shared = a.shared(&b);
        let made = (0..RULES.len()).filter(|r| self.makes(*r, shared, &a, &b));
        made.count()
    }

    /// The first rule that makes a pair.
    pub(crate) fn first_rule(&self, a: u32, b: u32) -> Option<usize> {
        let (a, b) = (self.sketch(a), self.sketch(b));
        let shared = a.shared(&b);
        (0..RULES.len()).find(|r| self.makes(*r, shared, &a, &b))
    }
}

/// Leaves so many kinds that their pairs can be compared: those by the lot of their first record. Gives how many pairs each
/// pair that is left stands for.
fn thin(kinds: &mut Vec<Member>) -> u64 {
    const MOST: usize = 2000;
    if kinds.len() <= MOST {
        return 1;
    }
    let pairs = |kinds: &[Member]| pairs_of(kinds.iter().map(|k| k.copies as usize).sum());
    let all = pairs(kinds);
    kinds.sort_unstable_by_key(|k| u64::from(k.record).wrapping_mul(0xD6E8_FEB8_6659_FD93));
    kinds.truncate(MOST);
    let left = pairs(kinds).max(1);
    (all + left / 2) / left
}

pub(crate) fn pairs_of(n: usize) -> u64 {
    let n = n as u64;
    n * n.saturating_sub(1) / 2
}

/// Slot of a key.
fn slot_of(key: u32) -> u32 {
    key.wrapping_mul(0x9E37_79B1) >> 20
}

/// Shard of a key.
pub(crate) fn shard_of(key: u32, shards: u32) -> u32 {
    slot_of(key) * shards / KEY_SLOTS
}

/// Of the pairs of records that are one person and count, the share that any rule makes. `truth` is a person per record.
pub(crate) fn recall(
    features: &Features,
    hubs: &Hubs,
    truth: &[u32],
    counts: impl Fn(u32, u32) -> bool + Sync,
) -> f64 {
    let blocking = Blocking::new(features, hubs);
    let mut people: Vec<(u32, u32)> = truth.iter().copied().zip(0..).collect();
    people.sort_unstable();
    let people: Vec<&[(u32, u32)]> = people.chunk_by(|a, b| a.0 == b.0).collect();
    let (made, all) = people
        .into_par_iter()
        .map(|person| {
            let pairs = person.iter().enumerate().flat_map(|(n, a)| {
                let rest = person[n + 1..].iter();
                rest.map(move |b| (a.1, b.1))
            });
            let pairs = pairs.filter(|(a, b)| counts(*a, *b));
            pairs.fold((0u64, 0u64), |(made, all), (a, b)| {
                (
                    made + u64::from(blocking.first_rule(a, b).is_some()),
                    all + 1,
                )
            })
        })
        .reduce(|| (0, 0), |x, y| (x.0 + y.0, x.1 + y.1));
    if all == 0 {
        1.0
    } else {
        made as f64 / all as f64
    }
}
