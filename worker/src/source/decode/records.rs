//! Text with several types of records: headers, details, trailers; here with delimiters.
//!
//! A trailer vouches for the details since the last one. When its count or sum does not hold, every one of
//! them is a fault: nobody can say which of them are wrong. Details are therefore held back until their
//! trailer has been seen; a format without trailers flows on.

use std::{collections::BTreeMap, io::Read, sync::Arc};

use anyhow::Result;
use musubi_api::source::{RecordRole, RecordType, RecordsFormat};
use musubi_clean::raw::{Locator, RawFault};
use rust_decimal::Decimal;

use super::{
    BATCH, Decoded, Sink,
    delimited::{Rows, fault},
    text::{self, Broken},
};

/// A line that no type of record fits.
pub(super) fn unknown_type() -> Broken {
    Broken {
        code: "unknown_record_type",
        rule: "a tag that no record type has".to_owned(),
    }
}

/// A row that waits for its trailer.
struct Held {
    kind: usize,
    fields: Vec<String>,
    locator: Locator,
    number: u64,
}

/// Takes records in the order of the file, whatever their columns are cut by.
pub(super) struct Reader {
    types: Vec<RecordType>,
    /// The fields of the last header of each type.
    headers: BTreeMap<usize, Vec<String>>,
    held: Vec<Held>,
    rows: Vec<Rows>,
    has_trailer: bool,
}

pub(super) fn decode(
    format: &RecordsFormat,
    member: Option<Arc<str>>,
    input: &mut dyn Read,
    sink: &mut Sink<'_>,
) -> Result<()> {
    let quote = text::quote(format.quote.as_deref())?;
    let delimiter = text::character(
        format.delimiter.as_deref().unwrap_or(","),
        "records.delimiter",
    )?;
    let mut records = text::Records::open(input, member, format.encoding, quote, &[delimiter])?;
    let mut reader = Reader::new(format.types.clone());
    let mut number = 0;
    while let Some(record) = records.next()? {
        number += 1;
        if record.bytes.is_empty() {
            sink(Decoded::Structural(1))?;
            continue;
        }
        let locator = records.locator(&record);
        let found = records.fields(&record, delimiter);
        match found.and_then(|fields| reader.typed(fields)) {
            Ok((kind, fields)) => reader.take(kind, fields, locator, number, sink)?,
            Err(broken) => sink(fault(broken.code, broken.rule, locator, number))?,
        }
    }
    reader.end(sink)
}

impl Reader {
    pub(super) fn new(types: Vec<RecordType>) -> Self {
        let rows = types
            .iter()
            .map(|kind| Rows::new(Some(kind.name.as_str().into()), kind.row_columns(&types)))
            .collect();
        let has_trailer = types.iter().any(|t| t.role == RecordRole::Trailer);
        Self {
            types,
            headers: BTreeMap::new(),
            held: Vec::new(),
            rows,
            has_trailer,
        }
    }

    /// For records that are all alike: details without a type of their own.
    pub(super) fn alike(columns: Vec<String>) -> Self {
        let detail = RecordType {
            name: String::new(),
            tag: String::new(),
            role: RecordRole::Detail,
            columns: columns.clone(),
            count: None,
            sum: None,
        };
        Self {
            rows: vec![Rows::new(None, columns)],
            ..Self::new(vec![detail])
        }
    }

    /// The type of a delimited record, and its fields after the tag.
    fn typed(&self, mut fields: Vec<String>) -> Result<(usize, Vec<String>), Broken> {
        let tag = fields.remove(0);
        let kind = self.types.iter().position(|t| t.tag == tag.trim());
        let kind = kind.ok_or_else(unknown_type)?;
        let RecordType { name, columns, .. } = &self.types[kind];
        if fields.len() == columns.len() {
            return Ok((kind, fields));
        }
        let rule = format!(
            "{} columns where record type {name} has {}",
            fields.len(),
            columns.len()
        );
        Err(Broken {
            code: "wrong_column_count",
            rule,
        })
    }

    /// Takes a record by the number of its type, with as many fields as that has columns.
    pub(super) fn take(
        &mut self,
        at: usize,
        fields: Vec<String>,
        locator: Locator,
        number: u64,
        sink: &mut Sink<'_>,
    ) -> Result<()> {
        let kind = &self.types[at];
        match kind.role {
            RecordRole::Header => {
                self.headers.insert(at, fields.clone());
                self.hold(at, fields, locator, number, sink)
            }
            RecordRole::Detail => self.hold(at, fields, locator, number, sink),
            RecordRole::Trailer => {
                let broken = self.broken(kind, &fields);
                sink(Decoded::Structural(1))?;
                self.release(broken, sink)
            }
        }
    }

    fn hold(
        &mut self,
        kind: usize,
        mut fields: Vec<String>,
        locator: Locator,
        number: u64,
        sink: &mut Sink<'_>,
    ) -> Result<()> {
        let types = self.types.iter().enumerate();
        for (at, header) in types.filter(|(at, t)| t.role == RecordRole::Header && *at != kind) {
            match self.headers.get(&at) {
                Some(values) => fields.extend(values.iter().cloned()),
                None => fields.extend(header.columns.iter().map(|_| String::new())),
            }
        }
        self.held.push(Held {
            kind,
            fields,
            locator,
            number,
        });
        if self.has_trailer {
            Ok(())
        } else {
            self.release(None, sink)
        }
    }

    /// What a trailer says that does not hold.
    fn broken(&self, trailer: &RecordType, fields: &[String]) -> Option<(&'static str, String)> {
        let value = |column: &String| {
            trailer
                .columns
                .iter()
                .position(|c| c == column)
                .map(|at| fields[at].trim())
        };
        let details = || {
            self.held
                .iter()
                .filter(|h| self.types[h.kind].role == RecordRole::Detail)
        };
        if let Some(column) = &trailer.count
            && value(column).and_then(|v| v.parse::<usize>().ok()) != Some(details().count())
        {
            return Some((
                "trailer_count",
                format!("the trailer's {column} differs from the number of details before it"),
            ));
        }
        if let Some(sum) = &trailer.sum {
            let mut total = Decimal::ZERO;
            for detail in details() {
                let at = self.types[detail.kind]
                    .columns
                    .iter()
                    .position(|c| *c == sum.of);
                let amount = at.and_then(|at| detail.fields[at].trim().parse::<Decimal>().ok());
                total += amount.unwrap_or_default();
            }
            if value(&sum.column).and_then(|v| v.parse::<Decimal>().ok()) != Some(total) {
                let rule = format!(
                    "the trailer's {} differs from the sum of {} before it",
                    sum.column, sum.of
                );
                return Some(("trailer_sum", rule));
            }
        }
        None
    }

    fn release(
        &mut self,
        broken: Option<(&'static str, String)>,
        sink: &mut Sink<'_>,
    ) -> Result<()> {
        for held in std::mem::take(&mut self.held) {
            match &broken {
                Some((code, rule)) => {
                    let fault = RawFault {
                        number: held.number,
                        locator: held.locator,
                        code,
                        field: None,
                        rule: rule.clone(),
                        content: None,
                    };
                    sink(self.rows[held.kind].refused(held.fields, fault))?;
                }
                None => {
                    let rows = &mut self.rows[held.kind];
                    rows.push(held.fields.into_iter(), held.locator, held.number);
                    rows.flush(BATCH, sink)?;
                }
            }
        }
        Ok(())
    }

    pub(super) fn end(mut self, sink: &mut Sink<'_>) -> Result<()> {
        let rule = || "the file ends before the trailer that vouches for it".to_owned();
        let missing =
            (self.has_trailer && !self.held.is_empty()).then(|| ("trailer_missing", rule()));
        self.release(missing, sink)?;
        for rows in &mut self.rows {
            rows.flush(1, sink)?;
        }
        Ok(())
    }
}
