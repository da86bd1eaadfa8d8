//! Who is with whom, by number: union-find over accepted links, then repair of suspect clusters by the evidence of the
//! whole cluster. What has an id of its own comes after.

use std::collections::BTreeMap;

use crate::edge::{Edge, PIN_RULE};
use crate::guard::{Guard, differ};
use crate::household::households;
use crate::identifiers::{self, Holders};
use crate::ids::FirstIds;
use crate::link::{Pins, number};
use crate::policy::Policy;
use crate::pool::Pool;
use crate::repair::{self, Forest, once_each};
use crate::score::Matcher;

/// Who is with whom in a first run.
#[derive(Clone, Debug, Default)]
pub struct Grouped {
    /// Customer of each record; customers are numbered in the order of their smallest record.
    pub customer: Vec<u32>,
    /// Household of each customer; households are numbered in the order of their first customer.
    pub household: Vec<u32>,
    /// Links that stand by an identifier, ordered by records. Those that stand by their score are the edges within a
    /// customer.
    pub proofs: Vec<Edge>,
    /// Refused links by reason.
    pub guards: BTreeMap<Guard, u64>,
}

impl Grouped {
    /// How many customers there are.
    #[must_use]
    pub fn customers(&self) -> usize {
        self.household.len()
    }

    /// How many households there are.
    #[must_use]
    pub fn households(&self) -> usize {
        self.household.iter().max().map_or(0, |m| *m as usize + 1)
    }

    /// The ids of customers and households: those that [`crate::link`] gives without a registry from before.
    #[must_use]
    pub fn ids<'a>(&'a self, matcher: &'a Matcher) -> FirstIds<'a> {
        FirstIds::new(&matcher.features.ids, &self.customer, &self.household)
    }
}

/// Groups records into customers and these into households, with no run before: what [`crate::link`] finds, without
/// what only a later run needs. `edges` are the edges of all shards.
#[must_use]
pub fn group(matcher: &Matcher, edges: &[Edge], policy: &Policy) -> Grouped {
    let all: Vec<u32> = (0..matcher.features.len() as u32).collect();
    let holders = Holders::all(&matcher.features, policy);
    let pins = Pins::new(&matcher.features, policy);
    let clusters = cluster(matcher, edges, policy, &pins, &all, &holders);
    drop((all, holders));
    let customer = number(&clusters.forest.roots());
    let customers = customer.iter().max().map_or(0, |m| *m as usize + 1);
    let same = |e: &Edge| customer[e.left as usize] == customer[e.right as usize];
    let mut proofs = clusters.proofs;
    proofs.retain(same);
    Grouped {
        household: households(&matcher.features, &customer, customers),
        customer,
        proofs,
        guards: clusters.guards,
    }
}

/// Clusters of some records.
pub(crate) struct Clusters {
    pub(crate) forest: Forest,
    /// Links that an identifier proves or a steward made, those of one cluster and those that repair refused, ordered by
    /// records, no pair twice.
    pub(crate) proofs: Vec<Edge>,
    pub(crate) guards: BTreeMap<Guard, u64>,
}

/// Clusters some records, those that anything connects with one of them being all among them.
pub(crate) fn cluster(
    matcher: &Matcher,
    edges: &[Edge],
    policy: &Policy,
    pins: &Pins,
    records: &[u32],
    holders: &[Holders],
) -> Clusters {
    matcher.shards_are_done();
    let mut among = vec![false; matcher.features.len()];
    records.iter().for_each(|r| among[*r as usize] = true);
    let mut guards = BTreeMap::new();
    let mut proofs = identifiers::links(matcher, holders, records, policy, &mut guards);
    let always = pins.always.iter().filter(|(a, _)| among[*a as usize]);
    proofs.extend(always.map(|(a, b)| Edge {
        weight: 100.0,
        probability: 1.0,
        ..matcher.edge(*a, *b, PIN_RULE)
    }));
    proofs.sort_by(once_each);
    proofs.dedup_by_key(|e| (e.left, e.right));
    let decided = proofs.len();
    let mut pool = Pool::new(edges, proofs);
    let (mut accepted, mut weak) = (Vec::with_capacity(edges.len()), Vec::new());
    for (place, edge) in (0..).zip(edges).filter(|(_, e)| among[e.left as usize]) {
        let (a, b) = (matcher.row(edge.left), matcher.row(edge.right));
        if f64::from(edge.probability) < policy.match_probability {
            weak.push(place);
        } else if pins.never.contains(&(edge.left, edge.right)) {
            *guards.entry(Guard::Pin).or_default() += 1;
        } else if differ(a, b, &edge.levels, policy.birth_date_conflict) == Some(Guard::Business) {
            *guards.entry(Guard::Business).or_default() += 1;
        } else {
            accepted.push(place);
        }
    }
    drop(among);
    accepted.extend(pool.made());
    let forest = repair::partition(
        matcher,
        records,
        &mut pool,
        [accepted, weak],
        pins,
        policy,
        &mut guards,
    );
    let mut proofs = pool.into_made();
    proofs.truncate(decided);
    Clusters {
        forest,
        proofs,
        guards,
    }
}
