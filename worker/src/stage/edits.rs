//! Corrections of quarantined rows. They are raw too: kept beside the raw objects under their own hash, never
//! changed and never deleted. A correction stands in for the row that has its locator, and nothing else of the
//! file changes; of several corrections of one row the last counts.

use std::collections::HashMap;

use anyhow::{Context as _, Result};
use musubi_api::{run::Run, source::Stream};
use musubi_clean::{
    json::Json,
    quarantine::EditedRow,
    raw::{Locator, RawBatch, RawRows},
};
use musubi_lake::{Error, Store, manifest};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::files::File;
use crate::source::decode::{Decoded, decode};

/// Rows of one stream that were corrected at one time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Correction {
    /// Source.
    pub source: String,
    /// Stream.
    pub stream: String,
    /// When it was handed in.
    pub at: jiff::Timestamp,
    /// The rows.
    pub rows: Vec<EditedRow>,
}

/// A correction by reference, as a plan pins it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EditSet {
    /// Path in the lake.
    pub path: String,
    /// Source.
    pub source: String,
    /// Stream.
    pub stream: String,
    /// SHA-256 of the raw objects whose rows it corrects.
    pub raws: Vec<String>,
}

fn folder(source: &str, stream: &str) -> String {
    format!("raw/{source}/{stream}/edits")
}

/// All corrections of a run's streams, oldest first.
///
/// # Errors
/// Those of the storage.
pub async fn all(store: &Store, run: &Run) -> Result<Vec<EditSet>> {
    let mut sets = Vec::new();
    for (source, spec) in &run.sources {
        for stream in &spec.streams {
            for (path, correction) in of_stream(store, source, &stream.name).await? {
                let mut raws: Vec<String> = correction.rows.into_iter().map(|r| r.raw).collect();
                raws.sort();
                raws.dedup();
                sets.push(EditSet {
                    path,
                    source: source.clone(),
                    stream: stream.name.clone(),
                    raws,
                });
            }
        }
    }
    Ok(sets)
}

/// The corrections of one stream with their paths, oldest first.
///
/// # Errors
/// Those of the storage.
pub async fn of_stream(
    store: &Store,
    source: &str,
    stream: &str,
) -> Result<Vec<(String, Correction)>> {
    let mut found = Vec::new();
    for meta in store.list(&folder(source, stream)).await? {
        let correction = read(store, &meta.path).await?;
        found.push((meta.path, correction));
    }
    Ok(found)
}

async fn read(store: &Store, path: &str) -> Result<Correction> {
    let bytes = store.get(path).await?;
    let named = path
        .rsplit(['-', '/'])
        .next()
        .and_then(|n| n.strip_suffix(".json"));
    anyhow::ensure!(
        named == Some(&*hex::encode(Sha256::digest(&bytes))),
        "{path}: its content is not what its name says; restore it from a backup of the lake"
    );
    Ok(manifest::decode(path, "a correction", &bytes)?)
}

/// Keeps a correction; gives its path. The name says when it came among the stream's others, and its SHA-256.
///
/// # Errors
/// Those of the storage.
pub async fn keep(store: &Store, correction: &Correction) -> Result<String> {
    let folder = folder(&correction.source, &correction.stream);
    let number = store.list(&folder).await?.len() + 1;
    let body = manifest::encode(&folder, correction)?;
    let sha = hex::encode(Sha256::digest(&body));
    let path = format!("{folder}/{number:08}-{sha}.json");
    match store.create(&path, body).await {
        Ok(()) | Err(Error::AlreadyExists { .. }) => Ok(path),
        Err(error) => Err(error.into()),
    }
}

/// The corrected rows of one raw object, by locator, with the correction that each comes from.
#[derive(Clone, Debug, Default)]
pub struct Edits(HashMap<String, (EditedRow, String)>);

impl Edits {
    /// Reads those of a file.
    ///
    /// # Errors
    /// Those of the storage.
    pub async fn of(store: &Store, file: &File) -> Result<Self> {
        let mut rows = HashMap::new();
        for path in &file.edits {
            let correction = read(store, path).await?;
            let mine = correction.rows.into_iter().filter(|r| r.raw == file.sha256);
            rows.extend(mine.map(|r| (r.locator.clone(), (r, path.clone()))));
        }
        Ok(Self(rows))
    }

    /// The correction of the row there, and its path.
    #[must_use]
    pub fn find(&self, locator: &str) -> Option<&(EditedRow, String)> {
        self.0.get(locator)
    }

    /// How many rows are corrected.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn at(&self, locator: &Locator) -> Option<&EditedRow> {
        self.0.get(&locator.to_string()).map(|(row, _)| row)
    }

    /// Decodes a file with its corrections in their places. The sink is told which rows are corrected.
    ///
    /// # Errors
    /// See [`decode`].
    pub fn decode(
        &self,
        stream: &Stream,
        name: &str,
        input: impl std::io::Read,
        sink: &mut dyn FnMut(Decoded, Edited) -> Result<()>,
    ) -> Result<()> {
        if self.is_empty() {
            return decode(stream, name, input, &mut |decoded| {
                sink(decoded, Edited::No)
            });
        }
        decode(stream, name, input, &mut |decoded| match decoded {
            Decoded::Rows(batch) => self.replace(&batch, sink),
            Decoded::Fault(fault) => match self.at(&fault.locator) {
                Some(row) => sink(Decoded::Rows(batch_of(row)?), Edited::Yes),
                None => sink(Decoded::Fault(fault), Edited::No),
            },
            structural => sink(structural, Edited::No),
        })
    }

    /// Hands a batch on in pieces, so that corrected rows keep their places.
    fn replace(
        &self,
        batch: &RawBatch,
        sink: &mut dyn FnMut(Decoded, Edited) -> Result<()>,
    ) -> Result<()> {
        let mut done = 0;
        for (at, locator) in batch.locators.iter().enumerate() {
            let Some(row) = self.at(locator) else {
                continue;
            };
            if done < at {
                sink(Decoded::Rows(batch.part(done..at)), Edited::No)?;
            }
            sink(Decoded::Rows(batch_of(row)?), Edited::Yes)?;
            done = at + 1;
        }
        if done < batch.rows.len() {
            sink(
                Decoded::Rows(batch.part(done..batch.rows.len())),
                Edited::No,
            )?;
        }
        Ok(())
    }
}

fn batch_of(row: &EditedRow) -> Result<RawBatch> {
    row.batch()
        .with_context(|| format!("the correction of row {}", row.row))
}

/// Whether rows are as the source wrote them, or as somebody corrected them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edited {
    /// Corrected.
    Yes,
    /// As in the source.
    No,
}

/// Whether a stream's rows are nested: then cells that hold JSON become that value.
#[must_use]
pub fn nested(
    stream: &Stream,
    content: Option<&serde_json::Map<String, serde_json::Value>>,
) -> bool {
    match &stream.format {
        None => true,
        Some(format) if format.json.is_some() => true,
        Some(format) if format.parquet.is_some() => {
            content.is_some_and(|c| c.values().any(|v| v.is_object() || v.is_array()))
        }
        Some(_) => false,
    }
}

/// Rows of a batch as JSON objects, as quarantine keeps them.
#[must_use]
pub fn contents(batch: &RawBatch) -> Vec<serde_json::Value> {
    use arrow::array::{Array, AsArray};
    match &batch.rows {
        RawRows::Json(rows) => rows.iter().map(Json::value).collect(),
        RawRows::Columns(rows) => (0..rows.num_rows())
            .map(|row| {
                let cells = rows.schema_ref().fields().iter().zip(rows.columns());
                let cells = cells.map(|(field, column)| {
                    let text = column.as_string_opt::<i32>().filter(|c| c.is_valid(row));
                    let value = text.map_or(serde_json::Value::Null, |t| t.value(row).into());
                    (field.name().clone(), value)
                });
                serde_json::Value::Object(cells.collect())
            })
            .collect(),
    }
}
