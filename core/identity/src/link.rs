//! Linking: from edges to customers. Union-find over accepted links, then repair of suspect clusters by
//! the evidence of the whole cluster, then stable ids and households. The result is a function of the
//! features, the set of edges and the model only, so an incremental history ends where a rebuild ends.

use std::collections::BTreeMap;

use hashbrown::HashSet;

use crate::affected::{Change, affected};
use crate::edge::Edge;
use crate::features::Features;
use crate::group::{Clusters, cluster};
use crate::guard::Guard;
use crate::household::households;
use crate::identifiers::Holders;
use crate::ids::{self, Assigned, HouseholdId, IdEvent};
use crate::policy::{Decision, Policy};
use crate::registry::Registry;
use crate::repair::Forest;
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
    /// Links that stand by an identifier or a steward's decision, among the records that were put together anew, ordered by
    /// records. Those that stand by their score are the edges within a customer.
    pub proofs: Vec<Edge>,
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
    let features = &matcher.features;
    let pins = Pins::new(features, policy);
    let Clusters {
        forest,
        mut proofs,
        guards,
    } = cluster(matcher, edges, policy, &pins, records, holders);
    let customer = number(&roots(features, previous, forest, records));
    let same = |e: &Edge| customer[e.left as usize] == customer[e.right as usize];
    proofs.retain(same);
    let mut review: Vec<Edge> = edges
        .iter()
        .copied()
        .filter(|e| !same(e) && !pins.never.contains(&(e.left, e.right)))
        .collect();
    let value = |e: &Edge| e.probability * (1.0 - e.probability);
    review.sort_unstable_by(|x, y| {
        value(y)
            .total_cmp(&value(x))
            .then((x.left, x.right).cmp(&(y.left, y.right)))
    });
    let Assigned {
        mut customers,
        aliases,
        events,
    } = ids::assign(&features.ids, &customer, previous);
    let household = households(features, &customer, customers.len());
    let mut household_ids = Vec::new();
    for (customer, household) in customers.iter_mut().zip(&household) {
        let household = *household as usize;
        if household == household_ids.len() {
            household_ids.push(HouseholdId::of(customer.id));
        }
        customer.household = Some(household_ids[household]);
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
        proofs,
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
    mut clusters: Forest,
    records: &[u32],
) -> Vec<u32> {
    let mut among = vec![false; features.len()];
    records.iter().for_each(|r| among[*r as usize] = true);
    let mut first = vec![u32::MAX; previous.customers.len()];
    let mut before = previous.walk();
    let records = (0..).zip(&features.ids).zip(&among);
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
