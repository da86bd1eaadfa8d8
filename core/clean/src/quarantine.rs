//! Rows that were put aside: their schema, and the way back after somebody has edited them.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, StringBuilder};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::problem::{Problem, Reject};
use crate::raw::{Locator, RawBatch, RawRows};

/// The column that holds whole rows as the source wrote them, with whatever they say about persons: no
/// statistics, never shown.
pub const PERSONAL_COLUMN: &str = "row_json";

/// Schema of quarantine files.
///
/// `record` is the record type, `code` the reason, `field` the column concerned, `rule` what was broken,
/// `shape` what the value looks like (never the value), and `row_json` the row as a JSON object, null
/// where the row could not be decoded.
#[must_use]
pub fn quarantine_schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        let text = |name: &str, null| Field::new(name, DataType::Utf8, null);
        Arc::new(Schema::new(vec![
            text("source", false),
            text("stream", false),
            text("raw", false),
            text("locator", false),
            Field::new("row", DataType::Int64, false),
            text("record", true),
            text("code", false),
            text("field", true),
            text("rule", false),
            text("shape", true),
            text(PERSONAL_COLUMN, true),
        ]))
    });
    SCHEMA.clone()
}

/// Collects rows for quarantine.
#[derive(Default)]
pub(crate) struct QuarantineBuilder {
    locators: StringBuilder,
    rows: Vec<i64>,
    records: StringBuilder,
    codes: StringBuilder,
    fields: StringBuilder,
    rules: StringBuilder,
    shapes: StringBuilder,
    contents: StringBuilder,
}

impl QuarantineBuilder {
    pub(crate) fn push(
        &mut self,
        locator: &Locator,
        number: u64,
        record: Option<&str>,
        reject: &Reject,
        content: Option<&str>,
    ) {
        self.locators.append_value(locator.to_string());
        self.rows.push(i64::try_from(number).unwrap_or(i64::MAX));
        self.records.append_option(record);
        self.codes.append_value(&reject.code);
        self.fields.append_option(reject.field.as_deref());
        self.rules.append_value(&reject.rule);
        self.shapes.append_option(reject.shape.as_deref());
        self.contents.append_option(content);
    }

    pub(crate) fn finish(
        mut self,
        source: &str,
        stream: &str,
        raw: &str,
    ) -> Result<RecordBatch, Problem> {
        let length = self.rows.len();
        let constant = |text: &str| -> ArrayRef {
            Arc::new(StringArray::from_iter_values(std::iter::repeat_n(
                text, length,
            )))
        };
        let columns: Vec<ArrayRef> = vec![
            constant(source),
            constant(stream),
            constant(raw),
            Arc::new(self.locators.finish()),
            Arc::new(Int64Array::from(self.rows)),
            Arc::new(self.records.finish()),
            Arc::new(self.codes.finish()),
            Arc::new(self.fields.finish()),
            Arc::new(self.rules.finish()),
            Arc::new(self.shapes.finish()),
            Arc::new(self.contents.finish()),
        ];
        RecordBatch::try_new(quarantine_schema(), columns).map_err(|error| Problem::Arrow {
            what: "quarantined rows".into(),
            message: error.to_string(),
        })
    }
}

/// A quarantined row as the JSON object that it was kept as.
///
/// # Errors
/// When `row_json` is no JSON object.
pub fn content_of(row_json: &str) -> Result<Map<String, Value>, Problem> {
    serde_json::from_str(row_json).map_err(|_| {
        Problem::Input(format!(
            "a quarantined row is no JSON object ({}): it cannot be exported",
            crate::problem::shape(row_json)
        ))
    })
}

fn json_text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(Cow::Borrowed(text)),
        other => Some(Cow::Owned(other.to_string())),
    }
}

/// The text of a value of such a row, as a cell: nested values as JSON.
#[must_use]
pub fn cell(value: &Value) -> Option<String> {
    json_text(value).map(Cow::into_owned)
}

/// A row as somebody corrected it. It stands in for the row of the source that has its locator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EditedRow {
    /// SHA-256 (hex) of the raw object that it corrects.
    pub raw: String,
    /// Where the row stands in it, in text form.
    pub locator: String,
    /// Its number in the object, from 1.
    pub row: u64,
    /// Its record type, for formats that have them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<String>,
    /// Whether the stream's rows are nested (JSON) or flat.
    pub nested: bool,
    /// The whole row as it is now.
    pub content: Map<String, Value>,
    /// Names of the columns that are other than in the source.
    pub changed: Vec<String>,
}

impl EditedRow {
    /// The row as a decoder would hand it on.
    ///
    /// # Errors
    /// When its locator cannot be read.
    pub fn batch(&self) -> Result<RawBatch, Problem> {
        let locator = self.locator.parse().map_err(|()| {
            Problem::Input(format!(
                "row {}: its locator ({}) cannot be read",
                self.row,
                crate::problem::shape(&self.locator)
            ))
        })?;
        let rows = if self.nested {
            RawRows::Json([Value::Object(self.content.clone())].into_iter().collect())
        } else {
            RawRows::Columns(flat(&self.content)?)
        };
        Ok(RawBatch {
            record: self.record.as_deref().map(Arc::from),
            rows,
            locators: vec![locator],
            numbers: vec![self.row],
        })
    }
}

/// A row with the cells that somebody gave it, and which columns changed. A cell that says what stood there keeps
/// the value's type; in a nested row another cell that is JSON (an object, array, number or flag) becomes
/// that value, and any other cell a text.
#[must_use]
pub fn edit(
    original: &Map<String, Value>,
    cells: &[(String, Option<String>)],
    nested: bool,
) -> (Map<String, Value>, Vec<String>) {
    let mut content = original.clone();
    let mut changed = Vec::new();
    for (name, cell) in cells {
        let before = original.get(name).and_then(json_text);
        let blank = |text: Option<&str>| text.is_none_or(str::is_empty);
        let same = before.as_deref() == cell.as_deref()
            || (blank(before.as_deref()) && blank(cell.as_deref()));
        if same {
            continue;
        }
        let value = match cell {
            None => Value::Null,
            Some(text) if nested => {
                serde_json::from_str(text).unwrap_or_else(|_| Value::from(text.as_str()))
            }
            Some(text) => Value::from(text.as_str()),
        };
        changed.push(name.clone());
        content.insert(name.clone(), value);
    }
    (content, changed)
}

fn flat(content: &Map<String, Value>) -> Result<RecordBatch, Problem> {
    let fields: Vec<Field> = content
        .keys()
        .map(|name| Field::new(name, DataType::Utf8, true))
        .collect();
    let columns = content
        .values()
        .map(|value| Arc::new(StringArray::from_iter([json_text(value)])) as ArrayRef)
        .collect();
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(1));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options).map_err(
        |error| Problem::Arrow {
            what: "an edited row".into(),
            message: error.to_string(),
        },
    )
}

impl std::str::FromStr for Locator {
    type Err = ();

    /// Reads the text form back.
    fn from_str(text: &str) -> Result<Self, ()> {
        let range = |text: &str| -> Option<(u64, u64)> {
            let (start, end) = text.split_once('-')?;
            Some((start.parse().ok()?, end.parse().ok()?))
        };
        let found = if let Some(rest) = text.strip_prefix("zip=") {
            rest.rsplit_once(";bytes=").and_then(|(member, bytes)| {
                let (start, end) = range(bytes)?;
                let member = Some(Arc::from(member));
                Some(Self::Bytes { member, start, end })
            })
        } else if let Some(rest) = text.strip_prefix("bytes=") {
            range(rest).map(|(start, end)| Self::Bytes {
                member: None,
                start,
                end,
            })
        } else if let Some(rest) = text.strip_prefix("sheet=") {
            rest.rsplit_once(";row=").and_then(|(sheet, row)| {
                Some(Self::Sheet {
                    sheet: Arc::from(sheet),
                    row: row.parse().ok()?,
                })
            })
        } else {
            text.strip_prefix("group=")
                .and_then(|rest| rest.split_once(";row="))
                .and_then(|(group, row)| {
                    Some(Self::RowGroup {
                        group: group.parse().ok()?,
                        row: row.parse().ok()?,
                    })
                })
        };
        found.ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_that_was_not_changed_keeps_its_type() {
        let original = content_of(r#"{"id":7,"name":"a","tags":["x"],"empty":""}"#).unwrap();
        let cells = |cells: &[(&str, Option<&str>)]| -> Vec<(String, Option<String>)> {
            let cells = cells.iter();
            cells
                .map(|(n, c)| ((*n).into(), c.map(Into::into)))
                .collect()
        };
        let exported = cells(&[
            ("id", Some("7")),
            ("name", Some("a")),
            ("tags", Some(r#"["x"]"#)),
            ("empty", None),
            ("other", None),
        ]);
        assert_eq!(
            edit(&original, &exported, true),
            (original.clone(), Vec::new())
        );
        let changes = [
            (
                ("id", Some("8")),
                true,
                r#"{"id":8,"name":"a","tags":["x"],"empty":""}"#,
            ),
            (
                ("id", Some("8")),
                false,
                r#"{"id":"8","name":"a","tags":["x"],"empty":""}"#,
            ),
            (
                ("name", None),
                true,
                r#"{"id":7,"name":null,"tags":["x"],"empty":""}"#,
            ),
            (
                ("tags", Some("[1")),
                true,
                r#"{"id":7,"name":"a","tags":"[1","empty":""}"#,
            ),
            (
                ("other", Some("b")),
                true,
                r#"{"id":7,"name":"a","tags":["x"],"empty":"","other":"b"}"#,
            ),
        ];
        for (change, nested, expected) in changes {
            let (content, changed) = edit(&original, &cells(&[change]), nested);
            assert_eq!(Value::Object(content).to_string(), expected);
            assert_eq!(changed, [change.0]);
        }
    }
}
