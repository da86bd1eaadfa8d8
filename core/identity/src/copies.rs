//! Copies: records that say the same on everything that is compared. A shop's test record or a list that was
//! imported many times gives thousands of them; what holds for one holds for all, so one stands for them.

use std::hash::BuildHasher as _;

use hashbrown::{DefaultHashBuilder, HashMap, HashSet, HashTable};

use crate::blocking::Blocking;
use crate::edge::Edge;
use crate::features::Row;
use crate::link::Pins;
use crate::policy::Policy;
use crate::repair::Forest;
use crate::score::Matcher;

/// Match weight above which records are one person however many they are: what repair asks of clusters past their
/// bound, and what copies need to be taken for one. Thousands of records with one common name do not have it.
pub(crate) const SURE: f32 = 6.0;

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
    /// Finds all copies and scores one pair of each kind. A copy stands back where it is surely the person of its
    /// first record: then it is with it whatever others say. Where copies are too vague for a link, each is compared
    /// with others on its own, as what is vague for one may decide for a cluster.
    ///
    /// Nothing is a copy where only pairs across sources count, among records with pins, and where links of
    /// copies stand only as long as they are few.
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
        let dice = DefaultHashBuilder::default();
        let hash = |row: &Row| dice.hash_one(row);
        let mut firsts: HashTable<u32> = HashTable::with_capacity(features.len());
        let mut scored: HashMap<u32, Option<Edge>> = HashMap::new();
        for record in records.filter(|r| !pinned.contains(r)) {
            let row = matcher.row(record);
            let known = |first: &u32| matcher.row(*first) == row;
            let entry = firsts.entry(hash(row), known, |first| hash(matcher.row(*first)));
            let first = *entry.or_insert(record).get();
            if first == record {
                continue;
            }
            let edge = scored.entry(first).or_insert_with(|| {
                let rule = blocking.first_rule(first, record)?;
                Some(matcher.edge(first, record, rule as u8))
            });
            let Some(edge) = edge else {
                copies.first[record as usize] = first;
                continue;
            };
            let links = f64::from(edge.probability) >= policy.match_probability;
            let sure = links && edge.weight > SURE;
            if links && !sure {
                continue;
            }
            copies.first[record as usize] = first;
            copies.stand_back[record as usize] = sure;
            if edge.probability >= policy.review_probability as f32 {
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

    /// The edges from first records to their copies.
    pub(crate) fn into_edges(self) -> Vec<Edge> {
        self.edges
    }
}

/// The record that stands for each record in a partition: the smallest one among those that say the same and that
/// sure links connect. It is the same whether all pairs of copies have links or each has one to the first.
pub(crate) fn standing_for(matcher: &Matcher, accepted: &[Edge], pins: &Pins) -> Vec<u32> {
    let pinned: HashSet<u32> = pins.records();
    let mut whole = Forest::new(matcher.features.len());
    for e in accepted {
        let same = e.weight > SURE && matcher.row(e.left) == matcher.row(e.right);
        if same && !pinned.contains(&e.left) && !pinned.contains(&e.right) {
            whole.union(e.left, e.right);
        }
    }
    whole.roots()
}
