//! Matching: the candidate pairs of a shard, scored, and those kept that are worth a look.

use std::sync::{Arc, PoisonError};

use hashbrown::HashSet;
use rayon::prelude::*;

use crate::blocking::{Block, Blocking, RULES, Sketches, pass_of, shard_of};
use crate::copies::Copies;
use crate::edge::{Edge, Edges};
use crate::error::IdentityError;
use crate::features::RecordSet;
use crate::policy::Policy;
use crate::score::{Matcher, probability};

/// Which records are new or other than before, and the keys that they have.
struct Touched {
    is: Vec<bool>,
    keys: Vec<HashSet<u32>>,
}

impl Matcher {
    /// Scores the pairs of one shard and keeps those from the policy's review probability. With `changed`,
    /// only pairs with a changed record. Shards do not overlap; together they hold every pair that any rule makes, once.
    ///
    /// # Errors
    /// When the shard does not exist.
    pub fn shard(
        &self,
        policy: &Policy,
        shard: u32,
        shards: u32,
        changed: Option<&RecordSet>,
    ) -> Result<Edges, IdentityError> {
        if shard >= shards {
            return Err(IdentityError::Shard { shard, shards });
        }
        let sketches = self.sketches();
        let blocking = Blocking::over(&self.features, &sketches, &self.hubs);
        Ok(self.pairs_of_shard(&blocking, policy, (shard, shards), changed, None))
    }

    /// The pairs of all shards, one shard after another, where copies, which say the same on everything that is
    /// compared, have an edge to the first of them in place of one with each other and with everybody else: the work
    /// grows with the records that differ. [`crate::link`] finds the same customers.
    ///
    /// These edges cannot be kept for a later run that looks at changes only: when the first of some copies
    /// leaves or reads otherwise, the edges of the others go with it.
    #[must_use]
    pub fn shards_without_copies(&self, policy: &Policy, shards: u32) -> Edges {
        let sketches = self.sketches();
        let blocking = Blocking::over(&self.features, &sketches, &self.hubs);
        let copies = Copies::of(self, &blocking, policy);
        let mut out = Edges::default();
        for shard in 0..shards {
            let at = (shard, shards);
            let found = self.pairs_of_shard(&blocking, policy, at, None, Some(&copies));
            out.edges.extend(found.edges);
            out.pairs += found.pairs;
            out.oversized += found.oversized;
            out.largest_block = out.largest_block.max(found.largest_block);
        }
        let copies = copies.into_edges();
        out.pairs += copies.len() as u64;
        out.edges.extend(copies);
        out.edges.par_sort_unstable_by_key(|e| (e.left, e.right));
        out
    }

    /// The pairs of a shard, the first number, of so many, the second one; without those among copies, if given.
    fn pairs_of_shard(
        &self,
        blocking: &Blocking<'_>,
        policy: &Policy,
        (shard, shards): (u32, u32),
        changed: Option<&RecordSet>,
        copies: Option<&Copies>,
    ) -> Edges {
        let touched = changed.map(|set| {
            let is: Vec<bool> = self
                .features
                .ids
                .iter()
                .map(|id| set.contains(*id))
                .collect();
            let records: Vec<u32> = (0..)
                .zip(&is)
                .filter(|(_, t)| **t)
                .map(|(i, _)| i)
                .collect();
            let keys = blocking.keys_of(&records);
            Touched { is, keys }
        });
        let mut out = Edges::default();
        let passes = blocking.passes(shards);
        for pass in 0..passes {
            let member = |record| copies.is_none_or(|c| c.in_blocks(record));
            let blocks = blocking.blocks_of(member, |rule, key| {
                !self.hubs.idle[rule]
                    && shard_of(key, shards) == shard
                    && pass_of(key, passes) == pass
                    && touched.as_ref().is_none_or(|t| t.keys[rule].contains(&key))
            });
            for rule in 0..RULES.len() {
                let blocks = blocks.of(rule);
                for block in &blocks {
                    out.largest_block = out.largest_block.max(block.len() as u64);
                    out.oversized += u64::from(
                        block.len() > policy.max_block_size as usize
                            && !self.hubs.keys.contains(&(rule as u8, block.key)),
                    );
                }
                let parts: Vec<(Vec<Edge>, u64)> = blocks
                    .par_iter()
                    .map(|block| self.block(blocking, block, touched.as_ref(), copies, policy))
                    .collect();
                for (edges, pairs) in parts {
                    out.edges.extend(edges);
                    out.pairs += pairs;
                }
            }
        }
        out.edges.par_sort_unstable_by_key(|e| (e.left, e.right));
        out
    }

    /// What blocking looks at, made once for the shards that are at work.
    fn sketches(&self) -> Arc<Sketches> {
        let mut held = self.sketches.lock().unwrap_or_else(PoisonError::into_inner);
        let sketches = held.get_or_insert_with(|| Arc::new(Sketches::of(&self.features)));
        sketches.clone()
    }

    /// No shard is to come: what they shared is free again.
    pub(crate) fn shards_are_done(&self) {
        let mut held = self.sketches.lock().unwrap_or_else(PoisonError::into_inner);
        *held = None;
    }

    /// The pairs of a block that are scored here and nowhere else.
    fn block(
        &self,
        blocking: &Blocking<'_>,
        block: &Block<'_>,
        touched: Option<&Touched>,
        copies: Option<&Copies>,
        policy: &Policy,
    ) -> (Vec<Edge>, u64) {
        let is_touched = |record: u32| touched.is_none_or(|t| t.is[record as usize]);
        let source = |record: u32| self.features.source[record as usize];
        let (mut edges, mut pairs) = (Vec::new(), 0);
        if !block.records().any(is_touched) {
            return (edges, pairs);
        }
        let keep = policy.review_probability as f32;
        let members = blocking.members(block);
        blocking.pairs(block, &members, |a, b| {
            if policy.across_sources && source(a.record) == source(b.record)
                || copies.is_some_and(|c| c.same(a.record, b.record))
            {
                return;
            }
            if (is_touched(a.record) || is_touched(b.record)) && blocking.owns(block, a, b) {
                pairs += 1;
                let Some(levels) = self.levels_reaching(&a.row, &b.row, keep) else {
                    return;
                };
                let weight = self.parts(&a.row, &b.row, &levels).weight();
                let edge = Edge {
                    left: a.record,
                    right: b.record,
                    weight,
                    probability: probability(weight),
                    rule: block.rule as u8,
                    levels,
                };
                if edge.probability >= keep {
                    edges.push(edge);
                }
            }
        });
        (edges, pairs)
    }
}
