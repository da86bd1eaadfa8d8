//! What is in files before anybody has described them: types, shapes, keys and notations of every column, and a
//! `Source` to begin with. Values are counted and never kept; memory does not grow with the data.

pub(crate) mod column;
mod discover;
mod key;
pub(crate) mod meaning;
mod notation;
mod propose;
mod shape;
mod sketch;
pub(crate) mod sniff;
pub(crate) mod words;

use std::{
    collections::BTreeMap,
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use arrow::array::{Array, RecordBatch, StringArray};
use hashbrown::HashMap;
use musubi_api::{
    Catalog,
    source::{Stream, SystemType},
};
use musubi_clean::raw::RawRows;
use serde::Serialize;
use serde_json::Value;

use self::{column::Column, key::Rows};
pub use self::{
    column::{ColumnReport, Kind, Share},
    meaning::Meaning,
    propose::propose,
};
use crate::source::{
    self,
    decode::{Decoded, decode},
};

/// What was found.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Profile {
    /// The sources.
    pub sources: Vec<SourceReport>,
}

/// A source that was found or declared.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceReport {
    /// Name.
    pub name: String,
    /// Kind of system; a guess from the folder's name when the source is not declared.
    pub system: SystemType,
    /// Where its files are; nothing for declared sources.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folder: Option<PathBuf>,
    /// Whether its texts are Japanese.
    pub japanese: bool,
    /// Its streams.
    pub streams: Vec<StreamReport>,
}

/// What was found in a stream.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamReport {
    /// Name.
    pub name: String,
    /// Pattern of its files, or its table.
    pub path: String,
    /// How it is decoded, as a stream declares it.
    pub format: Value,
    /// Files by encoding, for formats that are text.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub encodings: BTreeMap<String, u64>,
    /// Files.
    pub files: u64,
    /// Bytes.
    pub bytes: u64,
    /// Rows.
    pub rows: u64,
    /// Headers, trailers, comments and blank lines.
    pub structural: u64,
    /// Records that could not be decoded, by reason.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub faults: BTreeMap<String, u64>,
    /// Files that could not be read, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<String>,
    /// The probable key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<KeyReport>,
    /// The columns, in their order.
    pub columns: Vec<ColumnReport>,
}

/// The probable key of a stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyReport {
    /// Its columns.
    pub columns: Vec<String>,
    /// Rows whose key an earlier row of the same file has.
    pub duplicates: u64,
    /// Rows in which one of its columns is empty.
    pub empty: u64,
    /// Rows that were looked at for it.
    pub of_rows: u64,
}

/// Is told how far a profile has come.
pub trait Progress {
    /// So many bytes will be read.
    fn total(&self, bytes: u64);
    /// A file begins.
    fn file(&self, name: &str);
    /// So many bytes more were read.
    fn advance(&self, bytes: u64);
}

/// Profiles plain files, folders and globs.
///
/// # Errors
/// When a file cannot be read; the error names it.
pub fn files(paths: &[PathBuf], progress: &dyn Progress) -> Result<Profile> {
    let found = discover::discover(paths)?;
    let size = |path: PathBuf| std::fs::metadata(path).map_or(0, |m| m.len());
    let all = found.iter().flat_map(|f| {
        f.streams
            .iter()
            .flat_map(|s| s.files.iter().map(|n| f.folder.join(n)))
    });
    progress.total(all.map(size).sum());
    let mut sources = Vec::new();
    for source in found {
        let mut japanese = false;
        let mut streams = Vec::new();
        for stream in &source.streams {
            let folder = &source.folder;
            let mut scan = Scan::begin(folder, stream)?;
            for name in &stream.files {
                progress.file(name);
                scan.path(folder, name, progress);
            }
            japanese |= scan.is_japanese();
            streams.push(scan.report(&stream.pattern));
        }
        sources.push(SourceReport {
            name: source.name,
            system: source.system,
            folder: Some(source.folder),
            japanese,
            streams,
        });
    }
    Ok(Profile { sources })
}

/// Profiles the streams of declared sources.
///
/// # Errors
/// When a source cannot be read; the error names it.
pub async fn declared(catalog: &Catalog, progress: &dyn Progress) -> Result<Profile> {
    let mut sources = Vec::new();
    let secrets = catalog.secrets();
    for name in catalog.names(musubi_api::Kind::Source) {
        let Some(spec) = catalog.source(name) else {
            continue;
        };
        let mut japanese = false;
        let mut streams = Vec::new();
        for stream in &spec.streams {
            let place = || format!("Source {name}, stream {}", stream.name);
            let objects = source::list(&spec.connector, stream, secrets)
                .await
                .with_context(place)?;
            progress.total(objects.iter().map(|o| o.size).sum());
            let mut scan = Scan::new(stream.clone(), serde_json::to_value(&stream.format)?);
            for object in objects {
                progress.file(&object.path);
                let fetched = source::fetch(&spec.connector, stream, &object, None, secrets)
                    .await
                    .with_context(place)?;
                let watched = Watched {
                    inner: fetched.open()?,
                    progress,
                };
                scan.file(&object.path, fetched.size, watched)
                    .with_context(place)?;
            }
            japanese |= scan.is_japanese();
            let path = stream.files.as_ref().map(|f| f.path.as_str());
            let table = stream.table.as_ref().map(|t| t.name.as_str());
            streams.push(scan.report(path.or(table).unwrap_or_default()));
        }
        sources.push(SourceReport {
            name: name.to_owned(),
            system: spec.system,
            folder: None,
            japanese,
            streams,
        });
    }
    Ok(Profile { sources })
}

/// Whether a path holds resources: YAML, or a folder with YAML in it.
#[must_use]
pub fn holds_resources(path: &Path) -> bool {
    let is_yaml = |p: &Path| p.extension().is_some_and(|e| e == "yaml" || e == "yml");
    let inside = || std::fs::read_dir(path).into_iter().flatten().flatten();
    is_yaml(path) || inside().any(|entry| is_yaml(&entry.path()))
}

/// A reader that tells how far it came.
struct Watched<'a, R> {
    inner: R,
    progress: &'a dyn Progress,
}

impl<R: Read> Read for Watched<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.progress.advance(read as u64);
        Ok(read)
    }
}

/// Columns that are looked at; what a stream has beyond them is left out.
const COLUMNS: usize = 2000;

/// Counts over the files of one stream.
struct Scan {
    stream: Stream,
    format: Value,
    encodings: BTreeMap<String, u64>,
    files: u64,
    bytes: u64,
    rows: u64,
    structural: u64,
    faults: BTreeMap<String, u64>,
    unreadable: Vec<String>,
    /// Rows of each level: of the stream or a record type (``), of elements of an array (`items[]`).
    levels: HashMap<String, u64>,
    names: Vec<(String, String)>,
    columns: HashMap<String, Column>,
    keys: Rows,
}

impl Scan {
    fn new(stream: Stream, format: Value) -> Self {
        Self {
            stream,
            format,
            encodings: BTreeMap::new(),
            files: 0,
            bytes: 0,
            rows: 0,
            structural: 0,
            faults: BTreeMap::new(),
            unreadable: Vec::new(),
            levels: HashMap::new(),
            names: Vec::new(),
            columns: HashMap::new(),
            keys: Rows::default(),
        }
    }

    /// Begins with the format of the largest file: others may hold nothing.
    fn begin(folder: &Path, found: &discover::FoundStream) -> Result<Self> {
        let size = |name: &&String| std::fs::metadata(folder.join(name)).map_or(0, |m| m.len());
        let first = found.files.iter().max_by_key(size);
        let name = first.context("a stream without files")?;
        let sniffed = sniff::sniff(&folder.join(name))?;
        let declared = sniff::stream(&found.name, &found.pattern, &sniffed.format)?;
        Ok(Self::new(declared, sniffed.format))
    }

    /// Reads a file; one that cannot be read is noted, and the others are read all the same.
    fn path(&mut self, folder: &Path, name: &str, progress: &dyn Progress) {
        let path = folder.join(name);
        let mut read = || -> Result<()> {
            if let Some(encoding) = sniff::sniff(&path)?.encoding {
                *self.encodings.entry(encoding.to_owned()).or_default() += 1;
            }
            let file = File::open(&path).with_context(|| format!("open {}", path.display()))?;
            let size = file.metadata()?.len();
            let watched = Watched {
                inner: file,
                progress,
            };
            self.file(name, size, watched)
        };
        if let Err(error) = read() {
            self.unreadable.push(format!("{error:#}"));
        }
    }

    fn file(&mut self, name: &str, size: u64, input: impl Read) -> Result<()> {
        let stream = self.stream.clone();
        self.files += 1;
        self.bytes += size;
        decode(&stream, name, input, &mut |found| {
            match found {
                Decoded::Structural(n) => self.structural += n,
                Decoded::Fault(fault) => {
                    *self.faults.entry(fault.code.to_owned()).or_default() += 1
                }
                Decoded::Rows(batch) => {
                    self.rows += batch.rows.len() as u64;
                    match &batch.rows {
                        RawRows::Columns(rows) => self.flat(batch.record.as_deref(), rows),
                        RawRows::Json(rows) => {
                            rows.iter().for_each(|row| self.nested(&row.value()))
                        }
                    }
                }
            }
            Ok(())
        })
    }

    fn flat(&mut self, record: Option<&str>, rows: &RecordBatch) {
        let level = record.map(|r| format!("{r}.")).unwrap_or_default();
        *self.levels.entry(level.clone()).or_default() += rows.num_rows() as u64;
        let schema = rows.schema();
        let columns: Vec<(String, &StringArray)> = schema
            .fields()
            .iter()
            .zip(rows.columns())
            // columns of headers are seen with the headers
            .filter(|(field, _)| record.is_none() || !field.name().contains('.'))
            .filter_map(|(field, column)| {
                Some((
                    format!("{level}{}", field.name()),
                    column.as_any().downcast_ref()?,
                ))
            })
            .collect();
        for (name, values) in &columns {
            let Some(column) = self.column(&level, name) else {
                continue;
            };
            values
                .iter()
                .flatten()
                .filter(|v| !v.trim().is_empty())
                .for_each(|v| column.add(v));
        }
        if record.is_none() {
            let file = u32::try_from(self.files).unwrap_or(u32::MAX);
            for row in 0..rows.num_rows() {
                if !self.keys.has_room() {
                    break;
                }
                let cells = columns.iter().filter(|(_, c)| c.is_valid(row));
                self.keys.add(
                    file,
                    cells.map(|(name, c)| (name.as_str(), column::hash(c.value(row)))),
                );
            }
        }
    }

    fn nested(&mut self, row: &Value) {
        *self.levels.entry(String::new()).or_default() += 1;
        let mut cells = Vec::new();
        self.members(row, "", "", &mut cells);
        if self.keys.has_room() {
            let file = u32::try_from(self.files).unwrap_or(u32::MAX);
            self.keys.add(
                file,
                cells.iter().map(|(name, hash)| (name.as_str(), *hash)),
            );
        }
    }

    fn members(&mut self, value: &Value, level: &str, path: &str, cells: &mut Vec<(String, u64)>) {
        let Value::Object(members) = value else {
            return self.scalar(value, level, path, cells);
        };
        for (key, inner) in members {
            let path = match path {
                "" => key.clone(),
                path => format!("{path}.{key}"),
            };
            match inner {
                Value::Array(items) => {
                    let level = format!("{path}[]");
                    *self.levels.entry(level.clone()).or_default() += items.len() as u64;
                    for item in items {
                        self.members(item, &level, &level, cells);
                    }
                }
                inner => self.members(inner, level, &path, cells),
            }
        }
    }

    fn scalar(&mut self, value: &Value, level: &str, path: &str, cells: &mut Vec<(String, u64)>) {
        let text = match value {
            Value::Null => "",
            Value::String(text) => text.as_str(),
            other => &other.to_string(),
        };
        let Some(column) = self.column(level, path) else {
            return;
        };
        if !text.trim().is_empty() {
            column.add(text);
            if level.is_empty() {
                cells.push((path.to_owned(), column::hash(text)));
            }
        }
    }

    fn column(&mut self, level: &str, name: &str) -> Option<&mut Column> {
        if !self.columns.contains_key(name) {
            if self.columns.len() == COLUMNS {
                return None;
            }
            self.names.push((level.to_owned(), name.to_owned()));
        }
        Some(self.columns.entry(name.to_owned()).or_default())
    }

    fn is_japanese(&self) -> bool {
        let signs = |text: &str| {
            text.chars()
                .any(|c| matches!(c, 'ぁ'..='ヿ' | '\u{4e00}'..='\u{9fff}'))
        };
        self.columns
            .iter()
            .any(|(name, c)| c.japanese > 0 || signs(name))
    }

    fn report(mut self, path: &str) -> StreamReport {
        let columns: Vec<ColumnReport> = self
            .names
            .iter()
            .map(|(level, name)| {
                self.columns[name].report(name, self.levels.get(level).copied().unwrap_or_default())
            })
            .collect();
        let candidates = candidates(&columns);
        let key = self.keys.key(&candidates).map(|key| KeyReport {
            columns: key.columns,
            duplicates: key.duplicates,
            empty: key.empty,
            of_rows: key.rows,
        });
        StreamReport {
            name: self.stream.name,
            path: path.to_owned(),
            format: self.format,
            encodings: self.encodings,
            files: self.files,
            bytes: self.bytes,
            rows: self.rows,
            structural: self.structural,
            faults: self.faults,
            unreadable: self.unreadable,
            key,
            columns,
        }
    }
}

/// Columns that may be part of a key, the likelier first, with how likely they are.
fn candidates(columns: &[ColumnReport]) -> Vec<(&str, i32)> {
    const NAMED: [&str; 7] = ["id", "key", "no", "number", "code", "番号", "コード"];
    let likely = |column: &ColumnReport| {
        let name = column.name.to_lowercase();
        let named = NAMED.iter().any(|end| name.ends_with(end));
        let unlikely = match column.meaning {
            Some(Meaning::Email | Meaning::Phone) => 1,
            Some(Meaning::PostalCode | Meaning::Name | Meaning::Address | Meaning::BirthDate) => 2,
            Some(
                Meaning::Total
                | Meaning::Tax
                | Meaning::UnitPrice
                | Meaning::Quantity
                | Meaning::Discount,
            ) => 4,
            _ if matches!(column.kind, Kind::Decimal | Kind::Date | Kind::Timestamp) => 3,
            _ => 0,
        };
        i32::from(named) * 4 - unlikely
    };
    let possible = columns
        .iter()
        .filter(|c| c.null_percent <= 6.0 && !c.name.contains("[]"));
    let mut out: Vec<(&str, i32)> = possible.map(|c| (c.name.as_str(), likely(c))).collect();
    out.sort_by_key(|(_, likely)| std::cmp::Reverse(*likely));
    out.into_iter()
        .filter(|(_, likely)| *likely > -4)
        .take(16)
        .collect()
}
