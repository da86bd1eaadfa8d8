//! A run that rebuilds from raw. Clean rows and tables follow from raw objects, corrections and rules; which
//! customer has which id, and the model, do not follow from them alone and are kept under `identity/`.
//!
//! The raw zone says by itself what was taken: each object has its origins beside it. The pointer's own list is
//! used where the pointer stands, since a rollback may have put files back that the raw zone still has.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use arrow::compute::concat_batches;
use musubi_api::run::Replay;
use musubi_lake::{
    Store, manifest, parquet,
    pointer::{self, Published},
};
use serde::{Deserialize, Serialize};

use super::{
    Context,
    clean::{CleanKeys, Cleaned},
    edits,
    files::{File, Files},
    plan::Start,
    publication, tables, versions,
};

/// Name of the state that holds what happened to ids before, when the table of it is lost.
pub(super) const HISTORY: &str = "idHistory";

/// What of a version's state cannot be found again from raw.
const IDENTITY: [&str; 4] = ["model", "registry", "aliases", "changes"];

/// What a published version knows of identity.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    version: u64,
    run: String,
    state: BTreeMap<String, String>,
}

fn kept_path(version: u64) -> String {
    format!("identity/versions/{version:010}.json")
}

/// Keeps what a version knows of identity apart from everything that can be rebuilt. To be called before the
/// version is published.
///
/// # Errors
/// Those of the storage.
pub(crate) async fn keep_identity(store: &Store, published: &Published) -> Result<()> {
    let path = kept_path(published.version);
    let state = published.state.iter();
    let kept = Kept {
        version: published.version,
        run: published.run.clone(),
        state: state
            .filter(|(name, _)| IDENTITY.contains(&name.as_str()))
            .map(|(name, path)| (name.clone(), path.clone()))
            .collect(),
    };
    Ok(store.put(&path, manifest::encode(&path, &kept)?).await?)
}

async fn kept(store: &Store) -> Result<Vec<Kept>> {
    let mut all = Vec::new();
    for meta in store.list("identity/versions").await? {
        let bytes = store.get(&meta.path).await?;
        all.push(manifest::decode(
            &meta.path,
            "what a version knows of identity",
            &bytes,
        )?);
    }
    Ok(all)
}

/// Where a replay starts.
///
/// # Errors
/// Those of the storage, and when there is nothing in the raw zone.
pub(super) async fn start(context: &Context, what: &Replay) -> Result<Start> {
    let store = &context.store;
    if pointer::published(store).await?.is_some() {
        publication::roll_forward(store).await?;
    }
    let published = pointer::published(store).await?.map(|(p, _)| p);
    let history = pointer::history(store).await?;
    let kept = kept(store).await?;
    let intent = pointer::intent(store).await?.map_or(0, |(i, _)| i.version);
    let versions = history.iter().map(|p| p.version);
    let latest = versions
        .chain(kept.iter().map(|k| k.version))
        .chain(published.iter().map(|p| p.version))
        .chain([intent])
        .max()
        .unwrap_or(0);
    let files = match published.as_ref().and_then(|p| p.state.get("files")) {
        Some(path) if store.head(path).await?.is_some() => Files::read(store, path).await?,
        _ => {
            let runs = history.iter().map(|p| p.run.as_str());
            let runs: BTreeSet<&str> = runs.chain(kept.iter().map(|k| k.run.as_str())).collect();
            Files::default().with(&context.run, origins(store, &runs).await?)
        }
    };
    anyhow::ensure!(
        !files.0.is_empty(),
        "{} has nothing in its raw zone to rebuild from; `musubi run` takes files from the sources",
        store.name()
    );
    let mut state = match (&published, what.from) {
        (Some(published), Some(_)) => published.state.clone(),
        _ => identity(store, published.as_ref(), &kept).await?,
    };
    if let (Some(published), Some(from)) = (&published, what.from) {
        let edits = edits::all(store, &context.run).await?;
        let files = files.clone().corrected(&edits);
        match before(context, published, &files, from).await? {
            Some(path) => state.insert("cleaned".to_owned(), path),
            None => state.remove("cleaned"),
        };
        // Places in clean files that are written anew are read anew.
        state.remove(versions::STATE);
    }
    if published.is_none()
        && let Some(path) = id_history(context, &kept).await?
    {
        state.insert(HISTORY.to_owned(), path);
    }
    let path = format!("runs/{}/replay-files.json", context.run.uid);
    store.put(&path, manifest::encode(&path, &files)?).await?;
    state.insert("files".to_owned(), path);
    Ok(Start {
        base: published.map_or(0, |p| p.version),
        next: latest + 1,
        state,
    })
}

/// What the raw zone says was taken, by runs that were published; by all where no published run is known.
async fn origins(store: &Store, published: &BTreeSet<&str>) -> Result<Vec<File>> {
    let mut files = Vec::new();
    for meta in store.list("raw").await? {
        if !meta.path.contains(".origins/") {
            continue;
        }
        let bytes = store.get(&meta.path).await?;
        let file: File = manifest::decode(&meta.path, "the origin of a raw object", &bytes)?;
        let counts =
            published.is_empty() || file.run.is_empty() || published.contains(file.run.as_str());
        if counts {
            files.push(file);
        }
    }
    Ok(files)
}

/// The model and the ids that stand, as far as they are still there.
async fn identity(
    store: &Store,
    published: Option<&Published>,
    kept: &[Kept],
) -> Result<BTreeMap<String, String>> {
    let newest = kept.iter().max_by_key(|k| k.version).map(|k| &k.state);
    let mut state = BTreeMap::new();
    for name in ["model", "registry", "aliases"] {
        let told = [published.map(|p| &p.state), newest];
        for path in told.into_iter().flatten().filter_map(|s| s.get(name)) {
            if all_there(store, path).await? {
                state.insert(name.to_owned(), path.clone());
                break;
            }
        }
    }
    if state.len() < 3 && (published.is_some() || newest.is_some()) {
        tracing::warn!(
            "the lake has lost its model or its ids (identity/): customers may get other ids than before"
        );
    }
    Ok(state)
}

/// Whether all parts are there, a path each line.
async fn all_there(store: &Store, paths: &str) -> Result<bool> {
    for path in paths.lines() {
        if store.head(path).await?.is_none() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The clean rows of files before a date that were made under the rules of today, as an index; `None` when the
/// published version has no index.
async fn before(
    context: &Context,
    published: &Published,
    files: &Files,
    from: jiff::civil::Date,
) -> Result<Option<String>> {
    let store = &context.store;
    let Some(path) = published.state.get("cleaned") else {
        return Ok(None);
    };
    let Some(bytes) = store.find(path).await? else {
        return Ok(None);
    };
    let mut known: BTreeMap<String, Cleaned> =
        manifest::decode(path, "the index of clean files", &bytes)?;
    let there: BTreeSet<String> = store
        .list("clean")
        .await?
        .into_iter()
        .map(|m| m.path)
        .collect();
    let mut keys = CleanKeys::default();
    let earlier: BTreeSet<String> = files
        .active()
        .filter(|file| file.day().is_some_and(|day| day < from))
        .filter_map(|file| keys.of(context, file))
        .collect();
    known.retain(|key, cleaned| {
        let parts = cleaned.entities.values().chain(&cleaned.quarantine);
        let parts = parts.map(|part| &part.path);
        let mut parts = parts.chain(cleaned.looked_up.iter().map(|l| &l.asked));
        earlier.contains(key) && parts.all(|path| there.contains(path))
    });
    let path = format!("runs/{}/replay-cleaned.json", context.run.uid);
    store.put(&path, manifest::encode(&path, &known)?).await?;
    Ok(Some(path))
}

/// What happened to ids in all versions.
async fn id_history(context: &Context, kept: &[Kept]) -> Result<Option<String>> {
    let store = &context.store;
    let schema = tables::schema("id_changes").context("table id_changes is unknown")?;
    let mut rows = Vec::new();
    for path in kept.iter().filter_map(|k| k.state.get("changes")) {
        if store.head(path).await?.is_some() {
            rows.extend(parquet::read(store, path, None).await?);
        }
    }
    if rows.is_empty() {
        return Ok(None);
    }
    let rows = concat_batches(&schema, &rows)?;
    let path = format!("runs/{}/replay-id-changes.parquet", context.run.uid);
    parquet::write(store, &path, schema, &Default::default(), &[rows]).await?;
    Ok(Some(path))
}
