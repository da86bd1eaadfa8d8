//! Curated tables in the open Delta format: protocol reader 1, writer 2.
//!
//! The log is small enough to write by hand: one JSON file a version, made with put-if-absent, so that of
//! rival writers one wins. A commit carries an application transaction id (pipeline and table, version of
//! the publish), so that it happens once however often it is tried, and a writer that wakes late, when a
//! later transaction is in the log, changes nothing. Of columns that speak of persons the log holds no
//! minimum and maximum: those would be real values. Every tenth version is also written down whole,
//! as a checkpoint, so that a long history costs no more to read than a short one.

mod checkpoint;
mod log;

use std::collections::BTreeMap;

use arrow::datatypes::{DataType, Schema, TimeUnit};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{Error, Result, Store};

pub use log::{Snapshot, snapshot};

/// A data file of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DataFile {
    /// Path below the table's folder.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Rows.
    pub rows: u64,
    /// Smallest and largest value of columns by which readers skip files; never of a personal column.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub range: BTreeMap<String, (String, String)>,
    /// Free notes: the digest by which an unchanged part is recognised.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

/// What a commit does.
#[derive(Clone, Debug)]
pub struct Commit<'a> {
    /// Folder of the table: `curated/orders`.
    pub table: &'a str,
    /// Columns.
    pub schema: &'a Schema,
    /// Who commits.
    pub application: &'a str,
    /// The how-manieth commit of the application it is.
    pub transaction: u64,
    /// The files that the table then has.
    pub files: Vec<DataFile>,
    /// When, for readers that travel in time.
    pub at: jiff::Timestamp,
}

/// Brings a table to exactly the given files, as one version; unchanged files stay. Gives the version.
/// Nothing happens when the transaction or a later one is in the log already, nor when nothing differs.
///
/// # Errors
/// [`Error::Conflict`] when somebody else writes to the table without end.
pub async fn commit(store: &Store, commit: &Commit<'_>) -> Result<u64> {
    for _ in 0..16 {
        let before = snapshot(store, commit.table, None).await?;
        if let Some(before) = &before {
            let newest = before.transactions.get(commit.application);
            if newest.is_some_and(|t| *t >= commit.transaction) || same(commit, before) {
                return Ok(before.version);
            }
        }
        let version = before.as_ref().map_or(0, |b| b.version + 1);
        let body = body(commit, before.as_ref());
        let path = log::path(commit.table, version);
        match store.create(&path, body.clone().into()).await {
            Ok(()) => {}
            Err(Error::AlreadyExists { .. }) => continue,
            Err(error) => return Err(error),
        }
        if version > 0 && version.is_multiple_of(checkpoint::EVERY) {
            let mut now = before.unwrap_or_default();
            now.take(version, &path, body.as_bytes())?;
            checkpoint::write(store, commit.table, &now).await?;
        }
        return Ok(version);
    }
    Err(Error::Conflict {
        path: commit.table.into(),
    })
}

/// Whether a table is as a commit would leave it.
fn same(commit: &Commit<'_>, before: &Snapshot) -> bool {
    before.schema() == schema_string(commit.schema)
        && before.files.len() == commit.files.len()
        && commit
            .files
            .iter()
            .all(|f| before.files.contains_key(&f.path))
}

fn body(commit: &Commit<'_>, before: Option<&Snapshot>) -> String {
    let millis = commit.at.as_millisecond();
    let mut actions = vec![json!({"commitInfo": {
        "timestamp": millis,
        "operation": "WRITE",
        "operationParameters": {"mode": "Overwrite"},
        "engineInfo": concat!("musubi/", env!("CARGO_PKG_VERSION")),
    }})];
    let schema = schema_string(commit.schema);
    if before.is_none() {
        actions.push(json!({"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}}));
    }
    if before.is_none_or(|b| b.schema() != schema) {
        let id = before.and_then(|b| b.id().map(str::to_owned));
        actions.push(json!({"metaData": {
            "id": id.unwrap_or_else(|| uuid::Uuid::new_v4().to_string()),
            "format": {"provider": "parquet", "options": {}},
            "schemaString": schema,
            "partitionColumns": [],
            "configuration": {},
            "createdTime": millis,
        }}));
    }
    actions.push(json!({"txn": {"appId": commit.application, "version": commit.transaction, "lastUpdated": millis}}));
    let old = before.map(|b| &b.files);
    let kept: std::collections::BTreeSet<&str> =
        commit.files.iter().map(|f| f.path.as_str()).collect();
    for file in commit
        .files
        .iter()
        .filter(|f| old.is_none_or(|o| !o.contains_key(&f.path)))
    {
        actions.push(json!({"add": {
            "path": file.path,
            "partitionValues": {},
            "size": file.size,
            "modificationTime": millis,
            "dataChange": true,
            "stats": stats(file),
            "tags": file.tags,
        }}));
    }
    for file in old
        .into_iter()
        .flatten()
        .map(|(_, f)| f)
        .filter(|f| !kept.contains(f.path.as_str()))
    {
        actions.push(json!({"remove": {
            "path": file.path,
            "deletionTimestamp": millis,
            "dataChange": true,
            "extendedFileMetadata": true,
            "partitionValues": {},
            "size": file.size,
        }}));
    }
    let mut body = String::new();
    for action in actions {
        body.push_str(&action.to_string());
        body.push('\n');
    }
    body
}

/// What the log says of a file's rows.
fn stats(file: &DataFile) -> String {
    let side = |pick: fn(&(String, String)) -> &String| {
        let values = file
            .range
            .iter()
            .map(|(c, r)| (c.clone(), pick(r).as_str().into()));
        Value::Object(values.collect())
    };
    let (min, max) = (side(|r| &r.0), side(|r| &r.1));
    json!({"numRecords": file.rows, "minValues": min, "maxValues": max}).to_string()
}

/// A schema as Delta writes it.
#[must_use]
pub fn schema_string(schema: &Schema) -> String {
    let fields: Vec<Value> = schema
        .fields()
        .iter()
        .map(|f| json!({"name": f.name(), "type": type_name(f.data_type()), "nullable": true, "metadata": {}}))
        .collect();
    json!({"type": "struct", "fields": fields}).to_string()
}

fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Boolean => "boolean".into(),
        DataType::Int32 => "integer".into(),
        DataType::Int64 => "long".into(),
        DataType::Float64 => "double".into(),
        DataType::Date32 => "date".into(),
        DataType::Timestamp(TimeUnit::Microsecond, _) => "timestamp".into(),
        DataType::Decimal128(precision, scale) => format!("decimal({precision},{scale})"),
        _ => "string".into(),
    }
}
