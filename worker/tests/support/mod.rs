//! A small retailer in a folder: resources, files, and what a run makes of them.

#![allow(dead_code, reason = "each test uses its part")]

pub(crate) mod archive;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use arrow::{
    array::RecordBatch,
    util::display::{ArrayFormatter, FormatOptions},
};
use musubi::stage::{
    Context,
    runner::{self, StageSummary},
};
use musubi_api::{load, run::Run};
use musubi_lake::{Store, delta, parquet, pointer};

/// A world in a temporary folder.
pub(crate) struct World {
    folder: tempfile::TempDir,
}

/// Runs the command line in a world's folder: its exit code, output and errors.
pub(crate) fn musubi(world: &World, args: &[&str]) -> (Option<i32>, String, String) {
    let out = Command::new(env!("CARGO_BIN_EXE_musubi"))
        .args(args)
        .current_dir(world.path("."))
        .output()
        .expect("start musubi");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (out.status.code(), text(out.stdout), text(out.stderr))
}

impl World {
    pub(crate) fn new(resources: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::write(folder.path().join("resources.yaml"), resources).expect("write resources");
        Self { folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: &[u8]) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("make a folder");
        fs::write(path, content).expect("write a file");
    }

    /// The run that `musubi run` would make, with this many shards.
    pub(crate) fn resolve(&self, uid: &str, shards: u32) -> (Run, musubi_api::secrets::Secrets) {
        let catalog = load::load_and_validate(&[self.path("resources.yaml")])
            .unwrap_or_else(|p| panic!("{p}"));
        let as_of = "2026-11-05T00:00:00Z".parse().expect("an instant");
        let mut run = catalog
            .resolve_run(None, uid, as_of)
            .unwrap_or_else(|p| panic!("{p}"));
        run.spec.sharding.shards = Some(shards);
        (run, catalog.secrets().clone())
    }

    /// Runs all stages.
    pub(crate) async fn run(&self, uid: &str, shards: u32) -> anyhow::Result<Vec<StageSummary>> {
        self.run_as(uid, shards, |_| ()).await
    }

    /// Runs all stages of a run that is changed first.
    pub(crate) async fn run_as(
        &self,
        uid: &str,
        shards: u32,
        change: impl FnOnce(&mut Run),
    ) -> anyhow::Result<Vec<StageSummary>> {
        let (mut run, secrets) = self.resolve(uid, shards);
        change(&mut run);
        let context = Context::open(run, secrets)?;
        runner::run(&context, 2, Arc::new(())).await
    }

    pub(crate) fn store(&self) -> Store {
        open(&self.path("lake"))
    }

    /// The same with these gates open.
    pub(crate) async fn run_allowing(
        &self,
        uid: &str,
        gates: &[&str],
    ) -> anyhow::Result<Vec<StageSummary>> {
        let (mut run, secrets) = self.resolve(uid, 2);
        run.allow = gates.iter().map(|g| (*g).to_owned()).collect();
        let context = Context::open(run, secrets)?;
        runner::run(&context, 2, Arc::new(())).await
    }

    /// Columns of a published table, in the order given.
    pub(crate) async fn read(&self, table: &str, columns: &[&str]) -> Vec<RecordBatch> {
        let store = self.store();
        let (published, _) = pointer::published(&store)
            .await
            .expect("read the pointer")
            .expect("something is published");
        let folder = format!("curated/{table}");
        let version = published.tables[table].delta_version;
        let snapshot = delta::snapshot(&store, &folder, Some(version))
            .await
            .expect("read the log");
        let mut batches = Vec::new();
        for file in snapshot.into_iter().flat_map(|s| s.files.into_values()) {
            let path = format!("{folder}/{}", file.path);
            for batch in parquet::read(&store, &path, None)
                .await
                .expect("read a file")
            {
                let at = |name: &&str| batch.schema().index_of(name).expect("a column");
                let wanted: Vec<usize> = columns.iter().map(at).collect();
                batches.push(batch.project(&wanted).expect("columns"));
            }
        }
        batches
    }

    /// The values of columns of a published table as sorted text, `|` between them.
    pub(crate) async fn values(&self, table: &str, columns: &[&str]) -> Vec<String> {
        let mut rows: Vec<String> = self
            .read(table, columns)
            .await
            .iter()
            .flat_map(texts)
            .collect();
        rows.sort();
        rows
    }

    /// The rows of every published table as sorted text.
    pub(crate) async fn tables(&self) -> BTreeMap<String, Vec<String>> {
        tables(&self.store()).await
    }
}

/// The rows of a batch as text.
fn texts(batch: &RecordBatch) -> Vec<String> {
    let options = FormatOptions::default().with_null("∅");
    let columns: Vec<ArrayFormatter<'_>> = batch
        .columns()
        .iter()
        .map(|c| ArrayFormatter::try_new(c, &options).expect("a formatter"))
        .collect();
    let row = |r: usize| {
        columns
            .iter()
            .map(|c| c.value(r).to_string())
            .collect::<Vec<_>>()
    };
    (0..batch.num_rows()).map(|r| row(r).join("|")).collect()
}

fn open(folder: &Path) -> Store {
    Store::open(&musubi_lake::Location::Folder(folder.into())).expect("open the lake")
}

/// The rows of every published table as sorted text; `id_changes` is history and left out.
pub(crate) async fn tables(store: &Store) -> BTreeMap<String, Vec<String>> {
    let mut tables = all_tables(store).await;
    tables.remove("id_changes");
    tables
}

/// The rows of every published table as sorted text.
pub(crate) async fn all_tables(store: &Store) -> BTreeMap<String, Vec<String>> {
    let (published, _) = pointer::published(store)
        .await
        .expect("read the pointer")
        .expect("something is published");
    let mut tables = BTreeMap::new();
    for (name, version) in &published.tables {
        let folder = format!("curated/{name}");
        let snapshot = delta::snapshot(store, &folder, Some(version.delta_version))
            .await
            .expect("read the log");
        let mut rows = Vec::new();
        for file in snapshot.into_iter().flat_map(|s| s.files.into_values()) {
            for batch in parquet::read(store, &format!("{folder}/{}", file.path), None)
                .await
                .expect("read a file")
            {
                rows.extend(texts(&batch));
            }
        }
        rows.sort();
        tables.insert(name.clone(), rows);
    }
    tables
}
