//! A folder as object storage, with real put-if-absent and compare-and-swap.
//!
//! A file appears whole or not at all: it is written under a temporary name, synced, and then linked
//! (put-if-absent) or renamed (swap) into place. A swap compares content under an advisory lock beside
//! the file; the lock is the kernel's, so it goes with a process that dies. Names that end in `#` and
//! digits are scratch: listings never show them.

use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Write},
    path::{Path as FilePath, PathBuf},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
    local::LocalFileSystem, path::Path,
};
use sha2::{Digest, Sha256};

const LOCK: &str = ".lock#0";

/// A folder.
#[derive(Debug)]
pub(crate) struct Folder {
    root: PathBuf,
    files: LocalFileSystem,
}

impl Folder {
    /// Opens a folder that exists.
    pub(crate) fn open(root: PathBuf) -> Result<Self> {
        let files = LocalFileSystem::new_with_prefix(&root)?;
        Ok(Self { root, files })
    }
}

impl fmt::Display for Folder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.root.display())
    }
}

/// The version of a small file: its content. An inode and a time of change may come back.
pub(crate) fn tag(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// Scratch files of writers that died, with the time of their last change.
pub(crate) fn scraps(root: &FilePath) -> io::Result<Vec<(PathBuf, std::time::SystemTime)>> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let Ok(meta) = entry.metadata() else { continue };
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if meta.is_dir() {
                folders.push(entry.path());
            } else if is_scratch(&name) && !name.ends_with(LOCK) {
                found.push((entry.path(), meta.modified()?));
            }
        }
    }
    Ok(found)
}

fn is_scratch(name: &str) -> bool {
    name.split_once('#')
        .is_some_and(|(_, end)| !end.is_empty() && end.bytes().all(|b| b.is_ascii_digit()))
}

fn failed(path: &Path, error: io::Error) -> Error {
    let path = path.to_string();
    let source = Box::new(error);
    match source.kind() {
        ErrorKind::NotFound => Error::NotFound { path, source },
        ErrorKind::AlreadyExists => Error::AlreadyExists { path, source },
        ErrorKind::PermissionDenied => Error::PermissionDenied { path, source },
        _ => Error::Generic {
            store: "folder",
            source,
        },
    }
}

/// Writes and syncs a scratch file in the folder of `target`.
fn stage(target: &FilePath, bytes: &[u8]) -> io::Result<PathBuf> {
    let parent = target.parent().ok_or(ErrorKind::NotFound)?;
    fs::create_dir_all(parent)?;
    let staged = parent.join(format!(".{}#0", uuid::Uuid::new_v4().simple()));
    let mut file = File::create_new(&staged)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    Ok(staged)
}

fn sync_parent(target: &FilePath) -> io::Result<()> {
    match target.parent() {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

fn create(target: &FilePath, bytes: &[u8]) -> io::Result<()> {
    let staged = stage(target, bytes)?;
    let linked = fs::hard_link(&staged, target);
    fs::remove_file(&staged)?;
    linked?;
    sync_parent(target)
}

/// Whether the file was `expected`, and now holds `bytes`.
fn swap(target: &FilePath, bytes: &[u8], expected: &str) -> io::Result<bool> {
    let name = target.file_name().ok_or(ErrorKind::NotFound)?;
    let lock = target.with_file_name(format!(".{}{LOCK}", name.to_string_lossy()));
    let lock = match OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(lock)
    {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(false),
        other => other?,
    };
    lock.lock()?;
    match fs::read(target) {
        Ok(current) if tag(&current) == expected => {}
        Ok(_) => return Ok(false),
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(false),
        Err(e) => return Err(e),
    }
    let staged = stage(target, bytes)?;
    fs::rename(&staged, target)?;
    sync_parent(target)?;
    Ok(true)
}

#[async_trait]
impl ObjectStore for Folder {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        let mode = options.mode.clone();
        if mode == PutMode::Overwrite {
            return self.files.put_opts(location, payload, options).await;
        }
        let target = self.files.path_to_filesystem(location)?;
        let bytes = Bytes::from(payload);
        let e_tag = Some(tag(&bytes));
        let work = move || match mode {
            PutMode::Update(version) => {
                swap(&target, &bytes, version.e_tag.as_deref().unwrap_or(""))
            }
            _ => create(&target, &bytes).map(|()| true),
        };
        let done = tokio::task::spawn_blocking(work).await?;
        if !done.map_err(|e| failed(location, e))? {
            return Err(Error::Precondition {
                path: location.to_string(),
                source: "the file is another version".into(),
            });
        }
        Ok(PutResult {
            e_tag,
            version: None,
        })
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.files.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.files.get_opts(location, options).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.files.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.files.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.files.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.files.copy_opts(from, to, options).await
    }
}
