//! `musubi profile`, from plain files to a proposal that validates and runs.

mod support;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use musubi::profile::{self, Profile, Progress};
use support::World;

struct Silent;

impl Progress for Silent {
    fn total(&self, _: u64) {}
    fn file(&self, _: &str) {}
    fn advance(&self, _: u64) {}
}

fn profile(path: &Path) -> Profile {
    profile::files(&[path.to_owned()], &Silent).unwrap_or_else(|e| panic!("{e:#}"))
}

fn adventureworks() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../examples/adventureworks/data")
}

/// Runs the proposal; the run's tables stand in the world.
async fn run(proposal: &str) -> World {
    let world = World::new(proposal);
    world
        .run("r1", 1)
        .await
        .unwrap_or_else(|e| panic!("{e:#}\n{proposal}"));
    world
}

#[test]
fn a_profile_of_real_exports() {
    let found = profile(&adventureworks().join("store"));
    let [source] = found.sources.as_slice() else {
        panic!("one source")
    };
    assert_eq!(source.name, "store");
    let streams: Vec<String> = source
        .streams
        .iter()
        .map(|s| {
            let key = s.key.as_ref().map_or("none".into(), |k| {
                format!("{} ({})", k.columns.join("+"), k.duplicates)
            });
            format!("{} {} {} rows, key {key}", s.name, s.path, s.rows)
        })
        .collect();
    assert_eq!(
        streams,
        [
            "adventureworks-customers AdventureWorks_Customers.csv.zst 18148 rows, key CustomerKey (0)",
            "adventureworks-products AdventureWorks_Products.csv.zst 293 rows, key ProductKey (0)",
            "adventureworks-sales AdventureWorks_Sales_{yyyy}.csv.zst 56046 rows, key OrderNumber+ProductKey (0)",
        ]
    );
    let columns: Vec<String> = source.streams[0]
        .columns
        .iter()
        .map(|c| {
            let looks = c
                .notations
                .first()
                .or(c.shapes.first())
                .map_or("", |s| &s.text);
            let meaning = c.meaning.map(|m| m.as_str()).unwrap_or_default();
            format!(
                "{} {} {looks} {meaning} {} {}",
                c.name,
                c.kind.as_str(),
                c.null_percent,
                c.distinct
            )
        })
        .collect();
    for line in [
        "CustomerKey integer 99999 customer_id 0 18148",
        "Prefix text A+.  0.7 3",
        "FirstName text A+ given_name 0 666",
        "BirthDate date %m/%d/%Y birth_date 0 8190",
        "EmailAddress text a+99@a+-a+.a+ email 0 18148",
        "AnnualIncome decimal $99,999   0 16",
    ] {
        assert!(
            columns.iter().any(|c| c == line),
            "{line} is not in\n{}",
            columns.join("\n")
        );
    }
}

#[test]
fn no_value_is_ever_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = "会員番号,氏名,電話,メール,メモ\n1001,山田 太郎,090-1234-5678,taro@example.com,常連\n1002,鈴木 花子,03-1111-2222,hanako@example.com,\n";
    fs::write(
        folder.path().join("members.csv"),
        encoding_rs::SHIFT_JIS.encode(text).0,
    )
    .expect("write");
    let found = profile(folder.path());
    let stream = &found.sources[0].streams[0];
    assert_eq!(stream.encodings["Shift_JIS"], 1);
    let shapes: Vec<&str> = stream
        .columns
        .iter()
        .map(|c| c.shapes[0].text.as_str())
        .collect();
    assert_eq!(
        shapes,
        ["9999", "漢漢 漢漢", "99-9999-9999", "a+@a+.a+", "漢漢"]
    );
    let shown = serde_json::to_string(&found).expect("JSON") + &profile::propose(&found);
    for value in ["1001", "山田", "花子", "1234", "taro", "常連"] {
        assert!(!shown.contains(value), "{value} is shown");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_proposal_for_real_exports_runs() {
    let proposal = profile::propose(&profile(&adventureworks()));
    let world = run(&proposal).await;
    let count = async |table: &str, column: &str| world.values(table, &[column]).await.len();
    assert_eq!(
        count("order_lines", "product_code").await,
        56_046,
        "{proposal}"
    );
    assert_eq!(count("products", "product_code").await, 293);
    assert!(count("links", "record_id").await >= 18_148 + 19_972);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_proposal_for_the_exports_of_ten_systems_runs() {
    let folder = tempfile::tempdir().expect("a folder");
    let demo = Command::new(env!("CARGO_BIN_EXE_musubi"))
        .args([
            "demo",
            "--customers",
            "150",
            "--days",
            "3",
            "--only-data",
            "--out",
        ])
        .arg(folder.path())
        .output()
        .expect("musubi demo");
    assert!(
        demo.status.success(),
        "{}",
        String::from_utf8_lossy(&demo.stderr)
    );
    let found = profile(&folder.path().join("data"));
    assert_eq!(found.sources.len(), 10);
    let stream = |source: &str, stream: &str| {
        let source = found
            .sources
            .iter()
            .find(|s| s.name == source)
            .expect(source);
        source
            .streams
            .iter()
            .find(|s| s.name == stream)
            .expect(stream)
    };
    let tills = stream("pos", "pos");
    assert_eq!(tills.path, "pos_{yyyyMMdd}*.csv");
    assert!(
        tills.encodings.contains_key("Shift_JIS"),
        "{:?}",
        tills.encodings
    );
    let mut roles: Vec<&str> = tills.format["records"]["types"]
        .as_array()
        .expect("types")
        .iter()
        .map(|t| t["role"].as_str().expect("a role"))
        .collect();
    roles.sort_unstable();
    assert_eq!(roles, ["detail", "header", "header", "trailer"]);
    let world = run(&profile::propose(&found)).await;
    assert!(!world.values("customers", &["customer_id"]).await.is_empty());
    assert!(!world.values("order_lines", &["amount"]).await.is_empty());
}
