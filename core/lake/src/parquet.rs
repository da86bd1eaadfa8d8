//! Parquet files in the lake, written and read in batches.

use std::collections::BTreeSet;

use arrow::{
    array::RecordBatch,
    datatypes::{Schema, SchemaRef},
};
use futures::{TryStreamExt, stream::BoxStream};
use object_store::{buffered::BufWriter, path::Path};
use parquet::{
    arrow::{AsyncArrowWriter, ParquetRecordBatchStreamBuilder, ProjectionMask},
    basic::{Compression, ZstdLevel},
    file::properties::{EnabledStatistics, WriterProperties},
    schema::types::ColumnPath,
};

use crate::{Error, Result, Store};

/// A file that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Path in the lake.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Rows.
    pub rows: u64,
}

/// Writes one Parquet file, batch by batch. Personal columns carry no statistics: a footer's minimum and
/// maximum would be real values, and would outlive an erasure.
pub struct Sink {
    writer: AsyncArrowWriter<BufWriter>,
    path: String,
    rows: u64,
}

impl Sink {
    /// Begins a file. Nothing is seen at `path` before [`Sink::finish`].
    ///
    /// # Errors
    /// When the schema cannot be written.
    pub fn create(
        store: &Store,
        path: &str,
        schema: SchemaRef,
        personal: &BTreeSet<String>,
    ) -> Result<Self> {
        let zstd = ZstdLevel::try_new(1).map_err(|e| Error::unavailable(path, e))?;
        let mut properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(zstd))
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .set_max_row_group_row_count(Some(128 * 1024));
        for column in personal {
            let column = ColumnPath::from(column.as_str());
            properties = properties.set_column_statistics_enabled(column, EnabledStatistics::None);
        }
        let location = Path::parse(path).map_err(|e| Error::unavailable(path, e))?;
        let target = BufWriter::new(store.object_store(), location);
        let writer = AsyncArrowWriter::try_new(target, schema, Some(properties.build()))
            .map_err(|e| Error::unavailable(path, e))?;
        Ok(Self {
            writer,
            path: path.into(),
            rows: 0,
        })
    }

    /// Adds rows.
    ///
    /// # Errors
    /// Those of the storage.
    pub async fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.rows += batch.num_rows() as u64;
        self.writer
            .write(batch)
            .await
            .map_err(|e| Error::unavailable(&self.path, e))
    }

    /// Ends the file.
    ///
    /// # Errors
    /// Those of the storage.
    pub async fn finish(mut self) -> Result<Written> {
        self.writer
            .finish()
            .await
            .map_err(|e| Error::unavailable(&self.path, e))?;
        let size = self.writer.bytes_written() as u64;
        Ok(Written {
            path: self.path,
            size,
            rows: self.rows,
        })
    }
}

/// Writes a file of a few batches at once.
///
/// # Errors
/// Those of the storage.
pub async fn write(
    store: &Store,
    path: &str,
    schema: SchemaRef,
    personal: &BTreeSet<String>,
    batches: &[RecordBatch],
) -> Result<Written> {
    let mut sink = Sink::create(store, path, schema, personal)?;
    for batch in batches {
        sink.write(batch).await?;
    }
    sink.finish().await
}

/// The batches of a file, in order; only the named columns when some are named (in the file's order).
///
/// # Errors
/// [`Error::NotFound`], [`Error::Corrupt`] and those of the storage.
pub async fn stream(
    store: &Store,
    path: &str,
    columns: Option<&[&str]>,
) -> Result<BoxStream<'static, Result<RecordBatch>>> {
    let location = Path::parse(path).map_err(|e| Error::unavailable(path, e))?;
    if store.head(path).await?.is_none() {
        return Err(Error::NotFound { path: path.into() });
    }
    #[expect(
        deprecated,
        reason = "the reader that replaces it is to be written by hand"
    )]
    let reader =
        parquet::arrow::async_reader::ParquetObjectReader::new(store.object_store(), location);
    let corrupt = |e| Error::corrupt(path, "Parquet", e);
    let mut builder = ParquetRecordBatchStreamBuilder::new(reader)
        .await
        .map_err(corrupt)?;
    if let Some(columns) = columns {
        let mask = ProjectionMask::columns(builder.parquet_schema(), columns.iter().copied());
        builder = builder.with_projection(mask);
    }
    let stream = builder.with_batch_size(8192).build().map_err(corrupt)?;
    let path = path.to_owned();
    Ok(Box::pin(
        stream.map_err(move |e| Error::corrupt(&path, "Parquet", e)),
    ))
}

/// All batches of a file; see [`stream`].
///
/// # Errors
/// See [`stream`].
pub async fn read(store: &Store, path: &str, columns: Option<&[&str]>) -> Result<Vec<RecordBatch>> {
    stream(store, path, columns).await?.try_collect().await
}

/// The columns of a schema, by name, in the order of `columns`.
#[must_use]
pub fn project(schema: &Schema, columns: &[&str]) -> Schema {
    let fields: Vec<_> = columns
        .iter()
        .filter_map(|c| schema.field_with_name(c).ok().cloned())
        .collect();
    Schema::new(fields)
}
