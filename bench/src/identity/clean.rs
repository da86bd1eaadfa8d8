//! Raw records through contract, mapping and normalisers.

use anyhow::{Context as _, Result};
use arrow::array::{ArrayRef, RecordBatch, StringArray};
use musubi_api::source::SourceSpec;
use musubi_clean::{
    cleaner::Cleaner,
    lookup::Lookups,
    raw::{Locator, RawBatch, RawRows, SourceFile},
};
use serde_json::json;
use std::sync::Arc;

use super::Set;

/// Cleans the records of a set.
pub(super) struct Records(Cleaner);

impl Records {
    /// Of a file of a set; none where the records are made as they would come out.
    pub(super) fn of(set: Set, file: usize) -> Result<Option<Self>> {
        let (country, fields) = match set {
            Set::Febrl | Set::FebrlHard => return Ok(None),
            Set::Febrl3 | Set::Febrl4 => (
                "au",
                json!({
                    "given_name": { "from": "given_name" },
                    "family_name": { "from": "surname" },
                    "birth_date": { "from": "date_of_birth", "format": "%Y%m%d" },
                    "block": { "from": "street_number" },
                    "town": { "from": "address_1" },
                    "building": { "from": "address_2" },
                    "city": { "from": "suburb" },
                    "postal_code": { "from": "postcode" },
                    "prefecture": { "from": "state" },
                }),
            ),
            Set::Fake1000 => (
                "gb",
                json!({
                    "given_name": { "from": "first_name" },
                    "family_name": { "from": "surname" },
                    "birth_date": { "from": "dob", "format": "%Y-%m-%d" },
                    "city": { "from": "city" },
                    "email": { "from": "email" },
                }),
            ),
            Set::Japan => (
                "jp",
                json!({
                    "name": { "from": "name" },
                    "name_kana": { "from": "kana" },
                    "birth_date": { "from": "birth", "format": "wareki" },
                    "gender": { "from": "gender" },
                    "phone": { "from": "phone" },
                    "email": { "from": "mail" },
                    "postal_code": { "from": "zip" },
                    "address": { "from": "address" },
                }),
            ),
        };
        let spec: SourceSpec = serde_json::from_value(json!({
            "system": "crm",
            "country": country,
            "connector": { "folder": { "path": "." } },
            "streams": [{
                "name": "rows", "files": { "path": "*.csv" }, "format": { "csv": {} }, "changes": "snapshot",
                "entities": [{ "entity": "customer", "key": ["record_id"], "fields": fields }],
            }],
        }))?;
        let source = format!("file{file}");
        let cleaner = Cleaner::new(&source, &spec, &spec.streams[0], Lookups::default())?;
        Ok(Some(Self(cleaner)))
    }

    /// The clean records, with the ids that they had.
    pub(super) fn clean(&self, batch: &RecordBatch, ids: &[String]) -> Result<RecordBatch> {
        let rows = batch.num_rows() as u64;
        let raw = RawBatch {
            record: None,
            rows: RawRows::Columns(batch.clone()),
            locators: (0..rows)
                .map(|row| Locator::RowGroup { group: 0, row })
                .collect(),
            numbers: (1..=rows).collect(),
        };
        let mut cleaned = self
            .0
            .clean(&raw, "", &mut self.0.start_file(SourceFile::default()))?;
        anyhow::ensure!(
            cleaned.quarantined.num_rows() == 0,
            "{} records went to quarantine: {:?}",
            cleaned.quarantined.num_rows(),
            cleaned.counts.reasons
        );
        let (_, clean) = cleaned.entities.pop().context("no customers came out")?;
        let at = clean.schema().index_of("record_id")?;
        let mut columns = clean.columns().to_vec();
        let ids: ArrayRef = Arc::new(StringArray::from_iter_values(ids));
        columns[at] = ids;
        Ok(RecordBatch::try_new(clean.schema(), columns)?)
    }
}
