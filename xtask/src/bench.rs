//! `cargo xtask bench`: builds the benchmarks for release and runs one.

use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Parser as _;

use crate::soak;

/// Runs a benchmark with its arguments.
pub(crate) fn run(args: &[String]) -> Result<()> {
    // That of the operator needs a cluster.
    if args.first().is_some_and(|name| name == "operator") {
        return soak::measure(&soak::Scale::parse_from(args));
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["run", "--release", "--package", "musubi-bench", "--"])
        .args(args)
        .status()
        .context("start cargo run")?;
    if !status.success() {
        bail!("the benchmark failed");
    }
    Ok(())
}
