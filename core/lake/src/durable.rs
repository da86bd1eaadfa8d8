//! What a folder's store writes is made durable before anything may name it.
//!
//! Files of data are written without waiting for the disk: most of a run's time would go there. A conditional
//! write is what names them, so it is where the disk is waited for, once for all files since the last one, and
//! for each folder that got an entry, up to the root; many at once, since a journal commits them together (one
//! after the other, each takes the time of the whole). So a power cut may take what nobody speaks of yet, and
//! nothing that a manifest, a table's log or the pointer names.

use std::{
    collections::{BTreeSet, HashSet},
    fs::File,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// How many files and folders are waited for at once.
const AT_ONCE: usize = 16;

type Sync = dyn Fn(&Path) -> io::Result<()> + Send + std::marker::Sync;

/// The files of a folder that were written and may not be on the disk yet.
#[derive(Clone)]
pub(crate) struct Durable {
    root: Arc<Path>,
    sync: Arc<Sync>,
    written: Arc<Mutex<Vec<PathBuf>>>,
    /// Whose turn it is to bring them to the disk.
    turn: Arc<Mutex<()>>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// Folders whose own entries are on the disk.
    kept: HashSet<PathBuf>,
    /// A file or folder could not be synced. The system tells that once and forgets it, so nothing that is
    /// written by this store may be named any more.
    failed: Option<String>,
}

impl Durable {
    pub(crate) fn new(root: &Path) -> Self {
        Self::with(root, |path| File::open(path)?.sync_all())
    }

    /// With another way to bring a file or a folder to the disk.
    pub(crate) fn with(
        root: &Path,
        sync: impl Fn(&Path) -> io::Result<()> + Send + std::marker::Sync + 'static,
    ) -> Self {
        Self {
            root: root.into(),
            sync: Arc::new(sync),
            written: Arc::default(),
            turn: Arc::default(),
            state: Arc::default(),
        }
    }

    /// Notes a file that was written and not synced.
    pub(crate) fn wrote(&self, file: PathBuf) {
        lock(&self.written).push(file);
    }

    /// Waits until everything that was written before is on the disk.
    pub(crate) fn settle(&self) -> io::Result<()> {
        // Who comes second waits: its files may be among those that the first brings to the disk.
        let _turn = lock(&self.turn);
        let files = std::mem::take(&mut *lock(&self.written));
        if let Some(failed) = &lock(&self.state).failed {
            return Err(io::Error::other(failed.clone()));
        }
        let folders = files.iter().filter_map(|f| f.parent()).collect();
        self.noted(self.keep(&files, &folders))
    }

    /// Brings the entry of a file that is itself on the disk to the disk.
    pub(crate) fn keep_entry(&self, file: &Path) -> io::Result<()> {
        self.noted(self.keep(&[], &file.parent().into_iter().collect()))
    }

    fn noted(&self, synced: io::Result<()>) -> io::Result<()> {
        if let Err(error) = &synced {
            lock(&self.state).failed = Some(format!(
                "a file could not be brought to the disk ({error}), so this process commits nothing more: \
                 look at the disk, then run again"
            ));
        }
        synced
    }

    /// Brings files to the disk, and folders: what they hold, and that they are there.
    fn keep(&self, files: &[PathBuf], folders: &BTreeSet<&Path>) -> io::Result<()> {
        let chains: BTreeSet<&Path> = {
            let kept = &lock(&self.state).kept;
            let each = folders.iter().flat_map(|f| self.chain(f, kept));
            each.collect()
        };
        let files = files.iter().map(PathBuf::as_path);
        self.each(&files.chain(chains.iter().copied()).collect::<Vec<_>>())?;
        let done = chains.into_iter().map(Path::to_owned);
        lock(&self.state).kept.extend(done);
        Ok(())
    }

    fn each(&self, paths: &[&Path]) -> io::Result<()> {
        let share = paths.len().div_ceil(AT_ONCE).max(1);
        let all = |paths: &[&Path]| paths.iter().try_for_each(|path| self.one(path));
        std::thread::scope(|scope| {
            let mut shares = paths.chunks(share);
            let first = shares.next().unwrap_or_default();
            let others: Vec<_> = shares.map(|s| scope.spawn(move || all(s))).collect();
            let mine = all(first);
            let panicked = |_| Err(io::Error::other("a thread that synced files panicked"));
            let theirs = others
                .into_iter()
                .map(|o| o.join().unwrap_or_else(panicked));
            std::iter::once(mine).chain(theirs).collect()
        })
    }

    /// A folder, and those above it, up to the first that is known to be there.
    fn chain<'f>(&self, folder: &'f Path, kept: &HashSet<PathBuf>) -> Vec<&'f Path> {
        let mut chain = vec![folder];
        let mut last = folder;
        for above in folder.ancestors().skip(1) {
            if kept.contains(last) || !above.starts_with(&self.root) {
                break;
            }
            chain.push(above);
            last = above;
        }
        chain
    }

    /// One file or folder; what was deleted since is none.
    fn one(&self, path: &Path) -> io::Result<()> {
        match (self.sync)(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl std::fmt::Debug for Durable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Durable")
            .field("root", &self.root)
            .finish_non_exhaustive()
    }
}
