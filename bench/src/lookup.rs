//! What one record costs in a process that stays, next to a process for each record.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use anyhow::{Context as _, Result, ensure};
use musubi::{
    lookup::{Desk, Fields},
    stage::Context as Run,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{identity::japan, machine, pipeline};

/// The lake, and how much is asked of it.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Records in the lake.
    #[arg(long, default_value_t = 100_000)]
    records: u64,
    /// Look-ups that are timed.
    #[arg(long, default_value_t = 20_000)]
    lookups: u64,
    /// Records that are added and timed.
    #[arg(long, default_value_t = 2_000)]
    adds: u64,
    /// Folder for the lake; one that is there is used as it is.
    #[arg(long, value_name = "FOLDER")]
    keep: Option<PathBuf>,
    /// Ask here and print what was measured; without it, every measurement has a process of its own.
    #[arg(long, hide = true)]
    here: Option<PathBuf>,
}

/// What was measured of a process.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Figures {
    records: usize,
    load_seconds: f64,
    load_cpu_seconds: f64,
    peak_megabytes: u64,
    resident_megabytes: u64,
    /// Milliseconds, ascending.
    lookups: Vec<f64>,
    adds: Vec<f64>,
    cpu_milliseconds_a_lookup: f64,
    /// Look-ups that found a customer.
    found: u64,
    cut_short: u64,
}

const RESOURCES: &str = r"
apiVersion: musubi.dev/v1alpha1
kind: Source
metadata: { name: crm }
spec:
  system: crm
  connector: { folder: { path: data } }
  streams:
    - name: people
      files: { path: '*.jsonl' }
      format: { json: {} }
      entities:
        - entity: customer
          key: [member]
          fields:
            name: { from: name }
            name_kana: { from: kana }
            birth_date: { from: birth, format: wareki | %Y-%m-%d }
            gender: { from: gender }
            phone: { from: phone }
            email: { from: mail }
            postal_code: { from: zip }
            address: { from: address }
---
apiVersion: musubi.dev/v1alpha1
kind: CustomerPipeline
metadata: { name: bento }
spec:
  sources: [crm]
  lake: { folder: lake }
";

/// Names of a record's fields, by column of the generator.
const FIELDS: [&str; 9] = [
    "",
    "name",
    "name_kana",
    "birth_date",
    "gender",
    "phone",
    "email",
    "postal_code",
    "address",
];

pub(crate) async fn run(args: &Args) -> Result<()> {
    if let Some(folder) = &args.here {
        let figures = measure(folder, args).await?;
        println!("{}", serde_json::to_string(&figures)?);
        return Ok(());
    }
    println!("{}", machine::facts());
    let scratch = tempfile::tempdir().context("make a folder for the lake")?;
    let folder = args.keep.as_deref().unwrap_or(scratch.path());
    if !folder.join("lake").is_dir() {
        world(folder, args.records)?;
        let made = pipeline::measure(folder)?;
        println!("\nthe run that made the lake took {:.1} CPU s", made.cpu());
    }
    let warm = ask(folder, args.lookups, args.adds)?;
    // A process that answers one record is the baseline.
    let begun = Instant::now();
    let once = ask(folder, 1, 0)?;
    let whole = begun.elapsed().as_secs_f64();
    let at = |times: &[f64], share: f64| {
        let last = times.len().saturating_sub(1);
        let place = (times.len() as f64 * share) as usize;
        times.get(place.min(last)).copied().unwrap_or(0.0)
    };
    println!(
        "\n{} records; loaded in {:.1} s ({:.1} CPU s), {} MB at the peak, {} MB when loaded",
        warm.records,
        warm.load_seconds,
        warm.load_cpu_seconds,
        warm.peak_megabytes,
        warm.resident_megabytes
    );
    println!(
        "\n{:<22} {:>8} {:>9} {:>9} {:>9} {:>9}",
        "milliseconds", "records", "p50", "p90", "p99", "most"
    );
    for (what, times) in [("look-up", &warm.lookups), ("add (durable)", &warm.adds)] {
        println!(
            "{what:<22} {:>8} {:>9.3} {:>9.3} {:>9.3} {:>9.3}",
            times.len(),
            at(times, 0.5),
            at(times, 0.9),
            at(times, 0.99),
            at(times, 1.0)
        );
    }
    println!(
        "{:<22} {:>8} {:>9.0}",
        "a process a record",
        once.lookups.len(),
        whole * 1000.0
    );
    println!(
        "\n{:.3} CPU ms a look-up; {} of {} found a customer, {} were cut short",
        warm.cpu_milliseconds_a_lookup,
        warm.found,
        warm.lookups.len(),
        warm.cut_short
    );
    Ok(())
}

fn ask(folder: &Path, lookups: u64, adds: u64) -> Result<Figures> {
    let output = Command::new(std::env::current_exe()?)
        .args(["lookup", "--here"])
        .arg(folder)
        .args(["--lookups", &lookups.to_string()])
        .args(["--adds", &adds.to_string()])
        .output()?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Writes resources and records.
fn world(folder: &Path, records: u64) -> Result<()> {
    fs::create_dir_all(folder.join("data"))?;
    fs::write(folder.join("resources.yaml"), RESOURCES)?;
    let file = fs::File::create(folder.join("data/people.jsonl"))?;
    let mut out = std::io::BufWriter::new(file);
    let mut written = Ok(());
    let mut number = 0_u64;
    japan::each(1, records, |_, _, row| {
        let columns = japan::COLUMNS.iter().zip(&row).skip(1);
        let mut fields: serde_json::Map<String, Value> = columns
            .filter_map(|(name, value)| Some(((*name).to_owned(), value.clone()?.into())))
            .collect();
        fields.insert("member".to_owned(), number.to_string().into());
        number += 1;
        if written.is_ok() {
            written = serde_json::to_writer(&mut out, &fields)
                .map_err(anyhow::Error::from)
                .and_then(|()| Ok(out.write_all(b"\n")?));
        }
    });
    written?;
    Ok(out.flush()?)
}

/// Records to ask for: every other one of somebody in the lake, as a further system of theirs wrote it.
fn questions(records: u64, lookups: u64) -> Vec<Fields> {
    let mut questions = Vec::new();
    let known = japan::some(1, records / 2, lookups.div_ceil(2));
    let strangers = japan::some(2, records / 2, lookups / 2);
    for row in known.into_iter().zip(strangers).flat_map(|(a, b)| [a, b]) {
        let columns = FIELDS.iter().zip(row).skip(1);
        let fields = columns.filter_map(|(name, value)| Some(((*name).to_owned(), value?.into())));
        questions.push(fields.collect());
    }
    questions.truncate(usize::try_from(lookups).unwrap_or(usize::MAX));
    questions
}

async fn measure(folder: &Path, args: &Args) -> Result<Figures> {
    let (run, secrets) = pipeline::resolve(folder)?;
    let context = Run::open(run, secrets)?;
    let (begun, cpu) = (Instant::now(), machine::cpu_seconds());
    let mut desk = Desk::open(&context).await?;
    let (load_seconds, load_cpu_seconds) =
        (begun.elapsed().as_secs_f64(), machine::cpu_seconds() - cpu);
    let peak_megabytes = machine::peak_megabytes();
    machine::forget_peak();
    let resident_megabytes = machine::peak_megabytes();
    let records = desk.records();
    let questions = questions(records as u64, args.lookups.max(2));
    let (mut found, mut cut_short) = (0, 0);
    let mut lookups = Vec::new();
    let cpu = machine::cpu_seconds();
    for fields in questions.iter().take(usize::try_from(args.lookups)?) {
        let fields = fields.clone();
        let begun = Instant::now();
        let said = desk.lookup(fields)?;
        lookups.push(begun.elapsed().as_secs_f64() * 1000.0);
        found += u64::from(!said.answer.new);
        cut_short += u64::from(said.answer.cut_short);
    }
    let cpu = machine::cpu_seconds() - cpu;
    let mut adds = Vec::new();
    for fields in questions.into_iter().take(usize::try_from(args.adds)?) {
        let begun = Instant::now();
        desk.add(None, fields).await?;
        adds.push(begun.elapsed().as_secs_f64() * 1000.0);
    }
    let cpu_milliseconds_a_lookup = cpu * 1000.0 / lookups.len().max(1) as f64;
    lookups.sort_by(f64::total_cmp);
    adds.sort_by(f64::total_cmp);
    Ok(Figures {
        records,
        load_seconds,
        load_cpu_seconds,
        peak_megabytes,
        resident_megabytes,
        lookups,
        adds,
        cpu_milliseconds_a_lookup,
        found,
        cut_short,
    })
}
