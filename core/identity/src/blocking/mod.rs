//! Blocking: which pairs are compared at all. Rules are many and cheap; a pair belongs to the first
//! rule that makes it. Blocks that were oversized when the model was trained (hubs) are refined: a pair in
//! them must also share a name, the birth date, the place or the house, whichever the rule does not imply; and
//! two of these where such a part of a hub was oversized too.

mod postings;
mod rules;

use hashbrown::{HashMap, HashSet};
use rayon::prelude::*;

use crate::by_key::entry;
use crate::features::{Features, Row};

pub(crate) use postings::Postings;
pub(crate) use rules::RULES;
use rules::{PHONE_RULE, Part, Sketch, refined_key, refinements};

/// Slots that shards are made of: the same key is always in the same slot.
pub const KEY_SLOTS: u32 = 4096;

/// Entries of blocks that are in memory at one time.
const ENTRIES: usize = 16 << 20;

/// What training found out about the rules.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hubs {
    /// Oversized blocks, by rule and key.
    pub(crate) keys: HashSet<(u8, u32)>,
    /// Rules that are left out.
    pub(crate) idle: [bool; RULES.len()],
}

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

    /// Its records in ascending order.
    pub(crate) fn records(&self) -> impl Iterator<Item = u32> + use<'a> {
        self.entries.iter().map(|e| *e as u32)
    }
}

/// A record of a block with what its pairs look at, side by side with the other members in memory.
#[derive(Clone)]
pub(crate) struct Member {
    pub(crate) record: u32,
    pub(crate) row: Row,
    /// Records of the block that it stands for, those with the same row.
    pub(crate) copies: u64,
    sketch: Sketch,
}

/// Blocks of all rules: per rule the entries, key and record in one number, sorted.
pub(crate) struct Blocks(Vec<Vec<u64>>);

impl Blocks {
    /// The blocks of a rule, ordered by key.
    pub(crate) fn of(&self, rule: usize) -> Vec<Block<'_>> {
        self.0[rule]
            .chunk_by(|a, b| a >> 32 == b >> 32)
            .filter(|entries| entries.len() > 1)
            .map(|entries| Block {
                rule,
                key: (entries[0] >> 32) as u32,
                entries,
            })
            .collect()
    }
}

/// Entries of records by rule, sorted, each once. `add` adds those of a record to the list of each rule.
fn entries_by_rule(records: u32, add: impl Fn(u32, &mut [Vec<u64>]) + Sync) -> Vec<Vec<u64>> {
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
    let rules = (0..RULES.len()).map(|rule| {
        let mut entries = Vec::with_capacity(pieces.iter().map(|p| p[rule].len()).sum());
        for piece in &mut pieces {
            entries.append(&mut std::mem::take(&mut piece[rule]));
        }
        entries.par_sort_unstable();
        entries.dedup();
        entries
    });
    rules.collect()
}

/// What rules look at, of every record.
pub(crate) struct Sketches(Vec<Sketch>);

impl Sketches {
    pub(crate) fn of(features: &Features) -> Self {
        let rows = features.rows.par_iter();
        Self(rows.map(|row| Sketch::of(features, row)).collect())
    }
}

/// Records and the blocks that they are in.
pub(crate) struct Blocking<'a> {
    features: &'a Features,
    /// Where all records are looked at, they are made once.
    sketches: Option<&'a Sketches>,
    hubs: &'a Hubs,
    /// Whether a rule has hubs.
    refined: [bool; RULES.len()],
    /// What a rule needs, as a set of parts.
    needs: [u32; RULES.len()],
}

impl<'a> Blocking<'a> {
    /// Over a few records, looked at one by one.
    pub(crate) fn new(features: &'a Features, hubs: &'a Hubs) -> Self {
        Self::with(features, None, hubs)
    }

    /// Over all records.
    pub(crate) fn over(features: &'a Features, sketches: &'a Sketches, hubs: &'a Hubs) -> Self {
        Self::with(features, Some(sketches), hubs)
    }

    fn with(features: &'a Features, sketches: Option<&'a Sketches>, hubs: &'a Hubs) -> Self {
        let mut refined = [false; RULES.len()];
        for (rule, _) in &hubs.keys {
            refined[usize::from(*rule)] = true;
        }
        Self {
            features,
            sketches,
            hubs,
            refined,
            needs: std::array::from_fn(|r| RULES[r].needs()),
        }
    }

    fn sketch(&self, record: u32) -> Sketch {
        match self.sketches {
            Some(sketches) => sketches.0[record as usize].clone(),
            None => Sketch::of(self.features, &self.features.rows[record as usize]),
        }
    }

    /// The blocks of the keys that the predicate takes.
    pub(crate) fn blocks(&self, take: impl Fn(usize, u32) -> bool + Sync) -> Blocks {
        self.blocks_of(|_| true, take)
    }

    /// The same with some records only.
    pub(crate) fn blocks_of(
        &self,
        member: impl Fn(u32) -> bool + Sync,
        take: impl Fn(usize, u32) -> bool + Sync,
    ) -> Blocks {
        let records = self.features.len() as u32;
        Blocks(entries_by_rule(records, |record, entries| {
            if !member(record) {
                return;
            }
            let sketch = self.sketch(record);
            for (rule, entries) in entries.iter_mut().enumerate() {
                for key in sketch.keys(rule) {
                    if key != 0 && take(rule, key) {
                        entries.push(entry(key, record));
                    }
                }
            }
        }))
    }

    /// Passes in which all blocks fit into memory, when a shard has one of so many parts of them.
    pub(crate) fn passes(&self, shards: u32) -> u32 {
        let entries = self.features.len() * RULES.len() / shards.max(1) as usize;
        (entries / ENTRIES) as u32 + 1
    }

    /// Keys by which each rule puts some records into blocks.
    pub(crate) fn keys_of(&self, records: &[u32]) -> Vec<HashSet<u32>> {
        let mut keys = vec![HashSet::new(); RULES.len()];
        for record in records {
            let sketch = self.sketch(*record);
            for (rule, keys) in keys.iter_mut().enumerate() {
                keys.extend(sketch.keys(rule).into_iter().filter(|k| *k != 0));
            }
        }
        keys
    }

    fn is_hub(&self, rule: usize, key: u32) -> bool {
        self.refined[rule] && self.hubs.keys.contains(&(rule as u8, key))
    }

    /// By which refinement a hub makes a pair that shares some parts.
    fn refinement(&self, rule: usize, key: u32, shared: u32, a: &Sketch) -> Option<Part> {
        let common = refinements(rule).filter(move |p| shared & p.bit() != 0);
        let several = common.clone().nth(1).is_some();
        let mut made = common.filter(|part| {
            several || !self.is_hub(rule, refined_key(key, *part, a.refinement(*part)))
        });
        made.next()
    }

    /// Whether a block makes a pair that shares its parts.
    fn admits(&self, rule: usize, key: u32, shared: u32, a: &Sketch) -> bool {
        !self.is_hub(rule, key) || self.refinement(rule, key, shared, a).is_some()
    }

    /// Whether a rule makes a pair that shares some parts.
    fn makes(&self, rule: usize, shared: u32, a: &Sketch, b: &Sketch) -> bool {
        let needs = self.needs[rule];
        shared & needs == needs
            && !self.hubs.idle[rule]
            && (!self.refined[rule]
                || match rule {
                    PHONE_RULE => self.phone_key(shared, a, b).is_some(),
                    _ => self.admits(rule, a.key(rule), shared, a),
                })
    }

    /// The smallest key of a phone that makes a pair of two records.
    fn phone_key(&self, shared: u32, a: &Sketch, b: &Sketch) -> Option<u32> {
        a.phone_keys(b)
            .filter(|key| self.admits(PHONE_RULE, *key, shared, a))
            .min()
    }

    /// Whether this block is the one that scores the pair.
    pub(crate) fn owns(&self, block: &Block<'_>, a: &Member, b: &Member) -> bool {
        let (a, b) = (&a.sketch, &b.sketch);
        let shared = a.shared(b);
        // Two values may share a key by chance; two phones may make a pair twice.
        let needs = self.needs[block.rule];
        shared & needs == needs
            && (block.rule != PHONE_RULE || self.phone_key(shared, a, b) == Some(block.key))
            && !(0..block.rule).any(|earlier| self.makes(earlier, shared, a, b))
    }

    /// The members of a block, in ascending order.
    pub(crate) fn members(&self, block: &Block<'_>) -> Vec<Member> {
        let member = |record: u32| Member {
            record,
            row: self.features.rows[record as usize],
            copies: 1,
            sketch: self.sketch(record),
        };
        block.records().map(member).collect()
    }

    /// Calls `pair` for the pairs of a block, once for all pairs of the same two rows, with their number.
    pub(crate) fn kinds_of_pairs(
        &self,
        block: &Block<'_>,
        mut pair: impl FnMut(&Member, &Member, u64),
    ) {
        let mut kinds: Vec<Member> = Vec::new();
        let mut places: HashMap<Row, usize> = HashMap::new();
        for member in self.members(block) {
            let place = *places.entry(member.row).or_insert(kinds.len());
            match kinds.get_mut(place) {
                Some(kind) => kind.copies += 1,
                None => kinds.push(member),
            }
        }
        self.pairs(block, &kinds, |a, b| pair(a, b, a.copies * b.copies));
        for kind in kinds.into_iter().filter(|kind| kind.copies > 1) {
            let among = pairs_of(kind.copies as usize);
            self.pairs(block, &[kind.clone(), kind], |a, b| pair(a, b, among));
        }
    }

    /// Calls `pair` for every pair of the block, once each and in ascending order, refined when the block is a hub.
    pub(crate) fn pairs(
        &self,
        block: &Block<'_>,
        members: &[Member],
        mut pair: impl FnMut(&Member, &Member),
    ) {
        if !self.is_hub(block.rule, block.key) {
            return each_pair(members, pair);
        }
        let (rule, key) = (block.rule, block.key);
        let first = |a: &Member, b: &Member| {
            let shared = a.sketch.shared(&b.sketch);
            (shared, self.refinement(rule, key, shared, &a.sketch))
        };
        for part in refinements(rule) {
            for group in groups(members.iter(), part) {
                let value = group[0].sketch.refinement(part);
                if !self.is_hub(rule, refined_key(key, part, value)) {
                    each_pair(&group, |a, b| {
                        if first(a, b).1 == Some(part) {
                            pair(a, b);
                        }
                    });
                    continue;
                }
                for second in refinements(rule).filter(|other| *other != part) {
                    let common = |shared: u32| {
                        let mut all = refinements(rule).filter(|p| *p != part);
                        all.find(|p| shared & p.bit() != 0)
                    };
                    for group in groups(group.iter().copied(), second) {
                        each_pair(&group, |a, b| {
                            let (shared, made) = first(a, b);
                            if made == Some(part) && common(shared) == Some(second) {
                                pair(a, b);
                            }
                        });
                    }
                }
            }
        }
    }

    /// What would become of a block that is a hub: the most pairs that it has, and the keys of those of its parts
    /// that are oversized too.
    pub(crate) fn refine(&self, block: &Block<'_>, largest: usize) -> (u64, Vec<u32>) {
        let members = self.members(block);
        let (mut pairs, mut oversized) = (0, Vec::new());
        for part in refinements(block.rule) {
            for group in groups(members.iter(), part) {
                if group.len() <= largest {
                    pairs += pairs_of(group.len());
                    continue;
                }
                oversized.push(refined_key(
                    block.key,
                    part,
                    group[0].sketch.refinement(part),
                ));
                for second in refinements(block.rule).filter(|other| *other != part) {
                    let groups = groups(group.iter().copied(), second);
                    pairs += groups.iter().map(|g| pairs_of(g.len())).sum::<u64>();
                }
            }
        }
        (pairs, oversized)
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

/// Members that share a refinement, two and more.
fn groups<'m>(members: impl Iterator<Item = &'m Member>, part: Part) -> Vec<Vec<&'m Member>> {
    let value = |m: &&Member| m.sketch.refinement(part);
    let mut sorted: Vec<&Member> = members.filter(|m| value(m) != 0).collect();
    sorted.sort_unstable_by_key(|m| (value(m), m.record));
    sorted
        .chunk_by(|a, b| value(a) == value(b))
        .filter(|group| group.len() > 1)
        .map(<[_]>::to_vec)
        .collect()
}

pub(crate) fn pairs_of(n: usize) -> u64 {
    let n = n as u64;
    n * n.saturating_sub(1) / 2
}

fn each_pair<M>(members: &[M], mut pair: impl FnMut(&Member, &Member))
where
    M: std::borrow::Borrow<Member>,
{
    for (n, a) in members.iter().enumerate() {
        for b in &members[n + 1..] {
            pair(a.borrow(), b.borrow());
        }
    }
}

/// Slot of a key.
fn slot_of(key: u32) -> u32 {
    key.wrapping_mul(0x9E37_79B1) >> 20
}

/// Shard of a key.
pub(crate) fn shard_of(key: u32, shards: u32) -> u32 {
    slot_of(key) * shards / KEY_SLOTS
}

/// Pass of a key within its shard.
pub(crate) fn pass_of(key: u32, passes: u32) -> u32 {
    slot_of(key) % passes
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
