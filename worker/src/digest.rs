//! Canonical digests: two tables that hold the same rows have the same digest, whatever their files.
//!
//! A digest is the sum of the hashes of a table's rows. It is what hashing the rows sorted by key would
//! give, without the sorting and in constant memory. Columns that only say which run wrote a row are left out.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::{Context as _, Result};
use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch, StringArray},
    row::{RowConverter, SortField},
};
use futures::TryStreamExt;
use musubi_lake::{
    Store, delta, parquet,
    pointer::{self, Published},
};
use xxhash_rust::xxh3::xxh3_128;

/// How ids of customers and households count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ids {
    /// As they are published.
    Published,
    /// By the records that they stand for: so two histories of one truth compare, although the one
    /// may have given an id before the record came that the other derived it from.
    ByRecords,
}

/// Columns that say which run wrote a row.
const RUN_COLUMNS: [(&str, &str); 1] = [("id_changes", "version")];

/// The digest of every table of the published version, by table.
///
/// # Errors
/// When nothing is published, and those of the storage.
pub async fn published(store: &Store, ids: Ids) -> Result<BTreeMap<String, String>> {
    let (published, _) = pointer::published(store)
        .await?
        .context("nothing is published in this lake")?;
    of(store, &published, ids).await
}

/// The digest of every table of a version, by table.
///
/// # Errors
/// When a file of the version is gone, and those of the storage.
pub async fn of(store: &Store, version: &Published, ids: Ids) -> Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    for (table, at) in &version.tables {
        let folder = format!("curated/{table}");
        let snapshot = delta::snapshot(store, &folder, Some(at.delta_version)).await?;
        let paths = snapshot.into_iter().flat_map(|s| s.files.into_keys());
        let paths: Vec<String> = paths.map(|p| format!("{folder}/{p}")).collect();
        files.insert(table.clone(), paths);
    }
    let names = match ids {
        Ids::Published => BTreeMap::new(),
        Ids::ByRecords => names(store, &files).await?,
    };
    let mut digests = BTreeMap::new();
    for (table, paths) in &files {
        let mut digest = Digest::default();
        for path in paths {
            let mut batches = parquet::stream(store, path, None).await?;
            while let Some(batch) = batches.try_next().await? {
                digest.add(table, &batch, &names)?;
            }
        }
        digests.insert(table.clone(), digest.to_string());
    }
    Ok(digests)
}

/// Rows seen so far.
#[derive(Default)]
struct Digest {
    rows: u64,
    sum: u128,
}

impl Digest {
    fn add(
        &mut self,
        table: &str,
        batch: &RecordBatch,
        names: &BTreeMap<String, String>,
    ) -> Result<()> {
        let mut columns: Vec<ArrayRef> = Vec::new();
        let schema = batch.schema();
        for (field, column) in schema.fields().iter().zip(batch.columns()) {
            if RUN_COLUMNS.contains(&(table, field.name().as_str())) {
                continue;
            }
            columns.push(match column.as_string_opt::<i32>() {
                Some(text) if field.name().ends_with("_id") && !names.is_empty() => {
                    renamed(text, names)
                }
                _ => column.clone(),
            });
        }
        let fields = columns
            .iter()
            .map(|c| SortField::new(c.data_type().clone()));
        let rows = RowConverter::new(fields.collect())?.convert_columns(&columns)?;
        for row in &rows {
            self.sum = self.sum.wrapping_add(xxh3_128(row.as_ref()));
            self.rows += 1;
        }
        Ok(())
    }
}

impl std::fmt::Display for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{:032x}", self.rows, self.sum)
    }
}

fn renamed(ids: &StringArray, names: &BTreeMap<String, String>) -> ArrayRef {
    let name = |id| names.get(id).map_or(id, String::as_str);
    Arc::new(ids.iter().map(|id| id.map(name)).collect::<StringArray>())
}

/// A name for each customer by its smallest record, and for each household by its smallest customer.
async fn names(
    store: &Store,
    files: &BTreeMap<String, Vec<String>>,
) -> Result<BTreeMap<String, String>> {
    let plain = BTreeMap::new();
    let of = ["customer_id", "record_id"];
    let customers = smallest(store, files, "links", of, &plain).await?;
    let of = ["household_id", "customer_id"];
    let mut names = smallest(store, files, "customers", of, &customers).await?;
    names.extend(customers);
    Ok(names)
}

/// For each value of the first column the smallest value of the second, by the names that those have.
async fn smallest(
    store: &Store,
    files: &BTreeMap<String, Vec<String>>,
    table: &str,
    [group, member]: [&str; 2],
    names: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>> {
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    for path in files.get(table).into_iter().flatten() {
        for batch in parquet::read(store, path, Some(&[group, member])).await? {
            let column = |name: &str| {
                let column = batch.column_by_name(name);
                column
                    .and_then(|c| c.as_string_opt::<i32>())
                    .with_context(|| format!("{path} has no column {name}"))
            };
            for (group, member) in column(group)?.iter().zip(column(member)?) {
                let (Some(group), Some(member)) = (group, member) else {
                    continue;
                };
                let member = names.get(member).map_or(member, String::as_str);
                let entry = found
                    .entry(group.to_owned())
                    .or_insert_with(|| member.to_owned());
                if member < entry.as_str() {
                    *entry = member.to_owned();
                }
            }
        }
    }
    Ok(found)
}
