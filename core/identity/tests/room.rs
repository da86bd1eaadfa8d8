//! Memory: with little of it records are looked at more often, and what is found is the same.

mod common;

use common::made::{Made, batch, made, town};
use musubi_identity::{Edges, Features, Matcher, Policy, Room, train_within};

/// Blocks larger than this are refined, so that a small town has hubs, hubs of parts, and parts that stay large.
const LARGEST: u32 = 8;

/// A town, and a crowd in one house of which nothing but given names and e-mails differs.
fn records() -> Features {
    let mut records: Vec<Made> = town(600);
    records.extend((0..600).map(|n| {
        let fields = format!(
            "given_name=g{}; family_name=Crowd; email=p{n}@crowd.example; block=7; postal_code=2611AB",
            n % 300
        );
        made(10_000 + n, &fields)
    }));
    Features::build(&[batch(&records).expect("a batch")]).expect("features")
}

fn found(matcher: &Matcher, policy: &Policy, shards: u32) -> Edges {
    let shard = |shard| matcher.shard(policy, shard, shards, None).expect("a shard");
    let mut all = (0..shards).map(shard).fold(Edges::default(), |mut all, e| {
        all.edges.extend(e.edges);
        all.pairs += e.pairs;
        all.largest_block = all.largest_block.max(e.largest_block);
        all
    });
    all.edges.sort_by_key(|e| (e.left, e.right));
    all
}

#[test]
fn what_is_found_does_not_depend_on_memory_or_shards() {
    let policy = Policy {
        max_block_size: LARGEST,
        ..Policy::default()
    };
    let (mut plenty, mut none) = (records(), records());
    let model = train_within(Room::default(), &mut plenty, &policy, 1);
    assert_eq!(train_within(Room(0), &mut none, &policy, 1), model);
    let hubs: usize = model.rules.iter().map(|r| r.hubs.len()).sum();
    assert!(hubs > 20, "{hubs} hubs");

    let matcher = Matcher::new(plenty, &model);
    let all = found(&matcher, &policy, 1);
    // The crowd is refined by all that it has and is still too large: its pairs are cut into tiles.
    assert!(all.largest_block == 600, "{} records", all.largest_block);
    assert!(all.edges.len() > 300, "{} edges", all.edges.len());
    let twice = all
        .edges
        .windows(2)
        .find(|e| (e[0].left, e[0].right) == (e[1].left, e[1].right));
    assert!(twice.is_none(), "{twice:?}");

    let matcher = Matcher::new(none, &model).within(Room(0));
    for shards in [4, 16] {
        let little = found(&matcher, &policy, shards);
        assert_eq!(little.pairs, all.pairs, "{shards} shards");
        assert!(little.edges == all.edges, "{shards} shards");
    }
}
