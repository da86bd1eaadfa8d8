//! Workbooks. Values become text in one form: ISO dates, plain decimals, `true`/`false`.

use std::{fs::File, io::Read as _, sync::Arc};

use anyhow::{Context as _, Result, bail};
use calamine::{Data, DataType as _, Reader as _};
use musubi_api::source::ExcelFormat;
use musubi_clean::raw::Locator;

use super::{
    BATCH, Decoded, Sink,
    delimited::{Rows, fault, header},
};

pub(super) fn decode(format: &ExcelFormat, mut file: File, sink: &mut Sink<'_>) -> Result<()> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let bytes = std::io::Cursor::new(bytes::Bytes::from(bytes));
    let mut book = calamine::open_workbook_auto_from_rs(bytes)
        .context("the file is no workbook that can be read")?;
    let names = book.sheet_names();
    let name = match &format.sheet {
        Some(sheet) if names.contains(sheet) => sheet.clone(),
        Some(sheet) => bail!(
            "excel.sheet: there is no sheet {sheet:?}; the workbook has {}",
            names.join(", ")
        ),
        None => names
            .into_iter()
            .next()
            .context("the workbook has no sheet")?,
    };
    let range = book.worksheet_range(&name)?;
    let first = range.start().map_or(0, |(row, _)| u64::from(row));
    let sheet: Arc<str> = name.into();
    let mut rows: Option<Rows> = None;
    for (at, cells) in range.rows().enumerate() {
        let number = first + at as u64 + 1;
        let texts: Vec<String> = cells.iter().map(text).collect();
        if number <= u64::from(format.skip_rows) || texts.iter().all(String::is_empty) {
            sink(Decoded::Structural(1))?;
            continue;
        }
        let Some(rows) = &mut rows else {
            rows = Some(Rows::new(None, header(texts)?));
            sink(Decoded::Structural(1))?;
            continue;
        };
        let locator = Locator::Sheet {
            sheet: sheet.clone(),
            row: number,
        };
        if cells.iter().any(|c| matches!(c, Data::Error(_))) {
            sink(fault(
                "cell_error",
                "a cell whose formula failed".into(),
                locator,
                number,
            ))?;
            continue;
        }
        rows.push(texts.iter().map(String::as_str), locator, number);
        rows.flush(BATCH, sink)?;
    }
    match rows {
        Some(mut rows) => rows.flush(1, sink),
        None => Ok(()),
    }
}

fn text(cell: &Data) -> String {
    match cell {
        Data::Float(number) => number.to_string(),
        Data::Bool(flag) => flag.to_string(),
        Data::DateTime(_) => cell.as_datetime().map_or_else(String::new, |at| {
            let text = at.format("%Y-%m-%dT%H:%M:%S").to_string();
            text.strip_suffix("T00:00:00")
                .map_or(text.clone(), str::to_owned)
        }),
        Data::Error(_) | Data::Empty => String::new(),
        other => other.to_string().trim().to_owned(),
    }
}
