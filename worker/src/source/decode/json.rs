//! JSON: one object a line, objects one after another over several lines, or one document that holds an
//! array of objects.

use std::{
    io::{BufRead, BufReader, Read},
    sync::Arc,
};

use anyhow::{Context as _, Result, bail};
use musubi_api::source::JsonFormat;
use musubi_clean::{
    json::{JsonRows, Met},
    raw::{Locator, RawBatch, RawRows},
};
use serde::de::{DeserializeOwned, IgnoredAny};

use super::{BATCH, Decoded, Sink, delimited::fault};

/// Bytes of a batch after which it is handed on, however few its rows.
const MOST: usize = 64 << 20;

/// Bytes by which the form of a file is told.
const LOOK_AHEAD: u64 = 4096;

struct Rows {
    member: Option<Arc<str>>,
    values: JsonRows,
    locators: Vec<Locator>,
    numbers: Vec<u64>,
}

impl Rows {
    fn locator(&self, start: u64, end: u64) -> Locator {
        Locator::Bytes {
            member: self.member.clone(),
            start,
            end,
        }
    }

    /// Reads a row; what it is not stays out.
    fn push(&mut self, text: &[u8], locator: &Locator, number: u64) -> serde_json::Result<Met> {
        let met = self.values.read(text)?;
        if met == Met::Object {
            self.locators.push(locator.clone());
            self.numbers.push(number);
        }
        Ok(met)
    }

    fn flush(&mut self, at_least: usize, sink: &mut Sink<'_>) -> Result<()> {
        if self.values.len() < at_least && self.values.bytes() < MOST {
            return Ok(());
        }
        let next = JsonRows::like(&self.values);
        sink(Decoded::Rows(RawBatch {
            record: None,
            rows: RawRows::Json(std::mem::replace(&mut self.values, next)),
            locators: std::mem::take(&mut self.locators),
            numbers: std::mem::take(&mut self.numbers),
        }))
    }
}

pub(super) fn decode(
    format: &JsonFormat,
    member: Option<Arc<str>>,
    mut input: &mut dyn Read,
    sink: &mut Sink<'_>,
) -> Result<()> {
    let mut rows = Rows {
        member,
        values: JsonRows::default(),
        locators: Vec::new(),
        numbers: Vec::new(),
    };
    let mut begin = Vec::new();
    (&mut input).take(LOOK_AHEAD).read_to_end(&mut begin)?;
    let input = BufReader::new(begin.as_slice().chain(input));
    if begin.starts_with(b"\xff\xfe") || begin.starts_with(b"\xfe\xff") {
        bail!("the file is UTF-16, and JSON is UTF-8: export it as UTF-8");
    }
    let begin = begin
        .strip_prefix(b"\xef\xbb\xbf")
        .unwrap_or(&begin)
        .trim_ascii_start();
    let first_line = begin.split(|b| *b == b'\n').next().unwrap_or_default();
    if format.rows.is_some() || begin.starts_with(b"[") {
        document(format, input, &mut rows, sink)?;
    } else if first_line.trim_ascii() == b"{" {
        pretty(input, &mut rows, sink)?;
    } else {
        lines(input, &mut rows, sink)?;
    }
    rows.flush(1, sink)
}

fn lines(mut input: impl BufRead, rows: &mut Rows, sink: &mut Sink<'_>) -> Result<()> {
    let (mut offset, mut number) = (0_u64, 0);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = input.read_until(b'\n', &mut line)? as u64;
        if read == 0 {
            return Ok(());
        }
        let start = offset;
        offset += read;
        number += 1;
        let text = line
            .strip_prefix(b"\xef\xbb\xbf")
            .unwrap_or(&line)
            .trim_ascii();
        if text.is_empty() {
            sink(Decoded::Structural(1))?;
            continue;
        }
        let begin = line.len() - line.trim_ascii_start().len();
        let begin = if line.starts_with(b"\xef\xbb\xbf") {
            3
        } else {
            begin
        };
        let locator = rows.locator(
            start + begin as u64,
            start + line.trim_ascii_end().len() as u64,
        );
        match rows.push(text, &locator, number) {
            Ok(Met::Object) => {}
            Ok(Met::Other) => sink(fault(
                "invalid_json",
                "a line that is no JSON object".into(),
                locator,
                number,
            ))?,
            Err(error) => {
                let rule = format!(
                    "a line that is no JSON: {:?} at column {}",
                    error.classify(),
                    error.column()
                );
                sink(fault("invalid_json", rule, locator, number))?;
            }
        }
        rows.flush(BATCH, sink)?;
    }
}

/// Objects one after another, over several lines each.
fn pretty(mut input: impl Read, rows: &mut Rows, sink: &mut Sink<'_>) -> Result<()> {
    let mut bytes = Vec::new();
    input.read_to_end(&mut bytes)?;
    let mut at = Place::at_begin(&bytes);
    let mut number = 0;
    while at.skip_space() < bytes.len() {
        number += 1;
        let start = at.at;
        let met = at.pass().and_then(|text| {
            let locator = rows.locator(start as u64, (start + text.len()) as u64);
            rows.push(text, &locator, number)
        });
        if !matches!(met, Ok(Met::Object)) {
            let locator = rows.locator(start as u64, bytes.len() as u64);
            let rule = "the text is no JSON object from here to its end".to_owned();
            return sink(fault("invalid_json", rule, locator, number));
        }
        at.take(b',');
        rows.flush(BATCH, sink)?;
    }
    Ok(())
}

/// A document is read whole: its rows are found by their place in its text. What stands around the array is
/// not looked at; text that breaks off within the array is a fault of its own.
fn document(
    format: &JsonFormat,
    mut input: impl Read,
    rows: &mut Rows,
    sink: &mut Sink<'_>,
) -> Result<()> {
    let mut bytes = Vec::new();
    input.read_to_end(&mut bytes)?;
    let mut at = Place::at_begin(&bytes);
    let path = format
        .rows
        .as_deref()
        .unwrap_or("$")
        .trim_start_matches('$');
    for name in path.split('.').filter(|n| !n.is_empty()) {
        at.enter(name)?;
    }
    if !at.take(b'[') {
        bail!(
            "json.rows: there is no array at {:?}",
            format.rows.as_deref().unwrap_or("$")
        );
    }
    let mut number = 0;
    loop {
        if at.take(b']') {
            return Ok(());
        }
        number += 1;
        let start = at.skip_space();
        let read = at.pass().and_then(|text| {
            let locator = rows.locator(start as u64, (start + text.len()) as u64);
            Ok((rows.push(text, &locator, number)?, locator))
        });
        match read {
            Ok((Met::Object, _)) => {}
            Ok((Met::Other, locator)) => sink(fault(
                "invalid_json",
                "an element that is no object".into(),
                locator,
                number,
            ))?,
            Err(error) => {
                let locator = rows.locator(start as u64, bytes.len() as u64);
                let rule = format!(
                    "the document is broken from here to its end: {:?}",
                    error.classify()
                );
                return sink(fault("invalid_json", rule, locator, number));
            }
        }
        rows.flush(BATCH, sink)?;
        if !at.take(b',') && at.bytes.get(at.skip_space()) != Some(&b']') {
            let locator = rows.locator(at.at as u64, bytes.len() as u64);
            let rule = "the document breaks off: neither a comma nor the array's end".to_owned();
            return sink(fault("invalid_json", rule, locator, number + 1));
        }
    }
}

/// A place in a JSON text.
struct Place<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Place<'a> {
    /// The begin of a text, behind a byte order mark.
    fn at_begin(bytes: &'a [u8]) -> Self {
        let at = if bytes.starts_with(b"\xef\xbb\xbf") {
            3
        } else {
            0
        };
        Self { bytes, at }
    }

    fn skip_space(&mut self) -> usize {
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
        self.at
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.bytes.get(self.skip_space()) == Some(&byte);
        self.at += usize::from(found);
        found
    }

    fn value<T: DeserializeOwned>(&mut self) -> serde_json::Result<T> {
        let mut values = serde_json::Deserializer::from_slice(&self.bytes[self.at..]).into_iter();
        let value = values
            .next()
            .unwrap_or_else(|| serde_json::from_slice(b""))?;
        self.at += values.byte_offset();
        Ok(value)
    }

    /// Passes over a value, whatever it is; gives its text.
    fn pass(&mut self) -> serde_json::Result<&'a [u8]> {
        let start = self.at;
        self.value::<IgnoredAny>()?;
        Ok(&self.bytes[start..self.at])
    }

    /// Goes to the value of a key of the object here.
    fn enter(&mut self, name: &str) -> Result<()> {
        if !self.take(b'{') {
            bail!("json.rows: {name:?} is looked for where there is no object");
        }
        while !self.take(b'}') {
            let key: String = self.value().context("the document is no JSON")?;
            if !self.take(b':') {
                bail!("the document is no JSON: a key without a value");
            }
            if key == name {
                return Ok(());
            }
            self.value::<IgnoredAny>()
                .context("the document is no JSON")?;
            self.take(b',');
        }
        bail!("json.rows: the document has no {name:?}")
    }
}
