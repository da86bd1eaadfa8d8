//! `musubi identity review`: pairs in the order of what they may cost, and decisions that stay.

#[path = "support/shop.rs"]
mod shop;
mod support;

use std::{collections::BTreeMap, fs};

use serde_json::Value;
use support::{World, musubi};

fn good(world: &World, args: &[&str]) -> String {
    let (code, out, error) = musubi(world, args);
    assert_eq!(code, Some(0), "{args:?}: {error}");
    out
}

fn queue(world: &World) -> Value {
    let text = good(
        world,
        &[
            "identity", "review", "list", "--limit", "1000", "-o", "json",
        ],
    );
    serde_json::from_str(&text).expect("JSON")
}

/// Two days of a shop, and in the loyalty programme people that only half agree with its members.
async fn world() -> World {
    let world = World::new(&shop::RESOURCES.replace(
        "kind: CustomerPipeline",
        "kind: IdentityPolicy\nmetadata: { name: who }\nspec: { reviewProbability: 0.01 }\n---\napiVersion: musubi.dev/v1alpha1\nkind: CustomerPipeline",
    ).replace("  lake: { folder: lake }", "  identityPolicy: who\n  lake: { folder: lake }"));
    (1..=2).for_each(|day| shop::day(&world, day));
    let mut doubtful = String::from("id,name,phone,email,mail\n");
    for n in 4..12 {
        doubtful.push_str(&format!(
            "X{n:04},山田 {n}子,090-1234-{n:03}9,other{n}@example.org,yes\n"
        ));
    }
    world.write("data/loyalty/members_20261103.csv", doubtful.as_bytes());
    world.run("r1", 2).await.expect("a run");
    world
}

async fn customers(world: &World) -> BTreeMap<String, String> {
    let links = world.values("links", &["record_id", "customer_id"]).await;
    let pair = |row: &String| {
        row.split_once('|')
            .map(|(a, b)| (a.to_owned(), b.to_owned()))
    };
    links.iter().filter_map(pair).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn decisions_hold_through_runs_replay_and_training_until_they_are_taken_back() {
    let world = world().await;
    let found = queue(&world);
    let pairs = found["pairs"].as_array().expect("pairs").clone();
    assert!(pairs.len() > 2, "{found}");
    let cost: Vec<f64> = pairs
        .iter()
        .filter_map(|p| p["expected"].as_f64())
        .collect();
    assert!(cost.is_sorted_by(|a, b| a >= b), "{cost:?}");
    assert!(
        pairs.iter().all(|p| p["worth"].is_number()),
        "orders are known: {found}"
    );
    let before = customers(&world).await;
    let apart = pairs
        .iter()
        .find(|p| p["joined"] == false)
        .expect("a pair of two customers");
    let id = |pair: &Value, side: &str| pair[side].as_str().expect("an id").to_owned();
    let (left, right) = (id(apart, "left"), id(apart, "right"));
    assert_eq!(
        (
            before[&left] == id(apart, "leftCustomer"),
            before[&left] == before[&right]
        ),
        (true, false)
    );
    let together = before.iter().find_map(|(a, customer)| {
        let other = before.iter().find(|(b, c)| *b > a && *c == customer)?;
        Some((a.clone(), other.0.clone()))
    });
    let (one, other) = together.expect("a customer of two records");

    let decide = |a: &str, b: &str, verdict: &str| {
        good(
            &world,
            &["identity", "review", "decide", a, b, "--as", verdict],
        )
    };
    assert!(decide(&left, &right, "always").contains("kept 1"));
    assert!(
        decide(&right, &left, "always").contains("nothing new"),
        "either order is one pair"
    );
    assert!(decide(&one, &other, "never").contains("kept 1"));
    // The diff says what the next run will do, and the queue does not ask again.
    let diff: Value =
        serde_json::from_str(&good(&world, &["identity", "diff", "-o", "json"])).expect("JSON");
    let merged = diff["merged"].as_object().expect("merges");
    let split = diff["split"].as_object().expect("splits");
    assert!(!merged.is_empty(), "{diff}");
    assert!(split.contains_key(&before[&one]), "{diff}");
    let asked = queue(&world);
    let asks = |q: &Value| {
        q["pairs"]
            .as_array()
            .expect("pairs")
            .iter()
            .any(|p| p["left"] == left.as_str() && p["right"] == right.as_str())
    };
    assert!(!asks(&asked));

    let hold = |now: &BTreeMap<String, String>| {
        assert_eq!(now[&left], now[&right]);
        assert_ne!(now[&one], now[&other]);
    };
    world.run("r2", 2).await.expect("a run");
    hold(&customers(&world).await);
    // With a new model, which a run trains when the lake's is not there.
    good(&world, &["replay"]);
    hold(&customers(&world).await);
    let retrained: Value = serde_json::from_str(&good(
        &world,
        &["identity", "diff", "--retrain", "-o", "json"],
    ))
    .expect("JSON");
    let gone = retrained["split"].as_object().expect("splits");
    assert!(
        !gone.contains_key(&customers(&world).await[&left]),
        "{retrained}"
    );

    decide(&left, &right, "open");
    decide(&one, &other, "open");
    world.run("r3", 2).await.expect("a run");
    let now = customers(&world).await;
    assert_ne!(now[&left], now[&right]);
    assert_eq!(now[&one], now[&other]);
}

#[tokio::test(flavor = "multi_thread")]
async fn labellers_get_a_file_and_hand_it_back() {
    let world = world().await;
    let list = ["identity", "review", "list", "--to", "pairs.csv"];
    good(&world, &list);
    let (code, _, error) = musubi(&world, &list);
    assert!(
        code == Some(1) && error.contains("is there already"),
        "{error}"
    );
    let plain = fs::read_to_string(world.path("pairs.csv")).expect("a file");
    assert!(
        !plain.contains("example.") && !plain.contains("山田"),
        "{plain}"
    );
    good(
        &world,
        &[
            "identity",
            "review",
            "list",
            "--to",
            "values.csv",
            "--values",
        ],
    );
    let whole = fs::read_to_string(world.path("values.csv")).expect("a file");
    assert!(
        whole.contains("山田") && whole.contains("left_email"),
        "{whole}"
    );

    let labels = ["identity", "review", "decide", "--labels", "values.csv"];
    let (code, _, error) = musubi(&world, &labels);
    assert!(
        code == Some(1) && error.contains("nobody has labelled"),
        "{error}"
    );
    let mut reader = csv::Reader::from_reader(whole.as_bytes());
    let header = reader.headers().expect("a header").clone();
    let same = header.iter().position(|c| c == "same").expect("a column");
    let write = |label: &str| {
        let mut reader = csv::Reader::from_reader(whole.as_bytes());
        let mut writer = csv::Writer::from_path(world.path("values.csv")).expect("a writer");
        writer.write_record(&header).expect("write");
        for (n, record) in reader.records().enumerate() {
            let record = record.expect("a line");
            let cells = record.iter().enumerate();
            let label = if n == 0 { label } else { "" };
            writer
                .write_record(cells.map(|(at, cell)| if at == same { label } else { cell }))
                .expect("write");
        }
        writer.flush().expect("write");
    };
    write("perhaps");
    let (code, _, error) = musubi(&world, &labels);
    assert!(
        code == Some(1) && error.contains("line 2") && !error.contains("perhaps"),
        "{error}"
    );
    write("yes");
    let said = good(&world, &labels);
    assert!(
        said.contains("kept 1") && said.contains("not labelled yet"),
        "{said}"
    );
    let (left, right) = {
        let record = reader.records().next().expect("a pair").expect("a line");
        (record[0].to_owned(), record[1].to_owned())
    };
    world.run("r2", 2).await.expect("a run");
    let now = customers(&world).await;
    assert_eq!(now[&left], now[&right]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_decided_is_refused() {
    let world = World::new(shop::RESOURCES);
    let fails = |args: &[&str], part: &str| {
        let args = [&["identity", "review"], args].concat();
        let (code, _, error) = musubi(&world, &args);
        assert!(code == Some(1) && error.contains(part), "{part}: {error}");
    };
    let nobody = "0".repeat(32);
    fails(&["list"], "nothing is published");
    fails(
        &["decide", "a", "b", "--as", "always"],
        "nothing is published",
    );
    shop::day(&world, 1);
    world.run("r1", 2).await.expect("a run");
    fails(&["decide", &nobody, "b", "--as", "never"], "has no record");
    fails(
        &["decide", &nobody, &nobody, "--as", "never"],
        "two records",
    );
    world.write("other.csv", b"a,b\n1,2\n");
    fails(&["decide", "--labels", "other.csv"], "has no column left");
    world.write(
        "lake/identity/pins/00000001.json",
        br#"{"format": 2, "decisions": []}"#,
    );
    fails(&["list"], "a newer musubi wrote it (format 2");
    let refused = world
        .run("r2", 2)
        .await
        .expect_err("decisions that cannot be read");
    assert!(format!("{refused:#}").contains("format 2"), "{refused:#}");
}
