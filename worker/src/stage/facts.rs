//! What customers' features are made from, kept from run to run: of orders, lines and consents the rows and
//! columns that count for somebody, in files of a slot group and a week. A run makes those anew of which a
//! file changed; so it reads the facts of few weeks, whatever the history.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use arrow::{
    array::{Array as _, AsArray as _, BooleanArray, RecordBatch, StringArray},
    compute,
};
use futures::TryStreamExt as _;
use hashbrown::HashMap;
use musubi_api::entity::Entity;
use musubi_clean::schema;
use musubi_lake::{
    delta::DataFile,
    parquet::{self, Sink},
};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use super::Context;

/// The tables, with the columns that are kept. Orders come first: they say which lines count.
const TABLES: [(Entity, &[&str]); 3] = [
    (
        Entity::Order,
        &[
            "order_number",
            "kind",
            "status",
            "channel",
            "store_code",
            "ordered_at",
            "total",
            "customer_record",
        ],
    ),
    (
        Entity::OrderLine,
        &["order_number", "product_code", "quantity", "amount"],
    ),
    (
        Entity::Consent,
        &["customer_record", "purpose", "granted", "given_at"],
    ),
];

/// What is kept, by slot group and week: `3/2940`, and `3/` for rows without a date.
pub(super) type Facts = BTreeMap<String, Kept>;

/// The files of a group and a week.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    /// Hash of the curated files that they were made from.
    of: String,
    /// Paths by table; a table of which no row counts has none.
    paths: BTreeMap<String, String>,
}

/// The paths of a table's files, in order.
pub(super) fn paths<'a>(facts: &'a [&Facts], table: &'a str) -> impl Iterator<Item = &'a String> {
    let kept = facts.iter().flat_map(|facts| facts.values());
    kept.filter_map(move |kept| kept.paths.get(table))
}

/// What is to be kept of a group's curated files: of weeks in which nothing changed what was kept `before`.
///
/// # Errors
/// Those of the storage.
pub(super) async fn keep(
    context: &Context,
    group: u32,
    tables: &BTreeMap<String, Vec<DataFile>>,
    before: &Facts,
) -> Result<Facts> {
    let of_group = group.to_string();
    let mut weeks: BTreeMap<Option<i32>, BTreeMap<&str, Vec<&DataFile>>> = BTreeMap::new();
    for (entity, _) in TABLES {
        let files = tables.get(entity.table()).into_iter().flatten();
        for file in files.filter(|f| f.tags.get("group") == Some(&of_group)) {
            let tables = weeks.entry(week(file)?).or_default();
            tables.entry(entity.table()).or_default().push(file);
        }
    }
    let mut facts = Facts::new();
    for (week, files) in weeks {
        let week = week.map_or_else(String::new, |week| week.to_string());
        let name = format!("{group}/{week}");
        let of = digest(&files);
        let kept = match before.get(&name).filter(|kept| kept.of == of) {
            Some(kept) => kept.clone(),
            None => Kept {
                paths: write(context, &name, &files).await?,
                of,
            },
        };
        facts.insert(name, kept);
    }
    Ok(facts)
}

/// The week of a file's business date, counted from 1970.
fn week(file: &DataFile) -> Result<Option<i32>> {
    let Some((day, _)) = file.range.get("business_date") else {
        return Ok(None);
    };
    let day: jiff::civil::Date = day.parse().context("a business date is malformed")?;
    let days = (day - jiff::civil::date(1970, 1, 1)).get_days();
    Ok(Some(days.div_euclid(7)))
}

fn digest(files: &BTreeMap<&str, Vec<&DataFile>>) -> String {
    let mut hash = Xxh3::new();
    for (entity, columns) in TABLES {
        hash.update(entity.table().as_bytes());
        columns.iter().for_each(|c| hash.update(c.as_bytes()));
        for file in files.get(entity.table()).into_iter().flatten() {
            hash.update(file.path.as_bytes());
        }
    }
    format!("{:032x}", hash.digest128())
}

async fn write(
    context: &Context,
    name: &str,
    files: &BTreeMap<&str, Vec<&DataFile>>,
) -> Result<BTreeMap<String, String>> {
    let mut paths = BTreeMap::new();
    // Whether an order is somebody's, by hash of its number.
    let mut orders: HashMap<u64, bool> = HashMap::new();
    for (entity, columns) in TABLES {
        let table = entity.table();
        let unique = uuid::Uuid::new_v4().simple();
        let path = format!("versions/facts/{table}/{name}-{unique}.parquet");
        let schema = parquet::project(&schema::curated_schema(entity), columns);
        let mut sink: Option<Sink> = None;
        for file in files.get(table).into_iter().flatten() {
            let from = format!("curated/{table}/{}", file.path);
            let mut stream = parquet::stream(&context.store, &from, Some(columns)).await?;
            while let Some(batch) = stream.try_next().await? {
                let counts = counts(entity, &batch, &mut orders)?;
                let rows = compute::filter_record_batch(&batch, &counts)?;
                if rows.num_rows() == 0 {
                    continue;
                }
                let sink = match &mut sink {
                    Some(sink) => sink,
                    None => {
                        let personal = schema::personal_columns(entity);
                        let schema = schema.clone().into();
                        sink.insert(Sink::create(&context.store, &path, schema, &personal)?)
                    }
                };
                let places = columns.iter().map(|c| rows.schema_ref().index_of(c));
                let places = places.collect::<Result<Vec<_>, _>>()?;
                sink.write(&rows.project(&places)?).await?;
            }
        }
        if let Some(sink) = sink {
            sink.finish().await?;
            paths.insert(table.to_owned(), path);
        }
    }
    Ok(paths)
}

/// Which rows count for somebody. Of a line whose order stands in another week that is not known here.
fn counts(
    entity: Entity,
    rows: &RecordBatch,
    orders: &mut HashMap<u64, bool>,
) -> Result<BooleanArray> {
    let text = |name: &str| -> Result<&StringArray> {
        let column = rows.column_by_name(name).and_then(|c| c.as_string_opt());
        column.with_context(|| format!("column {name} is missing"))
    };
    let hash = |number: &str| xxh3_64(number.as_bytes());
    if entity == Entity::OrderLine {
        let known = text("order_number")?.iter();
        return Ok(known
            .map(|number| Some(orders.get(&hash(number?)).copied().unwrap_or(true)))
            .map(|counts| Some(counts.unwrap_or(false)))
            .collect());
    }
    let customers = text("customer_record")?;
    if entity == Entity::Order {
        for (row, number) in text("order_number")?.iter().enumerate() {
            if let Some(number) = number {
                orders.insert(hash(number), customers.is_valid(row));
            }
        }
    }
    Ok(compute::is_not_null(customers)?)
}
