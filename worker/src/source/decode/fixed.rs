//! Text with columns at fixed positions.
//!
//! Padding (ASCII and ideographic spaces) at both ends of a value goes. A line may end within its last column,
//! since many systems trim lines; a line that ends before its last column begins is a fault.

use std::{io::Read, sync::Arc};

use anyhow::Result;
use musubi_api::source::{FixedColumn, FixedWidthFormat, WidthUnit};

use super::{
    Decoded, Sink,
    delimited::fault,
    records::{Reader, unknown_type},
    text::{Broken, Record, Records},
};

pub(super) fn decode(
    format: &FixedWidthFormat,
    member: Option<Arc<str>>,
    input: &mut dyn Read,
    sink: &mut Sink<'_>,
) -> Result<()> {
    let mut records = Records::open(input, member, format.encoding, None, &[])?;
    let mut reader = if format.types.is_empty() {
        Reader::alike(format.columns.iter().map(|c| c.name.clone()).collect())
    } else {
        Reader::new(format.types.iter().map(Into::into).collect())
    };
    let (mut number, mut skip) = (0, format.skip_lines);
    let mut record = Record::default();
    while records.next(&mut record)? {
        number += 1;
        if skip > 0 || record.bytes.is_empty() {
            skip = skip.saturating_sub(1);
            sink(Decoded::Structural(1))?;
            continue;
        }
        let locator = records.locator(&record);
        match cut(format, &records, &record) {
            Ok((kind, values)) => {
                let values = values.iter().map(String::as_str);
                reader.take(kind, values, locator, number, sink)?;
            }
            Err(broken) => sink(fault(broken.code, broken.rule, locator, number))?,
        }
    }
    reader.end(sink)
}

/// The number of a line's type (0 where all are alike), and its values.
fn cut(
    format: &FixedWidthFormat,
    records: &Records<'_>,
    record: &Record,
) -> Result<(usize, Vec<String>), Broken> {
    match format.unit {
        WidthUnit::Bytes => {
            let line = record.bytes.as_slice();
            let (kind, columns) = typed(format, line, |tag| records.bytes_of(tag))?;
            let value = |c| records.text(part(line, c)).map(|t| t.trim().to_owned());
            let values = columns.iter().map(value).collect::<Result<_, _>>()?;
            Ok((kind, values))
        }
        WidthUnit::Characters => {
            let line: Vec<char> = records.text(&record.bytes)?.chars().collect();
            let (kind, columns) = typed(format, &line, |tag| tag.chars().collect())?;
            let text = |c| part(&line, c).iter().collect::<String>();
            let values = columns.iter().map(|c| text(c).trim().to_owned());
            Ok((kind, values.collect()))
        }
    }
}

/// The type of a line and its columns, all of which begin within the line.
fn typed<'f, T: PartialEq>(
    format: &'f FixedWidthFormat,
    line: &[T],
    units: impl Fn(&str) -> Vec<T>,
) -> Result<(usize, &'f [FixedColumn]), Broken> {
    let (kind, columns) = if format.types.is_empty() {
        (0, &format.columns)
    } else {
        let from = line.get(format.tag_start as usize - 1..).unwrap_or(&[]);
        let types = format.types.iter().enumerate();
        let fitting = types.filter(|(_, t)| from.starts_with(&units(&t.tag)));
        let longest = fitting.max_by_key(|(_, t)| t.tag.len());
        let (kind, found) = longest.ok_or_else(unknown_type)?;
        (kind, &found.columns)
    };
    let needed = columns.iter().map(|c| c.start).max().unwrap_or(1);
    if line.len() < needed as usize {
        let length = line.len();
        return Err(Broken {
            code: "wrong_record_length",
            rule: format!("the line has {length} positions, its last column begins at {needed}"),
        });
    }
    Ok((kind, columns))
}

fn part<'a, T>(line: &'a [T], column: &FixedColumn) -> &'a [T] {
    let start = (column.start.max(1) as usize - 1).min(line.len());
    &line[start..(start + column.width as usize).min(line.len())]
}
