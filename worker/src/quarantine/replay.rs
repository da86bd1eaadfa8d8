//! Corrected rows back from CSV files: each is checked against the rules at once, and those that hold are kept in
//! the lake for the next run.

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use musubi_api::source::Stream;
use musubi_clean::{
    cleaner::Cleaner,
    contract::FileState,
    quarantine::{EditedRow, content_of, edit},
};
use serde::Serialize;
use serde_json::{Map, Value};

use super::{
    Row, columns,
    export::{ID, OWN, RECORD},
    row_id, rows_of,
};
use crate::stage::{
    Context,
    clean::{Active, LookupCache},
    edits::{self, Correction},
    files,
    view::View,
};

/// What became of the rows that were handed in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// Corrections that are now in the lake, by stream.
    pub kept: Vec<Handed>,
    /// Rows that had been handed in just so before.
    pub unchanged: u64,
    /// Rows that are still wrong; they stay in quarantine.
    pub wrong: Vec<Wrong>,
    /// Rows whose file has been replaced in the meantime: there is nothing to correct any more.
    pub replaced: u64,
}

/// A correction that was kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Handed {
    /// Source.
    pub source: String,
    /// Stream.
    pub stream: String,
    /// Where it is in the lake.
    pub path: String,
    /// The rows.
    pub ids: Vec<String>,
}

/// A row that is still wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Wrong {
    /// The file that was handed in, and the line in it.
    pub place: String,
    /// Id of the row.
    pub id: String,
    /// Reason code.
    pub reason: String,
    /// Column concerned, where it is one.
    pub field: Option<String>,
    /// The rule that is broken.
    pub rule: String,
}

/// A row of a CSV file.
struct Line {
    place: String,
    record: Option<String>,
    cells: Vec<(String, Option<String>)>,
}

/// A row that can be corrected: one in quarantine, or one that was corrected before.
struct Candidate<'a> {
    active: &'a Active,
    row: Row,
    before: Option<EditedRow>,
}

/// Takes corrected rows. `context` has the rules of today, `view` says what is in quarantine.
///
/// # Errors
/// When a file is no export, and those of the storage. Then nothing is kept.
pub async fn replay(context: &Context, view: &View, paths: &[PathBuf]) -> Result<Outcome> {
    let mut lines = read(paths)?;
    let mut outcome = Outcome::default();
    let mut corrections: BTreeMap<(String, String), Vec<(String, EditedRow)>> = BTreeMap::new();
    let mut lookups = LookupCache::default();
    for (stream_of, files) in by_stream(view) {
        let (source, name) = stream_of;
        let before = earlier(context, source, name).await?;
        let mut checker = None;
        for active in files {
            let candidates = candidates(view, active, &before, &lines).await?;
            if candidates.is_empty() {
                continue;
            }
            if checker.is_none() {
                checker = Some(Checker::new(context, view, &mut lookups, source, name).await?);
            }
            let Some(checker) = &checker else { continue };
            let mut state = checker.cleaner.start_file(active.file.origin());
            let shapes = shapes(view, &candidates).await?;
            for candidate in candidates {
                let Some(line) = lines.remove(&candidate.row.id) else {
                    continue;
                };
                match checker.decide(&candidate, &line, &shapes, &mut state) {
                    Verdict::Keep(row) => {
                        let rows = corrections.entry((source.into(), name.into())).or_default();
                        rows.push((candidate.row.id, *row));
                    }
                    Verdict::Same => outcome.unchanged += 1,
                    Verdict::Wrong(reason, field, rule) => outcome.wrong.push(Wrong {
                        place: line.place,
                        id: candidate.row.id,
                        reason,
                        field,
                        rule,
                    }),
                }
            }
        }
    }
    outcome.replaced = lines.len() as u64;
    outcome.wrong.sort_by_key(|wrong| {
        let (file, line) = wrong.place.rsplit_once(':').unwrap_or_default();
        (file.to_owned(), line.parse::<u64>().unwrap_or_default())
    });
    for ((source, stream), rows) in corrections {
        let (ids, rows) = rows.into_iter().unzip();
        let correction = Correction {
            source: source.clone(),
            stream: stream.clone(),
            at: jiff::Timestamp::now(),
            rows,
        };
        let path = edits::keep(&context.store, &correction).await?;
        outcome.kept.push(Handed {
            source,
            stream,
            path,
            ids,
        });
    }
    Ok(outcome)
}

/// Which of the rows that were handed in a run has put aside again.
///
/// # Errors
/// Those of the storage.
pub async fn still_wrong(view: &View, handed: &[Handed]) -> Result<Vec<Wrong>> {
    let mut wrong = Vec::new();
    for active in &view.present.active {
        let file = &active.file;
        let mine = |h: &&Handed| h.source == file.source && h.stream == file.stream;
        let Some(handed) = handed.iter().find(mine) else {
            continue;
        };
        rows_of(view, active, false, |row| {
            if handed.ids.contains(&row.id) {
                wrong.push(Wrong {
                    place: format!("{} row {}", file.path, row.number),
                    id: row.id,
                    reason: row.code,
                    field: row.field,
                    rule: row.rule,
                });
            }
            Ok(())
        })
        .await?;
    }
    Ok(wrong)
}

fn by_stream(view: &View) -> BTreeMap<(&str, &str), Vec<&Active>> {
    let mut streams: BTreeMap<(&str, &str), Vec<&Active>> = BTreeMap::new();
    for active in &view.present.active {
        let file = &active.file;
        streams
            .entry((&file.source, &file.stream))
            .or_default()
            .push(active);
    }
    streams
}

/// The corrections of a stream that are in the lake already, by id; the last of each row.
async fn earlier(
    context: &Context,
    source: &str,
    stream: &str,
) -> Result<HashMap<String, EditedRow>> {
    let mut rows = HashMap::new();
    for (_, correction) in edits::of_stream(&context.store, source, stream).await? {
        for row in correction.rows {
            rows.insert(row_id(source, stream, &row.raw, &row.locator), row);
        }
    }
    Ok(rows)
}

/// The rows of a file that were handed in.
async fn candidates<'a>(
    view: &View,
    active: &'a Active,
    before: &HashMap<String, EditedRow>,
    lines: &HashMap<String, Line>,
) -> Result<Vec<Candidate<'a>>> {
    let mut found = Vec::new();
    rows_of(view, active, true, |row| {
        if lines.contains_key(&row.id) {
            let before = before.get(&row.id).cloned();
            found.push(Candidate {
                active,
                row,
                before,
            });
        }
        Ok(())
    })
    .await?;
    for (id, row) in before
        .iter()
        .filter(|(_, row)| row.raw == active.file.sha256)
    {
        if lines.contains_key(id) && !found.iter().any(|c| c.row.id == *id) {
            found.push(Candidate {
                active,
                row: Row {
                    id: id.clone(),
                    locator: row.locator.clone(),
                    number: row.row,
                    record: row.record.clone(),
                    code: String::new(),
                    field: None,
                    rule: String::new(),
                    content: Some(Value::Object(row.content.clone()).to_string()),
                },
                before: Some(row.clone()),
            });
        }
    }
    found.sort_by_key(|c| c.row.number);
    Ok(found)
}

type Shapes = BTreeMap<Option<String>, Vec<String>>;

/// The columns of a file, when some of the rows could not be read.
async fn shapes(view: &View, candidates: &[Candidate<'_>]) -> Result<Shapes> {
    match candidates.iter().find(|c| c.row.content.is_none()) {
        Some(unread) => columns::of_file(view, unread.active).await,
        None => Ok(Shapes::new()),
    }
}

enum Verdict {
    Keep(Box<EditedRow>),
    Same,
    /// Reason, field, rule.
    Wrong(String, Option<String>, String),
}

fn wrong(reason: &str, field: Option<&str>, rule: impl Into<String>) -> Verdict {
    Verdict::Wrong(reason.into(), field.map(Into::into), rule.into())
}

/// Holds rows against the rules of a stream.
struct Checker {
    cleaner: Cleaner,
    stream: Stream,
}

impl Checker {
    async fn new(
        context: &Context,
        view: &View,
        lookups: &mut LookupCache,
        source: &str,
        stream: &str,
    ) -> Result<Self> {
        let gone = || format!("stream {source}/{stream} is no longer in the resources");
        let found = files::stream(&context.run, source, stream).with_context(gone)?;
        let lookups = lookups
            .get(context, &view.present.files, source, stream)
            .await?;
        let spec = &context.run.sources[source];
        Ok(Self {
            cleaner: Cleaner::new(source, spec, found, lookups)?,
            stream: found.clone(),
        })
    }

    fn decide(
        &self,
        candidate: &Candidate<'_>,
        line: &Line,
        shapes: &Shapes,
        state: &mut FileState,
    ) -> Verdict {
        let row = &candidate.row;
        let (original, record) = match original(row, line, shapes) {
            Ok(found) => found,
            Err(verdict) => return verdict,
        };
        let nested = candidate.before.as_ref().map_or_else(
            || edits::nested(&self.stream, Some(&original)),
            |b| b.nested,
        );
        let filled = line.cells.iter().filter(|(_, cell)| cell.is_some());
        if let Some((name, _)) = filled
            .clone()
            .find(|(name, _)| !nested && !original.contains_key(name))
        {
            let columns: Vec<&str> = original.keys().map(String::as_str).collect();
            let rule = format!("the row has no such column; it has {}", columns.join(", "));
            return wrong("unknown_column", Some(name), rule);
        }
        if row.content.is_none() && filled.count() == 0 {
            let rule = "its columns are empty: fill them in, musubi_text shows what stands there";
            return wrong(&row.code, None, rule);
        }
        let (content, mut changed) = edit(&original, &line.cells, nested);
        if let Some(before) = &candidate.before {
            if before.content == content && before.record == record {
                return Verdict::Same;
            }
            changed.extend(before.changed.iter().cloned());
            changed.sort();
            changed.dedup();
        }
        // A row that could be read and was refused for the rows around it may be let in as it is.
        let for_itself = row.content.is_some() && !row.code.starts_with("trailer_");
        if changed.is_empty() && for_itself {
            let rule = format!("{}; nothing in the row was changed", row.rule);
            return wrong(&row.code, row.field.as_deref(), rule);
        }
        let edited = EditedRow {
            raw: candidate.active.file.sha256.clone(),
            locator: row.locator.clone(),
            row: row.number,
            record,
            nested,
            content,
            changed,
        };
        self.check(edited, state)
    }

    fn check(&self, edited: EditedRow, state: &mut FileState) -> Verdict {
        let outcome = edited
            .batch()
            .and_then(|batch| self.cleaner.clean(&batch, &edited.raw, state));
        match outcome {
            Err(problem) => wrong("contract", None, problem.to_string()),
            Ok(cleaned) if cleaned.counts.quarantined == 0 => Verdict::Keep(Box::new(edited)),
            Ok(cleaned) => {
                let text = |name| super::cell(&cleaned.quarantined, name, 0);
                Verdict::Wrong(
                    text("code").unwrap_or_default(),
                    text("field"),
                    text("rule").unwrap_or_default(),
                )
            }
        }
    }
}

/// The row before it was corrected, and its record type. A row that could not be read has its columns, empty.
fn original(
    row: &Row,
    line: &Line,
    shapes: &Shapes,
) -> Result<(Map<String, Value>, Option<String>), Verdict> {
    if let Some(content) = &row.content {
        let content = content_of(content)
            .map_err(|problem| wrong("unreadable", None, problem.to_string()))?;
        return Ok((content, row.record.clone()));
    }
    let record = if shapes.contains_key(&None) {
        None
    } else {
        line.record.clone()
    };
    let Some(names) = shapes.get(&record) else {
        let types: Vec<&str> = shapes.keys().flatten().map(String::as_str).collect();
        let rule = format!("say which type of record it is: {}", types.join(", "));
        return Err(wrong(&row.code, Some(RECORD), rule));
    };
    let empty = names.iter().map(|name| (name.clone(), Value::Null));
    Ok((empty.collect(), record))
}

/// Reads the files that were handed in, by row id.
fn read(paths: &[PathBuf]) -> Result<HashMap<String, Line>> {
    let mut lines: HashMap<String, Line> = HashMap::new();
    for path in paths {
        for (id, line) in read_one(path).with_context(|| format!("{}", path.display()))? {
            let place = line.place.clone();
            if let Some(other) = lines.insert(id.clone(), line) {
                bail!(
                    "row {id} stands twice: {place} and {}; leave one",
                    other.place
                );
            }
        }
    }
    Ok(lines)
}

fn read_one(path: &Path) -> Result<Vec<(String, Line)>> {
    let bytes = std::fs::read(path).context("cannot be read")?;
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    let text = std::str::from_utf8(bytes)
        .context("is not UTF-8; save it as \"CSV UTF-8\" in your spreadsheet")?;
    let mut csv = csv::Reader::from_reader(text.as_bytes());
    let header = csv.headers()?.clone();
    let at = |name: &str| header.iter().position(|h| h == name);
    let id = at(ID).with_context(|| {
        format!("has no column {ID}; hand in what `musubi quarantine export` wrote, with that column as it was")
    })?;
    let record_type = at(RECORD);
    let mut lines = Vec::new();
    for row in csv.records() {
        let row = row?;
        let line = row.position().map_or(0, csv::Position::line);
        let place = format!("{}:{line}", path.display());
        let text = |at: usize| row.get(at).filter(|t| !t.is_empty()).map(str::to_owned);
        let key = text(id).with_context(|| format!("line {line} has no {ID}"))?;
        let cells = header.iter().enumerate();
        let cells = cells.filter(|(_, name)| !name.starts_with(OWN));
        lines.push((
            key.trim().to_owned(),
            Line {
                place,
                record: record_type.and_then(text),
                cells: cells
                    .map(|(at, name)| (name.to_owned(), text(at)))
                    .collect(),
            },
        ));
    }
    Ok(lines)
}
