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
mod side;

use std::hash::BuildHasher as _;

use hashbrown::{DefaultHashBuilder, HashSet, HashTable};
use rayon::prelude::*;

use crate::compare::Glance;
use crate::features::{Features, Row, col};

pub(crate) use blocks::{Block, Tile};
use grams::Texts;
pub(crate) use postings::Postings;
pub(crate) use room::Pass;
pub use room::Room;
pub(crate) use rules::Sketch;
pub(crate) use rules::{GRAMS_KEYS, GRAMS_RULE, RULES};
use rules::{Held, Part, bits, is_manifold, looked_at, refined_key, refinements};

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
        let with_grams = !self.idle[GRAMS_RULE];
        Sketch::of(features, row, with_grams.then(|| Texts::of(features, row)))
    }

    /// The same of several records.
    fn sketches<'f>(
        &self,
        features: &'f Features,
        rows: &'f [Row],
    ) -> impl Iterator<Item = Sketch> + use<'f> {
        // Texts are random places in memory: those of all are looked up before the first is read.
        let texts = (!self.idle[GRAMS_RULE]).then(|| {
            let texts = rows.iter().map(|row| Texts::of(features, row));
            texts.collect::<Vec<_>>()
        });
        let mut texts = texts.into_iter().flatten();
        rows.iter()
            .map(move |row| Sketch::of(features, row, texts.next()))
    }
}

/// Records of a block with the same row, and what their pairs look at.
pub(crate) struct Kind<'a> {
    /// The first of them.
    pub(crate) record: u32,
    pub(crate) row: &'a Row,
    pub(crate) glance: Glance,
    /// How many there are.
    copies: u64,
    sketch: Sketch,
}

/// What rules look at, of every record: words that are of use, side by side.
pub(crate) struct Sketches {
    words: Vec<u32>,
    held: Held,
    /// The columns that some record has something in.
    in_use: [bool; col::WIDTH],
}

impl Sketches {
    /// Where there is room to keep it.
    pub(crate) fn within(room: Room, features: &Features, hubs: &Hubs) -> Option<Self> {
        let in_use = features.columns_in_use();
        let held = Held::of(looked_at(|r| !hubs.idle[r], &in_use));
        let width = held.columns.len();
        const PIECE: usize = 64;
        if width == 0 || !room.keeps_sketches(features.len()) {
            return None;
        }
        let mut words = vec![0; features.len() * width];
        let pieces = words.par_chunks_mut(PIECE * width);
        let pieces = pieces.zip(features.rows.par_chunks(PIECE));
        pieces.for_each(|(words, rows)| {
            let sketches = hubs.sketches(features, rows);
            for (words, sketch) in words.chunks_exact_mut(width).zip(sketches) {
                for (word, column) in words.iter_mut().zip(&held.columns) {
                    *word = sketch.word(*column);
                }
            }
        });
        Some(Self {
            words,
            held,
            in_use,
        })
    }

    /// The words of a record.
    fn of(&self, record: u32) -> &[u32] {
        let width = self.held.columns.len();
        &self.words[record as usize * width..][..width]
    }

    /// The most that it takes for so many records.
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
    /// What a rule needs, as a set of parts; of one that is left out, or needs what no record has, what no pair has.
    needs: [u32; RULES.len()],
    /// Rules without hubs, as a set.
    plain: u32,
    /// Of the rules at work, what they need and their bits, in order.
    at_work: Vec<(u32, u32)>,
    /// What of two records they look at.
    held: Held,
    /// The columns that some record has something in, as far as is known.
    in_use: [bool; col::WIDTH],
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
        let in_use = sketches.map_or([true; col::WIDTH], |sketches| sketches.in_use);
        let held = match sketches {
            Some(sketches) => sketches.held.clone(),
            None => Held::of(looked_at(|r| !hubs.idle[r], &in_use)),
        };
        let needs: [u32; RULES.len()] = std::array::from_fn(|r| match RULES[r].needs() {
            needs if !hubs.idle[r] && needs & !held.parts == 0 => needs,
            _ => u32::MAX,
        });
        let plain = refined.iter().zip(RULE_BITS);
        let plain = plain.fold(0, |all, (refined, bit)| {
            all | if *refined { 0 } else { bit }
        });
        let at_work = needs.into_iter().zip(RULE_BITS);
        let at_work = at_work.filter(|(needs, _)| *needs != u32::MAX).collect();
        Self {
            features,
            sketches,
            hubs,
            refined,
            needs,
            plain,
            at_work,
            held,
            in_use,
        }
    }

    /// What rules look at, of a record.
    pub(crate) fn sketch(&self, record: u32) -> Sketch {
        match self.sketches {
            Some(sketches) => {
                let words = sketches.of(record).iter().copied();
                Sketch::of_words(self.held.columns.iter().copied().zip(words))
            }
            None => {
                let row = &self.features.rows[record as usize];
                self.hubs.sketch(self.features, row)
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
        shared & needs == needs
            && (self.is_sure(block.rule)
                || self.leaf_of(block.rule, shared, a, b) == Some(block.key))
    }

    /// Whether a pair that shares what a rule needs is in one of its blocks only.
    fn is_sure(&self, rule: usize) -> bool {
        !self.refined[rule] && !is_manifold(rule)
    }

    /// Whether no earlier rule makes a pair.
    fn is_first(&self, rule: usize, shared: u32, a: &Sketch, b: &Sketch) -> bool {
        // All rules at once, without a branch: this is asked of every pair.
        let mut made = 0;
        for (needs, bit) in self.needs.iter().zip(RULE_BITS) {
            made |= if shared & needs == *needs { bit } else { 0 };
        }
        self.is_none_of(made & (RULE_BITS[rule] - 1), shared, a, b)
    }

    /// Whether none of some rules, which find what they need among what a pair shares, makes it.
    fn is_none_of(&self, mut made: u32, shared: u32, a: &Sketch, b: &Sketch) -> bool {
        while made != 0 {
            if self.makes_sharing(made.trailing_zeros() as usize, shared, a, b) {
                return false;
            }
            made &= made - 1;
        }
        true
    }

    /// Calls `pair` for the pairs that a block makes, once for all pairs of the same two rows of the same two sources,
    /// with their number and with whether no earlier rule makes them. Of a block of very many rows some stand for all.
    pub(crate) fn kinds_of_pairs(
        &self,
        block: &Block<'_>,
        mut pair: impl FnMut(&Kind<'_>, &Kind<'_>, u64, bool),
    ) {
        let (features, dice) = (self.features, DefaultHashBuilder::default());
        let row = |record: u32| &features.rows[record as usize];
        let same = |record: u32| (features.source[record as usize], row(record));
        // The first record of each kind, and how many there are.
        let mut kinds: Vec<(u32, u64)> = Vec::new();
        let mut places: HashTable<usize> = HashTable::new();
        for record in block.records() {
            let is = |place: &usize| same(kinds[*place].0) == same(record);
            let hash = |record: u32| dice.hash_one(same(record));
            let of = |place: &usize| hash(kinds[*place].0);
            let place = *places
                .entry(hash(record), is, of)
                .or_insert(kinds.len())
                .get();
            match kinds.get_mut(place) {
                Some(kind) => kind.1 += 1,
                None => kinds.push((record, 1)),
            }
        }
        let times = thin(&mut kinds);
        let rows: Vec<&Row> = kinds.iter().map(|(record, _)| row(*record)).collect();
        let glances = Glance::of_all(features, &rows, &self.in_use);
        let kinds = kinds.into_iter().zip(rows).zip(glances);
        let kinds = kinds.map(|(((record, copies), row), glance)| Kind {
            record,
            row,
            glance,
            copies,
            sketch: self.sketch(record),
        });
        let kinds: Vec<Kind<'_>> = kinds.collect();
        let mut each = |a: &Kind<'_>, b: &Kind<'_>, n: u64| {
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
fn thin(kinds: &mut Vec<(u32, u64)>) -> u64 {
    const MOST: usize = 2000;
    if kinds.len() <= MOST {
        return 1;
    }
    let pairs = |kinds: &[(u32, u64)]| pairs_of(kinds.iter().map(|k| k.1 as usize).sum());
    let all = pairs(kinds);
    kinds.sort_unstable_by_key(|k| u64::from(k.0).wrapping_mul(0xD6E8_FEB8_6659_FD93));
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
