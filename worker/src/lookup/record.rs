//! A record as it is given, through the normalisers that the next run will read it with.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::{Context as _, Result, bail};
use arrow::array::{Array as _, ArrayRef, AsArray as _, RecordBatch, StringArray};
use musubi_api::entity::Entity;
use musubi_clean::{
    cleaner::{Cleaner, record_id},
    raw::{Locator, RawBatch, RawRows, SourceFile},
};
use musubi_identity::Features;
use serde_json::Value;
use xxhash_rust::xxh3::xxh3_128;

use super::Fields;
use crate::stage::intake;

/// A clean record.
pub(super) struct Clean {
    /// What identity looks at, in one row.
    pub(super) batch: RecordBatch,
    /// Fields that were given and could not be understood.
    pub(super) ignored: Vec<String>,
}

/// An id for a record that has none: what it says.
pub(super) fn content_id(fields: &Fields) -> String {
    let sorted: BTreeMap<&String, &Value> = fields.iter().collect();
    let text = serde_json::to_string(&sorted).unwrap_or_default();
    format!("{:032x}", xxh3_128(text.as_bytes()))
}

/// The id of a record that is looked up: nobody else has it.
pub(super) fn lookup_id(fields: &Fields) -> String {
    record_id(
        intake::SOURCE,
        "lookup",
        Entity::Customer,
        &[content_id(fields)],
    )
}

/// Cleans a row, and gives it a record id.
pub(super) fn clean(cleaner: &Cleaner, row: Fields, record_id: &str) -> Result<Clean> {
    let given: Vec<String> = row
        .iter()
        .filter(|(_, value)| {
            !value.is_null() && value.as_str().is_none_or(|s| !s.trim().is_empty())
        })
        .map(|(name, _)| name.clone())
        .collect();
    let raw = RawBatch {
        record: None,
        rows: RawRows::Json([Value::Object(row)].into_iter().collect()),
        locators: vec![Locator::Bytes {
            member: None,
            start: 0,
            end: 0,
        }],
        numbers: vec![1],
    };
    let state = &mut cleaner.start_file(SourceFile::default());
    let mut cleaned = cleaner.clean(&raw, "", state)?;
    let wrong = &cleaned.quarantined;
    if wrong.num_rows() > 0 {
        let text = |name: &str| {
            let column = wrong
                .column_by_name(name)
                .and_then(|c| c.as_string_opt::<i32>());
            let column = column.filter(|c| c.is_valid(0));
            column.map(|c| c.value(0).to_owned()).unwrap_or_default()
        };
        bail!(
            "field {}: {}; correct it or leave it out",
            text("field"),
            text("rule")
        );
    }
    let (_, whole) = cleaned.entities.pop().context("no record came out")?;
    let says = |name: &str| {
        let column = whole.column_by_name(name);
        column.is_some_and(|c| c.null_count() < c.len())
    };
    let ignored = given
        .into_iter()
        .filter(|name| match name.as_str() {
            "id" => false,
            "address" => !["prefecture", "city", "town"].into_iter().any(says),
            name => !says(name),
        })
        .collect();
    let schema = whole.schema();
    let wanted = Features::columns().into_iter();
    let wanted: Vec<usize> = wanted
        .filter_map(|name| schema.index_of(name).ok())
        .collect();
    let batch = whole.project(&wanted)?;
    let at = batch.schema().index_of("record_id")?;
    let mut columns = batch.columns().to_vec();
    let id: ArrayRef = Arc::new(StringArray::from(vec![record_id]));
    columns[at] = id;
    Ok(Clean {
        batch: RecordBatch::try_new(batch.schema(), columns)?,
        ignored,
    })
}
