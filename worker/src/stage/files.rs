//! Which raw objects make up the present: the bookmark of every stream.
//!
//! Curated tables are a function of the active files (and of identity), so ten runs over ten days and one
//! run over all ten see the same. A file is active until a newer one at its path replaces it, or, in a
//! snapshot stream, until any later file comes.

use std::collections::BTreeMap;

use anyhow::Result;
use musubi_api::{
    run::Run,
    source::{ChangeMode, Stream},
};
use musubi_clean::raw::SourceFile;
use musubi_lake::{Store, manifest};
use serde::{Deserialize, Serialize};

use super::edits::EditSet;

/// A raw object, and where it came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct File {
    /// Source.
    pub source: String,
    /// Stream.
    pub stream: String,
    /// Path in the source; for a table `table@` and the number of the read.
    pub path: String,
    /// Version of the object in the source.
    pub tag: String,
    /// Bytes.
    pub size: u64,
    /// Date from the file's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<jiff::civil::Date>,
    /// SHA-256 of the bytes, hex.
    pub sha256: String,
    /// Where the bytes are in the lake.
    pub raw: String,
    /// Version of the lake that the run which took it was to publish: later ones replace earlier ones.
    pub taken: u64,
    /// For reads of a table: the largest cursor seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bookmark: Option<String>,
    /// The instant that the run which took it spoke for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arrived: Option<jiff::Timestamp>,
    /// The run that took it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub run: String,
    /// Whether a later file has taken its place.
    #[serde(default)]
    pub superseded: bool,
    /// Paths of the corrections of its rows, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub edits: Vec<String>,
}

impl File {
    /// The day that it is about: the date in its name, else the day it arrived (UTC).
    #[must_use]
    pub fn day(&self) -> Option<jiff::civil::Date> {
        let arrived = || Some(self.arrived?.to_zoned(jiff::tz::TimeZone::UTC).date());
        self.date.or_else(arrived)
    }

    /// What the rows of the file may ask of it.
    #[must_use]
    pub fn origin(&self) -> SourceFile {
        SourceFile {
            path: self.path.clone(),
            date: self.date,
        }
    }
}

/// All files that were ever taken, in the order in which their rows count: the later wins.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Files(pub Vec<File>);

impl Files {
    /// Reads what a run left.
    ///
    /// # Errors
    /// Those of the storage.
    pub async fn read(store: &Store, path: &str) -> Result<Self> {
        Ok(manifest::decode(
            path,
            "the list of files",
            &store.get(path).await?,
        )?)
    }

    /// The files whose rows are the present.
    pub fn active(&self) -> impl Iterator<Item = &File> {
        self.0.iter().filter(|f| !f.superseded)
    }

    /// The active files of one stream.
    pub fn of<'a>(&'a self, source: &'a str, stream: &'a str) -> impl Iterator<Item = &'a File> {
        self.active()
            .filter(move |f| f.source == source && f.stream == stream)
    }

    /// Adds what a run took, and says anew which files are active.
    #[must_use]
    pub fn with(mut self, run: &Run, taken: Vec<File>) -> Self {
        self.0.extend(taken);
        self.0.sort_by(|a, b| {
            let order = |f: &File| {
                (
                    f.source.clone(),
                    f.stream.clone(),
                    f.date,
                    f.path.clone(),
                    f.taken,
                    f.arrived,
                )
            };
            order(a).cmp(&order(b))
        });
        self.0.dedup_by(|later, file| {
            let same = file.path == later.path
                && file.sha256 == later.sha256
                && file.source == later.source
                && file.stream == later.stream;
            if same {
                // Sent again as it was: it is not to be taken once more.
                file.tag.clone_from(&later.tag);
            }
            same
        });
        let mut last_of_path: BTreeMap<(String, String, String), usize> = BTreeMap::new();
        let mut last_of_stream: BTreeMap<(String, String), usize> = BTreeMap::new();
        for (at, file) in self.0.iter_mut().enumerate() {
            file.superseded = false;
            last_of_path.insert(
                (file.source.clone(), file.stream.clone(), file.path.clone()),
                at,
            );
            last_of_stream.insert((file.source.clone(), file.stream.clone()), at);
        }
        for (at, file) in self.0.iter_mut().enumerate() {
            let Some(stream) = stream(run, &file.source, &file.stream) else {
                file.superseded = true;
                continue;
            };
            let path = (file.source.clone(), file.stream.clone(), file.path.clone());
            let replaced = stream.replace_files && last_of_path.get(&path) != Some(&at);
            let outdated =
                is_snapshot(stream) && last_of_stream.get(&(path.0, path.1)) != Some(&at);
            file.superseded = replaced || outdated;
        }
        self
    }
}

impl Files {
    /// Says of each file which corrections of its rows there are.
    #[must_use]
    pub fn corrected(mut self, edits: &[EditSet]) -> Self {
        for file in &mut self.0 {
            let of_file = edits.iter().filter(|e| {
                e.source == file.source && e.stream == file.stream && e.raws.contains(&file.sha256)
            });
            file.edits = of_file.map(|e| e.path.clone()).collect();
        }
        self
    }
}

fn is_snapshot(stream: &Stream) -> bool {
    stream.changes == ChangeMode::Snapshot
        || stream.table.as_ref().is_some_and(|t| t.cursor.is_none())
}

/// A stream of a run's source.
#[must_use]
pub fn stream<'a>(run: &'a Run, source: &str, stream: &str) -> Option<&'a Stream> {
    run.sources
        .get(source)?
        .streams
        .iter()
        .find(|s| s.name == stream)
}
