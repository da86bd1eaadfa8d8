//! Loads into SQLite and PostgreSQL: typed, verified, once, never backwards.

use std::{collections::BTreeMap, collections::BTreeSet, sync::Arc};

use anyhow::{Context as _, Result};
use arrow::{
    array::{
        ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array,
        RecordBatch, StringArray,
    },
    datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit},
};
use musubi::warehouse::{Outcome, Table, TableFile, Tables, load};
use musubi_api::{
    source::{SecretRef, TlsMode},
    warehouse::{LoadMode, PostgresWarehouse, SqliteWarehouse, WarehouseSpec},
};
use musubi_lake::{Location, Store};
use musubi_testing::Postgres;

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("record_id", DataType::Utf8, false),
        Field::new("customer_record", DataType::Utf8, true),
        Field::new("total", DataType::Decimal128(18, 4), true),
        Field::new("points", DataType::Int64, true),
        Field::new("paid", DataType::Boolean, true),
        Field::new("business_date", DataType::Date32, true),
        Field::new(
            "ordered_at",
            DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            true,
        ),
        Field::new("score", DataType::Float64, true),
    ]))
}

/// Orders `from..to`, each with a total in units of 1/10,000.
fn orders(from: i64, to: i64, unit: i128) -> Result<RecordBatch> {
    let n = || from..to;
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(n().map(|i| format!("o{i}")))),
        Arc::new(
            n().map(|i| (i % 2 == 0).then(|| format!("r{i}")))
                .collect::<StringArray>(),
        ),
        Arc::new(
            Decimal128Array::from_iter_values(n().map(|i| i128::from(i) * unit))
                .with_precision_and_scale(18, 4)?,
        ),
        Arc::new(Int64Array::from_iter_values(n())),
        Arc::new(BooleanArray::from_iter(n().map(|i| Some(i % 3 == 0)))),
        Arc::new(Date32Array::from_iter_values(
            n().map(|i| 20_544 + i as i32 % 30),
        )),
        Arc::new(
            arrow::array::TimestampMicrosecondArray::from_iter_values(
                n().map(|i| 1_775_000_000_000_000 + i),
            )
            .with_timezone("UTC"),
        ),
        Arc::new(Float64Array::from_iter_values(n().map(|i| i as f64 * 0.1))),
    ];
    Ok(RecordBatch::try_new(schema(), columns)?)
}

fn links() -> Result<RecordBatch> {
    let schema = Schema::new(
        ["record_id", "customer_id"]
            .map(|n| Field::new(n, DataType::Utf8, true))
            .to_vec(),
    );
    let records: ArrayRef = Arc::new(StringArray::from_iter_values(
        (0..400).map(|i| format!("r{i}")),
    ));
    let customers: ArrayRef = Arc::new(StringArray::from_iter_values(
        (0..400).map(|i| format!("c{}", i % 7)),
    ));
    Ok(RecordBatch::try_new(
        Arc::new(schema),
        vec![records, customers],
    )?)
}

async fn put(store: &Store, path: &str, batch: RecordBatch) -> Result<TableFile> {
    let written =
        musubi_lake::parquet::write(store, path, batch.schema(), &BTreeSet::new(), &[batch])
            .await?;
    Ok(TableFile {
        path: written.path,
        size: written.size,
        rows: written.rows,
    })
}

async fn version(store: &Store, number: u64, files: &[(&str, RecordBatch)]) -> Result<Tables> {
    let mut orders = Vec::new();
    for (path, batch) in files {
        orders.push(put(store, &format!("curated/orders/{path}"), batch.clone()).await?);
    }
    let comments = BTreeMap::from([(
        "total".to_owned(),
        "amount with tax, it's in yen".to_owned(),
    )]);
    let table = |name: &str, schema: SchemaRef, files| Table {
        name: name.into(),
        doc: format!("what {name} hold"),
        schema,
        key: vec!["record_id".into()],
        personal: BTreeSet::from(["customer_record".to_owned()]),
        comments: comments.clone(),
        files,
    };
    let link_file = put(store, "curated/links/1.parquet", links()?).await?;
    let link_schema = links()?.schema();
    Ok(Tables {
        version: number,
        run: format!("run-{number}"),
        pipeline: "default/test".into(),
        tables: vec![
            table("orders", schema(), orders),
            table("links", link_schema, vec![link_file]),
        ],
    })
}

/// The same story on every warehouse; `ask` runs a query that gives one value as text.
async fn story(
    spec: &WarehouseSpec,
    secret: &str,
    ask: impl AsyncFn(&str) -> Result<String>,
) -> Result<()> {
    let lake = tempfile::tempdir()?;
    let store = Store::open(&Location::Folder(lake.path().into()))?;
    let lookup = |_: &_, key: &str| {
        Ok(if key == "username" {
            "musubi".to_owned()
        } else {
            secret.to_owned()
        })
    };
    let yen = 10_000;
    let first = version(
        &store,
        1,
        &[
            ("a.parquet", orders(0, 100, yen)?),
            ("b.parquet", orders(100, 250, yen)?),
        ],
    )
    .await?;
    let report = load(spec, &lookup, &store, &first).await?;
    assert_eq!(report.outcome, Outcome::Loaded);
    assert_eq!(report.tables["orders"].inserted, 250);
    assert_eq!(
        ask("SELECT CAST(sum(total) AS INTEGER) FROM orders").await?,
        "31125"
    );
    assert_eq!(
        ask("SELECT count(*) FROM v_orders WHERE customer_id IS NOT NULL").await?,
        "125"
    );

    assert_eq!(
        load(spec, &lookup, &store, &first).await?.outcome,
        Outcome::Unchanged,
        "a second load is a no-op"
    );

    let second = version(
        &store,
        2,
        &[
            ("a.parquet", orders(0, 100, yen)?),
            ("c.parquet", orders(100, 200, 12_345)?),
        ],
    )
    .await?;
    let (one, other) = tokio::join!(
        load(spec, &lookup, &store, &second),
        load(spec, &lookup, &store, &second)
    );
    let (report, idle) = match (one?, other?) {
        (a, b) if a.outcome == Outcome::Loaded => (a, b),
        (a, b) => (b, a),
    };
    assert_eq!(
        (report.outcome, idle.outcome),
        (Outcome::Loaded, Outcome::Unchanged),
        "of two loads at once, one does the work"
    );
    let done = &report.tables["orders"];
    let brought = if spec.mode == LoadMode::Full {
        (200, 200, 250)
    } else {
        (200, 100, 150)
    };
    assert_eq!((done.rows, done.inserted, done.deleted), brought);
    let sum = ask("SELECT CAST(round(sum(total) * 10000) AS BIGINT) FROM orders").await?;
    let exact: i64 =
        (0..100).map(|i| i * 10_000).sum::<i64>() + (100..200).map(|i| i * 12_345).sum::<i64>();
    assert_eq!(sum.trim_end_matches(".0"), exact.to_string());

    let late = load(spec, &lookup, &store, &first).await?;
    assert_eq!(
        (late.outcome, late.version),
        (Outcome::Overtaken, 2),
        "an older version leaves a newer one alone"
    );
    assert_eq!(ask("SELECT count(*) FROM orders").await?, "200");

    let mut stranger = second.clone();
    (stranger.version, stranger.pipeline) = (3, "default/other".into());
    let refused = load(spec, &lookup, &store, &stranger)
        .await
        .map_or_else(|e| format!("{e:#}"), |_| String::new());
    assert!(
        refused.contains("belongs to pipeline default/test"),
        "{refused}"
    );

    ask("DELETE FROM orders WHERE record_id = 'o5' RETURNING record_id").await?;
    let third = version(
        &store,
        4,
        &[
            ("a.parquet", orders(0, 100, yen)?),
            ("d.parquet", orders(300, 310, yen)?),
        ],
    )
    .await?;
    if spec.mode == LoadMode::Incremental {
        let refused = load(spec, &lookup, &store, &third)
            .await
            .map_or_else(|e| format!("{e:#}"), |_| String::new());
        assert!(
            refused.contains("the files hold 110 rows and the warehouse 109"),
            "{refused}"
        );
        assert_eq!(
            ask("SELECT count(*) FROM orders").await?,
            "199",
            "a load that does not verify changes nothing"
        );
    }
    let full = WarehouseSpec {
        mode: LoadMode::Full,
        ..spec.clone()
    };
    load(&full, &lookup, &store, &third).await?;
    assert_eq!(ask("SELECT count(*) FROM orders").await?, "110");

    let mut wider = version(&store, 5, &[("e.parquet", orders(0, 10, yen)?)]).await?;
    wider.tables[0].schema = Arc::new(schema().project(&[0, 1, 2])?);
    load(spec, &lookup, &store, &wider).await?;
    assert_eq!(
        ask("SELECT count(*) FROM v_orders").await?,
        "10",
        "a table whose columns changed is made anew"
    );
    in_place(spec, &lookup, &store, &ask).await
}

/// A file that takes the place of another brings the rows that differ, and the others stay.
async fn in_place(
    spec: &WarehouseSpec,
    lookup: &musubi::warehouse::SecretLookup<'_>,
    store: &Store,
    ask: &impl AsyncFn(&str) -> Result<String>,
) -> Result<()> {
    let sum = "SELECT CAST(round(sum(total) * 10000) AS BIGINT) FROM orders";
    let before = version(store, 6, &[("d/0-a.parquet", orders(0, 100, 10_000)?)]).await?;
    load(spec, lookup, store, &before).await?;
    let other = [orders(2, 5, 20_000)?, orders(5, 101, 10_000)?];
    let other = arrow::compute::concat_batches(&schema(), &other)?;
    let after = version(store, 7, &[("d/0-b.parquet", other)]).await?;
    let done = load(spec, lookup, store, &after).await?.tables;
    // 0 and 1 are gone, 2 to 4 are other, 100 is new.
    let some = (done["orders"].inserted, done["orders"].deleted);
    let full = spec.mode == LoadMode::Full;
    assert_eq!(some, if full { (99, 100) } else { (4, 5) });
    let exact: i64 =
        (2..5).map(|i| i * 20_000).sum::<i64>() + (5..101).map(|i| i * 10_000).sum::<i64>();
    assert_eq!(ask(sum).await?.trim_end_matches(".0"), exact.to_string());

    ask("UPDATE orders SET total = 1 WHERE record_id = 'o50' RETURNING record_id").await?;
    let last = version(store, 8, &[("d/0-c.parquet", orders(2, 101, 10_000)?)]).await?;
    if !full {
        let refused = load(spec, lookup, store, &last).await;
        let refused = refused.map_or_else(|e| format!("{e:#}"), |_| String::new());
        assert!(
            refused.contains("table orders, column total"),
            "a row that somebody changed in a file that was touched: {refused}"
        );
    }
    store.delete("curated/orders/d/0-b.parquet").await?;
    let by_file = WarehouseSpec {
        mode: LoadMode::Incremental,
        ..spec.clone()
    };
    let done = load(&by_file, lookup, store, &last).await?.tables;
    let some = (done["orders"].inserted, done["orders"].deleted);
    assert_eq!(
        some,
        (99, 99),
        "without the old file the new one replaces it as a whole"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_tells_the_story_in_both_modes() -> Result<()> {
    for mode in [LoadMode::Incremental, LoadMode::Full] {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("deep/warehouse.db");
        let path = path.to_str().context("a path that is text")?.to_owned();
        let spec = WarehouseSpec {
            sqlite: Some(SqliteWarehouse { path: path.clone() }),
            postgres: None,
            tables: Vec::new(),
            mode,
        };
        let ask = async |sql: &str| -> Result<String> {
            let connection = rusqlite::Connection::open(&path)?;
            let value: rusqlite::types::Value = connection.query_row(sql, [], |row| row.get(0))?;
            Ok(match value {
                rusqlite::types::Value::Integer(n) => n.to_string(),
                rusqlite::types::Value::Real(n) => n.to_string(),
                rusqlite::types::Value::Text(text) => text,
                other => format!("{other:?}"),
            })
        };
        story(&spec, "", ask).await?;
        let kinds = ask("SELECT group_concat(DISTINCT typeof(total)) FROM orders").await?;
        assert_eq!(kinds, "integer", "whole yen are integers");
        let ddl = ask("SELECT sql FROM sqlite_schema WHERE name = 'orders'").await?;
        assert!(
            ddl.contains("-- amount with tax") && ddl.contains("STRICT"),
            "{ddl}"
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_tells_the_story_in_both_modes() -> Result<()> {
    let server = Postgres::start()?;
    for (mode, schema) in [(LoadMode::Incremental, "daily"), (LoadMode::Full, "whole")] {
        let spec = WarehouseSpec {
            sqlite: None,
            postgres: Some(PostgresWarehouse {
                host: "127.0.0.1".into(),
                port: server.port(),
                database: "musubi".into(),
                schema: schema.into(),
                credentials: SecretRef {
                    secret: "server".into(),
                },
                tls: TlsMode::Disable,
            }),
            tables: Vec::new(),
            mode,
        };
        let ask = async |sql: &str| -> Result<String> {
            let answer = server.sql(&format!("SET search_path TO {schema}; {sql}"))?;
            Ok(answer.trim().to_owned())
        };
        story(&spec, "musubi-test", ask).await?;
        let types = "SELECT string_agg(column_name || ' ' || data_type, ', ' ORDER BY ordinal_position) \
                     FROM information_schema.columns WHERE table_schema = current_schema() AND table_name = 'orders'";
        let types = ask(types).await?;
        assert!(types.contains("total numeric"), "{types}");
        let comment = "SELECT obj_description('orders'::regclass) || ': ' || col_description('orders'::regclass, 3)";
        assert_eq!(
            ask(comment).await?,
            "what orders hold: amount with tax, it's in yen"
        );
        let key = "SELECT string_agg(attname, ',') FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid \
                   AND a.attnum = ANY(i.indkey) WHERE i.indrelid = 'orders'::regclass AND i.indisprimary";
        assert_eq!(ask(key).await?, "record_id");
    }
    Ok(())
}
