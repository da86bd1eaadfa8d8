//! Identifiers: values that prove that records are one person, as long as one person is on them.

use std::collections::BTreeMap;

use hashbrown::HashSet;

use crate::edge::{Edge, IDENTIFIER_RULE};
use crate::features::{COLUMNS, Features, Row, col, dict_of};
use crate::fold;
use crate::guard::{Guard, differ};
use crate::policy::{Identifier, Policy};
use crate::score::Matcher;

/// A value on more records is a hub, not a person.
const HUB: u32 = 200;

/// Homes and mailboxes that one person's records show; nameless records with more are several people's.
const PLACES: usize = 5;

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

/// The values of an identifier that prove nothing, as they may be written in a dictionary.
fn blocked_texts(identifier: &Identifier) -> impl Iterator<Item = String> + '_ {
    identifier.blocked.iter().flat_map(|value| {
        let digits: String = value.chars().filter(char::is_ascii_digit).collect();
        [fold::text(value).into_owned(), digits]
    })
}

/// The records that hold the values of an identifier.
pub(crate) struct Holders {
    pub(crate) identifier: Identifier,
    pub(crate) columns: Vec<usize>,
    /// Records by code.
    count: Vec<u32>,
    /// Codes of blocked values: they have no records.
    blocked: HashSet<u32>,
}

impl Holders {
    /// For each identifier of a policy that records can have.
    pub(crate) fn all(features: &Features, policy: &Policy) -> Vec<Self> {
        let found = policy.identifiers.iter().filter_map(|identifier| {
            let columns = identifier_columns(&identifier.field);
            let dict = &features.dicts[dict_of(*columns.first()?)];
            let mut count = vec![0; dict.values.len()];
            for row in &features.rows {
                columns.iter().for_each(|c| count[row[*c] as usize] += 1);
            }
            let blocked: HashSet<u32> = blocked_texts(identifier)
                .map(|text| dict.code(&text))
                .chain([0])
                .collect();
            blocked.iter().for_each(|code| count[*code as usize] = 0);
            Some(Self {
                identifier: identifier.clone(),
                columns,
                count,
                blocked,
            })
        });
        found.collect()
    }

    /// Whether a value may prove anything.
    fn may_prove(&self, code: u32) -> bool {
        let count = self.count.get(code as usize).copied();
        count.is_some_and(|n| (2..=HUB).contains(&n))
    }

    /// Takes notice of a record's values, or of their going.
    pub(crate) fn note(&mut self, row: &Row, comes: bool) {
        for code in self.columns.iter().map(|c| row[*c]) {
            if self.blocked.contains(&code) {
                continue;
            }
            let at = code as usize;
            if self.count.len() <= at {
                self.count.resize(at + 1, 0);
            }
            self.count[at] = match comes {
                true => self.count[at] + 1,
                false => self.count[at].saturating_sub(1),
            };
        }
    }

    /// Takes notice of a value that no record had before, by its code.
    pub(crate) fn learn(&mut self, code: u32, text: &str) {
        if blocked_texts(&self.identifier).any(|blocked| blocked == text) {
            self.blocked.insert(code);
        }
    }

    /// The codes from a number on are of no value any more.
    pub(crate) fn forget(&mut self, from: usize) {
        self.blocked.retain(|code| (*code as usize) < from);
        self.count.truncate(from);
    }

    /// Whether a value links its records, or did until one more came.
    pub(crate) fn may_reach(&self, code: u32) -> bool {
        let count = self.count.get(code as usize).copied().unwrap_or(0);
        (2..=HUB + 1).contains(&count)
    }

    /// How many codes there are.
    pub(crate) fn codes(&self) -> usize {
        self.count.len()
    }

    /// The codes that the values of other features have in these.
    pub(crate) fn codes_of(&self, features: &Features, other: &Features) -> HashSet<u32> {
        let values = other
            .rows
            .iter()
            .flat_map(|row| self.columns.iter().map(move |c| (*c, row[*c])));
        let codes = values.map(|(column, code)| {
            let dict = dict_of(column);
            features.dicts[dict].code(&other.dicts[dict].values[code as usize])
        });
        codes.collect()
    }

    /// The values of a record that may prove something.
    pub(crate) fn values(&self, features: &Features, record: u32) -> impl Iterator<Item = u32> {
        let row = &features.rows[record as usize];
        let values = self.columns.iter().map(|c| row[*c]);
        values.filter(|code| self.may_prove(*code))
    }
}

/// Links that a shared identifier proves among some records, those that hold a value being all among them. A value
/// proves them when it is not blocked and not more distinct people than the policy allows are on it, by given name
/// and birth date: otherwise it is a family's, a shop's or junk, and only the score decides. So it is when records
/// without any name on it have more homes and mailboxes than one person has.
pub(crate) fn links(
    matcher: &Matcher,
    holders: &[Holders],
    records: &[u32],
    policy: &Policy,
    guards: &mut BTreeMap<Guard, u64>,
) -> Vec<Edge> {
    let mut out = Vec::new();
    for held in holders {
        let of = |record: &u32| {
            let record = *record;
            held.values(&matcher.features, record)
                .map(move |v| (v, record))
        };
        let mut values: Vec<(u32, u32)> = records.iter().flat_map(of).collect();
        values.sort_unstable();
        values.dedup();
        for group in values.chunk_by(|a, b| a.0 == b.0).filter(|g| g.len() > 1) {
            let records: Vec<u32> = group.iter().map(|g| g.1).collect();
            let people = people(matcher, &records, policy, guards);
            let crowd = places(&matcher.features.rows, &records, &held.columns) > PLACES;
            if crowd || people.len() > held.identifier.max_people as usize {
                continue;
            }
            for person in people {
                for (a, b) in chain(&matcher.features, &person, policy.across_sources) {
                    let edge = matcher.edge(a, b, IDENTIFIER_RULE);
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

/// Pairs that connect the records of a person; where only sources are linked with each other, pairs across them.
fn chain(features: &Features, person: &[u32], across_sources: bool) -> Vec<(u32, u32)> {
    if !across_sources {
        return person.windows(2).map(|pair| (pair[0], pair[1])).collect();
    }
    let source = |record: u32| features.source[record as usize];
    let Some(first) = person.first().copied() else {
        return Vec::new();
    };
    let Some(other) = person.iter().copied().find(|r| source(*r) != source(first)) else {
        return Vec::new();
    };
    let partner = |record: u32| {
        if source(record) == source(first) {
            other
        } else {
            first
        }
    };
    let mut pairs: Vec<(u32, u32)> = person
        .iter()
        .map(|r| ((*r).min(partner(*r)), (*r).max(partner(*r))))
        .collect();
    pairs.sort_unstable();
    pairs.dedup();
    pairs
}

/// How many different homes and mailboxes the records have that say no name and no birth date.
fn places(rows: &[Row], records: &[u32], identifier: &[usize]) -> usize {
    let person = [
        col::GIVEN,
        col::FAMILY,
        col::GIVEN_READING,
        col::FAMILY_READING,
        col::BIRTH,
    ];
    let place = [col::EMAIL, col::PHONE, col::TOWN, col::BLOCK];
    let place = place.map(|c| (!identifier.contains(&c)).then_some(c));
    let nameless = records.iter().map(|r| &rows[*r as usize]);
    let nameless = nameless.filter(|row| person.iter().all(|c| row[*c] == 0));
    let distinct: HashSet<_> = nameless
        .map(|row| place.map(|c| c.map_or(0, |c| row[c])))
        .collect();
    distinct.len()
}

/// The records of one value as people: a record joins the first person whose records it does not contradict.
fn people(
    matcher: &Matcher,
    records: &[u32],
    policy: &Policy,
    guards: &mut BTreeMap<Guard, u64>,
) -> Vec<Vec<u32>> {
    let mut people: Vec<Vec<u32>> = Vec::new();
    for r in records {
        let mut reason = None;
        let home = people.iter().position(|p| {
            let against = p.iter().find_map(|o| {
                let rows = &matcher.features.rows;
                differ(
                    &rows[*o as usize],
                    &rows[*r as usize],
                    &matcher.levels(*o, *r),
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
