//! Features: customer records as dictionary codes in fixed-width rows.
//!
//! Everything here is canonical: records are ordered by id and dictionary codes by value, so the same
//! set of records gives the same features whatever batches, order or history they came in.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema};
use hashbrown::{HashMap, HashSet};
use rayon::prelude::*;
use xxhash_rust::xxh3::xxh3_64;

use crate::error::IdentityError;
use crate::fold;

/// Columns of a feature row.
pub(crate) mod col {
    pub(crate) const GIVEN: usize = 0;
    pub(crate) const FAMILY: usize = 1;
    pub(crate) const GIVEN_READING: usize = 2;
    pub(crate) const FAMILY_READING: usize = 3;
    pub(crate) const EMAIL: usize = 4;
    pub(crate) const PHONE: usize = 5;
    pub(crate) const PHONE2: usize = 6;
    pub(crate) const POSTAL: usize = 7;
    pub(crate) const PREFECTURE: usize = 8;
    pub(crate) const CITY: usize = 9;
    pub(crate) const TOWN: usize = 10;
    pub(crate) const BLOCK: usize = 11;
    pub(crate) const BUILDING: usize = 12;
    /// `YYYYMMDD`, 0 when missing; no dictionary.
    pub(crate) const BIRTH: usize = 13;
    pub(crate) const GENDER: usize = 14;
    pub(crate) const LOYALTY: usize = 15;
    pub(crate) const APP_USER: usize = 16;
    pub(crate) const DEVICE: usize = 17;
    pub(crate) const EXTERNAL: usize = 18;
    /// 0 unknown, 1 person, 2 business; no dictionary.
    pub(crate) const BUSINESS: usize = 19;
    pub(crate) const WIDTH: usize = 20;
}

/// Names of the columns in Arrow, in the order of [`col`].
pub(crate) const COLUMNS: [&str; col::WIDTH] = [
    "given_name",
    "family_name",
    "given_kana",
    "family_kana",
    "email",
    "phone",
    "phone2",
    "postal_code",
    "prefecture",
    "city",
    "town",
    "block",
    "building",
    "birth_date",
    "gender",
    "loyalty_number",
    "app_user_id",
    "device_id",
    "external_id",
    "is_business",
];

/// Dictionary of a column: given and family names share one (so that swapped names are seen), so do
/// their readings and the two phones.
pub(crate) const fn dict_of(column: usize) -> usize {
    match column {
        col::FAMILY => col::GIVEN,
        col::FAMILY_READING => col::GIVEN_READING,
        col::PHONE2 => col::PHONE,
        c => c,
    }
}

/// Codes of one record; 0 is a missing value.
pub(crate) type Row = [u32; col::WIDTH];

/// The distinct values of a column, sorted; code `n` is `values[n]`, code 0 is missing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Dict {
    pub(crate) values: Vec<Box<str>>,
    /// Hash of the value: the same in every run.
    pub(crate) hash: Vec<u64>,
    /// Bit set of its characters, for upper bounds on similarity.
    pub(crate) mask: Vec<u64>,
    /// Length in characters, at most 255.
    pub(crate) len: Vec<u8>,
    /// Hash of a derived form: sound of a name, local part of an e-mail; 0 when there is none.
    pub(crate) derived: Vec<u64>,
    /// Hash of the first characters.
    pub(crate) prefix: Vec<u64>,
    /// Writing: letters of different ones cannot be compared.
    pub(crate) script: Vec<Script>,
}

/// What a value is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Script {
    Kanji,
    Kana,
    Letters,
}

fn script(value: &str) -> Script {
    if value.is_ascii() {
        Script::Letters
    } else if value.chars().any(fold::is_kanji) {
        Script::Kanji
    } else if value.chars().any(fold::is_kana) {
        Script::Kana
    } else {
        Script::Letters
    }
}

impl Dict {
    fn build(mut values: Vec<Box<str>>, column: usize) -> Self {
        values.insert(0, "".into());
        let metaphone = rphonetic::DoubleMetaphone::default();
        let derive = |v: &str| -> u64 {
            let form = match column {
                col::GIVEN if v.is_ascii() && v.len() > 1 => {
                    metaphone.double_metaphone(v).primary()
                }
                col::GIVEN => v.to_owned(),
                col::EMAIL => v.split('@').next().unwrap_or_default().to_owned(),
                _ => return 0,
            };
            if form.is_empty() {
                0
            } else {
                xxh3_64(form.as_bytes())
            }
        };
        let parts: Vec<(u64, u64, u8, u64, u64)> = values
            .par_iter()
            .map(|v| {
                let mask = v.chars().fold(0u64, |m, c| {
                    m | 1 << (u32::from(c).wrapping_mul(0x9E37_79B1) >> 26)
                });
                let len = v.chars().count().min(255) as u8;
                let end = v
                    .char_indices()
                    .nth(if v.is_ascii() { 3 } else { 1 })
                    .map_or(v.len(), |(i, _)| i);
                (
                    xxh3_64(v.as_bytes()),
                    mask,
                    len,
                    derive(v),
                    xxh3_64(&v.as_bytes()[..end]),
                )
            })
            .collect();
        Self {
            hash: parts.iter().map(|p| p.0).collect(),
            mask: parts.iter().map(|p| p.1).collect(),
            len: parts.iter().map(|p| p.2).collect(),
            derived: parts.iter().map(|p| p.3).collect(),
            prefix: parts.iter().map(|p| p.4).collect(),
            script: values.iter().map(|v| script(v)).collect(),
            values,
        }
    }

    /// Adds values behind the sorted ones, where they are new; gives the code of each.
    pub(crate) fn extend(
        &mut self,
        values: impl IntoIterator<Item = String>,
        column: usize,
    ) -> HashMap<String, u32> {
        let mut codes = HashMap::new();
        let mut new: Vec<Box<str>> = Vec::new();
        for value in values {
            let code = match self.code(&value) {
                0 if value.is_empty() => 0,
                0 => {
                    new.push(value.as_str().into());
                    (self.values.len() + new.len() - 1) as u32
                }
                code => code,
            };
            codes.insert(value, code);
        }
        let more = Self::build(new, column);
        self.values.extend(more.values.into_iter().skip(1));
        self.hash.extend(&more.hash[1..]);
        self.mask.extend(&more.mask[1..]);
        self.len.extend(&more.len[1..]);
        self.derived.extend(&more.derived[1..]);
        self.prefix.extend(&more.prefix[1..]);
        self.script.extend(&more.script[1..]);
        codes
    }

    /// Code of a value; 0 when no record has it.
    pub(crate) fn code(&self, value: &str) -> u32 {
        self.values
            .binary_search_by(|v| (**v).cmp(value))
            .unwrap_or(0) as u32
    }
}

/// The records of a run, ready to be compared. Index 0 is the record with the smallest id.
#[derive(Clone, Debug, Default)]
pub struct Features {
    pub(crate) ids: Vec<u128>,
    pub(crate) sources: Vec<Box<str>>,
    pub(crate) source: Vec<u16>,
    pub(crate) rows: Vec<Row>,
    pub(crate) dicts: Vec<Dict>,
    /// Values set aside because they say nothing (junk contacts, impossible dates), counted per field.
    pub ignored: BTreeMap<String, u64>,
}

/// A set of records, by id.
#[derive(Clone, Debug, Default)]
pub struct RecordSet(pub(crate) HashSet<u128>);

impl RecordSet {
    /// From record ids of 32 hexadecimal characters.
    ///
    /// # Errors
    /// When an id has another form.
    pub fn new<S: AsRef<str>>(ids: impl IntoIterator<Item = S>) -> Result<Self, IdentityError> {
        ids.into_iter()
            .enumerate()
            .map(|(row, id)| parse_id(id.as_ref()).ok_or(IdentityError::RecordId { row }))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// How many records.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether a record is in it.
    #[must_use]
    pub fn contains(&self, id: u128) -> bool {
        self.0.contains(&id)
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<u128> for RecordSet {
    fn from_iter<I: IntoIterator<Item = u128>>(ids: I) -> Self {
        Self(ids.into_iter().collect())
    }
}

pub(crate) fn parse_id(id: &str) -> Option<u128> {
    (id.len() == 32)
        .then(|| u128::from_str_radix(id, 16).ok())
        .flatten()
}

impl Features {
    /// Features of customer records. Every batch has the columns `record_id` (32 hexadecimal characters)
    /// and `source`, and any of the customer fields; of two rows with one record id the later one counts.
    ///
    /// # Errors
    /// When `record_id` or `source` is absent or malformed, or a column cannot be read as text.
    pub fn build(batches: &[RecordBatch]) -> Result<Self, IdentityError> {
        let mut builder = FeaturesBuilder::default();
        for batch in batches {
            builder.push(batch)?;
        }
        Ok(builder.finish())
    }

    /// Names of the columns that [`Features::build`] looks at.
    #[must_use]
    pub fn columns() -> Vec<&'static str> {
        let shared = ["record_id", "source", "name", "name_kana"];
        shared.into_iter().chain(COLUMNS).collect()
    }

    /// The features after a change: `changed` rows replace or join the old ones, `deleted` ones leave.
    ///
    /// # Errors
    /// As [`Features::build`].
    pub fn update(
        &self,
        changed: &[RecordBatch],
        deleted: &RecordSet,
    ) -> Result<Self, IdentityError> {
        let mut builder = FeaturesBuilder::default();
        builder.push(&self.to_batch()?)?;
        for batch in changed {
            builder.push(batch)?;
        }
        for id in &deleted.0 {
            builder.remove(*id);
        }
        Ok(builder.finish())
    }

    /// One batch that [`Features::build`] reads back into equal features: `record_id`, `source` and the
    /// folded fields, ordered by record id.
    ///
    /// # Errors
    /// Only when Arrow refuses the batch.
    pub fn to_batch(&self) -> Result<RecordBatch, IdentityError> {
        self.part(0..self.len())
    }

    /// [`Features::to_batch`] in parts of so many records.
    pub fn to_batches(
        &self,
        records: usize,
    ) -> impl Iterator<Item = Result<RecordBatch, IdentityError>> + '_ {
        let begins = (0..self.len().max(1)).step_by(records.max(1));
        begins.map(move |begin| self.part(begin..(begin + records).min(self.len())))
    }

    fn part(&self, range: std::ops::Range<usize>) -> Result<RecordBatch, IdentityError> {
        let ids = self.ids[range.clone()]
            .iter()
            .map(|id| format!("{id:032x}"));
        let ids = StringArray::from_iter_values(ids);
        let sources = self.source[range.clone()].iter();
        let sources =
            StringArray::from_iter_values(sources.map(|s| &*self.sources[usize::from(*s)]));
        let mut fields = vec![
            Field::new("record_id", DataType::Utf8, false),
            Field::new("source", DataType::Utf8, false),
        ];
        let mut columns: Vec<ArrayRef> = vec![Arc::new(ids), Arc::new(sources)];
        for (c, name) in COLUMNS.iter().enumerate() {
            fields.push(Field::new(*name, DataType::Utf8, true));
            let rows = self.rows[range.clone()].iter();
            let values: StringArray = rows.map(|r| self.text(c, r[c])).collect();
            columns.push(Arc::new(values));
        }
        Ok(RecordBatch::try_new(
            Arc::new(Schema::new(fields)),
            columns,
        )?)
    }

    fn text(&self, column: usize, code: u32) -> Option<String> {
        match (column, code) {
            (_, 0) => None,
            (col::BIRTH, n) => Some(format!(
                "{:04}-{:02}-{:02}",
                n / 10_000,
                n / 100 % 100,
                n % 100
            )),
            (col::BUSINESS, n) => Some((n == 2).to_string()),
            (_, n) => Some(self.dicts[dict_of(column)].values[n as usize].to_string()),
        }
    }

    /// How many records.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there is no record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Id of the record at an index.
    #[must_use]
    pub fn id(&self, index: u32) -> u128 {
        self.ids[index as usize]
    }

    /// Id of the record at an index, 32 hexadecimal characters.
    #[must_use]
    pub fn record_id(&self, index: u32) -> String {
        format!("{:032x}", self.ids[index as usize])
    }

    /// Source of the record at an index.
    #[must_use]
    pub fn source(&self, index: u32) -> &str {
        &self.sources[usize::from(self.source[index as usize])]
    }

    /// Index of a record id.
    #[must_use]
    pub fn index_of(&self, record_id: &str) -> Option<u32> {
        self.position(parse_id(record_id)?)
    }

    pub(crate) fn position(&self, id: u128) -> Option<u32> {
        self.ids.binary_search(&id).ok().map(|i| i as u32)
    }

    /// Hash of a record's value in a column, the same in every run; 0 when missing.
    pub(crate) fn hash(&self, row: &Row, column: usize) -> u64 {
        match (column, row[column]) {
            (_, 0) => 0,
            (col::BIRTH | col::BUSINESS, n) => u64::from(n).wrapping_mul(0x9E37_79B9_7F4A_7C15),
            (_, n) => self.dicts[dict_of(column)].hash[n as usize],
        }
    }
}

#[derive(Default)]
struct Interner {
    codes: HashMap<Box<str>, u32>,
}

impl Interner {
    fn code(&mut self, value: &str) -> u32 {
        if value.is_empty() {
            return 0;
        }
        if let Some(code) = self.codes.get(value) {
            return *code;
        }
        let code = self.codes.len() as u32 + 1;
        self.codes.insert(value.into(), code);
        code
    }
}

/// Builds [`Features`] batch by batch.
pub struct FeaturesBuilder {
    at: HashMap<u128, usize>,
    records: Vec<Option<(u128, u32, Row)>>,
    sources: Interner,
    values: Vec<Interner>,
    ignored: BTreeMap<String, u64>,
}

impl Default for FeaturesBuilder {
    fn default() -> Self {
        Self {
            at: HashMap::new(),
            records: Vec::new(),
            sources: Interner::default(),
            values: (0..col::WIDTH).map(|_| Interner::default()).collect(),
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
    /// Adds records; see [`Features::build`].
    ///
    /// # Errors
    /// As [`Features::build`].
    pub fn push(&mut self, batch: &RecordBatch) -> Result<(), IdentityError> {
        let ids = strings(batch, "record_id")?.ok_or(IdentityError::MissingColumn("record_id"))?;
        let sources = strings(batch, "source")?.ok_or(IdentityError::MissingColumn("source"))?;
        let columns = COLUMNS
            .iter()
            .map(|name| strings(batch, name))
            .collect::<Result<Vec<_>, _>>()?;
        let (names, kanas) = (strings(batch, "name")?, strings(batch, "name_kana")?);
        for row in 0..batch.num_rows() {
            let id = (!ids.is_null(row))
                .then(|| parse_id(ids.value(row)))
                .flatten()
                .ok_or(IdentityError::RecordId { row })?;
            let mut codes = Row::default();
            self.names(
                &mut codes,
                &columns,
                row,
                value(&names, row),
                value(&kanas, row),
            );
            for c in col::EMAIL..col::WIDTH {
                if let Some(v) = value(&columns[c], row) {
                    codes[c] = self.encode(c, v);
                }
            }
            if codes[col::PHONE] == 0 || codes[col::PHONE] == codes[col::PHONE2] {
                codes[col::PHONE] = codes[col::PHONE2];
                codes[col::PHONE2] = 0;
            }
            if codes[col::BUSINESS] == 0 && value(&names, row).is_some_and(fold::is_company) {
                codes[col::BUSINESS] = 2;
            }
            let source = if sources.is_null(row) {
                0
            } else {
                self.sources.code(sources.value(row))
            };
            self.remove(id);
            self.at.insert(id, self.records.len());
            self.records.push(Some((id, source, codes)));
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
        let part = |c: usize| value(&columns[c], row).map(str::to_owned);
        let (mut given, mut family) = (part(col::GIVEN), part(col::FAMILY));
        if let (None, None, Some(whole)) = (&given, &family, whole) {
            (family, given) = fold::split_name(whole);
        }
        let (mut given_kana, mut family_kana) =
            (part(col::GIVEN_READING), part(col::FAMILY_READING));
        if let (None, None, Some(whole)) = (&given_kana, &family_kana, whole_kana) {
            (family_kana, given_kana) = fold::split_name(whole);
        }
        for (c, reading_column, written, kana) in [
            (col::GIVEN, col::GIVEN_READING, given, given_kana),
            (col::FAMILY, col::FAMILY_READING, family, family_kana),
        ] {
            let folded = written.as_deref().map(fold::name).unwrap_or_default();
            let reading = kana
                .as_deref()
                .map(fold::name)
                .and_then(|k| fold::reading(&k))
                .or_else(|| fold::reading(&folded));
            codes[c] = self.values[dict_of(c)].code(&folded);
            codes[reading_column] =
                self.values[dict_of(reading_column)].code(&reading.unwrap_or_default());
        }
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
            col::EMAIL if fold::is_junk_email(&folded) => 0,
            col::PHONE | col::PHONE2 => {
                let digits: String = folded.chars().filter(char::is_ascii_digit).collect();
                if fold::is_junk_phone(&digits) {
                    0
                } else {
                    self.values[col::PHONE].code(&digits)
                }
            }
            c => self.values[dict_of(c)].code(&folded),
        };
        if code == 0 {
            *self.ignored.entry(COLUMNS[column].to_owned()).or_default() += 1;
        }
        code
    }

    /// Takes a record out again.
    pub fn remove(&mut self, id: u128) {
        if let Some(at) = self.at.remove(&id) {
            self.records[at] = None;
        }
    }

    /// The features of the records.
    #[must_use]
    pub fn finish(self) -> Features {
        let mut records: Vec<(u128, u32, Row)> = self.records.into_iter().flatten().collect();
        records.par_sort_unstable_by_key(|r| r.0);
        let mut used: Vec<Vec<bool>> = self
            .values
            .iter()
            .map(|v| vec![false; v.codes.len() + 1])
            .collect();
        for (_, _, row) in &records {
            for c in 0..col::WIDTH {
                if !used[dict_of(c)].is_empty() && c != col::BIRTH && c != col::BUSINESS {
                    used[dict_of(c)][row[c] as usize] = true;
                }
            }
        }
        let built: Vec<(Dict, Vec<u32>)> = self
            .values
            .into_par_iter()
            .zip(used)
            .enumerate()
            .map(|(c, (interner, used))| {
                let mut entries: Vec<(Box<str>, u32)> = interner
                    .codes
                    .into_iter()
                    .filter(|(_, code)| used[*code as usize])
                    .collect();
                entries.sort_unstable();
                let mut map = vec![0u32; used.len()];
                for (new, (_, old)) in entries.iter().enumerate() {
                    map[*old as usize] = new as u32 + 1;
                }
                (
                    Dict::build(entries.into_iter().map(|e| e.0).collect(), c),
                    map,
                )
            })
            .collect();
        let mut sources: Vec<(Box<str>, u32)> = self.sources.codes.into_iter().collect();
        sources.push(("".into(), 0));
        sources.sort_unstable();
        let mut source_map = vec![0u16; sources.len()];
        for (new, (_, old)) in sources.iter().enumerate() {
            source_map[*old as usize] = new as u16;
        }
        for (_, _, row) in &mut records {
            for c in 0..col::WIDTH {
                if c != col::BIRTH && c != col::BUSINESS {
                    row[c] = built[dict_of(c)].1[row[c] as usize];
                }
            }
        }
        Features {
            ids: records.iter().map(|r| r.0).collect(),
            source: records.iter().map(|r| source_map[r.1 as usize]).collect(),
            rows: records.iter().map(|r| r.2).collect(),
            sources: sources.into_iter().map(|s| s.0).collect(),
            dicts: built.into_iter().map(|b| b.0).collect(),
            ignored: self.ignored,
        }
    }
}
