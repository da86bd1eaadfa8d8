//! Who is who and what they are linked by, in a form that grows: as a version has it, and what came later beside it.

use hashbrown::HashMap;

use crate::edge::Edge;
use crate::features::Features;
use crate::ids::CustomerId;
use crate::registry::{Customer, Registry};

const NOBODY: u32 = u32::MAX;

/// The customer of each record, and the records of each customer.
pub(super) struct People {
    /// By record, as a number among the customers; none for a record that is gone.
    customer: Vec<u32>,
    customers: Vec<Customer>,
    number: HashMap<CustomerId, u32>,
    /// Records in the order of their customers, and where those of each begin.
    early: (Vec<u32>, Vec<u32>),
    /// Records of the customers that changed.
    late: HashMap<u32, Vec<u32>>,
    /// What the next customer is numbered.
    created: u64,
    /// Records of the version.
    sorted: usize,
    standing: usize,
}

impl People {
    pub(super) fn of(features: &Features, registry: &Registry) -> Self {
        let mut walk = registry.walk();
        let ids = features.ids.iter();
        let customer: Vec<u32> = ids
            .map(|id| walk.customer_of(*id).unwrap_or(NOBODY))
            .collect();
        let mut begins = vec![0; registry.customers.len() + 1];
        for c in customer.iter().filter(|c| **c != NOBODY) {
            begins[*c as usize + 1] += 1;
        }
        for c in 1..begins.len() {
            begins[c] += begins[c - 1];
        }
        let mut next = begins.clone();
        let mut records = vec![0; begins.last().copied().unwrap_or(0) as usize];
        for (record, c) in (0..).zip(&customer).filter(|(_, c)| **c != NOBODY) {
            let at = &mut next[*c as usize];
            records[*at as usize] = record;
            *at += 1;
        }
        let numbers = (0..).zip(&registry.customers);
        Self {
            number: numbers.map(|(n, c)| (c.id, n)).collect(),
            customers: registry.customers.clone(),
            early: (records, begins),
            created: registry
                .customers
                .iter()
                .map(|c| c.created + 1)
                .max()
                .unwrap_or(0),
            late: HashMap::new(),
            sorted: customer.len(),
            standing: customer.len(),
            customer,
        }
    }

    pub(super) fn standing(&self) -> usize {
        self.standing
    }

    /// Where a record of the version stands.
    pub(super) fn position(&self, features: &Features, id: u128) -> Option<u32> {
        features.ids[..self.sorted]
            .binary_search(&id)
            .ok()
            .map(|at| at as u32)
    }

    pub(super) fn stands(&self, record: u32) -> bool {
        self.customer(record).is_some()
    }

    pub(super) fn customer(&self, record: u32) -> Option<&Customer> {
        let number = self.customer.get(record as usize)?;
        self.customers.get(*number as usize)
    }

    /// A customer that has records.
    pub(super) fn known(&self, id: CustomerId) -> Option<&Customer> {
        let number = self.number.get(&id)?;
        let customer = self.customers.get(*number as usize);
        customer.filter(|_| !self.records(*number).is_empty())
    }

    /// The records of the customer that a record has.
    pub(super) fn fellows(&self, record: u32) -> &[u32] {
        match self.customer.get(record as usize) {
            Some(customer) => self.records(*customer),
            None => &[],
        }
    }

    fn records(&self, customer: u32) -> &[u32] {
        if let Some(records) = self.late.get(&customer) {
            return records;
        }
        let (records, begins) = &self.early;
        let at = customer as usize;
        match (begins.get(at), begins.get(at.wrapping_add(1))) {
            (Some(begin), Some(end)) => &records[*begin as usize..*end as usize],
            _ => &[],
        }
    }

    /// A record is no more.
    pub(super) fn remove(&mut self, record: u32) {
        let mut rest = self.fellows(record).to_vec();
        rest.retain(|r| *r != record);
        let customer = std::mem::replace(&mut self.customer[record as usize], NOBODY);
        if customer != NOBODY {
            self.late.insert(customer, rest);
            self.standing -= 1;
        }
    }

    /// A record came, the last one.
    pub(super) fn add(&mut self, record: u32) {
        self.customer.resize(record as usize + 1, NOBODY);
        self.standing += 1;
    }

    /// Some records were put together anew: whole customers, and what came.
    pub(super) fn regroup(&mut self, records: &[u32], before: &Registry, now: &Registry) {
        for record in records {
            let old = self.customer[*record as usize];
            if old != NOBODY {
                self.late.insert(old, Vec::new());
            }
        }
        let mut customers = now.customers.clone();
        for customer in &mut customers {
            // Among a few, a new one was numbered as if they were all.
            match before.customers.iter().find(|c| c.id == customer.id) {
                Some(known) => customer.household = known.household,
                None => {
                    customer.household = None;
                    customer.created = self.created;
                    self.created += 1;
                }
            }
        }
        for (record, customer) in records.iter().zip(&now.customer) {
            let customer = customers[*customer as usize];
            let next = self.customers.len() as u32;
            let number = *self.number.entry(customer.id).or_insert(next);
            match self.customers.get_mut(number as usize) {
                Some(known) => *known = customer,
                None => self.customers.push(customer),
            }
            self.customer[*record as usize] = number;
            self.late.entry(number).or_default().push(*record);
        }
    }
}

/// The edges of each record.
pub(super) struct Graph {
    edges: Vec<Edge>,
    /// Edges in the order of their records, and where those of each begin.
    early: (Vec<u32>, Vec<u32>),
    /// Edges that came later, by record.
    late: HashMap<u32, Vec<Edge>>,
}

impl Graph {
    pub(super) fn of(records: usize, edges: Vec<Edge>) -> Self {
        let mut begins = vec![0; records + 1];
        let ends = || edges.iter().map(|e| [e.left as usize, e.right as usize]);
        ends().flatten().for_each(|end| begins[end + 1] += 1);
        for r in 1..begins.len() {
            begins[r] += begins[r - 1];
        }
        let mut next = begins.clone();
        let mut order = vec![0; edges.len() * 2];
        for (edge, ends) in (0..).zip(ends()) {
            for end in ends {
                order[next[end] as usize] = edge;
                next[end] += 1;
            }
        }
        Self {
            edges,
            early: (order, begins),
            late: HashMap::new(),
        }
    }

    /// The edges of a record; those of records that are gone may be among them.
    pub(super) fn of_record(&self, record: u32) -> impl Iterator<Item = &Edge> {
        let (order, begins) = &self.early;
        let at = record as usize;
        let early = match (begins.get(at), begins.get(at + 1)) {
            (Some(begin), Some(end)) => &order[*begin as usize..*end as usize],
            _ => &[],
        };
        let early = early.iter().map(|edge| &self.edges[*edge as usize]);
        early.chain(self.late.get(&record).into_iter().flatten())
    }

    pub(super) fn add(&mut self, edges: &[Edge]) {
        for edge in edges {
            for end in [edge.left, edge.right] {
                self.late.entry(end).or_default().push(*edge);
            }
        }
    }
}
