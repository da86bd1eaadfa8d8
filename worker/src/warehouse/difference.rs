//! What a file brings that takes the place of another: most rows of a table that is written anew for a few
//! changed rows are the same as before, and stay as they are.

use anyhow::Result;
use arrow::{
    array::{BooleanArray, RecordBatch},
    compute,
    row::{RowConverter, SortField},
};
use futures::TryStreamExt as _;
use hashbrown::HashMap;
use musubi_lake::{Error, Store, parquet};
use xxhash_rust::xxh3::xxh3_128;

use super::{
    Table, TableFile,
    ledger::{Held, Staged},
    sqlite::arrange,
    sums::Sums,
};

/// The difference between two files of a table.
#[derive(Debug, Default)]
pub(super) struct Difference {
    /// Rows that are new, or other than before, in the order of the table's columns.
    pub(super) changed: Vec<RecordBatch>,
    /// The keys of the rows before that are gone, or other now; only the key columns.
    pub(super) gone: Vec<RecordBatch>,
    /// Rows and sums of the whole new file.
    sums: Sums,
}

impl Difference {
    /// What is staged of `file`, which takes the place of `before`, and its rows and sums.
    ///
    /// # Errors
    /// When the file holds other rows than its manifest says.
    pub(super) fn staged(&self, before: &Held, file: &TableFile) -> Result<(Staged, Sums)> {
        file.check(&self.sums)?;
        let mut sums = Sums::default();
        self.changed.iter().for_each(|rows| sums.count(rows));
        let gone: usize = self.gone.iter().map(RecordBatch::num_rows).sum();
        let staged = Staged {
            rows: sums.rows,
            instead: Some((before.sums.rows, gone as u64)),
            held: Held {
                id: before.id,
                path: file.path.clone(),
                sums: self.sums.clone(),
            },
        };
        Ok((staged, sums))
    }
}

/// Compares the file at `before` with the one that takes its place. `None` when the old one is no longer in
/// the lake, the table has no key, or more than half of the rows differ: then it is replaced as a whole.
/// Holds 32 bytes for each row of the old file, and the rows that differ.
///
/// # Errors
/// Those of the storage.
pub(super) async fn difference(
    store: &Store,
    table: &Table,
    before: &str,
    file: &TableFile,
) -> Result<Option<Difference>> {
    if table.key.is_empty() {
        return Ok(None);
    }
    let rows = Rows::new(table)?;
    let mut old: HashMap<u128, u128> = HashMap::new();
    let mut stream = match parquet::stream(store, before, None).await {
        Ok(stream) => stream,
        Err(Error::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    while let Some(batch) = stream.try_next().await? {
        let batch = arrange(table, &batch)?;
        old.extend(rows.keys(&batch)?.into_iter().zip(rows.whole(&batch)?));
    }
    let half = old.len() / 2;
    let (mut differ, mut found) = (0, Difference::default());
    found.sums = Sums::zero(&table.schema);
    let mut stream = parquet::stream(store, &file.path, None).await?;
    while let Some(batch) = stream.try_next().await? {
        let batch = arrange(table, &batch)?;
        found.sums.count(&batch);
        let pairs = rows.keys(&batch)?.into_iter().zip(rows.whole(&batch)?);
        let changed: Vec<bool> = pairs
            .map(|(key, row)| {
                let same = old.get(&key) == Some(&row);
                if same {
                    old.remove(&key);
                }
                !same
            })
            .collect();
        differ += changed.iter().filter(|c| **c).count();
        if differ > half {
            return Ok(None);
        }
        let changed = compute::filter_record_batch(&batch, &BooleanArray::from(changed))?;
        if changed.num_rows() > 0 {
            found.changed.push(changed);
        }
    }
    if old.len() > half {
        return Ok(None);
    }
    let mut stream = parquet::stream(store, before, Some(&rows.names)).await?;
    while !old.is_empty()
        && let Some(batch) = stream.try_next().await?
    {
        let keys = rows.only_keys(&batch)?;
        let gone = rows.keys_of(&keys)?.into_iter();
        let gone: BooleanArray = gone.map(|key| Some(old.contains_key(&key))).collect();
        let gone = compute::filter_record_batch(&keys, &gone)?;
        if gone.num_rows() > 0 {
            found.gone.push(gone);
        }
    }
    Ok(Some(found))
}

/// Hashes rows and their keys.
struct Rows<'a> {
    names: Vec<&'a str>,
    /// Positions of the key columns.
    places: Vec<usize>,
    key: RowConverter,
    row: RowConverter,
}

impl<'a> Rows<'a> {
    fn new(table: &'a Table) -> Result<Self> {
        let fields = table.schema.fields();
        let sorted = |place: &usize| SortField::new(fields[*place].data_type().clone());
        let places: Vec<usize> = table
            .key
            .iter()
            .map(|k| table.schema.index_of(k))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            names: table.key.iter().map(String::as_str).collect(),
            key: RowConverter::new(places.iter().map(sorted).collect())?,
            row: RowConverter::new((0..fields.len()).map(|p| sorted(&p)).collect())?,
            places,
        })
    }

    fn keys(&self, batch: &RecordBatch) -> Result<Vec<u128>> {
        self.keys_of(&batch.project(&self.places)?)
    }

    /// The hashes of keys that stand in a batch of their own.
    fn keys_of(&self, keys: &RecordBatch) -> Result<Vec<u128>> {
        hashes(&self.key, keys)
    }

    fn whole(&self, batch: &RecordBatch) -> Result<Vec<u128>> {
        hashes(&self.row, batch)
    }

    /// The key columns in the order of the key.
    fn only_keys(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let places = self.names.iter().map(|n| batch.schema_ref().index_of(n));
        Ok(batch.project(&places.collect::<Result<Vec<_>, _>>()?)?)
    }
}

fn hashes(converter: &RowConverter, batch: &RecordBatch) -> Result<Vec<u128>> {
    let rows = converter.convert_columns(batch.columns())?;
    Ok(rows.iter().map(|row| xxh3_128(row.data())).collect())
}
