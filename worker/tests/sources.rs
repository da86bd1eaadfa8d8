//! Sources that are servers: a bucket is listed by pattern, a table is read typed, read-only, from its cursor on.

mod support;

use std::path::Path;

use musubi::source;
use musubi_api::{Catalog, load_text};
use musubi_lake::Store;
use musubi_testing::{
    Postgres, SeaweedFs,
    cutter::{Cut, Cutter},
};
use support::World;

fn catalog(text: &str) -> Catalog {
    load_text(Path::new("it.yaml"), text).unwrap_or_else(|p| panic!("{p}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_of_a_bucket_by_pattern_and_date() {
    let server = SeaweedFs::start(&["exports"]).unwrap_or_else(|e| panic!("{e}"));
    let (access, secret) = server.keys();
    let catalog = catalog(&format!(
        r"
apiVersion: v1
kind: Secret
metadata: {{ name: bucket }}
stringData: {{ AWS_ACCESS_KEY_ID: '{access}', AWS_SECRET_ACCESS_KEY: '{secret}' }}
---
apiVersion: musubi.dev/v1alpha1
kind: Source
metadata: {{ name: shop }}
spec:
  system: ecommerce
  connector:
    s3: {{ bucket: exports, prefix: nightly, endpoint: '{}', region: us-east-1, credentials: {{ secret: bucket }} }}
  streams:
    - name: orders
      files: {{ path: 'orders/{{yyyy}}/{{MM}}/orders_{{dd}}*.csv' }}
      format: {{ csv: {{}} }}
",
        server.endpoint()
    ));
    let spec = catalog.source("shop").expect("the source");
    let (stream, secrets) = (&spec.streams[0], catalog.secrets());
    let s3 = spec.connector.s3.as_ref().expect("s3");
    let location = source::s3_location(s3, |s, k| secrets.get(s, k)).expect("a location");
    let store = Store::open(&location).expect("open");
    for (name, text) in [
        ("orders/2026/11/orders_24.csv", "a\n1\n"),
        ("orders/2026/11/orders_25_late.csv", "a\n2\n"),
        ("orders/2026/11/returns_24.csv", "a\n3\n"),
        ("orders/2026/11/orders_26.csv.part", "a\n"),
        ("other/2026/11/orders_24.csv", "a\n4\n"),
    ] {
        store.create(name, text.into()).await.expect(name);
    }
    let list = async || {
        let found = source::list(&spec.connector, stream, secrets).await;
        found.unwrap_or_else(|e| panic!("{e:#}"))
    };
    let found = list().await;
    let shown: Vec<String> = found
        .iter()
        .map(|o| format!("{} {} {}", o.path, o.size, o.date.expect("a date")))
        .collect();
    let expected = [
        "orders/2026/11/orders_24.csv 4 2026-11-24",
        "orders/2026/11/orders_25_late.csv 4 2026-11-25",
    ];
    assert_eq!(shown, expected);
    let fetched = source::fetch(&spec.connector, stream, &found[1], None, secrets)
        .await
        .unwrap_or_else(|e| panic!("{e:#}"));
    let text = std::io::read_to_string(fetched.open().expect("open")).expect("read");
    assert_eq!((text.as_str(), fetched.size), ("a\n2\n", 4));
    // a corrected object has another version
    let (_, tag) = store.get_tagged(&found[0].path).await.expect("get");
    store
        .swap(&found[0].path, "a\n9\n".into(), &tag)
        .await
        .expect("swap");
    assert_ne!(list().await[0].tag, found[0].tag);
}

fn shop(port: u16, streams: &str) -> World {
    World::new(&format!(
        r"
apiVersion: v1
kind: Secret
metadata: {{ name: db }}
stringData: {{ username: musubi, password: musubi-test }}
---
apiVersion: musubi.dev/v1alpha1
kind: Source
metadata: {{ name: shop }}
spec:
  system: oms
  connector:
    postgres: {{ host: 127.0.0.1, port: {}, database: musubi, credentials: {{ secret: db }}, tls: disable }}
  streams:
{streams}
---
apiVersion: musubi.dev/v1alpha1
kind: CustomerPipeline
metadata: {{ name: shop }}
spec:
  sources: [shop]
  lake: {{ folder: lake }}
",
        port
    ))
}

const ORDERS: &str = r"
    - name: orders
      table: { name: sales.orders, cursor: changed, overlap: 10m, key: [no] }
      cursor: changed
      contract:
        columns:
          - { name: placed, type: timestamp, required: true }
          - { name: total, type: decimal, required: true }
      entities:
        - entity: order
          key: [no]
          fields:
            order_number: { from: no }
            ordered_at: { from: placed }
            total: { from: total }
            points_used: { from: points }
            status: { from: state.now }
            payment: { from: 'tags[0]' }
    - name: products
      table: { name: products }
      entities:
        - entity: product
          key: [code]
          fields:
            product_code: { from: code }
            price: { from: price }
";

#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_read_typed_from_its_cursor_on_and_a_snapshot_whole() {
    let postgres = Postgres::start().unwrap_or_else(|e| panic!("{e}"));
    let sql = |text: &str| postgres.sql(text).unwrap_or_else(|e| panic!("{e}"));
    sql("CREATE SCHEMA sales;
         CREATE TABLE sales.orders (no text PRIMARY KEY, placed timestamptz, total numeric(12,4), points bigint,
            state jsonb, tags text[], changed timestamptz NOT NULL);
         INSERT INTO sales.orders VALUES
            ('w1', '2026-11-01 23:30+09', 12345678.1234, 5, '{\"now\": \"paid\"}', '{card,web}', '2026-11-01 10:00+00'),
            ('w2', '2026-11-02 12:00+09', 0.1, NULL, NULL, NULL, '2026-11-01 10:05+00');
         CREATE TABLE products (code text, price numeric);
         INSERT INTO products VALUES ('a', 100), ('b', 200)");
    let world = shop(postgres.port(), ORDERS);
    let run = async |uid: &str| {
        let stages = world.run_allowing(uid, &["rows/products"]).await;
        let stages = stages.unwrap_or_else(|e| panic!("{uid}: {e:#}"));
        let clean = stages.into_iter().find(|s| s.stage.as_str() == "clean");
        clean.expect("stage clean").counts["rows"]
    };
    let columns = [
        "order_number",
        "ordered_at",
        "total",
        "points_used",
        "status",
        "payment",
    ];
    assert_eq!(run("r1").await, 4);
    assert_eq!(
        world.values("orders", &columns).await,
        [
            "W1|2026-11-01T14:30:00Z|12345678.1234|5|paid|card",
            "W2|2026-11-02T03:00:00Z|0.1000|∅|∅|∅",
        ]
    );
    // w2 changed; w3 was committed late, behind the bookmark but within the overlap; w1 did not change
    sql("UPDATE sales.orders SET total = 0.2, changed = '2026-11-01 10:20+00' WHERE no = 'w2';
         INSERT INTO sales.orders VALUES ('w3', '2026-11-02 12:00+09', 7, 1, NULL, NULL, '2026-11-01 09:56+00');
         DELETE FROM products WHERE code = 'a'");
    assert_eq!(
        run("r2").await,
        4,
        "three orders since the overlap began, one product"
    );
    assert_eq!(
        world.values("orders", &["order_number", "total"]).await,
        ["W1|12345678.1234", "W2|0.2000", "W3|7.0000"]
    );
    let products = world.values("products", &["product_code", "price"]).await;
    assert_eq!(
        products,
        ["B|200.0000"],
        "what is absent from a snapshot was deleted"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_can_change_nothing_and_says_what_is_wrong() {
    let postgres = Postgres::start().unwrap_or_else(|e| panic!("{e}"));
    postgres
        .sql(
            "CREATE TABLE written (n int);
             CREATE FUNCTION writes() RETURNS int LANGUAGE plpgsql AS
                $$ BEGIN INSERT INTO written VALUES (1); RETURN 1; END $$;
             CREATE VIEW sly AS SELECT writes() AS n;
             CREATE TABLE good (id int)",
        )
        .unwrap_or_else(|e| panic!("{e}"));
    let cases = [
        ("{name: sly}", "read-only transaction"),
        ("{name: good, cursor: chnaged}", "correct table.cursor"),
        ("{name: good, columns: [id, nmae]}", "correct table.columns"),
        ("{name: god}", "does not exist"),
    ];
    for (at, (table, message)) in cases.into_iter().enumerate() {
        let world = shop(
            postgres.port(),
            &format!(
                "    - {{name: s, table: {table}, entities: [{{entity: product, key: [id], fields: {{name: {{from: id}}}}}}]}}"
            ),
        );
        let error = world.run(&format!("r{at}"), 1).await.expect_err(table);
        assert!(format!("{error:#}").contains(message), "{table}: {error:#}");
    }
    let written = postgres.sql("SELECT count(*) FROM written").expect("count");
    assert_eq!(written.trim(), "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_fails_or_is_lost_names_server_database_and_the_way_out() {
    let postgres = Postgres::start().unwrap_or_else(|e| panic!("{e}"));
    postgres
        .sql("CREATE TABLE good (id int); INSERT INTO good VALUES (1)")
        .unwrap_or_else(|e| panic!("{e}"));
    let stream = "    - {name: s, table: {name: good}, entities: [{entity: product, key: [id], fields: {name: {from: id}}}]}";
    let resources = |port: u16| {
        let text = std::fs::read_to_string(shop(port, stream).path("resources.yaml"));
        text.expect("resources")
    };
    let read = async |resources: &str| {
        let catalog = catalog(resources);
        let spec = catalog.source("shop").expect("the source");
        let (secrets, stream) = (catalog.secrets(), &spec.streams[0]);
        let object = &source::list(&spec.connector, stream, secrets)
            .await
            .expect("list")[0];
        let fetched = source::fetch(&spec.connector, stream, object, None, secrets).await;
        fetched.map(|_| ()).map_err(|e| format!("{e:#}"))
    };
    let open = Cutter::start(postgres.port()).expect("a proxy");
    let way = read(&resources(open.port())).await;
    way.expect("the way through the proxy is open");
    // what comes after the commit only says farewell to what was prepared
    let messages = open.seen();
    let last = messages.iter().position(|m| m == "query COMMIT");
    let last = last.expect("a commit");
    for (at, message) in messages.iter().enumerate().take(last + 1) {
        let here = format!("message {at}, {message}");
        // a proxy of its own: a connection that was cut may still say something
        let cutter = Cutter::start(postgres.port()).expect("a proxy");
        cutter.cut(Some((at, Cut::Before)));
        let error = read(&resources(cutter.port())).await.expect_err(&here);
        let place = format!("PostgreSQL at 127.0.0.1:{}, database musubi", cutter.port());
        assert!(error.contains(&place), "{here}: {error}");
        assert!(!error.contains("musubi-test"), "{here}: {error}");
    }
    let nobody = musubi_testing::free_port().expect("a port").to_string();
    let port = postgres.port().to_string();
    for (from, to, way_out) in [
        (
            "password: musubi-test",
            "password: hunter2",
            "in the Secret db",
        ),
        ("database: musubi", "database: musbi", "correct database"),
        ("tls: disable", "tls: require", "tls: disable"),
        (port.as_str(), nobody.as_str(), "correct host and port"),
    ] {
        let wrong = resources(postgres.port()).replace(from, to);
        let error = read(&wrong).await.expect_err(to);
        assert!(
            error.contains("PostgreSQL at 127.0.0.1:") && error.contains(way_out),
            "{to}: {error}"
        );
        assert!(!error.contains("hunter2"), "{to}: {error}");
    }
}
