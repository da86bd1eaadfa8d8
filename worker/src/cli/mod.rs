//! The command line: one file per command.

use clap::{Parser, Subcommand};

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
}

#[derive(Debug, Subcommand)]
enum Command {}

/// Runs the command line.
///
/// # Errors
/// Whatever the command could not do, with the way out.
pub async fn run(cli: Cli) -> anyhow::Result<std::process::ExitCode> {
    match cli.command {}
}
