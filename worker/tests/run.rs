//! A run from files to published tables, in one process.

mod support;

use support::World;

const RESOURCES: &str = r"
apiVersion: musubi.dev/v1alpha1
kind: Source
metadata: { name: loyalty }
spec:
  system: loyalty
  connector: { folder: { path: data/loyalty } }
  streams:
    - name: members
      files: { path: 'members_{yyyyMMdd}.csv' }
      format: { csv: { encoding: cp932 } }
      contract:
        quarantineLimit: { percent: 50 }
        columns:
          - { name: 会員番号, required: true }
          - { name: 生年月日, type: date, format: '%Y/%m/%d' }
      entities:
        - entity: customer
          key: [会員番号]
          fields:
            loyalty_number: { from: 会員番号 }
            name: { from: 氏名 }
            name_kana: { from: カナ }
            phone: { from: 電話 }
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
      files: { path: 'orders_{yyyyMMdd}.jsonl' }
      format: { json: {} }
      contract: { quarantineLimit: { percent: 50 } }
      entities:
        - entity: customer
          key: [user.id]
          fields:
            name: { from: user.name }
            email: { from: user.email }
            phone: { from: user.phone }
        - entity: order
          key: [id]
          customer: { key: [user.id] }
          fields:
            order_number: { from: id }
            channel: { const: web }
            kind: { const: sale }
            ordered_at: { from: at }
            total: { from: total }
        - entity: order_line
          each: lines
          key: [$.id, '#']
          fields:
            order_number: { from: $.id }
            line_number: { from: '#' }
            product_code: { from: sku }
            quantity: { from: n }
            unit_price: { from: price }
            amount: { compute: 'n * price' }
---
apiVersion: musubi.dev/v1alpha1
kind: CustomerPipeline
metadata: { name: bento }
spec:
  sources: [loyalty, shop]
  lake: { folder: lake }
";

fn members(rows: &[&str]) -> Vec<u8> {
    let text = format!(
        "会員番号,氏名,カナ,電話,メール,生年月日\r\n{}\r\n",
        rows.join("\r\n")
    );
    encoding_rs::SHIFT_JIS.encode(&text).0.into_owned()
}

fn order(id: &str, user: &str, name: &str, email: &str, total: u32) -> String {
    format!(
        r#"{{"id":"{id}","at":"2026-11-01T12:00:00+09:00","user":{{"id":"{user}","name":"{name}","email":"{email}","phone":null}},"total":{total},"lines":[{{"sku":"b-1","n":1,"price":{total}}}]}}"#
    )
}

fn day_one(world: &World) {
    world.write(
        "data/loyalty/members_20261101.csv",
        &members(&[
            "1001,山田 太郎,ﾔﾏﾀﾞ ﾀﾛｳ,090-1234-5678,taro@example.com,1980/04/01",
            "1002,鈴木 花子,スズキ ハナコ,080-1111-2222,hanako@example.com,1990/02/03",
            ",名無し,,,,",
        ]),
    );
    let orders = [
        order("W1", "u1", "山田太郎", "TARO@example.com", 1200),
        order("W2", "u2", "高橋一郎", "ichiro@example.com", 800),
        "{ not json".to_owned(),
    ];
    world.write(
        "data/shop/orders_20261101.jsonl",
        orders.join("\n").as_bytes(),
    );
}

fn day_two(world: &World) {
    let orders = [
        order("W3", "u2", "高橋一郎", "ichiro@example.com", 500),
        order("W4", "u1", "山田太郎", "taro@example.com", 900),
    ];
    world.write(
        "data/shop/orders_20261102.jsonl",
        orders.join("\n").as_bytes(),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn records_of_one_person_become_one_customer() {
    let world = World::new(RESOURCES);
    day_one(&world);
    world.run("r1", 2).await.unwrap_or_else(|e| panic!("{e:#}"));
    let tables = world.tables().await;
    assert_eq!(tables["customers"].len(), 3, "{:#?}", tables["customers"]);
    assert_eq!(tables["links"].len(), 4);
    assert_eq!(tables["orders"].len(), 2);
    assert_eq!(tables["order_lines"].len(), 2);
    assert_eq!(tables["customer_features"].len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_rows_are_set_aside_and_counted() {
    let world = World::new(RESOURCES);
    day_one(&world);
    let stages = world.run("r1", 1).await.unwrap_or_else(|e| panic!("{e:#}"));
    let clean = stages
        .iter()
        .find(|s| s.stage.as_str() == "clean")
        .expect("stage clean");
    assert_eq!(clean.counts["quarantined"], 2);
    assert_eq!(
        clean.counts["rows"],
        clean.counts["accepted"] + clean.counts["quarantined"] + clean.counts["structural"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_number_of_shards_changes_nothing() {
    let mut outcomes = Vec::new();
    for shards in [1, 4, 16] {
        let world = World::new(RESOURCES);
        day_one(&world);
        world
            .run("r1", shards)
            .await
            .unwrap_or_else(|e| panic!("{e:#}"));
        outcomes.push(world.tables().await);
    }
    assert_eq!(outcomes[0], outcomes[1]);
    assert_eq!(outcomes[0], outcomes[2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_runs_over_two_days_give_what_one_run_gives() {
    let (daily, once) = (World::new(RESOURCES), World::new(RESOURCES));
    day_one(&daily);
    daily.run("r1", 2).await.unwrap_or_else(|e| panic!("{e:#}"));
    day_two(&daily);
    let second = daily.run("r2", 2).await.unwrap_or_else(|e| panic!("{e:#}"));
    let ingest = second
        .iter()
        .find(|s| s.stage.as_str() == "ingest")
        .expect("stage ingest");
    assert_eq!(ingest.counts["files"], 1, "only the new file is taken");
    day_one(&once);
    day_two(&once);
    once.run("r1", 2).await.unwrap_or_else(|e| panic!("{e:#}"));
    let (daily, once) = (daily.tables().await, once.tables().await);
    for table in [
        "orders",
        "order_lines",
        "links",
        "customers",
        "customer_features",
        "identifiers",
    ] {
        assert_eq!(daily[table], once[table], "{table}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_corrected_file_replaces_what_it_brought() {
    let world = World::new(RESOURCES);
    day_one(&world);
    world.run("r1", 2).await.unwrap_or_else(|e| panic!("{e:#}"));
    world.write(
        "data/shop/orders_20261101.jsonl",
        order("W1", "u1", "山田太郎", "taro@example.com", 1300).as_bytes(),
    );
    // Half of two orders is more than a gate lets pass by itself.
    world
        .run_as("r2", 2, |run| run.allow = vec!["rows".to_owned()])
        .await
        .unwrap_or_else(|e| panic!("{e:#}"));
    let tables = world.tables().await;
    assert_eq!(tables["orders"].len(), 1);
    assert!(tables["orders"][0].contains("1300"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_done_is_not_done_again() {
    let world = World::new(RESOURCES);
    day_one(&world);
    world.run("r1", 2).await.unwrap_or_else(|e| panic!("{e:#}"));
    let before = world.store().list("").await.expect("list").len();
    let again = world.run("r1", 2).await.unwrap_or_else(|e| panic!("{e:#}"));
    assert!(again.iter().all(|s| s.reused == s.shards));
    assert_eq!(world.store().list("").await.expect("list").len(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_vanish_stop_the_run() {
    let world = World::new(RESOURCES);
    day_one(&world);
    world.run("r1", 2).await.unwrap_or_else(|e| panic!("{e:#}"));
    world.write("data/shop/orders_20261101.jsonl", b"");
    let error = world.run("r2", 2).await.expect_err("a gate says no");
    assert!(format!("{error:#}").contains("--allow rows/"), "{error:#}");
    assert_eq!(
        world.tables().await["orders"].len(),
        2,
        "the version before still stands"
    );
}
