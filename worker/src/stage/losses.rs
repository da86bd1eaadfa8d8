//! The versions of rows of which nothing stands: another one has replaced or repeated them. The stages that
//! find them write them down, and publish accounts for every row with them.

use std::{ops::Range, sync::Arc};

use anyhow::{Context as _, Result};
use arrow::{
    array::{ArrayRef, AsArray as _, Int8Array, Int32Array, RecordBatch},
    datatypes::{Int8Type, Int32Type},
};
use futures::TryStreamExt as _;
use musubi_api::{entity::Entity, run::Stage};
use musubi_lake::parquet;
use xxhash_rust::xxh3::Xxh3;

use super::{Context, gather::Place, records::Fate};

/// One version of which nothing stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Loss {
    /// Which active file.
    pub(super) file: u32,
    /// Number of its entity in [`Entity::ALL`].
    entity: u8,
    /// Position in the clean file of its entity.
    pub(super) at: u32,
    superseded: bool,
}

impl Loss {
    /// What the row had become.
    pub(super) fn entity(self) -> Entity {
        Entity::ALL[usize::from(self.entity)]
    }

    /// What became of it.
    pub(super) fn fate(self) -> Fate {
        if self.superseded {
            Fate::Superseded
        } else {
            Fate::Duplicate
        }
    }
}

/// What a shard, or all of them, have found.
#[derive(Debug, Default)]
pub(super) struct Losses(Vec<Loss>);

impl Losses {
    /// Takes down a version.
    pub(super) fn add(&mut self, entity: Entity, (file, at): Place, fate: Fate) {
        let number = Entity::ALL.iter().position(|e| *e == entity);
        self.0.push(Loss {
            file,
            entity: number.unwrap_or_default() as u8,
            at,
            superseded: fate == Fate::Superseded,
        });
    }

    /// Writes them to a file of a shard; `None` when there are none.
    ///
    /// # Errors
    /// Those of the storage.
    pub(super) async fn write(
        self,
        context: &Context,
        stage: Stage,
        shard: u32,
    ) -> Result<Option<String>> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let numbers = |of: fn(&Loss) -> u32| -> ArrayRef {
            let numbers = self.0.iter().map(|l| of(l).cast_signed());
            Arc::new(Int32Array::from_iter_values(numbers))
        };
        let small = |of: fn(&Loss) -> u8| -> ArrayRef {
            let numbers = self.0.iter().map(|l| of(l).cast_signed());
            Arc::new(Int8Array::from_iter_values(numbers))
        };
        let batch = RecordBatch::try_from_iter([
            ("file", numbers(|l| l.file)),
            ("entity", small(|l| l.entity)),
            ("at", numbers(|l| l.at)),
            ("superseded", small(|l| l.superseded.into())),
        ])?;
        let path = context.attempt(stage, shard, "losses.parquet");
        let none = Default::default();
        parquet::write(&context.store, &path, batch.schema(), &none, &[batch]).await?;
        Ok(Some(path))
    }

    /// Adds what stands in a file.
    ///
    /// # Errors
    /// Those of the storage.
    pub(super) async fn read(&mut self, context: &Context, path: &str) -> Result<()> {
        let mut stream = parquet::stream(&context.store, path, None).await?;
        while let Some(batch) = stream.try_next().await? {
            let column = |name: &str| {
                let column = batch.column_by_name(name);
                column.with_context(|| format!("{path} has no column {name}"))
            };
            let files = column("file")?.as_primitive::<Int32Type>();
            let entities = column("entity")?.as_primitive::<Int8Type>();
            let places = column("at")?.as_primitive::<Int32Type>();
            let superseded = column("superseded")?.as_primitive::<Int8Type>();
            let rows = files.values().iter().zip(entities.values());
            let rows = rows.zip(places.values().iter().zip(superseded.values()));
            self.0
                .extend(rows.map(|((file, entity), (at, superseded))| Loss {
                    file: file.cast_unsigned(),
                    entity: entity.cast_unsigned(),
                    at: at.cast_unsigned(),
                    superseded: *superseded != 0,
                }));
        }
        Ok(())
    }

    /// Brings them into the order of files, entities and positions.
    pub(super) fn sort(&mut self) {
        self.0.sort_unstable();
    }

    /// Those of some files that follow each other, file by file, once they are in order.
    pub(super) fn of(&self, files: Range<u32>) -> impl Iterator<Item = &[Loss]> {
        let at = |file: u32| self.0.partition_point(|l| l.file < file);
        self.0[at(files.start)..at(files.end)].chunk_by(|a, b| a.file == b.file)
    }
}

/// A hash of what was lost of one file, whatever its number.
pub(super) fn fingerprint(of_file: &[Loss]) -> u64 {
    let mut bytes = Vec::with_capacity(of_file.len() * 6);
    for loss in of_file {
        bytes.extend_from_slice(&loss.at.to_le_bytes());
        bytes.extend_from_slice(&[loss.entity, loss.superseded.into()]);
    }
    let mut hash = Xxh3::new();
    hash.update(&bytes);
    hash.digest()
}
