//! Records that say the same: one stands for them, and the customers are those that all of them would make.

mod common;

use std::collections::BTreeSet;
use std::sync::LazyLock;

use arrow::array::RecordBatch;
use common::made::{Made, batch, citizen, made, town};
use musubi_identity::{Edge, Features, Matcher, Model, Policy, Registry, Room, link, train};
use proptest::prelude::*;

/// Records that others may be copies of.
const RECORDS: u32 = 150;

static POLICY: LazyLock<Policy> = LazyLock::new(Policy::default);
static MODEL: LazyLock<Model> = LazyLock::new(|| {
    let features = Features::build(&[people(&town(RECORDS))]).expect("features");
    train(&features, &POLICY, 1)
});

fn people(records: &[Made]) -> RecordBatch {
    batch(records).expect("a batch")
}

/// Edges of all shards, and how many pairs were scored.
fn without_copies(matcher: &Matcher, policy: &Policy, shards: u32) -> (Vec<Edge>, u64) {
    let found = matcher.shards_without_copies(policy, shards);
    (found.edges, found.pairs)
}

fn customers(matcher: &Matcher, policy: &Policy, edges: &[Edge]) -> Vec<u32> {
    link(matcher, edges, &Registry::default(), policy)
        .registry
        .customer
}

#[test]
fn five_thousand_test_records_are_one_customer_and_little_work() {
    const COPIES: u32 = 5_000;
    let test = "given_name=Test; family_name=Tester; email=test@shop.nl; phone=+31612345678; \
                city=Utrecht; postal_code=3511AB; birth_date=1980-01-01";
    let mut records = town(500);
    records.extend((0..COPIES).map(|n| made(10_000 + n, test)));
    let features = Features::build(&[people(&records)]).expect("features");
    let model = train(&features, &POLICY, 1);
    let matcher = Matcher::new(features, &model);
    let (edges, pairs) = without_copies(&matcher, &POLICY, 1);
    assert!(pairs < 20 * u64::from(COPIES), "{pairs} pairs");
    let customer = customers(&matcher, &POLICY, &edges);
    let test = customer[500];
    assert!(customer[500..].iter().all(|c| *c == test));
    assert!(customer[..500].iter().all(|c| *c != test));
    for shards in [4, 16] {
        assert_eq!(
            without_copies(&matcher, &POLICY, shards),
            (edges.clone(), pairs)
        );
    }
}

#[test]
fn copies_in_linked_files_are_with_whom_they_are_in_the_other_file() {
    const COPIES: u32 = 6_000;
    let test = "given_name=Test; family_name=Tester; email=test@shop.nl; phone=+31612345678; \
                birth_date=1980-01-01";
    let own = "given_name=Own; family_name=Sample; email=own@shop.nl; phone=+31687654321; \
               birth_date=1990-02-02";
    let policy = Policy {
        across_sources: true,
        ..Policy::default()
    };
    let mut records = town(500);
    // The number of a record says in which of three files it is.
    records.extend((0..COPIES).map(|n| made(10_000 + n, test)));
    records.extend((0..COPIES).map(|n| made(20_001 + 3 * n, own)));
    let features = Features::build(&[people(&records)]).expect("features");
    let matcher = Matcher::new(features, &MODEL);
    let (edges, pairs) = without_copies(&matcher, &policy, 1);
    assert!(pairs < 5 * u64::from(COPIES), "{pairs} pairs");
    let source = |record: u32| matcher.features().source(record);
    assert!(edges.iter().all(|e| source(e.left) != source(e.right)));
    let customer = customers(&matcher, &policy, &edges);
    let (test, own) = customer[500..].split_at(COPIES as usize);
    assert!(test.iter().all(|c| *c == test[0]));
    let alone: BTreeSet<u32> = own.iter().copied().collect();
    assert_eq!(alone.len(), COPIES as usize);
}

#[test]
fn twenty_thousand_records_with_nothing_but_a_name_are_little_work() {
    const COPIES: u32 = 20_000;
    let mut records = town(RECORDS);
    records.extend((0..COPIES).map(|n| made(10_000 + n, "given_name=Ann; family_name=Smith")));
    let features = Features::build(&[people(&records)]).expect("features");
    let model = train(&features, &POLICY, 1);
    let matcher = Matcher::new(features, &model);
    let (edges, pairs) = without_copies(&matcher, &POLICY, 1);
    assert!(pairs < u64::from(COPIES), "{pairs} pairs");
    let customer = customers(&matcher, &POLICY, &edges);
    let alone: BTreeSet<u32> = customer[RECORDS as usize..].iter().copied().collect();
    assert_eq!(alone.len(), COPIES as usize);
}

#[test]
fn copies_too_vague_to_be_one_person_stay_apart() {
    let policy = Policy {
        match_probability: 0.999_999,
        ..Policy::default()
    };
    for vague in ["family_name=佐藤", "birth_date=1980-01-01"] {
        let mut records = town(RECORDS);
        records.extend((0..50).map(|n| made(10_000 + n, vague)));
        let features = Features::build(&[people(&records)]).expect("features");
        let matcher = Matcher::new(features, &MODEL);
        let customer = customers(&matcher, &policy, &without_copies(&matcher, &policy, 1).0);
        assert_eq!(
            customer,
            customers(&matcher, &policy, &all_pairs(&matcher, &policy))
        );
        let own: BTreeSet<u32> = customer[RECORDS as usize..].iter().copied().collect();
        assert_eq!(own.len(), 50, "{vague}");
    }
}

fn all_pairs(matcher: &Matcher, policy: &Policy) -> Vec<Edge> {
    let found = matcher.shard(policy, 0, 1, None);
    found.expect("a shard").edges
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn customers_are_those_of_all_pairs(
        // Few people in many records: most have copies.
        like in prop::collection::vec(0u32..40, 1..RECORDS as usize),
        // What some records do not say.
        silent in prop::collection::vec(0usize..12, RECORDS as usize),
        shards in 1u32..17,
        largest in prop_oneof![Just(3u32), Just(100)],
        match_probability in prop_oneof![Just(0.5), Just(0.95)],
        across_sources in any::<bool>(),
        room in prop_oneof![Just(Room(0)), Just(Room::default())],
    ) {
        let policy = Policy {
            max_cluster_size: largest,
            review_probability: match_probability / 5.0,
            match_probability,
            across_sources,
            ..Policy::default()
        };
        let records = (0u32..).zip(&like).zip(&silent).map(|((id, like), silent)| {
            let mut fields = citizen(*like).fields;
            if *silent < fields.len() && silent % 3 == 0 {
                fields.remove(*silent);
            }
            Made { id, fields }
        });
        let features = Features::build(&[people(&records.collect::<Vec<_>>())]).expect("features");
        let matcher = Matcher::new(features, &MODEL).within(room);
        let (edges, _) = without_copies(&matcher, &policy, shards);
        let all = all_pairs(&matcher, &policy);
        prop_assert!(edges.len() <= all.len());
        prop_assert_eq!(customers(&matcher, &policy, &edges), customers(&matcher, &policy, &all));
    }
}
