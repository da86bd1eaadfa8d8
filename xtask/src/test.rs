//! `cargo xtask test`: what has to hold before anything is merged.

use std::{
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context, Result, bail};

use crate::servers;

/// Runs every check in order and stops at the first that fails.
pub(crate) fn run() -> Result<()> {
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
    let servers = servers::prepare()?;
    let (passed, failed) = tests(&servers)?;
    println!("{passed} passed, {failed} failed");
    if failed > 0 {
        bail!("{failed} tests failed");
    }
    Ok(())
}

fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

fn step(name: &str, args: &[&str]) -> Result<()> {
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
fn tests(servers: &[(&str, PathBuf)]) -> Result<(u64, u64)> {
    let begun = Instant::now();
    let mut child = cargo()
        .args(["test", "--workspace", "--no-fail-fast"])
        .envs(servers.iter().map(|(name, path)| (name, path)))
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
