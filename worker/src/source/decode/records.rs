//! Text with several types of records: headers, details, trailers; here with delimiters.
//!
//! A trailer vouches for the details since the last one. When its count or sum does not hold, every one of
//! them is a fault: nobody can say which of them are wrong. Details are therefore held back until their
//! trailer has been seen; a format without trailers flows on.

use std::{io::Read, sync::Arc};

use anyhow::Result;
use musubi_api::source::{RecordRole, RecordType, RecordsFormat};
use musubi_clean::raw::{Locator, RawFault};
use rust_decimal::Decimal;

use super::{
    BATCH, Decoded, Sink,
    delimited::{Rows, fault},
    text::{self, Broken, Fields, Record},
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
    /// Its first field among all that are held.
    from: usize,
    /// The place in `behind` of the first header that it sees.
    headers: usize,
    locator: Locator,
    number: u64,
}

/// Takes records in the order of the file, whatever their columns are cut by.
pub(super) struct Reader {
    types: Vec<RecordType>,
    /// The types of headers, in order.
    header_types: Vec<usize>,
    /// Headers that held rows see, or rows to come.
    headers: Vec<Fields>,
    /// The last header of each of `header_types`, by its place in `headers`.
    last: Vec<Option<usize>>,
    held: Vec<Held>,
    /// The own fields of all rows that are held, one after another.
    fields: Fields,
    /// For each row that is held, the headers that it sees.
    behind: Vec<Option<usize>>,
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
    let mut fields = Fields::default();
    let mut number = 0;
    let mut record = Record::default();
    while records.next(&mut record)? {
        number += 1;
        if record.bytes.is_empty() {
            sink(Decoded::Structural(1))?;
            continue;
        }
        let locator = records.locator(&record);
        let found = records.fields(&record, delimiter, &mut fields);
        match found.and_then(|()| reader.typed(&fields)) {
            Ok(kind) => reader.take(kind, fields.iter().skip(1), locator, number, sink)?,
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
        let header_types: Vec<usize> = (0..types.len())
            .filter(|at| types[*at].role == RecordRole::Header)
            .collect();
        Self {
            types,
            headers: Vec::new(),
            last: vec![None; header_types.len()],
            header_types,
            held: Vec::new(),
            fields: Fields::default(),
            behind: Vec::new(),
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

    /// The type of a delimited record, whose tag is its first field.
    fn typed(&self, fields: &Fields) -> Result<usize, Broken> {
        let tag = fields.get(0).trim();
        let kind = self.types.iter().position(|t| t.tag == tag);
        let kind = kind.ok_or_else(unknown_type)?;
        let RecordType { name, columns, .. } = &self.types[kind];
        let found = fields.len() - 1;
        if found == columns.len() {
            return Ok(kind);
        }
        let wanted = columns.len();
        let rule = format!("{found} columns where record type {name} has {wanted}");
        Err(Broken {
            code: "wrong_column_count",
            rule,
        })
    }

    /// Takes a record by the number of its type, with as many fields as that has columns.
    pub(super) fn take<'f>(
        &mut self,
        at: usize,
        fields: impl Iterator<Item = &'f str> + Clone,
        locator: Locator,
        number: u64,
        sink: &mut Sink<'_>,
    ) -> Result<()> {
        match self.types[at].role {
            RecordRole::Header => {
                let mut header = Fields::default();
                header.extend(fields.clone());
                let place = self.header_types.iter().position(|t| *t == at);
                if let Some(place) = place {
                    self.last[place] = Some(self.headers.len());
                }
                self.headers.push(header);
                self.hold(at, fields, locator, number, sink)
            }
            RecordRole::Detail => self.hold(at, fields, locator, number, sink),
            RecordRole::Trailer => {
                let fields: Vec<&str> = fields.collect();
                let broken = self.broken(&self.types[at], &fields);
                sink(Decoded::Structural(1))?;
                self.release(broken, sink)
            }
        }
    }

    fn hold<'f>(
        &mut self,
        kind: usize,
        fields: impl Iterator<Item = &'f str>,
        locator: Locator,
        number: u64,
        sink: &mut Sink<'_>,
    ) -> Result<()> {
        self.held.push(Held {
            kind,
            from: self.fields.len(),
            headers: self.behind.len(),
            locator,
            number,
        });
        self.fields.extend(fields);
        self.behind.extend_from_slice(&self.last);
        if self.has_trailer {
            Ok(())
        } else {
            self.release(None, sink)
        }
    }

    /// What a trailer says that does not hold.
    fn broken(&self, trailer: &RecordType, fields: &[&str]) -> Option<(&'static str, String)> {
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
                let text = at.map(|at| self.fields.get(detail.from + at).trim());
                let amount = text.and_then(|text| text.parse::<Decimal>().ok());
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
            let columns = self.types[held.kind].columns.len();
            let own = (held.from..held.from + columns).map(|at| self.fields.get(at));
            let seen = self.header_types.iter().zip(&self.behind[held.headers..]);
            let others = seen.filter(|(kind, _)| **kind != held.kind);
            let headers = others.flat_map(|(kind, header)| {
                let header = header.map(|at| &self.headers[at]);
                let columns = 0..self.types[*kind].columns.len();
                columns.map(move |at| header.map_or("", |header| header.get(at)))
            });
            let fields = own.chain(headers);
            let rows = &mut self.rows[held.kind];
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
                    sink(rows.refused(fields, fault))?;
                }
                None => {
                    rows.push(fields, held.locator, held.number);
                    rows.flush(BATCH, sink)?;
                }
            }
        }
        self.fields.clear();
        self.behind.clear();
        self.forget_headers();
        Ok(())
    }

    /// Keeps only the headers that rows to come will see.
    fn forget_headers(&mut self) {
        if self.headers.len() <= self.last.len() {
            return;
        }
        let mut before = std::mem::take(&mut self.headers);
        for at in self.last.iter_mut().flatten() {
            let header = std::mem::take(&mut before[*at]);
            *at = self.headers.len();
            self.headers.push(header);
        }
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
