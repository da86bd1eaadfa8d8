//! What hangs together with a record, as a small set of records of its own.

use hashbrown::{HashMap, HashSet};

use super::Index;
use crate::by_key::{ByKey, entry};
use crate::edge::Edge;
use crate::features::{Features, Row};
use crate::identifiers::Holders;
use crate::ids::ids_of_record;
use crate::policy::Policy;
use crate::registry::Registry;
use crate::score::Matcher;

/// Records that are put together anew at most.
const MOST: usize = 1000;

/// Who holds the values of an identifier.
pub(super) struct Held {
    columns: Vec<usize>,
    by_code: ByKey,
}

impl Held {
    pub(super) fn of(features: &Features, holders: &Holders) -> Self {
        let columns = &holders.columns;
        let rows = (0..).zip(&features.rows);
        let entries = rows.flat_map(|(record, row)| {
            let codes = columns.iter().map(|c| row[*c]).filter(|code| *code != 0);
            codes.map(move |code| entry(code, record))
        });
        let mut entries: Vec<u64> = entries.collect();
        entries.sort_unstable();
        Self {
            columns: columns.clone(),
            by_code: ByKey::new(entries),
        }
    }

    pub(super) fn add(&mut self, row: &Row, record: u32) {
        for code in self.columns.iter().map(|c| row[*c]).filter(|c| *c != 0) {
            self.by_code.add(code, record);
        }
    }
}

impl Index {
    /// The records that a record's coming can reach, in the order of their ids, and whether there were more: then
    /// only the customers of those that it has an edge or a value with.
    pub(super) fn around(
        &self,
        record: u32,
        before: Option<u32>,
        edges: &[Edge],
    ) -> (Vec<u32>, bool) {
        let mut begin: Vec<u32> = edges.iter().flat_map(|e| [e.left, e.right]).collect();
        begin.extend(self.by_values(record));
        if let Some(old) = before {
            begin.extend(self.people.fellows(old));
            begin.extend(self.graph.of_record(old).flat_map(|e| [e.left, e.right]));
            begin.extend(self.by_values(old));
        }
        let all = self.reached(record, before, &begin, true);
        let (mut all, cut_short) = match all {
            Some(all) => (all, false),
            None => {
                let near = self.reached(record, before, &begin, false);
                (near.unwrap_or_else(|| vec![record]), true)
            }
        };
        all.sort_unstable_by_key(|r| self.matcher.features.ids[*r as usize]);
        (all, cut_short)
    }

    /// Everything that hangs together with some records, or only their customers; nothing when that is too much.
    fn reached(
        &self,
        record: u32,
        before: Option<u32>,
        begin: &[u32],
        farther: bool,
    ) -> Option<Vec<u32>> {
        let mut seen: HashSet<u32> = HashSet::from([record]);
        let mut queue = vec![record];
        let stands = |r: u32| Some(r) != before && self.people.stands(r);
        let mut reach = |next: u32, queue: &mut Vec<u32>| {
            if stands(next) && seen.insert(next) {
                queue.push(next);
            }
        };
        begin.iter().for_each(|r| reach(*r, &mut queue));
        let mut at = 0;
        while at < queue.len() {
            if queue.len() > MOST {
                return None;
            }
            let from = queue[at];
            at += 1;
            let fellows = self.people.fellows(from);
            fellows.iter().for_each(|r| reach(*r, &mut queue));
            if !farther {
                continue;
            }
            for edge in self.graph.of_record(from) {
                reach(edge.left, &mut queue);
                reach(edge.right, &mut queue);
            }
            for r in self.by_values(from) {
                reach(r, &mut queue);
            }
            let id = self.matcher.features.ids[from as usize];
            for pin in self.pins.get(&id).into_iter().flatten() {
                for end in [&pin.left, &pin.right] {
                    let end = crate::features::parse_id(end).and_then(|id| self.position(id));
                    end.into_iter().for_each(|r| reach(r, &mut queue));
                }
            }
        }
        Some(queue)
    }

    /// The records that have a value in common with one which may prove something.
    fn by_values(&self, record: u32) -> impl Iterator<Item = u32> {
        let row = self.matcher.features.rows[record as usize];
        let held = self.held.iter().zip(&self.holders);
        held.flat_map(move |(held, holders)| {
            let codes = held.columns.iter().map(move |c| row[*c]);
            let codes = codes.filter(|code| *code != 0 && holders.may_reach(*code));
            codes.flat_map(|code| held.by_code.having(code))
        })
    }

    /// The matcher over some records alone, which come in the order of their ids.
    pub(super) fn small(&self, records: &[u32]) -> Matcher {
        let all = &self.matcher.features;
        let each = || records.iter().map(|r| *r as usize);
        self.matcher.over(Features {
            ids: each().map(|r| all.ids[r]).collect(),
            sources: all.sources.clone(),
            source: each().map(|r| all.source[r]).collect(),
            rows: each().map(|r| all.rows[r]).collect(),
            dicts: all.dicts.clone(),
            ignored: Default::default(),
        })
    }

    /// The edges among some records by their numbers there, those of the record that comes with them.
    pub(super) fn edges_among(
        &self,
        records: &[u32],
        before: Option<u32>,
        new: &[Edge],
    ) -> Vec<Edge> {
        let number: HashMap<u32, u32> = records.iter().copied().zip(0..).collect();
        let known = records
            .iter()
            .filter(|r| Some(**r) != before)
            .flat_map(|r| self.graph.of_record(*r).filter(move |e| e.left == *r));
        let mut edges: Vec<Edge> = known
            .chain(new)
            .filter_map(|edge| {
                let (left, right) = (*number.get(&edge.left)?, *number.get(&edge.right)?);
                Some(Edge {
                    left: left.min(right),
                    right: left.max(right),
                    ..*edge
                })
            })
            .collect();
        edges.sort_unstable_by_key(|e| (e.left, e.right));
        edges.dedup_by_key(|e| (e.left, e.right));
        edges
    }

    /// Who some records are, as it stands. A record that replaces another is who that was.
    pub(super) fn registry_of(
        &self,
        records: &[u32],
        record: u32,
        before: Option<u32>,
    ) -> Registry {
        let mut registry = Registry::default();
        let mut number = HashMap::new();
        for r in records {
            let was = before.filter(|_| *r == record).unwrap_or(*r);
            let Some(customer) = self.people.customer(was) else {
                continue;
            };
            let next = registry.customers.len() as u32;
            let n = *number.entry(customer.id).or_insert(next);
            if n == next {
                registry.customers.push(*customer);
            }
            let id = self.matcher.features.ids[*r as usize];
            registry.records.push(id);
            registry.customer.push(n);
        }
        // Ids that customers elsewhere have are taken.
        for r in records {
            let ids = ids_of_record(self.matcher.features.ids[*r as usize]);
            let taken = ids.map_while(|id| self.people.known(id));
            let elsewhere = taken.filter(|c| !number.contains_key(&c.id));
            registry.customers.extend(elsewhere);
        }
        registry
    }

    /// The policy with the decisions on some records.
    pub(super) fn policy_of(&self, records: &[u32]) -> Policy {
        let mut policy = self.policy.clone();
        let ids = records
            .iter()
            .map(|r| self.matcher.features.ids[*r as usize]);
        for pin in ids.filter_map(|id| self.pins.get(&id)).flatten() {
            if !policy.pins.contains(pin) {
                policy.pins.push(pin.clone());
            }
        }
        policy
    }
}
