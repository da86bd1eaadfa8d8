//! Cleans the rows of one stream: contract, mapping, normalisers; every row is accepted or quarantined.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::RecordBatch;
use jiff::tz::TimeZone;
use musubi_api::entity::Entity;
use musubi_api::source::{ChangeMode, LookupMiss, SourceSpec, Stream};
use serde_json::Value;
use sha2::{Digest, Sha256};
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use crate::cleaner_columns::{Columns, System};
use crate::contract::{CompiledContract, Drift, FileState, Verdict};
use crate::lookup::Lookups;
use crate::mapping::{CompiledEntity, Slot, columns, known_columns};
use crate::mapping_row::{Id, References, Row, Rows, Step, json_text};
use crate::mapping_value::{Conventions, Memo, fill};
use crate::problem::{Problem, Reject};
use crate::quarantine::QuarantineBuilder;
use crate::raw::{RawBatch, RawFault, SourceFile};

/// What a batch of raw rows became.
#[derive(Clone, Debug)]
pub struct Cleaned {
    /// For each mapping that made rows: its entity and the rows, in its clean schema.
    pub entities: Vec<(Entity, RecordBatch)>,
    /// The rows put aside, in the quarantine schema.
    pub quarantined: RecordBatch,
    /// Counts and hash sums.
    pub counts: Counts,
    /// Changes of shape that were first seen in this batch.
    pub drift: Vec<Drift>,
}

/// Counts and wrapping sums of row hashes: `rows` = `accepted` + `quarantined`, and so for the sums.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// Raw rows that came in.
    pub rows: u64,
    /// Rows that were accepted.
    pub accepted: u64,
    /// Rows that were quarantined.
    pub quarantined: u64,
    /// Sum of the hashes of all rows.
    pub hash_rows: u64,
    /// Sum of the hashes of accepted rows.
    pub hash_accepted: u64,
    /// Sum of the hashes of quarantined rows.
    pub hash_quarantined: u64,
    /// Entity rows made, by entity (`order_line`).
    pub entities: BTreeMap<String, u64>,
    /// Quarantined rows by reason code.
    pub reasons: BTreeMap<String, u64>,
}

impl Counts {
    /// Adds another batch.
    pub fn merge(&mut self, other: &Self) {
        self.rows += other.rows;
        self.accepted += other.accepted;
        self.quarantined += other.quarantined;
        self.hash_rows = self.hash_rows.wrapping_add(other.hash_rows);
        self.hash_accepted = self.hash_accepted.wrapping_add(other.hash_accepted);
        self.hash_quarantined = self.hash_quarantined.wrapping_add(other.hash_quarantined);
        for (name, count) in &other.entities {
            *self.entities.entry(name.clone()).or_default() += count;
        }
        for (code, count) in &other.reasons {
            *self.reasons.entry(code.clone()).or_default() += count;
        }
    }

    fn accept(&mut self, hash: u64) {
        self.accepted += 1;
        self.hash_accepted = self.hash_accepted.wrapping_add(hash);
    }

    fn quarantine(&mut self, hash: u64, code: &str) {
        self.quarantined += 1;
        self.hash_quarantined = self.hash_quarantined.wrapping_add(hash);
        *self.reasons.entry(code.to_owned()).or_default() += 1;
    }

    fn arrive(&mut self, hash: u64) {
        self.rows += 1;
        self.hash_rows = self.hash_rows.wrapping_add(hash);
    }
}

/// The id of an entity row: 32 hexadecimal digits, XXH3-128 of source, stream, entity and the parts of its
/// key (trimmed), each followed by a zero byte.
#[must_use]
pub fn record_id<S: AsRef<str>>(source: &str, stream: &str, entity: Entity, key: &[S]) -> String {
    let mut hasher = Xxh3::new();
    for part in [source, stream, entity.as_str()] {
        hasher.update(part.as_bytes());
        hasher.update(&[0]);
    }
    for part in key {
        hasher.update(part.as_ref().trim().as_bytes());
        hasher.update(&[0]);
    }
    format!("{:032x}", hasher.digest128())
}

/// SHA-256 (hex) of all that decides how raw rows become clean ones: the stream, what the source says of
/// time and country, the rows that look-ups found, and the version of the normalisers.
#[must_use]
pub fn mapping_hash(spec: &SourceSpec, stream: &Stream, lookups_digest: &str) -> String {
    let mut stream = stream.clone();
    // which files are read, and when quarantine stops a run, change no row
    stream.files = None;
    stream.contract.quarantine_limit = Default::default();
    let canonical = serde_json::json!({
        "stream": stream,
        "timeZone": spec.time_zone,
        "country": spec.country.to_lowercase(),
        "lookups": lookups_digest,
        "normalisers": crate::normalisers_version(),
        "cleaner": VERSION,
    });
    hex::encode(Sha256::digest(canonical.to_string().as_bytes()))
}

/// Version of cleaning itself; raised when the same input gives other rows.
pub const VERSION: u32 = 2;

/// Cleans the rows of one stream. Compiled once, shared by threads.
pub struct Cleaner {
    source: String,
    stream: String,
    references: References,
    lookups: Lookups,
    misses: Vec<(String, Id, LookupMiss)>,
    contract: CompiledContract,
    entities: Vec<CompiledEntity>,
    operation: Option<Id>,
    cursor: Option<Id>,
    conventions: Conventions,
}

/// A row of an entity that has been made and not yet stored.
struct Made<'a> {
    entity: usize,
    system: System<'a>,
    slots: Vec<Slot>,
}

/// Why a row goes no further.
enum Stop {
    Reject(Reject),
    Freeze(String),
}

impl From<Reject> for Stop {
    fn from(reject: Reject) -> Self {
        Self::Reject(reject)
    }
}

impl Cleaner {
    /// Compiles contract and mappings.
    ///
    /// # Errors
    /// [`Problem::Spec`] with the field that cannot work.
    pub fn new(
        source: &str,
        spec: &SourceSpec,
        stream: &Stream,
        lookups: Lookups,
    ) -> Result<Self, Problem> {
        let fault = |(field, message): (String, String)| Problem::Spec {
            system: source.to_owned(),
            stream: stream.name.clone(),
            field,
            message,
        };
        let conventions = conventions(spec, stream).map_err(fault)?;
        let mut references = References::default();
        for name in columns(stream) {
            references.add(&name, &lookups);
        }
        let known = known_columns(stream);
        let contract = CompiledContract::new(
            &stream.contract,
            known,
            &mut references,
            &lookups,
            &conventions.zone,
        )
        .map_err(fault)?;
        let entities = stream
            .entities
            .iter()
            .map(|mapping| CompiledEntity::new(spec, stream, mapping, &mut references, &lookups))
            .collect::<Result<Vec<_>, _>>()
            .map_err(fault)?;
        let misses = stream
            .lookups
            .iter()
            .map(|l| (l.alias.clone(), references.add(&l.by, &lookups), l.missing))
            .collect();
        let operation = match (&stream.operation, stream.changes) {
            (Some(column), ChangeMode::Changes) => Some(references.add(column, &lookups)),
            _ => None,
        };
        let cursor = stream.cursor.as_ref().map(|c| references.add(c, &lookups));
        Ok(Self {
            source: source.to_owned(),
            stream: stream.name.clone(),
            references,
            lookups,
            misses,
            contract,
            entities,
            operation,
            cursor,
            conventions,
        })
    }

    /// What is to be remembered over the batches of one file (origin, uniqueness, changes of shape).
    #[must_use]
    pub fn start_file(&self, origin: SourceFile) -> FileState {
        FileState {
            origin: Arc::new(origin),
            ..FileState::default()
        }
    }

    /// Cleans a batch of a file. `raw_sha` is the SHA-256 (hex) of the raw object.
    ///
    /// # Errors
    /// [`Problem::Frozen`] when the shape of the file changed and the contract says `freeze`.
    pub fn clean(
        &self,
        batch: &RawBatch,
        raw_sha: &str,
        state: &mut FileState,
    ) -> Result<Cleaned, Problem> {
        let before: BTreeSet<Drift> = state.drift.clone();
        let origin = state.origin.clone();
        let rows = Rows::bind(&batch.rows, &self.references);
        let record = batch.record.as_deref();
        let shape = match self.contract.shape(&rows, record, state) {
            Verdict::Good => None,
            Verdict::Reject(reject) => Some(reject),
            Verdict::Freeze(message) => return Err(self.frozen(message)),
        };
        let mut counts = Counts::default();
        let mut quarantine = QuarantineBuilder::default();
        let mut memo = Memo::default();
        let mut built: Vec<Columns> = self.entities.iter().map(Columns::new).collect();
        for index in 0..batch.rows.len() {
            let number = batch.numbers[index];
            let hash = rows.hash(index, number);
            counts.arrive(hash);
            let made = match &shape {
                Some(reject) => Err(Stop::Reject(reject.clone())),
                None => self.row(&rows, &origin, index, batch, state, &mut memo),
            };
            match made {
                Ok(made) => {
                    counts.accept(hash);
                    for row in made {
                        let name = self.entities[row.entity].entity.as_str();
                        *counts.entities.entry(name.to_owned()).or_default() += 1;
                        built[row.entity].push(&row.system, row.slots);
                    }
                }
                Err(Stop::Freeze(message)) => return Err(self.frozen(message)),
                Err(Stop::Reject(reject)) => {
                    counts.quarantine(hash, &reject.code);
                    let content = rows.json(index);
                    quarantine.push(
                        &batch.locators[index],
                        number,
                        record,
                        &reject,
                        Some(&content),
                    );
                }
            }
        }
        let entities = built
            .into_iter()
            .filter(|columns| !columns.is_empty())
            .map(|columns| {
                Ok((
                    columns.entity(),
                    columns.finish(&self.source, &self.stream, raw_sha)?,
                ))
            })
            .collect::<Result<_, Problem>>()?;
        Ok(Cleaned {
            entities,
            quarantined: quarantine.finish(&self.source, &self.stream, raw_sha)?,
            counts,
            drift: state.drift.difference(&before).cloned().collect(),
        })
    }

    /// Puts aside a row that could not be decoded: it counts as one row in and one quarantined.
    ///
    /// # Errors
    /// Only when Arrow refuses the batch.
    pub fn quarantine_fault(&self, fault: &RawFault, raw_sha: &str) -> Result<Cleaned, Problem> {
        let hash =
            xxh3_64(format!("{}\0{}\0{}", fault.number, fault.locator, fault.code).as_bytes());
        let mut counts = Counts::default();
        counts.arrive(hash);
        counts.quarantine(hash, fault.code);
        let mut quarantine = QuarantineBuilder::default();
        let reject = Reject {
            code: fault.code.to_owned(),
            field: fault.field.clone(),
            rule: fault.rule.clone(),
            shape: None,
        };
        let record = fault.content.as_ref().and_then(|c| c.record.as_deref());
        let content = fault.content.as_ref().map(|c| {
            let cells = c.columns.iter().map(|(name, text)| {
                let value = (!text.is_empty()).then_some(text.as_str());
                (name.clone(), Value::from(value))
            });
            Value::Object(cells.collect()).to_string()
        });
        quarantine.push(
            &fault.locator,
            fault.number,
            record,
            &reject,
            content.as_deref(),
        );
        Ok(Cleaned {
            entities: Vec::new(),
            quarantined: quarantine.finish(&self.source, &self.stream, raw_sha)?,
            counts,
            drift: Vec::new(),
        })
    }

    fn frozen(&self, message: String) -> Problem {
        Problem::Frozen {
            system: self.source.clone(),
            stream: self.stream.clone(),
            message,
        }
    }

    fn bare<'a>(
        &'a self,
        rows: &'a Rows<'a>,
        origin: &'a SourceFile,
        index: usize,
        found: &'a [Option<u32>],
        blank: &'a [Id],
    ) -> Row<'a> {
        Row {
            rows,
            references: &self.references,
            lookups: &self.lookups,
            origin,
            index,
            element: None,
            position: 1,
            found,
            blank,
        }
    }

    fn row<'a>(
        &'a self,
        rows: &'a Rows<'a>,
        origin: &'a SourceFile,
        index: usize,
        batch: &'a RawBatch,
        state: &mut FileState,
        memo: &mut Memo,
    ) -> Result<Vec<Made<'a>>, Stop> {
        let record = batch.record.as_deref();
        let deleted = self.deleted(&self.bare(rows, origin, index, &[], &[]))?;
        let mut found = Vec::with_capacity(self.misses.len());
        for (at, (alias, by, miss)) in self.misses.iter().enumerate() {
            let key = self
                .bare(rows, origin, index, &found, &[])
                .get(*by)
                .map(Cow::into_owned);
            let row = key.as_deref().and_then(|key| self.lookups.find(at, key));
            if row.is_none() && *miss == LookupMiss::Quarantine && !deleted {
                let rule = "the look-up finds no row";
                return Err(Reject::new("lookup_missing", alias, rule, key.as_deref()).into());
            }
            found.push(row);
        }
        let mut blank = Vec::new();
        if !deleted {
            let zone = &self.conventions.zone;
            let row = self.bare(rows, origin, index, &found, &[]);
            match self.contract.check(&row, record, state, &mut blank, zone) {
                Verdict::Good => {}
                Verdict::Reject(reject) => return Err(reject.into()),
                Verdict::Freeze(message) => return Err(Stop::Freeze(message)),
            }
        }
        let row = self.bare(rows, origin, index, &found, &blank);
        let version = self.version(&row)?;
        let mut made = Vec::new();
        for (at, entity) in self.entities.iter().enumerate() {
            if entity.record.is_some() && entity.record.as_deref() != record {
                continue;
            }
            for (ordinal, element) in elements(entity, rows, index)?.into_iter().enumerate() {
                let row = Row {
                    element,
                    position: ordinal + 1,
                    ..row
                };
                if let Some((record_id, customer, slots)) =
                    self.entity(entity, &row, deleted, memo)?
                {
                    made.push(Made {
                        entity: at,
                        system: System {
                            record_id,
                            locator: &batch.locators[index],
                            row: batch.numbers[index],
                            ordinal: i32::try_from(ordinal).unwrap_or(i32::MAX),
                            version,
                            deleted,
                            customer,
                        },
                        slots,
                    });
                }
            }
        }
        Ok(made)
    }

    #[allow(clippy::type_complexity)]
    fn entity(
        &self,
        entity: &CompiledEntity,
        row: &Row<'_>,
        deleted: bool,
        memo: &mut Memo,
    ) -> Result<Option<(String, Option<String>, Vec<Slot>)>, Reject> {
        if !entity.holds(row) {
            return Ok(None);
        }
        let key = match entity.key(row) {
            Ok(key) => key,
            Err(_) if entity.entity == Entity::Customer => return Ok(None),
            Err(column) => {
                let rule = format!("the key of {} is empty", entity.entity.as_str());
                return Err(Reject::new("missing_key", &column, rule, None));
            }
        };
        let id = record_id(&self.source, &self.stream, entity.entity, &key);
        let customer = entity
            .customer(row)
            .map(|(stream, key)| record_id(&self.source, stream, Entity::Customer, &key));
        let slots = fill(entity, row, &self.conventions, memo, deleted)?;
        Ok(Some((id, customer, slots)))
    }

    fn deleted(&self, row: &Row<'_>) -> Result<bool, Reject> {
        let Some(id) = self.operation else {
            return Ok(false);
        };
        let value = row.get(id);
        let word = value
            .as_deref()
            .map(|v| crate::text::fold(v).to_lowercase());
        match word.as_deref() {
            Some("d" | "delete" | "deleted" | "remove" | "削除") => Ok(true),
            Some(
                "c" | "u" | "i" | "r" | "insert" | "update" | "create" | "upsert" | "read" | "追加"
                | "更新" | "登録",
            ) => Ok(false),
            _ => Err(Reject::new(
                "unknown_operation",
                self.references.text(id),
                "is none of c, u, d, insert, update, delete",
                value.as_deref(),
            )),
        }
    }

    fn version(&self, row: &Row<'_>) -> Result<Option<i64>, Reject> {
        let Some((id, text)) = self.cursor.and_then(|id| Some((id, row.get(id)?))) else {
            return Ok(None);
        };
        if let Ok(number) = text.trim().parse() {
            return Ok(Some(number));
        }
        let parsed = crate::date::parse_timestamp(&text, None, &self.conventions.zone);
        if parsed.value.is_none() && !parsed.valid {
            let column = self.references.text(id);
            let rule = "is neither a whole number nor a time";
            return Err(Reject::new("invalid_cursor", column, rule, Some(&text)));
        }
        Ok(parsed.value)
    }
}

/// The elements that an entity is made from: the row itself without `each`, none when the array is absent.
fn elements<'a>(
    entity: &CompiledEntity,
    rows: &'a Rows<'a>,
    index: usize,
) -> Result<Vec<Option<&'a Value>>, Reject> {
    let (Some(path), Rows::Json(values)) = (&entity.each, rows) else {
        return Ok(vec![None]);
    };
    let mut found = Vec::new();
    match explode(&values[index], path, &mut found) {
        Ok(()) => Ok(found),
        Err(other) => Err(Reject::new(
            "not_an_array",
            entity.entity.as_str(),
            "`each` names something that is no array",
            json_text(other).as_deref(),
        )),
    }
}

/// Follows a path to an array, through every element of the arrays on its way; fails with what is no array.
fn explode<'a>(
    value: &'a Value,
    path: &[Step],
    found: &mut Vec<Option<&'a Value>>,
) -> Result<(), &'a Value> {
    let inner = match (path.first(), value) {
        (_, Value::Null) => return Ok(()),
        (None, Value::Array(items)) => {
            found.extend(items.iter().map(Some));
            return Ok(());
        }
        (None, other) => return Err(other),
        (Some(Step::Key(_)), Value::Array(items)) => {
            return items.iter().try_for_each(|item| explode(item, path, found));
        }
        (Some(Step::Key(key)), _) => value.get(key.as_str()),
        (Some(Step::Index(at)), _) => value.get(*at),
    };
    inner.map_or(Ok(()), |inner| explode(inner, &path[1..], found))
}

fn conventions(spec: &SourceSpec, stream: &Stream) -> Result<Conventions, (String, String)> {
    let zone = TimeZone::get(&spec.time_zone).map_err(|_| {
        (
            "timeZone".to_owned(),
            format!(
                "{} is no IANA time zone, such as Asia/Tokyo",
                spec.time_zone
            ),
        )
    })?;
    let day_ends = match &stream.day_ends_at {
        None => Some(jiff::Span::new()),
        Some(text) => text.split_once(':').and_then(|(hours, minutes)| {
            let hours: i64 = hours.parse().ok().filter(|h| (0..24).contains(h))?;
            let minutes: i64 = minutes.parse().ok().filter(|m| (0..60).contains(m))?;
            Some(jiff::Span::new().hours(hours).minutes(minutes))
        }),
    };
    let day_ends = day_ends.ok_or_else(|| {
        (
            "dayEndsAt".to_owned(),
            "is no time of day, such as 03:00".to_owned(),
        )
    })?;
    Ok(Conventions {
        zone,
        country: spec.country.to_lowercase(),
        day_ends,
    })
}
