//! Labelled sets of people, cleaned by the real normalisers, and what the engine makes of them.

#![allow(dead_code, reason = "each user takes its part")]

pub(crate) mod made;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use arrow::array::{Array as _, ArrayRef, AsArray as _, RecordBatch, StringArray};
use arrow::compute::concat_batches;
use arrow::datatypes::Int64Type;
use musubi_api::entity::Entity;
use musubi_api::source::{SourceSpec, Stream};
use musubi_clean::cleaner::{Cleaner, record_id};
use musubi_clean::lookup::Lookups;
use musubi_clean::raw::{Locator, RawBatch, RawRows, SourceFile};
use musubi_identity::evaluate::{self, Quality};
use musubi_identity::{Edge, Features, Linked, Matcher, Model, Policy, Registry, link, train};
use serde_json::{Value, json};

/// A set of customer records and the truth about them.
pub(crate) struct Labelled {
    /// Clean rows.
    pub(crate) batches: Vec<RecordBatch>,
    /// Person and household by record id.
    pub(crate) truth: HashMap<String, (String, String)>,
}

/// Columns of a FEBRL file, and how they map.
fn febrl() -> Value {
    json!({
        "given_name": { "from": "given_name" },
        "family_name": { "from": "surname" },
        "birth_date": { "from": "date_of_birth", "format": "%Y%m%d" },
        "block": { "from": "street_number" },
        "town": { "from": "address_1" },
        "building": { "from": "address_2" },
        "city": { "from": "suburb" },
        "postal_code": { "from": "postcode" },
        "prefecture": { "from": "state" },
    })
}

/// Columns of fake_1000, and how they map.
fn fake() -> Value {
    json!({
        "given_name": { "from": "first_name" },
        "family_name": { "from": "surname" },
        "birth_date": { "from": "dob", "format": "%Y-%m-%d" },
        "city": { "from": "city" },
        "email": { "from": "email" },
    })
}

/// FEBRL files, all of them one set. The person of `rec-1496-dup-3` is 1496.
pub(crate) fn load_febrl(files: &[&Path], country: &str) -> Result<Labelled> {
    load(files, febrl(), "rec_id", country, |row| {
        row["rec_id"]
            .split('-')
            .nth(1)
            .unwrap_or_default()
            .to_owned()
    })
}

/// The file fake_1000.csv. The person is the column `cluster`.
pub(crate) fn load_fake(file: &Path) -> Result<Labelled> {
    load(&[file], fake(), "unique_id", "gb", |row| {
        row["cluster"].clone()
    })
}

type Row = HashMap<String, String>;

fn load(
    files: &[&Path],
    fields: Value,
    key: &str,
    country: &str,
    person: impl Fn(&Row) -> String,
) -> Result<Labelled> {
    let mut labelled = Labelled {
        batches: Vec::new(),
        truth: HashMap::new(),
    };
    for (n, file) in files.iter().enumerate() {
        let source = format!("file{n}");
        let mut reader = csv::ReaderBuilder::new()
            .trim(csv::Trim::All)
            .from_path(file)
            .with_context(|| format!("cannot open {}", file.display()))?;
        let header: Vec<String> = reader.headers()?.iter().map(str::to_owned).collect();
        let rows: Vec<csv::StringRecord> = reader.records().collect::<Result<_, _>>()?;
        for row in &rows {
            let row: Row = header
                .iter()
                .cloned()
                .zip(row.iter().map(str::to_owned))
                .collect();
            let id = record_id(&source, "rows", Entity::Customer, &[&row[key]]);
            labelled.truth.insert(id, (person(&row), String::new()));
        }
        labelled
            .batches
            .push(clean(&source, &header, &rows, &fields, key, country)?);
    }
    Ok(labelled)
}

/// Raw rows through contract, mapping and normalisers.
fn clean(
    source: &str,
    header: &[String],
    rows: &[csv::StringRecord],
    fields: &Value,
    key: &str,
    country: &str,
) -> Result<RecordBatch> {
    // A date that does not exist is a value like any other error here, not a reason for quarantine.
    let spec: SourceSpec = serde_json::from_value(json!({
        "system": "crm", "country": country,
        "connector": { "folder": { "path": "." } },
        "streams": [{
            "name": "rows", "files": { "path": "*.csv" }, "format": { "csv": {} }, "changes": "snapshot",
            "entities": [{ "entity": "customer", "key": [key], "fields": fields }],
        }],
    }))?;
    let stream: &Stream = &spec.streams[0];
    let cleaner = Cleaner::new(source, &spec, stream, Lookups::default())?;
    let columns = header.iter().enumerate().map(|(c, name)| {
        let values: StringArray = rows
            .iter()
            .map(|r| r.get(c).filter(|v| !v.is_empty()))
            .collect();
        (name.as_str(), Arc::new(values) as ArrayRef, true)
    });
    let batch = RawBatch {
        record: None,
        rows: RawRows::Columns(RecordBatch::try_from_iter_with_nullable(columns)?),
        locators: (0..rows.len() as u64)
            .map(|row| Locator::RowGroup { group: 0, row })
            .collect(),
        numbers: (1..=rows.len() as u64).collect(),
    };
    let mut cleaned = cleaner.clean(&batch, "", &mut cleaner.start_file(SourceFile::default()))?;
    ensure!(
        cleaned.quarantined.num_rows() == 0,
        "{} rows of {source} went to quarantine: {:?}",
        cleaned.quarantined.num_rows(),
        cleaned.counts.reasons
    );
    Ok(cleaned.entities.remove(0).1)
}

/// The customer records of a world that `musubi demo` made and cleaned: of each record its last version.
pub(crate) fn load_world(root: &Path) -> Result<Labelled> {
    let mut truth = HashMap::new();
    let people = root.join("truth/people.csv");
    for row in csv::Reader::from_path(&people)
        .with_context(|| format!("cannot open {}: run `musubi demo` first", people.display()))?
        .records()
    {
        let row = row?;
        let key: Vec<&str> = row[2].split('|').collect();
        let id = record_id(&row[0], &row[1], Entity::Customer, &key);
        truth.insert(id, (row[3].to_owned(), row[4].to_owned()));
    }
    let mut batches = Vec::new();
    for folder in std::fs::read_dir(root.join("lake/clean"))? {
        for file in std::fs::read_dir(folder?.path())? {
            let path = file?.path();
            if path.to_string_lossy().ends_with("-customer.parquet") {
                let reader =
                    parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(
                        std::fs::File::open(path)?,
                    )?
                    .build()?;
                batches.extend(reader.collect::<Result<Vec<_>, _>>()?);
            }
        }
    }
    let schema = batches
        .first()
        .context("the world has no customers")?
        .schema();
    let all = concat_batches(&schema, &batches)?;
    let column = |name: &str| {
        all.column_by_name(name)
            .context("a clean column is missing")
    };
    let ids = column("record_id")?.as_string::<i32>();
    let versions = column("version")?.as_primitive::<Int64Type>();
    let version = |row: usize| versions.is_valid(row).then(|| versions.value(row));
    let mut last: HashMap<&str, usize> = HashMap::new();
    for row in 0..all.num_rows() {
        let best = last.entry(ids.value(row)).or_insert(row);
        if version(row) > version(*best) {
            *best = row;
        }
    }
    let mut rows: Vec<u32> = last.into_values().map(|r| r as u32).collect();
    rows.sort_unstable();
    let batch = arrow::compute::take_record_batch(&all, &arrow::array::UInt32Array::from(rows))?;
    Ok(Labelled {
        batches: vec![batch],
        truth,
    })
}

/// What the engine made of a set, and how long that took.
pub(crate) struct Measured {
    pub(crate) matcher: Matcher,
    pub(crate) model: Model,
    pub(crate) linked: Linked,
    /// Person of each record, numbered.
    pub(crate) truth: Vec<u32>,
    /// Household of each record, numbered.
    pub(crate) households: Vec<u32>,
    /// Pairs that were scored.
    pub(crate) pairs: u64,
    /// CPU seconds of features, training, matching, linking.
    pub(crate) cpu: [f64; 4],
    /// Seconds by the clock.
    pub(crate) wall: f64,
}

impl Measured {
    /// Runs the whole engine with default settings.
    pub(crate) fn of(set: &Labelled, shards: u32) -> Result<Self> {
        Self::under(&Policy::default(), set, shards)
    }

    pub(crate) fn under(policy: &Policy, set: &Labelled, shards: u32) -> Result<Self> {
        let began = Instant::now();
        let mut marks = vec![cpu_seconds()];
        let features = Features::build(&set.batches)?;
        marks.push(cpu_seconds());
        let model = train(&features, policy, 1);
        marks.push(cpu_seconds());
        let matcher = Matcher::new(features, &model);
        let features = matcher.features();
        let edges = (0..shards)
            .map(|s| matcher.shard(policy, s, shards, None))
            .collect::<Result<Vec<_>, _>>()?;
        marks.push(cpu_seconds());
        let all: Vec<Edge> = edges.iter().flat_map(|e| &e.edges).copied().collect();
        let linked = link(&matcher, &all, &Registry::default(), policy);
        marks.push(cpu_seconds());
        let of = |part: fn(&(String, String)) -> &str| {
            let mut numbers: HashMap<&str, u32> = HashMap::new();
            (0..features.len() as u32)
                .map(|r| {
                    let name = set.truth.get(&features.record_id(r)).map_or("", part);
                    let next = numbers.len() as u32;
                    *numbers.entry(name).or_insert(next)
                })
                .collect()
        };
        Ok(Self {
            truth: of(|t| &t.0),
            households: of(|t| &t.1),
            pairs: edges.iter().map(|e| e.pairs).sum(),
            cpu: std::array::from_fn(|i| marks[i + 1] - marks[i]),
            wall: began.elapsed().as_secs_f64(),
            matcher,
            model,
            linked,
        })
    }

    pub(crate) fn pairwise(&self) -> Quality {
        evaluate::pairwise(&self.linked.registry.customer, &self.truth)
    }

    pub(crate) fn b_cubed(&self) -> Quality {
        evaluate::b_cubed(&self.linked.registry.customer, &self.truth)
    }

    pub(crate) fn exact(&self) -> Quality {
        evaluate::exact_clusters(&self.linked.registry.customer, &self.truth)
    }

    /// Of the pairs of records that are one person, the share that evidence can join at all: chains of records of the
    /// person that share a number, a contact, a street or a birth date. No name counts: namesakes have it too.
    pub(crate) fn reachable(&self) -> Result<f64> {
        const EVIDENCE: [&[&str]; 8] = [
            &["email"],
            &["phone"],
            &["phone2"],
            &["loyalty_number"],
            &["app_user_id"],
            &["external_id"],
            &["town", "block"],
            &["birth_date"],
        ];
        fn root(of: &mut [usize], mut x: usize) -> usize {
            while of[x] != x {
                of[x] = of[of[x]];
                x = of[x];
            }
            x
        }
        let batch = self.matcher.features().to_batch()?;
        let mut chain: Vec<usize> = (0..self.truth.len()).collect();
        let mut seen: HashMap<(u32, &str, String), usize> = HashMap::new();
        for fields in EVIDENCE {
            let columns: Vec<_> = fields
                .iter()
                .filter_map(|f| batch.column_by_name(f))
                .map(|c| c.as_string::<i32>())
                .collect();
            for r in (0..self.truth.len()).filter(|r| columns.iter().all(|c| c.is_valid(*r))) {
                let value = columns
                    .iter()
                    .map(|c| c.value(r))
                    .collect::<Vec<_>>()
                    .join("\n");
                let kind = fields[0].trim_end_matches('2');
                let first = *seen.entry((self.truth[r], kind, value)).or_insert(r);
                let (a, b) = (root(&mut chain, r), root(&mut chain, first));
                chain[a] = b;
            }
        }
        let pairs = |keys: &mut dyn Iterator<Item = usize>| -> f64 {
            let mut sizes: HashMap<usize, u64> = HashMap::new();
            keys.for_each(|k| *sizes.entry(k).or_default() += 1);
            sizes.values().map(|n| n * (n - 1) / 2).sum::<u64>() as f64
        };
        let reached: Vec<usize> = (0..self.truth.len()).map(|r| root(&mut chain, r)).collect();
        let all = pairs(&mut self.truth.iter().map(|t| *t as usize));
        Ok(pairs(&mut reached.into_iter()) / all.max(1.0))
    }

    /// Of the pairs of records that were put together, the share that are two people of one household.
    pub(crate) fn within_household(&self) -> f64 {
        let together = |key: &dyn Fn(usize) -> (u32, u32)| -> f64 {
            let mut sizes: HashMap<(u32, u32), u64> = HashMap::new();
            for r in 0..self.truth.len() {
                *sizes.entry(key(r)).or_default() += 1;
            }
            sizes.values().map(|n| n * (n - 1) / 2).sum::<u64>() as f64
        };
        let customer = &self.linked.registry.customer;
        let home = together(&|r| (customer[r], self.households[r]));
        let person = together(&|r| (customer[r], self.truth[r]));
        (home - person) / together(&|r| (customer[r], 0)).max(1.0)
    }
}

/// CPU seconds of this process, over all its threads; 0 where the system does not say.
pub(crate) fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after = stat.rsplit(')').next().unwrap_or_default();
    let ticks: f64 = after
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|t| t.parse::<f64>().ok())
        .sum();
    ticks / 100.0
}
