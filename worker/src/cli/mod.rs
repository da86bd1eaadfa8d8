//! The command line: one file per command.

mod crds;
mod dedupe;
mod demo;
mod evaluate;
mod explain;
mod help;
mod identity;
mod lake;
mod logs;
mod output;
mod place;
mod profile;
mod quarantine;
mod replay;
mod rollback;
mod run;
mod signal;
mod stage;
mod target;
mod trace;
mod validate;

pub use signal::Interrupted;

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::{CommandFactory, FromArgMatches as _, Parser, Subcommand};
use clap_complete::Shell;
use musubi_api::{run::Run, secrets::Secrets};

/// From scattered retail records to one trusted view of each customer.
#[derive(Debug, Parser)]
#[command(
    name = "musubi",
    version,
    about,
    propagate_version = true,
    arg_required_else_help = true
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Log more (-v, -vv, -vvv); RUST_LOG says it finer.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
}

impl Cli {
    /// Reads the command line of this process; ends it when that cannot be understood.
    #[must_use]
    pub fn read() -> Self {
        let matches = help::command().get_matches();
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Args),
    Dedupe(dedupe::Args),
    Evaluate(evaluate::Args),
    Explain(explain::Args),
    Identity(identity::Args),
    Profile(profile::Args),
    Quarantine(quarantine::Args),
    Replay(replay::Args),
    Lake(lake::Args),
    Rollback(rollback::Args),
    Run(run::Args),
    Stage(stage::Args),
    Trace(trace::Args),
    Validate(validate::Args),
    Crds(crds::Args),
    /// Print the reference of all kinds, fields and entities, as Markdown.
    Reference,
    /// Print a completion script for a shell.
    Completion {
        /// The shell.
        shell: Shell,
    },
    /// Print the version of musubi and of the run files it reads.
    Version {
        /// How it is printed.
        #[arg(short, long, value_enum, default_value_t)]
        output: output::Output,
    },
}

/// Runs the command line.
///
/// # Errors
/// Whatever the command could not do, with the way out.
pub async fn run(cli: Cli) -> Result<ExitCode> {
    let spans = logs::start(cli.verbose, matches!(cli.command, Command::Stage(_)));
    let done = spans.of(Box::pin(follow(cli.command))).await;
    spans.end().await;
    done
}

async fn follow(command: Command) -> Result<ExitCode> {
    match command {
        Command::Demo(args) => demo::run(args).await,
        Command::Dedupe(args) => dedupe::run(args).await,
        Command::Evaluate(args) => evaluate::run(args).await,
        Command::Explain(args) => explain::run(args).await,
        Command::Identity(args) => identity::run(args).await,
        Command::Profile(args) => profile::run(args).await,
        Command::Quarantine(args) => quarantine::run(args).await,
        Command::Replay(args) => replay::run(args).await,
        Command::Lake(args) => lake::run(args).await,
        Command::Rollback(args) => rollback::run(args).await,
        Command::Run(args) => run::run(args).await,
        Command::Stage(args) => stage::run(args).await,
        Command::Trace(args) => trace::run(args).await,
        Command::Validate(args) => validate::run(&args),
        Command::Crds(args) => crds::definitions(&args),
        Command::Reference => Ok(crds::page()),
        Command::Completion { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "musubi", &mut std::io::stdout());
            Ok(ExitCode::SUCCESS)
        }
        Command::Version { output } => {
            let version = serde_json::json!({
                "version": env!("CARGO_PKG_VERSION"),
                "runFormat": musubi_api::run::RUN_FORMAT,
            });
            output.print(&version, |_| {
                format!(
                    "musubi {}, reads runs of format {}",
                    env!("CARGO_PKG_VERSION"),
                    musubi_api::run::RUN_FORMAT
                )
            })?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Reads resources and resolves a run of a pipeline, now.
fn resolve(files: &[PathBuf], pipeline: Option<&str>) -> Result<(Run, Secrets)> {
    let catalog = musubi_api::load::load_and_validate(files)
        .map_err(|problems| anyhow::anyhow!("{problems}"))?;
    let uid = uuid::Uuid::now_v7().to_string();
    let run = catalog
        .resolve_run(pipeline, &uid, jiff::Timestamp::now())
        .map_err(|problems| anyhow::anyhow!("{problems}"))?;
    Ok((run, catalog.secrets().clone()))
}
