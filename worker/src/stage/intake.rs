//! Records that were handed in one at a time. They are raw data like any other: each is kept as it came, under
//! `raw/intake/records/added/`, and the next run takes them as rows of a source of the lake's own. A file of that
//! source is a day's records, in the order in which they came, so the last of an id counts.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, ensure};
use musubi_api::{
    entity::Entity,
    run::Run,
    source::{SourceSpec, Stream},
};
use musubi_clean::cleaner::record_id;
use musubi_lake::{Error, Store, manifest};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use xxhash_rust::xxh3::xxh3_64;

use super::{RunRefused, files::Files, plan::Split};
use crate::source::{Fetched, SourceObject};

/// Name of the source.
pub const SOURCE: &str = "intake";
/// Name of its stream.
pub const STREAM: &str = "records";

const FOLDER: &str = "raw/intake/records/added";
/// Format of a record that was handed in.
const FORMAT: u32 = 1;

/// A record that was handed in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Added {
    /// Format.
    format: u32,
    /// What the record is called where it comes from; the last of a name counts.
    pub id: String,
    /// Its fields, as they were given.
    pub record: Map<String, Value>,
}

impl Added {
    /// A record to be handed in.
    #[must_use]
    pub fn new(id: String, record: Map<String, Value>) -> Self {
        Self {
            format: FORMAT,
            id,
            record,
        }
    }

    /// The id that the record has in the lake.
    #[must_use]
    pub fn record_id(&self) -> String {
        record_id(SOURCE, STREAM, Entity::Customer, &[&self.id])
    }

    /// Hash of what it says.
    #[must_use]
    pub fn content(&self) -> u64 {
        let sorted: BTreeMap<&String, &Value> = self.record.iter().collect();
        xxh3_64(json!([self.id, sorted]).to_string().as_bytes())
    }

    /// The row that a run reads.
    #[must_use]
    pub fn row(&self) -> Map<String, Value> {
        let mut row = Map::from_iter([(KEY.to_owned(), Value::from(self.id.as_str()))]);
        row.extend(self.record.clone());
        row
    }
}

/// Column of the id.
const KEY: &str = "id";

/// Puts the source among those of a run. A source of the user's own that has its name stays what it is.
pub(super) fn join(run: &mut Run) -> Result<()> {
    if !run.sources.contains_key(SOURCE) {
        run.sources.insert(SOURCE.to_owned(), source(run)?);
    }
    Ok(())
}

/// Whether the source of this name is that of records handed in.
pub(super) fn is_ours(name: &str, stream: &str, spec: &SourceSpec) -> bool {
    let folder = spec.connector.folder.as_ref();
    name == SOURCE && stream == STREAM && folder.is_some_and(|f| f.path == FOLDER)
}

/// The source of records handed in, with the country and the time zone that most sources have.
fn source(run: &Run) -> Result<SourceSpec> {
    fn most<'a>(values: impl Iterator<Item = &'a String>) -> Option<&'a str> {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        values.for_each(|v| *counts.entry(v).or_default() += 1);
        let first = counts.into_iter().rev().max_by_key(|(_, n)| *n);
        first.map(|(value, _)| value)
    }
    spec(
        most(run.sources.values().map(|s| &s.country)),
        most(run.sources.values().map(|s| &s.time_zone)),
    )
}

/// A source whose rows have the fields of a customer by their names.
pub(crate) fn spec(country: Option<&str>, time_zone: Option<&str>) -> Result<SourceSpec> {
    let fields = Entity::Customer.fields().iter();
    let fields: Map<String, Value> = fields
        .map(|f| (f.name.to_owned(), json!({ "from": f.name })))
        .collect();
    let mut spec = json!({
        "system": "crm",
        "connector": { "folder": { "path": FOLDER } },
        "streams": [{
            "name": STREAM,
            "files": { "path": "{yyyyMMdd}.jsonl" },
            "format": { "json": {} },
            "changes": "upsert",
            "contract": { "quarantineLimit": { "percent": 100.0 } },
            "entities": [{ "entity": "customer", "key": [KEY], "fields": fields }],
        }],
    });
    if let Some(country) = country {
        spec["country"] = country.into();
    }
    if let Some(zone) = time_zone {
        spec["timeZone"] = zone.into();
    }
    Ok(serde_json::from_value(spec)?)
}

/// Source and stream of records handed in, of a run.
///
/// # Errors
/// When a source of the user's own has the name.
pub(crate) fn of(run: &Run) -> Result<(&SourceSpec, &Stream)> {
    let spec = run.sources.get(SOURCE);
    let ours = spec.and_then(|s| Some((s, s.streams.first()?)));
    let ours = ours.filter(|(spec, stream)| is_ours(SOURCE, &stream.name, spec));
    ours.with_context(|| {
        format!("a Source of the pipeline is called {SOURCE}, which is the name for records handed in; rename it")
    })
}

/// The records of a day, by path, and a tag that is another when one came.
#[derive(Debug)]
struct Day {
    paths: Vec<String>,
    date: jiff::civil::Date,
}

impl Day {
    fn file(&self) -> String {
        format!("{}.jsonl", self.date.strftime("%Y%m%d"))
    }

    fn tag(&self) -> String {
        Self::tag_of(&self.paths)
    }

    /// How many there are, and a hash of which.
    fn tag_of(paths: &[String]) -> String {
        format!(
            "{}-{:016x}",
            paths.len(),
            xxh3_64(paths.join("\n").as_bytes())
        )
    }

    /// The records that are not among those a version has, by the tag of these. They come later, as a rule; where
    /// one came late, nobody knows which are new.
    fn beside(&self, taken: Option<&str>) -> &[String] {
        let count = taken.and_then(|tag| tag.split_once('-')?.0.parse().ok());
        match count.and_then(|count: usize| self.paths.split_at_checked(count)) {
            Some((before, rest)) if taken == Some(&Self::tag_of(before)) => rest,
            _ => &self.paths,
        }
    }
}

async fn days(store: &Store) -> Result<Vec<Day>> {
    let mut days: BTreeMap<jiff::civil::Date, Vec<String>> = BTreeMap::new();
    for meta in store.list(FOLDER).await? {
        let name = meta.path.strip_prefix(FOLDER).unwrap_or_default();
        let day = name.trim_start_matches('/').split('/').next();
        // Whatever else lies there is nobody's record.
        if let Some(Ok(date)) = day.map(str::parse) {
            days.entry(date).or_default().push(meta.path);
        }
    }
    let days = days.into_iter();
    Ok(days.map(|(date, paths)| Day { paths, date }).collect())
}

/// Tags of the days that a version has, by file.
fn taken(known: &Files) -> BTreeMap<&str, &str> {
    let mine = known.0.iter();
    let mine = mine.filter(|f| f.source == SOURCE && f.stream == STREAM && !f.superseded);
    mine.map(|f| (f.path.as_str(), f.tag.as_str())).collect()
}

/// The days that have records which a version has not.
pub(super) async fn splits(store: &Store, known: &Files) -> Result<Vec<Split>> {
    let taken = taken(known);
    let days = days(store).await?;
    let new = days
        .iter()
        .filter(|day| taken.get(day.file().as_str()) != Some(&day.tag().as_str()));
    Ok(new
        .map(|day| Split {
            source: SOURCE.into(),
            stream: STREAM.into(),
            object: SourceObject {
                path: day.file(),
                size: 0,
                tag: day.tag(),
                date: Some(day.date),
            },
            bookmark: None,
        })
        .collect())
}

/// The records of a day as one file.
pub(super) async fn fetch(store: &Store, file: &str) -> Result<Fetched> {
    let mut rows = Vec::new();
    for day in days(store).await?.iter().filter(|day| day.file() == file) {
        for path in &day.paths {
            serde_json::to_writer(&mut rows, &read(store, path).await?.row())?;
            rows.push(b'\n');
        }
    }
    Fetched::of(&rows)
}

async fn read(store: &Store, path: &str) -> Result<Added> {
    #[derive(Deserialize)]
    struct Format {
        format: u32,
    }
    let what = "a record that was handed in";
    let bytes = store.get(path).await?;
    let Format { format } = manifest::decode(path, what, &bytes)?;
    if format > FORMAT {
        let why = format!(
            "{path}: a newer musubi wrote it (format {format}; this one reads up to {FORMAT}): use that version"
        );
        return Err(RunRefused(why).into());
    }
    Ok(manifest::decode(path, what, &bytes)?)
}

/// Keeps a record; from then on it is safe. Gives its path.
///
/// # Errors
/// Those of the storage.
pub(crate) async fn keep(store: &Store, added: &Added) -> Result<String> {
    let mut at = jiff::Timestamp::now();
    for _ in 0..100 {
        let moment = at.strftime("%Y-%m-%d/%H%M%S%6f");
        let path = format!("{FOLDER}/{moment}-{}.json", added.record_id());
        match store.create(&path, manifest::encode(&path, added)?).await {
            Ok(()) => return Ok(path),
            Err(Error::AlreadyExists { .. }) => at += jiff::SignedDuration::from_micros(1),
            Err(error) => return Err(error.into()),
        }
    }
    anyhow::bail!("the same record is being handed in by many at once; try again")
}

/// The records that were handed in and that a version has not, with their paths, in the order in which they came.
/// Those of `but` are left out.
///
/// # Errors
/// Those of the storage, and when a record was written by a newer version.
pub(crate) async fn waiting(
    store: &Store,
    known: &Files,
    but: &BTreeSet<String>,
) -> Result<Vec<(String, Added)>> {
    let taken = taken(known);
    let mut waiting = Vec::new();
    for day in days(store).await? {
        let beside = day.beside(taken.get(day.file().as_str()).copied());
        for path in beside.iter().filter(|path| !but.contains(*path)) {
            waiting.push((path.clone(), read(store, path).await?));
        }
    }
    Ok(waiting)
}

/// Checks the fields of a record by their names and shapes.
///
/// # Errors
/// With the field and what it might have been.
pub(crate) fn check(record: &Map<String, Value>) -> Result<()> {
    let fields = || Entity::Customer.fields().iter().map(|f| f.name);
    for (name, value) in record {
        ensure!(
            fields().any(|f| f == name),
            "a record has no field {name:?}; {}",
            match musubi_api::problem::nearest(name, fields()) {
                Some(near) => format!("did you mean {near}?"),
                None => format!("fields are {}", fields().collect::<Vec<_>>().join(", ")),
            }
        );
        ensure!(
            !value.is_array() && !value.is_object(),
            "field {name}: give a text, a number or a flag"
        );
    }
    ensure!(
        record
            .values()
            .any(|v| !v.is_null() && v.as_str().is_none_or(|s| !s.trim().is_empty())),
        "the record has no values: give fields, as in email=… or {{\"email\": \"…\"}}"
    );
    Ok(())
}
