//! `musubi replay`.

use std::process::ExitCode;

use anyhow::Result;

use super::target::Target;

/// Rebuild.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    target: Target,
}

pub(super) async fn run(args: Args) -> Result<ExitCode> {
    args.target.open()?;
    Ok(ExitCode::SUCCESS)
}
