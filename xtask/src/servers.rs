//! What the tests run against: servers, readers and a browser of their own.
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

use crate::cluster::build::PROMTOOL;

/// Something that Debian brings.
struct Tool {
    /// The variable that the tests find it by; set, it is taken as it is.
    variable: &'static str,
    /// What a person calls it.
    name: &'static str,
    /// Debian's package.
    package: &'static str,
    /// Where it is, once installed.
    find: fn() -> Option<PathBuf>,
}

const TOOLS: [Tool; 3] = [
    Tool {
        variable: "MUSUBI_PG_BIN",
        name: "PostgreSQL",
        package: "postgresql",
        find: find_postgres,
    },
    Tool {
        variable: "MUSUBI_CHROMIUM",
        name: "Chromium",
        package: "chromium",
        find: || on_path("chromium"),
    },
    Tool {
        variable: "MUSUBI_FAKETIME",
        name: "libfaketime",
        package: "libfaketime",
        find: find_faketime,
    },
];

/// Installs what is missing, and gives the environment that the tests find it by.
pub(crate) fn prepare() -> Result<Vec<(&'static str, PathBuf)>> {
    let begun = Instant::now();
    let mut found = TOOLS
        .iter()
        .map(|tool| Ok((tool.variable, provide(tool)?)))
        .collect::<Result<Vec<_>>>()?;
    found.push(("MUSUBI_TEST_TOOLS", musubi_testing::tools::install()?));
    if PROMTOOL.is_done() || on_path("go").is_some() {
        found.push(("MUSUBI_PROMTOOL", PROMTOOL.run()?.join("promtool")));
    } else {
        println!("servers: alerts are NOT TESTED; that needs Go 1.26 or newer: https://go.dev/dl/");
    }
    println!("servers: done in {:.0?}", begun.elapsed());
    Ok(found)
}

fn provide(tool: &Tool) -> Result<PathBuf> {
    if let Some(set) = std::env::var_os(tool.variable) {
        return Ok(set.into());
    }
    if let Some(found) = (tool.find)() {
        return Ok(found);
    }
    let by_hand = format!(
        "apt-get install -y {} (or set {} to where it is)",
        tool.package, tool.variable
    );
    install(tool.package).with_context(|| format!("install {}; by hand: {by_hand}", tool.name))?;
    (tool.find)().with_context(|| {
        format!(
            "{} is not where Debian puts it; by hand: {by_hand}",
            tool.name
        )
    })
}

/// A program on the PATH.
fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|dir| dir.join(program))
        .find(|file| file.exists())
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
    found
        .pop()
        .or_else(|| Some(on_path("initdb")?.parent()?.to_owned()).filter(complete))
}

/// The library that turns a program's clock. Debian's folder has the name of the processor's architecture.
fn find_faketime() -> Option<PathBuf> {
    let folders = fs::read_dir("/usr/lib").ok()?.flatten();
    let mut files = folders.map(|folder| folder.path().join("faketime/libfaketimeMT.so.1"));
    files.find(|file| file.exists())
}

/// Installs a package of Debian.
pub(crate) fn install(package: &str) -> Result<()> {
    apt(&["update"]).and_then(|()| apt(&["install", "-y", package]))
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
