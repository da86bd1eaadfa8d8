//! Scores: the probability that a pair is one person rather than two members of one household or two
//! strangers (Fellegi and Sunter 1969, with a third class), and matching of one shard.

use arrow::array::{ArrayRef, Float32Array, RecordBatch, StringArray, UInt8Array};
use rayon::prelude::*;
use std::sync::Arc;

use crate::blocking::{Blocking, RULES, shard_of};
use crate::compare::{self, COMPARISON, COMPARISONS, LEVELS, Levels};
use crate::error::IdentityError;
use crate::features::{Features, RecordSet};
use crate::model::Model;
use crate::policy::Policy;

/// A scored pair.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Edge {
    /// Index of the record with the smaller id.
    pub left: u32,
    /// Index of the other record.
    pub right: u32,
    /// Match weight: log2 of the odds that it is one person.
    pub weight: f32,
    /// Probability that it is one person.
    pub probability: f32,
    /// Number of the rule that made the pair; see [`rule_name`].
    pub rule: u8,
    /// Level by comparison.
    pub levels: Levels,
}

/// Name of a rule number in [`Edge::rule`]. Numbers past the blocking rules are identifiers and pins.
#[must_use]
pub fn rule_name(rule: u8) -> &'static str {
    match rule {
        IDENTIFIER_RULE => "identifier",
        PIN_RULE => "pin",
        r => RULES.get(usize::from(r)).map_or("none", |r| r.name),
    }
}

/// [`Edge::rule`] of a link that a shared identifier proves.
pub const IDENTIFIER_RULE: u8 = 200;
/// [`Edge::rule`] of a link that a steward made.
pub const PIN_RULE: u8 = 201;

/// Edges of one shard.
#[derive(Clone, Debug, Default)]
pub struct Edges {
    /// Ordered by left, then right; no pair twice.
    pub edges: Vec<Edge>,
    /// Pairs scored.
    pub pairs: u64,
    /// Blocks larger than the policy's bound that the model does not refine: compared in full.
    pub oversized: u64,
    /// Records of the largest block.
    pub largest_block: u64,
}

impl Edges {
    /// As a batch: `left`, `right` (record ids), `weight`, `probability`, `rule`, and one level column per comparison.
    ///
    /// # Errors
    /// Only when Arrow refuses the batch.
    pub fn to_batch(&self, features: &Features) -> Result<RecordBatch, IdentityError> {
        let e = &self.edges;
        let mut columns: Vec<(&str, ArrayRef)> = vec![
            (
                "left",
                Arc::new(StringArray::from_iter_values(
                    e.iter().map(|e| features.record_id(e.left)),
                )),
            ),
            (
                "right",
                Arc::new(StringArray::from_iter_values(
                    e.iter().map(|e| features.record_id(e.right)),
                )),
            ),
            (
                "weight",
                Arc::new(Float32Array::from_iter_values(e.iter().map(|e| e.weight))),
            ),
            (
                "probability",
                Arc::new(Float32Array::from_iter_values(
                    e.iter().map(|e| e.probability),
                )),
            ),
            (
                "rule",
                Arc::new(UInt8Array::from_iter_values(e.iter().map(|e| e.rule))),
            ),
        ];
        for (c, comparison) in COMPARISON.iter().enumerate() {
            columns.push((
                comparison.name,
                Arc::new(UInt8Array::from_iter_values(e.iter().map(|e| e.levels[c]))),
            ));
        }
        Ok(RecordBatch::try_from_iter(columns)?)
    }

    /// From batches of [`Edges::to_batch`], against the features of this run. Edges of records that are gone are left out.
    ///
    /// # Errors
    /// When a column is absent or of another type.
    pub fn from_batches(
        batches: &[RecordBatch],
        features: &Features,
    ) -> Result<Self, IdentityError> {
        fn column<'a, T: 'static>(
            batch: &'a RecordBatch,
            name: &'static str,
        ) -> Result<&'a T, IdentityError> {
            batch
                .column_by_name(name)
                .and_then(|c| c.as_any().downcast_ref())
                .ok_or(IdentityError::MissingColumn(name))
        }
        let mut edges = Vec::new();
        for batch in batches {
            let (left, right) = (
                column::<StringArray>(batch, "left")?,
                column::<StringArray>(batch, "right")?,
            );
            let (weight, probability) = (
                column::<Float32Array>(batch, "weight")?,
                column::<Float32Array>(batch, "probability")?,
            );
            let rule = column::<UInt8Array>(batch, "rule")?;
            let levels = COMPARISON
                .iter()
                .map(|c| column::<UInt8Array>(batch, c.name))
                .collect::<Result<Vec<_>, _>>()?;
            for row in 0..batch.num_rows() {
                let (Some(a), Some(b)) = (
                    features.index_of(left.value(row)),
                    features.index_of(right.value(row)),
                ) else {
                    continue;
                };
                let mut edge = Edge {
                    left: a,
                    right: b,
                    weight: weight.value(row),
                    probability: probability.value(row),
                    rule: rule.value(row),
                    levels: [0; COMPARISONS],
                };
                for (slot, column) in edge.levels.iter_mut().zip(&levels) {
                    *slot = column.value(row);
                }
                edges.push(edge);
            }
        }
        edges.sort_unstable_by_key(|e| (e.left, e.right));
        Ok(Self {
            edges,
            ..Self::default()
        })
    }

    /// The edges that still hold after a change: those whose records both exist and did not change, with
    /// the edges of the changed records (`match_shard` with `changed`) beside them.
    #[must_use]
    pub fn without(mut self, features: &Features, changed: &RecordSet) -> Self {
        let is = |i: u32| changed.0.contains(&features.ids[i as usize]);
        self.edges.retain(|e| !is(e.left) && !is(e.right));
        self
    }
}

/// Parts of a score, in bits (log2).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Parts {
    pub(crate) person: f32,
    pub(crate) household: f32,
    pub(crate) unrelated: f32,
}

impl Parts {
    pub(crate) fn weight(self) -> f32 {
        let (high, low) = (
            self.household.max(self.unrelated),
            self.household.min(self.unrelated),
        );
        self.person - high - (1.0 + (low - high).exp2()).log2()
    }
}

impl std::ops::AddAssign for Parts {
    fn add_assign(&mut self, other: Self) {
        self.person += other.person;
        self.household += other.household;
        self.unrelated += other.unrelated;
    }
}

impl std::ops::Mul<f32> for Parts {
    type Output = Self;

    fn mul(self, by: f32) -> Self {
        Self {
            person: self.person * by,
            household: self.household * by,
            unrelated: self.unrelated * by,
        }
    }
}

pub(crate) fn probability(weight: f32) -> f32 {
    1.0 / (1.0 + (-weight).exp2())
}

/// Tables of a model against the features of a run.
pub(crate) struct Scorer<'a> {
    pub(crate) features: &'a Features,
    pub(crate) prior: Parts,
    /// Bits that a conflict of birth dates weighs beyond its own: people have one. Where the data's birth dates are
    /// often wrong it weighs nothing more.
    pub(crate) birth_conflict: f32,
    m: [[f32; LEVELS]; COMPARISONS],
    u: [[f32; LEVELS]; COMPARISONS],
    /// log2 of the household share and of its complement.
    share: [(f32, f32); COMPARISONS],
    /// log2 of the frequency of each record's value; NaN where it does not apply.
    frequency: Vec<[f32; COMPARISONS]>,
}

impl<'a> Scorer<'a> {
    pub(crate) fn new(features: &'a Features, model: &Model) -> Self {
        let bits =
            |t: [[f64; LEVELS]; COMPARISONS]| t.map(|row| row.map(|p| p.max(1e-9).log2() as f32));
        let tables: Vec<(hashbrown::HashMap<u64, f32>, f32)> = model
            .comparisons
            .iter()
            .map(|p| {
                let table = p
                    .frequencies
                    .iter()
                    .filter_map(|(k, v)| Some((u64::from_str_radix(k, 16).ok()?, v.log2() as f32)))
                    .collect();
                let rest = if p.used && p.default_frequency > 0.0 {
                    p.default_frequency.log2() as f32
                } else {
                    f32::NAN
                };
                (table, rest)
            })
            .collect();
        let frequency = features
            .rows
            .par_iter()
            .map(|row| {
                let mut out = [f32::NAN; COMPARISONS];
                for (c, slot) in out.iter_mut().enumerate() {
                    let term = compare::term(features, row, c);
                    if term != 0 {
                        *slot = tables[c].0.get(&term).copied().unwrap_or(tables[c].1);
                    }
                }
                out
            })
            .collect();
        let unrelated = (1.0 - model.lambda_person - model.lambda_household).max(0.01);
        Self {
            features,
            prior: Parts {
                person: model.lambda_person.max(1e-15).log2() as f32,
                household: model.lambda_household.max(1e-15).log2() as f32,
                unrelated: unrelated.log2() as f32,
            },
            birth_conflict: {
                let levels = &model.comparisons[compare::BIRTH].levels;
                let wrong: f64 = levels[3..].iter().map(|l| l.m).sum();
                (10.0 * (1.0 - wrong / 0.05)).max(0.0) as f32
            },
            m: bits(model.table(|l| l.m)),
            u: bits(model.table(|l| l.u)),
            share: std::array::from_fn(|c| {
                let h = model.comparisons[c].household as f32;
                (h.max(1e-9).log2(), (1.0 - h).max(1e-9).log2())
            }),
            frequency,
        }
    }

    /// m, u and household bits of one comparison of a pair.
    pub(crate) fn bits(&self, a: u32, b: u32, comparison: usize, level: u8) -> Parts {
        let l = usize::from(level);
        let (m, mut u) = (self.m[comparison][l], self.u[comparison][l]);
        if level == 1 && m < 0.0 {
            let f =
                self.frequency[a as usize][comparison].max(self.frequency[b as usize][comparison]);
            if !f.is_nan() {
                u = f;
            }
        }
        let (share, rest) = self.share[comparison];
        Parts {
            person: m,
            household: (share + m).max(rest + u),
            unrelated: u,
        }
    }

    pub(crate) fn parts(&self, a: u32, b: u32, levels: &Levels) -> Parts {
        let mut total = self.prior;
        for (c, level) in levels.iter().enumerate() {
            if *level != 0 {
                total += self.bits(a, b, c, *level);
            }
        }
        total
    }

    pub(crate) fn levels(&self, a: u32, b: u32) -> Levels {
        compare::levels(
            self.features,
            &self.features.rows[a as usize],
            &self.features.rows[b as usize],
        )
    }

    pub(crate) fn edge(&self, a: u32, b: u32, rule: u8) -> Edge {
        let (left, right) = (a.min(b), a.max(b));
        let levels = self.levels(left, right);
        let weight = self.parts(left, right, &levels).weight();
        Edge {
            left,
            right,
            weight,
            probability: probability(weight),
            rule,
            levels,
        }
    }
}

/// Scores the pairs of one shard and keeps those from the policy's review probability. With `changed`,
/// only pairs with a changed record. Shards do not overlap; together they hold every pair that any rule makes, once.
///
/// # Errors
/// When the shard does not exist.
pub fn match_shard(
    features: &Features,
    model: &Model,
    policy: &Policy,
    shard: u32,
    shards: u32,
    changed: Option<&RecordSet>,
) -> Result<Edges, IdentityError> {
    if shard >= shards {
        return Err(IdentityError::Shard { shard, shards });
    }
    let hubs = model.hubs();
    let features = &*model.lexicon.resolve(features);
    let blocking = Blocking::new(features, &hubs);
    let scorer = Scorer::new(features, model);
    let touched: Option<Vec<bool>> =
        changed.map(|set| features.ids.iter().map(|id| set.0.contains(id)).collect());
    let changed_records: Option<Vec<u32>> = touched
        .as_ref()
        .map(|t| (0..).zip(t).filter(|(_, t)| **t).map(|(i, _)| i).collect());
    let is_touched = |i: u32| touched.as_ref().is_none_or(|t| t[i as usize]);
    let keep = policy.review_probability as f32;
    let mut out = Edges::default();
    for rule in (0..RULES.len()).filter(|r| !hubs.idle[*r]) {
        let wanted = changed_records
            .as_ref()
            .map(|records| blocking.keys_of(rule, records));
        let blocks = blocking.blocks(rule, |key| {
            shard_of(key, shards) == shard && wanted.as_ref().is_none_or(|w| w.contains(&key))
        });
        for block in &blocks {
            out.largest_block = out.largest_block.max(block.members.len() as u64);
            out.oversized += u64::from(
                block.members.len() > policy.max_block_size as usize
                    && !hubs.keys.contains(&(block.rule, block.key)),
            );
        }
        let parts: Vec<(Vec<Edge>, u64)> = blocks
            .par_iter()
            .filter(|b| b.members.iter().any(|i| is_touched(*i)))
            .map(|block| {
                let (mut edges, mut pairs) = (Vec::new(), 0);
                blocking.pairs(block, |a, b| {
                    if (is_touched(a) || is_touched(b)) && blocking.owns(block, a, b) {
                        pairs += 1;
                        let edge = scorer.edge(a, b, block.rule);
                        if edge.probability >= keep {
                            edges.push(edge);
                        }
                    }
                });
                (edges, pairs)
            })
            .collect();
        for (edges, pairs) in parts {
            out.edges.extend(edges);
            out.pairs += pairs;
        }
    }
    out.edges.par_sort_unstable_by_key(|e| (e.left, e.right));
    Ok(out)
}
