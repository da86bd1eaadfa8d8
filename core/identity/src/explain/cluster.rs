//! Why some records are one customer: the graph of the links between them, the weakest of those that hold the customer
//! together, and what would split it.

use std::collections::BTreeMap;

use hashbrown::HashSet;
use serde::Serialize;

use super::graph;
use crate::edge::{Edge, PIN_RULE, rule_name};
use crate::error::IdentityError;
use crate::identifiers::{self, Holders};
use crate::ids::CustomerId;
use crate::policy::{Decision, Policy};
use crate::registry::Registry;
use crate::repair::Forest;
use crate::score::Matcher;

/// Why some records are one customer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClusterExplanation {
    /// Id of the customer.
    pub customer: String,
    /// Its records.
    pub records: Vec<Member>,
    /// The links between them, strongest first.
    pub links: Vec<Link>,
    /// Where it is held together least; none for a single record, or where links alone do not hold it together.
    pub weakest: Option<Split>,
}

/// A record of a customer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Member {
    /// Record id.
    pub record: String,
    /// Source.
    pub source: String,
    /// Links to other records of the customer.
    pub links: usize,
}

/// A link between two records of a customer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Link {
    /// Record id.
    pub left: String,
    /// Record id.
    pub right: String,
    /// What made the pair: a blocking rule, `identifier` or `pin`.
    pub rule: &'static str,
    /// Match weight in bits.
    pub weight: f32,
    /// Match probability.
    pub probability: f32,
    /// Whether it is one of the maximum spanning tree: the strongest links that hold the records together.
    pub tree: bool,
    /// Whether no other links go around it: without it, its two sides have nothing to do with each other.
    pub bridge: bool,
}

/// How a customer would fall apart.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Split {
    /// The strongest link between the two sides. Were the links up to its weight not there, these would be two customers.
    pub link: Link,
    /// Records of one side.
    pub left: Vec<String>,
    /// Records of the other.
    pub right: Vec<String>,
    /// Links between the sides.
    pub links: usize,
}

/// Explains a customer. Of its records all pairs are scored, so it is for customers of some hundreds of records at
/// most.
///
/// # Errors
/// When there is no such customer, or its records are not among the features.
pub fn explain_customer(
    matcher: &Matcher,
    registry: &Registry,
    policy: &Policy,
    customer: CustomerId,
) -> Result<ClusterExplanation, IdentityError> {
    let customer = registry.resolve(customer);
    let unknown = || IdentityError::UnknownCustomer(customer.to_string());
    let number = registry.customers.iter().position(|c| c.id == customer);
    let number = number.ok_or_else(unknown)? as u32;
    let features = &matcher.features;
    let records = registry.records.iter().zip(&registry.customer);
    let members: Vec<u32> = records
        .filter(|(_, c)| **c == number)
        .filter_map(|(id, _)| features.position(*id))
        .collect();
    if members.is_empty() {
        return Err(unknown());
    }
    let edges = links(matcher, policy, &members);
    let place = |record: u32| members.binary_search(&record).unwrap_or(0) as u32;
    let ends: Vec<(u32, u32)> = edges
        .iter()
        .map(|e| (place(e.left), place(e.right)))
        .collect();
    let tree = graph::forest(members.len(), &ends);
    let bridge = graph::bridges(members.len(), &ends, &tree);
    let link = |at: usize| Link {
        left: features.record_id(edges[at].left),
        right: features.record_id(edges[at].right),
        rule: rule_name(edges[at].rule),
        weight: edges[at].weight,
        probability: edges[at].probability,
        tree: tree[at],
        bridge: bridge[at],
    };
    let member = |record: &u32| Member {
        record: features.record_id(*record),
        source: features.source(*record).to_owned(),
        links: edges
            .iter()
            .filter(|e| e.left == *record || e.right == *record)
            .count(),
    };
    Ok(ClusterExplanation {
        customer: customer.to_string(),
        records: members.iter().map(member).collect(),
        links: (0..edges.len()).map(link).collect(),
        weakest: weakest(members.len(), &ends, &tree).map(|(at, sides, links)| {
            let [left, right] = sides.map(|side| {
                let ids = side.into_iter().map(|m| features.record_id(members[m]));
                ids.collect::<Vec<_>>()
            });
            Split {
                link: link(at),
                left,
                right,
                links,
            }
        }),
    })
}

/// The links between some records, strongest first: pins, identifiers, and pairs that were worth a look.
fn links(matcher: &Matcher, policy: &Policy, members: &[u32]) -> Vec<Edge> {
    let features = &matcher.features;
    let mut out: Vec<Edge> = Vec::new();
    let mut never = Vec::new();
    for pin in &policy.pins {
        let ends = (features.index_of(&pin.left), features.index_of(&pin.right));
        let (Some(a), Some(b)) = ends else { continue };
        match pin.decision {
            Decision::Never => never.push((a.min(b), a.max(b))),
            Decision::Always => out.push(Edge {
                weight: 100.0,
                probability: 1.0,
                ..matcher.edge(a, b, PIN_RULE)
            }),
        }
    }
    let holders = Holders::all(features, policy);
    // Whether a value proves anything depends on everybody who has it.
    let mut having: Vec<u32> = members.to_vec();
    for held in &holders {
        let values = members.iter().flat_map(|m| held.values(features, *m));
        let values: HashSet<u32> = values.collect();
        let has = |record: &u32| held.values(features, *record).any(|v| values.contains(&v));
        having.extend((0..features.len() as u32).filter(has));
    }
    having.sort_unstable();
    having.dedup();
    let mut guards = BTreeMap::new();
    let proved = identifiers::links(matcher, &holders, &having, policy, &mut guards);
    out.extend(proved);
    let blocking = crate::blocking::Blocking::new(features, &matcher.hubs);
    for (n, a) in members.iter().enumerate() {
        for b in &members[n + 1..] {
            let Some(rule) = blocking.first_rule(*a, *b) else {
                continue;
            };
            let edge = matcher.edge(*a, *b, rule as u8);
            if f64::from(edge.probability) >= policy.review_probability {
                out.push(edge);
            }
        }
    }
    let is_member = |r: u32| members.contains(&r);
    out.retain(|e| is_member(e.left) && is_member(e.right) && !never.contains(&(e.left, e.right)));
    // Of two reasons for a link the stronger counts.
    out.sort_by(|x, y| {
        (x.left, x.right)
            .cmp(&(y.left, y.right))
            .then(y.weight.total_cmp(&x.weight))
    });
    out.dedup_by_key(|e| (e.left, e.right));
    out.sort_by(|x, y| {
        y.weight
            .total_cmp(&x.weight)
            .then((x.left, x.right).cmp(&(y.left, y.right)))
    });
    out
}

/// The weakest link of the maximum spanning tree, the two sides without it, and how many links are between them: no
/// link between the sides is stronger (the cut property of spanning trees). Links come strongest first; nothing where they
/// do not connect all `nodes`.
fn weakest(
    nodes: usize,
    ends: &[(u32, u32)],
    tree: &[bool],
) -> Option<(usize, [Vec<usize>; 2], usize)> {
    let of_tree: Vec<usize> = (0..ends.len()).filter(|at| tree[*at]).collect();
    if of_tree.len() + 1 != nodes {
        return None;
    }
    let (last, rest) = of_tree.split_last()?;
    let mut parts = Forest::new(nodes);
    for at in rest {
        parts.union(ends[*at].0, ends[*at].1);
    }
    let left = parts.find(ends[*last].0);
    let is_left: Vec<bool> = parts.roots().into_iter().map(|root| root == left).collect();
    let (ours, theirs) = (0..nodes).partition(|node| is_left[*node]);
    let across = |(a, b): &&(u32, u32)| is_left[*a as usize] != is_left[*b as usize];
    Some((*last, [ours, theirs], ends.iter().filter(across).count()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_customer_falls_apart_at_its_bridge() {
        // Two triangles with two weak links between them.
        let mut ends = vec![
            (0, 1),
            (0, 2),
            (1, 2),
            (3, 4),
            (3, 5),
            (4, 5),
            (2, 3),
            (1, 4),
        ];
        let tree = graph::forest(6, &ends);
        let (link, sides, links) = weakest(6, &ends, &tree).expect("it holds together");
        assert_eq!((ends[link], links), ((2, 3), 2));
        assert_eq!(sides, [vec![0, 1, 2], vec![3, 4, 5]]);
        ends.truncate(6);
        let tree = graph::forest(6, &ends);
        assert!(weakest(6, &ends, &tree).is_none());
    }
}
