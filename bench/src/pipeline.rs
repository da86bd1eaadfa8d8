//! A world in a folder, and one measured run over it in a process of its own.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex},
    time::Instant,
};

use anyhow::{Context as _, Result};
use musubi::{
    demo::{examples, world::World},
    stage::{
        Context,
        runner::{self, StageSummary, Watch},
    },
};
use musubi_api::{
    load,
    run::{Run, Stage, StageReport},
    secrets::Secrets,
};

use crate::machine;

/// One measured run.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Folder of the world.
    folder: PathBuf,
}

/// What a run came to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Measured {
    /// Lines as they were printed: stage, wall-clock seconds, processor seconds, peak megabytes, rows.
    pub(crate) stages: Vec<(String, f64, f64, u64)>,
    /// Rows that were taken.
    pub(crate) rows: u64,
}

impl Measured {
    /// Wall-clock seconds.
    pub(crate) fn wall(&self) -> f64 {
        self.stages.iter().map(|s| s.1).sum()
    }

    /// Processor seconds.
    pub(crate) fn cpu(&self) -> f64 {
        self.stages.iter().map(|s| s.2).sum()
    }

    /// Peak megabytes.
    pub(crate) fn peak(&self) -> u64 {
        self.stages.iter().map(|s| s.3).max().unwrap_or(0)
    }
}

/// Writes resources and a world into a folder.
pub(crate) fn write_world(folder: &Path, customers: u64, days: u32) -> Result<()> {
    examples::write(folder)?;
    World::generate(customers, days, 1, folder)?;
    Ok(())
}

/// Resolves the run that `musubi run` would make.
pub(crate) fn resolve(folder: &Path) -> Result<(Run, Secrets)> {
    let catalog = load::load_and_validate(&[folder.to_path_buf()])
        .map_err(|problems| anyhow::anyhow!("{problems}"))?;
    let now = jiff::Timestamp::now();
    let uid = format!("bench-{}", now.as_millisecond());
    let run = catalog
        .resolve_run(Some("bento"), &uid, now)
        .map_err(|problems| anyhow::anyhow!("{problems}"))?;
    Ok((run, catalog.secrets().clone()))
}

/// Starts a process for one run, and reads what it measured.
pub(crate) fn measure(folder: &Path) -> Result<Measured> {
    let program = std::env::current_exe()?;
    let output = Command::new(program).arg("one").arg(folder).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    anyhow::ensure!(
        output.status.success(),
        "the run failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let mut measured = Measured::default();
    for line in text.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        match fields.as_slice() {
            ["rows", rows] => measured.rows = rows.parse()?,
            [stage, wall, cpu, peak] => measured.stages.push((
                (*stage).to_owned(),
                wall.parse()?,
                cpu.parse()?,
                peak.parse()?,
            )),
            _ => anyhow::bail!("the run said something else: {line}"),
        }
    }
    Ok(measured)
}

/// The run itself: prints a line a stage.
pub(crate) async fn run(args: &Args) -> Result<()> {
    let (run, secrets) = resolve(&args.folder)?;
    let context = Context::open(run, secrets)?;
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    let watch = Arc::new(Lines(Mutex::new((Instant::now(), machine::cpu_seconds()))));
    let stages = runner::run(&context, threads, watch).await?;
    let clean = stages.iter().find(|s| s.stage == Stage::Clean);
    let rows = clean
        .and_then(|s| s.counts.get("rows"))
        .context("stage clean tells no rows")?;
    println!("rows\t{rows}");
    Ok(())
}

struct Lines(Mutex<(Instant, f64)>);

impl Watch for Lines {
    fn stage(&self, _: Stage, _: u32) {
        machine::forget_peak();
        if let Ok(mut begun) = self.0.lock() {
            *begun = (Instant::now(), machine::cpu_seconds());
        }
    }

    fn shard(&self, _: &StageReport) {}

    fn complete(&self, summary: &StageSummary) {
        if let Ok(begun) = self.0.lock() {
            println!(
                "{}\t{:.3}\t{:.3}\t{}",
                summary.stage.as_str(),
                begun.0.elapsed().as_secs_f64(),
                machine::cpu_seconds() - begun.1,
                machine::peak_megabytes()
            );
        }
    }
}
