//! What a warehouse holds, and what is to be done so that it holds something else.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, bail};
use musubi_api::warehouse::LoadMode;

use super::{Table, TableFile, Tables, sums::Sums};

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

/// What the ledger says to a load.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Go,
    Unchanged,
    Overtaken,
}

impl Ledger {
    /// Whether a version is to be loaded.
    pub(super) fn verdict(&self, tables: &Tables) -> Result<Verdict> {
        if let Some(owner) = &self.pipeline
            && *owner != tables.pipeline
        {
            bail!(
                "this warehouse belongs to pipeline {owner}; give {} a file or schema of its own",
                tables.pipeline
            );
        }
        Ok(match self.version {
            Some(version) if version > tables.version => Verdict::Overtaken,
            Some(version) if version == tables.version && self.holds(tables) => Verdict::Unchanged,
            _ => Verdict::Go,
        })
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
