//! A folder as object storage, with real put-if-absent and compare-and-swap.
//!
//! A file appears whole or not at all: it is written under a temporary name, synced, and then linked
//! (put-if-absent) or renamed (swap) into place, after everything that was written before it is on the disk
//! too. A swap compares content under an advisory lock beside
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
    UploadPart, local::LocalFileSystem, path::Path,
};
use sha2::{Digest, Sha256};

use crate::durable::Durable;

const LOCK: &str = ".lock#0";

/// A folder.
#[derive(Debug)]
pub(crate) struct Folder {
    root: PathBuf,
    files: LocalFileSystem,
    durable: Durable,
}

impl Folder {
    /// Opens a folder that exists.
    pub(crate) fn open(root: PathBuf) -> Result<Self> {
        let durable = Durable::new(&root);
        Self::with(root, durable)
    }

    fn with(root: PathBuf, durable: Durable) -> Result<Self> {
        let files = LocalFileSystem::new_with_prefix(&root)?;
        Ok(Self {
            root,
            files,
            durable,
        })
    }

    fn wrote(&self, location: &Path) -> Result<()> {
        self.durable.wrote(self.files.path_to_filesystem(location)?);
        Ok(())
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

fn create(target: &FilePath, bytes: &[u8]) -> io::Result<()> {
    let staged = stage(target, bytes)?;
    let linked = fs::hard_link(&staged, target);
    fs::remove_file(&staged)?;
    linked
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
    Ok(true)
}

/// A streamed write whose file is noted when it is there.
#[derive(Debug)]
struct Upload {
    inner: Box<dyn MultipartUpload>,
    target: PathBuf,
    durable: Durable,
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        self.inner.put_part(data)
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let done = self.inner.complete().await?;
        self.durable.wrote(self.target.clone());
        Ok(done)
    }

    async fn abort(&mut self) -> Result<()> {
        self.inner.abort().await
    }
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
            let done = self.files.put_opts(location, payload, options).await?;
            self.wrote(location)?;
            return Ok(done);
        }
        let target = self.files.path_to_filesystem(location)?;
        let bytes = Bytes::from(payload);
        let e_tag = Some(tag(&bytes));
        let durable = self.durable.clone();
        let work = move || {
            durable.settle()?;
            let done = match mode {
                PutMode::Update(version) => {
                    swap(&target, &bytes, version.e_tag.as_deref().unwrap_or(""))?
                }
                _ => create(&target, &bytes).map(|()| true)?,
            };
            durable.keep_entry(&target)?;
            io::Result::Ok(done)
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
        let inner = self.files.put_multipart_opts(location, options).await?;
        Ok(Box::new(Upload {
            inner,
            target: self.files.path_to_filesystem(location)?,
            durable: self.durable.clone(),
        }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let asked = options.head;
        let found = self.files.get_opts(location, options).await?;
        if asked {
            // Who asks whether an object is there may build on it, and whoever wrote it may have died before
            // it was on the disk.
            self.wrote(location)?;
        }
        Ok(found)
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
        self.files.copy_opts(from, to, options).await?;
        self.wrote(to)
    }
}

/// Removes folders in which nothing is but the locks of files that are gone, from the innermost on.
pub(crate) fn prune(folder: &FilePath) -> io::Result<()> {
    let (mut locks, mut others) = (Vec::new(), false);
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            prune(&entry.path())?;
        } else if entry.file_name().to_string_lossy().ends_with(LOCK) {
            locks.push(entry.path());
        } else {
            others = true;
        }
    }
    // Who still has files there may hold them.
    if !others {
        locks.iter().try_for_each(fs::remove_file)?;
    }
    match fs::remove_dir(folder) {
        Err(e) if e.kind() != io::ErrorKind::DirectoryNotEmpty => Err(e),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use object_store::{ObjectStoreExt as _, WriteMultipart};

    use super::*;

    /// What was brought to the disk, and whether the manifest was there by then.
    type Log = Arc<Mutex<Vec<(String, bool)>>>;

    const MANIFEST: &str = "runs/1/clean/0.json";

    fn open(folder: &FilePath, fail: &'static str) -> (Folder, Log) {
        let root = folder.canonicalize().expect("a folder");
        let log = Log::default();
        let (seen, below) = (log.clone(), root.clone());
        let durable = Durable::with(&root, move |path| {
            let name = path.strip_prefix(&below).expect("in the lake");
            let name = name.display().to_string();
            if name == fail {
                return Err(io::Error::other("no space"));
            }
            let there = below.join(MANIFEST).exists();
            seen.lock().expect("a log").push((name, there));
            Ok(())
        });
        (Folder::with(root, durable).expect("open"), log)
    }

    async fn write(folder: &Folder) {
        let file = Path::from("clean/a/x.parquet");
        folder.put(&file, "rows".into()).await.expect("put");
        let upload = folder.put_multipart(&Path::from("raw/y")).await;
        let mut upload = WriteMultipart::new(upload.expect("an upload"));
        upload.write(b"bytes");
        upload.finish().await.expect("finish");
    }

    async fn commit(folder: &Folder, path: &str) -> Result<PutResult> {
        let create = PutOptions::from(PutMode::Create);
        let manifest = Path::from(path);
        folder.put_opts(&manifest, "{}".into(), create).await
    }

    fn names(log: &Log, there: bool) -> Vec<String> {
        let mut log = log.lock().expect("a log");
        let names = log.extract_if(.., |(_, t)| *t == there).map(|(n, _)| n);
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    #[tokio::test]
    async fn what_a_manifest_may_name_is_on_the_disk_before_the_manifest_is_there() {
        let place = tempfile::tempdir().expect("a folder");
        let (folder, log) = open(place.path(), "nothing");
        write(&folder).await;
        assert!(
            log.lock().expect("a log").is_empty(),
            "writing waits for no disk"
        );
        commit(&folder, MANIFEST).await.expect("commit");
        assert_eq!(
            names(&log, false),
            ["", "clean", "clean/a", "clean/a/x.parquet", "raw", "raw/y"]
        );
        assert_eq!(names(&log, true), ["", "runs", "runs/1", "runs/1/clean"]);
        // what an earlier process wrote, and this one builds on, is waited for too
        std::fs::write(place.path().join("raw/z"), "bytes").expect("write");
        folder.head(&Path::from("raw/z")).await.expect("head");
        commit(&folder, "runs/1/clean/0b.json")
            .await
            .expect("commit");
        let waited = names(&log, true);
        assert!(waited.contains(&"raw/z".to_owned()), "{waited:?}");
        // what is on the disk is not waited for again
        commit(&folder, "runs/1/clean/1.json")
            .await
            .expect("commit");
        assert_eq!(names(&log, true), ["runs/1/clean"]);
    }

    #[tokio::test]
    async fn what_did_not_come_to_the_disk_is_never_named() {
        let place = tempfile::tempdir().expect("a folder");
        let (folder, _) = open(place.path(), "raw/y");
        write(&folder).await;
        // the system says it once; a second try would find nothing wrong
        for _ in 0..2 {
            let error = commit(&folder, MANIFEST).await.expect_err("no space");
            assert!(error.to_string().contains("no space"), "{error}");
            assert!(!place.path().join(MANIFEST).exists());
        }
    }
}
