//! Going back: an earlier version is published again, as a new one.
//!
//! Tables, bookmarks, model, identity graph and ids are those of the earlier version, so the next run goes on
//! from there: files that were taken since are new to it and are taken again. Raw bytes stay in the lake.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, bail};
use musubi_lake::{
    Store,
    delta::{self, DataFile},
    pointer::{self, Published},
};

use crate::stage::{
    RunRefused,
    publication::{self, Publication},
};

/// What a rollback would do or did.
#[derive(Debug)]
pub struct Rollback {
    /// What is or was published before.
    pub from: Published,
    /// The version whose content comes back.
    pub to: Published,
    /// What was published; `None` when nothing was to be done.
    pub published: Option<Published>,
}

/// Whether `now` has the content of version `to`.
fn is_there(now: &Published, to: u64) -> bool {
    now.version == to || now.restores == Some(to)
}

/// Says what a rollback would do.
///
/// # Errors
/// When nothing is published, or the version is not in the lake.
pub async fn preview(store: &Store, to: u64) -> Result<Rollback> {
    let now = pointer::published(store).await?;
    let (from, _) = now.with_context(|| format!("nothing is published in {} yet", store.name()))?;
    let target = pointer::version(store, to)
        .await?
        .filter(|t| t.version <= from.version);
    let Some(target) = target else {
        let known: Vec<String> = pointer::past(store)
            .await?
            .iter()
            .map(|p| p.version.version.to_string())
            .collect();
        bail!(
            "version {to} is not in {}; it has {} (see `musubi lake log`)",
            store.name(),
            known.join(", ")
        );
    };
    Ok(Rollback {
        from,
        to: target,
        published: None,
    })
}

/// Publishes the content of version `to` as a new version. Nothing happens when it is there already.
///
/// # Errors
/// When the version or a file of it is gone, or a run publishes at the same time.
pub async fn rollback(store: &Store, pipeline: &str, to: u64) -> Result<Rollback> {
    pointer::claim(store, pipeline).await?;
    publication::roll_forward(store).await?;
    let mut rollback = preview(store, to).await?;
    if is_there(&rollback.from, to) {
        return Ok(rollback);
    }
    let publication = Publication {
        run: format!("rollback-{}", uuid::Uuid::now_v7()),
        pipeline: pipeline.to_owned(),
        version: rollback.from.version + 1,
        as_of: rollback.to.as_of,
        restores: Some(to),
        tables: files(store, &rollback).await?,
        state: rollback.to.state.clone(),
    };
    let publication = publication::write(store, publication).await?;
    // From here a clean-up keeps the files. One that came before has forgotten the version first.
    if pointer::version(store, to).await?.is_none() {
        bail!("version {to} was cleared away just now; see `musubi lake log` for what is left");
    }
    match publication::publish(store, &publication).await {
        Ok(published) => rollback.published = Some(published),
        Err(error) if error.downcast_ref::<RunRefused>().is_some() => bail!(
            "a run published version {} just now; look at `musubi lake log`, then roll back again",
            publication.version
        ),
        Err(error) => return Err(error),
    }
    Ok(rollback)
}

/// The files of every table as they were, once it is sure that all are there.
async fn files(store: &Store, rollback: &Rollback) -> Result<BTreeMap<String, Vec<DataFile>>> {
    let to = &rollback.to;
    // A value of the state is a path, a list of paths, or a number.
    let paths = to.state.values().flat_map(|v| v.lines());
    for path in paths.filter(|v| v.contains('/')) {
        if store.head(path).await?.is_none() {
            bail!("version {} cannot come back: {path} is gone", to.version);
        }
    }
    // A table that is newer than the version is emptied.
    let mut tables: BTreeMap<String, Vec<DataFile>> = rollback
        .from
        .tables
        .keys()
        .map(|name| (name.clone(), Vec::new()))
        .collect();
    for (name, table) in &to.tables {
        let folder = format!("curated/{name}");
        let snapshot = delta::snapshot(store, &folder, Some(table.delta_version)).await?;
        let files: Vec<DataFile> = snapshot
            .map(|s| s.files)
            .unwrap_or_default()
            .into_values()
            .collect();
        let there: BTreeSet<String> = store
            .list(&folder)
            .await?
            .into_iter()
            .map(|m| m.path)
            .collect();
        if let Some(gone) = files
            .iter()
            .find(|f| !there.contains(&format!("{folder}/{}", f.path)))
        {
            bail!(
                "version {} cannot come back: {folder}/{} is gone",
                to.version,
                gone.path
            );
        }
        tables.insert(name.clone(), files);
    }
    Ok(tables)
}
