//! Checkpoints: a version of the log written down whole, as Parquet, in the schema of the Delta protocol.

use std::sync::Arc;

use arrow::{
    datatypes::{DataType, Field, Fields, Schema, SchemaRef},
    json::{LineDelimitedWriter, ReaderBuilder},
};
use futures::TryStreamExt;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::log::Snapshot;
use crate::{
    Error, Result, Store, manifest,
    parquet::{self, Sink},
};

/// Every how many versions a checkpoint is written: what other writers of Delta do by default.
pub(super) const EVERY: u64 = 10;

/// How long a file that left the table is still named, in milliseconds: readers of older versions may hold
/// it, and a vacuum by another program looks here. The default of the protocol, a week.
const TOMBSTONES: i64 = 7 * 24 * 3600 * 1000;

#[derive(Serialize, Deserialize)]
struct Last {
    version: u64,
    size: u64,
}

fn path(table: &str, version: u64) -> String {
    format!("{table}/_delta_log/{version:020}.checkpoint.parquet")
}

fn last(table: &str) -> String {
    format!("{table}/_delta_log/_last_checkpoint")
}

/// The version of the newest checkpoint.
///
/// # Errors
/// Those of the storage.
pub(super) async fn newest(store: &Store, table: &str) -> Result<Option<u64>> {
    let path = last(table);
    let Some(bytes) = store.find(&path).await? else {
        return Ok(None);
    };
    let last: Last = manifest::decode(&path, "the newest checkpoint", &bytes)?;
    Ok(Some(last.version))
}

/// Reads a checkpoint.
///
/// # Errors
/// [`Error::Corrupt`] and those of the storage.
pub(super) async fn read(store: &Store, table: &str, version: u64) -> Result<Snapshot> {
    let path = path(table, version);
    let mut snapshot = Snapshot::default();
    let mut batches = parquet::stream(store, &path, None).await?;
    while let Some(batch) = batches.try_next().await? {
        let mut lines = LineDelimitedWriter::new(Vec::new());
        lines
            .write(&batch)
            .and_then(|()| lines.finish())
            .map_err(|e| Error::corrupt(&path, "a checkpoint", e))?;
        snapshot.take(version, &path, &lines.into_inner())?;
    }
    Ok(snapshot)
}

/// Writes the checkpoint of a version, and says that it is the newest. Rival writers write the same.
///
/// # Errors
/// Those of the storage.
pub(super) async fn write(store: &Store, table: &str, snapshot: &Snapshot) -> Result<()> {
    let path = path(table, snapshot.version);
    let actions = actions(snapshot);
    let schema = schema();
    let unusable = |e| Error::unavailable(&path, e);
    let mut decoder = ReaderBuilder::new(schema.clone())
        .with_batch_size(actions.len().max(1))
        .build_decoder()
        .map_err(unusable)?;
    decoder.serialize(&actions).map_err(unusable)?;
    let mut sink = Sink::create(store, &path, schema, &Default::default())?;
    while let Some(batch) = decoder.flush().map_err(unusable)? {
        sink.write(&batch).await?;
    }
    sink.finish().await?;
    let newest = Last {
        version: snapshot.version,
        size: actions.len() as u64,
    };
    let path = last(table);
    store.put(&path, manifest::encode(&path, &newest)?).await
}

/// The actions that make up a version, one a row.
fn actions(snapshot: &Snapshot) -> Vec<Value> {
    let standing = &snapshot.standing;
    let when = |remove: &Value| remove["deletionTimestamp"].as_i64().unwrap_or(0);
    let newest = standing.removes.values().map(when).max().unwrap_or(0);
    let protocol = standing.protocol.iter().map(|p| json!({ "protocol": p }));
    let meta_data = standing.meta_data.iter().map(|m| json!({ "metaData": m }));
    let transactions = standing.transactions.values();
    let removes = standing
        .removes
        .values()
        .filter(|r| when(r) > newest - TOMBSTONES);
    protocol
        .chain(meta_data)
        .chain(transactions.map(|t| json!({ "txn": t })))
        .chain(standing.adds.values().map(|a| json!({ "add": a })))
        .chain(removes.map(|r| json!({ "remove": r })))
        .collect()
}

fn schema() -> SchemaRef {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    let long = |name: &str| Field::new(name, DataType::Int64, true);
    let int = |name: &str| Field::new(name, DataType::Int32, true);
    let flag = |name: &str| Field::new(name, DataType::Boolean, true);
    let map = |name: &str| {
        let key = Field::new("key", DataType::Utf8, false);
        let value = Field::new("value", DataType::Utf8, true);
        Field::new_map(name, "key_value", key, value, false, true)
    };
    let group = |name: &str, fields: Vec<Field>| {
        Field::new(name, DataType::Struct(Fields::from(fields)), true)
    };
    let columns = DataType::List(Arc::new(Field::new("element", DataType::Utf8, true)));
    Arc::new(Schema::new(vec![
        group(
            "protocol",
            vec![int("minReaderVersion"), int("minWriterVersion")],
        ),
        group(
            "metaData",
            vec![
                text("id"),
                text("name"),
                text("description"),
                group("format", vec![text("provider"), map("options")]),
                text("schemaString"),
                Field::new("partitionColumns", columns, true),
                map("configuration"),
                long("createdTime"),
            ],
        ),
        group(
            "txn",
            vec![text("appId"), long("version"), long("lastUpdated")],
        ),
        group(
            "add",
            vec![
                text("path"),
                map("partitionValues"),
                long("size"),
                long("modificationTime"),
                flag("dataChange"),
                text("stats"),
                map("tags"),
            ],
        ),
        group(
            "remove",
            vec![
                text("path"),
                long("deletionTimestamp"),
                flag("dataChange"),
                flag("extendedFileMetadata"),
                map("partitionValues"),
                long("size"),
            ],
        ),
    ]))
}
