//! Under one pinned model a history of inserts, updates and deletes ends where a full rebuild ends.

mod common;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use common::made::{Made, batch, citizen, id, town};
use musubi_identity::{
    Edges, Features, Linked, Model, Policy, RecordSet, Registry, link, match_shard, train,
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

fn edges(features: &Features, changed: Option<&RecordSet>, shards: u32) -> Vec<Edges> {
    (0..shards)
        .map(|s| match_shard(features, &MODEL, &POLICY, s, shards, changed).expect("a shard"))
        .collect()
}

fn by_customer(features: &Features, linked: &Linked) -> BTreeMap<String, String> {
    (0..features.len() as u32)
        .map(|r| {
            let customer = linked.customer[r as usize] as usize;
            (features.record_id(r), linked.customer_ids[customer].clone())
        })
        .collect()
}

/// Applies a day to what stood before it.
fn day(
    features: &Features,
    kept: Edges,
    registry: Option<&Registry>,
    changes: &[Change],
    shards: u32,
) -> (Features, Edges, Linked) {
    let mut last: BTreeMap<u32, Option<Made>> = BTreeMap::new();
    for change in changes {
        match *change {
            Change::Reads { record, like } => {
                last.insert(
                    record,
                    Some(Made {
                        id: record,
                        ..citizen(like)
                    }),
                );
            }
            Change::Gone { record } => {
                last.insert(record, None);
            }
        }
    }
    let rows: Vec<Made> = last.values().flatten().cloned().collect();
    let gone = last.iter().filter(|r| r.1.is_none()).map(|r| id(*r.0));
    let gone = RecordSet::new(gone).expect("ids");
    let old = kept.to_batch(features).expect("edges");
    let now = features
        .update(&[batch(&rows).expect("a batch")], &gone)
        .expect("features");
    let changed = RecordSet::new(rows.iter().map(|r| id(r.id))).expect("ids");
    let mut all = vec![
        Edges::from_batches(&[old], &now)
            .expect("edges")
            .without(&now, &changed),
    ];
    all.extend(edges(&now, Some(&changed), shards));
    let linked = link(&now, &all, registry, &POLICY, &MODEL);
    let mut together = Edges::default();
    all.into_iter().for_each(|e| together.edges.extend(e.edges));
    (now, together, linked)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn a_history_ends_where_a_rebuild_ends(
        days in prop::collection::vec(prop::collection::vec(change(), 1..40), 1..5),
        shards in 1u32..5,
    ) {
        let mut features = Features::build(&[]).expect("features");
        let (mut kept, mut registry) = (Edges::default(), None);
        let mut standing = BTreeMap::new();
        for changes in &days {
            let (now, edges, linked) = day(&features, kept, registry.as_ref(), changes, shards);
            standing = by_customer(&now, &linked);
            (features, kept, registry) = (now, edges, Some(linked.registry));
        }
        let fresh = Features::build(&[features.to_batch().expect("a batch")]).expect("features");
        prop_assert_eq!(fresh.len(), features.len());
        let all = edges(&fresh, None, 1);
        // Told the ids that stand, a rebuild keeps every one of them: the partition is the same.
        let rebuilt = link(&fresh, &all, registry.as_ref(), &POLICY, &MODEL);
        prop_assert_eq!(by_customer(&fresh, &rebuilt), standing.clone());
        prop_assert!(rebuilt.events.is_empty(), "{:?}", rebuilt.events);
        // From nothing, its ids are others, one for one.
        let anew = link(&fresh, &all, None, &POLICY, &MODEL);
        let mut pairs: BTreeMap<String, String> = BTreeMap::new();
        for (record, new) in by_customer(&fresh, &anew) {
            let old = pairs.entry(new).or_insert_with(|| standing[&record].clone());
            prop_assert_eq!(&*old, &standing[&record]);
        }
    }
}
