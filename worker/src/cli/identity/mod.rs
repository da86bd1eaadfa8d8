//! `musubi identity`: questions to identity resolution.

mod diff;
mod lookup;
mod review;
mod serve;

use std::process::ExitCode;

use anyhow::Result;

/// Ask who is who, one record at a time, and what another policy would change.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub(super) struct Args {
    #[command(subcommand)]
    question: Question,
}

#[derive(Debug, clap::Subcommand)]
enum Question {
    Lookup(lookup::Lookup),
    Add(lookup::Add),
    Serve(serve::Serve),
    Review(review::Review),
    Diff(diff::Diff),
}

/// Runs the command.
///
/// # Errors
/// When nothing is published, or what is cannot be read.
pub(super) async fn run(args: Args) -> Result<ExitCode> {
    match args.question {
        Question::Lookup(args) => lookup::lookup(args).await,
        Question::Add(args) => lookup::add(args).await,
        Question::Serve(args) => serve::serve(args).await,
        Question::Review(args) => review::run(args).await,
        Question::Diff(args) => diff::diff(args).await,
    }
}
