//! Put-if-absent and compare-and-swap on a folder.
//!
//! A file appears whole or not at all: it is written under a temporary name, synced, and then linked
//! (put-if-absent) or renamed (swap) into place. A swap compares content under an advisory lock beside
//! the file; the lock is the kernel's, so it goes with a process that dies.

use std::{
    fs::{self, File, OpenOptions},
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::store::{Error, Result};

fn failed(path: &str, error: std::io::Error) -> Error {
    let path = path.to_owned();
    match error.kind() {
        ErrorKind::NotFound => Error::NotFound { path },
        ErrorKind::AlreadyExists => Error::AlreadyExists { path },
        ErrorKind::PermissionDenied => Error::PermissionDenied { path },
        _ => Error::Unavailable {
            path,
            source: Box::new(error),
        },
    }
}

fn tag(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

pub(crate) fn read(root: &Path, path: &str) -> Result<(Bytes, String)> {
    let bytes = fs::read(root.join(path)).map_err(|e| failed(path, e))?;
    let tag = tag(&bytes);
    Ok((bytes.into(), tag))
}

/// Writes and syncs a temporary file in the folder of `target`.
fn stage(target: &Path, path: &str, bytes: &[u8]) -> Result<PathBuf> {
    let parent = target
        .parent()
        .ok_or_else(|| Error::NotFound { path: path.into() })?;
    fs::create_dir_all(parent).map_err(|e| failed(path, e))?;
    let staged = parent.join(format!(".{}#tmp", uuid::Uuid::new_v4()));
    let write = || {
        let mut file = File::create(&staged)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(|e| failed(path, e))?;
    Ok(staged)
}

fn sync_parent(target: &Path, path: &str) -> Result<()> {
    let Some(parent) = target.parent() else {
        return Ok(());
    };
    File::open(parent)
        .and_then(|dir| dir.sync_all())
        .map_err(|e| failed(path, e))
}

pub(crate) fn create(root: &Path, path: &str, bytes: &[u8]) -> Result<()> {
    let target = root.join(path);
    let staged = stage(&target, path, bytes)?;
    let linked = fs::hard_link(&staged, &target);
    fs::remove_file(&staged).map_err(|e| failed(path, e))?;
    linked.map_err(|e| failed(path, e))?;
    sync_parent(&target, path)
}

pub(crate) fn swap(root: &Path, path: &str, bytes: &[u8], expected: &str) -> Result<()> {
    let target = root.join(path);
    let conflict = || Error::Conflict { path: path.into() };
    let name = target
        .file_name()
        .ok_or_else(conflict)?
        .to_string_lossy()
        .into_owned();
    let lock = target.with_file_name(format!(".{name}#lock"));
    let lock = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(lock)
        .map_err(|e| {
            if e.kind() == ErrorKind::NotFound {
                conflict()
            } else {
                failed(path, e)
            }
        })?;
    lock.lock().map_err(|e| failed(path, e))?;
    match fs::read(&target) {
        Ok(current) if tag(&current) == expected => {}
        Ok(_) => return Err(conflict()),
        Err(e) if e.kind() == ErrorKind::NotFound => return Err(conflict()),
        Err(e) => return Err(failed(path, e)),
    }
    let staged = stage(&target, path, bytes)?;
    fs::rename(&staged, &target).map_err(|e| failed(path, e))?;
    sync_parent(&target, path)
}
