//! The one way in which a version becomes the published one: written down, declared, committed table by
//! table, and only then pointed to.
//!
//! Once its intent stands, a publication can only go forward, by whoever comes along: everything that is to
//! be done is in the lake before. So of rivals for a number one wins, a publisher may die or freeze anywhere,
//! and one that wakes late finds its work done.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use musubi_api::run::Stage;
use musubi_lake::{
    Error, Store,
    delta::{self, DataFile},
    manifest,
    pointer::{self, Published, TableVersion},
};
use serde::{Deserialize, Serialize};

use super::{RunRefused, plan::Plan, replay, tables};

/// Everything that a publish does, written down before it begins.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Publication {
    /// Run or rollback that publishes.
    pub(crate) run: String,
    /// Pipeline, with its namespace.
    pub(crate) pipeline: String,
    /// Version that it makes.
    pub(crate) version: u64,
    /// Instant that it speaks for.
    pub(crate) as_of: jiff::Timestamp,
    /// For a rollback: the version whose content this is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) restores: Option<u64>,
    /// Files of each table.
    pub(crate) tables: BTreeMap<String, Vec<DataFile>>,
    /// What the next run starts from.
    pub(crate) state: BTreeMap<String, String>,
}

fn path(run: &str) -> String {
    format!("runs/{run}/publication.json")
}

/// What a run has written down, if it has come so far.
pub(crate) async fn find(store: &Store, run: &str) -> Result<Option<Publication>> {
    let path = path(run);
    let found = store.find(&path).await?;
    let decode = |bytes: bytes::Bytes| manifest::decode(&path, "a publication", &bytes);
    Ok(found.map(decode).transpose()?)
}

/// Writes a publication down; gives what stands, which may be a faster attempt's.
pub(crate) async fn write(store: &Store, publication: Publication) -> Result<Publication> {
    let path = path(&publication.run);
    match store
        .create(&path, manifest::encode(&path, &publication)?)
        .await
    {
        Ok(()) => Ok(publication),
        Err(Error::AlreadyExists { .. }) => Ok(find(store, &publication.run)
            .await?
            .context("a publication is gone again")?),
        Err(error) => Err(error.into()),
    }
}

/// Publishes what is written down.
///
/// # Errors
/// [`RunRefused`] when the number went to somebody else.
pub(crate) async fn publish(store: &Store, publication: &Publication) -> Result<Published> {
    let Publication { run, version, .. } = publication;
    if let Some(done) = pointer::published_by(store, run, *version).await? {
        return Ok(done);
    }
    match pointer::declare(store, run, *version).await {
        Ok(()) => finish(store, publication).await,
        Err(Error::Conflict { .. }) => {
            // Somebody may have rolled this very publication forward, and gone on.
            if let Some(done) = pointer::published_by(store, run, *version).await? {
                return Ok(done);
            }
            let why = format!(
                "version {version} was published by another run or a rollback while this one was under way; start a new run"
            );
            Err(RunRefused(why).into())
        }
        Err(error) => Err(error.into()),
    }
}

/// Whether a run can no longer publish: somebody else has published the version that it was planned for.
///
/// # Errors
/// Those of the storage.
pub(crate) async fn is_overtaken(store: &Store, run: &str) -> Result<bool> {
    let plan: Option<Plan> = manifest::find(store, run, Stage::Plan.as_str(), 0).await?;
    let Some(version) = plan.map(|p| p.next_version()) else {
        return Ok(false);
    };
    let now = pointer::published(store).await?;
    Ok(now.is_some_and(|(p, _)| p.version >= version)
        && pointer::published_by(store, run, version).await?.is_none())
}

/// Completes a publish that somebody began and did not end.
///
/// # Errors
/// Those of the storage.
pub(crate) async fn roll_forward(store: &Store) -> Result<()> {
    let Some((intent, _)) = pointer::intent(store).await? else {
        return Ok(());
    };
    let now = pointer::published(store).await?;
    let now = now.map_or(0, |(p, _)| p.version);
    let Some(run) = intent.run.filter(|_| intent.version > now) else {
        return Ok(());
    };
    let publication = find(store, &run)
        .await?
        .with_context(|| format!("{} is gone, and intent.json asks for it", path(&run)))?;
    tracing::info!(
        run,
        version = intent.version,
        "completing a publish that was begun"
    );
    finish(store, &publication).await?;
    Ok(())
}

/// Commits every table, then the pointer. May be done twice, by two processes at once.
async fn finish(store: &Store, publication: &Publication) -> Result<Published> {
    let mut versions = BTreeMap::new();
    for (table, files) in &publication.tables {
        let rows = files.iter().map(|f| f.rows).sum();
        let schema = tables::schema(table).with_context(|| format!("table {table} is unknown"))?;
        let commit = delta::Commit {
            table: &format!("curated/{table}"),
            schema: &schema,
            application: &format!("{}/{table}", publication.pipeline),
            transaction: publication.version,
            files: files.clone(),
            at: publication.as_of,
        };
        let delta_version = delta::commit(store, &commit).await?;
        versions.insert(
            table.clone(),
            TableVersion {
                delta_version,
                rows,
            },
        );
    }
    let next = Published {
        version: publication.version,
        run: publication.run.clone(),
        as_of: publication.as_of,
        nonce: pointer::nonce(),
        restores: publication.restores,
        tables: versions,
        state: publication.state.clone(),
    };
    replay::keep_identity(store, &next).await?;
    Ok(pointer::advance(store, &next).await?)
}
