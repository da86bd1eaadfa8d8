//! Reading the log: what a table is at a version.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::{DataFile, checkpoint};
use crate::{Error, Result, Store};

/// One version of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Version in the log.
    pub version: u64,
    /// The files, by path.
    pub files: BTreeMap<String, DataFile>,
    /// The newest transaction of each application.
    pub transactions: BTreeMap<String, u64>,
    /// The actions that stand, as they are in the log: what a checkpoint is made of.
    pub(super) standing: Standing,
}

/// The actions of a log that still say something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) protocol: Option<Value>,
    pub(super) meta_data: Option<Value>,
    pub(super) transactions: BTreeMap<String, Value>,
    pub(super) adds: BTreeMap<String, Value>,
    pub(super) removes: BTreeMap<String, Value>,
}

impl Snapshot {
    /// Rows of all files.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.files.values().map(|f| f.rows).sum()
    }

    /// The schema as Delta writes it (JSON).
    #[must_use]
    pub fn schema(&self) -> &str {
        self.meta("schemaString").unwrap_or_default()
    }

    /// The table's own id.
    pub(super) fn id(&self) -> Option<&str> {
        self.meta("id")
    }

    fn meta(&self, field: &str) -> Option<&str> {
        self.standing.meta_data.as_ref()?[field].as_str()
    }

    /// Takes the actions of one version, a JSON object a line.
    pub(super) fn take(&mut self, version: u64, path: &str, actions: &[u8]) -> Result<()> {
        self.version = version;
        for line in actions.split(|b| *b == b'\n').filter(|l| !l.is_empty()) {
            let action: Value = serde_json::from_slice(line).map_err(|e| corrupt(path, e))?;
            self.apply(path, action)?;
        }
        Ok(())
    }

    fn apply(&mut self, path: &str, mut action: Value) -> Result<()> {
        let mut part = |name: &str| Some(action.get_mut(name)?.take()).filter(Value::is_object);
        if let Some(add) = part("add") {
            let file = Add::deserialize(&add).map_err(|e| corrupt(path, e))?;
            let file = file.into_data_file(path)?;
            self.standing.removes.remove(&file.path);
            self.standing.adds.insert(file.path.clone(), add);
            self.files.insert(file.path.clone(), file);
        }
        if let Some(remove) = part("remove") {
            let gone = Remove::deserialize(&remove).map_err(|e| corrupt(path, e))?;
            self.files.remove(&gone.path);
            self.standing.adds.remove(&gone.path);
            self.standing.removes.insert(gone.path, remove);
        }
        if let Some(txn) = part("txn") {
            let done = Transaction::deserialize(&txn).map_err(|e| corrupt(path, e))?;
            self.transactions.insert(done.app_id.clone(), done.version);
            self.standing.transactions.insert(done.app_id, txn);
        }
        if let Some(meta) = part("metaData") {
            self.standing.meta_data = Some(meta);
        }
        if let Some(protocol) = part("protocol") {
            self.standing.protocol = Some(protocol);
        }
        Ok(())
    }
}

fn corrupt(path: &str, why: impl std::fmt::Display) -> Error {
    Error::corrupt(path, "a Delta log", why)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Add {
    path: String,
    size: u64,
    #[serde(default)]
    tags: Option<BTreeMap<String, String>>,
    #[serde(default)]
    stats: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Stats {
    num_records: u64,
    min_values: BTreeMap<String, String>,
    max_values: BTreeMap<String, String>,
}

impl Add {
    fn into_data_file(self, log: &str) -> Result<DataFile> {
        let stats: Stats = serde_json::from_str(self.stats.as_deref().unwrap_or("{}"))
            .map_err(|e| corrupt(log, e))?;
        let mut max = stats.max_values;
        let range = stats.min_values.into_iter();
        let range =
            range.filter_map(|(column, min)| Some((column.clone(), (min, max.remove(&column)?))));
        Ok(DataFile {
            path: self.path,
            size: self.size,
            rows: stats.num_records,
            range: range.collect(),
            tags: self.tags.unwrap_or_default(),
        })
    }
}

#[derive(Deserialize)]
struct Remove {
    path: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Transaction {
    app_id: String,
    version: u64,
}

/// Path of a version in a table's log.
pub(super) fn path(table: &str, version: u64) -> String {
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
    let wanted = |number: u64| version.is_none_or(|v| number <= v);
    let mut snapshot = match checkpoint::newest(store, table).await? {
        Some(number) if wanted(number) => Some(checkpoint::read(store, table, number).await?),
        _ => None,
    };
    let after = snapshot.as_ref().map(|s| path(table, s.version));
    let listed = store
        .list_after(&format!("{table}/_delta_log"), after.as_deref())
        .await?;
    for meta in listed {
        let Some(number) = version_of(&meta.path) else {
            continue;
        };
        if !wanted(number) {
            break;
        }
        let bytes = store.get(&meta.path).await?;
        snapshot
            .get_or_insert_default()
            .take(number, &meta.path, &bytes)?;
    }
    Ok(snapshot)
}

/// The version that a file of the log holds.
fn version_of(path: &str) -> Option<u64> {
    path.rsplit('/').next()?.strip_suffix(".json")?.parse().ok()
}
