//! Why some records are one customer: the links between them, the weakest of those that hold the customer together,
//! and what would split it.

use std::collections::BTreeMap;

use hashbrown::HashSet;
use serde::Serialize;

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
    let link = |e: &Edge| Link {
        left: features.record_id(e.left),
        right: features.record_id(e.right),
        rule: rule_name(e.rule),
        weight: e.weight,
        probability: e.probability,
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
        links: edges.iter().map(link).collect(),
        weakest: weakest(&members, &edges).map(|(edge, sides, links)| {
            let [left, right] = sides.map(|side| {
                let ids = side.into_iter().map(|r| features.record_id(r));
                ids.collect::<Vec<_>>()
            });
            Split {
                link: link(&edge),
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
/// link between the sides is stronger (the cut property of spanning trees). `edges` come strongest first.
fn weakest(members: &[u32], edges: &[Edge]) -> Option<(Edge, [Vec<u32>; 2], usize)> {
    let place = |record: u32| members.binary_search(&record).unwrap_or(0) as u32;
    let mut whole = Forest::new(members.len());
    let tree: Vec<Edge> = edges
        .iter()
        .filter(|e| whole.union(place(e.left), place(e.right)))
        .copied()
        .collect();
    if tree.len() + 1 != members.len() {
        return None;
    }
    let (last, rest) = tree.split_last()?;
    let mut parts = Forest::new(members.len());
    for edge in rest {
        parts.union(place(edge.left), place(edge.right));
    }
    let left = parts.find(place(last.left));
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for record in members {
        if parts.find(place(*record)) == left {
            ours.push(*record);
        } else {
            theirs.push(*record);
        }
    }
    let across = |e: &&Edge| ours.contains(&e.left) != ours.contains(&e.right);
    let between = edges.iter().filter(across).count();
    Some((*last, [ours, theirs], between))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::COMPARISONS;

    #[test]
    fn a_customer_falls_apart_at_its_bridge() {
        let edge = |left, right, weight| Edge {
            left,
            right,
            weight,
            probability: 1.0,
            rule: 0,
            levels: [0; COMPARISONS],
        };
        // Two triangles with two weak links between them.
        let mut edges = vec![
            edge(1, 2, 20.0),
            edge(1, 4, 18.0),
            edge(2, 4, 17.0),
            edge(5, 7, 16.0),
            edge(5, 9, 15.0),
            edge(7, 9, 14.0),
            edge(4, 5, 6.0),
            edge(2, 7, 3.0),
        ];
        let members = [1, 2, 4, 5, 7, 9];
        let (link, sides, links) = weakest(&members, &edges).expect("it holds together");
        assert_eq!((link.left, link.right, links), (4, 5, 2));
        assert_eq!(sides, [vec![1, 2, 4], vec![5, 7, 9]]);
        edges.truncate(6);
        assert!(weakest(&members, &edges).is_none());
    }
}
