//! What a run made of a world, read back from the lake.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use arrow::{
    array::{Array, AsArray, RecordBatch, StringArray},
    datatypes::{Date32Type, Decimal128Type, Int64Type},
};
use musubi_lake::parquet;

use super::score::{BadRow, Outcome};
use crate::stage::{Context, clean, load};

/// Ten-thousandths in a yen.
const YEN: i128 = 10_000;

/// Reads links, quarantine and totals of the version that a run published.
///
/// # Errors
/// Those of the storage.
pub async fn read(context: &Context) -> Result<Outcome> {
    let plan = context.plan().await?;
    let tables = load::published_tables(context, plan.next_version()).await?;
    let mut outcome = Outcome::default();
    let mut totals: BTreeMap<(String, String), (u64, i128)> = BTreeMap::new();
    for table in &tables.tables {
        for file in &table.files {
            match table.name.as_str() {
                "links" => {
                    for batch in parquet::read(&context.store, &file.path, None).await? {
                        let (records, customers) =
                            (text(&batch, "record_id")?, text(&batch, "customer_id")?);
                        let pairs = (0..batch.num_rows())
                            .map(|r| (records.value(r).to_owned(), customers.value(r).to_owned()));
                        outcome.links.extend(pairs);
                    }
                }
                "orders" => {
                    let columns = ["channel", "business_date", "total"];
                    for batch in parquet::read(&context.store, &file.path, Some(&columns)).await? {
                        add_totals(&batch, &mut totals)?;
                    }
                }
                _ => {}
            }
        }
    }
    let yen = |sum: i128| i64::try_from(sum / YEN).unwrap_or(i64::MAX);
    outcome.totals = totals
        .into_iter()
        .map(|((channel, day), (n, sum))| (channel, day, n, yen(sum)))
        .collect();
    outcome.quarantined = quarantined(context).await?;
    Ok(outcome)
}

fn text<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a StringArray> {
    let column = batch
        .column_by_name(name)
        .and_then(|c| c.as_string_opt::<i32>());
    column.with_context(|| format!("column {name} is missing"))
}

fn add_totals(
    batch: &RecordBatch,
    totals: &mut BTreeMap<(String, String), (u64, i128)>,
) -> Result<()> {
    let channels = text(batch, "channel")?;
    let days = batch
        .column_by_name("business_date")
        .and_then(|c| c.as_primitive_opt::<Date32Type>());
    let sums = batch
        .column_by_name("total")
        .and_then(|c| c.as_primitive_opt::<Decimal128Type>());
    let (days, sums) = days.zip(sums).context("orders are malformed")?;
    for row in 0..batch.num_rows() {
        let day =
            jiff::civil::date(1970, 1, 1).checked_add(jiff::Span::new().days(days.value(row)))?;
        let entry = totals
            .entry((channels.value(row).to_owned(), day.to_string()))
            .or_default();
        entry.0 += 1;
        entry.1 += if sums.is_valid(row) {
            sums.value(row)
        } else {
            0
        };
    }
    Ok(())
}

/// The rows in quarantine, by the file that they came in.
async fn quarantined(context: &Context) -> Result<Vec<BadRow>> {
    let plan = context.plan().await?;
    let present = clean::present(context, &plan).await?;
    let mut rows = Vec::new();
    for active in &present.active {
        let Some(part) = &active.cleaned.quarantine else {
            continue;
        };
        for batch in parquet::read(&context.store, &part.path, Some(&["row"])).await? {
            let numbers = batch
                .column(0)
                .as_primitive_opt::<Int64Type>()
                .context("quarantine is malformed")?;
            rows.extend(numbers.values().iter().map(|row| BadRow {
                source: active.file.source.clone(),
                stream: active.file.stream.clone(),
                file: active.file.path.clone(),
                row: row.unsigned_abs(),
            }));
        }
    }
    Ok(rows)
}
