//! Parquet: flat files as text columns in one canonical form, nested ones as JSON.

use std::{fs::File, sync::Arc};

use anyhow::{Context as _, Result, bail};
use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch, StringArray},
    compute::cast,
    datatypes::{DataType, Field, Float32Type, Float64Type, Schema},
    error::ArrowError,
};
use musubi_clean::raw::{Locator, RawBatch, RawRows};
use parquet::{
    arrow::arrow_reader::{ArrowReaderMetadata, ParquetRecordBatchReaderBuilder},
    basic::Compression,
    file::metadata::ParquetMetaData,
};
use serde_json::{Map, Value};

use super::{BATCH, Decoded, Sink};

pub(super) fn decode(file: File, sink: &mut Sink<'_>) -> Result<()> {
    let metadata =
        ArrowReaderMetadata::load(&file, Default::default()).context("the file is no Parquet")?;
    readable(metadata.metadata())?;
    let nested = metadata
        .schema()
        .fields()
        .iter()
        .any(|f| f.data_type().is_nested());
    let mut number = 0;
    for group in 0..metadata.metadata().num_row_groups() {
        let reader =
            ParquetRecordBatchReaderBuilder::new_with_metadata(file.try_clone()?, metadata.clone())
                .with_row_groups(vec![group])
                .with_batch_size(BATCH)
                .build()?;
        let mut row = 0;
        for batch in reader {
            let batch = batch?;
            let count = batch.num_rows() as u64;
            let group = u32::try_from(group)?;
            let locators = (row..row + count)
                .map(|row| Locator::RowGroup { group, row })
                .collect();
            let numbers = (number + 1..=number + count).collect();
            let rows = if nested {
                RawRows::Json(objects(&batch)?.into_iter().collect())
            } else {
                RawRows::Columns(texts(&batch)?)
            };
            sink(Decoded::Rows(RawBatch {
                record: None,
                rows,
                locators,
                numbers,
            }))?;
            row += count;
            number += count;
        }
    }
    Ok(())
}

/// Whether the pages are compressed in a way that is read: all of the format's but one, which was given up.
fn readable(metadata: &ParquetMetaData) -> Result<()> {
    let mut columns = metadata.row_groups().iter().flat_map(|g| g.columns());
    if let Some(column) = columns.find(|c| c.compression() == Compression::LZO) {
        bail!(
            "column {} is compressed with LZO, which is not read: write the file again with zstd, snappy or gzip",
            column.column_path()
        );
    }
    Ok(())
}

fn texts(batch: &RecordBatch) -> Result<RecordBatch> {
    let fields: Vec<Field> = batch
        .schema()
        .fields()
        .iter()
        .map(|f| Field::new(f.name(), DataType::Utf8, true))
        .collect();
    let columns = batch
        .columns()
        .iter()
        .map(|c| text(c))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(RecordBatch::try_new(
        Arc::new(Schema::new(fields)),
        columns,
    )?)
}

fn text(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let made: StringArray = match column.data_type() {
        // Plain decimals, never an exponent.
        DataType::Float32 => column
            .as_primitive::<Float32Type>()
            .iter()
            .map(|v| v.map(|v| v.to_string()))
            .collect(),
        DataType::Float64 => column
            .as_primitive::<Float64Type>()
            .iter()
            .map(|v| v.map(|v| v.to_string()))
            .collect(),
        DataType::LargeBinary | DataType::FixedSizeBinary(_) | DataType::BinaryView => {
            return text(&cast(column, &DataType::Binary)?);
        }
        DataType::Binary => column
            .as_binary::<i32>()
            .iter()
            .map(|v| v.map(hex::encode))
            .collect(),
        _ => return cast(column, &DataType::Utf8),
    };
    Ok(Arc::new(made))
}

fn objects(batch: &RecordBatch) -> Result<Vec<Value>> {
    let mut rows = vec![Map::new(); batch.num_rows()];
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        for (row, value) in rows.iter_mut().zip(values(column)?) {
            row.insert(field.name().clone(), value);
        }
    }
    Ok(rows.into_iter().map(Value::Object).collect())
}

/// One JSON value for each element of a column.
fn values(column: &ArrayRef) -> Result<Vec<Value>> {
    let mut out = match column.data_type() {
        DataType::Struct(fields) => {
            let parts = column.as_struct();
            let mut rows = vec![Map::new(); column.len()];
            for (field, part) in fields.iter().zip(parts.columns()) {
                for (row, value) in rows.iter_mut().zip(values(part)?) {
                    row.insert(field.name().clone(), value);
                }
            }
            rows.into_iter().map(Value::Object).collect()
        }
        DataType::List(_) => {
            let list = column.as_list::<i32>();
            (0..list.len())
                .map(|at| {
                    if list.is_null(at) {
                        Ok(Value::Null)
                    } else {
                        Ok(Value::Array(values(&list.value(at))?))
                    }
                })
                .collect::<Result<Vec<_>>>()?
        }
        DataType::LargeList(_) => {
            let list = column.as_list::<i64>();
            (0..list.len())
                .map(|at| {
                    if list.is_null(at) {
                        Ok(Value::Null)
                    } else {
                        Ok(Value::Array(values(&list.value(at))?))
                    }
                })
                .collect::<Result<Vec<_>>>()?
        }
        DataType::Map(_, _) => {
            let map = column.as_map();
            (0..map.len())
                .map(|at| {
                    Ok(Value::Array(values(
                        &(Arc::new(map.value(at)) as ArrayRef),
                    )?))
                })
                .collect::<Result<Vec<_>>>()?
        }
        _ => {
            let texts = text(column)?;
            texts
                .as_string::<i32>()
                .iter()
                .map(|t| t.map_or(Value::Null, |t| Value::String(t.to_owned())))
                .collect()
        }
    };
    for (at, value) in out.iter_mut().enumerate() {
        if column.is_null(at) {
            *value = Value::Null;
        }
    }
    Ok(out)
}
