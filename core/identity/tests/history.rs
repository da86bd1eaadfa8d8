//! Under one pinned model a history of inserts, updates and deletes ends where a full rebuild ends.

mod common;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use arrow::array::RecordBatch;
use common::made::{Made, batch, citizen, id, town};
use musubi_identity::{
    CustomerId, Edges, EdgesReader, Features, FeaturesBuilder, Linked, Matcher, Model, Policy,
    RecordSet, Registry, RegistryReader, edges_to_batches, link, relink, train, voids_to_batch,
};
use proptest::prelude::*;

/// Records that may exist.
const RECORDS: u32 = 150;

static POLICY: LazyLock<Policy> = LazyLock::new(Policy::default);
static MODEL: LazyLock<Model> = LazyLock::new(|| {
    let features = Features::build(&[batch(&town(RECORDS)).expect("a batch")]).expect("features");
    train(&features, &POLICY, 1)
});

/// What a day brings: the record now reads like another one, or is gone.
#[derive(Clone, Copy, Debug)]
enum Change {
    Reads { record: u32, like: u32 },
    Gone { record: u32 },
}

fn change() -> impl Strategy<Value = Change> {
    let record = 0..RECORDS;
    prop_oneof![
        3 => record.clone().prop_map(|record| Change::Reads { record, like: record }),
        1 => (record.clone(), record.clone()).prop_map(|(record, like)| Change::Reads { record, like }),
        1 => record.prop_map(|record| Change::Gone { record }),
    ]
}

/// The identity graph as it is kept: in parts, the oldest first.
#[derive(Default)]
struct Lake {
    features: Features,
    edges: Vec<Vec<RecordBatch>>,
    registry: Vec<Vec<RecordBatch>>,
    aliases: Option<RecordBatch>,
}

impl Lake {
    fn registry(&self) -> Registry {
        let mut reader = RegistryReader::default();
        let batches = self.registry.iter().flatten();
        batches.for_each(|b| reader.push(b).expect("a part"));
        let mut registry = reader.finish();
        let aliases = self.aliases.as_slice();
        registry.read_aliases(aliases).expect("aliases");
        registry
    }

    /// A day over what stood before it. Gives who is who as the day found it, and as everything put together anew.
    fn day(&mut self, changes: &[Change], shards: u32) -> (Linked, Linked) {
        let mut last: BTreeMap<u32, Option<Made>> = BTreeMap::new();
        for change in changes {
            let (record, reads) = match *change {
                Change::Reads { record, like } => (record, Some(like)),
                Change::Gone { record } => (record, None),
            };
            let reads = reads.map(|like| Made {
                id: record,
                ..citizen(like)
            });
            last.insert(record, reads);
        }
        let rows: Vec<Made> = last.values().flatten().cloned().collect();
        let gone = last.iter().filter(|r| r.1.is_none()).map(|r| id(*r.0));
        let gone = RecordSet::new(gone).expect("ids");
        let changed = RecordSet::new(rows.iter().map(|r| id(r.id))).expect("ids");
        let mut before = FeaturesBuilder::default();
        let all = self.features.to_batch().expect("a batch");
        let is_touched = |record| changed.contains(record) || gone.contains(record);
        before.push_built(&all, is_touched).expect("features");
        let before = before.finish();
        let news = batch(&rows).expect("a batch");
        self.features = self.features.update(&[news], &gone).expect("features");

        let matcher = matcher(&self.features);
        let features = matcher.features();
        let mut reader = EdgesReader::new(features);
        let mut part = Vec::new();
        for edges in edges(&matcher, Some(&changed), shards) {
            part.extend(edges_to_batches(&edges.edges, features).map(|b| b.expect("edges")));
        }
        part.iter().for_each(|b| reader.push(b).expect("edges"));
        reader.before(&changed);
        for old in self.edges.iter().rev() {
            old.iter().for_each(|b| reader.push(b).expect("edges"));
            reader.older();
        }
        let (all, loose) = reader.finish();
        let voids: Vec<u128> = (0..before.len() as u32).map(|r| before.id(r)).collect();
        part.push(voids_to_batch(&voids).expect("voids"));
        self.edges.push(part);

        let previous = self.registry();
        let change = musubi_identity::Change {
            changed: &changed,
            before: &before,
            loose: &loose,
        };
        let linked = relink(&matcher, &all, &previous, &POLICY, &change);
        let part = linked.registry.part(&previous).map(|b| b.expect("a part"));
        self.registry.push(part.collect());
        self.aliases = Some(linked.registry.aliases_to_batch().expect("aliases"));
        (linked, link(&matcher, &all, &previous, &POLICY))
    }
}

fn matcher(features: &Features) -> Matcher {
    Matcher::new(features.clone(), &MODEL)
}

fn edges(matcher: &Matcher, changed: Option<&RecordSet>, shards: u32) -> Vec<Edges> {
    (0..shards)
        .map(|s| matcher.shard(&POLICY, s, shards, changed).expect("a shard"))
        .collect()
}

fn by_customer(registry: &Registry) -> BTreeMap<u128, CustomerId> {
    let customer = |c: &u32| registry.customers[*c as usize].id;
    let customers = registry.customer.iter().map(customer);
    registry.records.iter().copied().zip(customers).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn a_history_ends_where_a_rebuild_ends(
        days in prop::collection::vec(prop::collection::vec(change(), 1..40), 1..5),
        shards in 1u32..5,
    ) {
        let mut lake = Lake::default();
        for changes in &days {
            let (linked, anew) = lake.day(changes, shards);
            prop_assert_eq!(&linked.registry, &anew.registry);
            prop_assert_eq!(&linked.events, &anew.events);
            prop_assert_eq!(&linked.review, &anew.review);
            prop_assert_eq!(by_customer(&lake.registry()), by_customer(&linked.registry));
        }
        let standing = by_customer(&lake.registry());
        let batch = lake.features.to_batch().expect("a batch");
        let fresh = Features::build(&[batch]).expect("features");
        prop_assert_eq!(fresh.len(), lake.features.len());
        let matcher = matcher(&fresh);
        let all = &edges(&matcher, None, 1)[0].edges;
        // Told the ids that stand, a rebuild keeps every one of them: the partition is the same.
        let rebuilt = link(&matcher, all, &lake.registry(), &POLICY);
        prop_assert_eq!(by_customer(&rebuilt.registry), standing.clone());
        prop_assert!(rebuilt.events.is_empty(), "{:?}", rebuilt.events);
        // From nothing, its ids are others, one for one.
        let anew = link(&matcher, all, &Registry::default(), &POLICY);
        let mut pairs: BTreeMap<CustomerId, CustomerId> = BTreeMap::new();
        for (record, new) in by_customer(&anew.registry) {
            let old = pairs.entry(new).or_insert_with(|| standing[&record]);
            prop_assert_eq!(&*old, &standing[&record]);
        }
    }
}

#[test]
fn a_change_leaves_those_alone_whom_it_cannot_have_reached() {
    let mut lake = Lake::default();
    let everybody: Vec<Change> = (0..RECORDS)
        .map(|record| Change::Reads {
            record,
            like: record,
        })
        .collect();
    lake.day(&everybody, 2);
    let (linked, _) = lake.day(&[Change::Gone { record: 7 }], 2);
    assert!((1..30).contains(&linked.looked_at), "{}", linked.looked_at);
    assert_eq!(
        lake.registry[1].iter().map(RecordBatch::num_rows).max(),
        Some(1)
    );
}
