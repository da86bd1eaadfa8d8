//! `musubi stage`: one shard of one stage, as a Job's pod runs it.

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context as _, Result};
use clap::Args as ClapArgs;
use musubi_api::run::{EXIT_RUN_FAILED, EXIT_SHARD_FAILED, RUN_FORMAT, Run, Stage};

use crate::stage::{self, Context, RunRefused};

/// Run one shard of one stage of a run.
///
/// A shard that is committed ends at once with success, so a shard may be run again at any time, twice at
/// once, and on any machine.
#[derive(Debug, ClapArgs)]
#[command(
    after_help = "Exit codes:\n  0   done\n  42  this shard can never succeed\n  43  the run can never succeed\n  any other: try again"
)]
pub(super) struct Args {
    /// plan, ingest, clean, train, match, link, attach, curate, publish, load or activate.
    name: String,
    /// The resolved run.
    #[arg(long, value_name = "FILE")]
    run: PathBuf,
    /// Shard, from 0.
    #[arg(long, default_value_t = 0)]
    shard: u32,
    /// Where the report goes (JSON, counts only, under 4 kB).
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

/// Runs the command.
///
/// # Errors
/// Whatever may succeed when it is tried again.
pub(super) async fn run(args: Args) -> Result<ExitCode> {
    let stage = Stage::ALL.into_iter().find(|s| s.as_str() == args.name);
    let names = Stage::ALL.map(Stage::as_str).join(", ");
    let stage = stage
        .with_context(|| format!("there is no stage {}; the stages are {names}", args.name))?;
    let path = args.run.display();
    let text = std::fs::read_to_string(&args.run).with_context(|| format!("read {path}"))?;
    let run: Run = serde_saphyr::from_str(&text).with_context(|| format!("{path} is not a run"))?;
    if run.format > RUN_FORMAT {
        eprintln!(
            "error: {path} has format {}, this worker reads up to {RUN_FORMAT}; use a newer worker",
            run.format
        );
        return code(EXIT_RUN_FAILED);
    }
    let context = Context::open(run, musubi_api::secrets::Secrets::default())?;
    if stage != Stage::Plan && args.shard >= stage::shards(&context, stage).await? {
        eprintln!(
            "error: stage {} has no shard {} in this run",
            args.name, args.shard
        );
        return code(EXIT_SHARD_FAILED);
    }
    match stage::run_shard(&context, stage, args.shard).await {
        Ok(report) => {
            let text = serde_json::to_string(&report)?;
            match args.report {
                Some(file) => std::fs::write(&file, text)
                    .with_context(|| format!("write {}", file.display()))?,
                None => println!("{text}"),
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(error) if error.downcast_ref::<RunRefused>().is_some() => {
            eprintln!("error: {error:#}");
            code(EXIT_RUN_FAILED)
        }
        Err(error) => Err(error),
    }
}

fn code(code: i32) -> Result<ExitCode> {
    Ok(ExitCode::from(u8::try_from(code)?))
}
