//! Rows that were set aside: listed, exported, corrected, and taken by the next run.

mod support;

use std::path::PathBuf;

use musubi::{
    quarantine::{self, Filter, Listing, Outcome},
    stage::{Context, view::View},
};
use support::World;

/// A shop whose file has every kind of bad row: one that breaks a rule, one that cannot be read, and a group whose
/// trailer does not hold.
const RESOURCES: &str = r"
apiVersion: musubi.dev/v1alpha1
kind: Source
metadata: { name: loyalty }
spec:
  system: loyalty
  connector: { folder: { path: data/loyalty } }
  streams:
    - name: members
      files: { path: '*.csv' }
      format: { csv: { encoding: cp932 } }
      contract:
        quarantineLimit: { percent: 100 }
        unique: [会員番号]
        columns:
          - { name: 会員番号, required: true }
          - { name: 生年月日, type: date, format: '%Y/%m/%d' }
      entities:
        - entity: customer
          key: [会員番号]
          fields:
            loyalty_number: { from: 会員番号 }
            name: { from: 氏名 }
            email: { from: メール }
            birth_date: { from: 生年月日, format: '%Y/%m/%d' }
---
apiVersion: musubi.dev/v1alpha1
kind: Source
metadata: { name: shop }
spec:
  system: ecommerce
  connector: { folder: { path: data/shop } }
  streams:
    - name: orders
      files: { path: '*.jsonl' }
      format: { json: {} }
      contract:
        quarantineLimit: { percent: 100 }
        columns:
          - { name: total, type: decimal, min: '0' }
      entities:
        - entity: order
          key: [id]
          fields:
            order_number: { from: id }
            channel: { const: web }
            kind: { const: sale }
            ordered_at: { from: at }
            total: { from: total }
---
apiVersion: musubi.dev/v1alpha1
kind: Source
metadata: { name: till }
spec:
  system: pos
  connector: { folder: { path: data/till } }
  streams:
    - name: receipts
      files: { path: '*.txt' }
      format:
        records:
          types:
            - { name: head, tag: H, role: header, columns: [store] }
            - { name: receipt, tag: D, role: detail, columns: [number, amount] }
            - { name: end, tag: T, role: trailer, columns: [count], count: count }
      contract: { quarantineLimit: { percent: 100 } }
      entities:
        - entity: order
          record: receipt
          key: [number]
          fields:
            order_number: { from: number }
            store_code: { from: head.store }
            channel: { const: store }
            kind: { const: sale }
            business_date: { const: '2026-11-01' }
            total: { from: amount }
---
apiVersion: musubi.dev/v1alpha1
kind: CustomerPipeline
metadata: { name: bento }
spec:
  sources: [loyalty, shop, till]
  lake: { folder: lake }
";

const ORDER: &str = r#""at":"2026-11-01T12:00:00+09:00""#;

fn world() -> World {
    let world = World::new(RESOURCES);
    let members = "会員番号,氏名,メール,生年月日\r\n\
        1001,山田 太郎,taro@example.com,1980/04/01\r\n\
        1002,鈴木 花子,hanako@example.com,unknown\r\n\
        1003,高橋 一郎\r\n";
    let members = encoding_rs::SHIFT_JIS.encode(members).0.into_owned();
    world.write("data/loyalty/members.csv", &members);
    let orders = [
        format!(r#"{{"id":"W1",{ORDER},"total":1200,"lines":[{{"sku":"b-1"}}]}}"#),
        format!(r#"{{"id":"W2",{ORDER},"total":-5,"lines":[{{"sku":"b-2"}}]}}"#),
        "{ not json".to_owned(),
    ];
    world.write("data/shop/orders.jsonl", orders.join("\n").as_bytes());
    world.write("data/till/a.txt", b"H,S1\nD,R1,500\nD,R2,700\nT,3\n");
    world
}

async fn view(world: &World) -> View {
    View::latest(&context(world, "any"))
        .await
        .unwrap_or_else(|e| panic!("{e:#}"))
}

fn context(world: &World, uid: &str) -> Context {
    let (run, secrets) = world.resolve(uid, 2);
    Context::open(run, secrets).expect("open the lake")
}

async fn list(world: &World, filter: Filter) -> Listing {
    quarantine::list(&view(world).await, &filter)
        .await
        .unwrap_or_else(|e| panic!("{e:#}"))
}

/// Exports a stream; gives the file and its text.
async fn export(world: &World, source: &str, name: &str) -> (PathBuf, String) {
    let path = world.path(name);
    let filter = Filter {
        source: Some(source.into()),
        ..Filter::default()
    };
    quarantine::export(&view(world).await, &filter, |_, _| {
        let file = std::fs::File::create(&path)?;
        Ok((Box::new(file), path.display().to_string()))
    })
    .await
    .unwrap_or_else(|e| panic!("{e:#}"));
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    (path, text)
}

async fn hand_in(world: &World, path: &PathBuf, text: &str) -> Outcome {
    std::fs::write(path, text).expect("write a file");
    let files = std::slice::from_ref(path);
    quarantine::replay(&context(world, "any"), &view(world).await, files)
        .await
        .unwrap_or_else(|e| panic!("{e:#}"))
}

async fn run(world: &World, uid: &str) {
    world.run(uid, 2).await.unwrap_or_else(|e| panic!("{e:#}"));
}

fn reasons(listing: &Listing) -> Vec<(&str, &str, u64)> {
    let groups = listing.groups.iter();
    groups
        .map(|g| (g.stream.as_str(), g.reason.as_str(), g.rows))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_quarantine_is_counted_by_reason() {
    let world = world();
    run(&world, "r1").await;
    let all = list(&world, Filter::default()).await;
    assert_eq!(
        reasons(&all),
        [
            ("members", "wrong_column_count", 1),
            ("members", "wrong_type", 1),
            ("orders", "invalid_json", 1),
            ("orders", "out_of_range", 1),
            ("receipts", "trailer_count", 3),
        ]
    );
    assert_eq!(all.version, Some(1));
    assert_eq!(
        (all.rows.total, all.rows.accepted, all.rows.quarantined),
        (11, 2, 7)
    );
    assert!(all.rows.holds);
    let one = Filter {
        stream: Some("orders".into()),
        reason: Some("invalid_json".into()),
        ..Filter::default()
    };
    assert_eq!(
        reasons(&list(&world, one).await),
        [("orders", "invalid_json", 1)]
    );
    let unknown = Filter {
        source: Some("shops".into()),
        ..Filter::default()
    };
    let error = quarantine::list(&view(&world).await, &unknown)
        .await
        .expect_err("no such source");
    assert!(error.to_string().contains("loyalty, shop, till"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_corrected_row_arrives_and_the_deleted_one_stays() {
    let world = world();
    run(&world, "r1").await;
    let (path, text) = export(&world, "loyalty", "bad.csv").await;
    assert!(
        text.contains("1003,高橋 一郎"),
        "the row that could not be read is shown: {text}"
    );
    // The birth date is corrected, the other row deleted.
    let lines: Vec<&str> = text
        .lines()
        .filter(|l| !l.contains("wrong_column_count"))
        .collect();
    let fixed = lines.join("\n").replace("unknown", "1990/02/03");
    let outcome = hand_in(&world, &path, &fixed).await;
    assert_eq!(
        (outcome.kept.len(), outcome.wrong.len()),
        (1, 0),
        "{outcome:?}"
    );
    assert!(
        outcome.kept[0]
            .path
            .starts_with("raw/loyalty/members/edits/")
    );
    assert_eq!(list(&world, Filter::default()).await.waiting, 1);
    run(&world, "r2").await;
    let tables = world.tables().await;
    assert_eq!(tables["customers"].len(), 2);
    assert!(tables["customers"].iter().any(|c| c.contains("1990-02-03")));
    let after = list(&world, Filter::default()).await;
    assert_eq!(reasons(&after)[0], ("members", "wrong_column_count", 1));
    assert_eq!(
        (after.rows.total, after.rows.accepted, after.rows.edited),
        (11, 3, 1)
    );
    assert!(after.rows.holds);
    assert_eq!(after.waiting, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn handing_in_twice_changes_nothing() {
    let world = world();
    run(&world, "r1").await;
    let (path, text) = export(&world, "shop", "bad.csv").await;
    let fixed = text.replace(",-5,", ",5,");
    assert_ne!(fixed, text);
    let first = hand_in(&world, &path, &fixed).await;
    assert_eq!(first.kept.len(), 1, "{first:?}");
    let before = world.store().list("raw").await.expect("list");
    for _ in 0..2 {
        let again = hand_in(&world, &path, &fixed).await;
        assert_eq!((again.kept.len(), again.unchanged), (0, 1), "{again:?}");
        run(&world, "r2").await;
    }
    let after = world.store().list("raw").await.expect("list");
    assert_eq!(before.len(), after.len());
    let orders = &world.tables().await["orders"];
    assert!(orders.iter().any(|o| o.contains("W2")), "{orders:#?}");
    run(&world, "r3").await;
    assert_eq!(*orders, world.tables().await["orders"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_is_still_wrong_says_why() {
    let world = world();
    run(&world, "r1").await;
    let (path, text) = export(&world, "shop", "bad.csv").await;
    let outcome = hand_in(&world, &path, &text).await;
    let reasons: Vec<_> = outcome.wrong.iter().map(|w| w.reason.as_str()).collect();
    assert_eq!(
        reasons,
        ["invalid_json", "out_of_range"],
        "in the order of the file"
    );
    assert!(
        outcome.wrong[1]
            .rule
            .contains("nothing in the row was changed"),
        "{outcome:?}"
    );
    let outcome = hand_in(&world, &path, &text.replace(",-5,", ",minus five,")).await;
    assert_eq!(
        outcome.wrong[1].field.as_deref(),
        Some("total"),
        "{outcome:?}"
    );
    assert!(outcome.wrong[1].place.ends_with("bad.csv:3"), "{outcome:?}");
    assert!(outcome.kept.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_could_not_be_read_is_filled_in() {
    let world = world();
    run(&world, "r1").await;
    let (path, text) = export(&world, "shop", "bad.csv").await;
    let mut csv = csv::Reader::from_reader(text.trim_start_matches('\u{feff}').as_bytes());
    let header = csv.headers().expect("a header").clone();
    let mut out = csv::Writer::from_writer(Vec::new());
    out.write_record(&header).expect("write");
    for row in csv.records() {
        let row = row.expect("a row");
        let filled = header.iter().zip(&row).map(|(name, cell)| match name {
            _ if !row.iter().any(|c| c == "invalid_json") => cell,
            "id" => "W3",
            "at" => "2026-11-01T13:00:00+09:00",
            "total" => "700",
            "lines" => r#"[{"sku":"b-3"}]"#,
            _ => cell,
        });
        out.write_record(filled).expect("write");
    }
    let fixed = String::from_utf8(out.into_inner().expect("bytes")).expect("text");
    let outcome = hand_in(&world, &path, &fixed).await;
    assert_eq!(outcome.kept.len(), 1, "{outcome:?}");
    run(&world, "r2").await;
    let orders = &world.tables().await["orders"];
    assert!(
        orders.iter().any(|o| o.contains("W3") && o.contains("700")),
        "{orders:#?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_under_a_broken_trailer_are_let_in_as_they_are() {
    let world = world();
    run(&world, "r1").await;
    let (path, text) = export(&world, "till", "bad.csv").await;
    let outcome = hand_in(&world, &path, &text).await;
    assert_eq!(outcome.wrong, [], "{text}");
    run(&world, "r2").await;
    let orders = &world.tables().await["orders"];
    assert!(
        orders.iter().any(|o| o.contains("R1") && o.contains("S1")),
        "{orders:#?}"
    );
    assert!(list(&world, Filter::default()).await.rows.holds);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_stops_the_run_before_it_is_published_and_its_quarantine_is_seen() {
    let limits = [
        (
            "percent: 100 }\n        columns",
            "rows: 1, percent: 100 }\n        columns",
        ),
        (
            "percent: 100 }\n        columns",
            "percent: 60 }\n        columns",
        ),
    ];
    for (from, to) in limits {
        let world = World::new(&RESOURCES.replace(from, to));
        let bad = format!(r#"{{"id":"W","total":-5,{ORDER}}}"#);
        let good = format!(r#"{{"id":"W","total":5,{ORDER}}}"#);
        let orders: Vec<String> = (0..30)
            .map(|n| {
                let row = if n < 20 { &bad } else { &good };
                row.replace("\"W\"", &format!("\"W{n}\""))
            })
            .collect();
        world.write("data/shop/orders.jsonl", orders.join("\n").as_bytes());
        world.write("data/loyalty/members.csv", b"");
        world.write("data/till/a.txt", b"");
        let error = world.run("r1", 1).await.expect_err("the limit stops it");
        let error = format!("{error:#}");
        assert!(
            error.contains("20 of 30 new rows") && error.contains("musubi quarantine list"),
            "{error}"
        );
        assert!(
            musubi_lake::pointer::published(&world.store())
                .await
                .expect("read")
                .is_none()
        );
        let seen = list(&world, Filter::default()).await;
        assert_eq!((seen.version, seen.rows.quarantined), (None, 20));
        // Corrected, the same rows pass the limit.
        let (path, text) = export(&world, "shop", "bad.csv").await;
        let outcome = hand_in(&world, &path, &text.replace(",-5,", ",6,")).await;
        assert_eq!(outcome.kept[0].ids.len(), 20);
        run(&world, "r2").await;
        assert_eq!(world.tables().await["orders"].len(), 30);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_are_no_export_are_refused() {
    let world = world();
    run(&world, "r1").await;
    let cases: [(&[u8], &str); 3] = [
        (b"a,b\n1,2\n", "has no column musubi_id"),
        (b"musubi_id,a\nx,1\nx,2\n", "stands twice"),
        (b"musubi_id,a\nx,\x93\x8c\n", "save it as \"CSV UTF-8\""),
    ];
    for (bytes, part) in cases {
        let path = world.path("wrong.csv");
        std::fs::write(&path, bytes).expect("write a file");
        let error = quarantine::replay(&context(&world, "any"), &view(&world).await, &[path])
            .await
            .expect_err("no export");
        assert!(format!("{error:#}").contains(part), "{error:#}");
    }
}
