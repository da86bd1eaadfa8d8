//! What readers see: one pointer that names the version of every table, and who owns the lake.
//!
//! A publish writes its intent first. From then on that run can only roll forward, by anybody who comes
//! along; the pointer is swapped last. Each body carries a nonce, because an ETag is a content hash and
//! A → B → A would pass for unchanged.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    manifest::{decode, encode},
    store::{Error, Result, Store, Tag},
};

const POINTER: &str = "published.json";
const INTENT: &str = "intent.json";
const OWNER: &str = "owner.json";

/// A published version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Published {
    /// Version, from 1.
    pub version: u64,
    /// Run that made its content.
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

/// One version of the past, if it is still described.
///
/// # Errors
/// Those of the storage.
pub async fn version(store: &Store, version: u64) -> Result<Option<Published>> {
    let path = format!("published/{version:010}.json");
    store
        .find(&path)
        .await?
        .map(|bytes| decode(&path, "a published version", &bytes))
        .transpose()
}

/// Every version that is still described, oldest first.
///
/// # Errors
/// Those of the storage.
pub async fn history(store: &Store) -> Result<Vec<Published>> {
    let mut versions = Vec::new();
    for meta in store.list("published").await? {
        versions.push(decode(
            &meta.path,
            "a published version",
            &store.get(&meta.path).await?,
        )?);
    }
    Ok(versions)
}

/// Moves the pointer from the version that was read to the next. A pointer that stands at `next` already
/// (same run, same version) is fine: somebody else rolled forward.
///
/// # Errors
/// [`Error::Conflict`] when the pointer has gone elsewhere.
pub async fn advance(store: &Store, from: Option<&Tag>, next: &Published) -> Result<()> {
    let record = format!("published/{:010}.json", next.version);
    let body = encode(POINTER, next)?;
    match store.create(&record, body.clone()).await {
        Ok(()) | Err(Error::AlreadyExists { .. }) => {}
        Err(error) => return Err(error),
    }
    // What was described first is what is published, whoever gets here.
    let body = store.get(&record).await?;
    let outcome = match from {
        Some(tag) => store.swap(POINTER, body, tag).await,
        None => store.create(POINTER, body).await,
    };
    match outcome {
        Err(Error::Conflict { path } | Error::AlreadyExists { path }) => {
            match published(store).await? {
                Some((now, _)) if now.version == next.version && now.run == next.run => Ok(()),
                _ => Err(Error::Conflict { path }),
            }
        }
        other => other,
    }
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
