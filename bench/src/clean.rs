//! Cleaning next to the bare Parquet writer.

use std::time::Instant;

use anyhow::{Context as _, Result};
use musubi::stage::{self, Context};
use musubi_api::run::Stage;
use musubi_lake::parquet::{self, Sink};

use crate::{machine, pipeline};

/// The world.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// People in the world.
    #[arg(long, default_value_t = 20_000)]
    customers: u64,
    /// Days that the world lasts.
    #[arg(long, default_value_t = 3)]
    days: u32,
}

/// Wall-clock and processor seconds.
struct Time(Instant, f64);

impl Time {
    fn begin() -> Self {
        Self(Instant::now(), machine::cpu_seconds())
    }

    fn seconds(&self) -> (f64, f64) {
        (
            self.0.elapsed().as_secs_f64(),
            machine::cpu_seconds() - self.1,
        )
    }
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
            bytes += report.counts.get("bytes").copied().unwrap_or(0);
        }
        if stage == Stage::Plan {
            bytes = 0;
        }
    }
    let mut rows = 0;
    let time = Time::begin();
    for shard in 0..stage::shards(&context, Stage::Clean).await? {
        let report = stage::run_shard(&context, Stage::Clean, shard).await?;
        rows += report.counts.get("rows").copied().unwrap_or(0);
    }
    print("clean", rows, bytes, time.seconds());
    let (mut written, mut wall, mut cpu) = (0, 0.0, 0.0);
    for meta in context.store.list("clean").await? {
        if !meta.path.ends_with(".parquet") {
            continue;
        }
        let batches = parquet::read(&context.store, &meta.path, None).await?;
        let Some(first) = batches.first() else {
            continue;
        };
        let schema = first.schema();
        let personal = schema.fields().iter().map(|f| f.name().clone()).collect();
        let time = Time::begin();
        let mut sink = Sink::create(&context.store, "bare.parquet", schema.clone(), &personal)?;
        for batch in &batches {
            sink.write(batch).await?;
            written += i64::try_from(batch.num_rows())?;
        }
        sink.finish().await?;
        let (wall_here, cpu_here) = time.seconds();
        (wall, cpu) = (wall + wall_here, cpu + cpu_here);
    }
    // Several entities come of one row, so the writer's share counts by what cleaning took.
    print("write", rows, bytes, (wall, cpu));
    println!("{written} clean rows were written");
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn print(what: &str, rows: i64, bytes: i64, (wall, cpu): (f64, f64)) {
    let each = |seconds: f64| {
        let seconds = seconds.max(1e-9);
        (rows as f64 / seconds, bytes as f64 / seconds / 1e6)
    };
    let ((rows_wall, bytes_wall), (rows_cpu, bytes_cpu)) = (each(wall), each(cpu));
    println!(
        "{what}: {rows_wall:.0} rows/s, {bytes_wall:.1} MB/s; by processor time {rows_cpu:.0} rows/s, {bytes_cpu:.1} MB/s"
    );
}
