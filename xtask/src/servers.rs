//! What the tests run against: a database server of their own.
//!
//! Nothing is skipped in silence: what is missing is installed, and what cannot be installed fails the
//! run with the command that would install it.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context, Result, bail};

/// Installs what is missing, and gives the environment that the tests find it by.
pub(crate) fn prepare() -> Result<Vec<(&'static str, PathBuf)>> {
    let begun = Instant::now();
    let found = vec![("MUSUBI_PG_BIN", postgres()?)];
    println!("servers: done in {:.0?}", begun.elapsed());
    Ok(found)
}

/// The folder with `initdb` and `postgres`.
fn postgres() -> Result<PathBuf> {
    if let Some(dir) = std::env::var_os("MUSUBI_PG_BIN") {
        return Ok(dir.into());
    }
    if let Some(dir) = find_postgres() {
        return Ok(dir);
    }
    const BY_HAND: &str =
        "apt-get install -y postgresql (or set MUSUBI_PG_BIN to the folder that holds initdb)";
    let installed = apt(&["update"]).and_then(|()| apt(&["install", "-y", "postgresql"]));
    installed.with_context(|| format!("install PostgreSQL; by hand: {BY_HAND}"))?;
    find_postgres()
        .with_context(|| format!("PostgreSQL is not where Debian puts it; by hand: {BY_HAND}"))
}

/// The newest server that Debian installed, or the one on the PATH.
fn find_postgres() -> Option<PathBuf> {
    let complete = |dir: &PathBuf| dir.join("initdb").exists() && dir.join("postgres").exists();
    let versions = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    let mut found: Vec<PathBuf> = versions
        .map(|v| v.path().join("bin"))
        .filter(complete)
        .collect();
    found.sort();
    let path = std::env::var_os("PATH").unwrap_or_default();
    found
        .pop()
        .or_else(|| std::env::split_paths(&path).find(complete))
}

fn apt(args: &[&str]) -> Result<()> {
    let root = Command::new("id")
        .arg("-u")
        .output()
        .is_ok_and(|o| o.stdout == b"0\n");
    let mut command = if root {
        Command::new("apt-get")
    } else {
        let mut sudo = Command::new("sudo");
        sudo.args(["-n", "apt-get"]);
        sudo
    };
    run(command
        .arg("-q")
        .args(args)
        .env("DEBIAN_FRONTEND", "noninteractive"))
}

fn run(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let out = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("start {name}"))?;
    if !out.status.success() {
        let text = String::from_utf8_lossy(&out.stderr);
        let tail: Vec<&str> = text.lines().rev().take(5).collect();
        let tail: Vec<&str> = tail.into_iter().rev().collect();
        bail!("{name} failed: {}", tail.join("\n"));
    }
    Ok(())
}
