//! Identity alone: sets of records with their truth, through the engine as the stages call it, and through Splink
//! beside it.

mod clean;
mod febrl;
mod files;
pub(crate) mod japan;
mod peer;
mod report;

use std::{process::Command, sync::Arc, time::Instant};

use anyhow::{Context as _, Result};
use arrow::array::{ArrayRef, RecordBatch, StringArray};
use clap::ValueEnum;
use musubi_identity::{
    Edge, FeaturesBuilder, Matcher, Policy, Registry, Room,
    evaluate::{self, Quality},
    link, train_within,
};
use serde::{Deserialize, Serialize};

use crate::machine;

/// Values of a record by column.
type Row = Vec<Option<String>>;

/// A kind of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Set {
    /// FEBRL 3: 5,000 records of 2,000 people.
    Febrl3,
    /// FEBRL 4: two files of 5,000 people each, to be linked.
    Febrl4,
    /// fake_1000 of Splink: 1,000 records.
    Fake1000,
    /// FEBRL-style: at most 5 duplicates of a record, 2 slips in a field, 4 in a record.
    Febrl,
    /// FEBRL-style and hard: 9 duplicates, 3 slips in a field, 10 in a record.
    FebrlHard,
    /// Customers of a Japanese retailer, with households, marriages and moves.
    Japan,
}

/// What to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    Table,
    Json,
}

/// Which sets, and how large.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Sets of records.
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["febrl3", "febrl4", "fake1000", "febrl", "febrl-hard", "japan"])]
    set: Vec<Set>,
    /// Records of each set that is made.
    #[arg(long, value_delimiter = ',', default_values_t = [100_000])]
    records: Vec<u64>,
    /// Seed of the sets.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Shards that matching is cut into; one is what `musubi dedupe` takes.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=4096))]
    shards: u32,
    /// A table for people, or one JSON document.
    #[arg(short, long, value_enum, default_value = "table")]
    output: Output,
    /// Leave Splink out.
    #[arg(long)]
    without_splink: bool,
    /// Write what was measured to this file, as JSON.
    #[arg(
        long,
        value_name = "FILE",
        default_value = "target/bench-identity.json"
    )]
    to: std::path::PathBuf,
    /// Print the blocking rules of each model too.
    #[arg(long)]
    rules: bool,
    /// Run here and print what was measured; without it, every set has a process of its own.
    #[arg(long, hide = true)]
    here: bool,
    /// Write the records to this folder too, for Splink.
    #[arg(long, hide = true)]
    records_to: Option<std::path::PathBuf>,
}

/// What a phase took.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Phase {
    name: String,
    cpu_seconds: f64,
    wall_seconds: f64,
    peak_megabytes: u64,
}

/// What a blocking rule made.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Rule {
    rule: String,
    blocks: u64,
    largest: u64,
    pairs: u64,
    matches: f64,
    refined: usize,
    idle: bool,
}

/// Shares by which a partition is judged.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Judged {
    precision: f64,
    recall: f64,
    f1: f64,
}

impl From<Quality> for Judged {
    fn from(quality: Quality) -> Self {
        Self {
            precision: quality.precision,
            recall: quality.recall,
            f1: quality.f1,
        }
    }
}

/// What was measured of one set.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Figures {
    set: Set,
    records: u64,
    people: u64,
    seed: u64,
    shards: u32,
    /// In order; `clean` stands apart, for the engine takes clean records.
    phases: Vec<Phase>,
    cpu_seconds: f64,
    wall_seconds: f64,
    peak_megabytes: u64,
    /// Pairs that were scored.
    pairs: u64,
    pairs_per_core_second: f64,
    /// Edges that were kept.
    edges: u64,
    blocking_recall: f64,
    pairwise: Judged,
    b_cubed: Judged,
    /// Of the pairs that were put together, those that are two members of one household.
    within_household: f64,
    rules: Vec<Rule>,
    /// The same of Splink.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    splink: Option<peer::Figures>,
}

impl Figures {
    /// Processor seconds with cleaning.
    fn whole_cpu_seconds(&self) -> f64 {
        self.phases.iter().map(|p| p.cpu_seconds).sum()
    }

    /// Seconds with cleaning.
    fn whole_wall_seconds(&self) -> f64 {
        self.phases.iter().map(|p| p.wall_seconds).sum()
    }
}

pub(crate) fn run(args: &Args) -> Result<()> {
    if args.here {
        let figures = measure(args)?;
        println!("{}", serde_json::to_string(&figures)?);
        return Ok(());
    }
    let facts = machine::facts();
    let splink = match args.without_splink {
        true => None,
        false => peer::Splink::find(),
    };
    let mut all = Vec::new();
    for set in &args.set {
        let sizes = if set.is_made() {
            &args.records[..]
        } else {
            &[0]
        };
        for records in sizes {
            let name = set.to_possible_value();
            let name = name.context("the set has a name")?;
            let scratch = tempfile::tempdir()?;
            let output = Command::new(std::env::current_exe()?)
                .args(["identity", "--here", "--set", name.get_name()])
                .args(["--records", &records.to_string()])
                .args(["--seed", &args.seed.to_string()])
                .args(["--shards", &args.shards.to_string()])
                .arg("--records-to")
                .arg(scratch.path())
                .output()?;
            anyhow::ensure!(
                output.status.success(),
                "{} with {records} records failed: {}",
                name.get_name(),
                String::from_utf8_lossy(&output.stderr)
            );
            let mut figures: Figures = serde_json::from_slice(&output.stdout)?;
            if let Some(splink) = &splink {
                figures.splink = splink.run(*set, figures.records, scratch.path())?;
            }
            all.push(figures);
        }
    }
    report::write(&args.to, &facts, &all)?;
    match args.output {
        Output::Table => report::table(&facts, &all, args.rules),
        Output::Json => report::json(&facts, &all)?,
    }
    Ok(())
}

/// Measures phases.
#[derive(Default)]
struct Clock {
    phases: Vec<Phase>,
}

impl Clock {
    /// Runs a piece of a phase.
    fn time<T>(&mut self, name: &str, work: impl FnOnce() -> T) -> T {
        machine::forget_peak();
        let (wall, cpu) = (Instant::now(), machine::cpu_seconds());
        let done = work();
        let (wall, cpu) = (wall.elapsed().as_secs_f64(), machine::cpu_seconds() - cpu);
        let peak = machine::peak_megabytes();
        match self.phases.iter_mut().find(|p| p.name == name) {
            Some(phase) => {
                phase.cpu_seconds += cpu;
                phase.wall_seconds += wall;
                phase.peak_megabytes = phase.peak_megabytes.max(peak);
            }
            None => self.phases.push(Phase {
                name: name.to_owned(),
                cpu_seconds: cpu,
                wall_seconds: wall,
                peak_megabytes: peak,
            }),
        }
        done
    }

    fn sum(&self, of: impl Fn(&Phase) -> f64) -> f64 {
        self.phases
            .iter()
            .filter(|p| p.name != "clean")
            .map(of)
            .sum()
    }
}

/// Records of one batch.
const BATCH: usize = 50_000;

/// Records on their way into features.
struct Intake {
    clock: Clock,
    builder: FeaturesBuilder,
    /// Record, person, household.
    truth: Vec<(u128, u32, u32)>,
    rows: Vec<Row>,
    /// Where the records are written to as well.
    copy: Option<peer::Copy>,
    /// The file that records come from.
    file: usize,
    seed: u64,
}

impl Intake {
    fn take(&mut self, person: u32, household: u32, row: Row) -> Result<()> {
        let number = self.truth.len() as u64;
        let id = febrl::record_id(self.seed, number);
        if let Some(copy) = &mut self.copy {
            copy.write(self.file, number, person, household, &row)?;
        }
        self.truth.push((id, person, household));
        self.rows.push(row);
        Ok(())
    }

    /// Hands over what has been taken.
    fn flush(&mut self, columns: &[&str], cleaner: Option<&clean::Records>) -> Result<()> {
        let rows = std::mem::take(&mut self.rows);
        if rows.is_empty() {
            return Ok(());
        }
        let ids = &self.truth[self.truth.len() - rows.len()..];
        let ids: Vec<String> = ids.iter().map(|t| format!("{:032x}", t.0)).collect();
        let batch = batch(&ids, &rows, columns, self.file)?;
        drop(rows);
        let batch = match cleaner {
            Some(cleaner) => self.clock.time("clean", || cleaner.clean(&batch, &ids))?,
            None => batch,
        };
        let builder = &mut self.builder;
        Ok(self.clock.time("build", || builder.push(&batch))?)
    }
}

fn batch(ids: &[String], rows: &[Row], columns: &[&str], file: usize) -> Result<RecordBatch> {
    let source = StringArray::from_iter_values(ids.iter().map(|_| format!("file{file}")));
    let mut all: Vec<(&str, ArrayRef, bool)> = vec![
        (
            "record_id",
            Arc::new(StringArray::from_iter_values(ids)),
            true,
        ),
        ("source", Arc::new(source), true),
    ];
    for (c, name) in columns.iter().enumerate() {
        let values: StringArray = rows.iter().map(|r| r[c].as_deref()).collect();
        all.push((name, Arc::new(values), true));
    }
    Ok(RecordBatch::try_from_iter_with_nullable(all)?)
}

/// Makes the records of a set and takes them in.
fn intake(args: &Args, set: Set, records: u64) -> Result<Intake> {
    let copy = args.records_to.as_ref();
    let mut intake = Intake {
        clock: Clock::default(),
        builder: FeaturesBuilder::default(),
        truth: Vec::new(),
        rows: Vec::new(),
        copy: copy
            .map(|folder| peer::Copy::create(folder, set))
            .transpose()?,
        file: 0,
        seed: args.seed,
    };
    let mut failed = Ok(());
    let columns = set.columns();
    let cleaner = |file| clean::Records::of(set, file);
    if !set.is_made() {
        for (number, file) in files::read(set)?.into_iter().enumerate() {
            intake.file = number;
            for (person, row) in file {
                intake.take(person, person, row)?;
            }
            intake.flush(&columns, cleaner(number)?.as_ref())?;
        }
        return Ok(intake);
    }
    let cleaner = cleaner(0)?;
    let mut take = |person, household, row| {
        if failed.is_ok() {
            failed = intake.take(person, household, row);
        }
        if intake.rows.len() == BATCH && failed.is_ok() {
            failed = intake.flush(&columns, cleaner.as_ref());
        }
    };
    let settings = |duplicates, field, record| febrl::Settings {
        duplicates,
        field,
        record,
    };
    match set {
        Set::FebrlHard => febrl::Generator::new(settings(9, 3, 10), args.seed)
            .each(records, |person, row| take(person, person, row)),
        Set::Japan => japan::each(args.seed, records, take),
        _ => febrl::Generator::new(settings(5, 2, 4), args.seed)
            .each(records, |person, row| take(person, person, row)),
    }
    failed?;
    intake.flush(&columns, cleaner.as_ref())?;
    Ok(intake)
}

impl Set {
    /// Whether its records are made by a generator.
    fn is_made(self) -> bool {
        matches!(self, Self::Febrl | Self::FebrlHard | Self::Japan)
    }

    /// Names of its columns.
    fn columns(self) -> Vec<&'static str> {
        match self {
            Self::Febrl3 | Self::Febrl4 => files::FEBRL.to_vec(),
            Self::Fake1000 => files::FAKE.to_vec(),
            Self::Febrl | Self::FebrlHard => febrl::COLUMNS.to_vec(),
            Self::Japan => japan::COLUMNS.to_vec(),
        }
    }
}

fn measure(args: &Args) -> Result<Figures> {
    let (Some(set), Some(records)) = (args.set.first(), args.records.first()) else {
        anyhow::bail!("name a set and a number of records");
    };
    let Intake {
        mut clock,
        builder,
        mut truth,
        ..
    } = intake(args, *set, *records)?;
    truth.sort_unstable();
    let policy = Policy {
        across_sources: *set == Set::Febrl4,
        ..Policy::default()
    };
    let mut features = clock.time("build", || builder.finish());
    let model = clock.time("train", || {
        train_within(Room::default(), &mut features, &policy, 1)
    });
    let matcher = clock.time("match", || Matcher::new(features, &model));
    let (mut edges, mut pairs): (Vec<Edge>, u64) = (Vec::new(), 0);
    for shard in 0..args.shards {
        let found = clock.time("match", || matcher.shard(&policy, shard, args.shards, None))?;
        pairs += found.pairs;
        edges.extend(found.edges);
    }
    let linked = clock.time("link", || {
        link(&matcher, &edges, &Registry::default(), &policy)
    });
    let people: Vec<u32> = truth.iter().map(|t| t.1).collect();
    let customer = &linked.registry.customer;
    let matching = clock.phases.iter().find(|p| p.name == "match");
    let matching = matching.map_or(0.0, |p| p.cpu_seconds).max(0.01);
    let rules = model.rules.iter().map(|r| Rule {
        rule: r.rule.clone(),
        blocks: r.blocks,
        largest: r.largest,
        pairs: r.pairs,
        matches: r.matches,
        refined: r.hubs.len(),
        idle: r.idle,
    });
    let mut distinct = people.clone();
    distinct.sort_unstable();
    distinct.dedup();
    Ok(Figures {
        set: *set,
        records: people.len() as u64,
        people: distinct.len() as u64,
        seed: args.seed,
        shards: args.shards,
        cpu_seconds: clock.sum(|p| p.cpu_seconds),
        wall_seconds: clock.sum(|p| p.wall_seconds),
        peak_megabytes: clock
            .phases
            .iter()
            .map(|p| p.peak_megabytes)
            .max()
            .unwrap_or(0),
        pairs,
        pairs_per_core_second: pairs as f64 / matching,
        edges: edges.len() as u64,
        blocking_recall: evaluate::blocking_recall(&matcher, &people),
        pairwise: evaluate::pairwise(customer, &people).into(),
        b_cubed: evaluate::b_cubed(customer, &people).into(),
        within_household: within_household(customer, &truth),
        rules: rules.collect(),
        phases: clock.phases,
        splink: None,
    })
}

/// Of the pairs of records that were put together, the share that are two people of one household.
fn within_household(customer: &[u32], truth: &[(u128, u32, u32)]) -> f64 {
    let together = |key: &dyn Fn(&(u128, u32, u32)) -> u32| -> f64 {
        let keys = customer.iter().zip(truth).map(|(c, t)| (*c, key(t)));
        let mut keys: Vec<(u32, u32)> = keys.collect();
        keys.sort_unstable();
        let sizes = keys.chunk_by(|a, b| a == b).map(|g| g.len() as u64);
        sizes.map(|n| n * (n - 1) / 2).sum::<u64>() as f64
    };
    let (home, person) = (together(&|t| t.2), together(&|t| t.1));
    (home - person) / together(&|_| 0).max(1.0)
}
