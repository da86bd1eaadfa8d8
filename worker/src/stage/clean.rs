//! clean: decodes raw objects, checks the contract, normalises, and quarantines bad rows with a reason and
//! a locator. Its output is keyed by content and rules, so unchanged input is never cleaned twice.

mod lookups;
mod object;

use std::{collections::BTreeMap, sync::Arc};

use anyhow::{Context as _, Result};
use musubi_api::{
    run::Stage,
    source::{FILE_DATE, FILE_PATH},
};
use musubi_clean::cleaner::{self, mapping_hash};
use musubi_lake::manifest;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tracing::{Instrument as _, info_span};
use xxhash_rust::xxh3::xxh3_64;

pub(crate) use self::lookups::LookupCache;
use self::{lookups::still_holds, object::clean_file};
use super::{
    Context, Outcome,
    files::{self, File, Files},
    ingest::Ingested,
    plan::Plan,
};

/// What cleaning made of one raw object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Cleaned {
    /// Hash of content and rules.
    pub key: String,
    /// Rows of the source, by what became of them.
    pub rows: RowCounts,
    /// Clean files by entity.
    pub entities: BTreeMap<String, Part>,
    /// The quarantined rows.
    pub quarantine: Option<Part>,
    /// Quarantined rows by reason code.
    pub reasons: BTreeMap<String, u64>,
    /// Changes of the stream's shape, in words.
    pub drift: Vec<String>,
    /// What the rows looked up in other streams.
    pub looked_up: Option<LookedUp>,
}

/// What the rows of an object looked up: they are cleaned again when the answers are others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LookedUp {
    /// Path of the keys that were asked for.
    pub asked: String,
    /// Hash of the answers.
    pub answers: String,
    /// Hash of the files that gave them.
    pub files: String,
}

/// Conservation: `total` and `hash_in` are taken before the contract is looked at, the rest after.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RowCounts {
    /// Rows of the source.
    pub total: u64,
    /// Rows that became entities.
    pub accepted: u64,
    /// Rows set aside.
    pub quarantined: u64,
    /// Headers, trailers, comments, blank lines.
    pub structural: u64,
    /// Rows, among the accepted and the quarantined, that somebody corrected.
    pub edited: u64,
    /// Sum of the hashes of the data rows that came in, modulo 2^64.
    pub hash_in: u64,
    /// Sum of the hashes of the accepted and the quarantined rows.
    pub hash_out: u64,
}

impl RowCounts {
    /// Whether every row is accounted for.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.total == self.accepted + self.quarantined + self.structural
            && self.hash_in == self.hash_out
    }

    fn take(&mut self, counts: &cleaner::Counts) {
        self.accepted += counts.accepted;
        self.quarantined += counts.quarantined;
        self.hash_in = self.hash_in.wrapping_add(counts.hash_rows);
        let out = counts.hash_accepted.wrapping_add(counts.hash_quarantined);
        self.hash_out = self.hash_out.wrapping_add(out);
    }

    /// Adds the rows of another object.
    pub fn add(&mut self, other: &Self) {
        self.total += other.total;
        self.accepted += other.accepted;
        self.quarantined += other.quarantined;
        self.structural += other.structural;
        self.edited += other.edited;
        self.hash_in = self.hash_in.wrapping_add(other.hash_in);
        self.hash_out = self.hash_out.wrapping_add(other.hash_out);
    }
}

/// A file of clean or quarantined rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Path in the lake.
    pub path: String,
    /// Rows.
    pub rows: u64,
}

/// What a clean shard did.
#[derive(Debug, Serialize, Deserialize)]
pub struct Shard {
    /// The objects it cleaned.
    pub cleaned: Vec<Cleaned>,
}

/// An active file and what cleaning made of it.
#[derive(Clone, Debug)]
pub struct Active {
    /// The file.
    pub file: File,
    /// Its clean rows.
    pub cleaned: Cleaned,
}

/// Everything that is true after ingest and clean: all files, and the active ones with their clean rows,
/// in the order in which rows count.
pub struct Present {
    /// All files.
    pub files: Files,
    /// The active ones that make entities.
    pub active: Vec<Active>,
}

pub(super) async fn run(context: &Context, shard: u32) -> Result<Outcome> {
    if let Some(done) = context.done::<Shard>(Stage::Clean, shard).await? {
        return Ok(outcome(true, &done));
    }
    let plan = context.plan().await?;
    let read =
        async { tokio::try_join!(files_after_ingest(context, &plan), known(context, &plan)) };
    let (files, known) = read.instrument(info_span!("read")).await?;
    let mut lookups = LookupCache::default();
    let mut cleaned = Vec::new();
    let shards = plan.source_shards as usize;
    let share = |f: &File| xxh3_64(format!("{}/{}", f.source, f.stream).as_bytes()) as usize;
    let mut keys = CleanKeys::default();
    let work: Vec<(&File, String)> = files
        .active()
        .filter_map(|f| Some((f, keys.of(context, f)?)))
        .collect();
    let new = work.iter().filter(|(_, key)| !known.contains_key(key));
    let mut todo: Vec<&(&File, String)> = new.skip(shard as usize).step_by(shards).collect();
    // The keys that a stream looked up are read by one shard, which then needs the look-ups once.
    for work in work
        .iter()
        .filter(|(f, _)| share(f) % shards == shard as usize)
    {
        let looked_up = known.get(&work.1).and_then(|c| c.looked_up.as_ref());
        if let Some(looked_up) = looked_up
            && !still_holds(context, &files, &mut lookups, work.0, looked_up).await?
        {
            todo.push(work);
        }
    }
    for (file, key) in todo {
        let one = clean_file(context, &files, &mut lookups, file, key)
            .instrument(info_span!("clean"))
            .await
            .with_context(|| {
                format!(
                    "Source {}, stream {}: {}",
                    file.source, file.stream, file.path
                )
            })?;
        cleaned.push(one);
    }
    let done = context
        .commit(Stage::Clean, shard, Shard { cleaned })
        .await?;
    Ok(outcome(false, &done))
}

fn outcome(reused: bool, done: &Shard) -> Outcome {
    let mut rows = RowCounts::default();
    done.cleaned.iter().for_each(|c| rows.add(&c.rows));
    let counts = [
        ("files", done.cleaned.len() as u64),
        ("rows", rows.total),
        ("accepted", rows.accepted),
        ("quarantined", rows.quarantined),
        ("structural", rows.structural),
        ("edited", rows.edited),
    ];
    Outcome::new(reused, counts)
}

/// The files as they are once ingest is complete.
pub(crate) async fn files_after_ingest(context: &Context, plan: &Plan) -> Result<Files> {
    let ingested: Vec<Ingested> = context.all(Stage::Ingest, plan.source_shards).await?;
    let taken = ingested.into_iter().flat_map(|i| i.files).collect();
    let files = plan.files(context).await?.with(&context.run, taken);
    Ok(files.corrected(&plan.edits))
}

/// What earlier runs cleaned and is still wanted, by clean key.
async fn known(context: &Context, plan: &Plan) -> Result<BTreeMap<String, Cleaned>> {
    let Some(path) = plan.state.get("cleaned") else {
        return Ok(BTreeMap::new());
    };
    Ok(manifest::decode(
        path,
        "the index of clean files",
        &context.store.get(path).await?,
    )?)
}

/// What is true once clean is complete; worked out once in a process.
pub(crate) async fn present(context: &Context, plan: &Plan) -> Result<Arc<Present>> {
    let present = context
        .present
        .get_or_try_init(|| read_present(context, plan));
    Ok(present.await?.clone())
}

async fn read_present(context: &Context, plan: &Plan) -> Result<Arc<Present>> {
    let files = files_after_ingest(context, plan).await?;
    let mut known = known(context, plan).await?;
    for shard in context
        .all::<Shard>(Stage::Clean, plan.source_shards)
        .await?
    {
        known.extend(shard.cleaned.into_iter().map(|c| (c.key.clone(), c)));
    }
    Ok(Arc::new(Present::of(context, files, &known)?))
}

impl Present {
    /// The active files with their clean rows, which are among those `known`.
    pub(crate) fn of(
        context: &Context,
        files: Files,
        known: &BTreeMap<String, Cleaned>,
    ) -> Result<Self> {
        let (mut active, mut keys) = (Vec::new(), CleanKeys::default());
        for file in files.active() {
            let Some(key) = keys.of(context, file) else {
                continue;
            };
            let cleaned = known
                .get(&key)
                .with_context(|| format!("{} was not cleaned", file.path))?
                .clone();
            active.push(Active {
                file: file.clone(),
                cleaned,
            });
        }
        Ok(Self { files, active })
    }

    /// The index of clean files that the next run starts from.
    #[must_use]
    pub fn index(&self) -> BTreeMap<&str, &Cleaned> {
        self.active
            .iter()
            .map(|a| (a.cleaned.key.as_str(), &a.cleaned))
            .collect()
    }
}

/// Hashes of what clean rows depend on, but for look-ups. What a stream adds to it is hashed once.
#[derive(Default)]
pub(super) struct CleanKeys(BTreeMap<(String, String), Option<Rules>>);

/// What a stream adds to the key of a file.
struct Rules {
    hash: String,
    /// Which facts of the file its mappings read.
    path: bool,
    date: bool,
}

impl CleanKeys {
    /// The key of a file; `None` for files that make no entities.
    pub(super) fn of(&mut self, context: &Context, file: &File) -> Option<String> {
        let stream = (file.source.clone(), file.stream.clone());
        let rules = self
            .0
            .entry(stream)
            .or_insert_with_key(|(source, stream)| rules(context, source, stream));
        let rules = rules.as_ref()?;
        let mut all = format!("{}\n{}\n{}", content(file), file.source, rules.hash);
        if rules.path {
            all.push_str(&format!("\npath {}", file.path));
        }
        if let Some(date) = file.date.filter(|_| rules.date) {
            all.push_str(&format!("\ndate {date}"));
        }
        Some(hex::encode(&Sha256::digest(all)[..16]))
    }
}

fn rules(context: &Context, source: &str, stream: &str) -> Option<Rules> {
    let spec = context.run.sources.get(source)?;
    let stream = files::stream(&context.run, source, stream)?;
    let read = musubi_clean::mapping::columns(stream);
    (!stream.entities.is_empty()).then(|| Rules {
        hash: mapping_hash(spec, stream, ""),
        path: read.contains(FILE_PATH),
        date: read.contains(FILE_DATE),
    })
}

/// What a file's rows are: its bytes, and the corrections of them.
fn content(file: &File) -> String {
    [std::slice::from_ref(&file.sha256), &file.edits]
        .concat()
        .join("+")
}
