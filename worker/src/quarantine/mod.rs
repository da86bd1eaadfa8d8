//! Rows that were set aside: what there is, out to CSV, and back as corrections.

mod columns;
mod export;
mod replay;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use arrow::{
    array::{Array, AsArray, RecordBatch},
    datatypes::Int64Type,
};
use futures::TryStreamExt;
use musubi_lake::parquet;
use serde::Serialize;
use sha2::{Digest, Sha256};

pub use export::{Exported, export};
pub use replay::{Handed, Outcome, Wrong, replay, still_wrong};

use crate::stage::{
    clean::{Active, RowCounts},
    edits::{self, Edits},
    view::View,
};

/// Which rows are meant. What is absent means all.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Source.
    pub source: Option<String>,
    /// Stream.
    pub stream: Option<String>,
    /// Reason code.
    pub reason: Option<String>,
}

impl Filter {
    fn wants(&self, active: &Active) -> bool {
        let same = |wanted: &Option<String>, is: &str| wanted.as_deref().is_none_or(|w| w == is);
        same(&self.source, &active.file.source) && same(&self.stream, &active.file.stream)
    }

    fn wants_reason(&self, code: &str) -> bool {
        self.reason.as_deref().is_none_or(|w| w == code)
    }

    /// Says what of it names nothing, with the names there are.
    ///
    /// # Errors
    /// When a source or stream does not exist.
    pub fn check(&self, view: &View) -> Result<()> {
        let sources = &view.context.run.sources;
        if let Some(name) = &self.source {
            let names: Vec<&str> = sources.keys().map(String::as_str).collect();
            anyhow::ensure!(
                sources.contains_key(name),
                "there is no source {name} in the run; its sources are {}",
                names.join(", ")
            );
        }
        if let Some(name) = &self.stream {
            let streams = sources
                .iter()
                .filter(|(source, _)| self.source.as_ref().is_none_or(|s| s == *source))
                .flat_map(|(_, spec)| &spec.streams);
            let names: Vec<&str> = streams.map(|s| s.name.as_str()).collect();
            anyhow::ensure!(
                names.contains(&name.as_str()),
                "there is no stream {name}; the streams are {}",
                names.join(", ")
            );
        }
        Ok(())
    }
}

/// A row in quarantine.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) id: String,
    pub(crate) locator: String,
    pub(crate) number: u64,
    pub(crate) record: Option<String>,
    pub(crate) code: String,
    pub(crate) field: Option<String>,
    pub(crate) rule: String,
    /// The row as JSON, where it could be read and was asked for.
    pub(crate) content: Option<String>,
}

/// The id by which a row of a source is known from export to replay: 16 hexadecimal digits.
pub(crate) fn row_id(source: &str, stream: &str, raw: &str, locator: &str) -> String {
    let all = format!("{source}\0{stream}\0{raw}\0{locator}");
    hex::encode(&Sha256::digest(all)[..8])
}

/// Calls `each` with the quarantined rows of a file.
async fn rows_of(
    view: &View,
    active: &Active,
    with_content: bool,
    mut each: impl FnMut(Row) -> Result<()>,
) -> Result<()> {
    let Some(part) = &active.cleaned.quarantine else {
        return Ok(());
    };
    let mut columns = vec!["locator", "row", "record", "code", "field", "rule"];
    columns.extend(with_content.then_some("row_json"));
    let mut stream = parquet::stream(&view.context.store, &part.path, Some(&columns)).await?;
    while let Some(batch) = stream.try_next().await? {
        let text = |name: &str, row: usize| cell(&batch, name, row);
        let numbers = batch
            .column_by_name("row")
            .and_then(|c| c.as_primitive_opt::<Int64Type>())
            .context("a quarantine file has no row numbers")?;
        for row in 0..batch.num_rows() {
            let locator = text("locator", row).unwrap_or_default();
            let file = &active.file;
            each(Row {
                id: row_id(&file.source, &file.stream, &file.sha256, &locator),
                locator,
                number: numbers.value(row).unsigned_abs(),
                record: text("record", row),
                code: text("code", row).unwrap_or_default(),
                field: text("field", row),
                rule: text("rule", row).unwrap_or_default(),
                content: text("row_json", row),
            })?;
        }
    }
    Ok(())
}

fn cell(batch: &RecordBatch, name: &str, row: usize) -> Option<String> {
    let column = batch.column_by_name(name)?.as_string_opt::<i32>()?;
    column.is_valid(row).then(|| column.value(row).to_owned())
}

/// What is in quarantine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Listing {
    /// The run that is looked at.
    pub run: String,
    /// The version that it published; `None` when it was not published.
    pub version: Option<u64>,
    /// Rows by source, stream and what is wrong.
    pub groups: Vec<Group>,
    /// What became of all rows of the streams that were asked for.
    pub rows: Balance,
    /// Rows that were corrected since; the next run takes them.
    pub waiting: u64,
}

/// Rows with the same fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Group {
    /// Source.
    pub source: String,
    /// Stream.
    pub stream: String,
    /// Reason code.
    pub reason: String,
    /// Column concerned, where it is one.
    pub field: Option<String>,
    /// The rule that was broken.
    pub rule: String,
    /// How many rows.
    pub rows: u64,
    /// How many of them somebody has corrected, and they are still wrong.
    pub corrected: u64,
}

/// Conservation: every row is accounted for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Balance {
    /// Rows of the sources.
    pub total: u64,
    /// Rows that became entities.
    pub accepted: u64,
    /// Rows set aside.
    pub quarantined: u64,
    /// Headers, trailers and the like.
    pub structural: u64,
    /// Rows that somebody corrected, among the accepted and the quarantined.
    pub edited: u64,
    /// Whether the counts and the sums of the rows' hashes agree.
    pub holds: bool,
}

impl Balance {
    fn of(files: &[&Active]) -> Self {
        let mut sum = RowCounts::default();
        files.iter().for_each(|a| sum.add(&a.cleaned.rows));
        Self {
            total: sum.total,
            accepted: sum.accepted,
            quarantined: sum.quarantined,
            structural: sum.structural,
            edited: sum.edited,
            holds: files.iter().all(|a| a.cleaned.rows.holds()),
        }
    }
}

/// Counts what is in quarantine.
///
/// # Errors
/// Those of the storage; when the filter names what is not there.
pub async fn list(view: &View, filter: &Filter) -> Result<Listing> {
    filter.check(view)?;
    let files: Vec<&Active> = view
        .present
        .active
        .iter()
        .filter(|a| filter.wants(a))
        .collect();
    type Key = (String, String, String, Option<String>, String);
    let mut groups: BTreeMap<Key, (u64, u64)> = BTreeMap::new();
    for active in &files {
        let file = &active.file;
        let edits = Edits::of(&view.context.store, file).await?;
        rows_of(view, active, false, |row| {
            if filter.wants_reason(&row.code) {
                let corrected = edits.find(&row.locator).is_some();
                let key = (
                    file.source.clone(),
                    file.stream.clone(),
                    row.code,
                    row.field,
                    row.rule,
                );
                let counts = groups.entry(key).or_default();
                *counts = (counts.0 + 1, counts.1 + u64::from(corrected));
            }
            Ok(())
        })
        .await?;
    }
    let groups = groups.into_iter();
    Ok(Listing {
        run: view.context.run.uid.clone(),
        version: view.published.as_ref().map(|p| p.version),
        groups: groups
            .map(
                |((source, stream, reason, field, rule), (rows, corrected))| Group {
                    source,
                    stream,
                    reason,
                    field,
                    rule,
                    rows,
                    corrected,
                },
            )
            .collect(),
        rows: Balance::of(&files),
        waiting: waiting(view, &files).await?,
    })
}

/// Rows of some files that were corrected after the run that is looked at was planned.
async fn waiting(view: &View, files: &[&Active]) -> Result<u64> {
    let taken: BTreeSet<&String> = files.iter().flat_map(|a| &a.file.edits).collect();
    let streams: BTreeSet<_> = files
        .iter()
        .map(|a| (&a.file.source, &a.file.stream))
        .collect();
    let mut rows = BTreeSet::new();
    for (source, stream) in streams {
        for (path, correction) in edits::of_stream(&view.context.store, source, stream).await? {
            if !taken.contains(&path) {
                let new = correction.rows.into_iter();
                rows.extend(new.map(|row| row_id(source, stream, &row.raw, &row.locator)));
            }
        }
    }
    Ok(rows.len() as u64)
}
