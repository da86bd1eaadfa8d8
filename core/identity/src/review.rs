//! What a person should decide: pairs near the threshold, those first where a wrong decision costs most.
//!
//! The cost that is expected of a pair is the probability that the score decides it wrongly times what would then
//! stand with the wrong customer: the records, and the worth, of the smaller of the two sides.

use std::collections::BTreeMap;

use hashbrown::{HashMap, HashSet};
use serde::Serialize;

use crate::compare::COMPARISON;
use crate::edge::{Edge, rule_name};
use crate::identifiers::{self, Holders};
use crate::ids::CustomerId;
use crate::link::Pins;
use crate::policy::Policy;
use crate::registry::Registry;
use crate::repair::Forest;
use crate::score::Matcher;

/// From this probability on a link that stands is no question.
const SURE: f32 = 0.99;

/// A pair to be decided.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Question {
    /// Record id.
    pub left: String,
    /// Record id.
    pub right: String,
    /// Customer of the left record.
    pub left_customer: String,
    /// Customer of the right one.
    pub right_customer: String,
    /// Whether they are one customer now, and two without this link.
    pub joined: bool,
    /// What made the pair.
    pub rule: &'static str,
    /// Match weight in bits.
    pub weight: f32,
    /// Match probability.
    pub probability: f32,
    /// Level of each comparison that both have values for.
    pub levels: BTreeMap<&'static str, &'static str>,
    /// Pairs between the same two sides; this is the strongest.
    pub pairs: u64,
    /// Records of the smaller side.
    pub records: u64,
    /// What the smaller side is worth, where that is known.
    pub worth: Option<f64>,
    /// The expected cost of a wrong decision: in the unit of worth where any is known, else in records.
    pub expected: f64,
}

/// A side of a pair.
#[derive(Clone, Copy, Debug, Default)]
struct Side {
    records: u64,
    worth: Option<f64>,
}

/// The pairs that a person should decide, the costliest first. `worth` tells what a customer is worth, such as the
/// value of its orders. Pairs that are decided already are left out.
#[must_use]
pub fn review(
    matcher: &Matcher,
    registry: &Registry,
    edges: &[Edge],
    policy: &Policy,
    worth: &BTreeMap<CustomerId, f64>,
) -> Vec<Question> {
    let customer_of = Customers::of(matcher, registry);
    let pins = Pins::new(&matcher.features, policy);
    let always: HashSet<(u32, u32)> = pins.always.iter().copied().collect();
    let decided = |e: &&Edge| {
        let pair = (e.left, e.right);
        !pins.never.contains(&pair) && !always.contains(&pair)
    };
    let mut apart: HashMap<(u32, u32), (Edge, u64)> = HashMap::new();
    let mut weak = Vec::new();
    for edge in edges.iter().filter(decided) {
        let ends = (
            customer_of.number(edge.left),
            customer_of.number(edge.right),
        );
        let (Some(a), Some(b)) = ends else { continue };
        if a == b {
            if edge.probability < SURE {
                weak.push((a, *edge));
            }
            continue;
        }
        let (strongest, pairs) = apart.entry((a.min(b), a.max(b))).or_insert((*edge, 0));
        *pairs += 1;
        if strongest.weight < edge.weight {
            *strongest = *edge;
        }
    }
    let known: f64 = worth.values().sum();
    // What a record is worth on the average: so records count beside orders, and alone where no worth is known.
    let of_record = match (known > 0.0, registry.records.len()) {
        (true, n) if n > 0 => known / n as f64,
        _ => 1.0,
    };
    let cost = |edge: &Edge, a: Side, b: Side| {
        let stake = |s: Side| s.worth.unwrap_or(0.0).max(0.0) + s.records as f64 * of_record;
        let smaller = if stake(a) <= stake(b) { a } else { b };
        let wrong = f64::from(edge.probability.min(1.0 - edge.probability));
        (smaller, wrong * stake(smaller))
    };
    let side = |c: u32| Side {
        records: customer_of.members(c).len() as u64,
        worth: (known > 0.0).then(|| {
            let id = registry.customers[c as usize].id;
            worth.get(&id).copied().unwrap_or(0.0)
        }),
    };
    let mut out: Vec<Question> = apart
        .into_iter()
        .map(|((a, b), (edge, pairs))| {
            let (smaller, expected) = cost(&edge, side(a), side(b));
            question(
                matcher,
                registry,
                &customer_of,
                &edge,
                false,
                (pairs, smaller, expected),
            )
        })
        .collect();
    let holders = Holders::all(&matcher.features, policy);
    weak.sort_unstable_by_key(|(c, e)| (*c, e.left, e.right));
    for of_customer in weak.chunk_by(|a, b| a.0 == b.0) {
        let whole = of_customer[0].0;
        let members = customer_of.members(whole);
        let all = links_within(matcher, &holders, policy, edges, members, &pins);
        for (_, edge) in of_customer {
            let Some((left, right)) = sides(members, &all, edge) else {
                continue;
            };
            // What a part of a customer is worth nobody knows: its share of the records.
            let part = |records: usize| Side {
                records: records as u64,
                worth: side(whole)
                    .worth
                    .map(|w| w * records as f64 / members.len() as f64),
            };
            let (smaller, expected) = cost(edge, part(left), part(right));
            out.push(question(
                matcher,
                registry,
                &customer_of,
                edge,
                true,
                (1, smaller, expected),
            ));
        }
    }
    out.sort_by(|x, y| {
        let pair = |q: &Question| (q.left.clone(), q.right.clone());
        y.expected
            .total_cmp(&x.expected)
            .then_with(|| pair(x).cmp(&pair(y)))
    });
    out
}

fn question(
    matcher: &Matcher,
    registry: &Registry,
    customer_of: &Customers,
    edge: &Edge,
    joined: bool,
    (pairs, smaller, expected): (u64, Side, f64),
) -> Question {
    let features = &matcher.features;
    let customer = |record| {
        let number = customer_of.number(record);
        number.map_or_else(String::new, |n| {
            registry.customers[n as usize].id.to_string()
        })
    };
    let levels = COMPARISON.iter().zip(edge.levels);
    let levels = levels.filter(|(_, level)| *level != 0);
    Question {
        left: features.record_id(edge.left),
        right: features.record_id(edge.right),
        left_customer: customer(edge.left),
        right_customer: customer(edge.right),
        joined,
        rule: rule_name(edge.rule),
        weight: edge.weight,
        probability: edge.probability,
        levels: levels.map(|(c, level)| (c.name, c.level(level))).collect(),
        pairs,
        records: smaller.records,
        worth: smaller.worth,
        expected,
    }
}

/// Customer of each record, and records of each customer.
struct Customers {
    number: Vec<u32>,
    members: Vec<u32>,
    begins: Vec<u32>,
}

impl Customers {
    fn of(matcher: &Matcher, registry: &Registry) -> Self {
        let mut walk = registry.walk();
        let ids = matcher.features.ids.iter();
        let number: Vec<u32> = ids
            .map(|id| walk.customer_of(*id).unwrap_or(u32::MAX))
            .collect();
        let mut members: Vec<u32> = (0..number.len() as u32)
            .filter(|r| number[*r as usize] != u32::MAX)
            .collect();
        members.sort_by_key(|r| number[*r as usize]);
        let begin = |c: u32| members.partition_point(|r| number[*r as usize] < c) as u32;
        let begins = (0..=registry.customers.len() as u32).map(begin).collect();
        Self {
            number,
            members,
            begins,
        }
    }

    fn number(&self, record: u32) -> Option<u32> {
        Some(self.number[record as usize]).filter(|n| *n != u32::MAX)
    }

    fn members(&self, customer: u32) -> &[u32] {
        let at = customer as usize;
        &self.members[self.begins[at] as usize..self.begins[at + 1] as usize]
    }
}

/// What holds a customer together: scored pairs, identifiers, decisions.
fn links_within(
    matcher: &Matcher,
    holders: &[Holders],
    policy: &Policy,
    edges: &[Edge],
    members: &[u32],
    pins: &Pins,
) -> Vec<(u32, u32)> {
    let is_member = |r: u32| members.binary_search(&r).is_ok();
    let mut all = Vec::new();
    for member in members {
        let begin = edges.partition_point(|e| e.left < *member);
        let own = edges[begin..].iter().take_while(|e| e.left == *member);
        let own = own
            .filter(|e| is_member(e.right) && f64::from(e.probability) >= policy.match_probability);
        all.extend(own.map(|e| (e.left, e.right)));
    }
    let proven = identifiers::links(matcher, holders, members, policy, &mut BTreeMap::new());
    all.extend(proven.iter().map(|e| (e.left, e.right)));
    let always = pins.always.iter().copied();
    all.extend(always.filter(|(a, b)| is_member(*a) && is_member(*b)));
    all
}

/// The sizes of the two sides of a link without which a customer falls apart.
fn sides(members: &[u32], all: &[(u32, u32)], edge: &Edge) -> Option<(usize, usize)> {
    let place = |record: u32| members.binary_search(&record).unwrap_or(0) as u32;
    let mut parts = Forest::new(members.len());
    for (a, b) in all.iter().filter(|pair| **pair != (edge.left, edge.right)) {
        parts.union(place(*a), place(*b));
    }
    let (left, right) = (parts.find(place(edge.left)), parts.find(place(edge.right)));
    let roots = parts.roots();
    let size = |root: u32| roots.iter().filter(|r| **r == root).count();
    (left != right).then(|| (size(left), size(right)))
}
