//! An input file: how it is read, what columns it has, and its rows.

use std::{
    collections::{BTreeMap, HashSet},
    fs::File,
    io::{BufRead as _, BufReader, Read as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, Result, bail, ensure};
use arrow::{
    array::{Array, RecordBatch, StringArray},
    datatypes::{Field, Schema},
};
use musubi_api::source::Stream;
use musubi_clean::raw::{Locator, RawFault, RawRows};
use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use serde_json::Value;

use super::{
    guess::{self, Guess, Seen},
    nested::{self, Leaf},
    role::Role,
    settle,
};
use crate::{
    profile::{ColumnReport, column::Column, meaning, sniff},
    source::decode::{Decoded, decode},
};

/// Rows from which columns are guessed.
const SAMPLE: usize = 5000;

/// A file of records.
pub(super) struct Table {
    pub(super) path: PathBuf,
    /// Its name among the sources.
    pub(super) source: String,
    /// How it is read, for people.
    pub(super) format: String,
    stream: Stream,
    /// Its columns, where some are within others.
    leaves: Option<Vec<Leaf>>,
    pub(super) columns: Vec<Guess>,
    /// Whether its texts are Japanese.
    pub(super) japanese: bool,
    /// About how many rows it has; nothing where that shows only when all is read.
    pub(super) rows: Option<u64>,
    /// The country of its phone numbers, where some are in international notation.
    pub(super) country: Option<String>,
    /// How a date is read of which nothing tells whether month or day comes first.
    month_first: bool,
}

/// A row that could not be read.
#[derive(Clone, Debug, serde::Serialize)]
pub struct BadRow {
    /// Its file.
    pub file: String,
    /// Its line in the file, from 1; of a file without lines its row.
    pub line: u64,
    /// What is wrong, without any value.
    pub rule: String,
}

/// What is found in a file, in order.
pub(super) enum Piece {
    /// Rows: their numbers in the file from 0, and their columns as text; and where in its bytes they end, when they are
    /// a text's.
    Rows(Vec<u64>, RecordBatch, Option<u64>),
    /// A row that could not be read: its number, and why.
    Bad(u64, BadRow),
}

impl Table {
    /// Looks at a file: format, columns, and a sample of its rows.
    pub(super) fn open(path: &Path, source: String, country: Option<&str>) -> Result<Self> {
        let shown = path.display();
        let meta = std::fs::metadata(path)
            .with_context(|| format!("cannot open {shown}: is the path right?"))?;
        ensure!(
            meta.is_file(),
            "{shown} is a folder: give its files, each by name or all of them as {shown}/*.csv"
        );
        ensure!(
            meta.len() > 0,
            "{shown} is empty: there are no records to compare"
        );
        let mut sniffed = sniff::sniff(path)?;
        let kind = sniffed.format.as_object().and_then(|f| f.keys().next());
        let kind = kind.cloned().unwrap_or_default();
        ensure!(
            matches!(kind.as_str(), "csv" | "parquet" | "excel"),
            "{shown} is neither CSV nor Parquet but looks like {kind}; write it as one of them with a column for each field"
        );
        let mut details = Vec::new();
        if kind == "csv" {
            name_columns(path, &mut sniffed.format, sniffed.encoding)?;
            details.extend(sniffed.encoding.map(str::to_owned));
            details.extend(
                sniffed.format["csv"]["delimiter"]
                    .as_str()
                    .map(|d| format!("delimiter {d}")),
            );
        }
        let format = [vec![title(&kind)], details].concat().join(", ");
        let mut stream = sniff::stream("rows", "*", &sniffed.format)?;
        if let Some(csv) = stream.format.as_mut().and_then(|f| f.csv.as_mut()) {
            csv.keep_empty = true;
        }
        let mut table = Self {
            path: path.to_owned(),
            source,
            format,
            stream,
            leaves: parquet(path).and_then(|parquet| nested::leaves(parquet.schema())),
            columns: Vec::new(),
            japanese: false,
            rows: None,
            country: None,
            month_first: false,
        };
        table.look(country, meta.len())?;
        Ok(table)
    }

    /// Guesses from a sample. `size` is that of the file in bytes.
    fn look(&mut self, country: Option<&str>, size: u64) -> Result<()> {
        let (sample, rows, seen) = self.sample()?;
        let Some(first) = sample.first() else {
            bail!(
                "{} has a header and no rows: there are no records to compare",
                self.path.display()
            );
        };
        self.rows = match seen {
            Some((rows, end)) if !self.is_packed()? => Some(size * rows / end.max(1)),
            Some(_) => None,
            None => parquet(&self.path).and_then(|parquet| {
                u64::try_from(parquet.metadata().file_metadata().num_rows()).ok()
            }),
        };
        let schema = first.schema();
        let mut reports: Vec<ColumnReport> = Vec::new();
        for (at, field) in schema.fields().iter().enumerate() {
            let mut counts = Column::default();
            for values in sample.iter().map(|b| text(b, at)) {
                let given = values.iter().flatten().filter(|v| !v.trim().is_empty());
                given.for_each(|v| counts.add(v));
            }
            self.japanese |= counts.japanese > 0;
            reports.push(counts.report(field.name(), rows as u64));
        }
        let columns =
            || (0..schema.fields().len()).flat_map(|at| sample.iter().map(move |b| text(b, at)));
        self.country = country_of_phones(columns().flatten().flatten());
        let country = country.or(self.country.as_deref());
        self.month_first = country.is_some_and(|c| c.eq_ignore_ascii_case("us"));
        self.columns = reports
            .iter()
            .enumerate()
            .map(|(at, report)| {
                let seen = Seen {
                    report,
                    values: sample.iter().map(|b| text(b, at)).collect(),
                };
                guess::guess(&seen, self.month_first)
            })
            .collect();
        let leaves = self.leaves.iter().flatten();
        for (column, _) in self
            .columns
            .iter_mut()
            .zip(leaves)
            .filter(|(_, l)| l.is_unread())
        {
            column.why = "a list of more than values, or a map: not read".to_owned();
        }
        settle::settle(&mut self.columns);
        Ok(())
    }

    /// The first rows, how many there are, and where the last of them ends: its number from 1, and bytes.
    #[expect(clippy::type_complexity, reason = "read in one place")]
    fn sample(&self) -> Result<(Vec<RecordBatch>, usize, Option<(u64, u64)>)> {
        let (mut sample, mut rows) = (Vec::new(), 0);
        let mut seen = None;
        self.rows(&mut |piece| {
            if let Piece::Rows(numbers, batch, end) = piece {
                seen = numbers.last().map(|last| last + 1).zip(end);
                let part = batch.slice(0, batch.num_rows().min(SAMPLE - rows));
                rows += part.num_rows();
                sample.push(part);
            }
            Ok(rows < SAMPLE)
        })?;
        Ok((sample, rows, seen))
    }

    /// Hands over the first rows that have values in some columns.
    pub(super) fn first_values(
        &self,
        columns: &[usize],
        rows: usize,
        sink: &mut dyn FnMut(&[&str]),
    ) -> Result<()> {
        let mut seen = 0;
        self.rows(&mut |piece| {
            if let Piece::Rows(_, batch, _) = piece {
                let columns: Vec<&StringArray> =
                    columns.iter().map(|at| text(&batch, *at)).collect();
                for row in 0..batch.num_rows() {
                    if columns.iter().all(|c| c.is_valid(row)) {
                        let values: Vec<&str> = columns.iter().map(|c| c.value(row)).collect();
                        sink(&values);
                    }
                }
                seen += batch.num_rows();
            }
            Ok(seen < rows)
        })
    }

    /// Gives a column the role that the user said: how its values are written is looked for as ever.
    pub(super) fn tell(&mut self, at: usize, role: Role) -> Result<()> {
        let (sample, ..) = self.sample()?;
        let values: Vec<&StringArray> = sample.iter().map(|b| text(b, at)).collect();
        self.columns[at].tell(role, &values, self.month_first);
        Ok(())
    }

    /// Hands over the file, piece by piece, until the sink has enough. Rows are numbered as they stand, bad ones too.
    pub(super) fn rows(&self, sink: &mut dyn FnMut(Piece) -> Result<bool>) -> Result<()> {
        let file = File::open(&self.path)
            .with_context(|| format!("cannot open {}", self.path.display()))?;
        let name = self.path.to_string_lossy();
        let mut numbers = Numbers::default();
        let mut enough = false;
        let mut failed = None;
        let read = decode(&self.stream, &name, file, &mut |found| {
            let more = match found {
                Decoded::Structural(_) => true,
                Decoded::Fault(fault) => {
                    numbers.bad.push(fault);
                    true
                }
                Decoded::Rows(batch) => {
                    let rows = match (batch.rows, &self.leaves) {
                        (RawRows::Columns(rows), _) => rows,
                        (RawRows::Json(rows), Some(leaves)) => nested::columns(leaves, &rows)?,
                        (RawRows::Json(_), None) => bail!(
                            "it has columns within columns; write it with a column for each field"
                        ),
                    };
                    let given = numbers.take(&batch.numbers);
                    let bad = numbers.told(self, false)?;
                    let end = match batch.locators.last() {
                        Some(Locator::Bytes {
                            member: None, end, ..
                        }) => Some(*end),
                        _ => None,
                    };
                    let mut pieces = bad.into_iter().chain([Piece::Rows(given, rows, end)]);
                    loop {
                        match pieces.next().map(&mut *sink) {
                            None => break true,
                            Some(Ok(true)) => {}
                            Some(Ok(false)) => break false,
                            Some(Err(error)) => {
                                failed = Some(error);
                                break false;
                            }
                        }
                    }
                }
            };
            enough = !more;
            ensure!(more, "enough");
            Ok(())
        });
        match (failed, enough, read) {
            (Some(error), ..) => Err(error),
            (None, true, _) => Ok(()),
            (None, false, Err(error)) => {
                Err(error.context(format!("cannot read {}", self.path.display())))
            }
            (None, false, Ok(())) => {
                for bad in numbers.told(self, true)? {
                    sink(bad)?;
                }
                Ok(())
            }
        }
    }

    fn bad(&self, fault: &RawFault) -> Result<BadRow> {
        Ok(BadRow {
            file: self.path.display().to_string(),
            line: match &fault.locator {
                Locator::Bytes {
                    member: None,
                    start,
                    ..
                } => self.line(*start)?.unwrap_or(fault.number),
                _ => fault.number,
            },
            rule: fault.rule.clone(),
        })
    }

    /// Whether the file is compressed.
    fn is_packed(&self) -> Result<bool> {
        let mut input = BufReader::new(File::open(&self.path)?);
        let start = input.fill_buf()?;
        Ok(start.starts_with(&[0x1f, 0x8b]) || start.starts_with(b"\x28\xb5\x2f\xfd"))
    }

    /// The line at an offset of a file that is not compressed.
    fn line(&self, offset: u64) -> Result<Option<u64>> {
        if self.is_packed()? {
            return Ok(None);
        }
        let mut before = BufReader::new(File::open(&self.path)?).take(offset);
        let mut line = 1;
        loop {
            let bytes = before.fill_buf()?;
            if bytes.is_empty() {
                return Ok(Some(line));
            }
            line += bytes.iter().filter(|b| **b == b'\n').count() as u64;
            let length = bytes.len();
            before.consume(length);
        }
    }
}

/// The country that most numbers in international notation are of, among all values.
fn country_of_phones<'a>(values: impl Iterator<Item = &'a str>) -> Option<String> {
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    let written = values.filter(|v| v.trim_start().starts_with('+'));
    for country in written.filter_map(musubi_clean::phone::country) {
        *counts.entry(country).or_default() += 1;
    }
    let all: u32 = counts.values().sum();
    let most = counts.into_iter().max_by_key(|(_, n)| *n);
    most.filter(|(_, n)| *n > 1 && n * 4 >= all * 3)
        .map(|(country, _)| country)
}

/// Numbers rows from 0, with the bad ones among them.
#[derive(Default)]
struct Numbers {
    next: u64,
    /// Faults that no row is known to stand behind.
    bad: Vec<RawFault>,
    told: Vec<(u64, RawFault)>,
    named: usize,
}

/// Bad rows that are named with their line; further ones are counted.
const NAMED: usize = 20;

impl Numbers {
    fn take(&mut self, numbers: &[u64]) -> Vec<u64> {
        let mut bad = std::mem::take(&mut self.bad).into_iter().peekable();
        let mut given = Vec::with_capacity(numbers.len());
        for number in numbers {
            while let Some(fault) = bad.next_if(|f| f.number < *number) {
                self.told.push((self.next, fault));
                self.next += 1;
            }
            given.push(self.next);
            self.next += 1;
        }
        self.bad = bad.collect();
        given
    }

    /// Those whose number is known.
    fn told(&mut self, table: &Table, last: bool) -> Result<Vec<Piece>> {
        if last {
            for fault in std::mem::take(&mut self.bad) {
                self.told.push((self.next, fault));
                self.next += 1;
            }
        }
        let mut out = Vec::new();
        for (number, fault) in std::mem::take(&mut self.told) {
            self.named += 1;
            let bad = if self.named <= NAMED {
                table.bad(&fault)?
            } else {
                BadRow {
                    file: String::new(),
                    line: fault.number,
                    rule: fault.rule,
                }
            };
            out.push(Piece::Bad(number, bad));
        }
        Ok(out)
    }
}

/// A column as text; decoders give nothing else.
pub(super) fn text(batch: &RecordBatch, at: usize) -> &StringArray {
    static NONE: std::sync::LazyLock<StringArray> =
        std::sync::LazyLock::new(|| StringArray::new_null(0));
    batch.column(at).as_any().downcast_ref().unwrap_or(&NONE)
}

fn title(kind: &str) -> String {
    match kind {
        "csv" => "CSV",
        "excel" => "a workbook",
        _ => "Parquet",
    }
    .to_owned()
}

/// What a Parquet file says of itself, its columns and rows; nothing for other files.
fn parquet(path: &Path) -> Option<ArrowReaderMetadata> {
    ArrowReaderMetadata::load(&File::open(path).ok()?, Default::default()).ok()
}

/// Gives the columns of delimited text names of their own: two columns may have one name in the file.
fn name_columns(path: &Path, format: &mut Value, encoding: Option<&'static str>) -> Result<()> {
    let sniffed = sniff::Sniffed {
        format: format.clone(),
        encoding,
    };
    let (before, first) = sniff::first_line(path, &sniffed)?;
    let csv = &mut format["csv"];
    let nameless = csv["columns"].is_array();
    let known = first.iter().filter(|n| meaning::is_known(n)).count();
    if nameless && known < 2 {
        csv["skipLines"] = before.into();
        return Ok(());
    }
    let mut seen: HashSet<String> = HashSet::new();
    let mut names = Vec::new();
    for (at, name) in first.iter().enumerate() {
        let name = name.trim_start_matches('\u{feff}').trim();
        let base = if name.is_empty() {
            format!("column_{}", at + 1)
        } else {
            name.to_owned()
        };
        let (mut name, mut number) = (base.clone(), 2);
        while !seen.insert(name.clone()) {
            name = format!("{base}_{number}");
            number += 1;
        }
        names.push(name);
    }
    csv["skipLines"] = (before + 1).into();
    csv["columns"] = names.into();
    Ok(())
}

/// Columns under short names of their own: some names mean something to mappings.
pub(super) fn numbered(batch: &RecordBatch) -> Result<RecordBatch> {
    let named = batch.schema();
    let fields = named
        .fields()
        .iter()
        .enumerate()
        .map(|(at, field)| Field::new(format!("c{at}"), field.data_type().clone(), true));
    let schema = Schema::new(fields.collect::<Vec<_>>());
    Ok(RecordBatch::try_new(
        Arc::new(schema),
        batch.columns().to_vec(),
    )?)
}
