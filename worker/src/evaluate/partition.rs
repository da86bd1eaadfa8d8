//! What is judged: records with their customers, and the pairs that were scored.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use arrow::{
    array::{AsArray as _, RecordBatch},
    datatypes::{Float32Type, Int64Type},
};
use hashbrown::HashMap;
use musubi_identity::{Edge, Features, Policy};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::{dedupe::Again, stage::resolved::Resolved};

/// How records are named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keyed {
    /// By record id.
    Records,
    /// By row over the input files, from 0.
    Rows,
}

impl Keyed {
    pub(super) const fn column(self) -> &'static str {
        match self {
            Self::Records => "record_id",
            Self::Rows => "row",
        }
    }

    pub(super) const fn what(self) -> &'static str {
        match self {
            Self::Records => "records by record_id (or by source, stream and key)",
            Self::Rows => "rows by their number, from 0",
        }
    }
}

/// A scored pair, by place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pair {
    pub(super) left: u32,
    pub(super) right: u32,
    pub(super) weight: f32,
    pub(super) probability: f32,
}

/// Records with their customers.
pub struct Partition {
    /// What it is, for people.
    pub of: String,
    pub(super) keyed: Keyed,
    /// Names of the records, ascending.
    keys: Vec<u128>,
    /// Customer of each record, numbered.
    pub(super) customer: Vec<u32>,
    sources: Vec<String>,
    source: Vec<u32>,
    pub(super) pairs: Vec<Pair>,
    /// Match probability from which pairs were joined; 0 when only those that stand are known.
    pub threshold: f64,
}

impl Partition {
    /// The customers of a published version.
    #[must_use]
    pub fn published(resolved: &Resolved) -> Self {
        Self::scored(
            format!("version {}", resolved.version),
            Keyed::Records,
            resolved.matcher.features(),
            |record| resolved.customer(record),
            &resolved.edges,
            resolved.policy.match_probability,
        )
    }

    /// The clusters that `musubi dedupe` found. Pairs are scored again, and more of them kept than are worth a look: what is
    /// wrong about those that were not joined shows there.
    #[must_use]
    pub fn again(again: &Again) -> Self {
        const KEPT: f64 = 0.01;
        let policy = Policy {
            review_probability: KEPT,
            ..again.policy.clone()
        };
        Self::scored(
            "what musubi dedupe found".to_owned(),
            Keyed::Rows,
            again.matcher.features(),
            |row| again.registry.customer.get(row as usize).copied(),
            &again.matcher.shards_without_copies(&policy, 1).edges,
            again.policy.match_probability,
        )
    }

    fn scored(
        of: String,
        keyed: Keyed,
        features: &Features,
        customer: impl Fn(u32) -> Option<u32>,
        edges: &[Edge],
        threshold: f64,
    ) -> Self {
        let mut numbers: HashMap<&str, u32> = HashMap::new();
        let mut sources = Vec::new();
        let records = 0..features.len() as u32;
        let source = records
            .clone()
            .map(|r| {
                *numbers.entry(features.source(r)).or_insert_with(|| {
                    sources.push(features.source(r).to_owned());
                    sources.len() as u32 - 1
                })
            })
            .collect();
        let pairs = edges.iter().map(|e| Pair {
            left: e.left,
            right: e.right,
            weight: e.weight,
            probability: e.probability,
        });
        Self {
            of,
            keyed,
            keys: records.clone().map(|r| features.id(r)).collect(),
            customer: records.map(|r| customer(r).unwrap_or(u32::MAX)).collect(),
            sources,
            source,
            pairs: pairs.collect(),
            threshold,
        }
    }

    /// The clusters that `musubi dedupe` wrote, with the links beside them.
    ///
    /// # Errors
    /// When the file is another.
    pub fn clusters(path: &Path) -> Result<Self> {
        let mut out = Self {
            of: path.display().to_string(),
            keyed: Keyed::Rows,
            keys: Vec::new(),
            customer: Vec::new(),
            sources: Vec::new(),
            source: Vec::new(),
            pairs: Vec::new(),
            threshold: 0.0,
        };
        let (mut clusters, mut sources) =
            (HashMap::<String, u32>::new(), HashMap::<String, u32>::new());
        for batch in read(path)? {
            let rows = numbers(&batch, "row", path)?;
            let ids = texts(&batch, "cluster_id", path)?;
            let source = texts(&batch, "source", path)?;
            for at in 0..batch.num_rows() {
                out.keys
                    .push(u128::try_from(rows.value(at)).unwrap_or_default());
                let next = clusters.len() as u32;
                out.customer
                    .push(*clusters.entry(ids.value(at).to_owned()).or_insert(next));
                let next = sources.len() as u32;
                let number = *sources
                    .entry(source.value(at).to_owned())
                    .or_insert_with(|| {
                        out.sources.push(source.value(at).to_owned());
                        next
                    });
                out.source.push(number);
            }
        }
        ensure!(
            out.keys.is_sorted(),
            "{}: rows are not in order; is it the clusters.parquet that musubi dedupe wrote?",
            path.display()
        );
        let links = path.with_file_name("edges.parquet");
        if links.exists() {
            for batch in read(&links)? {
                let (left, right) = (
                    numbers(&batch, "row_l", &links)?,
                    numbers(&batch, "row_r", &links)?,
                );
                let floats = |name: &str| {
                    let column = batch.column_by_name(name);
                    let column = column.and_then(|c| c.as_primitive_opt::<Float32Type>());
                    column.with_context(|| format!("{} has no column {name}", links.display()))
                };
                let (weight, probability) = (floats("weight")?, floats("probability")?);
                for at in 0..batch.num_rows() {
                    let place = |row: i64| out.position(u128::try_from(row).ok()?);
                    if let (Some(left), Some(right)) =
                        (place(left.value(at)), place(right.value(at)))
                    {
                        out.pairs.push(Pair {
                            left: left as u32,
                            right: right as u32,
                            weight: weight.value(at),
                            probability: probability.value(at),
                        });
                    }
                }
            }
        }
        Ok(out)
    }

    /// Whether the pairs are all that were scored high enough, and not only those that stand.
    pub(super) fn keeps_all(&self) -> bool {
        self.threshold > 0.0
    }

    /// Place of a record.
    pub(super) fn position(&self, key: u128) -> Option<usize> {
        self.keys.binary_search(&key).ok()
    }

    /// Source of the record at a place.
    pub(super) fn source(&self, at: usize) -> &str {
        &self.sources[self.source[at] as usize]
    }

    /// Name of the record at a place.
    pub(super) fn name(&self, at: u32) -> String {
        let key = self.keys[at as usize];
        match self.keyed {
            Keyed::Records => format!("{key:032x}"),
            Keyed::Rows => key.to_string(),
        }
    }
}

fn read(path: &Path) -> Result<Vec<RecordBatch>> {
    let open = || -> Result<Vec<RecordBatch>> {
        let file = std::fs::File::open(path)?;
        let reader = ParquetRecordBatchReaderBuilder::try_new(file)?.build()?;
        Ok(reader.collect::<Result<_, _>>()?)
    };
    open().with_context(|| format!("cannot read {} as Parquet", path.display()))
}

fn numbers<'a>(
    batch: &'a RecordBatch,
    name: &str,
    path: &Path,
) -> Result<&'a arrow::array::PrimitiveArray<Int64Type>> {
    let column = batch.column_by_name(name);
    column
        .and_then(|c| c.as_primitive_opt::<Int64Type>())
        .with_context(|| {
            format!(
                "{} has no numbers in a column {name}; is it what musubi dedupe wrote?",
                path.display()
            )
        })
}

fn texts<'a>(
    batch: &'a RecordBatch,
    name: &str,
    path: &Path,
) -> Result<&'a arrow::array::StringArray> {
    let column = batch.column_by_name(name);
    column
        .and_then(|c| c.as_string_opt::<i32>())
        .with_context(|| {
            format!(
                "{} has no texts in a column {name}; is it what musubi dedupe wrote?",
                path.display()
            )
        })
}
