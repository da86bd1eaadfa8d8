//! Linking: from edges to customers. Union-find over accepted links, then repair of suspect clusters by
//! the evidence of the whole cluster, then stable ids and households. The result is a function of the
//! features, the set of edges and the model only, so an incremental history ends where a rebuild ends.

use std::collections::BTreeMap;

use hashbrown::HashSet;

use crate::affected::{Change, affected};
use crate::edge::{Edge, PIN_RULE};
use crate::features::Features;
use crate::guard::{Guard, differ};
use crate::household::{self, Households};
use crate::identifiers::{self, Holders};
use crate::ids::{self, Assigned, HouseholdId, IdEvent};
use crate::policy::{Decision, Policy};
use crate::registry::Registry;
use crate::repair;
use crate::score::Matcher;

/// Who is who.
#[derive(Clone, Debug, Default)]
pub struct Linked {
    /// The records in order, the customer of each, and the customers in the order of their smallest record. To be
    /// handed to the next run.
    pub registry: Registry,
    /// Household of each customer, as an index into `household_ids`.
    pub household: Vec<u32>,
    /// Id of each household.
    pub household_ids: Vec<HouseholdId>,
    /// Links that stand among the records that were put together anew, ordered by records: both ends are in one customer.
    pub links: Vec<Edge>,
    /// Pairs that a person should look at, most valuable first.
    pub review: Vec<Edge>,
    /// What happened to ids since the previous registry; to be appended.
    pub events: Vec<IdEvent>,
    /// Refused links by reason, among the records that were put together anew.
    pub guards: BTreeMap<Guard, u64>,
    /// How many records were put together anew.
    pub looked_at: u64,
}

/// Links records into customers, all of them anew. `edges` are the edges of all shards.
#[must_use]
pub fn link(matcher: &Matcher, edges: &[Edge], previous: &Registry, policy: &Policy) -> Linked {
    let all: Vec<u32> = (0..matcher.features.len() as u32).collect();
    let holders = Holders::all(&matcher.features, policy);
    put_together(matcher, edges, previous, policy, &all, &holders)
}

/// Links records into customers after a change under the same model and policy: what the change cannot have
/// reached stays as it was. The result is that of [`link`]. `edges` are the edges that stand, old and new.
#[must_use]
pub fn relink(
    matcher: &Matcher,
    edges: &[Edge],
    previous: &Registry,
    policy: &Policy,
    change: &Change<'_>,
) -> Linked {
    let records = affected(matcher, edges, previous, policy, change);
    let holders = Holders::all(&matcher.features, policy);
    put_together(matcher, edges, previous, policy, &records, &holders)
}

/// Links some records, those that anything connects with one of them being all among them; the others stay with the
/// customers that they had.
pub(crate) fn put_together(
    matcher: &Matcher,
    edges: &[Edge],
    previous: &Registry,
    policy: &Policy,
    records: &[u32],
    holders: &[Holders],
) -> Linked {
    matcher.shards_are_done();
    let features = &matcher.features;
    let mut among = vec![false; features.len()];
    records.iter().for_each(|r| among[*r as usize] = true);
    let mut guards = BTreeMap::new();
    let pins = Pins::new(features, policy);
    let mut accepted = identifiers::links(matcher, holders, records, policy, &mut guards);
    let always = pins.always.iter().filter(|(a, _)| among[*a as usize]);
    accepted.extend(always.map(|(a, b)| Edge {
        weight: 100.0,
        probability: 1.0,
        ..matcher.edge(*a, *b, PIN_RULE)
    }));
    let mut weak = Vec::new();
    for edge in edges.iter().filter(|e| among[e.left as usize]) {
        let (a, b) = (matcher.row(edge.left), matcher.row(edge.right));
        if f64::from(edge.probability) < policy.match_probability {
            weak.push(*edge);
        } else if pins.never.contains(&(edge.left, edge.right)) {
            *guards.entry(Guard::Pin).or_default() += 1;
        } else if differ(a, b, &edge.levels, policy.birth_date_conflict) == Some(Guard::Business) {
            *guards.entry(Guard::Business).or_default() += 1;
        } else {
            accepted.push(*edge);
        }
    }
    accepted.sort_by(|x, y| {
        (x.left, x.right)
            .cmp(&(y.left, y.right))
            .then(y.weight.total_cmp(&x.weight))
    });
    accepted.dedup_by_key(|e| (e.left, e.right));
    let clusters = repair::partition(
        matcher,
        records,
        &accepted,
        weak,
        &pins,
        policy,
        &mut guards,
    );
    let customer = number(&roots(features, previous, clusters, &among));
    let same = |e: &Edge| customer[e.left as usize] == customer[e.right as usize];
    accepted.retain(same);
    let mut review: Vec<Edge> = edges
        .iter()
        .copied()
        .filter(|e| !same(e) && !pins.never.contains(&(e.left, e.right)))
        .collect();
    let value = |e: &Edge| e.probability * (1.0 - e.probability);
    review.sort_by(|x, y| {
        value(y)
            .total_cmp(&value(x))
            .then((x.left, x.right).cmp(&(y.left, y.right)))
    });
    let Assigned {
        mut customers,
        aliases,
        events,
    } = ids::assign(&features.ids, &customer, previous);
    let Households {
        household,
        household_ids,
    } = household::household_of(features, &customer, &customers);
    for (customer, household) in customers.iter_mut().zip(&household) {
        customer.household = Some(household_ids[*household as usize]);
    }
    Linked {
        registry: Registry {
            records: features.ids.clone(),
            customer,
            customers,
            aliases,
        },
        household,
        household_ids,
        links: accepted,
        review,
        events,
        guards,
        looked_at: records.len() as u64,
    }
}

/// A record that stands for the customer of each record: its smallest one.
fn roots(
    features: &Features,
    previous: &Registry,
    mut clusters: repair::Forest,
    among: &[bool],
) -> Vec<u32> {
    let mut first = vec![u32::MAX; previous.customers.len()];
    let mut before = previous.walk();
    let records = (0..).zip(&features.ids).zip(among);
    let root = records.map(
        |((record, id), among)| match (among, before.customer_of(*id)) {
            (false, Some(customer)) => {
                let first = &mut first[customer as usize];
                *first = (*first).min(record);
                *first
            }
            _ => clusters.find(record),
        },
    );
    root.collect()
}

/// Numbers groups by their first record, which stands for them.
pub(crate) fn number(roots: &[u32]) -> Vec<u32> {
    let mut numbers = vec![u32::MAX; roots.len()];
    let mut next = 0;
    let numbered = roots.iter().map(|root| {
        let number = &mut numbers[*root as usize];
        if *number == u32::MAX {
            *number = next;
            next += 1;
        }
        *number
    });
    numbered.collect()
}

/// Decisions of stewards, by record index.
pub(crate) struct Pins {
    pub(crate) always: Vec<(u32, u32)>,
    pub(crate) never: HashSet<(u32, u32)>,
}

impl Pins {
    pub(crate) fn new(features: &Features, policy: &Policy) -> Self {
        let mut pins = Self {
            always: Vec::new(),
            never: HashSet::new(),
        };
        for pin in &policy.pins {
            if let (Some(a), Some(b)) =
                (features.index_of(&pin.left), features.index_of(&pin.right))
            {
                let pair = (a.min(b), a.max(b));
                match pin.decision {
                    Decision::Always => pins.always.push(pair),
                    Decision::Never => {
                        pins.never.insert(pair);
                    }
                }
            }
        }
        pins
    }

    /// The records that a decision is about.
    pub(crate) fn records(&self) -> HashSet<u32> {
        let pairs = self.always.iter().chain(&self.never);
        pairs.flat_map(|(a, b)| [*a, *b]).collect()
    }
}
