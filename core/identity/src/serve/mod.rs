//! One record at a time against who is who: which customer it belongs to, before any run has taken it in.
//!
//! An [`Index`] holds the records, edges and customers of a version. What it says of a record is what the next run
//! would make of it, were it the only news: the records that hang together with it are put together anew by the
//! code that puts everything together, and nothing else is looked at.

mod around;
mod people;
mod values;

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use hashbrown::HashMap;
use serde::Serialize;

use crate::blocking::{Blocking, Postings};
use crate::compare::COMPARISON;
use crate::edge::{Edge, rule_name};
use crate::error::IdentityError;
use crate::features::{Features, Row, col};
use crate::identifiers::Holders;
use crate::ids::{CustomerId, IdEvent};
use crate::lexicon::Reader;
use crate::link::{Linked, put_together};
use crate::model::Model;
use crate::policy::{Pin, Policy};
use crate::registry::Registry;
use crate::score::{Matcher, probability};
use around::Held;
use people::{Graph, People};
use values::Late;

/// What an index says of a record. It holds no value of any record.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// Id of the record.
    pub record: String,
    /// Its customer: one that stands, or one that would be made for it.
    pub customer: String,
    /// Whether no customer that stands would take it.
    pub new: bool,
    /// Household of the customer as the version has it: who lives together is looked at by runs alone.
    pub household: Option<String>,
    /// Customers that would be one with it, because the record says so.
    pub merges: Vec<String>,
    /// Records that may be the same person, most likely first.
    pub candidates: Vec<Candidate>,
    /// Records that were put together anew.
    pub looked_at: usize,
    /// Whether more hung together than is looked at: then only the customers of the candidates were.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub cut_short: bool,
}

/// A record that may be the same person.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Candidate {
    /// Id of the record.
    pub record: String,
    /// Its source.
    pub source: String,
    /// Its customer, as it stands.
    pub customer: String,
    /// What made the pair: a blocking rule, `identifier` or `pin`.
    pub rule: &'static str,
    /// Match weight in bits.
    pub weight: f32,
    /// Match probability.
    pub probability: f32,
    /// Whether the link stands: both are one customer now.
    pub linked: bool,
    /// Level of each comparison that both have values for.
    pub levels: BTreeMap<&'static str, &'static str>,
}

/// The records and customers of a version, ready for records that come one at a time.
pub struct Index {
    matcher: Matcher,
    reader: Reader,
    policy: Policy,
    /// Decisions by record; the policy has none.
    pins: HashMap<u128, Vec<Pin>>,
    /// Values that came later.
    late: Late,
    postings: Postings,
    /// For each identifier, who holds which value.
    held: Vec<Held>,
    holders: Vec<Holders>,
    graph: Graph,
    people: People,
    /// Records by id that are not where their id says.
    moved: HashMap<u128, u32>,
}

/// Records to come for which there is room from the start.
const ROOM: usize = 1 << 16;

/// Candidates that an answer names.
const NAMED: usize = 20;

impl Index {
    /// Brings together what a version knows. `model` is the one of the matcher, `edges` those that stand.
    #[must_use]
    pub fn new(
        mut matcher: Matcher,
        model: &Model,
        registry: &Registry,
        edges: Vec<Edge>,
        policy: &Policy,
    ) -> Self {
        matcher.features.reserve(ROOM);
        let features = &matcher.features;
        let holders = Holders::all(features, policy);
        let mut pins: HashMap<u128, Vec<Pin>> = HashMap::new();
        for pin in &policy.pins {
            for end in [&pin.left, &pin.right] {
                if let Some(id) = crate::features::parse_id(end) {
                    pins.entry(id).or_default().push(pin.clone());
                }
            }
        }
        Self {
            reader: Reader::new(&model.lexicon),
            late: Late::of(features),
            postings: Postings::build(features, &matcher.hubs),
            held: holders.iter().map(|h| Held::of(features, h)).collect(),
            graph: Graph::of(features.len(), edges),
            people: People::of(features, registry),
            policy: Policy {
                pins: Vec::new(),
                ..policy.clone()
            },
            moved: HashMap::new(),
            holders,
            pins,
            matcher,
        }
    }

    /// How many records there are, those among them that came later.
    #[must_use]
    pub fn len(&self) -> usize {
        self.people.standing()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Says who a record is; nothing stays of it. The batch has one row, as [`Features::build`] reads it.
    ///
    /// # Errors
    /// As [`Features::build`].
    pub fn lookup(&mut self, record: &RecordBatch) -> Result<Answer, IdentityError> {
        let known = self.late.mark(&self.matcher.features);
        let (before, record) = self.enter(record)?;
        let found = self.resolve(record, before);
        let answer = self.answer(record, &found);
        self.leave(record);
        let features = &mut self.matcher.features;
        self.late.forget(features, &mut self.holders, known);
        Ok(answer)
    }

    /// Takes a record in and says who it is: from now on it is a record like others. A record that was there is
    /// replaced; it changes nothing when it reads the same.
    ///
    /// # Errors
    /// As [`Features::build`].
    pub fn add(&mut self, record: &RecordBatch) -> Result<Answer, IdentityError> {
        let (before, record) = self.enter(record)?;
        let same = |old: &u32| {
            let features = &self.matcher.features;
            features.rows[*old as usize] == features.rows[record as usize]
                && features.source(*old) == features.source(record)
        };
        let found = self.resolve(record, before);
        let answer = self.answer(record, &found);
        if before.is_some_and(|old| same(&old)) {
            self.leave(record);
            return Ok(answer);
        }
        self.take(record, before, &found);
        Ok(answer)
    }

    /// Puts a record behind the others; gives where it stood before, and where it stands.
    fn enter(&mut self, batch: &RecordBatch) -> Result<(Option<u32>, u32), IdentityError> {
        let one = Features::build(std::slice::from_ref(batch))?;
        let id = *one.ids.first().ok_or(IdentityError::RecordId { row: 0 })?;
        let before = self.position(id);
        let row = self.late.row(
            &mut self.matcher.features,
            &self.reader,
            &one,
            |column, code, text| {
                let mine = self.holders.iter_mut();
                let mine = mine.filter(|h| h.columns.contains(&column));
                mine.for_each(|h| h.learn(code, text));
            },
        );
        let features = &mut self.matcher.features;
        let name = one.source(0);
        let source = features.sources.iter().position(|s| **s == *name);
        let source = source.unwrap_or_else(|| {
            features.sources.push(name.into());
            features.sources.len() - 1
        });
        features.ids.push(id);
        features.source.push(source as u16);
        features.rows.push(row);
        let record = (features.rows.len() - 1) as u32;
        self.count(before, record, true);
        Ok((before, record))
    }

    /// Takes the record that was put last away again.
    fn leave(&mut self, record: u32) {
        let before = self.position(self.matcher.features.ids[record as usize]);
        self.count(before, record, false);
        let features = &mut self.matcher.features;
        features.ids.pop();
        features.source.pop();
        features.rows.pop();
    }

    /// Counts a record among the holders of its values in place of what it was, or takes that back.
    fn count(&mut self, before: Option<u32>, record: u32, comes: bool) {
        let row = |r: u32| -> Row { self.matcher.features.rows[r as usize] };
        let (before, now) = (before.map(row), row(record));
        for holders in &mut self.holders {
            holders.note(&now, comes);
            if let Some(before) = &before {
                holders.note(before, !comes);
            }
        }
    }

    /// Where the record of an id stands.
    fn position(&self, id: u128) -> Option<u32> {
        let moved = self.moved.get(&id).copied();
        moved.or_else(|| self.people.position(&self.matcher.features, id))
    }

    /// The edges of a record with those that stand, in the order of their ids.
    fn edges(&self, record: u32, before: Option<u32>) -> Vec<Edge> {
        let Matcher { features, hubs, .. } = &self.matcher;
        let blocking = Blocking::new(features, hubs);
        let keep = self.policy.review_probability as f32;
        // What comes may have what no record had.
        let course = self.matcher.course(&[true; col::WIDTH], keep);
        let mut edges = Vec::new();
        for other in self.postings.candidates(&blocking, record) {
            if Some(other) == before || !self.people.stands(other) {
                continue;
            }
            let source = |r: u32| features.source[r as usize];
            if self.policy.across_sources && source(other) == source(record) {
                continue;
            }
            let id = |r: u32| features.ids[r as usize];
            let (left, right) = if id(other) < id(record) {
                (other, record)
            } else {
                (record, other)
            };
            let (a, b) = (self.matcher.row(left), self.matcher.row(right));
            let reaching = self.matcher.levels_reaching(&course, [a, b], None);
            let Some(levels) = reaching else {
                continue;
            };
            let weight = self.matcher.parts(a, b, &levels).weight();
            let probability = probability(weight);
            if probability < keep {
                continue;
            }
            if let Some(rule) = blocking.first_rule(left, right) {
                edges.push(Edge {
                    left,
                    right,
                    weight,
                    probability,
                    rule: rule as u8,
                    levels,
                });
            }
        }
        edges
    }

    /// What a record's coming would make of those that it hangs together with.
    fn resolve(&self, record: u32, before: Option<u32>) -> Resolved {
        let edges = self.edges(record, before);
        let (records, cut_short) = self.around(record, before, &edges);
        let small = self.small(&records);
        let edges_here = self.edges_among(&records, before, &edges);
        let registry = self.registry_of(&records, record, before);
        let policy = self.policy_of(&records);
        let all: Vec<u32> = (0..records.len() as u32).collect();
        let linked = put_together(&small, &edges_here, &registry, &policy, &all, &self.holders);
        Resolved {
            records,
            edges,
            before: registry,
            linked,
            cut_short,
        }
    }

    fn answer(&self, record: u32, found: &Resolved) -> Answer {
        let Resolved {
            records, linked, ..
        } = found;
        let registry = &linked.registry;
        // A record is always among those around it.
        let here = records.iter().position(|r| *r == record).unwrap_or(0);
        let customer = registry.customer[here];
        let own = registry.customers[customer as usize];
        let stood = |id: CustomerId| found.before.customers.iter().any(|c| c.id == id);
        let merged = linked.events.iter().filter_map(|event| match event {
            IdEvent::Merged { old, new } if *new == own.id => Some(old.to_string()),
            _ => None,
        });
        Answer {
            record: self.matcher.features.record_id(record),
            customer: own.id.to_string(),
            new: !stood(own.id),
            household: self
                .people
                .known(own.id)
                .and_then(|c| c.household)
                .map(|h| h.to_string()),
            merges: merged.collect(),
            candidates: self.candidates(record, found, here as u32),
            looked_at: records.len(),
            cut_short: found.cut_short,
        }
    }

    /// The scored pairs of a record and what proves a link, strongest first.
    fn candidates(&self, record: u32, found: &Resolved, here: u32) -> Vec<Candidate> {
        let Resolved {
            records, linked, ..
        } = found;
        let mut ends: BTreeMap<u32, Edge> = BTreeMap::new();
        let other = |e: &Edge, own: u32| if e.left == own { e.right } else { e.left };
        for edge in &found.edges {
            ends.insert(other(edge, record), *edge);
        }
        let links = linked.proofs.iter();
        for link in links.filter(|e| e.left == here || e.right == here) {
            let end = records[other(link, here) as usize];
            let known = ends.entry(end).or_insert(*link);
            if known.weight < link.weight {
                *known = *link;
            }
        }
        let mut ends: Vec<(u32, Edge)> = ends.into_iter().collect();
        ends.sort_by(|x, y| y.1.weight.total_cmp(&x.1.weight).then(x.0.cmp(&y.0)));
        let customer = &linked.registry.customer;
        let features = &self.matcher.features;
        let named = ends.into_iter().take(NAMED).map(|(end, edge)| {
            let at = records.iter().position(|r| *r == end);
            let levels = COMPARISON.iter().zip(edge.levels);
            let levels = levels.filter(|(_, level)| *level != 0);
            Candidate {
                record: features.record_id(end),
                source: features.source(end).to_owned(),
                customer: self
                    .people
                    .customer(end)
                    .map_or_else(String::new, |c| c.id.to_string()),
                rule: rule_name(edge.rule),
                weight: edge.weight,
                probability: edge.probability,
                linked: at.is_some_and(|at| customer[at] == customer[here as usize]),
                levels: levels.map(|(c, level)| (c.name, c.level(level))).collect(),
            }
        });
        named.collect()
    }

    /// Keeps a record with what its coming made of the others.
    fn take(&mut self, record: u32, before: Option<u32>, found: &Resolved) {
        let features = &self.matcher.features;
        if let Some(old) = before {
            self.people.remove(old);
        }
        self.postings.add(features, &self.matcher.hubs, record);
        for held in &mut self.held {
            held.add(&features.rows[record as usize], record);
        }
        self.graph.add(&found.edges);
        self.people.add(record);
        let registry = &found.linked.registry;
        self.people.regroup(&found.records, &found.before, registry);
        self.moved.insert(features.ids[record as usize], record);
    }
}

/// What a record's coming would make.
struct Resolved {
    /// The records that hang together with it, itself among them, in the order of their ids.
    records: Vec<u32>,
    /// Its own edges.
    edges: Vec<Edge>,
    /// Who they were.
    before: Registry,
    linked: Linked,
    cut_short: bool,
}
