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
        let out: Vec<_> = held
            .iter()
            .filter(|h| !kept.contains(h.path.as_str()))
            .collect();
        let add: Vec<_> = table
            .files
            .iter()
            .filter(|f| !kept.contains(f.path.as_str()))
            .collect();
        let in_place = !anew && mode != LoadMode::Full;
        let before = |file: &TableFile| {
            let place = TableFile::place(&file.path).filter(|_| in_place)?;
            let here = |path: &str| TableFile::place(path) == Some(place);
            let mut before = out.iter().filter(|h| here(&h.path));
            let alone = add.iter().filter(|f| here(&f.path)).count() == 1;
            before.next().filter(|_| alone && before.next().is_none())
        };
        Change {
            anew,
            in_place,
            add: add.iter().map(|f| (*f, before(f).copied())).collect(),
            remove: out.iter().map(|h| h.id).collect(),
            rows_out: out.iter().map(|h| h.sums.rows).sum(),
            keep,
        }
    }
}

/// What is to be done to a table.
#[derive(Debug)]
pub(super) struct Change<'a> {
    /// Whether the table is made anew.
    pub(super) anew: bool,
    /// Whether rows that stay the same are left alone.
    pub(super) in_place: bool,
    /// Files whose rows come in, each with the one whose place it takes.
    pub(super) add: Vec<(&'a TableFile, Option<&'a Held>)>,
    /// Numbers of the files whose rows go out.
    pub(super) remove: Vec<i64>,
    /// Their rows.
    rows_out: u64,
    /// Files whose rows stay.
    pub(super) keep: Vec<&'a Held>,
}

/// A file that was staged.
#[derive(Debug)]
pub(super) struct Staged {
    /// The file, with the number that its rows carry.
    pub(super) held: Held,
    /// Rows of it that were staged.
    pub(super) rows: u64,
    /// When it takes the place of another whose other rows stay: the rows that were and the rows that go.
    pub(super) instead: Option<(u64, u64)>,
}

impl Staged {
    /// A file that was staged as a whole.
    ///
    /// # Errors
    /// When it holds other rows than its manifest says.
    pub(super) fn whole(id: i64, file: &TableFile, sums: Sums) -> Result<Self> {
        file.check(&sums)?;
        Ok(Self {
            rows: sums.rows,
            instead: None,
            held: Held {
                id,
                path: file.path.clone(),
                sums,
            },
        })
    }
}

/// What a swap should come to.
#[derive(Debug)]
pub(super) struct Expected {
    /// What the table must hold in the end.
    pub(super) whole: Sums,
    /// What the files that were touched must hold in the end, where others are left alone.
    pub(super) touched: Option<(Vec<i64>, Sums)>,
    /// Numbers of the files whose rows all go.
    pub(super) remove: Vec<i64>,
    /// Rows that go.
    pub(super) deleted: u64,
    /// Rows that come.
    pub(super) inserted: u64,
}

impl Change<'_> {
    /// What a swap should come to.
    pub(super) fn expected(&self, staged: &[Staged]) -> Expected {
        let mut whole = Sums::default();
        let mut touched = Sums::default();
        for Staged { held, .. } in staged {
            touched.add(&held.sums);
        }
        whole.add(&touched);
        for held in &self.keep {
            whole.add(&held.sums);
        }
        let ids: Vec<i64> = staged.iter().map(|s| s.held.id).collect();
        let instead = staged.iter().filter_map(|s| s.instead);
        let stay: u64 = instead.map(|(before, gone)| before - gone).sum();
        let instead = |id: &i64| {
            staged
                .iter()
                .any(|s| s.instead.is_some() && s.held.id == *id)
        };
        Expected {
            remove: self
                .remove
                .iter()
                .filter(|id| !instead(id))
                .copied()
                .collect(),
            deleted: self.rows_out - stay,
            inserted: staged.iter().map(|s| s.rows).sum(),
            touched: self.in_place.then_some((ids, touched)),
            whole,
        }
    }
}

impl Expected {
    /// Compares with what a warehouse did.
    ///
    /// # Errors
    /// When other rows went or came than should.
    pub(super) fn verify(&self, table: &str, deleted: u64, inserted: u64) -> Result<()> {
        if (deleted, inserted) == (self.deleted, self.inserted) {
            return Ok(());
        }
        bail!(
            "table {table}: {} rows were to go and {} to come, and {deleted} went and {inserted} came; nothing was changed. \
             If somebody changed the table by hand, load with mode: full",
            self.deleted,
            self.inserted
        )
    }
}
