//! Curated tables in the open Delta format: protocol reader 1, writer 2.
//!
//! The log is small enough to write by hand: one JSON file a version, made with put-if-absent, so that of
//! rival writers one wins. A commit carries an application transaction id (pipeline and table, version of
//! the publish), so that it happens once however often it is tried. The log holds row counts but no
//! minimum and maximum: those would be values of persons.

use std::collections::BTreeMap;

use arrow::datatypes::{DataType, Schema, TimeUnit};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::store::{Error, Result, Store};

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
    /// Values of the partition columns.
    #[serde(default)]
    pub partition: BTreeMap<String, Option<String>>,
    /// Free notes: the digest by which an unchanged part is recognised.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

/// One version of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Version in the log.
    pub version: u64,
    /// The schema as Delta writes it (JSON).
    pub schema: String,
    /// The files, by path.
    pub files: BTreeMap<String, DataFile>,
    /// The newest transaction of each application.
    pub transactions: BTreeMap<String, u64>,
}

impl Snapshot {
    /// Rows of all files.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.files.values().map(|f| f.rows).sum()
    }
}

/// What a commit does.
#[derive(Clone, Debug)]
pub struct Commit<'a> {
    /// Folder of the table: `curated/orders`.
    pub table: &'a str,
    /// Columns.
    pub schema: &'a Schema,
    /// Names of the partition columns.
    pub partition: &'a [&'a str],
    /// Who commits.
    pub application: &'a str,
    /// The how-manieth commit of the application it is.
    pub transaction: u64,
    /// The files that the table then has.
    pub files: Vec<DataFile>,
    /// When, for readers that travel in time.
    pub at: jiff::Timestamp,
}

fn log_path(table: &str, version: u64) -> String {
    format!("{table}/_delta_log/{version:020}.json")
}

/// A version of a table: the newest, or the one asked for. `None` when the table does not exist.
///
/// # Errors
/// [`Error::Corrupt`] when the log cannot be read.
pub async fn snapshot(
    store: &Store,
    table: &str,
    version: Option<u64>,
) -> Result<Option<Snapshot>> {
    let mut snapshot: Option<Snapshot> = None;
    for meta in store.list(&format!("{table}/_delta_log")).await? {
        let Some(number) = meta
            .path
            .rsplit('/')
            .next()
            .and_then(|n| n.strip_suffix(".json")?.parse::<u64>().ok())
        else {
            continue;
        };
        if version.is_some_and(|v| number > v) {
            break;
        }
        let bytes = store.get(&meta.path).await?;
        let state = snapshot.get_or_insert_with(|| Snapshot {
            version: 0,
            schema: String::new(),
            files: BTreeMap::new(),
            transactions: BTreeMap::new(),
        });
        state.version = number;
        for line in bytes.split(|b| *b == b'\n').filter(|l| !l.is_empty()) {
            let action = serde_json::from_slice(line)
                .map_err(|e| Error::corrupt(&meta.path, "a Delta log", e))?;
            apply(state, &meta.path, action)?;
        }
    }
    Ok(snapshot)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Add {
    path: String,
    size: u64,
    #[serde(default)]
    partition_values: BTreeMap<String, Option<String>>,
    #[serde(default)]
    tags: Option<BTreeMap<String, String>>,
    #[serde(default)]
    stats: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Remove {
    path: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Transaction {
    app_id: String,
    version: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MetaData {
    schema_string: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Action {
    add: Option<Add>,
    remove: Option<Remove>,
    txn: Option<Transaction>,
    meta_data: Option<MetaData>,
}

fn apply(state: &mut Snapshot, log: &str, action: Action) -> Result<()> {
    if let Some(add) = action.add {
        let stats: Value = serde_json::from_str(add.stats.as_deref().unwrap_or("{}"))
            .map_err(|e| Error::corrupt(log, "a Delta log", e))?;
        let file = DataFile {
            path: add.path.clone(),
            size: add.size,
            rows: stats["numRecords"].as_u64().unwrap_or(0),
            partition: add.partition_values,
            tags: add.tags.unwrap_or_default(),
        };
        state.files.insert(add.path, file);
    }
    if let Some(remove) = action.remove {
        state.files.remove(&remove.path);
    }
    if let Some(txn) = action.txn {
        state.transactions.insert(txn.app_id, txn.version);
    }
    if let Some(meta) = action.meta_data {
        state.schema = meta.schema_string;
    }
    Ok(())
}

/// Brings a table to exactly the given files, as one version; unchanged files stay. Gives the version.
/// Nothing happens when the transaction is in the log already, nor when nothing differs.
///
/// # Errors
/// [`Error::Conflict`] when somebody else writes to the table without end.
pub async fn commit(store: &Store, commit: &Commit<'_>) -> Result<u64> {
    for _ in 0..16 {
        let before = snapshot(store, commit.table, None).await?;
        if let Some(before) = &before
            && before
                .transactions
                .get(commit.application)
                .is_some_and(|t| *t >= commit.transaction)
        {
            return Ok(before.version);
        }
        let version = before.as_ref().map_or(0, |b| b.version + 1);
        let body = body(commit, before.as_ref());
        let path = log_path(commit.table, version);
        match store.create(&path, body.into()).await {
            Ok(()) => return Ok(version),
            Err(Error::AlreadyExists { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Err(Error::Conflict {
        path: commit.table.into(),
    })
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
    if before.is_none_or(|b| b.schema != schema) {
        actions.push(json!({"metaData": {
            "id": uuid::Uuid::new_v4().to_string(),
            "format": {"provider": "parquet", "options": {}},
            "schemaString": schema,
            "partitionColumns": commit.partition,
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
            "partitionValues": file.partition,
            "size": file.size,
            "modificationTime": millis,
            "dataChange": true,
            "stats": json!({"numRecords": file.rows}).to_string(),
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
            "partitionValues": file.partition,
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
