//! CSV and its relatives.

use std::{io::Read, sync::Arc};

use anyhow::{Result, bail};
use arrow::{
    array::{ArrayRef, RecordBatch, StringBuilder},
    datatypes::{DataType, Field, Schema},
};
use musubi_api::source::CsvFormat;
use musubi_clean::raw::{FaultContent, Locator, RawBatch, RawFault, RawRows};

use super::{BATCH, Decoded, Sink, text};

pub(super) fn decode(
    format: &CsvFormat,
    member: Option<Arc<str>>,
    input: &mut dyn Read,
    sink: &mut Sink<'_>,
) -> Result<()> {
    let quote = text::quote(format.quote.as_deref())?;
    let mut delimiter = format
        .delimiter
        .as_deref()
        .map(|d| text::character(d, "csv.delimiter"))
        .transpose()?;
    let possible = delimiter.map_or(CANDIDATES.to_vec(), |d| vec![d]);
    let mut records = text::Records::open(input, member, format.encoding, quote, &possible)?;
    let mut number = 0;
    let mut record = text::Record::default();
    for _ in 0..format.skip_lines {
        if records.next(&mut record)? {
            number += 1;
            sink(Decoded::Structural(1))?;
        }
    }
    let comment = format.comment.as_deref().map(|c| records.bytes_of(c));
    let mut rows = (!format.columns.is_empty()).then(|| Rows::new(None, format.columns.clone()));
    let mut fields = text::Fields::default();
    while records.next(&mut record)? {
        number += 1;
        let is_comment = comment
            .as_ref()
            .is_some_and(|c| record.bytes.starts_with(c));
        if record.bytes.is_empty() || is_comment {
            sink(Decoded::Structural(1))?;
            continue;
        }
        let delimiter = *delimiter.get_or_insert_with(|| guess_delimiter(&record.bytes));
        records.set_delimiter(delimiter);
        let locator = records.locator(&record);
        let read = records.fields(&record, delimiter, &mut fields);
        let Some(rows) = &mut rows else {
            if read.is_err() {
                bail!("the header line cannot be read in the file's encoding; declare csv.encoding")
            }
            let names = header(fields.to_vec())?;
            rows = Some(Rows::new(None, names));
            sink(Decoded::Structural(1))?;
            continue;
        };
        if let Err(broken) = read {
            sink(fault(broken.code, broken.rule, locator, number))?;
            continue;
        }
        // Some systems end each line with a delimiter.
        if fields.len() == rows.width() + 1 && fields.iter().next_back() == Some("") {
            fields.pop();
        }
        if !format.keep_empty && fields.iter().all(|f| f.trim().is_empty()) {
            // Spreadsheets leave lines of nothing but delimiters behind.
            sink(Decoded::Structural(1))?;
        } else if fields.len() == rows.width() {
            rows.push(fields.iter(), locator, number);
            rows.flush(BATCH, sink)?;
        } else {
            let rule = format!(
                "{} columns where the header has {}",
                fields.len(),
                rows.width()
            );
            sink(fault("wrong_column_count", rule, locator, number))?;
        }
    }
    match rows {
        Some(mut rows) => rows.flush(1, sink),
        None => Ok(()),
    }
}

pub(super) fn fault(code: &'static str, rule: String, locator: Locator, number: u64) -> Decoded {
    Decoded::Fault(RawFault {
        number,
        locator,
        code,
        field: None,
        rule,
        content: None,
    })
}

/// Delimiters that are looked for, the likelier first.
const CANDIDATES: [u8; 4] = [b',', b'\t', b';', b'|'];

/// The delimiter that is most frequent in the header.
fn guess_delimiter(header: &[u8]) -> u8 {
    let count = |d: u8| header.iter().filter(|b| **b == d).count();
    CANDIDATES
        .into_iter()
        .rev()
        .max_by_key(|d| count(*d))
        .unwrap_or(b',')
}

/// The names of a header; a column without one is called by its position, `column_3`.
pub(super) fn header(fields: Vec<String>) -> Result<Vec<String>> {
    let named = |(at, field): (usize, String)| match field.trim() {
        "" => format!("column_{}", at + 1),
        name => name.to_owned(),
    };
    let names: Vec<String> = fields.into_iter().enumerate().map(named).collect();
    for (at, name) in names.iter().enumerate() {
        if let Some(first) = names[..at].iter().position(|n| n == name) {
            // Not the name: in a file without a header it is a value.
            bail!(
                "columns {} and {} of the header have the same name; give names by csv.columns and csv.skipLines",
                first + 1,
                at + 1
            );
        }
    }
    Ok(names)
}

/// Rows of one shape, gathered to batches.
pub(super) struct Rows {
    record: Option<Arc<str>>,
    schema: Arc<Schema>,
    columns: Vec<StringBuilder>,
    locators: Vec<Locator>,
    numbers: Vec<u64>,
}

impl Rows {
    pub(super) fn new(record: Option<Arc<str>>, names: Vec<String>) -> Self {
        let columns = names.iter().map(|_| StringBuilder::new()).collect();
        let fields: Vec<Field> = names
            .into_iter()
            .map(|n| Field::new(n, DataType::Utf8, true))
            .collect();
        Self {
            record,
            schema: Arc::new(Schema::new(fields)),
            columns,
            locators: Vec::new(),
            numbers: Vec::new(),
        }
    }

    /// A row of these columns that is refused for a reason beyond itself.
    pub(super) fn refused<'f>(
        &self,
        fields: impl Iterator<Item = &'f str>,
        mut fault: RawFault,
    ) -> Decoded {
        let names = self.schema.fields().iter().map(|f| f.name().clone());
        fault.content = Some(FaultContent {
            record: self.record.clone(),
            columns: names.zip(fields.map(str::to_owned)).collect(),
        });
        Decoded::Fault(fault)
    }

    pub(super) fn width(&self) -> usize {
        self.columns.len()
    }

    /// Adds a row; an empty field is a missing value.
    pub(super) fn push<'f>(
        &mut self,
        fields: impl Iterator<Item = &'f str>,
        locator: Locator,
        number: u64,
    ) {
        for (column, field) in self.columns.iter_mut().zip(fields) {
            column.append_option((!field.is_empty()).then_some(field));
        }
        self.locators.push(locator);
        self.numbers.push(number);
    }

    /// Hands the rows on when there are at least so many.
    pub(super) fn flush(&mut self, at_least: usize, sink: &mut Sink<'_>) -> Result<()> {
        if self.numbers.len() < at_least {
            return Ok(());
        }
        let rows = self.numbers.len();
        let finish = |column: &mut StringBuilder| {
            // the next rows will be about as long
            let next = StringBuilder::with_capacity(rows, column.values_slice().len() * 9 / 8);
            Arc::new(std::mem::replace(column, next).finish()) as ArrayRef
        };
        let columns = self.columns.iter_mut().map(finish).collect();
        let rows = RawRows::Columns(RecordBatch::try_new(self.schema.clone(), columns)?);
        let (locators, numbers) = (
            std::mem::take(&mut self.locators),
            std::mem::take(&mut self.numbers),
        );
        sink(Decoded::Rows(RawBatch {
            record: self.record.clone(),
            rows,
            locators,
            numbers,
        }))
    }
}
