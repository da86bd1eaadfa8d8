//! Linking: from edges to customers. Union-find over accepted links, then repair of suspect clusters by
//! the evidence of the whole cluster, then stable ids and households. The result is a function of the
//! features, the set of edges and the model only, so an incremental history ends where a rebuild ends.

use std::collections::BTreeMap;

use hashbrown::{HashMap, HashSet};

use crate::features::{COLUMNS, Features, col, dict_of};
use crate::fold;
use crate::guard::{Guard, differ};
use crate::household::{self, Households};
use crate::ids::{self, IdEvent, Registry};
use crate::model::Model;
use crate::policy::{Decision, Policy};
use crate::repair;
use crate::score::{Edge, Edges, IDENTIFIER_RULE, PIN_RULE, Scorer};

/// Who is who.
#[derive(Clone, Debug, Default)]
pub struct Linked {
    /// Customer of each record, as an index into `customer_ids`.
    pub customer: Vec<u32>,
    /// Id of each customer; customers are ordered by their smallest record.
    pub customer_ids: Vec<String>,
    /// Household of each customer, as an index into `household_ids`.
    pub household: Vec<u32>,
    /// Id of each household.
    pub household_ids: Vec<String>,
    /// Links that stand, ordered by records: both ends are in one customer.
    pub links: Vec<Edge>,
    /// Pairs that a person should look at, most valuable first.
    pub review: Vec<Edge>,
    /// The registry to hand to the next run.
    pub registry: Registry,
    /// What happened to ids since the previous registry; to be appended.
    pub events: Vec<IdEvent>,
    /// Refused links by reason.
    pub guards: BTreeMap<Guard, u64>,
}

/// Links records into customers. `edges` are the edges of all shards (of an increment: kept and new ones).
#[must_use]
pub fn link(
    features: &Features,
    edges: &[Edges],
    previous: Option<&Registry>,
    policy: &Policy,
    model: &Model,
) -> Linked {
    let features = &*model.lexicon.resolve(features);
    let scorer = Scorer::new(features, model);
    let mut guards = BTreeMap::new();
    let pins = Pins::new(features, policy);
    let mut accepted = identifier_links(features, policy, &scorer, &mut guards);
    accepted.extend(pins.always.iter().map(|(a, b)| Edge {
        weight: 100.0,
        probability: 1.0,
        ..scorer.edge(*a, *b, PIN_RULE)
    }));
    let scored = || edges.iter().flat_map(|e| &e.edges);
    for edge in scored().filter(|e| f64::from(e.probability) >= policy.match_probability) {
        let (a, b) = (
            &features.rows[edge.left as usize],
            &features.rows[edge.right as usize],
        );
        if pins.never.contains(&(edge.left, edge.right)) {
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
    let weak = scored()
        .filter(|e| f64::from(e.probability) < policy.match_probability)
        .copied()
        .collect();
    let roots = repair::partition(&scorer, &accepted, weak, &pins, policy, &mut guards);
    let customer = number(&roots);
    let same = |e: &Edge| customer[e.left as usize] == customer[e.right as usize];
    let links: Vec<Edge> = accepted.iter().copied().filter(same).collect();
    let mut review: Vec<Edge> = scored()
        .copied()
        .filter(|e| !same(e) && !pins.never.contains(&(e.left, e.right)))
        .collect();
    let value = |e: &Edge| e.probability * (1.0 - e.probability);
    review.sort_by(|x, y| {
        value(y)
            .total_cmp(&value(x))
            .then((x.left, x.right).cmp(&(y.left, y.right)))
    });
    let (customer_ids, registry, events) = ids::assign(features, &customer, previous);
    let Households {
        household,
        household_ids,
    } = household::household_of(features, &customer, &customer_ids);
    Linked {
        customer,
        customer_ids,
        household,
        household_ids,
        links,
        review,
        registry,
        events,
        guards,
    }
}

/// Numbers groups by their first record.
pub(crate) fn number(roots: &[u32]) -> Vec<u32> {
    let mut numbers = HashMap::new();
    roots
        .iter()
        .map(|r| {
            let next = numbers.len() as u32;
            *numbers.entry(*r).or_insert(next)
        })
        .collect()
}

/// Decisions of stewards, by record index.
pub(crate) struct Pins {
    pub(crate) always: Vec<(u32, u32)>,
    pub(crate) never: HashSet<(u32, u32)>,
}

impl Pins {
    fn new(features: &Features, policy: &Policy) -> Self {
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
}

/// Columns of an identifier's field.
pub(crate) fn identifier_columns(field: &str) -> Vec<usize> {
    match field {
        "phone" => vec![col::PHONE, col::PHONE2],
        name => COLUMNS
            .iter()
            .position(|c| *c == name)
            .filter(|c| {
                (col::EMAIL..col::BIRTH).contains(c) || (col::LOYALTY..col::BUSINESS).contains(c)
            })
            .into_iter()
            .collect(),
    }
}

/// Links that a shared identifier proves. A value proves them when it is not blocked and not more distinct
/// people than the policy allows are on it, by given name and birth date: otherwise it is a family's,
/// a shop's or junk, and only the score decides.
fn identifier_links(
    features: &Features,
    policy: &Policy,
    scorer: &Scorer<'_>,
    guards: &mut BTreeMap<Guard, u64>,
) -> Vec<Edge> {
    /// A value on more records is a hub, not a person.
    const HUB: usize = 200;
    let mut out = Vec::new();
    for identifier in &policy.identifiers {
        let columns = identifier_columns(&identifier.field);
        let Some(dict) = columns.first().map(|c| &features.dicts[dict_of(*c)]) else {
            continue;
        };
        let blocked: HashSet<u32> = identifier
            .blocked
            .iter()
            .flat_map(|v| {
                let digits: String = v.chars().filter(char::is_ascii_digit).collect();
                [dict.code(&fold::text(v)), dict.code(&digits)]
            })
            .filter(|c| *c != 0)
            .collect();
        let mut holders: Vec<(u32, u32)> = Vec::new();
        for (i, row) in features.rows.iter().enumerate() {
            holders.extend(
                columns
                    .iter()
                    .map(|c| row[*c])
                    .filter(|v| *v != 0 && !blocked.contains(v))
                    .map(|v| (v, i as u32)),
            );
        }
        holders.sort_unstable();
        holders.dedup();
        for group in holders
            .chunk_by(|a, b| a.0 == b.0)
            .filter(|g| g.len() > 1 && g.len() <= HUB)
        {
            let records: Vec<u32> = group.iter().map(|g| g.1).collect();
            let people = people(scorer, &records, policy, guards);
            if people.len() > identifier.max_people as usize {
                continue;
            }
            for person in people {
                for pair in person.windows(2) {
                    let edge = scorer.edge(pair[0], pair[1], IDENTIFIER_RULE);
                    out.push(Edge {
                        weight: edge.weight.max(15.0),
                        probability: 1.0,
                        ..edge
                    });
                }
            }
        }
    }
    out
}

/// The records of one value as people: a record joins the first person whose records it does not contradict.
fn people(
    scorer: &Scorer<'_>,
    records: &[u32],
    policy: &Policy,
    guards: &mut BTreeMap<Guard, u64>,
) -> Vec<Vec<u32>> {
    let mut people: Vec<Vec<u32>> = Vec::new();
    for r in records {
        let mut reason = None;
        let home = people.iter().position(|p| {
            let against = p.iter().find_map(|o| {
                let rows = &scorer.features.rows;
                differ(
                    &rows[*o as usize],
                    &rows[*r as usize],
                    &scorer.levels(*o, *r),
                    policy.birth_date_conflict,
                )
            });
            reason = reason.or(against);
            against.is_none()
        });
        match home {
            Some(p) => people[p].push(*r),
            None => {
                if let Some(guard) = reason {
                    *guards.entry(guard).or_default() += 1;
                }
                people.push(vec![*r]);
            }
        }
    }
    people
}
