//! Features: customer records as dictionary codes in fixed-width rows.
//!
//! Everything here is canonical: records are ordered by id and dictionary codes by value, so the same
//! set of records gives the same features whatever batches, order or history they came in.

mod builder;
mod dict;
mod records;
mod texts;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use rayon::prelude::*;

use crate::error::IdentityError;
use crate::fold;

pub use builder::FeaturesBuilder;
pub(crate) use dict::{Dict, Script, Shape, mix, short};
pub use records::RecordSet;
pub(crate) use records::parse_id;
use texts::Texts;

/// Columns of a feature row.
pub(crate) mod col {
    pub(crate) const GIVEN: usize = 0;
    pub(crate) const FAMILY: usize = 1;
    pub(crate) const GIVEN_READING: usize = 2;
    pub(crate) const FAMILY_READING: usize = 3;
    pub(crate) const MIDDLE: usize = 4;
    pub(crate) const EMAIL: usize = 5;
    pub(crate) const PHONE: usize = 6;
    pub(crate) const PHONE2: usize = 7;
    pub(crate) const POSTAL: usize = 8;
    pub(crate) const PREFECTURE: usize = 9;
    pub(crate) const CITY: usize = 10;
    pub(crate) const TOWN: usize = 11;
    pub(crate) const BLOCK: usize = 12;
    pub(crate) const BUILDING: usize = 13;
    /// `YYYYMMDD`, `YYYY0000` where the year alone is known, 0 when missing; no dictionary. An age stands for a year in
    /// a time to come: see [`crate::fold::AGES`].
    pub(crate) const BIRTH: usize = 14;
    pub(crate) const GENDER: usize = 15;
    pub(crate) const SUFFIX: usize = 16;
    pub(crate) const LOYALTY: usize = 17;
    pub(crate) const APP_USER: usize = 18;
    pub(crate) const DEVICE: usize = 19;
    pub(crate) const EXTERNAL: usize = 20;
    /// 0 unknown, 1 person, 2 business; no dictionary.
    pub(crate) const BUSINESS: usize = 21;
    pub(crate) const WIDTH: usize = 22;
}

/// Names of the columns in Arrow, in the order of [`col`].
pub(crate) const COLUMNS: [&str; col::WIDTH] = [
    "given_name",
    "family_name",
    "given_kana",
    "family_kana",
    "middle_name",
    "email",
    "phone",
    "phone2",
    "postal_code",
    "prefecture",
    "city",
    "town",
    "block",
    "building",
    "birth_date",
    "gender",
    "name_suffix",
    "loyalty_number",
    "app_user_id",
    "device_id",
    "external_id",
    "is_business",
];

/// Dictionary of a column: all parts of a name share one (so that swapped names are seen), so do their readings and the
/// two phones.
pub(crate) const fn dict_of(column: usize) -> usize {
    match column {
        col::FAMILY | col::MIDDLE => col::GIVEN,
        col::FAMILY_READING => col::GIVEN_READING,
        col::PHONE2 => col::PHONE,
        c => c,
    }
}

/// Codes of one record; 0 is a missing value.
pub(crate) type Row = [u32; col::WIDTH];

/// The records of a run, ready to be compared. Index 0 is the record with the smallest id.
#[derive(Clone, Debug, Default)]
pub struct Features {
    pub(crate) ids: Vec<u128>,
    pub(crate) sources: Vec<Box<str>>,
    pub(crate) source: Vec<u16>,
    pub(crate) rows: Vec<Row>,
    pub(crate) dicts: Vec<Arc<Dict>>,
    /// Values set aside because they say nothing (junk contacts, impossible dates), counted per field.
    pub ignored: BTreeMap<String, u64>,
}

impl Features {
    /// Features of customer records. Every batch has the columns `record_id` (32 hexadecimal characters)
    /// and `source`, and any of the customer fields; of two rows with one record id the later one counts.
    ///
    /// # Errors
    /// When `record_id` or `source` is absent or malformed, or a column cannot be read as text.
    pub fn build(batches: &[RecordBatch]) -> Result<Self, IdentityError> {
        let mut builder = FeaturesBuilder::default();
        for batch in batches {
            builder.push(batch)?;
        }
        Ok(builder.finish())
    }

    /// Names of the columns that [`Features::build`] looks at.
    #[must_use]
    pub fn columns() -> Vec<&'static str> {
        let shared = ["record_id", "source", "name", "name_kana"];
        shared.into_iter().chain(COLUMNS).collect()
    }

    /// The features after a change: `changed` rows replace or join the old ones, `deleted` ones leave.
    ///
    /// # Errors
    /// As [`Features::build`].
    pub fn update(
        &self,
        changed: &[RecordBatch],
        deleted: &RecordSet,
    ) -> Result<Self, IdentityError> {
        let mut builder = FeaturesBuilder::default();
        builder.push_built(&self.to_batch()?, |_| true)?;
        for batch in changed {
            builder.push(batch)?;
        }
        for id in &deleted.0 {
            builder.remove(*id);
        }
        Ok(builder.finish())
    }

    /// One batch that [`FeaturesBuilder::push_built`] reads back into equal features: `record_id`, `source` and the
    /// folded fields, ordered by record id.
    ///
    /// # Errors
    /// Only when Arrow refuses the batch.
    pub fn to_batch(&self) -> Result<RecordBatch, IdentityError> {
        self.part(0..self.len())
    }

    /// [`Features::to_batch`] in parts of so many records.
    pub fn to_batches(
        &self,
        records: usize,
    ) -> impl Iterator<Item = Result<RecordBatch, IdentityError>> + '_ {
        let begins = (0..self.len().max(1)).step_by(records.max(1));
        begins.map(move |begin| self.part(begin..(begin + records).min(self.len())))
    }

    fn part(&self, range: std::ops::Range<usize>) -> Result<RecordBatch, IdentityError> {
        let ids = self.ids[range.clone()]
            .iter()
            .map(|id| format!("{id:032x}"));
        let ids = StringArray::from_iter_values(ids);
        let sources = self.source[range.clone()].iter();
        let sources =
            StringArray::from_iter_values(sources.map(|s| &*self.sources[usize::from(*s)]));
        let mut fields = vec![
            Field::new("record_id", DataType::Utf8, false),
            Field::new("source", DataType::Utf8, false),
        ];
        let mut columns: Vec<ArrayRef> = vec![Arc::new(ids), Arc::new(sources)];
        for (c, name) in COLUMNS.iter().enumerate() {
            fields.push(Field::new(*name, DataType::Utf8, true));
            let rows = self.rows[range.clone()].iter();
            let values: StringArray = rows.map(|r| self.text(c, r[c])).collect();
            columns.push(Arc::new(values));
        }
        Ok(RecordBatch::try_new(
            Arc::new(Schema::new(fields)),
            columns,
        )?)
    }

    /// Makes room for records to come, so that the first of them does not move all others.
    pub(crate) fn reserve(&mut self, records: usize) {
        self.ids.reserve_exact(records);
        self.source.reserve_exact(records);
        self.rows.reserve_exact(records);
        for dict in &mut self.dicts {
            Arc::make_mut(dict).reserve(records);
        }
    }

    /// The fields that a record has, as they are compared. They are values of a person.
    pub fn values(&self, index: u32) -> impl Iterator<Item = (&'static str, String)> {
        let row = self.rows[index as usize];
        let columns = COLUMNS.iter().enumerate();
        columns.filter_map(move |(c, name)| Some((*name, self.text(c, row[c])?)))
    }

    /// Names of all fields.
    #[must_use]
    pub fn fields() -> &'static [&'static str] {
        &COLUMNS
    }

    pub(crate) fn text(&self, column: usize, code: u32) -> Option<String> {
        match (column, code) {
            (_, 0) => None,
            (col::BIRTH, n) if fold::is_age(n) => Some(format!("age {}", fold::AGES - n / 10_000)),
            (col::BIRTH, n) if n % 10_000 == 0 => Some(format!("{:04}", n / 10_000)),
            (col::BIRTH, n) => Some(format!(
                "{:04}-{:02}-{:02}",
                n / 10_000,
                n / 100 % 100,
                n % 100
            )),
            (col::BUSINESS, n) => Some((n == 2).to_string()),
            (_, n) => Some(self.dicts[dict_of(column)].values[n as usize].to_string()),
        }
    }

    /// The columns that some record has a value in.
    pub(crate) fn columns_in_use(&self) -> [bool; col::WIDTH] {
        let any = self.rows.par_iter().fold(Row::default, |mut any, row| {
            any.iter_mut().zip(row).for_each(|(any, code)| *any |= code);
            any
        });
        let any = any.reduce(Row::default, |mut any, other| {
            any.iter_mut()
                .zip(other)
                .for_each(|(any, code)| *any |= code);
            any
        });
        any.map(|code| code != 0)
    }

    /// How many records.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there is no record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Id of the record at an index.
    #[must_use]
    pub fn id(&self, index: u32) -> u128 {
        self.ids[index as usize]
    }

    /// Id of the record at an index, 32 hexadecimal characters.
    #[must_use]
    pub fn record_id(&self, index: u32) -> String {
        format!("{:032x}", self.ids[index as usize])
    }

    /// Source of the record at an index.
    #[must_use]
    pub fn source(&self, index: u32) -> &str {
        &self.sources[usize::from(self.source[index as usize])]
    }

    /// Index of a record id.
    #[must_use]
    pub fn index_of(&self, record_id: &str) -> Option<u32> {
        self.position(parse_id(record_id)?)
    }

    /// Index of a record. Ids are hashes, so each lies about where its share of all ids lies.
    pub(crate) fn position(&self, id: u128) -> Option<u32> {
        let share = (id >> 64) * self.ids.len() as u128;
        let guess = (share >> 64) as usize;
        let (mut low, mut high) = (guess, guess);
        let mut step = 8;
        while low > 0 && self.ids.get(low).is_none_or(|at| *at > id) {
            low = low.saturating_sub(step);
            step *= 2;
        }
        step = 8;
        while self.ids.get(high).is_some_and(|at| *at <= id) {
            high = (high + step).min(self.ids.len());
            step *= 2;
        }
        let found = self.ids[low..high].binary_search(&id).ok();
        found.map(|at| (low + at) as u32)
    }

    /// Hash of a record's value in a column, the same in every run; 0 when missing.
    pub(crate) fn hash(&self, row: &Row, column: usize) -> u64 {
        match (column, row[column]) {
            (_, 0) => 0,
            (col::BIRTH | col::BUSINESS, n) => u64::from(n).wrapping_mul(0x9E37_79B9_7F4A_7C15),
            (_, n) => self.dicts[dict_of(column)].hash[n as usize],
        }
    }
}
