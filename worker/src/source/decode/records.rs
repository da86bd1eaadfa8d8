//! Delimited text with several types of records: headers, details, trailers.
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
    text,
};

/// A row that waits for its trailer.
struct Held {
    kind: usize,
    fields: Vec<String>,
    locator: Locator,
    number: u64,
}

struct Reader<'a> {
    format: &'a RecordsFormat,
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
    let mut reader = Reader::new(format);
    let mut number = 0;
    while let Some(record) = records.next()? {
        number += 1;
        if record.bytes.is_empty() {
            sink(Decoded::Structural(1))?;
            continue;
        }
        let locator = records.locator(&record);
        let fields = match records.fields(&record, delimiter) {
            Ok(fields) => fields,
            Err(broken) => {
                sink(fault(broken.code, broken.rule, locator, number))?;
                continue;
            }
        };
        reader.take(fields, locator, number, sink)?;
    }
    reader.end(sink)
}

impl<'a> Reader<'a> {
    fn new(format: &'a RecordsFormat) -> Self {
        let headers: Vec<&RecordType> = format
            .types
            .iter()
            .filter(|t| t.role == RecordRole::Header)
            .collect();
        let rows = format
            .types
            .iter()
            .map(|kind| {
                let mut names = kind.columns.clone();
                for header in headers.iter().filter(|h| h.name != kind.name) {
                    names.extend(
                        header
                            .columns
                            .iter()
                            .map(|c| format!("{}.{c}", header.name)),
                    );
                }
                Rows::new(Some(kind.name.as_str().into()), names)
            })
            .collect();
        let has_trailer = format.types.iter().any(|t| t.role == RecordRole::Trailer);
        Self {
            format,
            headers: BTreeMap::new(),
            held: Vec::new(),
            rows,
            has_trailer,
        }
    }

    fn take(
        &mut self,
        mut fields: Vec<String>,
        locator: Locator,
        number: u64,
        sink: &mut Sink<'_>,
    ) -> Result<()> {
        let tag = fields.remove(0);
        let Some(at) = self.format.types.iter().position(|t| t.tag == tag.trim()) else {
            let rule = "a tag that no record type has".to_owned();
            return sink(fault("unknown_record_type", rule, locator, number));
        };
        let kind = &self.format.types[at];
        if fields.len() != kind.columns.len() {
            let rule = format!(
                "{} columns where record type {} has {}",
                fields.len(),
                kind.name,
                kind.columns.len()
            );
            return sink(fault("wrong_column_count", rule, locator, number));
        }
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
        let types = self.format.types.iter().enumerate();
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
                .filter(|h| self.format.types[h.kind].role == RecordRole::Detail)
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
                let at = self.format.types[detail.kind]
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

    fn end(mut self, sink: &mut Sink<'_>) -> Result<()> {
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
