//! Clearing away what nobody can need any more: a tracing collector over the lake's own documents.
//!
//! Kept is whatever a document that counts names, directly or through other documents: the published
//! versions that retention keeps, the publish that is under way, the runs that may be. A text in a document
//! that is an object's path holds that object, so a new kind of document is never forgotten here. What is
//! young is kept too: a run of which nothing is known here may be writing it. Raw bytes, quarantine, the
//! tables' logs and audiences are never touched.
//!
//! A version is forgotten first and its files go after a second look, so a rollback that has just named
//! them keeps them.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use anyhow::{Context as _, Result};
use futures::{StreamExt, TryStreamExt, stream};
use musubi_lake::{Meta, Scrap, Store, delta, pointer};
use serde::Serialize;
use serde_json::Value;

/// Folders of documents that may name other objects.
const DOCUMENTS: [&str; 4] = ["runs", "clean", "versions", "identity"];

/// Folders whose objects go when nothing that counts names them.
const SWEPT: [&str; 4] = ["clean", "curated", "identity/features", "versions"];

/// What is kept.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// Newest versions that are kept.
    pub versions: u32,
    /// Days for which a version is kept after another took its place, even when there are more.
    pub days: u32,
    /// Age below which nothing goes.
    pub min_age: jiff::SignedDuration,
    /// Now.
    pub now: jiff::Timestamp,
}

/// Why something goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Why {
    /// The record of a version past retention.
    Version,
    /// A data file that no kept version and no run has.
    Unused,
    /// A file of an attempt that lost.
    Attempt,
    /// A file of a run that is over and whose version, if any, is past retention.
    Run,
    /// What a writer left half-done when it died.
    Scrap,
}

/// Something that goes.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Waste {
    /// Path in the lake.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Why.
    pub why: Why,
}

/// What goes and what stays.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Findings {
    /// Versions that stay readable.
    pub kept: Vec<u64>,
    /// Versions that go.
    pub expired: Vec<u64>,
    /// Objects that go.
    pub waste: Vec<Waste>,
    #[serde(skip)]
    scraps: Vec<Scrap>,
}

/// Says what would go.
///
/// # Errors
/// Those of the storage.
pub async fn look(store: &Store, policy: &Policy) -> Result<Findings> {
    let runs = Runs::read(store, policy).await?;
    let versions = Versions::read(store, policy, &runs).await?;
    sweep(store, policy, &runs, &versions).await
}

/// Clears away. May be stopped anywhere and called again, also while runs and rollbacks are under way.
///
/// # Errors
/// Those of the storage.
pub async fn clear(store: &Store, policy: &Policy) -> Result<Findings> {
    let runs = Runs::read(store, policy).await?;
    let mut versions = Versions::read(store, policy, &runs).await?;
    for version in &versions.expired {
        pointer::forget(store, *version).await?;
    }
    // Who named an expired version before it was forgotten is seen now.
    let runs = Runs::read(store, policy).await?;
    let expired = std::mem::take(&mut versions.expired);
    versions = Versions::read(store, policy, &runs).await?;
    versions.expired = expired;
    let found = sweep(store, policy, &runs, &versions).await?;
    stream::iter(found.waste.iter().filter(|w| w.why != Why::Scrap))
        .map(|waste| store.delete(&waste.path))
        .buffer_unordered(16)
        .try_collect::<()>()
        .await?;
    for scrap in &found.scraps {
        store.discard(scrap)?;
    }
    Ok(found)
}

/// The runs of a lake.
struct Runs {
    /// Objects by run.
    objects: BTreeMap<String, Vec<Meta>>,
    /// Runs that may be under way.
    live: BTreeSet<String>,
    /// When the first of them began: what was written since may be theirs.
    since: Option<jiff::Timestamp>,
}

impl Runs {
    async fn read(store: &Store, policy: &Policy) -> Result<Self> {
        let mut objects: BTreeMap<String, Vec<Meta>> = BTreeMap::new();
        let mut live = BTreeSet::new();
        for meta in store.list("runs").await? {
            let Some((run, _)) = meta
                .path
                .strip_prefix("runs/")
                .and_then(|p| p.split_once('/'))
            else {
                continue;
            };
            if policy.is_young(meta.modified) {
                live.insert(run.to_owned());
            }
            objects.entry(run.to_owned()).or_default().push(meta);
        }
        if let Some(open) = json(store, "runs/open.json").await? {
            live.extend(open["run"]["uid"].as_str().map(str::to_owned));
        }
        if let Some((intent, _)) = pointer::intent(store).await? {
            let now = pointer::published(store)
                .await?
                .map_or(0, |(p, _)| p.version);
            live.extend(intent.run.filter(|_| intent.version > now));
        }
        let opened = store.head("runs/open.json").await?;
        let opened = opened.filter(|_| !live.is_empty()).map(|m| m.modified);
        let begun = live.iter().filter_map(|run| objects.get(run)).flatten();
        let since = begun.map(|m| m.modified).chain(opened).min();
        Ok(Self {
            objects,
            live,
            since,
        })
    }

    /// Whether a run that is under way may be writing it.
    fn may_write(&self, modified: jiff::Timestamp) -> bool {
        self.since.is_some_and(|since| modified >= since)
    }
}

impl Policy {
    fn is_young(&self, modified: jiff::Timestamp) -> bool {
        self.now.duration_since(modified) < self.min_age
    }
}

/// The versions of a lake.
struct Versions {
    kept: Vec<pointer::Published>,
    expired: Vec<u64>,
}

impl Versions {
    async fn read(store: &Store, policy: &Policy, runs: &Runs) -> Result<Self> {
        let mut needed = BTreeSet::new();
        for run in &runs.live {
            // A run reads the version that it started from, and the one that it published.
            if let Some(plan) = json(store, &format!("runs/{run}/plan/00000.json")).await? {
                needed.extend(plan["base"].as_u64());
                needed.extend(plan["next"].as_u64());
            }
            if let Some(rollback) = json(store, &format!("runs/{run}/publication.json")).await? {
                needed.extend(rollback["restores"].as_u64());
            }
        }
        let history = pointer::past(store).await?;
        let grace = jiff::SignedDuration::from_hours(24 * i64::from(policy.days));
        let newest = history
            .len()
            .saturating_sub(policy.versions.max(1) as usize);
        let (mut kept, mut expired) = (Vec::new(), Vec::new());
        for (at, past) in history.iter().enumerate() {
            let superseded = history.get(at + 1).map(|next| next.at);
            let recent = superseded.is_none_or(|s| policy.now.duration_since(s) < grace);
            let number = past.version.version;
            if at >= newest || recent || needed.contains(&number) {
                kept.push(past.version.clone());
            } else {
                expired.push(number);
            }
        }
        Ok(Self { kept, expired })
    }
}

async fn json(store: &Store, path: &str) -> Result<Option<Value>> {
    let Some(bytes) = store.find(path).await? else {
        return Ok(None);
    };
    let value = serde_json::from_slice(&bytes).with_context(|| format!("{path} is not JSON"))?;
    Ok(Some(value))
}

/// Everything that a document which counts names.
struct Held<'a> {
    store: &'a Store,
    texts: HashSet<String>,
    queue: Vec<String>,
    read: HashSet<String>,
}

impl Held<'_> {
    fn document(&mut self, path: &str) {
        if self.read.insert(path.to_owned()) {
            self.queue.push(path.to_owned());
        }
    }

    fn add(&mut self, value: &Value) {
        match value {
            Value::String(text) => text.lines().for_each(|line| self.line(line)),
            Value::Array(values) => values.iter().for_each(|v| self.add(v)),
            Value::Object(fields) => fields.values().for_each(|v| self.add(v)),
            _ => {}
        }
    }

    /// A text may be a list, a line each.
    fn line(&mut self, line: &str) {
        let folder = line.split_once('/').map(|(folder, _)| folder);
        if line.ends_with(".json") && folder.is_some_and(|f| DOCUMENTS.contains(&f)) {
            self.document(line);
        }
        self.texts.insert(line.to_owned());
    }

    /// Reads the documents that are waiting, and those that they name.
    async fn follow(&mut self) -> Result<()> {
        while let Some(path) = self.queue.pop() {
            self.texts.insert(path.clone());
            if let Some(value) = json(self.store, &path).await? {
                self.add(&value);
            }
        }
        Ok(())
    }

    /// Whether an object is named: by its path, or, for a table's file, by its path in the table.
    fn has(&self, path: &str) -> bool {
        let in_table = path
            .strip_prefix("curated/")
            .and_then(|p| p.split_once('/'));
        self.texts.contains(path) || in_table.is_some_and(|(_, name)| self.texts.contains(name))
    }
}

async fn held<'a>(store: &'a Store, runs: &Runs, versions: &Versions) -> Result<Held<'a>> {
    let mut held = Held {
        store,
        texts: HashSet::new(),
        queue: Vec::new(),
        read: HashSet::new(),
    };
    let publishers = versions.kept.iter().map(|v| &v.run);
    for run in runs.live.iter().chain(publishers) {
        for meta in runs.objects.get(run).into_iter().flatten() {
            if meta.path.ends_with(".json") {
                held.document(&meta.path);
            }
        }
    }
    for version in &versions.kept {
        held.add(&serde_json::to_value(version)?);
        for (name, table) in &version.tables {
            let folder = format!("curated/{name}");
            // The newest is read without the pointer by whoever opens the table itself.
            for at in [Some(table.delta_version), None] {
                let snapshot = delta::snapshot(store, &folder, at).await?;
                let files = snapshot.map(|s| s.files).unwrap_or_default();
                held.texts.extend(files.into_keys());
            }
        }
    }
    // What a lake knows of identity outlives its versions.
    for meta in store.list("identity").await? {
        if meta.path.ends_with(".json") {
            held.document(&meta.path);
        }
    }
    held.follow().await?;
    Ok(held)
}

async fn sweep(
    store: &Store,
    policy: &Policy,
    runs: &Runs,
    versions: &Versions,
) -> Result<Findings> {
    let held = held(store, runs, versions).await?;
    let mut found = Findings {
        kept: versions.kept.iter().map(|v| v.version).collect(),
        expired: versions.expired.clone(),
        ..Findings::default()
    };
    let mut take = |meta: &Meta, why| {
        let busy = policy.is_young(meta.modified) || runs.may_write(meta.modified);
        if !busy && !held.has(&meta.path) {
            found.waste.push(Waste {
                path: meta.path.clone(),
                size: meta.size,
                why,
            });
        }
    };
    for (run, objects) in runs
        .objects
        .iter()
        .filter(|(run, _)| !runs.live.contains(*run))
    {
        let stays = versions.kept.iter().any(|v| v.run == *run);
        for meta in objects {
            match stays {
                true if meta.path.contains("/files/") => take(meta, Why::Attempt),
                true => {}
                false => take(meta, Why::Run),
            }
        }
    }
    for prefix in SWEPT {
        for meta in store.list(prefix).await? {
            if !meta.path.contains("/_delta_log/") {
                take(&meta, Why::Unused);
            }
        }
    }
    found
        .waste
        .extend(versions.expired.iter().map(|version| Waste {
            path: format!("published/{version:010}.json"),
            size: 0,
            why: Why::Version,
        }));
    found.scraps = store.scraps()?;
    found
        .scraps
        .retain(|s| !policy.is_young(s.modified) && !runs.may_write(s.modified));
    found.waste.extend(found.scraps.iter().map(|scrap| Waste {
        path: scrap.path.clone(),
        size: 0,
        why: Why::Scrap,
    }));
    Ok(found)
}
