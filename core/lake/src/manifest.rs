//! Shard commits: the first attempt that writes its manifest wins; any other is garbage that nobody reads.

use serde::{Serialize, de::DeserializeOwned};

use crate::{Error, Result, Store};

/// What a shard's commit came to.
#[derive(Debug)]
pub struct Committed<T> {
    /// The manifest that stands: ours, or that of the attempt that was first.
    pub manifest: T,
    /// Whether it is ours.
    pub won: bool,
}

fn path(uid: &str, stage: &str, shard: u32) -> String {
    format!("runs/{uid}/{stage}/{shard:05}.json")
}

/// A name for a file of this attempt alone.
#[must_use]
pub fn attempt_path(uid: &str, stage: &str, shard: u32, name: &str) -> String {
    format!(
        "runs/{uid}/{stage}/files/{shard:05}-{}-{name}",
        uuid::Uuid::new_v4().simple()
    )
}

/// Reads JSON that musubi wrote.
///
/// # Errors
/// [`Error::Corrupt`] when it is not what it should be.
pub fn decode<T: DeserializeOwned>(path: &str, what: &'static str, bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|e| Error::corrupt(path, what, e))
}

/// Writes JSON, for a file that musubi reads again.
///
/// # Errors
/// When a value cannot be written as JSON.
pub fn encode<T: Serialize>(path: &str, value: &T) -> Result<bytes::Bytes> {
    Ok(serde_json::to_vec(value)
        .map_err(|e| Error::unavailable(path, e))?
        .into())
}

/// Commits a shard.
///
/// # Errors
/// Those of the storage; a lost race is none.
pub async fn commit<T: Serialize + DeserializeOwned>(
    store: &Store,
    uid: &str,
    stage: &str,
    shard: u32,
    manifest: T,
) -> Result<Committed<T>> {
    let path = path(uid, stage, shard);
    match store.create(&path, encode(&path, &manifest)?).await {
        Ok(()) => Ok(Committed {
            manifest,
            won: true,
        }),
        Err(Error::AlreadyExists { .. }) => {
            let bytes = store.get(&path).await?;
            Ok(Committed {
                manifest: decode(&path, "a shard's manifest", &bytes)?,
                won: false,
            })
        }
        Err(error) => Err(error),
    }
}

/// The manifest of a shard, if it is committed.
///
/// # Errors
/// Those of the storage.
pub async fn find<T: DeserializeOwned>(
    store: &Store,
    uid: &str,
    stage: &str,
    shard: u32,
) -> Result<Option<T>> {
    let path = path(uid, stage, shard);
    store
        .find(&path)
        .await?
        .map(|bytes| decode(&path, "a shard's manifest", &bytes))
        .transpose()
}

/// The manifests of all shards of a stage that is complete, by shard.
///
/// # Errors
/// [`Error::NotFound`] when one is missing.
pub async fn all<T: DeserializeOwned>(
    store: &Store,
    uid: &str,
    stage: &str,
    shards: u32,
) -> Result<Vec<T>> {
    let mut manifests = Vec::new();
    for shard in 0..shards {
        let path = path(uid, stage, shard);
        manifests.push(decode(
            &path,
            "a shard's manifest",
            &store.get(&path).await?,
        )?);
    }
    Ok(manifests)
}
