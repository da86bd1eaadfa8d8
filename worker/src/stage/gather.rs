//! Whole clean rows by their places, in any order, chunk by chunk.
//!
//! Every file is read once, whatever the number of chunks: where the rows are more than one chunk, they pass
//! through scratch files, a file a chunk. So memory is bounded by the chunk and reading by the files.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufReader, BufWriter, Seek as _},
};

use anyhow::{Context as _, Result};
use arrow::{
    array::{RecordBatch, UInt32Array},
    compute,
    datatypes::SchemaRef,
    ipc::{reader::StreamReader, writer::StreamWriter},
};
use futures::TryStreamExt;
use musubi_api::entity::Entity;

use super::{Context, clean::Active};

/// Rows of a chunk of facts.
pub(super) const CHUNK: usize = 64 << 10;

/// A row: which active file, and its position in the clean file.
pub(super) type Place = (u32, u32);

/// Rows that were gathered.
pub(super) struct Gathered {
    schema: SchemaRef,
    chunks: Vec<Chunk>,
}

/// The rows of one chunk in the order in which they were met, and where each belongs.
#[derive(Default)]
struct Chunk {
    memory: Vec<RecordBatch>,
    scratch: Option<StreamWriter<BufWriter<File>>>,
    positions: Vec<u32>,
}

/// Where chunks of about so many rows end, given the row counts of what must stay together.
pub(super) fn ends(chunk: usize, groups: impl Iterator<Item = usize>) -> Vec<usize> {
    let (mut ends, mut begin, mut end) = (Vec::new(), 0, 0);
    for rows in groups {
        if end > begin && end + rows - begin > chunk {
            ends.push(end);
            begin = end;
        }
        end += rows;
    }
    if end > begin {
        ends.push(end);
    }
    ends
}

/// Gathers the columns of `schema` at the places; `ends` says where each chunk ends.
///
/// # Errors
/// Those of the storage and of the scratch files.
pub(super) async fn gather(
    context: &Context,
    active: &[Active],
    entity: Entity,
    schema: &SchemaRef,
    places: &[Place],
    ends: &[usize],
) -> Result<Gathered> {
    let mut chunks: Vec<Chunk> = ends.iter().map(|_| Chunk::default()).collect();
    visit(context, active, entity, schema, places, |batch, rows| {
        route(&mut chunks, ends, batch, rows)
    })
    .await?;
    Ok(Gathered {
        schema: schema.clone(),
        chunks,
    })
}

/// A wanted row: its position in a batch, and in the list of places.
type Wanted = (u32, u32);

/// Calls `each` with the batches that hold wanted rows, file by file, and with those rows.
///
/// # Errors
/// Those of the storage and of `each`.
pub(super) async fn visit(
    context: &Context,
    active: &[Active],
    entity: Entity,
    schema: &SchemaRef,
    places: &[Place],
    mut each: impl FnMut(&RecordBatch, &[Wanted]) -> Result<()>,
) -> Result<()> {
    let columns: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
    let mut wanted: Vec<(u32, u32, u32)> = (0..)
        .zip(places)
        .map(|(position, (file, at))| (*file, *at, position))
        .collect();
    wanted.sort_unstable();
    for rows in wanted.chunk_by(|a, b| a.0 == b.0) {
        let part = active[rows[0].0 as usize]
            .cleaned
            .entities
            .get(entity.as_str());
        let part = part.context("a clean file is gone")?;
        let mut stream =
            musubi_lake::parquet::stream(&context.store, &part.path, Some(&columns)).await?;
        let (mut begin, mut rest) = (0_u32, rows);
        while !rest.is_empty()
            && let Some(batch) = stream.try_next().await?
        {
            let end = begin + u32::try_from(batch.num_rows())?;
            let (here, later) = rest.split_at(rest.partition_point(|r| r.1 < end));
            if !here.is_empty() {
                let here: Vec<Wanted> = here.iter().map(|r| (r.1 - begin, r.2)).collect();
                each(&batch, &here)?;
            }
            (begin, rest) = (end, later);
        }
    }
    Ok(())
}

/// The wanted rows of a batch.
pub(super) fn only(batch: &RecordBatch, rows: &[Wanted]) -> Result<RecordBatch> {
    let rows: UInt32Array = rows.iter().map(|(at, _)| *at).collect();
    Ok(compute::take_record_batch(batch, &rows)?)
}

/// Hands rows of a batch to their chunks.
fn route(chunks: &mut [Chunk], ends: &[usize], batch: &RecordBatch, rows: &[Wanted]) -> Result<()> {
    let mut shares: BTreeMap<usize, (Vec<u32>, Vec<u32>)> = BTreeMap::new();
    for (at, position) in rows {
        let chunk = ends.partition_point(|end| *end <= *position as usize);
        let first = chunk.checked_sub(1).map_or(0, |before| ends[before]);
        let (from, to) = shares.entry(chunk).or_default();
        from.push(*at);
        to.push(position - u32::try_from(first)?);
    }
    for (chunk, (from, to)) in shares {
        let share = compute::take_record_batch(batch, &UInt32Array::from(from))?;
        chunks[chunk].push(share, to, ends.len() > 1)?;
    }
    Ok(())
}

impl Chunk {
    fn push(&mut self, rows: RecordBatch, positions: Vec<u32>, aside: bool) -> Result<()> {
        self.positions.extend(positions);
        if !aside {
            self.memory.push(rows);
            return Ok(());
        }
        if self.scratch.is_none() {
            let file = tempfile::tempfile().context("cannot make a scratch file")?;
            self.scratch = Some(StreamWriter::try_new_buffered(file, &rows.schema())?);
        }
        if let Some(scratch) = &mut self.scratch {
            scratch.write(&rows)?;
        }
        Ok(())
    }
}

impl Gathered {
    /// The rows of a chunk, in the order of their places. A chunk is handed out once.
    pub(super) fn take(&mut self, chunk: usize) -> Result<RecordBatch> {
        let Chunk {
            memory: mut batches,
            scratch,
            positions,
        } = std::mem::take(&mut self.chunks[chunk]);
        if let Some(mut scratch) = scratch {
            scratch.finish()?;
            let mut file = scratch.into_inner()?.into_inner()?;
            file.rewind()?;
            for batch in StreamReader::try_new(BufReader::new(file), None)? {
                batches.push(batch?);
            }
        }
        let Some(first) = batches.first() else {
            return Ok(RecordBatch::new_empty(self.schema.clone()));
        };
        let together = compute::concat_batches(&first.schema(), &batches)?;
        drop(batches);
        let mut order = vec![0_u32; positions.len()];
        for (met, position) in (0..).zip(positions) {
            order[position as usize] = met;
        }
        Ok(compute::take_record_batch(
            &together,
            &UInt32Array::from(order),
        )?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_ends_where_a_group_ends() {
        assert_eq!(ends(9, [4, 4, 4, 1].into_iter()), [8, 13]);
        assert_eq!(ends(9, [20, 1].into_iter()), [20, 21]);
        assert!(ends(9, std::iter::empty()).is_empty());
    }
}
