//! Programs from PyPI, in a virtual environment outside of the repository that all checkouts share.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::StartError;

const REQUIREMENTS: &str = include_str!("../requirements.txt");
/// Written last: an installation that was cut off lacks it.
const COMPLETE: &str = "complete";

/// Where the programs are, installed or not: `MUSUBI_TEST_TOOLS`, or a folder in the user's cache that is
/// named for what it holds.
#[must_use]
pub fn folder() -> PathBuf {
    if let Some(folder) = std::env::var_os("MUSUBI_TEST_TOOLS") {
        return folder.into();
    }
    named("test-tools", REQUIREMENTS)
}

fn named(name: &str, requirements: &str) -> PathBuf {
    let mut hash = DefaultHasher::new();
    requirements.hash(&mut hash);
    cache().join(format!("{name}-{:016x}", hash.finish()))
}

/// The folder for what is kept between runs and checkouts: `musubi` in the user's cache.
#[must_use]
pub fn cache() -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || std::env::home_dir().map(|h| h.join(".cache"));
    let cache = cache.or_else(home).unwrap_or_else(std::env::temp_dir);
    cache.join("musubi")
}

/// A program of the environment: `weed`, `moto_server`, `python`.
///
/// # Errors
/// When it is not installed, with the command that installs it.
pub fn program(name: &str) -> Result<PathBuf, StartError> {
    let folder = folder();
    let program = folder.join("bin").join(name);
    if folder.join(COMPLETE).is_file() && program.is_file() {
        return Ok(program);
    }
    Err(StartError(format!(
        "{name} is not installed; run `cargo xtask test` once, or by hand: {}",
        by_hand(&folder, REQUIREMENTS)
    )))
}

fn by_hand(folder: &Path, requirements: &str) -> String {
    let packages: Vec<String> = requirements
        .lines()
        .filter(|l| !l.starts_with('#') && !l.is_empty())
        .map(|l| format!("'{l}'"))
        .collect();
    let folder = folder.display();
    format!(
        "python3 -m venv {folder} && {folder}/bin/pip install {} && touch {folder}/{COMPLETE}",
        packages.join(" ")
    )
}

/// Installs what is missing. Safe to call by several at once.
///
/// # Errors
/// When Python or PyPI is not to be had, with the command to try by hand.
pub fn install() -> Result<PathBuf, StartError> {
    provide(folder(), REQUIREMENTS)
}

/// An environment of its own for what a list names, as pip reads it; installs what is missing. Gives its folder.
///
/// # Errors
/// As [`install`].
pub fn environment(name: &str, requirements: &str) -> Result<PathBuf, StartError> {
    provide(named(name, requirements), requirements)
}

fn provide(folder: PathBuf, requirements: &str) -> Result<PathBuf, StartError> {
    if folder.join(COMPLETE).is_file() {
        return Ok(folder);
    }
    let parent = folder.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(parent)?;
    let lock = std::fs::File::create(parent.join("install.lock"))?;
    lock.lock()?;
    if folder.join(COMPLETE).is_file() {
        return Ok(folder);
    }
    let by_hand = by_hand(&folder, requirements);
    let fail = |e: StartError| StartError(format!("{e}; by hand: {by_hand}"));
    let venv = || {
        run(Command::new("python3")
            .args(["-m", "venv", "--clear"])
            .arg(&folder))
    };
    if let Err(first) = venv() {
        // Debian ships venv in a package of its own.
        let apt = |args: &[&str]| {
            run(Command::new("apt-get")
                .args(args)
                .env("DEBIAN_FRONTEND", "noninteractive"))
        };
        apt(&["-q", "update"])
            .and_then(|()| apt(&["-q", "install", "-y", "python3-venv"]))
            .and_then(|()| venv())
            .map_err(|_| fail(first))?;
    }
    let list = folder.join("requirements.txt");
    std::fs::write(&list, requirements)?;
    run(Command::new(folder.join("bin/pip"))
        .args(["install", "--quiet", "--disable-pip-version-check", "-r"])
        .arg(&list))
    .map_err(fail)?;
    std::fs::write(folder.join(COMPLETE), "")?;
    Ok(folder)
}

fn run(command: &mut Command) -> Result<(), StartError> {
    let name = command.get_program().to_string_lossy().into_owned();
    let out = command
        .stdin(Stdio::null())
        .output()
        .map_err(|e| StartError(format!("{name}: {e}")))?;
    if out.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&out.stderr);
    let tail: Vec<&str> = text.lines().rev().take(5).collect();
    let tail: Vec<&str> = tail.into_iter().rev().collect();
    Err(StartError(format!("{name} failed: {}", tail.join("\n"))))
}
