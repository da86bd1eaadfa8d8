//! The test programs that cargo built, and how they are run: one after another, or in lanes side by side.

use std::{
    ffi::OsString,
    io::{BufRead as _, BufReader, Read, pipe},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use cargo_metadata::Message;

use super::cargo;

/// Variables that tests are run with.
pub(super) type Environment = [(&'static str, OsString)];

/// A test program.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Binary {
    /// Folder of its package: tests are run in it.
    folder: PathBuf,
    /// `lib`, `bin` or `test`.
    kind: String,
    /// Name of its file, without the ending, or of its package.
    pub(super) name: String,
    program: PathBuf,
}

/// What a program reported.
#[derive(Debug)]
pub(super) struct Outcome {
    /// The program, as a person would name it.
    pub(super) title: String,
    /// Tests that passed.
    pub(super) passed: u64,
    /// Tests that failed; one when it ended otherwise than well without a word on its tests.
    pub(super) failed: u64,
    /// Tests that failed the first time, when none failed the second time.
    pub(super) wavered: u64,
    took: Duration,
    /// What was run, if it is one that can be run again.
    binary: Option<Binary>,
}

/// Builds every test program of the workspace, and gives them in the order in which cargo runs them.
pub(super) fn build() -> Result<Vec<Binary>> {
    let mut child = cargo()
        .args(["test", "--workspace", "--no-run"])
        .arg("--message-format=json-render-diagnostics")
        .stdout(Stdio::piped())
        .spawn()
        .context("start cargo test")?;
    let output = child.stdout.take().context("cargo test has no output")?;
    let mut found = Vec::new();
    for message in Message::parse_stream(BufReader::new(output)) {
        let Message::CompilerArtifact(artifact) = message.context("read what cargo test says")?
        else {
            continue;
        };
        let Some(program) = artifact.executable.filter(|_| artifact.profile.test) else {
            continue;
        };
        let folder = artifact.manifest_path.parent().context("a manifest")?;
        let kind = artifact.target.kind.first().map(ToString::to_string);
        found.push(Binary {
            folder: folder.into(),
            kind: kind.unwrap_or_default(),
            name: artifact.target.name,
            program: program.into(),
        });
    }
    ensure!(
        child.wait()?.success(),
        "tests cannot be built: cargo test --workspace --no-run"
    );
    found.sort();
    Ok(found)
}

impl Binary {
    /// Whether it is a file of tests of a package.
    pub(super) fn is_of(&self, package: &Path) -> bool {
        self.kind == "test" && self.folder.ends_with(package)
    }

    fn title(&self) -> String {
        let package = self.folder.file_name().unwrap_or_default();
        let package = package.to_string_lossy();
        match self.kind.as_str() {
            "test" => format!("{package} {}", self.name),
            kind => format!("{package} {kind}"),
        }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command
            .current_dir(&self.folder)
            .env("CARGO_MANIFEST_DIR", &self.folder);
        command
    }
}

impl Outcome {
    fn of(self, binary: &Binary) -> Self {
        Self {
            binary: Some(binary.clone()),
            ..self
        }
    }
}

/// Runs a command to its end, and hands over each line that it prints.
fn run(
    title: String,
    mut command: Command,
    environment: &Environment,
    mut line: impl FnMut(&str),
) -> Result<Outcome> {
    let begun = Instant::now();
    let (reader, writer) = pipe()?;
    command
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer);
    let mut child = command.spawn().with_context(|| format!("start {title}"))?;
    // It holds ends of the pipe, which has to end with the child.
    drop(command);
    let (mut passed, mut failed) = (0, 0);
    each_line(reader, |said| {
        if said.starts_with("test result:") {
            passed += count(said, "passed");
            failed += count(said, "failed");
        }
        line(said);
    })?;
    if !child.wait()?.success() {
        failed = failed.max(1);
    }
    Ok(Outcome {
        title,
        passed,
        failed,
        wavered: 0,
        took: begun.elapsed(),
        binary: None,
    })
}

/// Programs run one after another. What they print is printed as it comes.
pub(super) fn one_by_one(binaries: &[Binary], environment: &Environment) -> Result<Vec<Outcome>> {
    let aloud = |binary: &Binary| {
        let outcome = aloud(binary.title(), binary.command(), environment)?;
        Ok(outcome.of(binary))
    };
    binaries.iter().map(aloud).collect()
}

/// Runs programs a second time, alone, that had tests which failed. Theirs hang on a dozen other programs, and on each
/// other: what fails once is told, and what fails twice has failed.
pub(super) fn again(outcomes: &mut [Outcome], environment: &Environment) -> Result<()> {
    for outcome in outcomes.iter_mut().filter(|outcome| outcome.failed > 0) {
        let Some(binary) = outcome.binary.clone() else {
            continue;
        };
        let title = format!("{} once more", outcome.title);
        let second = aloud(title, binary.command(), environment)?;
        if second.failed == 0 {
            outcome.wavered = outcome.failed;
            (outcome.passed, outcome.failed) = (second.passed, 0);
        }
    }
    Ok(())
}

/// Runs the tests in the documentation of every crate.
pub(super) fn documentation(environment: &Environment) -> Result<Outcome> {
    let mut command = cargo();
    command.args(["test", "--workspace", "--doc", "--no-fail-fast"]);
    aloud("documentation".into(), command, environment)
}

/// Runs a command. What it prints is printed as it comes.
fn aloud(title: String, command: Command, environment: &Environment) -> Result<Outcome> {
    println!("\n{title}");
    let outcome = run(title, command, environment, |line| println!("{line}"))?;
    println!("{}: {:.0?}", outcome.title, outcome.took);
    Ok(outcome)
}

/// Lanes run side by side, the programs of a lane one after another. What a program prints is printed whole, at its end.
pub(super) fn side_by_side(
    lanes: &[Vec<Binary>],
    environment: &Environment,
) -> Result<Vec<Outcome>> {
    let one = Mutex::new(());
    let lane = |binaries: &[Binary]| -> Result<Vec<Outcome>> {
        let quietly = |binary: &Binary| {
            let mut said = format!("\n{}\n", binary.title());
            let line = |line: &str| said.extend([line, "\n"]);
            let outcome = run(binary.title(), binary.command(), environment, line)?;
            let _one = one.lock().unwrap_or_else(PoisonError::into_inner);
            println!("{said}{}: {:.0?}", outcome.title, outcome.took);
            Ok(outcome.of(binary))
        };
        binaries.iter().map(quietly).collect()
    };
    thread::scope(|scope| {
        let running: Vec<_> = lanes.iter().map(|l| scope.spawn(|| lane(l))).collect();
        let mut all = Vec::new();
        for lane in running {
            match lane.join() {
                Ok(outcomes) => all.extend(outcomes?),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        Ok(all)
    })
}

/// Lines as they come; what is no text in them is replaced.
fn each_line(from: impl Read, mut line: impl FnMut(&str)) -> Result<()> {
    let mut from = BufReader::new(from);
    let mut bytes = Vec::new();
    while from.read_until(b'\n', &mut bytes)? > 0 {
        line(String::from_utf8_lossy(&bytes).trim_end_matches(['\n', '\r']));
        bytes.clear();
    }
    Ok(())
}

/// The number before a word in `test result: ok. 3 passed; 0 failed; …`.
pub(super) fn count(line: &str, word: &str) -> u64 {
    let words: Vec<&str> = line.split([' ', ';']).filter(|w| !w.is_empty()).collect();
    let at = words.iter().position(|w| *w == word);
    at.and_then(|at| words.get(at.checked_sub(1)?)?.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::{path::Path, process::Command};

    use super::{Binary, again, count, side_by_side};

    #[test]
    fn results_are_read_from_the_closing_line() {
        let line = "test result: FAILED. 12 passed; 3 failed; 0 ignored; finished in 0.01s";
        assert_eq!((count(line, "passed"), count(line, "failed")), (12, 3));
    }

    fn program(name: &str) -> Binary {
        Binary {
            folder: "/bin".into(),
            kind: "test".into(),
            name: name.into(),
            program: Path::new("/bin").join(name),
        }
    }

    #[test]
    fn a_program_that_fails_without_a_word_of_its_tests_counts_as_one_that_failed() {
        let lanes = [
            vec![program("false"), program("true")],
            vec![program("true")],
        ];
        let outcomes = side_by_side(&lanes, &[]).expect("programs that can be started");
        let failed: Vec<_> = outcomes
            .iter()
            .map(|o| (o.title.as_str(), o.failed))
            .collect();
        let expected = [("bin false", 1), ("bin true", 0), ("bin true", 0)];
        assert_eq!(failed, expected);
    }

    #[test]
    fn what_passes_the_second_time_is_told_and_what_fails_twice_has_failed() {
        let folder = tempfile::tempdir().expect("a folder");
        let wavers = folder.path().join("wavers");
        // Written by somebody else: a file that this process has open cannot be run.
        let script =
            r#"printf '#!/bin/sh\nmkdir "$0.seen" || exit 0\nexit 1\n' > "$0" && chmod +x "$0""#;
        let written = Command::new("sh")
            .args(["-c", script])
            .arg(&wavers)
            .status();
        assert!(written.expect("sh").success());
        let wavers = Binary {
            program: wavers,
            ..program("wavers")
        };
        let mut outcomes = side_by_side(&[vec![program("false"), wavers, program("true")]], &[])
            .expect("outcomes");
        again(&mut outcomes, &[]).expect("programs that can be started");
        let told: Vec<_> = outcomes.iter().map(|o| (o.failed, o.wavered)).collect();
        assert_eq!(told, [(1, 0), (0, 1), (0, 0)]);
    }
}
