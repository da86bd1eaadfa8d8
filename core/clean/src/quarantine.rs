//! Rows that were put aside: their schema, and the way back after somebody has edited them.

use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, StringBuilder};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use serde_json::Value;

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

/// The columns of a quarantined row in their order, for a CSV file: nested values as JSON text.
///
/// # Errors
/// When `row_json` is no JSON object.
pub fn columns_of(row_json: &str) -> Result<Vec<(String, Option<String>)>, Problem> {
    let Ok(Value::Object(map)) = serde_json::from_str(row_json) else {
        return Err(Problem::Input(format!(
            "a quarantined row is no JSON object ({}): it cannot be exported",
            crate::problem::shape(row_json)
        )));
    };
    Ok(map
        .into_iter()
        .map(|(name, value)| {
            (
                name,
                crate::mapping_row::json_text(&value).map(|t| t.into_owned()),
            )
        })
        .collect())
}

/// A row that somebody has edited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EditedRow {
    /// The locator it was quarantined with, in its text form.
    pub locator: String,
    /// Its number in its object.
    pub row: u64,
    /// Its columns as edited; an empty cell is `None`.
    pub columns: Vec<(String, Option<String>)>,
}

/// Turns edited rows into a raw batch with the locators they had. `nested` is for streams of JSON: there a
/// cell that holds JSON text (an object, array, number or flag) becomes that value again.
///
/// # Errors
/// When a locator cannot be read.
pub fn edited_batch(
    record: Option<Arc<str>>,
    nested: bool,
    rows: &[EditedRow],
) -> Result<RawBatch, Problem> {
    let locators = rows
        .iter()
        .map(|row| {
            row.locator.parse().map_err(|()| {
                Problem::Input(format!(
                    "row {}: its locator ({}) cannot be read: leave the locator column as it was exported",
                    row.row,
                    crate::problem::shape(&row.locator)
                ))
            })
        })
        .collect::<Result<Vec<Locator>, _>>()?;
    let numbers = rows.iter().map(|row| row.row).collect();
    let rows = if nested {
        RawRows::Json(rows.iter().map(nested_row).collect())
    } else {
        RawRows::Columns(flat_rows(rows)?)
    };
    Ok(RawBatch {
        record,
        rows,
        locators,
        numbers,
    })
}

fn nested_row(row: &EditedRow) -> Value {
    let cell = |text: &Option<String>| match text {
        None => Value::Null,
        Some(text) => serde_json::from_str(text).unwrap_or_else(|_| Value::from(text.as_str())),
    };
    Value::Object(
        row.columns
            .iter()
            .map(|(name, text)| (name.clone(), cell(text)))
            .collect(),
    )
}

fn flat_rows(rows: &[EditedRow]) -> Result<RecordBatch, Problem> {
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in rows.iter().flat_map(|row| &row.columns) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let columns: Vec<ArrayRef> = names
        .iter()
        .map(|name| {
            let cells = rows.iter().map(|row| {
                let found = row.columns.iter().find(|(n, _)| n == name);
                found.and_then(|(_, text)| text.as_deref())
            });
            Arc::new(cells.collect::<StringArray>()) as ArrayRef
        })
        .collect();
    let fields: Vec<Field> = names
        .iter()
        .map(|name| Field::new(*name, DataType::Utf8, true))
        .collect();
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(rows.len()));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options).map_err(
        |error| Problem::Arrow {
            what: "edited rows".into(),
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
