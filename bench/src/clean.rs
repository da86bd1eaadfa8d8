//! Cleaning next to the bare Parquet writer, which writes the same rows to files of the same make: their columns,
//! compression and statistics, and one wait for the disk at the end. It has them in memory, in batches of the size it
//! likes best.

use std::{collections::BTreeSet, time::Instant};

use anyhow::{Context as _, Result};
use arrow::array::RecordBatch;
use musubi::stage::{self, Context};
use musubi_api::{entity::Entity, run::Stage};
use musubi_clean::{quarantine, schema};
use musubi_lake::parquet::{self, Sink};

use crate::{machine, pipeline};

/// The world: large enough that a second of work stands behind each figure.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// People in the world.
    #[arg(long, default_value_t = 50_000)]
    customers: u64,
    /// Days that the world lasts.
    #[arg(long, default_value_t = 20)]
    days: u32,
}

/// Wall-clock and processor time.
struct Time(Instant, f64);

/// How long something took, in seconds.
struct Took {
    wall: f64,
    cpu: f64,
}

impl Time {
    fn begin() -> Self {
        Self(Instant::now(), machine::cpu_seconds())
    }

    fn took(&self) -> Took {
        Took {
            wall: self.0.elapsed().as_secs_f64(),
            cpu: (machine::cpu_seconds() - self.1).max(0.01),
        }
    }
}

/// A file of clean or quarantined rows.
struct File {
    batches: Vec<RecordBatch>,
    personal: BTreeSet<String>,
}

pub(crate) async fn run(args: &Args) -> Result<()> {
    println!("{}", machine::facts());
    let scratch = tempfile::tempdir().context("make a folder for the world")?;
    pipeline::write_world(scratch.path(), args.customers, args.days)?;
    let (run, secrets) = pipeline::resolve(scratch.path())?;
    let context = Context::open(run, secrets)?;
    let mut bytes = 0;
    for stage in [Stage::Plan, Stage::Ingest] {
        for shard in 0..stage::shards(&context, stage).await? {
            let report = stage::run_shard(&context, stage, shard).await?;
            if stage == Stage::Ingest {
                bytes += report.counts.get("bytes").copied().unwrap_or(0);
            }
        }
    }
    let mut rows = 0;
    let time = Time::begin();
    for shard in 0..stage::shards(&context, Stage::Clean).await? {
        let report = stage::run_shard(&context, Stage::Clean, shard).await?;
        rows += report.counts.get("rows").copied().unwrap_or(0);
    }
    let clean = time.took();
    let files = written(&context).await?;
    let time = Time::begin();
    for (at, file) in files.iter().enumerate() {
        let [first, ..] = file.batches.as_slice() else {
            continue;
        };
        let path = format!("bare/{at}.parquet");
        let mut sink = Sink::create(&context.store, &path, first.schema(), &file.personal)?;
        for batch in &file.batches {
            sink.write(batch).await?;
        }
        sink.finish().await?;
    }
    // what is put if absent waits for all that was written before, as the manifests of cleaning do
    context.store.create("bare/done", "done".into()).await?;
    let write = time.took();
    // Several entities come of one row, so both count by the rows that cleaning took.
    print("clean", rows, bytes, &clean);
    print("write", rows, bytes, &write);
    let clean_rows: usize = files
        .iter()
        .flat_map(|f| &f.batches)
        .map(RecordBatch::num_rows)
        .sum();
    println!(
        "{rows} rows became {clean_rows} in {} files; cleaning is {:.2} times as fast as the writer by the clock, {:.2} times by processor time",
        files.len(),
        write.wall / clean.wall,
        write.cpu / clean.cpu,
    );
    Ok(())
}

/// What cleaning wrote, but for the keys that it looked up.
async fn written(context: &Context) -> Result<Vec<File>> {
    let mut files = Vec::new();
    for meta in context.store.list("clean").await? {
        let name = meta
            .path
            .strip_suffix(".parquet")
            .and_then(|p| p.split('-').nth(2));
        let entity = Entity::ALL.into_iter().find(|e| Some(e.as_str()) == name);
        let personal = match (entity, name) {
            (Some(entity), _) => schema::personal_columns(entity),
            (None, Some("quarantine")) => [quarantine::PERSONAL_COLUMN.to_owned()].into(),
            _ => continue,
        };
        files.push(File {
            batches: parquet::read(&context.store, &meta.path, None).await?,
            personal,
        });
    }
    Ok(files)
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn print(what: &str, rows: i64, bytes: i64, took: &Took) {
    let each = |seconds: f64| (rows as f64 / seconds, bytes as f64 / seconds / 1e6);
    let ((rows_wall, bytes_wall), (rows_cpu, bytes_cpu)) = (each(took.wall), each(took.cpu));
    println!(
        "{what}: {rows_wall:.0} rows/s, {bytes_wall:.1} MB/s; by processor time {rows_cpu:.0} rows/s, {bytes_cpu:.1} MB/s"
    );
}
