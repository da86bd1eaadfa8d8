//! Matching: the candidate pairs of a shard, scored, and those kept that are worth a look.

use std::ops::Range;
use std::sync::{Arc, PoisonError};

use hashbrown::HashSet;
use rayon::prelude::*;

use crate::blocking::{Blocking, Room, Sketches, Tile};
use crate::bound::Course;
use crate::compare::Glance;
use crate::copies::Copies;
use crate::edge::{Edge, Edges};
use crate::error::IdentityError;
use crate::features::{RecordSet, Row};
use crate::policy::Policy;
use crate::score::{Matcher, probability};

/// Which records are new or other than before, and the keys that they have.
struct Touched {
    is: Vec<bool>,
    keys: Vec<HashSet<u32>>,
}

/// What of a shard is looked at.
struct Looking<'a> {
    blocking: &'a Blocking<'a>,
    policy: &'a Policy,
    /// The shard, of so many.
    shard: (u32, u32),
    /// Only pairs with one of these.
    touched: Option<Touched>,
    /// But for pairs among copies.
    copies: Option<&'a Copies>,
    /// What the records can be told apart by.
    course: &'a Course,
}

impl Matcher {
    /// Within some memory; as much as is of use without.
    #[must_use]
    pub fn within(mut self, room: Room) -> Self {
        self.room = room;
        self
    }

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
        let blocking = Blocking::over(&self.features, sketches.as_deref(), &self.hubs);
        let touched = changed.map(|changed| self.touched(&blocking, changed));
        let mut found = self.pairs_of_shard(&Looking {
            blocking: &blocking,
            policy,
            shard: (shard, shards),
            touched,
            copies: None,
            course: &self.course_of(policy),
        });
        found.sort();
        Ok(found)
    }

    /// The pairs of all shards, one shard after another, where copies, which say the same on everything that is
    /// compared, have an edge to the first of them in place of one with each other and with everybody else: the work
    /// grows with the records that differ. [`crate::link`] finds the same customers.
    ///
    /// These edges cannot be kept for a later run that looks at changes only: when the first of some copies
    /// leaves or reads otherwise, the edges of the others go with it.
    #[must_use]
    pub fn shards_without_copies(&self, policy: &Policy, shards: u32) -> Edges {
        self.without_copies(policy, 0..shards, shards)
    }

    /// The first of so many shards in the same manner: a sample of the pairs.
    #[must_use]
    pub fn sample_without_copies(&self, policy: &Policy, shards: u32) -> Edges {
        self.without_copies(policy, 0..1, shards)
    }

    fn without_copies(&self, policy: &Policy, looked_at: Range<u32>, shards: u32) -> Edges {
        let sketches = self.sketches();
        let blocking = Blocking::over(&self.features, sketches.as_deref(), &self.hubs);
        let copies = Copies::of(self, &blocking, policy);
        let course = self.course_of(policy);
        let mut out = Edges::default();
        for shard in looked_at {
            out.absorb(self.pairs_of_shard(&Looking {
                blocking: &blocking,
                policy,
                shard: (shard, shards),
                touched: None,
                copies: Some(&copies),
                course: &course,
            }));
        }
        let copies = copies.into_edges(&out.edges);
        out.pairs += copies.len() as u64;
        out.edges.extend(copies);
        out.sort();
        out
    }

    /// By what the records can be told apart.
    fn course_of(&self, policy: &Policy) -> Course {
        let keep = policy.review_probability as f32;
        self.course(&self.features.columns_in_use(), keep)
    }

    fn touched(&self, blocking: &Blocking<'_>, changed: &RecordSet) -> Touched {
        let ids = self.features.ids.iter();
        let is: Vec<bool> = ids.map(|id| changed.contains(*id)).collect();
        let records = (0..).zip(&is).filter(|(_, t)| **t);
        let records: Vec<u32> = records.map(|(record, _)| record).collect();
        let keys = blocking.keys_of(&records);
        Touched { is, keys }
    }

    /// The pairs of a shard, in no order.
    fn pairs_of_shard(&self, looking: &Looking<'_>) -> Edges {
        let Looking {
            blocking,
            shard,
            touched,
            copies,
            ..
        } = looking;
        let mut out = Edges::default();
        for pass in blocking.passes(self.room, shard.1) {
            let member = |record| copies.is_none_or(|c| c.in_blocks(record));
            let blocks = blocking.blocks(&pass, member, |rule, _, key| {
                blocking.holds(rule, key, *shard)
                    && touched.as_ref().is_none_or(|t| t.keys[rule].contains(&key))
            });
            for rule in pass.rules {
                let found = blocks.of(rule).map(|block| {
                    let tiles = block.tiles(blocking, *shard);
                    let mut found = match block.is_large() {
                        false => {
                            let found = tiles.map(|tile| self.tile(looking, &tile));
                            found.fold(Edges::default(), Edges::and)
                        }
                        true => {
                            let tiles: Vec<Tile<'_>> = tiles.collect();
                            let found = tiles.par_iter().map(|tile| self.tile(looking, tile));
                            found.reduce(Edges::default, Edges::and)
                        }
                    };
                    found.largest_block = block.len() as u64;
                    found
                });
                out.absorb(found.reduce(Edges::default, Edges::and));
            }
        }
        out
    }

    /// What blocking looks at, made once for the shards that are at work, where there is room.
    fn sketches(&self) -> Option<Arc<Sketches>> {
        let mut held = self.sketches.lock().unwrap_or_else(PoisonError::into_inner);
        if held.is_none() {
            *held = Sketches::within(self.room, &self.features, &self.hubs).map(Arc::new);
        }
        held.clone()
    }

    /// No shard is to come: what they shared is free again.
    pub(crate) fn shards_are_done(&self) {
        let mut held = self.sketches.lock().unwrap_or_else(PoisonError::into_inner);
        *held = None;
    }

    /// The pairs of a tile that are scored here and nowhere else.
    fn tile(&self, looking: &Looking<'_>, tile: &Tile<'_>) -> Edges {
        let Looking {
            blocking,
            policy,
            touched,
            copies,
            course,
            ..
        } = looking;
        let is_touched = |record: u32| touched.as_ref().is_none_or(|t| t.is[record as usize]);
        let source = |record: u32| self.features.source[record as usize];
        let mut out = Edges::default();
        let [mut ones, mut others] = tile.records();
        if touched.is_some() && !ones.any(is_touched) && !others.any(is_touched) {
            return out;
        }
        let keep = policy.review_probability as f32;
        let counts = |a: u32, b: u32| {
            !(policy.across_sources && source(a) == source(b)
                || copies.is_some_and(|c| c.same(a, b)))
                && (is_touched(a) || is_touched(b))
        };
        let rule = tile.block.rule;
        let [ones, others] = tile.records().map(|records| blocking.side(rule, records));
        // Of most blocks, few pairs are made by no earlier rule: what is compared is looked up for those alone.
        let (mut pairs, mut seen) = (Vec::new(), Vec::new());
        let mut places = [&ones, &others].map(|side| vec![u32::MAX; side.records().len()]);
        let among = others.records().is_empty();
        for (n, a) in ones.records().iter().enumerate() {
            let (side, from) = if among { (&ones, n + 1) } else { (&others, 0) };
            blocking.owned(&tile.block, (&ones, n), (side, from), |at| {
                if counts(*a, side.records()[at]) {
                    let mut see = |of: usize, at: usize, record: u32| {
                        let place = &mut places[of][at];
                        if *place == u32::MAX {
                            *place = seen.len() as u32;
                            seen.push(record);
                        }
                        *place
                    };
                    let b = see(usize::from(!among), at, side.records()[at]);
                    pairs.push((see(0, n, *a), b));
                }
            });
        }
        let rows = seen.iter().map(|r| &self.features.rows[*r as usize]);
        let rows: Vec<&Row> = rows.collect();
        let glances = Glance::of_all(&self.features, &rows, &course.in_use);
        out.pairs = pairs.len() as u64;
        for (left, right) in pairs {
            let [left, right] = [left, right].map(|place| place as usize);
            let (rows, glances) = ([rows[left], rows[right]], [&glances[left], &glances[right]]);
            let Some(levels) = self.levels_reaching(course, rows, Some(glances)) else {
                continue;
            };
            let weight = self.parts(rows[0], rows[1], &levels).weight();
            let edge = Edge {
                left: seen[left],
                right: seen[right],
                weight,
                probability: probability(weight),
                rule: rule as u8,
                levels,
            };
            if edge.probability >= keep {
                out.edges.push(edge);
            }
        }
        out
    }
}
