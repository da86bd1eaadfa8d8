//! `musubi run`: all stages in one process.

use std::{
    io::IsTerminal,
    path::PathBuf,
    process::ExitCode,
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::Result;
use clap::{Args as ClapArgs, CommandFactory as _, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use musubi_api::run::{EXIT_RUN_FAILED, Run, Stage, StageReport};
use musubi_lake::{Error, Store, manifest};
use serde::{Deserialize, Serialize};

use super::output::say;
use crate::{
    report::{self, Paint, RunSummary},
    stage::{
        Context, RunRefused, publication,
        runner::{self, StageSummary, Watch},
    },
};

/// Run a pipeline: from what is new in its sources to its warehouses.
///
/// An interrupted run goes on where it was when the command is given again. A run with nothing new publishes
/// the same tables again and changes nothing.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:\n  \
        musubi run -f examples/bento\n  \
        musubi run -f . --pipeline bento --output json\n  \
        musubi run -f . --allow rows/orders      publish although orders fell\n\n\
        Exit codes:\n  \
        0   published, loaded, delivered\n  \
        1   not done; the message says why. The same command goes on where this one stopped\n  \
        43  a gate or a limit says no; nothing was published")]
pub(super) struct Args {
    /// Files and folders that hold the resources.
    #[arg(short = 'f', long = "file", value_name = "PATH", required = true, num_args = 1..)]
    files: Vec<PathBuf>,
    /// The pipeline, when there are several.
    #[arg(short, long)]
    pipeline: Option<String>,
    /// Gates to pass over, by the name that their refusal gives (rows/orders) or their kind (rows).
    #[arg(long, value_name = "GATE")]
    allow: Vec<String>,
    /// Shards side by side; by default as many as there are cores.
    #[arg(long)]
    threads: Option<usize>,
    /// Shards of match, attach and curate; chosen from the amount of data by default. Results do not depend on it.
    #[arg(long)]
    shards: Option<u32>,
    /// How progress and outcome are written.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// How progress and outcome are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    /// Bars on a terminal, lines otherwise, and a summary.
    #[default]
    Human,
    /// One JSON object a line.
    Json,
}

/// The run that is under way in a lake, so that the next call goes on with it.
#[derive(Debug, Serialize, Deserialize)]
struct Open {
    run: Option<Run>,
    nonce: String,
}

const OPEN: &str = "runs/open.json";

/// Runs the command.
///
/// # Errors
/// Whatever kept the run from its end, with the way out.
pub(super) async fn run(args: Args) -> Result<ExitCode> {
    let (mut wanted, secrets) = super::resolve(&args.files, args.pipeline.as_deref())?;
    wanted.allow.clone_from(&args.allow);
    wanted.spec.sharding.shards = args.shards.or(wanted.spec.sharding.shards);
    let asked = Asked {
        files: &args.files,
        pipeline: args.pipeline.as_deref(),
        threads: args.threads,
        output: args.output,
    };
    finish(wanted, secrets, &asked).await
}

/// How a run was asked for.
pub(super) struct Asked<'a> {
    /// Files and folders that hold the resources.
    pub(super) files: &'a [PathBuf],
    /// The pipeline, when it was named.
    pub(super) pipeline: Option<&'a str>,
    /// Shards side by side.
    pub(super) threads: Option<usize>,
    /// How progress and outcome are written.
    pub(super) output: Output,
}

/// Runs a resolved run to its end and says what it came to.
///
/// # Errors
/// Whatever kept the run from its end, with the way out.
pub(super) async fn finish(
    wanted: Run,
    secrets: musubi_api::secrets::Secrets,
    asked: &Asked<'_>,
) -> Result<ExitCode> {
    let json = asked.output == Output::Json;
    match execute(wanted, secrets, asked.threads, json).await {
        Ok(mut outcome) => {
            outcome.next = next(asked.files, asked.pipeline, &outcome);
            if json {
                say(&serde_json::to_string(&outcome)?)?;
            } else {
                say(&report::summary(&outcome, Paint::of_stdout()))?;
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => refused(error),
    }
}

/// The exit code of a run that can never succeed; any other error as it is.
///
/// # Errors
/// The error, unless it is a refusal.
pub(super) fn refused(error: anyhow::Error) -> Result<ExitCode> {
    if error.downcast_ref::<RunRefused>().is_none() {
        return Err(error);
    }
    eprintln!("error: {error:#}");
    Ok(ExitCode::from(u8::try_from(EXIT_RUN_FAILED)?))
}

/// Runs a resolved run to its end; goes on with the one that is open in its lake when that is the same.
///
/// # Errors
/// Whatever kept the run from its end.
pub(super) async fn execute(
    wanted: Run,
    secrets: musubi_api::secrets::Secrets,
    threads: Option<usize>,
    json: bool,
) -> Result<RunSummary> {
    let opened = Context::open(wanted.clone(), secrets.clone())?;
    let run = open(&opened.store, wanted).await?;
    let context = Context::open(run, secrets)?;
    let threads =
        threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(2, usize::from));
    let watch: Arc<dyn Watch> = if json {
        Arc::new(Lines { json })
    } else {
        human()
    };
    let stages = tokio::select! {
        outcome = runner::run(&context, threads, watch) => outcome,
        signal = super::signal::interrupted() => return Err(signal.into()),
    };
    let stages = match stages {
        Err(error) if error.downcast_ref::<RunRefused>().is_some() => {
            close(&context.store, &context.run.uid).await?;
            return Err(error);
        }
        other => other?,
    };
    let summary = report::write(&context, &stages).await?;
    close(&context.store, &context.run.uid).await?;
    Ok(summary)
}

/// Commands to try after a run, as they can be typed where the run was started.
pub(super) fn next(
    files: &[PathBuf],
    pipeline: Option<&str>,
    outcome: &RunSummary,
) -> Vec<(String, String)> {
    let musubi = std::env::args().next().unwrap_or_else(|| "musubi".into());
    let mut resources: String = files
        .iter()
        .map(|f| format!(" -f {}", quoted(&f.display().to_string())))
        .collect();
    if let Some(pipeline) = pipeline {
        resources.push_str(&format!(" -p {}", quoted(pipeline)));
    }
    let knows = |command: &str| super::Cli::command().find_subcommand(command).is_some();
    let mut next = Vec::new();
    if let Some((_, page)) = outcome.places.iter().find(|(name, _)| name == "report") {
        let open = if cfg!(target_os = "macos") {
            "open"
        } else {
            "xdg-open"
        };
        next.push((
            format!("{open} {}", quoted(page)),
            "shows the report in a browser".into(),
        ));
    }
    if knows("quarantine") && outcome.streams.iter().any(|s| s.quarantined > 0) {
        next.push((
            format!("{musubi} quarantine list{resources}"),
            "shows the rows that were set aside, and why".into(),
        ));
    }
    next.push((
        format!("{musubi} run{resources}"),
        "takes what came in since this run".into(),
    ));
    next
}

/// A word as a shell reads it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "/._-+:@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// The run that is open, when it runs the same resources; else the one that is wanted, now open.
async fn open(store: &Store, wanted: Run) -> Result<Run> {
    let body = |run: &Run| {
        let open = Open {
            run: Some(run.clone()),
            nonce: musubi_lake::pointer::nonce(),
        };
        manifest::encode(OPEN, &open)
    };
    for _ in 0..8 {
        let outcome = match store.get_tagged(OPEN).await {
            Ok((bytes, tag)) => {
                let open: Open = manifest::decode(OPEN, "the open run", &bytes)?;
                if let Some(run) = open.run
                    && same(&run, &wanted)
                    && !publication::is_overtaken(store, &run.uid).await?
                {
                    return Ok(run);
                }
                store.swap(OPEN, body(&wanted)?, &tag).await
            }
            Err(Error::NotFound { .. }) => store.create(OPEN, body(&wanted)?).await,
            Err(error) => Err(error),
        };
        match outcome {
            Ok(()) => return Ok(wanted),
            Err(Error::Conflict { .. } | Error::AlreadyExists { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    anyhow::bail!("others begin runs in this lake all the time; give it a lake of its own")
}

/// Whether two runs differ in nothing but id and time.
fn same(a: &Run, b: &Run) -> bool {
    let a = Run {
        uid: b.uid.clone(),
        as_of: b.as_of,
        ..a.clone()
    };
    a == *b
}

/// Closes a run, unless another one was opened since.
async fn close(store: &Store, run: &str) -> Result<()> {
    if let Ok((bytes, tag)) = store.get_tagged(OPEN).await {
        let open: Open = manifest::decode(OPEN, "the open run", &bytes)?;
        if open.run.is_none_or(|r| r.uid != run) {
            return Ok(());
        }
        let closed = Open {
            run: None,
            nonce: musubi_lake::pointer::nonce(),
        };
        match store
            .swap(OPEN, manifest::encode(OPEN, &closed)?, &tag)
            .await
        {
            Ok(()) | Err(Error::Conflict { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn human() -> Arc<dyn Watch> {
    if std::io::stderr().is_terminal() {
        Arc::new(Bars::default())
    } else {
        Arc::new(Lines { json: false })
    }
}

/// One line a stage.
struct Lines {
    json: bool,
}

impl Watch for Lines {
    fn stage(&self, _: Stage, _: u32) {}
    fn shard(&self, _: &StageReport) {}

    fn complete(&self, summary: &StageSummary) {
        if self.json {
            if let Ok(line) = serde_json::to_string(summary) {
                println!("{line}");
            }
            return;
        }
        eprintln!("{}", line(summary));
    }
}

/// Bars on a terminal.
#[derive(Default)]
struct Bars {
    bar: Mutex<Option<ProgressBar>>,
}

impl Watch for Bars {
    fn stage(&self, stage: Stage, shards: u32) {
        let bar = ProgressBar::new(u64::from(shards));
        if let Ok(style) =
            ProgressStyle::with_template("  {prefix:<9} {elapsed:>10}  {bar:24} {pos}/{len} shards")
        {
            bar.set_style(style);
        }
        bar.set_prefix(stage.as_str());
        bar.enable_steady_tick(Duration::from_millis(120));
        if let Ok(mut current) = self.bar.lock() {
            *current = Some(bar);
        }
    }

    fn shard(&self, _: &StageReport) {
        if let Ok(current) = self.bar.lock()
            && let Some(bar) = &*current
        {
            bar.inc(1);
        }
    }

    fn complete(&self, summary: &StageSummary) {
        if let Ok(mut current) = self.bar.lock()
            && let Some(bar) = current.take()
        {
            bar.finish_and_clear();
        }
        eprintln!("{}", line(summary));
    }
}

/// A stage that is complete, in a line.
fn line(summary: &StageSummary) -> String {
    format!(
        "  {:<9} {:>10}  {}",
        summary.stage.as_str(),
        report::duration(summary.millis),
        words(summary)
    )
}

fn words(summary: &StageSummary) -> String {
    let counts = summary.counts.iter().filter(|(_, n)| **n != 0);
    let mut words: Vec<String> = counts
        .map(|(name, n)| format!("{} {name}", report::grouped(*n)))
        .collect();
    if summary.reused > 0 {
        words.push(format!(
            "{} of {} shards were done before",
            summary.reused, summary.shards
        ));
    }
    words.join(", ")
}
