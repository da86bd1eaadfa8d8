//! From the rows of all files to features: the same normalisers as in a pipeline, batch by batch, so that no more
//! than a few batches are in memory beside the features.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::{Context as _, Result, ensure};
use arrow::{
    array::{Array as _, ArrayRef, RecordBatch, StringArray},
    datatypes::{DataType, Field, Schema},
};
use hashbrown::HashMap;
use musubi_api::source::SourceSpec;
use musubi_clean::{
    cleaner::Cleaner,
    lookup::Lookups,
    raw::{Locator, RawBatch, RawRows, SourceFile},
};
use musubi_identity::{Features, FeaturesBuilder};
use rayon::prelude::*;
use serde_json::{Value, json};

use super::{
    Watch,
    clock::{self, Clock},
    guess::age,
    order::Order,
    role::{Part, Role},
    table::{BadRow, Piece, Table, numbered, text},
};
use crate::memory;

/// All records, ready to be compared.
pub(super) struct Records {
    /// Features; the record with index n is row n over all files.
    pub(super) features: Features,
    /// File of each row.
    pub(super) source: Vec<u32>,
    /// Person of each row, numbered; nothing without truth.
    pub(super) truth: Option<Vec<u32>>,
    /// Household of each row, numbered.
    pub(super) household: Option<Vec<u32>>,
    /// The first rows that could not be read.
    pub(super) bad: Vec<BadRow>,
    /// How many there are.
    pub(super) bad_rows: u64,
    /// For each field: values given, and values that say nothing to the normaliser.
    pub(super) understood: BTreeMap<&'static str, (u64, u64)>,
}

/// Numbers texts.
#[derive(Default)]
struct Labels {
    numbers: HashMap<Box<str>, u32>,
    of: Vec<u32>,
    next: u32,
}

/// Stands for a row without a label.
pub(super) const UNKNOWN: u32 = u32::MAX;

impl Labels {
    fn add(&mut self, label: Option<&str>) {
        let Some(label) = label.map(str::trim).filter(|l| !l.is_empty()) else {
            self.of.push(UNKNOWN);
            return;
        };
        let number = match self.numbers.get(label) {
            Some(number) => *number,
            None => {
                self.next += 1;
                self.numbers.insert(label.into(), self.next - 1);
                self.next - 1
            }
        };
        self.of.push(number);
    }

    /// The number of each row; the texts are of no use any more.
    fn numbers(self) -> Vec<u32> {
        self.of
    }
}

/// How the columns of a file become fields.
struct Mapping {
    cleaner: Cleaner,
    /// Columns of dates with their notations, by number.
    dates: Vec<(usize, String)>,
    /// Columns that are read, by number.
    used: Vec<(usize, &'static str)>,
    /// The column of the year of birth or of the age, where nothing more is known.
    years: Option<(usize, Part)>,
    /// The column of whole names, where their order is to be told, and the number of the file.
    names: Option<(usize, usize)>,
}

impl Mapping {
    fn new(table: &Table, number: usize, country: &str) -> Result<Self> {
        let mut fields = serde_json::Map::new();
        let mut used = Vec::new();
        let mut dates = Vec::new();
        let mut birth: BTreeMap<Part, usize> = BTreeMap::new();
        for (at, column) in table.columns.iter().enumerate() {
            match column.role {
                Role::Field(_) => {
                    let mapping = json!({ "from": format!("c{at}"), "map": column.map });
                    dates.extend(column.format.clone().map(|format| (at, format)));
                    fields.insert(column.role.as_str().to_owned(), mapping);
                    used.push((at, column.role.as_str()));
                }
                Role::Birth(part) => {
                    birth.insert(part, at);
                }
                Role::Id | Role::Ignored => {}
            }
        }
        let at = |part: Part| birth.get(&part).copied();
        let whole = [Part::Year, Part::Month, Part::Day].map(at);
        let mut years = None;
        if let [Some(year), Some(month), Some(day)] = whole {
            let columns = [year, month, day].map(|at| format!("c{at}"));
            let mapping = json!({ "concat": { "columns": columns, "separator": "-" } });
            fields.insert("birth_date".to_owned(), mapping);
            used.push((year, "birth_date"));
        } else {
            let told = [Part::Year, Part::Age].into_iter();
            years = told.filter_map(|part| Some((at(part)?, part))).next();
        }
        let mut columns = table.columns.iter();
        let names = columns.position(|c| c.role == Role::field("name"));
        let names = names.map(|at| (at, number));
        used.extend(years.map(|(at, _)| (at, "birth_date")));
        let spec = json!({
            "system": "crm", "country": country,
            "connector": { "folder": { "path": "." } },
            "streams": [{
                "name": "rows", "files": { "path": "*" }, "format": { "csv": {} }, "changes": "snapshot",
                "entities": [{ "entity": "customer", "key": ["#"], "fields": Value::Object(fields) }],
            }],
        });
        let spec: SourceSpec = serde_json::from_value(spec)?;
        let cleaner = Cleaner::new(&table.source, &spec, &spec.streams[0], Lookups::default())?;
        Ok(Self {
            cleaner,
            dates,
            used,
            years,
            names,
        })
    }

    /// The rows with their dates in the notation that normalisers take, and names that say which word is the family
    /// name; what is no date stays as it is.
    fn readable(&self, rows: RecordBatch, order: &Order) -> Result<RecordBatch> {
        let mut columns = rows.columns().to_vec();
        for (at, formats) in &self.dates {
            let said = |value: &str| {
                let date = super::dates::read(value, formats);
                date.map_or_else(|| value.to_owned(), |date| date.to_string())
            };
            let values = text(&rows, *at).iter().map(|v| v.map(said));
            columns[*at] = Arc::new(values.collect::<StringArray>());
        }
        if let Some((at, table)) = self.names
            && let Some(names) = order.told(table, text(&rows, at))
        {
            columns[at] = names;
        }
        Ok(RecordBatch::try_new(rows.schema(), columns)?)
    }

    /// The clean records of a batch, with the row as record id.
    fn clean(&self, rows: &RecordBatch, numbers: &[u64], order: &Order) -> Result<RecordBatch> {
        let count = rows.num_rows() as u64;
        let raw = RawBatch {
            record: None,
            rows: RawRows::Columns(self.readable(numbered(rows)?, order)?),
            locators: (0..count)
                .map(|row| Locator::RowGroup { group: 0, row })
                .collect(),
            numbers: (1..=count).collect(),
        };
        let mut cleaned = self.cleaner.clean(
            &raw,
            "",
            &mut self.cleaner.start_file(SourceFile::default()),
        )?;
        ensure!(
            cleaned.quarantined.num_rows() == 0,
            "{} rows were refused: {:?}",
            cleaned.quarantined.num_rows(),
            cleaned.counts.reasons
        );
        let (_, clean) = cleaned.entities.pop().context("no records came out")?;
        let wanted: Vec<usize> = Features::columns()
            .iter()
            .filter_map(|name| clean.schema().index_of(name).ok())
            .collect();
        let clean = clean.project(&wanted)?;
        let named = clean.schema();
        let fields = named.fields().iter().zip(clean.columns());
        let mut columns: Vec<(&str, ArrayRef, bool)> = fields
            .map(|(field, values)| (field.name().as_str(), values.clone(), true))
            .collect();
        for (name, values, _) in &mut columns {
            match (*name, self.years) {
                ("record_id", _) => *values = ids(numbers),
                ("birth_date", Some((at, part))) => *values = years(text(rows, at), part),
                _ => {}
            }
        }
        Ok(RecordBatch::try_from_iter_with_nullable(columns)?)
    }
}

/// Years of birth or ages, where they may be some, as features take them.
fn years(values: &StringArray, part: Part) -> ArrayRef {
    let year = |value: &str| match part {
        Part::Age => age(value).map(|age| format!("age {age}")),
        _ => {
            let value = value.trim().trim_end_matches(".0");
            let year: Option<u32> = value.parse().ok();
            year.filter(|y| (1850..=2100).contains(y))
                .map(|y| y.to_string())
        }
    };
    Arc::new(StringArray::from_iter(
        values.iter().map(|v| v.and_then(year)),
    ))
}

/// Record ids of rows: their numbers.
fn ids(numbers: &[u64]) -> ArrayRef {
    let ids = numbers.iter().map(|n| format!("{n:032x}"));
    Arc::new(StringArray::from_iter_values(ids))
}

/// A record of which nothing is known.
fn unknown(source: &str, number: u64) -> Result<RecordBatch> {
    let field = |name: &str| Field::new(name, DataType::Utf8, false);
    let schema = Schema::new(vec![field("record_id"), field("source")]);
    let source: ArrayRef = Arc::new(StringArray::from(vec![source]));
    Ok(RecordBatch::try_new(
        Arc::new(schema),
        vec![ids(&[number]), source],
    )?)
}

/// Names of the columns that hold labels.
pub(super) struct Answers<'a> {
    pub(super) truth: Option<&'a str>,
    pub(super) household: Option<&'a str>,
}

/// Builds the records of all files.
struct Build<'a> {
    builder: FeaturesBuilder,
    source: Vec<u32>,
    truth: Labels,
    household: Labels,
    bad: Vec<BadRow>,
    bad_rows: u64,
    understood: BTreeMap<&'static str, (u64, u64)>,
    clock: &'a mut Clock,
    watch: &'a dyn Watch,
    memory: u64,
    order: Order,
}

/// Reads all files.
pub(super) fn read(
    tables: &[Table],
    country: &str,
    answers: &Answers<'_>,
    memory: u64,
    clock: &mut Clock,
    watch: &dyn Watch,
) -> Result<Records> {
    let mut build = Build {
        builder: FeaturesBuilder::default(),
        source: Vec::new(),
        truth: Labels::default(),
        household: Labels::default(),
        bad: Vec::new(),
        bad_rows: 0,
        understood: BTreeMap::new(),
        clock,
        watch,
        memory,
        order: Order::learn(tables)?,
    };
    build.reserve(tables.iter().filter_map(|table| table.rows).sum());
    for (number, table) in tables.iter().enumerate() {
        build.table(u32::try_from(number)?, table, country, answers)?;
    }
    let (source, builder) = (build.source, build.builder);
    let (truth, household) = (build.truth.numbers(), build.household.numbers());
    let (bad, bad_rows, understood) = (build.bad, build.bad_rows, build.understood);
    let features = clock.time("features", || builder.finish());
    Ok(Records {
        features,
        source,
        truth: answers.truth.map(|_| truth),
        household: answers.household.map(|_| household),
        bad,
        bad_rows,
        understood,
    })
}

impl Build<'_> {
    /// Makes room for about so many records: nothing has to move when they are that many.
    fn reserve(&mut self, records: u64) {
        let records = (records + records / 16) as usize;
        self.builder.reserve(records);
        self.source.reserve_exact(records);
    }

    fn table(
        &mut self,
        number: u32,
        table: &Table,
        country: &str,
        answers: &Answers<'_>,
    ) -> Result<()> {
        let mapping = Mapping::new(table, number as usize, country)?;
        let column = |name: Option<&str>| {
            let mut names = table.columns.iter();
            name.and_then(|name| names.position(|c| c.name == name))
        };
        let (truth, household) = (column(answers.truth), column(answers.household));
        let base = self.source.len() as u64;
        let at_once = rayon::current_num_threads() * 2;
        let mut waiting: Vec<(Vec<u64>, RecordBatch)> = Vec::new();
        let mut bad: Vec<u64> = Vec::new();
        let began = self.clock.begin();
        table.rows(&mut |piece| {
            match piece {
                Piece::Rows(numbers, rows, _) => {
                    waiting.push((numbers, rows));
                    if waiting.len() >= at_once {
                        self.take(
                            &mapping,
                            table,
                            base,
                            number,
                            &mut waiting,
                            (truth, household),
                            &mut bad,
                        )?;
                    }
                }
                Piece::Bad(row, what) => {
                    bad.push(row);
                    self.bad_rows += 1;
                    if !what.file.is_empty() {
                        self.bad.push(what);
                    }
                }
            }
            Ok(true)
        })?;
        self.take(
            &mapping,
            table,
            base,
            number,
            &mut waiting,
            (truth, household),
            &mut bad,
        )?;
        self.clock.end("read", began, &["clean"]);
        ensure!(
            self.source.len() < u32::MAX as usize,
            "more than 4 thousand million rows: split the work by a column, such as the country"
        );
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "the state of one file")]
    fn take(
        &mut self,
        mapping: &Mapping,
        table: &Table,
        base: u64,
        number: u32,
        waiting: &mut Vec<(Vec<u64>, RecordBatch)>,
        (truth, household): (Option<usize>, Option<usize>),
        bad: &mut Vec<u64>,
    ) -> Result<()> {
        let began = self.clock.begin();
        let pieces = std::mem::take(waiting);
        let cleaned: Vec<RecordBatch> = pieces
            .par_iter()
            .map(|(numbers, rows)| {
                let global: Vec<u64> = numbers.iter().map(|n| base + n).collect();
                mapping.clean(rows, &global, &self.order)
            })
            .collect::<Result<_>>()?;
        let mut bad = std::mem::take(bad).into_iter().peekable();
        for ((numbers, rows), clean) in pieces.iter().zip(&cleaned) {
            for (at, field) in &mapping.used {
                let given = text(rows, *at).iter().flatten();
                let given = given.filter(|v| !v.trim().is_empty()).count() as u64;
                // Of an address, what was understood is its parts.
                let kept = clean.column_by_name(if *field == "address" { "town" } else { field });
                let kept = kept.map_or(0, |c| (c.len() - c.null_count()) as u64);
                let sum = self.understood.entry(field).or_default();
                sum.0 += given;
                sum.1 += kept.min(given);
            }
            for (row, own) in numbers.iter().enumerate() {
                while let Some(gap) = bad.next_if(|b| b < own) {
                    self.missing(table, base + gap, number)?;
                }
                let label = |at: Option<usize>| {
                    let column = at.map(|at| text(rows, at))?;
                    column.is_valid(row).then(|| column.value(row))
                };
                self.source.push(number);
                self.truth.add(label(truth));
                self.household.add(label(household));
            }
            self.builder.push(clean)?;
        }
        for gap in bad {
            self.missing(table, base + gap, number)?;
        }
        self.clock.end("clean", began, &[]);
        self.watch.rows(self.source.len() as u64);
        let (now, most) = (memory::resident(), self.memory);
        ensure!(
            now / 7 < most / 10,
            "{} rows and their values take {} already, and comparing them needs room too; --memory allows {}. \
             Allow more, or leave columns out with --ignore",
            self.source.len(),
            clock::bytes(now),
            clock::bytes(most)
        );
        Ok(())
    }

    fn missing(&mut self, table: &Table, row: u64, number: u32) -> Result<()> {
        self.builder.push(&unknown(&table.source, row)?)?;
        self.source.push(number);
        self.truth.add(None);
        self.household.add(None);
        Ok(())
    }
}
