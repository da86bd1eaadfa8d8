//! Cleans the rows of one stream: contract, mapping, normalisers; every row is accepted or quarantined.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::RecordBatch;
use bumpalo::Bump;
use musubi_api::entity::Entity;
use musubi_api::source::{ChangeMode, LookupMiss, SourceSpec, Stream};
use serde_json::Value;
use sha2::{Digest, Sha256};
use xxhash_rust::xxh3::xxh3_64;

use crate::cleaner_columns::{Columns, System};
use crate::contract::{CompiledContract, Drift, FileState, Verdict};
use crate::conventions::Conventions;
use crate::elements::elements;
use crate::lookup::Lookups;
use crate::mapping::{Bindings, CompiledEntity, Slot, columns, known_columns};
use crate::mapping_row::{Id, References, Row, Rows};
use crate::mapping_value::fill;
use crate::memo::{Memo, Repeat};
use crate::moments::{Clock, Moments};
use crate::problem::{Problem, Reject};
use crate::quarantine::QuarantineBuilder;
use crate::raw::{RawBatch, RawFault, SourceFile};
use crate::record_id::RecordId;

pub use crate::counts::Counts;
pub use crate::record_id::record_id;

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
    moments: Moments,
    conventions: Conventions,
}

/// What one batch is cleaned with.
struct Desk<'a> {
    rows: &'a Rows<'a>,
    origin: &'a SourceFile,
    record: Option<&'a str>,
    /// Where texts stand that are made from those of the batch.
    arena: &'a Bump,
    memo: Memo<'a>,
    /// For each entity what its fields were last made from.
    repeats: Vec<Vec<Option<Repeat<'a>>>>,
    /// Bytes to be hashed.
    buffer: Vec<u8>,
    /// What the row at hand has become so far; it is stored once all of it is good.
    made: Vec<Made>,
    /// The slots of all rows in `made`, one after another.
    slots: Vec<Slot<'a>>,
}

/// A row of an entity that has been made and not yet stored.
struct Made {
    entity: usize,
    system: System,
    /// Its slots.
    slots: Range<usize>,
}

/// An entity's row: its id, that of its customer, and its slots.
type Filled = (RecordId, Option<RecordId>, Range<usize>);

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
        let conventions = Conventions::new(spec, stream).map_err(fault)?;
        let mut references = References::default();
        for name in columns(stream) {
            references.add(&name, &lookups);
        }
        let known = known_columns(stream);
        let mut moments = Moments::default();
        let mut bindings = Bindings {
            references: &mut references,
            lookups: &lookups,
            moments: &mut moments,
        };
        let contract =
            CompiledContract::new(&stream.contract, known, &mut bindings, &conventions.zone)
                .map_err(fault)?;
        let entities = stream
            .entities
            .iter()
            .map(|mapping| CompiledEntity::new(source, spec, stream, mapping, &mut bindings))
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
            moments,
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
        let rows = Rows::bind(&batch.rows, &self.references, &self.contract.known);
        let record = batch.record.as_deref();
        let shape = match self.contract.shape(&rows, record, state) {
            Verdict::Good => None,
            Verdict::Reject(reject) => Some(reject),
            Verdict::Freeze(message) => return Err(self.frozen(message)),
        };
        let mut counts = Counts::default();
        let mut quarantine = QuarantineBuilder::default();
        let arena = Bump::new();
        let mut desk = Desk {
            rows: &rows,
            origin: &origin,
            record,
            arena: &arena,
            memo: Memo::new(&arena, Clock::new(&self.moments, &self.conventions.zone)),
            repeats: self
                .entities
                .iter()
                .map(|e| vec![None; e.mapped.len()])
                .collect(),
            buffer: Vec::new(),
            made: Vec::new(),
            slots: Vec::new(),
        };
        let expected = |entity: &CompiledEntity| match entity.is_for(record) {
            true => batch.rows.len(),
            false => 0,
        };
        let entities = self.entities.iter();
        let mut built: Vec<Columns> = entities.map(|e| Columns::new(e, expected(e))).collect();
        let mut locator = String::new();
        for index in 0..batch.rows.len() {
            let number = batch.numbers[index];
            let hash = rows.hash(index, number, &mut desk.buffer);
            counts.arrive(hash);
            let made = match &shape {
                Some(reject) => Err(Stop::Reject(reject.clone())),
                None => self.row(index, number, state, &mut desk),
            };
            match made {
                Ok(()) => {
                    counts.accept(hash);
                    locator.clear();
                    batch.locators[index].write(&mut locator);
                    for row in &desk.made {
                        built[row.entity].push(
                            &row.system,
                            &locator,
                            &desk.slots[row.slots.clone()],
                        );
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
        for columns in built.iter().filter(|columns| !columns.is_empty()) {
            let name = columns.entity().as_str().to_owned();
            *counts.entities.entry(name).or_default() += columns.len() as u64;
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

    fn bare<'a>(&'a self, desk: &Desk<'a>, index: usize) -> Row<'a> {
        Row {
            rows: desk.rows,
            references: &self.references,
            lookups: &self.lookups,
            origin: desk.origin,
            arena: desk.arena,
            index,
            element: None,
            position: 1,
            found: &[],
            blank: &[],
        }
    }

    /// Makes the entity rows of one row.
    fn row<'a>(
        &'a self,
        index: usize,
        number: u64,
        state: &mut FileState,
        desk: &mut Desk<'a>,
    ) -> Result<(), Stop> {
        desk.made.clear();
        desk.slots.clear();
        let bare = self.bare(desk, index);
        let deleted = self.deleted(&bare)?;
        let found = self.look_up(bare, deleted)?;
        let mut row = Row { found, ..bare };
        if !deleted {
            let mut blank = Vec::new();
            let clock = &mut desk.memo.clock;
            match self
                .contract
                .check(&row, desk.record, state, &mut blank, clock)
            {
                Verdict::Good => row.blank = desk.arena.alloc_slice_copy(&blank),
                Verdict::Reject(reject) => return Err(reject.into()),
                Verdict::Freeze(message) => return Err(Stop::Freeze(message)),
            }
        }
        let version = self.version(&row)?;
        for (at, entity) in self.entities.iter().enumerate() {
            if !entity.is_for(desk.record) {
                continue;
            }
            elements(entity, &row, &mut |ordinal, element| {
                let row = Row {
                    element,
                    position: ordinal + 1,
                    ..row
                };
                let Some((record_id, customer, slots)) = self.entity(at, &row, deleted, desk)?
                else {
                    return Ok(());
                };
                let system = System {
                    record_id,
                    row: number,
                    ordinal: i32::try_from(ordinal).unwrap_or(i32::MAX),
                    version,
                    deleted,
                    customer,
                };
                desk.made.push(Made {
                    entity: at,
                    system,
                    slots,
                });
                Ok(())
            })?;
        }
        Ok(())
    }

    /// For each look-up the row that is found.
    fn look_up<'a>(&'a self, bare: Row<'a>, deleted: bool) -> Result<&'a [Option<u32>], Reject> {
        let mut found = Vec::new();
        for (at, (alias, by, miss)) in self.misses.iter().enumerate() {
            let row = Row {
                found: bare.arena.alloc_slice_copy(&found),
                ..bare
            };
            let key = row.get(*by);
            let row = key.and_then(|key| self.lookups.find(at, key));
            if row.is_none() && *miss == LookupMiss::Quarantine && !deleted {
                let rule = "the look-up finds no row";
                return Err(Reject::new("lookup_missing", alias, rule, key));
            }
            found.push(row);
        }
        Ok(bare.arena.alloc_slice_copy(&found))
    }

    /// Makes one row of the entity `at`: its id, that of its customer, and its slots.
    fn entity<'a>(
        &'a self,
        at: usize,
        row: &Row<'a>,
        deleted: bool,
        desk: &mut Desk<'a>,
    ) -> Result<Option<Filled>, Reject> {
        let entity = &self.entities[at];
        if !entity.holds(row) {
            return Ok(None);
        }
        let id = match entity.id(row, &mut desk.buffer) {
            Ok(id) => id,
            Err(_) if entity.entity == Entity::Customer => return Ok(None),
            Err(column) => {
                let rule = format!("the key of {} is empty", entity.entity.as_str());
                return Err(Reject::new("missing_key", column, rule, None));
            }
        };
        let customer = entity.customer(row, &mut desk.buffer);
        let taken = desk.slots.len()..desk.slots.len() + entity.mapped.len();
        desk.slots.resize(taken.end, Slot::default());
        let slots = &mut desk.slots[taken.clone()];
        fill(
            entity,
            row,
            &self.conventions,
            &mut desk.memo,
            &mut desk.repeats[at],
            slots,
            deleted,
        )?;
        Ok(Some((id, customer, taken)))
    }

    fn deleted(&self, row: &Row<'_>) -> Result<bool, Reject> {
        let Some(id) = self.operation else {
            return Ok(false);
        };
        let value = row.get(id);
        let word = value.map(|v| crate::text::lowercase(crate::text::fold(v)));
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
                value,
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
        let parsed = crate::date::parse_timestamp(text, None, &self.conventions.zone);
        if parsed.value.is_none() && !parsed.valid {
            let column = self.references.text(id);
            let rule = "is neither a whole number nor a time";
            return Err(Reject::new("invalid_cursor", column, rule, Some(text)));
        }
        Ok(parsed.value)
    }
}
