//! Warehouses: typed tables, loads that verify themselves, a ledger.
//!
//! A load stages the files that are new, verifies them against what the files hold, and then changes the
//! tables, the views and the ledger in one transaction. The ledger says which files each table holds, so
//! that a second load is a no-op, an incremental load touches only what changed, and a loader that was
//! frozen and wakes late finds that it was overtaken and leaves everything as it is.

mod cells;
mod difference;
mod ledger;
mod postgres;
mod sql;
mod sqlite;
mod sums;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, bail};
use arrow::datatypes::SchemaRef;
use musubi_api::{source::SecretRef, warehouse::WarehouseSpec};
use musubi_lake::Store;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

pub(crate) use postgres::told;
pub use postgres::{Credentials, connect as connect_postgres};

/// Looks up the key of a Secret.
pub type SecretLookup<'a> = dyn Fn(&SecretRef, &str) -> Result<String> + Sync + 'a;

/// A published version, as a warehouse sees it.
#[derive(Clone, Debug)]
pub struct Tables {
    /// Version that was published; a higher one is newer.
    pub version: u64,
    /// Run that made it.
    pub run: String,
    /// Pipeline, with its namespace: `default/bento`. One warehouse schema belongs to one pipeline.
    pub pipeline: String,
    /// The tables.
    pub tables: Vec<Table>,
}

/// A table of a published version.
#[derive(Clone, Debug)]
pub struct Table {
    /// Name.
    pub name: String,
    /// What it holds, in a line.
    pub doc: String,
    /// Columns: Utf8, Int64, Int32, Boolean, Date32, Timestamp (microseconds, UTC), Decimal128, Float64.
    pub schema: SchemaRef,
    /// Columns that together name a row. A text that is absent in a key column is loaded as empty.
    pub key: Vec<String>,
    /// Columns that say something about a person; said so in the comments.
    pub personal: BTreeSet<String>,
    /// What a column holds, by column.
    pub comments: BTreeMap<String, String>,
    /// Files, each never changed once it is named.
    pub files: Vec<TableFile>,
}

/// A Parquet file of a table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TableFile {
    /// Path in the lake: `curated/orders/2026-04-01/0-….parquet`.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Rows.
    pub rows: u64,
}

impl Table {
    /// Rows of all files.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.files.iter().map(|f| f.rows).sum()
    }

    /// What the table holds, as a hash of its columns and its files (SHA-256, hex).
    #[must_use]
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(self.shape());
        let paths: BTreeSet<_> = self.files.iter().map(|f| (&f.path, f.rows)).collect();
        for (path, rows) in paths {
            hash.update(format!("\n{path} {rows}"));
        }
        hex::encode(hash.finalize())
    }

    /// Columns and key: when this changes, the table is made anew.
    fn shape(&self) -> String {
        let columns: Vec<_> = self
            .schema
            .fields()
            .iter()
            .map(|f| format!("{} {}", f.name(), f.data_type()))
            .collect();
        format!("{} key {}", columns.join(", "), self.key.join(", "))
    }
}

impl TableFile {
    /// What a file of a version shares with the file that takes its place in a later one: its name without
    /// the part that makes it unique.
    fn place(path: &str) -> Option<&str> {
        path.rsplit_once('-').map(|(place, _)| place)
    }

    /// Whether the file holds as many rows as its manifest says.
    fn check(&self, read: &sums::Sums) -> Result<()> {
        if read.rows != self.rows {
            bail!(
                "{}: the manifest says {} rows and the file holds {}",
                self.path,
                self.rows,
                read.rows
            );
        }
        Ok(())
    }
}

/// What became of a load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// The version was loaded.
    Loaded,
    /// The warehouse holds the version already.
    Unchanged,
    /// The warehouse holds a newer version; nothing was touched.
    Overtaken,
}

/// What a load did, in counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LoadReport {
    /// What became of it.
    pub outcome: Outcome,
    /// Version that the warehouse now holds.
    pub version: u64,
    /// What was done to each table.
    pub tables: BTreeMap<String, TableLoad>,
}

/// What a load did to a table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TableLoad {
    /// Rows that the table holds now.
    pub rows: u64,
    /// Rows that were put in.
    pub inserted: u64,
    /// Rows that were taken out.
    pub deleted: u64,
}

/// Loads a published version into a warehouse. May be called again at any time, by several at once.
///
/// # Errors
/// When the warehouse belongs to another pipeline, cannot be reached, or holds something else than the
/// files after the load (then nothing is changed).
pub async fn load(
    spec: &WarehouseSpec,
    secret: &SecretLookup<'_>,
    store: &Store,
    tables: &Tables,
) -> Result<LoadReport> {
    let mut tables = tables.clone();
    if !spec.tables.is_empty() {
        for name in &spec.tables {
            if !tables.tables.iter().any(|t| t.name == *name) {
                let known: Vec<_> = tables.tables.iter().map(|t| t.name.as_str()).collect();
                bail!(
                    "spec.tables: there is no table {name}; name some of {}",
                    known.join(", ")
                );
            }
        }
        tables.tables.retain(|t| spec.tables.contains(&t.name));
    }
    match (&spec.sqlite, &spec.postgres) {
        (Some(sqlite), None) => sqlite::load(&sqlite.path, spec.mode, store, tables).await,
        (None, Some(server)) => {
            let credentials = Credentials {
                username: secret(&server.credentials, "username")?,
                password: secret(&server.credentials, "password")?,
            };
            postgres::load(server, &credentials, spec.mode, store, &tables).await
        }
        _ => bail!("a Warehouse needs exactly one of spec.sqlite and spec.postgres"),
    }
}
