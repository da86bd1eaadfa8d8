//! `musubi demo`: writes a seeded world, runs the pipeline over it, and holds the result against the truth.

use std::{path::PathBuf, process::ExitCode, time::Instant};

use anyhow::{Context as _, Result};
use musubi_api::{entity::Entity, run::Run};
use musubi_clean::cleaner::record_id;

use super::output::say;
use crate::{
    demo::{
        examples, outcome,
        score::{Score, Truth},
        world::World,
    },
    report::{self, Paint},
    stage::Context,
};

/// Write a retailer's files, run over them, and score the result.
///
/// The world is a bento retailer's, with ten systems that disagree; the same seed gives the same files. The
/// truth about it is written aside, and the result is held against it.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// How many people live in the world.
    #[arg(long, default_value_t = 5000)]
    customers: u64,
    /// How many days it lasts.
    #[arg(long, default_value_t = 14, value_parser = clap::value_parser!(u32).range(1..=366))]
    days: u32,
    /// Seed: the same gives the same world.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Folder for resources, data, truth and results.
    #[arg(long, default_value = "./musubi-demo")]
    out: PathBuf,
    /// Write the world and stop there.
    #[arg(long)]
    only_data: bool,
}

/// Runs the command.
///
/// # Errors
/// When a file cannot be written.
pub(super) async fn run(args: Args) -> Result<ExitCode> {
    let began = Instant::now();
    let world = write_world(&args)?;
    println!(
        "  A world of {} people over {} days (seed {}) is in {}: {} records of them in ten\n  systems, and {} bad rows. It took {:.1} s to write.\n",
        report::count(world.customers),
        world.days,
        world.seed,
        args.out.display(),
        report::count(world.records),
        report::count(world.planted),
        began.elapsed().as_secs_f64()
    );
    if args.only_data {
        return Ok(ExitCode::SUCCESS);
    }
    let (run, secrets) = super::resolve(std::slice::from_ref(&args.out), Some("bento"))?;
    let mut summary = super::run::execute(run.clone(), secrets.clone(), None, false).await?;
    summary.next = super::run::next(std::slice::from_ref(&args.out), Some("bento"), &summary);
    say(&report::summary(&summary, Paint::of_stdout()))?;
    let run = Run {
        uid: summary.run,
        ..run
    };
    let outcome = outcome::read(&Context::open(run, secrets)?).await?;
    let truth = Truth::read(&args.out.join("truth"), |source, stream, key| {
        record_id(source, stream, Entity::Customer, key)
    })?;
    say(&Score::of(&truth, &outcome).table())?;
    Ok(ExitCode::SUCCESS)
}

/// Writes the resources, the data and the truth into the folder. Data of an earlier world goes.
fn write_world(args: &Args) -> Result<World> {
    let out = &args.out;
    examples::write(out).with_context(|| format!("cannot write to {}", out.display()))?;
    for part in ["data", "truth"] {
        let folder = out.join(part);
        if folder.exists() {
            std::fs::remove_dir_all(&folder)
                .with_context(|| format!("cannot clear {}", folder.display()))?;
        }
    }
    World::generate(args.customers, args.days, args.seed, out)
        .with_context(|| format!("cannot write the world to {}", out.display()))
}
