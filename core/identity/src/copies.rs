//! Copies: records that say the same on everything that is compared. A shop's test record or a list that was
//! imported many times gives thousands of them; what holds for one holds for all, so one stands for them.
//!
//! Where only pairs across files count, copies are those within a file: they are with the record that stands for them
//! when it is with somebody of another file, and apart when it is not.

use std::hash::BuildHasher as _;

use hashbrown::{DefaultHashBuilder, HashMap, HashSet, HashTable};

use crate::blocking::Blocking;
use crate::edge::Edge;
use crate::link::Pins;
use crate::policy::Policy;
use crate::repair::{Forest, strongest_first};
use crate::score::Matcher;

/// Match weight above which records are one person however many they are: what repair asks of clusters past their
/// bound, and what copies need to be taken for one. Thousands of records with one common name do not have it.
pub(crate) const SURE: f32 = 6.0;

/// Copies too vague for a link that are looked at: past so many that say the same, one more says nothing that decides
/// on anybody.
const VOICES: u32 = 100;

/// Records with the smallest record that says the same.
pub(crate) struct Copies {
    /// By record.
    first: Vec<u32>,
    /// Edges from the first record to its copies, ordered; none where they score below the review probability.
    edges: Vec<Edge>,
    /// Copies that are in no block: their first record takes their place, or nobody.
    stand_back: Vec<bool>,
    /// Whether only pairs across files count.
    across: bool,
}

impl Copies {
    /// Finds all copies and scores one pair of each kind. A copy stands back where it is surely the person of its
    /// first record: then it is with it whatever others say. Where copies are too vague for a link, each is compared
    /// with others on its own, as what is vague for one may decide for a cluster; but not thousands of them.
    ///
    /// Nothing is a copy among records with pins, and where links of copies stand only as long as they are few.
    pub(crate) fn of(matcher: &Matcher, blocking: &Blocking<'_>, policy: &Policy) -> Self {
        let features = &matcher.features;
        let across = policy.across_sources;
        let mut copies = Self {
            first: (0..features.len() as u32).collect(),
            edges: Vec::new(),
            stand_back: vec![false; features.len()],
            across,
        };
        let pinned = Pins::new(features, policy).records();
        let mut scored: HashMap<u32, Option<Edge>> = HashMap::new();
        let mut vague: HashMap<u32, u32> = HashMap::new();
        for (record, first) in (0..).zip(firsts(matcher, policy, &pinned)) {
            if first == record {
                continue;
            }
            let edge = scored.entry(first).or_insert_with(|| {
                let rule = blocking.first_rule(first, record)?;
                Some(matcher.edge(first, record, rule as u8))
            });
            let at = record as usize;
            let Some(edge) = edge else {
                copies.first[at] = first;
                continue;
            };
            if links(edge, policy) && edge.weight <= SURE {
                continue;
            }
            copies.first[at] = first;
            let is_sure = is_sure(edge, policy);
            let voices = vague.entry(first).or_insert(1);
            *voices += u32::from(!is_sure);
            copies.stand_back[at] = is_sure || *voices > VOICES;
            let counts = !across && (is_sure || *voices <= VOICES);
            if counts && edge.probability >= policy.review_probability as f32 {
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

    /// The edges of copies, one each: that with their first record, or where only pairs across files count, the best that
    /// their first record has among those that were found.
    pub(crate) fn into_edges(self, found: &[Edge]) -> Vec<Edge> {
        if !self.across {
            return self.edges;
        }
        let stand_back = (0..).zip(&self.stand_back).filter(|(_, back)| **back);
        let copies: Vec<(u32, u32)> = stand_back
            .map(|(record, _)| (record, self.first[record as usize]))
            .collect();
        let firsts: HashSet<u32> = copies.iter().map(|(_, first)| *first).collect();
        let mut best: HashMap<u32, (&Edge, u32)> = HashMap::new();
        for edge in found {
            for (end, other) in [(edge.left, edge.right), (edge.right, edge.left)] {
                if firsts.contains(&end) {
                    let best = best.entry(end).or_insert((edge, other));
                    if strongest_first(edge, best.0).is_lt() {
                        *best = (edge, other);
                    }
                }
            }
        }
        let edges = copies.iter().filter_map(|(record, first)| {
            let (edge, other) = best.get(first)?;
            Some(Edge {
                left: *record.min(other),
                right: *record.max(other),
                ..**edge
            })
        });
        edges.collect()
    }
}

fn links(edge: &Edge, policy: &Policy) -> bool {
    f64::from(edge.probability) >= policy.match_probability
}

/// Whether copies of this score are one person however many they are.
fn is_sure(edge: &Edge, policy: &Policy) -> bool {
    links(edge, policy) && edge.weight > SURE
}

/// For each record the smallest that says the same, in its file where files are linked; the record itself where a pin is
/// about it.
fn firsts(matcher: &Matcher, policy: &Policy, pinned: &HashSet<u32>) -> Vec<u32> {
    let (features, dice) = (&matcher.features, DefaultHashBuilder::default());
    let file = |r: u32| match policy.across_sources {
        true => features.source[r as usize],
        false => 0,
    };
    let hash = |r: u32| dice.hash_one((matcher.row(r), file(r)));
    let mut known: HashTable<u32> = HashTable::with_capacity(features.len());
    let first = |record: u32| {
        if pinned.contains(&record) {
            return record;
        }
        let same = |r: &u32| matcher.row(*r) == matcher.row(record) && file(*r) == file(record);
        let entry = known.entry(hash(record), same, |r| hash(*r));
        *entry.or_insert(record).get()
    };
    (0..features.len() as u32).map(first).collect()
}

/// The record that stands for each record in a partition: the smallest one among those that say the same and that
/// sure links connect, or that are in one file where files are linked. It is the same whether all pairs of copies have
/// links or each has one to the first.
pub(crate) fn standing_for<'a>(
    matcher: &Matcher,
    accepted: impl Iterator<Item = &'a Edge>,
    pins: &Pins,
    policy: &Policy,
) -> Vec<u32> {
    let pinned: HashSet<u32> = pins.records();
    let mut whole = Forest::new(matcher.features.len());
    for e in accepted {
        let same = e.weight > SURE && matcher.row(e.left) == matcher.row(e.right);
        if same && !pinned.contains(&e.left) && !pinned.contains(&e.right) {
            whole.union(e.left, e.right);
        }
    }
    if policy.across_sources {
        let mut sure: HashMap<u32, bool> = HashMap::new();
        for (record, first) in (0..).zip(firsts(matcher, policy, &pinned)) {
            let is_sure = || is_sure(&matcher.edge(first, record, 0), policy);
            if first != record && *sure.entry(first).or_insert_with(is_sure) {
                whole.union(record, first);
            }
        }
    }
    whole.roots()
}
