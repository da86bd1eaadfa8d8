//! One record at a time: what an index says of a record is what a run makes of it.

mod common;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use arrow::array::RecordBatch;
use common::made::{Made, batch, citizen, id, made, town};
use musubi_identity::{
    Answer, CustomerId, Decision, Features, Index, Matcher, Model, Pin, Policy, Registry, link,
    train,
};
use proptest::prelude::*;

/// Records that may exist.
const RECORDS: u32 = 150;

static MODEL: LazyLock<Model> = LazyLock::new(|| model(&Policy::default()));

fn model(policy: &Policy) -> Model {
    let features = Features::build(&[batch(&town(RECORDS)).expect("a batch")]).expect("features");
    train(&features, policy, 1)
}

/// What a run over some records, in full, makes of those who stood before.
struct Version {
    matcher: Matcher,
    edges: Vec<musubi_identity::Edge>,
    registry: Registry,
}

fn version(records: &[Made], before: &Registry, model: &Model, policy: &Policy) -> Version {
    let features = Features::build(&[batch(records).expect("a batch")]).expect("features");
    let matcher = Matcher::new(features, model);
    let edges = matcher.shard(policy, 0, 1, None).expect("a shard").edges;
    let registry = link(&matcher, &edges, before, policy).registry;
    Version {
        matcher,
        edges,
        registry,
    }
}

impl Version {
    fn index(self, model: &Model, policy: &Policy) -> Index {
        Index::new(self.matcher, model, &self.registry, self.edges, policy)
    }
}

fn one(record: &Made) -> RecordBatch {
    batch(std::slice::from_ref(record)).expect("a batch")
}

fn customers(registry: &Registry) -> BTreeMap<String, CustomerId> {
    let customer = |c: &u32| registry.customers[*c as usize].id;
    let ids = registry.records.iter().map(|id| format!("{id:032x}"));
    ids.zip(registry.customer.iter().map(customer)).collect()
}

/// An answer is right when a run over all records says the same.
fn check(answer: &Answer, before: &Registry, after: &Registry) -> Result<(), TestCaseError> {
    let now = customers(after);
    prop_assert_eq!(&answer.customer, &now[&answer.record].to_string());
    let stood: Vec<String> = before.customers.iter().map(|c| c.id.to_string()).collect();
    prop_assert_eq!(answer.new, !stood.contains(&answer.customer));
    for gone in &answer.merges {
        let id: CustomerId = gone.parse().expect("an id");
        prop_assert_eq!(after.resolve(id).to_string(), answer.customer.clone());
    }
    for candidate in &answer.candidates {
        let same = now[&candidate.record].to_string() == answer.customer;
        prop_assert_eq!(candidate.linked, same, "{:?}", candidate);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn adding_one_by_one_ends_where_runs_end(
        first in 1..RECORDS,
        news in prop::collection::vec((0..RECORDS, 0..RECORDS), 1..25),
        small_blocks in any::<bool>(),
        pinned in prop::option::of((0..RECORDS, 0..RECORDS, any::<bool>())),
    ) {
        let mut policy = Policy { max_block_size: if small_blocks { 4 } else { 500 }, ..Policy::default() };
        if let Some((left, right, always)) = pinned.filter(|p| p.0 != p.1) {
            let decision = if always { Decision::Always } else { Decision::Never };
            policy.pins.push(Pin { left: id(left), right: id(right), decision });
        }
        let model = if small_blocks { model(&policy) } else { MODEL.clone() };
        let mut records: BTreeMap<u32, Made> = town(first).into_iter().map(|r| (r.id, r)).collect();
        let all = |records: &BTreeMap<u32, Made>| records.values().cloned().collect::<Vec<_>>();
        let begun = version(&all(&records), &Registry::default(), &model, &policy);
        let mut registry = begun.registry.clone();
        let mut index = begun.index(&model, &policy);
        for (record, like) in news {
            let record = Made { id: record, ..citizen(like) };
            records.insert(record.id, record.clone());
            let after = version(&all(&records), &registry, &model, &policy);
            let said = index.lookup(&one(&record)).expect("an answer");
            check(&said, &registry, &after.registry)?;
            prop_assert_eq!(&said, &index.lookup(&one(&record)).expect("an answer"), "a look-up leaves a trace");
            let added = index.add(&one(&record)).expect("an answer");
            prop_assert_eq!(&said, &added);
            // Said again, it is who it was made.
            let again = index.add(&one(&record)).expect("an answer");
            prop_assert_eq!((&again.customer, again.new), (&added.customer, added.new && again.candidates.is_empty() && again.new));
            prop_assert_eq!(index.len(), records.len());
            registry = after.registry;
        }
        // Everybody is who a run says that they are.
        let now = customers(&registry);
        for record in records.values() {
            let said = index.lookup(&one(record)).expect("an answer");
            prop_assert_eq!(&said.customer, &now[&said.record].to_string());
        }
    }
}

#[test]
fn nobody_knows_a_stranger() {
    let policy = Policy::default();
    let version = version(&town(RECORDS), &Registry::default(), &MODEL, &policy);
    let mut index = version.index(&MODEL, &policy);
    let stranger = made(
        900,
        "name=Zbigniew Qwerty; email=zq@nowhere.pl; birth_date=1901-01-01",
    );
    let said = index.lookup(&one(&stranger)).expect("an answer");
    assert!(
        said.new && said.candidates.is_empty() && said.merges.is_empty(),
        "{said:?}"
    );
    let empty = index.lookup(&one(&made(901, ""))).expect("an answer");
    assert!(empty.new && empty.candidates.is_empty());
}

#[test]
fn an_index_of_nobody_answers() {
    let policy = Policy::default();
    let mut index = Index::new(
        Matcher::new(Features::build(&[]).expect("features"), &MODEL),
        &MODEL,
        &Registry::default(),
        Vec::new(),
        &policy,
    );
    assert!(index.is_empty());
    let first = index.add(&one(&citizen(1))).expect("an answer");
    assert!(first.new && index.len() == 1);
    let second = index
        .lookup(&one(&Made {
            id: 77,
            ..citizen(1)
        }))
        .expect("an answer");
    assert_eq!((second.customer, second.new), (first.customer, false));
}
