//! Rows of other streams of a source, kept small, by the key that a stream looks them up with.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex},
};

use arrow::array::{Array, RecordBatch, StringArray};
use hashbrown::HashSet;
use musubi_api::source::Stream;
use sha2::{Digest, Sha256};

use crate::json::Json;
use crate::mapping_row::{steps, walk};
use crate::raw::{RawBatch, RawRows};

/// The look-ups of one stream, in their order.
#[derive(Clone, Debug, Default)]
pub struct Lookups {
    tables: Arc<Vec<Table>>,
    /// For each look-up the keys that were looked up.
    asked: Arc<Mutex<Vec<HashSet<Box<str>>>>>,
}

/// A key that was looked up: in which look-up of the stream, and the key.
pub type Asked = (u32, Box<str>);

#[derive(Clone, Debug)]
struct Table {
    alias: String,
    stream: String,
    key: String,
    columns: Vec<String>,
    rows: HashMap<Box<str>, u32>,
    cells: Vec<Option<Box<str>>>,
}

impl Lookups {
    /// Empty look-ups of a stream, to be filled with [`Lookups::feed`]. Only columns that the stream's
    /// contract, mappings and later look-ups read are kept.
    #[must_use]
    pub fn builder(stream: &Stream) -> Self {
        let used = crate::mapping::columns(stream);
        let tables = stream
            .lookups
            .iter()
            .map(|lookup| Table {
                alias: lookup.alias.clone(),
                stream: lookup.stream.clone(),
                key: lookup.key.clone(),
                columns: columns_under(&used, &lookup.alias),
                rows: HashMap::new(),
                cells: Vec::new(),
            })
            .collect();
        Self {
            tables: Arc::new(tables),
            asked: Arc::default(),
        }
    }

    /// The same look-ups, of which nothing was asked yet.
    #[must_use]
    pub fn unasked(&self) -> Self {
        Self {
            tables: self.tables.clone(),
            asked: Arc::default(),
        }
    }

    /// Every key that was looked up, found or not, in order.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        let Ok(asked) = self.asked.lock() else {
            return Vec::new();
        };
        let keys = (0..).zip(asked.iter());
        let mut all: Vec<Asked> = keys
            .flat_map(|(lookup, keys)| keys.iter().map(move |key| (lookup, key.clone())))
            .collect();
        all.sort_unstable();
        all
    }

    /// SHA-256 (hex) of what is found for some keys.
    #[must_use]
    pub fn answers(&self, asked: &[Asked]) -> String {
        let mut hasher = Sha256::new();
        for (lookup, key) in asked {
            let table = self.tables.get(*lookup as usize);
            if let Some((table, row)) = table.and_then(|t| Some((t, t.rows.get(key)?))) {
                hasher.update(lookup.to_le_bytes());
                table.digest_row(&mut hasher, key, *row);
            }
        }
        hex::encode(hasher.finalize())
    }

    /// Takes in rows of the stream with this name. A key that was seen before is replaced: the later row
    /// wins, so feed batches in the order of their files.
    pub fn feed(&mut self, stream: &str, batch: &RawBatch) {
        let tables = Arc::make_mut(&mut self.tables).iter_mut();
        for table in tables.filter(|t| t.stream == stream) {
            table.feed(&batch.rows);
        }
    }

    /// Names of the streams whose rows are needed, each once.
    #[must_use]
    pub fn streams(&self) -> Vec<&str> {
        let names: BTreeSet<&str> = self.tables.iter().map(|t| t.stream.as_str()).collect();
        names.into_iter().collect()
    }

    /// SHA-256 (hex) of all that could be found, whatever the order of feeding; empty without look-ups.
    #[must_use]
    pub fn digest(&self) -> String {
        if self.tables.is_empty() {
            return String::new();
        }
        let mut hasher = Sha256::new();
        for table in self.tables.iter() {
            table.digest(&mut hasher);
        }
        hex::encode(hasher.finalize())
    }

    pub(crate) fn find(&self, lookup: usize, key: &str) -> Option<u32> {
        let (table, key) = (self.tables.get(lookup)?, key.trim());
        if let Ok(mut asked) = self.asked.lock() {
            asked.resize_with(self.tables.len(), HashSet::new);
            if !asked[lookup].contains(key) {
                asked[lookup].insert(key.into());
            }
        }
        table.rows.get(key).copied()
    }

    pub(crate) fn cell(&self, lookup: usize, row: u32, column: usize) -> Option<&str> {
        let table = &self.tables[lookup];
        table.cells[row as usize * table.columns.len() + column].as_deref()
    }

    /// `alias.column` as positions of look-up and column.
    pub(crate) fn resolve(&self, text: &str) -> Option<(usize, usize)> {
        self.tables.iter().enumerate().find_map(|(at, table)| {
            let rest = text.strip_prefix(table.alias.as_str())?.strip_prefix('.')?;
            let column = table.columns.iter().position(|c| c == rest)?;
            Some((at, column))
        })
    }
}

fn columns_under(used: &BTreeSet<String>, alias: &str) -> Vec<String> {
    used.iter()
        .filter_map(|name| name.strip_prefix(alias)?.strip_prefix('.'))
        .map(str::to_owned)
        .collect()
}

impl Table {
    fn feed(&mut self, rows: &RawRows) {
        match rows {
            RawRows::Columns(batch) => self.feed_columns(batch),
            RawRows::Json(rows) => {
                let key = steps(&self.key);
                let paths: Vec<_> = self.columns.iter().map(|c| steps(c)).collect();
                for row in rows.iter() {
                    let Some(key) = walk(row, &key).and_then(Json::text) else {
                        continue;
                    };
                    let cells: Vec<_> = paths
                        .iter()
                        .map(|p| walk(row, p).and_then(Json::text).map(|t| t.as_ref().into()))
                        .collect();
                    self.insert(key.trim(), cells);
                }
            }
        }
    }

    fn feed_columns(&mut self, batch: &RecordBatch) {
        let text = |name: &str| {
            batch
                .column_by_name(name)
                .and_then(|c| c.as_any().downcast_ref::<StringArray>())
        };
        let Some(keys) = text(&self.key) else { return };
        let columns: Vec<_> = self.columns.iter().map(|c| text(c)).collect();
        for index in (0..batch.num_rows()).filter(|i| keys.is_valid(*i)) {
            let cells: Vec<_> = columns
                .iter()
                .map(|c| {
                    c.filter(|c| c.is_valid(index))
                        .map(|c| c.value(index).into())
                })
                .collect();
            self.insert(keys.value(index).trim(), cells);
        }
    }

    fn insert(&mut self, key: &str, cells: Vec<Option<Box<str>>>) {
        if key.is_empty() {
            return;
        }
        if let Some(row) = self.rows.get(key) {
            let start = *row as usize * self.columns.len();
            for (at, cell) in cells.into_iter().enumerate() {
                self.cells[start + at] = cell;
            }
            return;
        }
        let Ok(row) = u32::try_from(self.rows.len()) else {
            return;
        };
        self.rows.insert(key.into(), row);
        self.cells.extend(cells);
    }

    fn digest(&self, hasher: &mut Sha256) {
        hasher.update(self.alias.as_bytes());
        hasher.update([0]);
        let mut rows: Vec<_> = self.rows.iter().collect();
        rows.sort_unstable();
        for (key, row) in rows {
            self.digest_row(hasher, key, *row);
        }
    }

    fn digest_row(&self, hasher: &mut Sha256, key: &str, row: u32) {
        hasher.update(key.as_bytes());
        hasher.update([0]);
        let start = row as usize * self.columns.len();
        for cell in &self.cells[start..start + self.columns.len()] {
            hasher.update(cell.as_deref().unwrap_or("\u{1}").as_bytes());
            hasher.update([0]);
        }
    }
}
