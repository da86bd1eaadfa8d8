//! From columns to features: values are folded and become codes.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use rayon::prelude::*;

use super::texts::{Interner, Texts};
use super::{COLUMNS, Dict, Features, Row, col, dict_of, parse_id};
use crate::error::IdentityError;
use crate::fold;

/// The dictionary of the values in use, and the new code of each old one.
fn dictionary(values: Interner, column: usize, used: &[bool]) -> (Dict, Vec<u32>) {
    let values = values.texts();
    let mut order: Vec<u32> = (1..values.len() as u32)
        .filter(|code| used[*code as usize])
        .collect();
    order.par_sort_unstable_by_key(|code| &values[*code as usize]);
    let mut map = vec![0u32; values.len()];
    let mut sorted = Texts::default();
    sorted.push("");
    for old in order {
        map[old as usize] = sorted.len() as u32;
        sorted.push(&values[old as usize]);
    }
    drop(values);
    (Dict::build(sorted, column), map)
}

/// Builds [`Features`] batch by batch.
pub struct FeaturesBuilder {
    /// Records as they came: the last of an id stands.
    ids: Vec<u128>,
    /// Source of each; [`GONE`] says that the record was taken out again.
    source: Vec<u32>,
    rows: Vec<Row>,
    sources: Interner,
    values: Vec<Interner>,
    /// The readings of names by themselves, by the numbers of the names.
    readings: Vec<u32>,
    ignored: BTreeMap<String, u64>,
}

const GONE: u32 = u32::MAX;

impl Default for FeaturesBuilder {
    fn default() -> Self {
        Self {
            ids: Vec::new(),
            source: Vec::new(),
            rows: Vec::new(),
            sources: Interner::default(),
            values: (0..col::WIDTH).map(|_| Interner::default()).collect(),
            readings: Vec::new(),
            ignored: BTreeMap::new(),
        }
    }
}

fn strings(batch: &RecordBatch, name: &str) -> Result<Option<StringArray>, IdentityError> {
    let Some(column) = batch.column_by_name(name) else {
        return Ok(None);
    };
    let text = cast(column, &DataType::Utf8)?;
    Ok(text.as_any().downcast_ref::<StringArray>().cloned())
}

fn value(column: &Option<StringArray>, row: usize) -> Option<&str> {
    let column = column.as_ref()?;
    (!column.is_null(row))
        .then(|| column.value(row))
        .filter(|v| !v.is_empty())
}

impl FeaturesBuilder {
    /// Makes room for so many records to come.
    pub fn reserve(&mut self, records: usize) {
        self.ids.reserve_exact(records);
        self.source.reserve_exact(records);
        self.rows.reserve_exact(records);
    }

    /// Adds records; see [`Features::build`].
    ///
    /// # Errors
    /// As [`Features::build`].
    pub fn push(&mut self, batch: &RecordBatch) -> Result<(), IdentityError> {
        let (names, kanas) = (strings(batch, "name")?, strings(batch, "name_kana")?);
        let wanted = |_: u128| true;
        self.each(batch, wanted, |builder, columns, row| {
            let name = value(&names, row);
            let mut codes = Row::default();
            builder.names(&mut codes, columns, row, name, value(&kanas, row));
            for c in col::EMAIL..col::WIDTH {
                if let Some(v) = value(&columns[c], row) {
                    codes[c] = builder.encode(c, v);
                }
            }
            if codes[col::PHONE] == 0 || codes[col::PHONE] == codes[col::PHONE2] {
                codes[col::PHONE] = codes[col::PHONE2];
                codes[col::PHONE2] = 0;
            }
            if codes[col::BUSINESS] == 0 && name.is_some_and(fold::is_company) {
                codes[col::BUSINESS] = 2;
            }
            codes
        })
    }

    /// Adds those records that are wanted of a batch that [`Features::to_batch`] made: its values are folded
    /// already and are taken as they are.
    ///
    /// # Errors
    /// As [`Features::build`].
    pub fn push_built(
        &mut self,
        batch: &RecordBatch,
        wanted: impl Fn(u128) -> bool,
    ) -> Result<(), IdentityError> {
        self.each(batch, wanted, |builder, columns, row| {
            let mut codes = Row::default();
            for (c, column) in columns.iter().enumerate() {
                codes[c] = match (c, value(column, row)) {
                    (_, None) => 0,
                    (col::BIRTH, Some(date)) => fold::date(date).unwrap_or(0),
                    (col::BUSINESS, Some(business)) => 1 + u32::from(business == "true"),
                    (c, Some(text)) => builder.values[dict_of(c)].number(text),
                };
            }
            codes
        })
    }

    /// Keeps each record that is wanted, with the codes of its row.
    fn each(
        &mut self,
        batch: &RecordBatch,
        wanted: impl Fn(u128) -> bool,
        codes: impl Fn(&mut Self, &[Option<StringArray>], usize) -> Row,
    ) -> Result<(), IdentityError> {
        let ids = strings(batch, "record_id")?.ok_or(IdentityError::MissingColumn("record_id"))?;
        let sources = strings(batch, "source")?.ok_or(IdentityError::MissingColumn("source"))?;
        let columns = COLUMNS
            .iter()
            .map(|name| strings(batch, name))
            .collect::<Result<Vec<_>, _>>()?;
        for row in 0..batch.num_rows() {
            let id = (!ids.is_null(row))
                .then(|| parse_id(ids.value(row)))
                .flatten()
                .ok_or(IdentityError::RecordId { row })?;
            if !wanted(id) {
                continue;
            }
            let codes = codes(self, &columns, row);
            let source = if sources.is_null(row) {
                0
            } else {
                self.sources.number(sources.value(row))
            };
            self.keep(id, source, codes);
        }
        Ok(())
    }

    fn names(
        &mut self,
        codes: &mut Row,
        columns: &[Option<StringArray>],
        row: usize,
        whole: Option<&str>,
        whole_kana: Option<&str>,
    ) {
        let part = |c: usize| value(&columns[c], row);
        let mut told = None;
        let mut name = |name: &str| {
            let (name, generation) = fold::without_generation(name);
            told = told.or(generation);
            name.to_owned()
        };
        let mut given = part(col::GIVEN).map(&mut name);
        let mut family = part(col::FAMILY).map(&mut name);
        if let (None, None, Some(whole)) = (&given, &family, whole) {
            (family, given) = fold::split_name(&name(whole));
            // Smith Jr., John.
            family = family.as_deref().map(&mut name);
        }
        if let Some(told) = told {
            codes[col::SUFFIX] = self.values[dict_of(col::SUFFIX)].number(told);
        }
        if let Some(middle) = part(col::MIDDLE) {
            codes[col::MIDDLE] = self.values[dict_of(col::MIDDLE)].number(&fold::name(middle));
        }
        let [mut given_kana, mut family_kana] =
            [col::GIVEN_READING, col::FAMILY_READING].map(|c| part(c).map(str::to_owned));
        if let (None, None, Some(whole)) = (&given_kana, &family_kana, whole_kana) {
            (family_kana, given_kana) = fold::split_name(whole);
        }
        for (c, reading_column, written, kana) in [
            (col::GIVEN, col::GIVEN_READING, given, given_kana),
            (col::FAMILY, col::FAMILY_READING, family, family_kana),
        ] {
            let folded = written.as_deref().map(fold::name).unwrap_or_default();
            let kana = kana.as_deref().map(fold::name);
            codes[c] = self.values[dict_of(c)].number(&folded);
            codes[reading_column] = match kana.and_then(|kana| fold::reading(&kana)) {
                Some(reading) => self.values[dict_of(reading_column)].number(&reading),
                None => self.reading(codes[c], &folded),
            };
        }
    }

    /// Number of the reading that a name, by its number, has by itself; it is worked out once.
    fn reading(&mut self, name: u32, folded: &str) -> u32 {
        const UNKNOWN: u32 = u32::MAX;
        let at = name as usize;
        if self.readings.len() <= at {
            self.readings.resize(at + 1, UNKNOWN);
        }
        if self.readings[at] == UNKNOWN {
            let reading = fold::reading(folded).unwrap_or_default();
            self.readings[at] = self.values[dict_of(col::GIVEN_READING)].number(&reading);
        }
        self.readings[at]
    }

    fn encode(&mut self, column: usize, raw: &str) -> u32 {
        let folded = fold::text(raw);
        let code = match column {
            col::BIRTH => fold::date(raw).unwrap_or(0),
            col::BUSINESS => {
                return if matches!(&*folded, "true" | "1" | "yes") {
                    2
                } else {
                    1
                };
            }
            col::GENDER if folded == "unknown" => return 0,
            // Titles and degrees stand there too.
            col::SUFFIX => {
                let generation = fold::generation(&folded).unwrap_or_default();
                return self.values[dict_of(column)].number(generation);
            }
            col::EMAIL if fold::is_junk_email(&folded) => 0,
            col::PHONE | col::PHONE2 => {
                let digits: String = folded.chars().filter(char::is_ascii_digit).collect();
                if fold::is_junk_phone(&digits) {
                    0
                } else {
                    self.values[col::PHONE].number(&digits)
                }
            }
            c => self.values[dict_of(c)].number(&folded),
        };
        if code == 0 {
            *self.ignored.entry(COLUMNS[column].to_owned()).or_default() += 1;
        }
        code
    }

    fn keep(&mut self, id: u128, source: u32, row: Row) {
        self.ids.push(id);
        self.source.push(source);
        self.rows.push(row);
    }

    /// Takes a record out again.
    pub fn remove(&mut self, id: u128) {
        self.keep(id, GONE, Row::default());
    }

    /// Places of the records that stand, ordered by id.
    fn standing(&self) -> Vec<u32> {
        let id = |place: u32| self.ids[place as usize];
        let mut places: Vec<u32> = (0..self.ids.len() as u32).collect();
        places.par_sort_unstable_by_key(|p| (id(*p), *p));
        let last = places.chunk_by(|a, b| id(*a) == id(*b));
        let last = last.filter_map(|versions| versions.last().copied());
        last.filter(|p| self.source[*p as usize] != GONE).collect()
    }

    /// The features of the records.
    #[must_use]
    pub fn finish(self) -> Features {
        let standing = self.standing();
        let mut rows = picked(self.rows, &standing);
        let ids = picked(self.ids, &standing);
        let source = picked(self.source, &standing);
        drop(standing);
        let mut used: Vec<Vec<bool>> = self.values.iter().map(|v| vec![false; v.len()]).collect();
        for row in &rows {
            for c in (0..col::WIDTH).filter(|c| is_coded(*c)) {
                used[dict_of(c)][row[c] as usize] = true;
            }
        }
        let built: Vec<(Dict, Vec<u32>)> = self
            .values
            .into_par_iter()
            .zip(used)
            .enumerate()
            .map(|(c, (values, used))| dictionary(values, c, &used))
            .collect();
        let names = self.sources.texts();
        let mut sources: Vec<(Box<str>, usize)> = names.iter().map(Into::into).zip(0..).collect();
        sources.sort_unstable();
        let mut source_map = vec![0u16; sources.len()];
        for (new, (_, old)) in sources.iter().enumerate() {
            source_map[*old] = new as u16;
        }
        rows.par_iter_mut().for_each(|row| {
            for c in (0..col::WIDTH).filter(|c| is_coded(*c)) {
                row[c] = built[dict_of(c)].1[row[c] as usize];
            }
        });
        Features {
            ids,
            source: source.iter().map(|s| source_map[*s as usize]).collect(),
            rows,
            sources: sources.into_iter().map(|s| s.0).collect(),
            dicts: built.into_iter().map(|b| Arc::new(b.0)).collect(),
            ignored: self.ignored,
        }
    }
}

/// Some values by their places; where these are all places in order, the values as they are, without a copy.
fn picked<T: Copy>(values: Vec<T>, places: &[u32]) -> Vec<T> {
    if places.len() == values.len() && places.iter().zip(0..).all(|(place, n)| *place == n) {
        return values;
    }
    places.iter().map(|place| values[*place as usize]).collect()
}

/// Whether a column's values are codes of a dictionary.
fn is_coded(column: usize) -> bool {
    column != col::BIRTH && column != col::BUSINESS
}
