//! Text with columns at fixed positions.
//!
//! Padding (ASCII and ideographic spaces) at both ends of a value goes. A line may end within its last column,
//! since many systems trim lines; a line that ends before its last column begins is a fault.

use std::{io::Read, sync::Arc};

use anyhow::Result;
use musubi_api::source::{FixedColumn, FixedWidthFormat, WidthUnit};

use super::{
    BATCH, Decoded, Sink,
    delimited::{Rows, fault},
    text::{Broken, Record, Records},
};

pub(super) fn decode(
    format: &FixedWidthFormat,
    member: Option<Arc<str>>,
    input: &mut dyn Read,
    sink: &mut Sink<'_>,
) -> Result<()> {
    let mut records = Records::open(input, member, format.encoding, None, &[])?;
    let mut rows = Rows::new(
        None,
        format.columns.iter().map(|c| c.name.clone()).collect(),
    );
    let (mut number, mut skip) = (0, format.skip_lines);
    while let Some(record) = records.next()? {
        number += 1;
        if skip > 0 || record.bytes.is_empty() {
            skip = skip.saturating_sub(1);
            sink(Decoded::Structural(1))?;
            continue;
        }
        let locator = records.locator(&record);
        match values(format, &records, &record) {
            Ok(values) => {
                rows.push(values.into_iter(), locator, number);
                rows.flush(BATCH, sink)?;
            }
            Err(broken) => sink(fault(broken.code, broken.rule, locator, number))?,
        }
    }
    rows.flush(1, sink)
}

fn values(
    format: &FixedWidthFormat,
    records: &Records<'_>,
    record: &Record,
) -> Result<Vec<String>, Broken> {
    let needed = format.columns.iter().map(|c| c.start).max().unwrap_or(1) as usize;
    let short = |length: usize| Broken {
        code: "wrong_record_length",
        rule: format!("the line has {length} positions, its last column begins at {needed}"),
    };
    match format.unit {
        WidthUnit::Bytes => {
            let bytes = &record.bytes;
            if bytes.len() < needed {
                return Err(short(bytes.len()));
            }
            let value = |c| records.text(part(bytes, c)).map(|t| trimmed(&t));
            format.columns.iter().map(value).collect()
        }
        WidthUnit::Characters => {
            let text: Vec<char> = records.text(&record.bytes)?.chars().collect();
            if text.len() < needed {
                return Err(short(text.len()));
            }
            let value = |c| trimmed(&part(&text, c).iter().collect::<String>());
            Ok(format.columns.iter().map(value).collect())
        }
    }
}

fn part<'a, T>(line: &'a [T], column: &FixedColumn) -> &'a [T] {
    let start = (column.start.max(1) as usize - 1).min(line.len());
    &line[start..(start + column.width as usize).min(line.len())]
}

fn trimmed(value: &str) -> String {
    value.trim().to_owned()
}
