//! `musubi replay`: rebuilds clean rows and tables from the raw zone.

use std::process::ExitCode;

use anyhow::Result;
use musubi_api::run::Replay;

use super::{
    run::{Asked, Output},
    target::Target,
};

/// Rebuild clean rows and tables from the raw zone alone.
///
/// Nothing is taken from the sources. Every raw object is cleaned again under the rules of today, with the
/// corrections that were handed in, and all tables are built anew and published as a new version. Customers keep
/// their ids. With --from, only files of that day or later are cleaned again (the date in a file's name counts, else
/// the day on which it arrived, UTC); earlier files keep their clean rows as long as these were made under the rules
/// of today, and parts of tables in which nothing changed stay as they are. The tables come out the same either way.
///
/// The lake may have lost everything but raw/ and identity/; it may also be a new lake to which these two were copied.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  musubi replay                                  everything\n  musubi replay -f examples/bento --from 2026-11-01\n  musubi replay --allow rows/orders -o json"
)]
pub(super) struct Args {
    #[command(flatten)]
    target: Target,
    /// First day whose files are cleaned again; all by default.
    #[arg(long, value_name = "DATE")]
    from: Option<jiff::civil::Date>,
    /// Gates to pass over, by the name that their refusal gives.
    #[arg(long, value_name = "GATE")]
    allow: Vec<String>,
    /// Shards side by side; by default as many as there are cores.
    #[arg(long)]
    threads: Option<usize>,
    /// How progress and outcome are written.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// Runs the command.
///
/// # Errors
/// Whatever kept the run from its end, with the way out.
pub(super) async fn run(args: Args) -> Result<ExitCode> {
    let (mut run, secrets) = args.target.resolve()?;
    run.allow = args.allow;
    run.replay = Some(Replay { from: args.from });
    let asked = Asked {
        files: &args.target.files,
        pipeline: args.target.pipeline.as_deref(),
        threads: args.threads,
        output: args.output,
    };
    super::run::finish(run, secrets, &asked).await
}
