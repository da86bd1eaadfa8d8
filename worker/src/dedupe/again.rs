//! What `musubi dedupe` found, opened again: its inputs are read as they were then, for whoever asks why.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail, ensure};
use arrow::array::AsArray as _;
use musubi_identity::{Customer, CustomerId, Matcher, Model, Policy, Registry};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde::Deserialize;

use super::{
    Settings, Watch,
    clock::Clock,
    labels::Labels,
    policy, read_model,
    records::{self, Answers},
    tables,
};
use crate::memory;

/// Clusters, and everything that they were decided by.
pub struct Again {
    /// The model.
    pub model: Model,
    /// The records; the id of each is its row, from 0 over the inputs in order.
    pub matcher: Matcher,
    /// The rules.
    pub policy: Policy,
    /// The cluster of each row.
    pub registry: Registry,
    /// Country of what does not say its own; `zz` for none.
    pub country: String,
}

/// What is needed of `stats.json`.
#[derive(Deserialize)]
struct Told {
    mode: String,
    country: String,
    threshold: f64,
    inputs: Vec<ToldInput>,
    #[serde(default)]
    labels: Option<ToldLabels>,
}

#[derive(Deserialize)]
struct ToldLabels {
    path: PathBuf,
}

#[derive(Deserialize)]
struct ToldInput {
    path: PathBuf,
    bytes: u64,
    columns: Vec<ToldColumn>,
}

#[derive(Deserialize)]
struct ToldColumn {
    column: String,
    role: String,
}

/// Nobody watches.
struct Silent;

impl Watch for Silent {
    fn columns(&self, _: &[super::Input]) {}
    fn phase(&self, _: &str) {}
    fn rows(&self, _: u64) {}
}

impl Told {
    /// Where the inputs are.
    fn files(&self, shown: &str, moved: &[PathBuf]) -> Result<Vec<PathBuf>> {
        ensure!(
            moved.is_empty() || moved.len() == self.inputs.len(),
            "{shown} was made from {} {}: say with --input where each is, in the order of stats.json",
            self.inputs.len(),
            if self.inputs.len() == 1 {
                "file"
            } else {
                "files"
            }
        );
        let mut files = Vec::new();
        for (at, input) in self.inputs.iter().enumerate() {
            let path = moved.get(at).unwrap_or(&input.path);
            let meta = std::fs::metadata(path)
                .ok()
                .filter(std::fs::Metadata::is_file);
            let Some(meta) = meta else {
                bail!(
                    "{shown} was made from {}, which is not there, and the records are needed to explain them. Put it back, \
                     or say where {} now: --input FILE{}",
                    path.display(),
                    if self.inputs.len() == 1 {
                        "it is"
                    } else {
                        "the inputs are"
                    },
                    " --input FILE".repeat(self.inputs.len() - 1)
                );
            };
            ensure!(
                meta.len() == input.bytes,
                "{} is another file than {shown} was made from (it has {} bytes, and had {}): run `musubi dedupe` again",
                path.display(),
                meta.len(),
                input.bytes
            );
            files.push(path.clone());
        }
        Ok(files)
    }
}

impl Again {
    /// Opens the folder that `musubi dedupe` wrote. Inputs are where they were then, unless `moved` says where each is
    /// now, in their order.
    ///
    /// # Errors
    /// When it is no such folder, or an input is gone or other than it was.
    pub fn open(folder: &Path, moved: &[PathBuf]) -> Result<Self> {
        let shown = folder.display();
        let path = folder.join("stats.json");
        let text = std::fs::read_to_string(&path).with_context(|| {
            format!("{shown} is no folder that `musubi dedupe` wrote: it has no stats.json")
        })?;
        let told: Told = serde_json::from_str(&text)
            .with_context(|| format!("{}: run `musubi dedupe` again", path.display()))?;
        let model = read_model(&folder.join("model.json"))?;
        let files = told.files(&shown.to_string(), moved)?;
        let settings = Settings {
            files,
            link: told.mode == "link",
            threshold: Some(told.threshold),
            country: Some(told.country),
            ..Settings::default()
        };
        let (mut tables, country) = tables(&settings)?;
        for (table, input) in tables.iter_mut().zip(&told.inputs) {
            let before = input.columns.iter().map(|c| &c.column);
            ensure!(
                table.columns.iter().map(|c| &c.name).eq(before),
                "{} has other columns than when {shown} was made: run `musubi dedupe` again",
                table.path.display()
            );
            for (column, told) in table.columns.iter_mut().zip(&input.columns) {
                column.role = told.role.parse()?;
            }
        }
        let answers = Answers {
            truth: None,
            household: None,
        };
        let most = memory::available();
        let clock = &mut Clock::default();
        let records = records::read(&tables, &country, &answers, most, clock, &Silent)?;
        let registry = clusters(&folder.join("clusters.parquet"))?;
        ensure!(
            registry.records.len() == records.features.len(),
            "the inputs have {} rows, and had {} when {shown} was made: run `musubi dedupe` again",
            records.features.len(),
            registry.records.len()
        );
        let mut policy = policy(&settings);
        if let Some(told) = &told.labels {
            let labels = Labels::read(&told.path, &tables)
                .with_context(|| format!("{shown} was made with labels"))?;
            policy.pins = labels.pins(&tables, &records.source, settings.link)?;
        }
        Ok(Self {
            matcher: Matcher::new(records.features, &model),
            policy,
            model,
            registry,
            country,
        })
    }

    /// The record id of a row, as a person writes it.
    ///
    /// # Errors
    /// When there is no such row.
    pub fn record(&self, row: &str) -> Result<String> {
        let number: u64 = row.parse().ok().with_context(|| {
            format!("{row:?} is no row: rows are numbered from 0 over the inputs in order, as in clusters.parquet")
        })?;
        let rows = self.registry.records.len();
        ensure!(
            (number as usize) < rows,
            "there is no row {row}; the inputs have {rows}"
        );
        Ok(format!("{number:032x}"))
    }

    /// The row of a record id.
    #[must_use]
    pub fn row(record: &str) -> String {
        u128::from_str_radix(record, 16).map_or_else(|_| record.to_owned(), |row| row.to_string())
    }
}

/// Reads the cluster of each row; rows are in order.
fn clusters(path: &Path) -> Result<Registry> {
    let shown = path.display();
    let file = File::open(path).with_context(|| format!("cannot open {shown}"))?;
    let reader = ParquetRecordBatchReaderBuilder::try_new(file)?.build()?;
    let mut registry = Registry::default();
    let mut numbers = hashbrown::HashMap::new();
    for batch in reader {
        let batch = batch?;
        let column = batch.column_by_name("cluster_id");
        let Some(ids) = column.and_then(|c| c.as_string_opt::<i32>()) else {
            bail!("{shown} has no column cluster_id: run `musubi dedupe` again");
        };
        for id in ids.iter().flatten() {
            let id: CustomerId = id
                .parse()
                .ok()
                .with_context(|| format!("{shown} is malformed"))?;
            let next = registry.customers.len() as u32;
            let number = *numbers.entry(id).or_insert(next);
            if number == next {
                registry.customers.push(Customer {
                    id,
                    created: u64::from(next),
                    household: None,
                });
            }
            registry.records.push(registry.records.len() as u128);
            registry.customer.push(number);
        }
    }
    Ok(registry)
}
