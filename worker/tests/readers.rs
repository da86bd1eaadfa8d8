//! Curated tables are open: two readers that know nothing of musubi see what was published.

#[path = "support/shop.rs"]
mod shop;
mod support;

use std::{
    collections::BTreeMap,
    io::Write as _,
    process::{Command, Stdio},
};

use arrow::{
    array::{Array as _, AsArray as _},
    datatypes::{DataType, Decimal128Type, TimeUnit},
};
use musubi::stage::tables;
use musubi_lake::{delta, parquet, pointer};
use serde::Deserialize;
use serde_json::json;
use support::World;

#[derive(Debug, Deserialize)]
struct Seen {
    rows: u64,
    sums: Vec<Option<String>>,
    types: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Table {
    deltalake: Seen,
    duckdb: Seen,
    in_log: Vec<String>,
    in_footers: Vec<String>,
}

/// Money columns of a table.
fn money(name: &str) -> Vec<String> {
    let schema = tables::schema(name).expect("a known table");
    let fields = schema.fields().iter();
    let decimal = |t: &DataType| matches!(t, DataType::Decimal128(..));
    fields
        .filter(|f| decimal(f.data_type()))
        .map(|f| f.name().clone())
        .collect()
}

/// What a type is called in Delta and in DuckDB.
fn names(kind: &DataType) -> (String, String) {
    let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    match kind {
        DataType::Boolean => pair("boolean", "BOOLEAN"),
        DataType::Int32 => pair("integer", "INTEGER"),
        DataType::Int64 => pair("long", "BIGINT"),
        DataType::Float64 => pair("double", "DOUBLE"),
        DataType::Date32 => pair("date", "DATE"),
        DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => {
            pair("timestamp", "TIMESTAMP WITH TIME ZONE")
        }
        DataType::Decimal128(p, s) => (format!("decimal({p},{s})"), format!("DECIMAL({p},{s})")),
        _ => pair("string", "VARCHAR"),
    }
}

fn ask(question: &serde_json::Value) -> BTreeMap<String, Table> {
    let python = musubi_testing::tools::program("python").unwrap_or_else(|e| panic!("{e}"));
    let mut reader = Command::new(python)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/readers.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("start python");
    let mut stdin = reader.stdin.take().expect("stdin");
    stdin
        .write_all(question.to_string().as_bytes())
        .expect("ask");
    drop(stdin);
    let answer = reader.wait_with_output().expect("an answer");
    assert!(answer.status.success(), "the readers failed");
    serde_json::from_slice(&answer.stdout).expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn deltalake_and_duckdb_see_every_table_as_it_was_published() {
    let world = World::new(shop::RESOURCES);
    for day in 1..=3 {
        shop::day(&world, day);
        world
            .run(&format!("r{day}"), 2)
            .await
            .unwrap_or_else(|e| panic!("{e:#}"));
    }
    let store = world.store();
    for number in [3, 1] {
        let version = pointer::version(&store, number)
            .await
            .expect("read")
            .expect("there");
        let asked: BTreeMap<_, _> = version
            .tables
            .iter()
            .map(|(name, t)| {
                (
                    name,
                    json!({ "version": t.delta_version, "sums": money(name) }),
                )
            })
            .collect();
        let seen = ask(&json!({ "lake": world.path("lake"), "tables": asked }));
        assert_eq!(seen.len(), tables::all().len(), "every table");
        for (name, table) in &seen {
            let published = &version.tables[name];
            assert_eq!(table.deltalake.rows, published.rows, "{name}");
            assert_eq!(table.duckdb.rows, published.rows, "{name}");
            for (at, column) in money(name).iter().enumerate() {
                let ours = sum(&store, name, published.delta_version, column).await;
                assert_eq!(units(&table.deltalake.sums[at]), ours, "{name}.{column}");
                assert_eq!(units(&table.duckdb.sums[at]), ours, "{name}.{column}");
            }
            for field in tables::schema(name).expect("known").fields() {
                let (in_delta, in_duckdb) = names(field.data_type());
                assert_eq!(
                    table.deltalake.types[field.name()],
                    in_delta,
                    "{name}.{}",
                    field.name()
                );
                if published.rows > 0 {
                    assert_eq!(
                        table.duckdb.types[field.name()],
                        in_duckdb,
                        "{name}.{}",
                        field.name()
                    );
                }
            }
        }
        let (orders, features) = (&seen["orders"], &seen["customer_features"]);
        assert_eq!(orders.deltalake.rows, number * 4);
        assert!(
            features.duckdb.sums.iter().any(Option::is_some),
            "money was compared"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_statistic_holds_a_value_of_a_person() {
    let world = World::new(shop::RESOURCES);
    shop::day(&world, 1);
    world.run("r1", 2).await.unwrap_or_else(|e| panic!("{e:#}"));
    let version = pointer::version(&world.store(), 1)
        .await
        .expect("read")
        .expect("there");
    let asked: BTreeMap<_, _> = version
        .tables
        .iter()
        .map(|(name, t)| (name, json!({ "version": t.delta_version, "sums": [] })))
        .collect();
    let seen = ask(&json!({ "lake": world.path("lake"), "tables": asked }));
    for table in tables::all() {
        let found = &seen[table.name];
        let told = found.in_footers.iter().chain(&found.in_log);
        let telling: Vec<_> = told.filter(|c| table.personal.contains(*c)).collect();
        assert!(telling.is_empty(), "{}: {telling:?}", table.name);
    }
    assert!(
        !seen["orders"].in_footers.is_empty(),
        "other columns have theirs"
    );
}

/// A sum as a whole number of the smallest unit.
fn units(text: &Option<String>) -> i128 {
    let text = text.as_deref().unwrap_or("0");
    let (whole, rest) = text.split_once('.').unwrap_or((text, ""));
    let scale = usize::try_from(musubi_clean::schema::SCALE).expect("a scale");
    format!("{whole}{rest:0<scale$}").parse().expect("a number")
}

async fn sum(store: &musubi_lake::Store, name: &str, version: u64, column: &str) -> i128 {
    let folder = format!("curated/{name}");
    let snapshot = delta::snapshot(store, &folder, Some(version))
        .await
        .expect("the log");
    let mut sum = 0;
    for file in snapshot.expect("a table").files.values() {
        let path = format!("{folder}/{}", file.path);
        for batch in parquet::read(store, &path, Some(&[column]))
            .await
            .expect("a file")
        {
            let values = batch.column(0).as_primitive::<Decimal128Type>();
            sum += (0..values.len())
                .filter(|r| values.is_valid(*r))
                .map(|r| values.value(r))
                .sum::<i128>();
        }
    }
    sum
}
