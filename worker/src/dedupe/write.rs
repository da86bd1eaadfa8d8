//! The files that come out. Each is complete under its name or is not there.

use std::{
    fmt::{Display, Write as _},
    fs::File,
    path::Path,
    sync::Arc,
};

use anyhow::{Context as _, Result};
use arrow::array::{
    ArrayRef, DictionaryArray, Float32Array, Int64Array, RecordBatch, StringArray, StringBuilder,
    UInt8Array, UInt16Array,
};
use arrow::datatypes::{DataType, UInt8Type, UInt16Type};
use musubi_identity::{COMPARISON, Edge, LEVELS, rule_name};
use parquet::{
    arrow::ArrowWriter,
    basic::{Compression, ZstdLevel},
    file::properties::WriterProperties,
};

use super::{Found, records::Records, table::Table};

/// Rows of one batch.
const BATCH: usize = 64 << 10;

/// Rows that are in memory before they are written.
const GROUP: usize = 4 * BATCH;

/// `clusters.parquet`: the customer and household of every row.
pub(super) fn clusters(
    out: &Path,
    tables: &[Table],
    records: &Records,
    found: &Found,
) -> Result<()> {
    let customer = found.customer();
    let ids = found.grouped.ids(&found.matcher);
    let rows = records.source.len();
    let names: ArrayRef = Arc::new(StringArray::from_iter_values(
        tables.iter().map(|t| t.source.as_str()),
    ));
    let batches = (0..rows.max(1)).step_by(BATCH).map(|begin| {
        let rows = begin..(begin + BATCH).min(rows);
        let source = rows.clone().map(|r| records.source[r] as u16);
        let source = UInt16Array::from_iter_values(source);
        let source = DictionaryArray::<UInt16Type>::try_new(source, names.clone())?;
        let source = arrow::compute::cast(&source, &DataType::Utf8)?;
        let customers = &customer[rows.clone()];
        let columns: [(&str, ArrayRef); 4] = [
            (
                "row",
                Arc::new(Int64Array::from_iter_values(rows.clone().map(|r| r as i64))),
            ),
            ("source", source),
            (
                "cluster_id",
                texts(customers.iter().map(|c| ids.customer(*c))),
            ),
            (
                "household_id",
                texts(customers.iter().map(|c| ids.household_of(*c))),
            ),
        ];
        Ok(RecordBatch::try_from_iter_with_nullable(columns.map(
            |(name, column)| (name, column, name == "household_id"),
        ))?)
    });
    parquet(out, "clusters.parquet", batches)
}

/// `edges.parquet`: the links that stand.
pub(super) fn edges<'a>(out: &Path, mut links: impl Iterator<Item = &'a Edge>) -> Result<()> {
    let mut batches = 0..;
    let batches = std::iter::from_fn(|| {
        let links: Vec<&Edge> = links.by_ref().take(BATCH).collect();
        let first = batches.next() == Some(0);
        (first || !links.is_empty()).then_some(links)
    });
    let batches = batches.map(|links| {
        let rows = |of: fn(&Edge) -> u32| -> ArrayRef {
            let rows = links.iter().map(|e| i64::from(of(e)));
            Arc::new(Int64Array::from_iter_values(rows))
        };
        let floats = |of: fn(&Edge) -> f32| -> ArrayRef {
            Arc::new(Float32Array::from_iter_values(
                links.iter().copied().map(of),
            ))
        };
        let rules: StringArray = links.iter().map(|e| Some(rule_name(e.rule))).collect();
        let mut columns: Vec<(&str, ArrayRef)> = vec![
            ("row_l", rows(|e| e.left)),
            ("row_r", rows(|e| e.right)),
            ("weight", floats(|e| e.weight)),
            ("probability", floats(|e| e.probability)),
            ("rule", Arc::new(rules)),
        ];
        for (c, comparison) in COMPARISON.iter().enumerate() {
            columns.push((comparison.name, levels(&links, c)?));
        }
        Ok(RecordBatch::try_from_iter(columns)?)
    });
    parquet(out, "edges.parquet", batches)
}

/// Ids as texts, without one in memory for each.
fn texts(ids: impl ExactSizeIterator<Item = impl Display>) -> ArrayRef {
    const LENGTH: usize = 33;
    let mut texts = StringBuilder::with_capacity(ids.len(), ids.len() * LENGTH);
    for id in ids {
        // Memory takes all that is written to it.
        let _ = write!(texts, "{id}");
        texts.append_value("");
    }
    Arc::new(texts.finish())
}

/// The levels of a comparison by name.
fn levels(links: &[&Edge], comparison: usize) -> Result<ArrayRef> {
    let named = (1..LEVELS).map(|level| COMPARISON[comparison].level(level as u8));
    let names = StringArray::from_iter_values(std::iter::once("missing").chain(named));
    let levels = UInt8Array::from_iter_values(links.iter().map(|e| e.levels[comparison]));
    let levels = DictionaryArray::<UInt8Type>::try_new(levels, Arc::new(names))?;
    Ok(arrow::compute::cast(&levels, &DataType::Utf8)?)
}

fn parquet(
    out: &Path,
    name: &str,
    batches: impl Iterator<Item = Result<RecordBatch>>,
) -> Result<()> {
    whole(out, name, |file| {
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
            .set_max_row_group_row_count(Some(GROUP))
            .build();
        let mut writer = None;
        for batch in batches {
            let batch = batch?;
            let writer = match &mut writer {
                Some(writer) => writer,
                None => writer.insert(ArrowWriter::try_new(
                    file.try_clone()?,
                    batch.schema(),
                    Some(properties.clone()),
                )?),
            };
            writer.write(&batch)?;
        }
        if let Some(writer) = writer {
            writer.close()?;
        }
        Ok(())
    })
}

/// A file of text.
pub(super) fn text(out: &Path, name: &str, text: &str) -> Result<()> {
    whole(out, name, |mut file| {
        Ok(std::io::Write::write_all(&mut file, text.as_bytes())?)
    })
}

fn whole(out: &Path, name: &str, write: impl FnOnce(&File) -> Result<()>) -> Result<()> {
    let path = out.join(name);
    let made = || -> Result<()> {
        let scratch = tempfile::NamedTempFile::new_in(out)?;
        write(scratch.as_file())?;
        let file = scratch.persist(&path)?;
        // A scratch file is its owner's alone; what comes out follows the folder's customs.
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            file.set_permissions(std::fs::Permissions::from_mode(0o644))?;
        }
        let _ = file;
        Ok(())
    };
    made().with_context(|| format!("cannot write {}", path.display()))
}
