//! How streams speak of change, and what happens to files that come again: from files to published tables.

mod support;

use support::World;

/// A list of products, delivered as the stream says.
fn products(stream: &str) -> World {
    World::new(&format!(
        r"
apiVersion: musubi.dev/v1alpha1
kind: Source
metadata: {{ name: erp }}
spec:
  system: erp
  connector: {{ folder: {{ path: data }} }}
  streams:
    - name: products
      files: {{ path: 'products*.csv' }}
      format: {{ csv: {{}} }}
{stream}
      entities:
        - entity: product
          key: [code]
          fields:
            product_code: {{ from: code }}
            price: {{ from: price }}
---
apiVersion: musubi.dev/v1alpha1
kind: CustomerPipeline
metadata: {{ name: shop }}
spec:
  sources: [erp]
  lake: {{ folder: lake }}
"
    ))
}

const GATES: &[&str] = &["rows/products", "rows/orders"];

/// Runs after each file, and gives what is published at the end.
async fn after(world: &World, files: &[(&str, &str)]) -> Vec<String> {
    for (at, (name, content)) in files.iter().enumerate() {
        world.write(&format!("data/{name}"), content.as_bytes());
        let run = world.run_allowing(&format!("r{at}"), GATES).await;
        run.unwrap_or_else(|e| panic!("{name}: {e:#}"));
    }
    world.values("products", &["product_code", "price"]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn append_the_first_row_of_a_key_stands() {
    let files = [
        ("products_1.csv", "code,price\nA,100\n"),
        ("products_2.csv", "code,price\nA,999\nB,200\n"),
    ];
    let world = products("      changes: append");
    assert_eq!(after(&world, &files).await, ["A|100.0000", "B|200.0000"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn upsert_the_last_row_of_a_key_stands() {
    let files = [
        ("products_1.csv", "code,price\nA,100\nB,200\n"),
        ("products_2.csv", "code,price\nA,110\nA,120\n"),
    ];
    let world = products("      changes: upsert");
    assert_eq!(after(&world, &files).await, ["A|120.0000", "B|200.0000"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn upsert_with_a_cursor_the_newest_row_stands_whatever_file_it_is_in() {
    let files = [
        (
            "products_1.csv",
            "code,price,changed\nA,100,2026-11-02 10:00\n",
        ),
        (
            "products_2.csv",
            "code,price,changed\nA,90,2026-11-01 10:00\n",
        ),
    ];
    let world = products("      changes: upsert\n      cursor: changed");
    assert_eq!(after(&world, &files).await, ["A|100.0000"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn snapshot_what_is_absent_was_deleted() {
    let files = [
        ("products_1.csv", "code,price\nA,100\nB,200\n"),
        ("products_2.csv", "code,price\nB,210\nC,300\n"),
    ];
    let world = products("      changes: snapshot");
    assert_eq!(after(&world, &files).await, ["B|210.0000", "C|300.0000"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_do_what_their_operation_says() {
    let files = [
        (
            "products_1.csv",
            "op,code,price\nc,A,100\ninsert,B,200\nc,C,300\n",
        ),
        (
            "products_2.csv",
            "op,code,price\nd,A,\nu,B,220\n削除,C,\n追加,C,330\n",
        ),
    ];
    let world = products("      changes: changes\n      operation: op");
    assert_eq!(after(&world, &files).await, ["B|220.0000", "C|330.0000"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_corrected_file_replaces_all_that_it_brought() {
    let files = [
        ("products_1.csv", "code,price\nA,100\nB,200\n"),
        ("products_1.csv", "code,price\nA,150\n"),
    ];
    assert_eq!(after(&products(""), &files).await, ["A|150.0000"]);
    let keeps = products("      replaceFiles: false");
    assert_eq!(after(&keeps, &files).await, ["A|150.0000", "B|200.0000"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_file_again_changes_nothing_and_is_taken_once_more_only() {
    let world = products("");
    let file = ("products_1.csv", "code,price\nA,100\n");
    after(&world, &[file]).await;
    let before = world.tables().await;
    let taken = async |uid: &str| {
        let stages = world.run(uid, 2).await.unwrap_or_else(|e| panic!("{e:#}"));
        let ingest = stages.iter().find(|s| s.stage.as_str() == "ingest");
        ingest.expect("stage ingest").counts["files"]
    };
    world.write("data/products_1.csv.part", b"code,price\nA,1\n");
    world.write("data/products_again.csv", file.1.as_bytes());
    std::fs::rename(
        world.path("data/products_again.csv"),
        world.path("data/products_1.csv"),
    )
    .expect("a new file of the same content in its place");
    assert_eq!(taken("again").await, 1, "its version is new");
    assert_eq!(world.tables().await, before);
    assert_eq!(taken("once more").await, 0, "its bytes are known by now");
}

const TWO_SYSTEMS: &str = r"
apiVersion: musubi.dev/v1alpha1
kind: Source
metadata: { name: shop }
spec:
  system: ecommerce
  connector: { folder: { path: data } }
  streams:
    - name: orders
      files: { path: 'shop_{yyyyMMdd}.csv' }
      format: { csv: {} }
      dayEndsAt: '03:00'
      entities:
        - entity: order
          key: [no]
          fields:
            order_number: { from: no }
            ordered_at: { from: at }
            total: { from: total }
            status: { from: status }
---
apiVersion: musubi.dev/v1alpha1
kind: Source
metadata: { name: oms }
spec:
  system: oms
  connector: { folder: { path: data } }
  streams:
    - name: orders
      files: { path: 'oms_{yyyyMMdd}.csv' }
      format: { csv: {} }
      entities:
        - entity: order
          key: [order]
          fields:
            order_number: { from: order }
            status: { from: state }
            store_code: { from: store }
---
apiVersion: musubi.dev/v1alpha1
kind: IdentityPolicy
metadata: { name: p }
spec: { sourcePriority: [oms, shop] }
---
apiVersion: musubi.dev/v1alpha1
kind: CustomerPipeline
metadata: { name: shop }
spec:
  sources: [shop, oms]
  identityPolicy: p
  lake: { folder: lake }
";

#[tokio::test(flavor = "multi_thread")]
async fn an_order_of_two_systems_counts_once_and_a_late_file_lands_on_its_own_day() {
    let world = World::new(TWO_SYSTEMS);
    world.write(
        "data/shop_20261102.csv",
        b"no,at,total,status\nw2,2026-11-02 12:00,800,placed\nw3,2026-11-03 02:59,500,placed\n",
    );
    world.write(
        "data/oms_20261102.csv",
        b"order,state,store\nW2,shipped,S1\n",
    );
    world.run("r1", 2).await.unwrap_or_else(|e| panic!("{e:#}"));
    world.write(
        "data/shop_20261101.csv",
        b"no,at,total,status\nw1,2026-11-01 09:00,300,placed\n",
    );
    world.run("r2", 2).await.unwrap_or_else(|e| panic!("{e:#}"));
    let columns = [
        "order_number",
        "business_date",
        "total",
        "status",
        "store_code",
    ];
    assert_eq!(
        world.values("orders", &columns).await,
        [
            "W1|2026-11-01|300.0000|placed|∅",
            "W2|2026-11-02|800.0000|shipped|S1",
            "W3|2026-11-02|500.0000|placed|∅",
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_stream_stops_the_run_for_good() {
    let world = products("      contract: { newColumns: freeze }");
    world.write("data/products_1.csv", b"code,price,colour\nA,100,red\n");
    let error = world.run("r1", 2).await.expect_err("frozen");
    assert!(format!("{error:#}").contains("column colour"), "{error:#}");
    let refused = error.downcast_ref::<musubi::stage::RunRefused>();
    assert!(refused.is_some(), "trying again is useless");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_date_and_the_folders_of_a_file_are_columns_of_its_rows() {
    let world = World::new(
        r"
apiVersion: musubi.dev/v1alpha1
kind: Source
metadata: { name: erp }
spec:
  system: erp
  connector: { folder: { path: data } }
  streams:
    - name: stock
      files: { path: 'stock/*/{yyyyMMdd}.csv' }
      format: { csv: {} }
      entities:
        - entity: inventory
          key: ['#path', sku]
          fields:
            store_code: { from: '#path', split: { by: '/', part: 2 } }
            product_code: { from: sku }
            business_date: { from: '#date' }
            on_hand: { from: n }
---
apiVersion: musubi.dev/v1alpha1
kind: CustomerPipeline
metadata: { name: shop }
spec:
  sources: [erp]
  lake: { folder: lake }
",
    );
    // three files of the very same bytes say three things
    for name in ["s1/20261124", "s1/20261125", "s2/20261124"] {
        world.write(&format!("data/stock/{name}.csv"), b"sku,n\nA,3\n");
    }
    world.run("r1", 2).await.unwrap_or_else(|e| panic!("{e:#}"));
    let columns = ["store_code", "product_code", "business_date", "on_hand"];
    assert_eq!(
        world.values("inventory", &columns).await,
        [
            "S1|A|2026-11-24|3",
            "S1|A|2026-11-25|3",
            "S2|A|2026-11-24|3",
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_that_do_not_say_their_total_are_worth_their_lines() {
    let world = World::new(
        r"
apiVersion: musubi.dev/v1alpha1
kind: Source
metadata: { name: shop }
spec:
  system: ecommerce
  connector: { folder: { path: data } }
  streams:
    - name: orders
      files: { path: '*.jsonl' }
      format: { json: {} }
      entities:
        - entity: customer
          key: [user]
          fields: { email: { from: user } }
        - entity: order
          key: [id]
          customer: { key: [user] }
          fields: { order_number: { from: id }, channel: { const: web }, kind: { from: kind }, ordered_at: { from: at }, total: { from: total } }
        - entity: order_line
          each: lines
          key: [$.id, '#']
          fields: { order_number: { from: $.id }, amount: { from: amount } }
---
apiVersion: musubi.dev/v1alpha1
kind: CustomerPipeline
metadata: { name: shop }
spec:
  sources: [shop]
  lake: { folder: lake }
",
    );
    let orders = r#"
{"id": "w1", "user": "hana@example.com", "at": "2026-11-01 12:00", "lines": [{"amount": 1080}, {"amount": 540}]}
{"id": "w2", "user": "hana@example.com", "at": "2026-11-02 12:00", "total": 900, "lines": [{"amount": 1000}]}
{"id": "w3", "user": "hana@example.com", "at": "2026-11-03 12:00", "kind": "return", "lines": [{"amount": -540}]}
{"id": "w4", "user": "hana@example.com", "at": "2026-11-04 12:00", "kind": "void", "lines": [{"amount": 5000}]}
"#;
    world.write("data/orders.jsonl", orders.as_bytes());
    world.run("r1", 2).await.unwrap_or_else(|e| panic!("{e:#}"));
    let columns = ["order_count", "return_count", "monetary", "monetary_web"];
    assert_eq!(
        world.values("customer_features", &columns).await,
        ["2|1|1980.0000|1980.0000"]
    );
}
