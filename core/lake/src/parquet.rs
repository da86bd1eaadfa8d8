//! Parquet files in the lake, written and read in batches.

use std::collections::BTreeSet;

use arrow::{
    array::RecordBatch,
    datatypes::{Schema, SchemaRef},
};
use futures::{StreamExt as _, TryStreamExt, stream::BoxStream};
use object_store::{ObjectStoreExt as _, buffered::BufWriter, path::Path};
use parquet::{
    arrow::{
        AsyncArrowWriter, ParquetRecordBatchStreamBuilder, ProjectionMask,
        arrow_reader::{ArrowReaderBuilder, ParquetRecordBatchReaderBuilder},
    },
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
///
/// A file of few rows is compressed with Snappy, any other with Zstandard: a context of Zstandard for each page of
/// a small file costs more than writing the page. How its rows come in batches makes no difference.
pub struct Sink {
    target: Option<BufWriter>,
    writer: Option<AsyncArrowWriter<BufWriter>>,
    /// The first rows, until it shows how many there are.
    first: Vec<RecordBatch>,
    schema: SchemaRef,
    personal: BTreeSet<String>,
    path: String,
    rows: u64,
}

/// Rows below which a file counts as small.
const FEW: u64 = 4096;

impl Sink {
    /// Begins a file. Nothing is seen at `path` before [`Sink::finish`].
    ///
    /// # Errors
    /// When the path is none.
    pub fn create(
        store: &Store,
        path: &str,
        schema: SchemaRef,
        personal: &BTreeSet<String>,
    ) -> Result<Self> {
        let location = Path::parse(path).map_err(|e| Error::unavailable(path, e))?;
        Ok(Self {
            target: Some(BufWriter::new(store.object_store(), location)),
            writer: None,
            first: Vec::new(),
            schema,
            personal: personal.clone(),
            path: path.into(),
            rows: 0,
        })
    }

    /// Adds rows.
    ///
    /// # Errors
    /// When the schema cannot be written, and those of the storage.
    pub async fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.rows += batch.num_rows() as u64;
        if self.writer.is_some() {
            return self.put(batch).await;
        }
        self.first.push(batch.clone());
        if self.rows >= FEW {
            self.begin().await?;
        }
        Ok(())
    }

    async fn put(&mut self, batch: &RecordBatch) -> Result<()> {
        if let Some(writer) = &mut self.writer {
            let written = writer.write(batch).await;
            written.map_err(|e| Error::unavailable(&self.path, e))?;
        }
        Ok(())
    }

    /// Opens the file, unless it is open, and writes the first rows.
    async fn begin(&mut self) -> Result<()> {
        let Some(target) = self.target.take() else {
            return Ok(());
        };
        let failed = |e| Error::unavailable(&self.path, e);
        let compression = if self.rows < FEW {
            Compression::SNAPPY
        } else {
            Compression::ZSTD(ZstdLevel::try_new(1).map_err(failed)?)
        };
        let mut properties = WriterProperties::builder()
            .set_compression(compression)
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .set_max_row_group_row_count(Some(128 * 1024));
        for column in &self.personal {
            let column = ColumnPath::from(column.as_str());
            properties = properties.set_column_statistics_enabled(column, EnabledStatistics::None);
        }
        let (schema, properties) = (self.schema.clone(), Some(properties.build()));
        let writer = AsyncArrowWriter::try_new(target, schema, properties).map_err(failed)?;
        self.writer = Some(writer);
        for batch in std::mem::take(&mut self.first) {
            self.put(&batch).await?;
        }
        Ok(())
    }

    /// Ends the file.
    ///
    /// # Errors
    /// Those of the storage.
    pub async fn finish(mut self) -> Result<Written> {
        self.begin().await?;
        let mut size = 0;
        if let Some(writer) = &mut self.writer {
            let finished = writer.finish().await;
            finished.map_err(|e| Error::unavailable(&self.path, e))?;
            size = writer.bytes_written() as u64;
        }
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

/// Bytes up to which a file is fetched whole: one request costs less than those for its footer and columns.
const WHOLE: u64 = 1 << 20;

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
    let found = store.object_store().get(&location).await;
    let found = found.map_err(|e| Error::from_storage(path, e))?;
    if found.meta.size > WHOLE {
        return in_parts(store, location, found.meta.size, columns).await;
    }
    let bytes = found.bytes().await;
    let bytes = bytes.map_err(|e| Error::from_storage(path, e))?;
    let corrupt = |e| Error::corrupt(path, "Parquet", e);
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(corrupt)?;
    let reader = only(builder, columns).build();
    let batches = futures::stream::iter(reader.map_err(corrupt)?);
    let path = path.to_owned();
    Ok(batches
        .map_err(move |e| Error::corrupt(&path, "Parquet", e))
        .boxed())
}

/// Rows of a batch that is read.
const BATCH: usize = 8192;

/// A reader of the named columns, batch by batch.
fn only<T>(builder: ArrowReaderBuilder<T>, columns: Option<&[&str]>) -> ArrowReaderBuilder<T> {
    let builder = builder.with_batch_size(BATCH);
    let Some(columns) = columns else {
        return builder;
    };
    let mask = ProjectionMask::columns(builder.parquet_schema(), columns.iter().copied());
    builder.with_projection(mask)
}

async fn in_parts(
    store: &Store,
    location: Path,
    size: u64,
    columns: Option<&[&str]>,
) -> Result<BoxStream<'static, Result<RecordBatch>>> {
    let path = location.to_string();
    #[expect(
        deprecated,
        reason = "the reader that replaces it is to be written by hand"
    )]
    let reader =
        parquet::arrow::async_reader::ParquetObjectReader::new(store.object_store(), location)
            .with_file_size(size);
    let corrupt = |e| Error::corrupt(&path, "Parquet", e);
    let builder = ParquetRecordBatchStreamBuilder::new(reader)
        .await
        .map_err(corrupt)?;
    let stream = only(builder, columns).build().map_err(corrupt)?;
    Ok(stream
        .map_err(move |e| Error::corrupt(&path, "Parquet", e))
        .boxed())
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array};
    use parquet::file::reader::{FileReader as _, SerializedFileReader};

    use super::*;
    use crate::store::Location;

    /// The compression of a file whose rows came in batches of this many.
    async fn compression(store: &Store, rows: i64, batch: usize) -> Compression {
        let column: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows));
        let all = RecordBatch::try_from_iter([("n", column)]).unwrap();
        let batches: Vec<RecordBatch> = (0..all.num_rows())
            .step_by(batch)
            .map(|at| all.slice(at, batch.min(all.num_rows() - at)))
            .collect();
        let none = BTreeSet::new();
        let written = write(store, "file.parquet", all.schema(), &none, &batches).await;
        assert_eq!(written.unwrap().rows, all.num_rows() as u64);
        let read = read(store, "file.parquet", None).await.unwrap();
        assert_eq!(
            arrow::compute::concat_batches(&all.schema(), &read).unwrap(),
            all
        );
        let reader = SerializedFileReader::new(store.get("file.parquet").await.unwrap()).unwrap();
        reader.metadata().row_group(0).column(0).compression()
    }

    #[tokio::test]
    async fn how_rows_come_in_batches_makes_no_difference_to_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&Location::Folder(folder.path().into())).unwrap();
        for batch in [1000, 5000, 10_000] {
            let few = compression(&store, 4000, batch).await;
            assert_eq!(few, Compression::SNAPPY, "{batch}");
            let many = compression(&store, 10_000, batch).await;
            assert!(matches!(many, Compression::ZSTD(_)), "{batch}: {many:?}");
        }
    }
}
