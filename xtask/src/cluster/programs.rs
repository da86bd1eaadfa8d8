//! Starting and ending programs inside of a cluster's namespaces.

use std::{
    ffi::OsStr,
    fs,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use super::Place;

/// A command inside of the cluster's namespaces.
pub(super) fn inside(holder: u32, program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("nsenter");
    command
        .arg(format!("--target={holder}"))
        .args(["--net", "--mount", "--pid", "--"])
        .arg(program);
    command
}

/// Starts a program that lasts as long as the cluster; what it prints goes to its log.
pub(super) fn start(
    place: &Place,
    holder: u32,
    name: &str,
    program: &Path,
    args: &[String],
) -> Result<()> {
    let log = fs::File::create(place.log(name))?;
    let bin = program.parent().unwrap_or(Path::new("/"));
    let path = format!("PATH={}:/usr/sbin:/usr/bin:/sbin:/bin", bin.display());
    // In a session of its own: Ctrl-C means who started it, not it.
    Command::new("setsid")
        .arg("nsenter")
        .arg(format!("--target={holder}"))
        .args(["--net", "--mount", "--pid", "--", "env", &path])
        .arg(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .with_context(|| format!("start {name}"))?;
    Ok(())
}

/// Runs a command to its end; fails with the end of what it said.
pub(super) fn done(command: &mut Command) -> Result<()> {
    let name = format!("{command:?}");
    let out = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("start {name}"))?;
    if !out.status.success() {
        let text = String::from_utf8_lossy(&out.stderr);
        bail!("{name} failed: {}", text.trim());
    }
    Ok(())
}

/// Waits until a command succeeds; fails with the end of a program's log.
pub(super) fn wait(place: &Place, name: &str, mut command: impl FnMut() -> Command) -> Result<()> {
    let begun = Instant::now();
    loop {
        let status = command()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()?;
        if status.success() {
            return Ok(());
        }
        if begun.elapsed() > Duration::from_secs(90) {
            let log = place.log(name);
            let text = fs::read_to_string(&log).unwrap_or_default();
            let tail: Vec<&str> = text.lines().rev().take(15).collect();
            let tail: Vec<&str> = tail.into_iter().rev().collect();
            bail!("{name} is not ready in time:\n{}", tail.join("\n"));
        }
        thread::sleep(Duration::from_millis(100));
    }
}

/// The process itself, not what started it, that has an argument.
pub(super) fn with_argument(argument: &str) -> Option<u32> {
    let has = |process: &u32| {
        let command = fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
        let mut words = command.split(|b| *b == 0);
        let starter = words.next().is_some_and(|word| word.ends_with(b"nsenter"));
        !starter && words.any(|word| word == argument.as_bytes())
    };
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers.find(has)
}

/// Kills a process and waits until it is gone.
pub(super) fn kill(process: u32) -> Result<()> {
    done(Command::new("kill").args(["-KILL", &process.to_string()]))?;
    let begun = Instant::now();
    while Path::new(&format!("/proc/{process}")).exists() {
        if begun.elapsed() > Duration::from_secs(30) {
            bail!("process {process} does not end");
        }
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}
