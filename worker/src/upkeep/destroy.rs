//! Deleting a lake for good: everything below its place, once it is sure whose it is.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use musubi_lake::{
    Meta, Store,
    pointer::{self, OWNER},
};
use serde::Serialize;

/// Objects that are deleted at once.
const AT_ONCE: usize = 32;
/// Times that the place is looked at, while somebody goes on writing there.
const LOOKS: usize = 5;

/// What a lake holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Contents {
    /// The pipeline that owns it; none when there is nothing.
    pub owner: Option<String>,
    /// What is in its folders, and beside them, by name.
    pub folders: BTreeMap<String, Folder>,
}

/// What a folder holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Folder {
    /// Objects.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// The lake is another pipeline's.
#[derive(Debug, thiserror::Error)]
#[error("{place} belongs to pipeline {owner}, not to {claimant}: nothing was deleted")]
pub struct NotOwned {
    place: String,
    owner: String,
    claimant: String,
}

/// What would be deleted.
///
/// # Errors
/// [`NotOwned`]; a place that is no lake; those of the storage.
pub async fn look(store: &Store, pipeline: &str) -> Result<Contents> {
    let owner = pointer::owner(store).await?;
    let objects = store.list("").await?;
    match &owner {
        Some(owner) if owner != pipeline => {
            return Err(NotOwned {
                place: store.name().into(),
                owner: owner.clone(),
                claimant: pipeline.into(),
            }
            .into());
        }
        None if !objects.is_empty() => bail!(
            "{} is no lake of musubi's: it has no {OWNER}, and {} objects. Nothing was deleted",
            store.name(),
            objects.len()
        ),
        _ => {}
    }
    let mut folders: BTreeMap<String, Folder> = BTreeMap::new();
    for Meta { path, size, .. } in objects {
        let name = path
            .split_once('/')
            .map_or(path.as_str(), |(folder, _)| folder);
        let folder = folders.entry(name.to_owned()).or_default();
        folder.objects += 1;
        folder.bytes += size;
    }
    Ok(Contents { owner, folders })
}

/// Deletes it, and says what it was. May be stopped anywhere and called again; where nothing is, nothing happens.
///
/// # Errors
/// Those of [`look`]; somebody who goes on writing there.
pub async fn destroy(store: &Store, pipeline: &str) -> Result<Contents> {
    let contents = look(store, pipeline).await?;
    for _ in 0..LOOKS {
        let mut objects = store.list("").await?;
        // It goes last: a lake that is half gone still has its owner.
        objects.retain(|object| object.path != OWNER);
        if objects.is_empty() {
            store.delete(OWNER).await?;
            for scrap in store.scraps()? {
                store.discard(&scrap)?;
            }
            store.prune()?;
            return Ok(contents);
        }
        stream::iter(&objects)
            .map(|object| store.delete(&object.path))
            .buffer_unordered(AT_ONCE)
            .try_collect::<()>()
            .await?;
    }
    bail!(
        "somebody goes on writing to {}: end the runs of pipeline {pipeline}, and do it again",
        store.name()
    )
}
