//! `musubi stage`: one shard of one stage, as a Job's pod runs it.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use anyhow::{Context as _, Result};
use clap::{Args as ClapArgs, builder::PossibleValuesParser};
use musubi_api::{
    run::{EXIT_RUN_FAILED, EXIT_SHARD_FAILED, FailureReport, Run, Stage, StageDone, StageReport},
    shards::Shards,
};
use sha2::{Digest as _, Sha256};

use crate::stage::{self, Context, RunRefused, plan, runner};

/// Run one shard of one stage of a run.
///
/// A shard that is committed ends at once with success, so a shard may be run again at any time, twice at
/// once, and on any machine.
#[derive(Debug, ClapArgs)]
#[command(
    after_help = "Examples:\n  musubi stage plan --run run.yaml\n  musubi stage clean --run run.yaml --shard 3 --report /dev/termination-log\n\nExit codes:\n  0   done\n  2   wrong usage\n  42  this shard can never succeed\n  43  the run can never succeed\n  any other: try again"
)]
pub(super) struct Args {
    /// The stage.
    #[arg(value_name = "STAGE", value_parser = PossibleValuesParser::new(Stage::ALL.map(Stage::as_str)))]
    name: String,
    /// The resolved run.
    #[arg(long, value_name = "FILE")]
    run: PathBuf,
    /// SHA-256 of that file, hex: another one is refused.
    #[arg(long, value_name = "HEX")]
    run_sha256: Option<String>,
    /// Shard, from 0.
    #[arg(long, default_value_t = 0)]
    shard: u32,
    /// Shards that are repeated, as in `3,7-9`: `--shard` is then a place in this list, from 0.
    #[arg(long, value_name = "LIST")]
    repeats: Option<Shards>,
    /// After plan: go on through all other stages in this process when the run is small. A run is small when what is
    /// new fits one split (spec.sharding.splitMebibytes), the lake holds 512 MiB of source bytes at most, and no
    /// table is read for the first time.
    #[arg(long)]
    go_on_when_small: bool,
    /// Where the report goes (JSON, under 4 kB: counts, or why it failed).
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

/// Bytes that a report stays under: what Kubernetes takes as a termination message.
const REPORT_LIMIT: usize = 4096;

/// Why a shard failed, and what that means for its retry.
struct Failure {
    code: i32,
    why: String,
}

/// Runs the command.
///
/// # Errors
/// When the report cannot be written, or the process is asked to stop.
pub(super) async fn run(mut args: Args) -> Result<ExitCode> {
    if let Some(repeats) = &args.repeats {
        let shard = repeats.at(args.shard);
        args.shard = shard.with_context(|| {
            format!(
                "--shard {}: --repeats {repeats} has {} shards",
                args.shard,
                repeats.len()
            )
        })?;
    }
    let outcome = tokio::select! {
        outcome = shard(&args) => outcome,
        signal = super::signal::interrupted() => return Err(signal.into()),
    };
    match outcome {
        Ok(report) => {
            write(args.report.as_deref(), serde_json::to_string(&report)?)?;
            Ok(ExitCode::SUCCESS)
        }
        Err(Failure { code, why }) => {
            eprintln!("error: {why}");
            if args.report.is_some() {
                write(args.report.as_deref(), failure(&args, &why)?)?;
            }
            Ok(ExitCode::from(u8::try_from(code)?))
        }
    }
}

async fn shard(args: &Args) -> Result<StageReport, Failure> {
    let never = |why: String| Failure {
        code: EXIT_RUN_FAILED,
        why,
    };
    let path = args.run.display();
    let text = std::fs::read_to_string(&args.run)
        .with_context(|| format!("read {path}"))
        .map_err(again)?;
    let digest = hex::encode(Sha256::digest(&text));
    if args.run_sha256.as_ref().is_some_and(|sha| *sha != digest) {
        return Err(never(format!(
            "{path} is not what the run was pinned to (SHA-256 {digest}): somebody changed it. In a cluster: delete the run's ConfigMap, then retry the run"
        )));
    }
    let run = Run::read(&text, "worker").map_err(|e| never(format!("{path} {e}")))?;
    let context = Context::open(run, musubi_api::secrets::Secrets::default()).map_err(again)?;
    let stage = stage_of(args).map_err(again)?;
    if args.shard >= stage::shards(&context, stage).await.map_err(again)? {
        return Err(Failure {
            code: EXIT_SHARD_FAILED,
            why: format!(
                "stage {} has no shard {} in this run",
                args.name, args.shard
            ),
        });
    }
    let done = stage::run_shard(&context, stage, args.shard).await;
    let mut report = done.map_err(again)?;
    if stage == Stage::Plan
        && args.go_on_when_small
        && plan::is_small(&context).await.map_err(again)?
    {
        go_on(&context, &mut report).await.map_err(again)?;
    }
    Ok(report)
}

/// Runs all stages after plan, one shard at a time: a pod has memory for one.
async fn go_on(context: &Context, report: &mut StageReport) -> Result<()> {
    let summaries = runner::run(context, 1, Arc::new(())).await?;
    let others = summaries.into_iter().filter(|s| s.stage != Stage::Plan);
    report.stages = others
        .map(|summary| StageDone {
            stage: summary.stage,
            shards: summary.shards,
            counts: summary.counts,
            millis: summary.millis,
        })
        .collect();
    // It is committed, and says it again.
    let publish = stage::run_shard(context, Stage::Publish, 0).await?;
    report.bookmarks = publish.bookmarks;
    // A report is short. What a stage counted stands in the lake as well, and the bookmarks of a source in the
    // next run's report.
    let long =
        |report: &StageReport| serde_json::to_string(report).is_ok_and(|t| t.len() >= REPORT_LIMIT);
    for n in 0..report.stages.len() {
        if long(report) && report.stages[n].stage != Stage::Publish {
            report.stages[n].counts.clear();
        }
    }
    // The newest goes first: the oldest are the ones to look at.
    while long(report)
        && let Some(newest) = report.bookmarks.iter().max_by_key(|(_, at)| **at)
    {
        let newest = newest.0.clone();
        report.bookmarks.remove(&newest);
    }
    Ok(())
}

fn stage_of(args: &Args) -> Result<Stage> {
    let stage = Stage::ALL.into_iter().find(|s| s.as_str() == args.name);
    stage.with_context(|| format!("there is no stage {}", args.name))
}

fn again(error: anyhow::Error) -> Failure {
    let refused = error.downcast_ref::<RunRefused>().is_some();
    Failure {
        code: if refused { EXIT_RUN_FAILED } else { 1 },
        why: format!("{error:#}"),
    }
}

fn failure(args: &Args, why: &str) -> Result<String> {
    let stage = stage_of(args)?;
    let text = |error: &str| {
        serde_json::to_string(&FailureReport {
            stage,
            shard: args.shard,
            error: error.to_owned(),
        })
    };
    let mut end = why.len();
    loop {
        let report = text(&why[..end])?;
        if report.len() < REPORT_LIMIT {
            return Ok(report);
        }
        end = why.floor_char_boundary(end - end.div_ceil(8));
    }
}

fn write(file: Option<&Path>, text: String) -> Result<()> {
    anyhow::ensure!(
        text.len() < REPORT_LIMIT,
        "the report has {} bytes",
        text.len()
    );
    match file {
        Some(file) => {
            std::fs::write(file, text).with_context(|| format!("write {}", file.display()))
        }
        None => {
            println!("{text}");
            Ok(())
        }
    }
}
