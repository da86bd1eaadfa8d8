//! The versions of all clean rows by entity and slot group, kept from run to run: a run reads the keys of
//! the files that are new to it, and of all others only what is kept here.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use anyhow::{Context as _, Result};
use arrow::{
    array::{
        Array, ArrayRef, AsArray, BooleanArray, Date32Array, Int32Array, Int64Array, RecordBatch,
    },
    datatypes::{Date32Type, Int32Type, Int64Type},
};
use futures::TryStreamExt;
use musubi_api::entity::Entity;
use musubi_lake::{manifest, parquet};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use super::{
    Context,
    clean::{Active, Part},
    facts::Facts,
    plan::Plan,
    records::{self, Version, id_column, ids_of},
};

/// Name in the published state.
pub(super) const STATE: &str = "versions";

/// Files of one group beyond which they are written anew as one.
const PARTS: usize = 8;

/// Files of what is kept, by entity and group: `order/3`.
pub(super) type Parts = BTreeMap<String, Vec<Part>>;

/// What the version that a run starts from has kept.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Kept {
    /// Marks of the files whose rows are in it.
    files: HashSet<u64>,
    /// Marks of files that were active once and whose rows may still be in it.
    dropped: HashSet<u64>,
    parts: Parts,
    /// What features are made from.
    #[serde(default)]
    pub(super) facts: Facts,
}

/// What tells an active file, and one cleaning of it, from every other.
pub(super) fn mark(active: &Active) -> u64 {
    let file = &active.file;
    let mut hash = Xxh3::new();
    let names = [&file.source, &file.stream, &file.path, &file.sha256];
    for text in names
        .into_iter()
        .chain(active.cleaned.entities.values().map(|p| &p.path))
    {
        hash.update(text.as_bytes());
        hash.update(b"\n");
    }
    hash.update(&file.taken.to_le_bytes());
    hash.digest()
}

impl Kept {
    /// What the base of a run has kept; nothing when a file came back that had been given up, for then
    /// some parts may have its rows and others not.
    ///
    /// # Errors
    /// Those of the storage.
    pub(super) async fn read(context: &Context, plan: &Plan, active: &[Active]) -> Result<Self> {
        let Some(path) = plan.state.get(STATE) else {
            return Ok(Self::default());
        };
        let bytes = context.store.get(path).await?;
        let kept: Self = manifest::decode(path, "what is kept of versions", &bytes)?;
        if active.iter().any(|a| kept.dropped.contains(&mark(a))) {
            return Ok(Self::default());
        }
        Ok(kept)
    }

    /// Writes down what a run keeps; gives the path for the published state.
    ///
    /// # Errors
    /// Those of the storage.
    pub(super) async fn write(
        self,
        context: &Context,
        active: &[Active],
        parts: impl IntoIterator<Item = Parts>,
        facts: Facts,
    ) -> Result<String> {
        let files: HashSet<u64> = active.iter().map(mark).collect();
        let known = self.files.into_iter().chain(self.dropped);
        let next = Self {
            dropped: known.filter(|f| !files.contains(f)).collect(),
            files,
            parts: parts.into_iter().flatten().collect(),
            facts,
        };
        let path = format!("versions/{}.json", context.run.uid);
        let body = manifest::encode(&path, &next)?;
        context.store.put(&path, body).await?;
        Ok(path)
    }
}

/// Which rows a shard wants.
#[derive(Clone, Copy)]
pub(super) struct Share {
    /// Slot groups that there are.
    pub(super) groups: u32,
    /// Shards that they are dealt to.
    pub(super) shards: u32,
    /// The shard that asks.
    pub(super) shard: u32,
}

impl Share {
    fn group_of(self, version: &Version) -> u32 {
        (version.slot() % u128::from(self.groups)) as u32
    }

    pub(super) fn takes(self, group: u32) -> bool {
        group % self.shards == self.shard
    }
}

/// The versions of an entity's rows in the groups of a shard, by group and in order; what is to be kept goes
/// to `parts`.
///
/// # Errors
/// Those of the storage.
pub(super) async fn versions(
    context: &Context,
    kept: &Kept,
    active: &[Active],
    entity: Entity,
    share: Share,
    parts: &mut Parts,
) -> Result<BTreeMap<u32, Vec<Version>>> {
    let marks: Vec<u64> = active.iter().map(mark).collect();
    let number: Numbers = marks.iter().copied().zip(0..).collect();
    let is_new = |file: usize| !kept.files.contains(&marks[file]);
    let keep = |version: &Version| share.takes(share.group_of(version));
    let mut by_group: BTreeMap<u32, Vec<Version>> = BTreeMap::new();
    for version in records::versions(context, active, entity, is_new, keep).await? {
        let group = share.group_of(&version);
        by_group.entry(group).or_default().push(version);
    }
    for group in (0..share.groups).filter(|g| share.takes(*g)) {
        let name = format!("{}/{group}", entity.as_str());
        let mut files = kept.parts.get(&name).cloned().unwrap_or_default();
        if files.is_empty() && !by_group.contains_key(&group) {
            continue;
        }
        let versions = by_group.entry(group).or_default();
        records::in_order(versions);
        let known = files.clone();
        let merge = known.len() >= PARTS;
        let rows: u64 = known.iter().map(|part| part.rows).sum();
        versions.reserve_exact(usize::try_from(rows)?);
        if !merge && !versions.is_empty() {
            files.push(write(context, &name, versions, &marks).await?);
        }
        for part in &known {
            read(context, &part.path, &number, versions).await?;
        }
        records::in_order(versions);
        if merge {
            files = vec![write(context, &name, versions, &marks).await?];
        }
        parts.insert(name, files);
    }
    Ok(by_group)
}

/// Numbers of the active files, by mark.
type Numbers = hashbrown::HashMap<u64, u32>;

/// Adds the versions of a part whose files are still active.
async fn read(
    context: &Context,
    path: &str,
    number: &Numbers,
    versions: &mut Vec<Version>,
) -> Result<()> {
    let mut stream = parquet::stream(&context.store, path, None).await?;
    while let Some(batch) = stream.try_next().await? {
        let longs = |name: &str| {
            let column = batch.column_by_name(name);
            column
                .and_then(|c| c.as_primitive_opt::<Int64Type>())
                .with_context(|| format!("{path} has no column {name}"))
        };
        let (orders, files) = (longs("order")?, longs("file")?);
        let (cursors, contents) = (longs("version")?, longs("content")?);
        let places = batch
            .column_by_name("at")
            .and_then(|c| c.as_primitive_opt::<Int32Type>());
        let dates = batch
            .column_by_name("date")
            .and_then(|c| c.as_primitive_opt::<Date32Type>());
        let deleted = batch
            .column_by_name("deleted")
            .and_then(|c| c.as_boolean_opt());
        let (Some(places), Some(dates), Some(deleted)) = (places, dates, deleted) else {
            anyhow::bail!("{path} is malformed");
        };
        let ids = ids_of(&batch, "record")?.zip(ids_of(&batch, "thing")?);
        for (row, (record, thing)) in ids.enumerate() {
            let Some(file) = number.get(&files.value(row).cast_unsigned()) else {
                continue;
            };
            versions.push(Version {
                record,
                thing,
                order: orders.value(row).cast_unsigned(),
                file: *file,
                at: places.value(row).cast_unsigned(),
                version: cursors.value(row),
                content: contents.value(row).cast_unsigned(),
                date: dates.is_valid(row).then(|| dates.value(row)),
                deleted: deleted.value(row),
            });
        }
    }
    Ok(())
}

async fn write(context: &Context, name: &str, versions: &[Version], marks: &[u64]) -> Result<Part> {
    let rows = || versions.iter();
    let longs = |of: &dyn Fn(&Version) -> i64| -> ArrayRef {
        Arc::new(Int64Array::from_iter_values(rows().map(of)))
    };
    let places = rows().map(|v| v.at.cast_signed());
    let columns: [(&str, ArrayRef); 9] = [
        ("record", id_column(rows().map(|v| v.record))?),
        ("thing", id_column(rows().map(|v| v.thing))?),
        ("order", longs(&|v| v.order.cast_signed())),
        ("file", longs(&|v| marks[v.file as usize].cast_signed())),
        ("at", Arc::new(Int32Array::from_iter_values(places))),
        ("version", longs(&|v| v.version)),
        ("content", longs(&|v| v.content.cast_signed())),
        (
            "date",
            Arc::new(Date32Array::from_iter(rows().map(|v| v.date))),
        ),
        (
            "deleted",
            Arc::new(BooleanArray::from_iter(rows().map(|v| Some(v.deleted)))),
        ),
    ];
    let nullable = columns.map(|(name, column)| (name, column, true));
    let batch = RecordBatch::try_from_iter_with_nullable(nullable)?;
    let path = format!("versions/{name}-{}.parquet", uuid::Uuid::new_v4().simple());
    let none = Default::default();
    parquet::write(&context.store, &path, batch.schema(), &none, &[batch]).await?;
    Ok(Part {
        path,
        rows: versions.len() as u64,
    })
}
