//! The versions of a lake: when each was published, by which run, and what it changed.

use std::collections::BTreeMap;

use anyhow::Result;
use musubi_lake::{
    Store,
    pointer::{self, Published},
};
use serde::Serialize;

/// A version that is still in the lake.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// Version.
    pub version: u64,
    /// Whether it is what readers see.
    pub current: bool,
    /// When it was published.
    pub published: jiff::Timestamp,
    /// Instant that it speaks for.
    pub as_of: jiff::Timestamp,
    /// Run or rollback that published it.
    pub run: String,
    /// For a rollback: the version whose content this is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restores: Option<u64>,
    /// Rows of all tables.
    pub rows: u64,
    /// Rows of each table.
    pub tables: BTreeMap<String, u64>,
    /// Tables whose content differs from the version before, with the change of their row count. Empty for
    /// the oldest version that is still described.
    pub changed: BTreeMap<String, i64>,
}

/// All versions that are still described, newest first.
///
/// # Errors
/// Those of the storage.
pub async fn log(store: &Store) -> Result<Vec<Entry>> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut before: Option<Published> = None;
    for past in pointer::past(store).await? {
        let version = past.version;
        let changed = match &before {
            Some(before) => changed(before, &version),
            None => BTreeMap::new(),
        };
        let tables: BTreeMap<String, u64> = version
            .tables
            .iter()
            .map(|(name, t)| (name.clone(), t.rows))
            .collect();
        entries.push(Entry {
            version: version.version,
            current: false,
            published: past.at,
            as_of: version.as_of,
            run: version.run.clone(),
            restores: version.restores,
            rows: tables.values().sum(),
            tables,
            changed,
        });
        before = Some(version);
    }
    if let Some(last) = entries.last_mut() {
        last.current = true;
    }
    entries.reverse();
    Ok(entries)
}

fn changed(before: &Published, after: &Published) -> BTreeMap<String, i64> {
    let mut changed = BTreeMap::new();
    for (name, now) in &after.tables {
        let was = before.tables.get(name);
        if was.is_none_or(|was| was.delta_version != now.delta_version) {
            let (was, now) = (was.map_or(0, |w| w.rows), now.rows);
            changed.insert(name.clone(), now.cast_signed() - was.cast_signed());
        }
    }
    changed
}
