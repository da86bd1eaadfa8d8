//! What a model is trained on: how often pairs agree in which way, among those that each rule makes and among
//! random ones.

use std::collections::{BTreeMap, BinaryHeap};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use hashbrown::HashMap;
use rayon::prelude::*;

use super::{DIFFERENT, GENERATION};
use crate::blocking::{Blocking, Hubs, RULES, Room, Sketches, pairs_of};
use crate::compare::{BIRTH, COMPARISONS, Comparing, Glance, Levels};
use crate::features::{Features, Row, col, mix};
use crate::model::RuleStats;
use crate::policy::Policy;

const SAMPLE_PER_RULE: u64 = 150_000;
const RANDOM_PAIRS: u64 = 1_000_000;
/// Shares of one person, one household and strangers among the pairs of a rule, to begin with.
pub(super) const SHARES: [f64; 3] = [0.4, 0.1, 0.5];

pub(super) type Patterns = BTreeMap<Levels, f64>;

/// The pairs of one rule.
pub(super) struct Stratum {
    pub(super) rule: usize,
    pub(super) patterns: Patterns,
    pub(super) blocked: &'static [usize],
    pub(super) share: [f64; 3],
}

/// Patterns with their counts.
#[derive(Default)]
pub(super) struct Sample {
    pub(super) strata: Vec<Stratum>,
    /// Patterns of pairs under the first rule that makes them, weighted up to all pairs, by rule.
    pub(super) candidates: Vec<Patterns>,
    pub(super) random: Patterns,
}

/// Looks at the blocks of every rule and draws some.
pub(super) fn draw(
    features: &Features,
    policy: &Policy,
    seed: u64,
    used: &[bool; COMPARISONS],
    room: Room,
) -> (Vec<RuleStats>, Sample) {
    let pattern = |[a, b]: [&Row; 2], comparing: Comparing<'_>| {
        let mut levels = comparing.levels();
        if usize::from(levels[BIRTH]) == DIFFERENT && a_generation_apart(a, b) {
            levels[BIRTH] = GENERATION as u8;
        }
        for (l, used) in levels.iter_mut().zip(used) {
            *l *= u8::from(*used);
        }
        levels
    };
    // Two records of one file are none where files are linked.
    let source = |record: u32| features.source[record as usize];
    let may_be_one = |a: u32, b: u32| !policy.across_sources || source(a) != source(b);
    let unrefined = Hubs::default();
    let sketches = Sketches::within(room, features, &unrefined);
    let blocking = Blocking::over(features, sketches.as_ref(), &unrefined);
    let (stats, hubs, drawn) = survey(&blocking, policy, seed, room);
    let blocking = Blocking::over(features, sketches.as_ref(), &hubs);
    let counted = drawn.par_iter().enumerate().map(|(rule, drawn)| {
        let blocks =
            blocking.blocks_among(rule, drawn.blocks.iter().map(|b| (b.key, &b.records[..])));
        let counts = blocks
            .of(rule)
            .fold(HashMap::new, |mut counts: HashMap<_, u64>, block| {
                blocking.kinds_of_pairs(&block, |a, b, times, first| {
                    if !may_be_one(a.record, b.record) {
                        return;
                    }
                    let glances = [&a.glance, &b.glance];
                    let rows = [a.row, b.row];
                    let comparing = Comparing::at_a_glance(features, rows, Some(glances));
                    *counts.entry((pattern(rows, comparing), first)).or_default() += times;
                });
                counts
            });
        counts.collect::<Vec<_>>()
    });
    let counted: Vec<Vec<HashMap<(Levels, bool), u64>>> = counted.collect();
    let mut sample = Sample {
        candidates: vec![Patterns::new(); RULES.len()],
        random: random(features, seed, may_be_one, pattern),
        ..Sample::default()
    };
    for ((r, rule), counts) in RULES.iter().enumerate().zip(counted) {
        if drawn[r].pairs == 0 {
            continue;
        }
        let up = stats[r].pairs as f64 / drawn[r].pairs as f64;
        let mut patterns = Patterns::new();
        for ((levels, first), n) in counts.into_iter().flatten() {
            *patterns.entry(levels).or_default() += n as f64;
            if first {
                *sample.candidates[r].entry(levels).or_default() += n as f64 * up;
            }
        }
        sample.strata.push(Stratum {
            rule: r,
            patterns,
            blocked: rule.blocked,
            share: SHARES,
        });
    }
    (stats, sample)
}

/// Sizes of all blocks, the oversized ones, and by rule the keys of those that are drawn.
fn survey(
    blocking: &Blocking<'_>,
    policy: &Policy,
    seed: u64,
    room: Room,
) -> (Vec<RuleStats>, Hubs, Vec<Drawn>) {
    let largest = policy.max_block_size as usize;
    let mut stats: Vec<RuleStats> = RULES.iter().map(|rule| RuleStats::of(rule.name)).collect();
    let mut drawn = vec![Drawn::default(); RULES.len()];
    for pass in blocking.passes(room, 1) {
        let blocks = blocking.blocks(&pass, |_| true, |_, _, _| true);
        for r in pass.rules {
            let (stats, drawn) = (&mut stats[r], &mut drawn[r]);
            // Blocks behind it are not kept, as any piece of the blocks has found out.
            let bar = AtomicU64::new(drawn.bar());
            let looked_at = blocks.of(r).fold(Looked::default, |mut looked, block| {
                let Looked { stats, drawn } = &mut looked;
                stats.blocks += 1;
                stats.largest = stats.largest.max(block.len() as u64);
                let mut pairs = pairs_of(block.len());
                if block.len() > largest {
                    let (left, oversized) = blocking.refine(&block, largest);
                    pairs = left;
                    stats.hubs.push(block.key);
                    stats.hubs.extend(oversized);
                }
                stats.pairs += pairs;
                let lot = mix(seed ^ u64::from(block.key));
                if lot <= bar.load(Relaxed) {
                    drawn.keep(DrawnBlock {
                        lot,
                        key: block.key,
                        pairs,
                        records: Vec::new(),
                    });
                    bar.fetch_min(drawn.bar(), Relaxed);
                }
                looked
            });
            for part in looked_at.collect::<Vec<_>>() {
                stats.blocks += part.stats.blocks;
                stats.largest = stats.largest.max(part.stats.largest);
                stats.pairs += part.stats.pairs;
                stats.hubs.extend(part.stats.hubs);
                drawn.take(part.drawn);
            }
            drawn.fill(|key| blocks.records_of(r, key));
        }
    }
    let mut hubs = Hubs::default();
    for (r, stats) in stats.iter_mut().enumerate() {
        stats.hubs.sort_unstable();
        stats.hubs.dedup();
        hubs.keys.extend(stats.hubs.iter().map(|k| (r as u8, *k)));
    }
    (stats, hubs, drawn)
}

/// What some blocks of a rule come to.
struct Looked {
    stats: RuleStats,
    drawn: Drawn,
}

impl Default for Looked {
    fn default() -> Self {
        Self {
            stats: RuleStats::of(""),
            drawn: Drawn::default(),
        }
    }
}

/// A block that is looked at.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct DrawnBlock {
    lot: u64,
    key: u32,
    pairs: u64,
    /// Its records, once it is known that it is drawn of those looked at together with it.
    records: Vec<u32>,
}

/// Blocks in a random order until they make enough pairs: the last of those that are kept comes first.
#[derive(Clone, Default)]
struct Drawn {
    blocks: BinaryHeap<DrawnBlock>,
    pairs: u64,
}

impl Drawn {
    /// The last lot that may be kept.
    fn bar(&self) -> u64 {
        let last = self.blocks.peek().map(|last| last.lot);
        last.filter(|_| self.pairs >= SAMPLE_PER_RULE)
            .unwrap_or(u64::MAX)
    }

    fn keep(&mut self, block: DrawnBlock) {
        self.pairs += block.pairs;
        self.blocks.push(block);
        while let Some(last) = self.blocks.peek()
            && self.pairs - last.pairs >= SAMPLE_PER_RULE
        {
            self.pairs -= last.pairs;
            self.blocks.pop();
        }
    }

    fn take(&mut self, others: Self) {
        others.blocks.into_iter().for_each(|block| self.keep(block));
    }

    /// Notes the records of the blocks that are kept, by key.
    fn fill(&mut self, records_of: impl Fn(u32) -> Vec<u32>) {
        let blocks = std::mem::take(&mut self.blocks).into_iter();
        let filled = blocks.map(|mut block| {
            if block.records.is_empty() {
                block.records = records_of(block.key);
            }
            block
        });
        self.blocks = filled.collect();
    }
}

/// Whether two were born as many years apart as parents and children are.
fn a_generation_apart(a: &Row, b: &Row) -> bool {
    let year = |row: &Row| row[col::BIRTH] / 10_000;
    (15..=50).contains(&year(a).abs_diff(year(b)))
}

fn random(
    features: &Features,
    seed: u64,
    may_be_one: impl Fn(u32, u32) -> bool + Sync,
    pattern: impl Fn([&Row; 2], Comparing<'_>) -> Levels + Sync,
) -> Patterns {
    let n = features.len() as u64;
    let mut out = Patterns::new();
    if n < 2 {
        return out;
    }
    let all = n * (n - 1) / 2;
    let pair = |k: u64| -> (u32, u32) {
        if all <= RANDOM_PAIRS {
            let b = ((1.0 + (1.0 + 8.0 * k as f64).sqrt()) / 2.0) as u64;
            let b = if b * (b - 1) / 2 > k { b - 1 } else { b };
            return ((k - b * (b - 1) / 2) as u32, b as u32);
        }
        let (a, b) = (
            mix(seed.wrapping_add(2 * k)) % n,
            mix(!seed.wrapping_add(2 * k + 1)) % (n - 1),
        );
        (a as u32, (b + u64::from(b >= a)) as u32)
    };
    const CHUNK: u64 = 1000;
    let in_use = features.columns_in_use();
    let chunks: Vec<HashMap<Levels, u64>> = (0..all.min(RANDOM_PAIRS).div_ceil(CHUNK))
        .into_par_iter()
        .map(|chunk| {
            let mut counts = HashMap::new();
            let pairs = chunk * CHUNK..((chunk + 1) * CHUNK).min(all.min(RANDOM_PAIRS));
            let pairs = pairs.map(pair).filter(|(a, b)| may_be_one(*a, *b));
            let row = |r: u32| &features.rows[r as usize];
            let rows: Vec<&Row> = pairs.flat_map(|(a, b)| [row(a), row(b)]).collect();
            let glances = Glance::of_all(features, &rows, &in_use);
            for (rows, glances) in rows.chunks_exact(2).zip(glances.chunks_exact(2)) {
                let (rows, glances) = ([rows[0], rows[1]], [&glances[0], &glances[1]]);
                let comparing = Comparing::at_a_glance(features, rows, Some(glances));
                *counts.entry(pattern(rows, comparing)).or_default() += 1;
            }
            counts
        })
        .collect();
    for (levels, n) in chunks.into_iter().flatten() {
        *out.entry(levels).or_default() += n as f64;
    }
    out
}
