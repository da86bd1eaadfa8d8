//! Edges: pairs of records that may be one person, with their scores.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Float32Array, RecordBatch, UInt8Array};
use hashbrown::HashSet;
use rayon::prelude::*;

use crate::blocking::RULES;
use crate::compare::{COMPARISON, COMPARISONS, Levels};
use crate::error::IdentityError;
use crate::features::{Features, RecordSet};
use crate::registry::{id_column, ids_of};

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
    /// Records of the largest block.
    pub largest_block: u64,
}

impl Edges {
    /// Takes up others.
    pub(crate) fn absorb(&mut self, mut others: Self) {
        if self.edges.is_empty() {
            std::mem::swap(&mut self.edges, &mut others.edges);
        }
        self.edges.append(&mut others.edges);
        self.pairs += others.pairs;
        self.largest_block = self.largest_block.max(others.largest_block);
    }

    /// Both.
    pub(crate) fn and(mut self, others: Self) -> Self {
        self.absorb(others);
        self
    }

    /// Brings them into order.
    pub(crate) fn sort(&mut self) {
        self.edges.par_sort_unstable_by_key(|e| (e.left, e.right));
    }
}

/// Rows of one batch.
const BATCH: usize = 64 << 10;

/// Edges as batches: `left` and `right` (record ids of 16 bytes), `weight`, `probability`, `rule`, and one level column
/// per comparison.
pub fn edges_to_batches<'a>(
    edges: &'a [Edge],
    features: &'a Features,
) -> impl Iterator<Item = Result<RecordBatch, IdentityError>> + 'a {
    let pieces = edges.chunks(BATCH);
    let empty = edges.is_empty().then_some(&[][..]);
    pieces.chain(empty).map(|edges| {
        let id = |record: u32| Some(features.id(record));
        to_batch(
            edges,
            edges.iter().map(|e| id(e.left)),
            edges.iter().map(|e| id(e.right)),
        )
    })
}

/// Says of records that their edges in older parts hold no more, in rows without `right`.
///
/// # Errors
/// Only when Arrow refuses the batch.
pub fn voids_to_batch(records: &[u128]) -> Result<RecordBatch, IdentityError> {
    let nothing = Edge {
        left: 0,
        right: 0,
        weight: 0.0,
        probability: 0.0,
        rule: u8::MAX,
        levels: [0; COMPARISONS],
    };
    let edges = vec![nothing; records.len()];
    to_batch(
        &edges,
        records.iter().map(|r| Some(*r)),
        records.iter().map(|_| None),
    )
}

fn to_batch(
    edges: &[Edge],
    left: impl Iterator<Item = Option<u128>>,
    right: impl Iterator<Item = Option<u128>>,
) -> Result<RecordBatch, IdentityError> {
    let floats = |of: fn(&Edge) -> f32| -> ArrayRef {
        Arc::new(Float32Array::from_iter_values(edges.iter().map(of)))
    };
    let bytes = |of: &dyn Fn(&Edge) -> u8| -> ArrayRef {
        Arc::new(UInt8Array::from_iter_values(edges.iter().map(of)))
    };
    let mut columns = vec![
        ("left", id_column(left)?, true),
        ("right", id_column(right)?, true),
        ("weight", floats(|e| e.weight), true),
        ("probability", floats(|e| e.probability), true),
        ("rule", bytes(&|e| e.rule), true),
    ];
    for (c, comparison) in COMPARISON.iter().enumerate() {
        columns.push((comparison.name, bytes(&|e| e.levels[c]), true));
    }
    Ok(RecordBatch::try_from_iter_with_nullable(columns)?)
}

/// Reads the edges that stand for the records of a run, part by part, the newest first.
pub struct EdgesReader<'a> {
    features: &'a Features,
    edges: Vec<Edge>,
    /// Records whose edges in the parts to come hold no more.
    void: HashSet<u128>,
    /// Those that the part at hand tells of.
    told: Vec<u128>,
    /// Whether the run changed a record: from then on, its edges hold no more.
    changed: Vec<bool>,
    loose: Vec<u32>,
}

impl<'a> EdgesReader<'a> {
    /// Begins with the edges that a run found.
    #[must_use]
    pub fn new(features: &'a Features) -> Self {
        Self {
            features,
            edges: Vec::new(),
            void: HashSet::new(),
            told: Vec::new(),
            changed: Vec::new(),
            loose: Vec::new(),
        }
    }

    /// Goes on with the edges from before the run, which changed some records.
    pub fn before(&mut self, changed: &RecordSet) {
        let ids = self.features.ids.iter();
        self.changed = ids.map(|id| changed.contains(*id)).collect();
    }

    /// Goes on with an older part.
    pub fn older(&mut self) {
        self.void.extend(self.told.drain(..));
    }

    /// Adds a batch.
    ///
    /// # Errors
    /// When a column is absent or of another type.
    pub fn push(&mut self, batch: &RecordBatch) -> Result<(), IdentityError> {
        let floats = |name| -> Result<&Float32Array, IdentityError> {
            let column = batch
                .column_by_name(name)
                .and_then(|c| c.as_primitive_opt());
            column.ok_or(IdentityError::MissingColumn(name))
        };
        let bytes = |name| -> Result<&UInt8Array, IdentityError> {
            let column = batch
                .column_by_name(name)
                .and_then(|c| c.as_primitive_opt());
            column.ok_or(IdentityError::MissingColumn(name))
        };
        let (weight, probability) = (floats("weight")?, floats("probability")?);
        let rule = bytes("rule")?;
        let levels = COMPARISON.iter().map(|c| bytes(c.name));
        let levels = levels.collect::<Result<Vec<_>, _>>()?;
        let ends = ids_of(batch, "left")?.zip(ids_of(batch, "right")?);
        for (row, (left, right)) in ends.enumerate() {
            let left = left.ok_or(IdentityError::RecordId { row })?;
            let Some(right) = right else {
                self.told.push(left);
                continue;
            };
            if !self.void.is_empty() && (self.void.contains(&left) || self.void.contains(&right)) {
                continue;
            }
            let stands = |id| {
                let record = self.features.position(id)?;
                let changed = self.changed.get(record as usize);
                changed.is_none_or(|c| !c).then_some(record)
            };
            match (stands(left), stands(right)) {
                (Some(left), Some(right)) => self.edges.push(Edge {
                    left,
                    right,
                    weight: weight.value(row),
                    probability: probability.value(row),
                    rule: rule.value(row),
                    levels: std::array::from_fn(|c| levels[c].value(row)),
                }),
                (one, other) => self.loose.extend(one.or(other)),
            }
        }
        Ok(())
    }

    /// The edges that stand, in order, and the records that have lost one because of the run.
    #[must_use]
    pub fn finish(mut self) -> (Vec<Edge>, Vec<u32>) {
        self.edges.par_sort_unstable_by_key(|e| (e.left, e.right));
        (self.edges, self.loose)
    }
}
