//! What a decoder hands to cleaning: batches of raw rows, still as the source wrote them.

use std::sync::Arc;

use arrow::array::RecordBatch;

use crate::json::{Json, JsonRows};

/// A batch of raw rows of one stream (and, for files with record types, of one type).
#[derive(Clone, Debug)]
pub struct RawBatch {
    /// Name of the record type, for formats that have them.
    pub record: Option<Arc<str>>,
    /// The rows.
    pub rows: RawRows,
    /// Where each row stands in its raw object; as long as `rows`.
    pub locators: Vec<Locator>,
    /// Number of each row in its object, from 1; as long as `rows`.
    pub numbers: Vec<u64>,
}

impl RawBatch {
    /// Some of the rows.
    #[must_use]
    pub fn part(&self, rows: std::ops::Range<usize>) -> Self {
        Self {
            record: self.record.clone(),
            locators: self.locators[rows.clone()].to_vec(),
            numbers: self.numbers[rows.clone()].to_vec(),
            rows: match &self.rows {
                RawRows::Columns(batch) => RawRows::Columns(batch.slice(rows.start, rows.len())),
                RawRows::Json(all) => {
                    RawRows::Json(rows.map(|index| all.row(index)).map(Json::value).collect())
                }
            },
        }
    }
}

/// The file that rows come from, as far as mappings may ask (`#path`, `#date`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceFile {
    /// Path below the connector's root.
    pub path: String,
    /// Date in the path.
    pub date: Option<jiff::civil::Date>,
}

/// Raw rows in one of two shapes.
#[derive(Clone, Debug)]
pub enum RawRows {
    /// Flat rows: nullable Utf8 columns under the source's names. Typed sources (Parquet, Excel,
    /// databases) are written out in one canonical text form: ISO 8601 dates and times, plain decimals,
    /// `true`/`false`.
    Columns(RecordBatch),
    /// Nested rows.
    Json(JsonRows),
}

impl RawRows {
    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Columns(batch) => batch.num_rows(),
            Self::Json(rows) => rows.len(),
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A row that could not even be decoded, or that belongs to the file and not to the data.
#[derive(Clone, Debug)]
pub struct RawFault {
    /// Number of the row in its object, from 1.
    pub number: u64,
    /// Where it stands.
    pub locator: Locator,
    /// Reason code: `undecodable_text`, `wrong_column_count`, `invalid_json`, `trailer_count`, `trailer_sum`, `unknown_record_type`, …
    pub code: &'static str,
    /// Column concerned, when there is one.
    pub field: Option<String>,
    /// The rule that was broken, in words, without any value of the row.
    pub rule: String,
    /// The row's columns, where it could be read and is refused for another reason.
    pub content: Option<FaultContent>,
}

/// A row that could be read.
#[derive(Clone, Debug)]
pub struct FaultContent {
    /// Its record type, for formats that have them.
    pub record: Option<Arc<str>>,
    /// Its columns.
    pub columns: Vec<(String, String)>,
}

/// Where a row stands in its raw object. Its text form is stable: `bytes=120-233`, `zip=a.csv;bytes=0-90`,
/// `sheet=売上;row=12`, `group=0;row=17`, `row=8`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Locator {
    /// Bytes of the (decompressed) object: start and end, end exclusive.
    Bytes {
        /// Member of an archive.
        member: Option<Arc<str>>,
        /// First byte.
        start: u64,
        /// One past the last byte.
        end: u64,
    },
    /// Row of a sheet, from 1.
    Sheet {
        /// Name of the sheet.
        sheet: Arc<str>,
        /// Row, from 1.
        row: u64,
    },
    /// Row of a Parquet row group, from 0.
    RowGroup {
        /// Row group, from 0.
        group: u32,
        /// Row in it, from 0.
        row: u64,
    },
}

impl Locator {
    /// Adds the text form. It is made for every row, so without the formatting machinery.
    pub(crate) fn write(&self, text: &mut String) {
        let number = |text: &mut String, name: &str, number: u64| {
            text.push_str(name);
            text.push_str(itoa::Buffer::new().format(number));
        };
        match self {
            Self::Bytes { member, start, end } => {
                if let Some(member) = member {
                    text.extend(["zip=", &**member, ";"]);
                }
                number(text, "bytes=", *start);
                number(text, "-", *end);
            }
            Self::Sheet { sheet, row } => {
                text.extend(["sheet=", &**sheet]);
                number(text, ";row=", *row);
            }
            Self::RowGroup { group, row } => {
                number(text, "group=", u64::from(*group));
                number(text, ";row=", *row);
            }
        }
    }
}

impl std::fmt::Display for Locator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = String::new();
        self.write(&mut text);
        f.write_str(&text)
    }
}
