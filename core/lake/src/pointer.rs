//! What readers see: one pointer that names the version of every table, and who owns the lake.
//!
//! A publish writes its intent first. From then on that run can only roll forward, by anybody who comes
//! along; the pointer is swapped last. Each body carries a nonce, because an ETag is a content hash and
//! A → B → A would pass for unchanged.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    Error, Result, Store, Tag,
    manifest::{decode, encode},
};

const POINTER: &str = "published.json";
const INTENT: &str = "intent.json";
/// What says whose a lake is.
pub const OWNER: &str = "owner.json";

/// A published version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Published {
    /// Version, from 1.
    pub version: u64,
    /// Run or rollback that published it.
    pub run: String,
    /// Instant that the run speaks for.
    pub as_of: jiff::Timestamp,
    /// Random.
    pub nonce: String,
    /// For a rollback: the version whose content this is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restores: Option<u64>,
    /// Version of each table.
    pub tables: BTreeMap<String, TableVersion>,
    /// What the next run starts from, by name: paths of bookmarks, model, registry and the like.
    pub state: BTreeMap<String, String>,
}

/// A table in a published version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TableVersion {
    /// Version in the table's own log.
    pub delta_version: u64,
    /// Rows.
    pub rows: u64,
}

/// A run that has begun to publish.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Intent {
    /// Run that publishes; `None` when nobody does.
    pub run: Option<String>,
    /// Version that it makes.
    pub version: u64,
    /// Random.
    pub nonce: String,
}

/// A random nonce.
#[must_use]
pub fn nonce() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}

async fn read<T: serde::de::DeserializeOwned>(
    store: &Store,
    path: &'static str,
    what: &'static str,
) -> Result<Option<(T, Tag)>> {
    match store.get_tagged(path).await {
        Ok((bytes, tag)) => Ok(Some((decode(path, what, &bytes)?, tag))),
        Err(Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The version that readers see, with its tag.
///
/// # Errors
/// Those of the storage.
pub async fn published(store: &Store) -> Result<Option<(Published, Tag)>> {
    read(store, POINTER, "the published pointer").await
}

fn record(version: u64) -> String {
    format!("published/{version:010}.json")
}

/// One version of the past, if it is still described.
///
/// # Errors
/// Those of the storage.
pub async fn version(store: &Store, version: u64) -> Result<Option<Published>> {
    let path = record(version);
    store
        .find(&path)
        .await?
        .map(|bytes| decode(&path, "a published version", &bytes))
        .transpose()
}

/// A version of the past, and when it was published.
#[derive(Clone, Debug)]
pub struct Past {
    /// The version.
    pub version: Published,
    /// When it was described, by the storage's clock.
    pub at: jiff::Timestamp,
}

/// Every version that is still described, oldest first; also one that is about to be published.
///
/// # Errors
/// Those of the storage.
pub async fn history(store: &Store) -> Result<Vec<Published>> {
    let described = described(store).await?.into_iter();
    Ok(described.map(|past| past.version).collect())
}

/// Every version that was published and is still described, oldest first.
///
/// # Errors
/// Those of the storage.
pub async fn past(store: &Store) -> Result<Vec<Past>> {
    let now = published(store).await?.map_or(0, |(p, _)| p.version);
    let mut versions = described(store).await?;
    versions.retain(|past| past.version.version <= now);
    Ok(versions)
}

async fn described(store: &Store) -> Result<Vec<Past>> {
    let mut versions = Vec::new();
    for meta in store.list("published").await? {
        let Some(body) = store.find(&meta.path).await? else {
            continue;
        };
        versions.push(Past {
            version: decode(&meta.path, "a published version", &body)?,
            at: meta.modified,
        });
    }
    Ok(versions)
}

/// The version that `run` published, if the pointer has come to it; whatever was published since.
///
/// # Errors
/// Those of the storage.
pub async fn published_by(store: &Store, run: &str, number: u64) -> Result<Option<Published>> {
    match published(store).await? {
        Some((now, _)) if now.version >= number => {
            Ok(version(store, number).await?.filter(|p| p.run == run))
        }
        _ => Ok(None),
    }
}

/// Moves the pointer to a version that was declared ([`declare`]), and gives what now stands as that version: what
/// was described first, whoever gets here. A pointer that has come there already, or further, is fine:
/// somebody else rolled forward.
///
/// # Errors
/// [`Error::Conflict`] when another run published this version.
pub async fn advance(store: &Store, next: &Published) -> Result<Published> {
    let record = record(next.version);
    let body = match store.create(&record, encode(POINTER, next)?).await {
        Ok(()) | Err(Error::AlreadyExists { .. }) => store.get(&record).await?,
        Err(error) => return Err(error),
    };
    let described: Published = decode(&record, "a published version", &body)?;
    if described.run != next.run {
        return Err(Error::Conflict { path: record });
    }
    loop {
        let outcome = match published(store).await? {
            Some((now, _)) if now.version >= next.version => return Ok(described),
            Some((_, tag)) => store.swap(POINTER, body.clone(), &tag).await,
            // The first version, or a lake whose pointer was lost and that is rebuilt from raw.
            None => store.create(POINTER, body.clone()).await,
        };
        match outcome {
            Ok(()) => return Ok(described),
            // Somebody else moved it: what it says now decides. It only ever grows, so this ends.
            Err(Error::Conflict { .. } | Error::AlreadyExists { .. }) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Forgets a version of the past: its files may go.
///
/// # Errors
/// Those of the storage.
pub async fn forget(store: &Store, version: u64) -> Result<()> {
    store.delete(&record(version)).await
}

/// The intent that stands, with its tag.
///
/// # Errors
/// Those of the storage.
pub async fn intent(store: &Store) -> Result<Option<(Intent, Tag)>> {
    read(store, INTENT, "the publish intent").await
}

/// Declares that `run` publishes `version`. It is fine if it had said so before.
///
/// # Errors
/// [`Error::Conflict`] when another run has declared itself for this version or a later one.
pub async fn declare(store: &Store, run: &str, version: u64) -> Result<()> {
    let next = Intent {
        run: Some(run.into()),
        version,
        nonce: nonce(),
    };
    let body = encode(INTENT, &next)?;
    let outcome = match intent(store).await? {
        None => store.create(INTENT, body).await,
        Some((now, _)) if now.version == version && now.run.as_deref() == Some(run) => {
            return Ok(());
        }
        Some((now, tag)) if now.version < version => store.swap(INTENT, body, &tag).await,
        Some(_) => {
            return Err(Error::Conflict {
                path: INTENT.into(),
            });
        }
    };
    match outcome {
        Err(Error::AlreadyExists { path } | Error::Conflict { path }) => match intent(store).await?
        {
            Some((now, _)) if now.version == version && now.run.as_deref() == Some(run) => Ok(()),
            _ => Err(Error::Conflict { path }),
        },
        other => other,
    }
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Owner {
    pipeline: String,
}

/// The pipeline that owns the lake, if one does.
///
/// # Errors
/// Those of the storage.
pub async fn owner(store: &Store) -> Result<Option<String>> {
    let owner: Option<(Owner, Tag)> = read(store, OWNER, "the owner of the lake").await?;
    Ok(owner.map(|(owner, _)| owner.pipeline))
}

/// Takes the lake for a pipeline (`namespace/name`), or finds that it is taken by it already.
///
/// # Errors
/// [`Error::Owned`] when it is another's.
pub async fn claim(store: &Store, pipeline: &str) -> Result<()> {
    let ours = Owner {
        pipeline: pipeline.into(),
    };
    match store.create(OWNER, encode(OWNER, &ours)?).await {
        Err(Error::AlreadyExists { .. }) => {}
        other => return other,
    }
    let owner: Owner = decode(OWNER, "the owner of the lake", &store.get(OWNER).await?)?;
    if owner == ours {
        return Ok(());
    }
    Err(Error::Owned {
        owner: owner.pipeline,
        claimant: pipeline.into(),
    })
}
