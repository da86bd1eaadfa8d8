//! Quarantine out to CSV files: what is wrong with each row, and the row, to be corrected in any editor.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
};

use anyhow::{Context as _, Result};
use musubi_clean::quarantine::{cell, content_of};
use serde::Serialize;

use super::{Filter, Row, columns, rows_of};
use crate::{
    stage::{clean::Active, view::View},
    trace::Object,
};

/// Columns that musubi adds; replay needs the first only.
pub(super) const ID: &str = "musubi_id";
pub(super) const RECORD: &str = "musubi_record";
/// What columns of musubi's own begin with.
pub(super) const OWN: &str = "musubi_";
const NOTES: [&str; 6] = [
    "musubi_reason",
    "musubi_field",
    "musubi_rule",
    "musubi_file",
    "musubi_row",
    "musubi_locator",
];
const TEXT: &str = "musubi_text";

/// What was written for one stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Exported {
    /// Source.
    pub source: String,
    /// Stream.
    pub stream: String,
    /// Rows.
    pub rows: u64,
    /// Where they are.
    pub path: String,
}

/// Writes the rows in quarantine, a CSV file a stream. `create` opens the file of a stream and says where it is; it is
/// called for streams that have rows only.
///
/// # Errors
/// Those of the storage and of `create`.
pub async fn export(
    view: &View,
    filter: &Filter,
    mut create: impl FnMut(&str, &str) -> Result<(Box<dyn Write>, String)>,
) -> Result<Vec<Exported>> {
    filter.check(view)?;
    let mut streams: BTreeMap<(&str, &str), Vec<&Active>> = BTreeMap::new();
    for active in view.present.active.iter().filter(|a| filter.wants(a)) {
        if active.cleaned.quarantine.is_some() {
            let file = &active.file;
            streams
                .entry((&file.source, &file.stream))
                .or_default()
                .push(active);
        }
    }
    let mut written = Vec::new();
    for ((source, stream), files) in streams {
        let Some(shape) = shape(view, filter, &files).await? else {
            continue;
        };
        let (mut out, path) = create(source, stream)?;
        // The mark lets spreadsheets know that it is UTF-8.
        out.write_all("\u{feff}".as_bytes())?;
        let mut csv = csv::Writer::from_writer(out);
        csv.write_record(shape.header())?;
        let mut seen = BTreeSet::new();
        let mut rows = 0;
        for active in files {
            let texts = Texts::of(view, active, &shape).await?;
            rows_of(view, active, true, |row| {
                if filter.wants_reason(&row.code) && seen.insert(row.id.clone()) {
                    csv.write_record(shape.record(&row, active, &texts)?)?;
                    rows += 1;
                }
                Ok(())
            })
            .await?;
        }
        csv.flush().with_context(|| format!("write {path}"))?;
        written.push(Exported {
            source: source.to_owned(),
            stream: stream.to_owned(),
            rows,
            path,
        });
    }
    Ok(written)
}

/// The columns of a stream's file.
struct Shape {
    /// Rows have a record type.
    records: bool,
    /// Some rows could not be read, so that their text is given.
    texts: bool,
    columns: Vec<String>,
}

/// Looks at all rows that are to be written; `None` when there is none.
async fn shape(view: &View, filter: &Filter, files: &[&Active]) -> Result<Option<Shape>> {
    let mut shape = Shape {
        records: false,
        texts: false,
        columns: Vec::new(),
    };
    let mut any = false;
    for active in files {
        let mut unread = false;
        let add = |shape: &mut Shape, name: &str| {
            if !shape.columns.iter().any(|c| c == name) {
                shape.columns.push(name.to_owned());
            }
        };
        rows_of(view, active, true, |row| {
            if !filter.wants_reason(&row.code) {
                return Ok(());
            }
            any = true;
            shape.records |= row.record.is_some();
            match &row.content {
                Some(content) => {
                    for name in content_of(content)?.keys() {
                        add(&mut shape, name);
                    }
                }
                None => unread = true,
            }
            Ok(())
        })
        .await?;
        if unread {
            shape.texts = true;
            for (record, names) in columns::of_file(view, active).await? {
                shape.records |= record.is_some();
                names.iter().for_each(|name| add(&mut shape, name));
            }
        }
    }
    Ok(any.then_some(shape))
}

impl Shape {
    fn header(&self) -> Vec<&str> {
        let mut header = vec![ID];
        header.extend(NOTES);
        header.extend(self.records.then_some(RECORD));
        header.extend(self.texts.then_some(TEXT));
        header.extend(self.columns.iter().map(String::as_str));
        header
    }

    fn record(&self, row: &Row, active: &Active, texts: &Texts) -> Result<Vec<String>> {
        let mut record = vec![
            row.id.clone(),
            row.code.clone(),
            row.field.clone().unwrap_or_default(),
            row.rule.clone(),
            active.file.path.clone(),
            row.number.to_string(),
            row.locator.clone(),
        ];
        record.extend(self.records.then(|| row.record.clone().unwrap_or_default()));
        record.extend(self.texts.then(|| texts.at(&row.locator)));
        let content = row.content.as_deref().map(content_of).transpose()?;
        record.extend(self.columns.iter().map(|name| {
            let value = content.as_ref().and_then(|c| c.get(name));
            value.and_then(cell).unwrap_or_default()
        }));
        Ok(record)
    }
}

/// The text of rows that could not be read.
struct Texts(BTreeMap<String, String>);

impl Texts {
    async fn of(view: &View, active: &Active, shape: &Shape) -> Result<Self> {
        let mut texts = BTreeMap::new();
        if !shape.texts {
            return Ok(Self(texts));
        }
        let mut wanted = Vec::new();
        rows_of(view, active, true, |row| {
            if row.content.is_none() {
                wanted.push(row.locator);
            }
            Ok(())
        })
        .await?;
        if !wanted.is_empty() {
            let object = Object::fetch(&view.context, &active.file).await?;
            let found = object.at(&wanted)?.into_iter().map(|f| f.text);
            texts.extend(wanted.into_iter().zip(found));
        }
        Ok(Self(texts))
    }

    fn at(&self, locator: &str) -> String {
        self.0.get(locator).cloned().unwrap_or_default()
    }
}
