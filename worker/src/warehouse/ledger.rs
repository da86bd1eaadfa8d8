//! What a warehouse holds, and what is to be done so that it holds something else.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, bail};
use musubi_api::warehouse::LoadMode;

use super::{LoadReport, Outcome, Table, TableFile, Tables, sums::Sums};

/// A file whose rows are in the warehouse.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Held {
    /// Its number: the column `_file` of its rows.
    pub(super) id: i64,
    /// Path in the lake.
    pub(super) path: String,
    /// What it adds to the table's sums.
    pub(super) sums: Sums,
}

/// The ledger, read in one go.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Ledger {
    /// Pipeline that loads here.
    pub(super) pipeline: Option<String>,
    /// Version loaded last.
    pub(super) version: Option<u64>,
    /// Shape of each table that is there.
    pub(super) shapes: BTreeMap<String, String>,
    /// Digest of each table at its last load.
    pub(super) digests: BTreeMap<String, String>,
    /// Files by table.
    pub(super) files: BTreeMap<String, Vec<Held>>,
    /// The highest number of a file.
    pub(super) last_id: i64,
}

impl Ledger {
    /// What there is to say without a load; `None` when the version is to be loaded.
    pub(super) fn settled(&self, tables: &Tables) -> Result<Option<LoadReport>> {
        if let Some(owner) = &self.pipeline
            && *owner != tables.pipeline
        {
            bail!(
                "this warehouse belongs to pipeline {owner}; give {} a file or schema of its own",
                tables.pipeline
            );
        }
        let (version, outcome) = match self.version {
            Some(version) if version > tables.version => (version, Outcome::Overtaken),
            Some(version) if version == tables.version && self.holds(tables) => {
                (version, Outcome::Unchanged)
            }
            _ => return Ok(None),
        };
        Ok(Some(LoadReport {
            outcome,
            version,
            tables: BTreeMap::new(),
        }))
    }

    /// Takes in a row of `musubi_loads`; rows come by version.
    pub(super) fn saw_load(
        &mut self,
        pipeline: String,
        version: i64,
        table: String,
        digest: String,
        shape: String,
    ) {
        self.pipeline = Some(pipeline);
        self.version = Some(version.cast_unsigned());
        self.digests.insert(table.clone(), digest);
        self.shapes.insert(table, shape);
    }

    /// Takes in a row of `musubi_files`; rows come by id.
    pub(super) fn saw_file(
        &mut self,
        id: i64,
        table: String,
        path: String,
        sums: &str,
    ) -> Result<()> {
        let sums = serde_json::from_str(sums).context("musubi_files.sums is damaged")?;
        self.last_id = self.last_id.max(id);
        let held = Held { id, path, sums };
        self.files.entry(table).or_default().push(held);
        Ok(())
    }

    fn holds(&self, tables: &Tables) -> bool {
        let held = |t: &Table| self.digests.get(&t.name) == Some(&t.digest());
        tables.tables.iter().all(held)
    }

    /// What is to be done to a table.
    pub(super) fn change<'a>(&'a self, table: &'a Table, mode: LoadMode) -> Change<'a> {
        let shape = self.shapes.get(&table.name);
        let anew = shape.is_none_or(|s| *s != table.shape());
        let held = self.files.get(&table.name).map_or(&[][..], Vec::as_slice);
        let wanted: BTreeSet<_> = table.files.iter().map(|f| f.path.as_str()).collect();
        let keeps = |h: &&Held| !anew && mode != LoadMode::Full && wanted.contains(h.path.as_str());
        let keep: Vec<_> = held.iter().filter(keeps).collect();
        let kept: BTreeSet<_> = keep.iter().map(|h| h.path.as_str()).collect();
        Change {
            anew,
            add: table
                .files
                .iter()
                .filter(|f| !kept.contains(f.path.as_str()))
                .collect(),
            remove: held
                .iter()
                .filter(|h| !kept.contains(h.path.as_str()))
                .map(|h| h.id)
                .collect(),
            keep,
        }
    }
}

/// What is to be done to a table.
#[derive(Debug)]
pub(super) struct Change<'a> {
    /// Whether the table is made anew.
    pub(super) anew: bool,
    /// Files whose rows come in.
    pub(super) add: Vec<&'a TableFile>,
    /// Numbers of the files whose rows go out.
    pub(super) remove: Vec<i64>,
    /// Files whose rows stay.
    pub(super) keep: Vec<&'a Held>,
}

/// A file that was staged.
#[derive(Debug)]
pub(super) struct Staged {
    /// The file, with the number that its rows carry.
    pub(super) held: Held,
}

impl Change<'_> {
    /// What the table must hold in the end.
    pub(super) fn expected(&self, staged: &[Staged]) -> Result<Sums> {
        let mut sums = Sums::default();
        for held in self
            .keep
            .iter()
            .copied()
            .chain(staged.iter().map(|s| &s.held))
        {
            sums.add(&held.sums);
        }
        Ok(sums)
    }
}
