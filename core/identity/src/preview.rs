//! What another policy or model would do to the customers that stand, before anything is published.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::{features::Features, guard::Guard, ids::Registry, link::Linked};

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
    pub fn of(before: &Registry, features: &Features, after: &Linked) -> Self {
        // Of records that stand on both sides: who was with whom, and who would be.
        let mut now: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        let mut then: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        let (mut records, mut moved) = (0, 0);
        for (record, customer) in features.ids.iter().zip(&after.customer) {
            let Some(old) = before.records.get(record) else {
                continue;
            };
            let new = after.customer_ids[*customer as usize].as_str();
            records += 1;
            moved += u64::from(**old != *new);
            now.entry(old).or_default().insert(new);
            then.entry(new).or_default().insert(old);
        }
        let several = |of: &BTreeMap<&str, BTreeSet<&str>>| {
            let several = of.iter().filter(|(_, others)| others.len() > 1);
            let owned = |others: &BTreeSet<&str>| others.iter().map(ToString::to_string).collect();
            several
                .map(|(id, others)| ((*id).to_owned(), owned(others)))
                .collect()
        };
        let alone = |of: &BTreeMap<&str, BTreeSet<&str>>, id: &str| {
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
    use std::sync::Arc;

    use super::*;

    fn registry(customers: &[&str]) -> Registry {
        let records = (0..).zip(customers.iter().map(|c| Arc::from(*c)));
        Registry {
            records: records.collect(),
            ..Registry::default()
        }
    }

    fn features(records: u128) -> Features {
        Features {
            ids: (0..records).collect(),
            ..Features::default()
        }
    }

    fn linked(customer: &[u32], ids: &[&str]) -> Linked {
        Linked {
            customer: customer.to_vec(),
            customer_ids: ids.iter().map(ToString::to_string).collect(),
            ..Linked::default()
        }
    }

    #[test]
    fn merges_and_splits_are_told_apart() {
        let before = registry(&["a", "a", "b", "c", "c", "d"]);
        // a and b become one, c two, d stays, and a record comes that stands nowhere yet.
        let after = linked(&[0, 0, 0, 1, 2, 3, 4], &["a", "c", "e", "d", "f"]);
        let preview = Preview::of(&before, &features(7), &after);
        assert_eq!(
            preview.merged,
            BTreeMap::from([("a".into(), vec!["a".into(), "b".into()])])
        );
        assert_eq!(
            preview.split,
            BTreeMap::from([("c".into(), vec!["c".into(), "e".into()])])
        );
        assert_eq!((preview.customers_before, preview.customers_after), (4, 4));
        assert_eq!(
            (preview.records, preview.moved, preview.unchanged),
            (6, 2, 1)
        );
    }

    #[test]
    fn nothing_differs_from_itself() {
        let before = registry(&["a", "b", "b"]);
        let preview = Preview::of(&before, &features(3), &linked(&[0, 1, 1], &["a", "b"]));
        assert!(!preview.differs());
        assert_eq!((preview.unchanged, preview.moved), (2, 0));
    }
}
