//! Copies: records that say the same on everything that is compared. A shop's test record or a list that was
//! imported many times gives thousands of them; what holds for one holds for all, so one stands for them.

use hashbrown::{HashMap, HashSet};

use crate::blocking::Blocking;
use crate::edge::Edge;
use crate::features::Row;
use crate::link::Pins;
use crate::policy::Policy;
use crate::repair::Forest;
use crate::score::Matcher;

/// Records with the smallest record that says the same.
pub(crate) struct Copies {
    /// By record.
    first: Vec<u32>,
    /// Edges from the first record to its copies, ordered; none where they score below the review probability.
    edges: Vec<Edge>,
    /// Copies whose place in blocks their first record takes.
    stand_back: Vec<bool>,
}

impl Copies {
    /// Finds all copies and scores one pair of each kind. A copy stands back where its edge is a link by itself:
    /// then it is with its first record whatever others say. Where copies are too vague for that, each is
    /// compared with others on its own, as a value that is vague for one may decide for a cluster.
    ///
    /// Where only pairs across sources count, and among records with pins, nothing is a copy.
    pub(crate) fn of(matcher: &Matcher, blocking: &Blocking<'_>, policy: &Policy) -> Self {
        let features = &matcher.features;
        let records = 0..features.len() as u32;
        let mut copies = Self {
            first: records.clone().collect(),
            edges: Vec::new(),
            stand_back: vec![false; features.len()],
        };
        if policy.across_sources {
            return copies;
        }
        let pinned = Pins::new(features, policy).records();
        let mut firsts: HashMap<&Row, u32> = HashMap::with_capacity(features.len());
        let mut scored: HashMap<u32, Option<Edge>> = HashMap::new();
        for record in records.filter(|r| !pinned.contains(r)) {
            let first = *firsts.entry(matcher.row(record)).or_insert(record);
            if first == record {
                continue;
            }
            copies.first[record as usize] = first;
            let edge = scored.entry(first).or_insert_with(|| {
                let rule = blocking.first_rule(first, record)?;
                let edge = matcher.edge(first, record, rule as u8);
                (edge.probability >= policy.review_probability as f32).then_some(edge)
            });
            if let Some(edge) = edge {
                copies.stand_back[record as usize] =
                    f64::from(edge.probability) >= policy.match_probability;
                copies.edges.push(Edge {
                    right: record,
                    ..*edge
                });
            }
        }
        copies
    }

    /// Whether two records are copies of each other.
    pub(crate) fn same(&self, a: u32, b: u32) -> bool {
        self.first[a as usize] == self.first[b as usize]
    }

    /// Whether a record is in blocks.
    pub(crate) fn in_blocks(&self, record: u32) -> bool {
        !self.stand_back[record as usize]
    }

    /// The edges of copies whose first record is taken.
    pub(crate) fn edges(&self, take: impl Fn(u32) -> bool) -> impl Iterator<Item = Edge> {
        let edges = self.edges.iter().copied();
        edges.filter(move |e| take(e.left))
    }
}

/// The record that stands for each record in a partition: the smallest one among those that say the same and that
/// accepted links connect. It is the same whether all pairs of copies have links or each has one to the first.
pub(crate) fn standing_for(matcher: &Matcher, accepted: &[Edge], pins: &Pins) -> Vec<u32> {
    let pinned: HashSet<u32> = pins.records();
    let mut whole = Forest::new(matcher.features.len());
    for e in accepted {
        let same = matcher.row(e.left) == matcher.row(e.right);
        if same && !pinned.contains(&e.left) && !pinned.contains(&e.right) {
            whole.union(e.left, e.right);
        }
    }
    whole.roots()
}
