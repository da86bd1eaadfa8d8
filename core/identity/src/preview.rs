//! What another policy or model would do to the customers that stand, before anything is published.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::{guard::Guard, ids::CustomerId, link::Linked, registry::Registry};

/// The difference between the customers that stand and those that would. Everything is named by ids, never
/// by a value. Ids are those that a run would give: the largest overlap keeps its id.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Preview {
    /// Customer records that were compared: those that stand on both sides.
    pub records: u64,
    /// Customers that stand.
    pub customers_before: u64,
    /// Customers that there would be.
    pub customers_after: u64,
    /// Customers that would be one, by the id that they would have.
    pub merged: BTreeMap<String, Vec<String>>,
    /// Customers that would be several, with the ids of those.
    pub split: BTreeMap<String, Vec<String>>,
    /// Records that would belong to a customer of another id.
    pub moved: u64,
    /// Customers of which no record would be added or taken away.
    pub unchanged: u64,
    /// Links that guards would refuse, by guard.
    pub refused: BTreeMap<Guard, u64>,
    /// Pairs that would wait for a person.
    pub review: u64,
}

impl Preview {
    /// Compares what stands with what would.
    #[must_use]
    pub fn of(before: &Registry, after: &Linked) -> Self {
        // Of records that stand on both sides: who was with whom, and who would be.
        let mut now: BTreeMap<CustomerId, BTreeSet<CustomerId>> = BTreeMap::new();
        let mut then: BTreeMap<CustomerId, BTreeSet<CustomerId>> = BTreeMap::new();
        let (mut records, mut moved) = (0, 0);
        let mut stood = before.walk();
        let registry = &after.registry;
        for (record, customer) in registry.records.iter().zip(&registry.customer) {
            let Some(old) = stood.customer_of(*record) else {
                continue;
            };
            let old = before.customers[old as usize].id;
            let new = registry.customers[*customer as usize].id;
            records += 1;
            moved += u64::from(old != new);
            now.entry(old).or_default().insert(new);
            then.entry(new).or_default().insert(old);
        }
        let several = |of: &BTreeMap<CustomerId, BTreeSet<CustomerId>>| {
            let several = of.iter().filter(|(_, others)| others.len() > 1);
            let text = |ids: &BTreeSet<CustomerId>| ids.iter().map(ToString::to_string).collect();
            several
                .map(|(id, others)| (id.to_string(), text(others)))
                .collect()
        };
        let alone = |of: &BTreeMap<CustomerId, BTreeSet<CustomerId>>, id: &CustomerId| {
            of.get(id).is_some_and(|others| others.len() == 1)
        };
        let unchanged = now.values().filter(|new| {
            let only = new.first().filter(|_| new.len() == 1);
            only.is_some_and(|new| alone(&then, new))
        });
        Self {
            records,
            customers_before: now.len() as u64,
            customers_after: then.len() as u64,
            unchanged: unchanged.count() as u64,
            merged: several(&then),
            split: several(&now),
            moved,
            refused: after.guards.clone(),
            review: after.review.len() as u64,
        }
    }

    /// Whether any customer would be another.
    #[must_use]
    pub fn differs(&self) -> bool {
        !self.merged.is_empty() || !self.split.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Customer;

    fn id(number: u128) -> String {
        CustomerId(number).to_string()
    }

    /// Records from 0 with their customers.
    fn registry(customer: &[u128]) -> Registry {
        let customers = customer.iter().map(|id| Customer {
            id: CustomerId(*id),
            created: 0,
            household: None,
        });
        Registry {
            records: (0..customer.len() as u128).collect(),
            customer: (0..customer.len() as u32).collect(),
            customers: customers.collect(),
            ..Registry::default()
        }
    }

    fn linked(customer: &[u128]) -> Linked {
        Linked {
            registry: registry(customer),
            ..Linked::default()
        }
    }

    #[test]
    fn merges_and_splits_are_told_apart() {
        let before = registry(&[1, 1, 2, 3, 3, 4]);
        // 1 and 2 become one, 3 two, 4 stays, and a record comes that stands nowhere yet.
        let preview = Preview::of(&before, &linked(&[1, 1, 1, 3, 5, 4, 6]));
        assert_eq!(
            preview.merged,
            BTreeMap::from([(id(1), vec![id(1), id(2)])])
        );
        assert_eq!(preview.split, BTreeMap::from([(id(3), vec![id(3), id(5)])]));
        assert_eq!((preview.customers_before, preview.customers_after), (4, 4));
        assert_eq!(
            (preview.records, preview.moved, preview.unchanged),
            (6, 2, 1)
        );
    }

    #[test]
    fn nothing_differs_from_itself() {
        let before = registry(&[1, 2, 2]);
        let preview = Preview::of(&before, &linked(&[1, 2, 2]));
        assert!(!preview.differs());
        assert_eq!((preview.unchanged, preview.moved), (2, 0));
    }
}
