//! `cargo xtask test`: what has to hold before anything is merged.

use std::{
    ffi::OsString,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context, Result, bail};

use crate::{cluster, servers, supply};

/// Where the operator is tested.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A cluster that is there already (kind, EKS), instead of one on this machine. `MUSUBI_IMAGE` names an image
    /// with the programs that its nodes can pull, `MUSUBI_CLUSTER_HOST` an address of this machine that its pods reach.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
}

/// Runs every check in order and stops at the first that fails.
pub(crate) fn run(args: &Args) -> Result<()> {
    for variable in ["MUSUBI_IMAGE", "MUSUBI_CLUSTER_HOST"] {
        if args.kubeconfig.is_some() && std::env::var_os(variable).is_none() {
            bail!("with --kubeconfig, {variable} has to be set: see cargo xtask test --help");
        }
    }
    step("format", &["fmt", "--all", "--check"])?;
    step(
        "lint",
        &[
            "clippy",
            "--workspace",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ],
    )?;
    supply::licences()?;
    let servers = servers::prepare()?;
    // What pods run has to be built before the tests are.
    step("programs", &["build", "--workspace", "--bins"])?;
    let held = match args.kubeconfig {
        Some(_) => None,
        None => cluster::hold(&programs(), servers::install)?,
    };
    let mut environment: Vec<(&str, OsString)> = Vec::new();
    environment.extend(servers.into_iter().map(|(name, path)| (name, path.into())));
    if let Some(kubeconfig) = &args.kubeconfig {
        let path = std::path::absolute(kubeconfig)?;
        environment.push(("MUSUBI_KUBECONFIG", path.into()));
    }
    let of_cluster = held.iter().flat_map(|held| held.environment());
    environment.extend(of_cluster.map(|(name, value)| (name, value.into())));
    let (passed, failed) = tests(&environment)?;
    println!("{passed} passed, {failed} failed");
    if held.is_none() && args.kubeconfig.is_none() {
        println!("the operator was not tested in a cluster; what that needs is said above");
    }
    if failed > 0 {
        bail!("{failed} tests failed");
    }
    Ok(())
}

/// The programs that pods run. They lie beside this one.
pub(crate) fn programs() -> Vec<PathBuf> {
    let here = std::env::current_exe().unwrap_or_default();
    ["musubi", "musubi-operator"]
        .map(|name| here.with_file_name(name))
        .into()
}

/// The cargo that started this program.
pub(crate) fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Runs cargo to its end, and says how long that took.
pub(crate) fn step(name: &str, args: &[&str]) -> Result<()> {
    let begun = Instant::now();
    let status = cargo()
        .args(args)
        .status()
        .with_context(|| format!("start cargo {}", args[0]))?;
    if !status.success() {
        bail!("{name} failed: cargo {}", args.join(" "));
    }
    println!("{name}: done in {:.0?}", begun.elapsed());
    Ok(())
}

/// Runs the tests of every crate and adds up what they report.
fn tests(environment: &[(&str, OsString)]) -> Result<(u64, u64)> {
    let begun = Instant::now();
    let mut child = cargo()
        .args(["test", "--workspace", "--no-fail-fast"])
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .stdout(Stdio::piped())
        .spawn()
        .context("start cargo test")?;
    let output = child.stdout.take().context("cargo test has no output")?;
    let (mut passed, mut failed) = (0, 0);
    for line in BufReader::new(output).lines() {
        let line = line?;
        println!("{line}");
        if line.starts_with("test result:") {
            passed += count(&line, "passed");
            failed += count(&line, "failed");
        }
    }
    let status = child.wait()?;
    println!("tests: done in {:.0?}", begun.elapsed());
    if !status.success() && failed == 0 {
        bail!("cargo test failed before its tests could run");
    }
    Ok((passed, failed))
}

/// The number before a word in `test result: ok. 3 passed; 0 failed; …`.
fn count(line: &str, word: &str) -> u64 {
    let words: Vec<&str> = line.split([' ', ';']).filter(|w| !w.is_empty()).collect();
    let at = words.iter().position(|w| *w == word);
    at.and_then(|at| words.get(at.checked_sub(1)?)?.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::count;

    #[test]
    fn results_are_read_from_the_closing_line() {
        let line = "test result: FAILED. 12 passed; 3 failed; 0 ignored; finished in 0.01s";
        assert_eq!((count(line, "passed"), count(line, "failed")), (12, 3));
    }
}
