//! `cargo xtask soak`: longer series of what is tested in the cluster, again and again; and what the operator costs.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};

use crate::{cluster, servers, test};

/// Longer series of what is tested in the cluster, round after round, until their time is over: answers of the API
/// server are lost at every call that changes something, watches are half a minute late while Jobs vanish, a seed
/// draws what happens to a run, clocks are two minutes off, an operator with nothing to do is watched for ten
/// minutes, and 500 pipelines run with stages of 1,000 shards. Each says how it went; a summary comes last.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Hours after which no other series begins. The one that is under way goes on to its end.
    #[arg(long, default_value_t = 1.0, value_parser = hours)]
    hours: f64,
    /// The number that chances of the first round are drawn from; each further round has the next.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The series to try; all when absent.
    #[arg(long, value_delimiter = ',', value_parser = clap::builder::PossibleValuesParser::new(SERIES.map(|s| s.name)))]
    only: Vec<String>,
}

/// What the operator takes for many pipelines, many runs at once and one run with wide stages. Pods are played by kwok;
/// figures stand beside their goals.
#[derive(clap::Parser)]
#[command(name = "cargo xtask bench operator")]
pub(crate) struct Scale {
    /// Pipelines with a Source each.
    #[arg(long, default_value_t = 500)]
    pipelines: usize,
    /// Runs of one shard at once.
    #[arg(long, default_value_t = 200)]
    runs: usize,
    /// Shards of the stages of one more run.
    #[arg(long, default_value_t = 1000)]
    shards: usize,
}

/// One test, as a series tries it.
#[derive(Clone, Copy)]
struct Series {
    name: &'static str,
    /// The file of the test, and the test.
    test: (&'static str, &'static str),
}

const SERIES: [Series; 7] = [
    Series {
        name: "lost",
        test: ("lost_answers", "an_operator_dies_at_each_answer"),
    },
    Series {
        name: "late",
        test: (
            "lost_answers",
            "an_operator_sees_late_what_happened_to_jobs_that_vanish",
        ),
    },
    Series {
        name: "chaos",
        test: ("chaos", "a_run_goes_through_what_a_seed_draws"),
    },
    Series {
        name: "clocks",
        test: (
            "clocks",
            "a_run_is_the_same_whatever_the_time_is_said_to_be",
        ),
    },
    Series {
        name: "cron",
        test: (
            "clocks",
            "each_run_that_is_due_is_made_once_within_the_error_of_the_clock",
        ),
    },
    Series {
        name: "idle",
        test: ("scale", "who_has_nothing_to_do_writes_nothing"),
    },
    SCALE,
];

const SCALE: Series = Series {
    name: "scale",
    test: ("scale", "many_runs_at_once_cost_little"),
};

fn hours(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(hours) if hours > 0.0 && hours <= 168.0 => Ok(hours),
        _ => Err("hours: more than 0, at most 168".into()),
    }
}

/// Tries series after series.
pub(crate) fn run(args: &Args) -> Result<()> {
    let field = Field::set()?;
    let (begun, time) = (Instant::now(), Duration::from_secs_f64(args.hours * 3600.0));
    let chosen =
        |series: &&Series| args.only.is_empty() || args.only.iter().any(|n| n == series.name);
    let chosen: Vec<&Series> = SERIES.iter().filter(chosen).collect();
    let mut tried: Vec<Tried> = chosen
        .iter()
        .map(|series| Tried::new(series.name))
        .collect();
    'rounds: for seed in args.seed.. {
        for (series, tried) in chosen.iter().zip(&mut tried) {
            if begun.elapsed() >= time {
                break 'rounds;
            }
            println!(
                "soak: {} with seed {seed}, after {:.0?} of {time:.0?}",
                series.name,
                begun.elapsed()
            );
            let began = Instant::now();
            let passed = field.try_once(series, seed, &Scale::FULL)?;
            tried.note(seed, passed, began.elapsed());
        }
    }
    println!("soak: {:.0?}", begun.elapsed());
    tried.iter().for_each(|tried| println!("  {tried}"));
    let failed = tried.iter().map(|tried| tried.failed.len()).sum::<usize>();
    ensure!(failed == 0, "{failed} series failed");
    Ok(())
}

/// Measures what the operator costs.
pub(crate) fn measure(scale: &Scale) -> Result<()> {
    let passed = Field::set()?.try_once(&SCALE, 1, scale)?;
    ensure!(passed, "a goal was missed");
    Ok(())
}

impl Scale {
    const FULL: Self = Self {
        pipelines: 500,
        runs: 200,
        shards: 1000,
    };
}

/// How a series went.
struct Tried {
    name: &'static str,
    passed: usize,
    /// Seeds of the rounds that failed.
    failed: Vec<u64>,
    took: Duration,
}

impl Tried {
    fn new(name: &'static str) -> Self {
        Self {
            name,
            passed: 0,
            failed: Vec::new(),
            took: Duration::ZERO,
        }
    }

    fn note(&mut self, seed: u64, passed: bool, took: Duration) {
        self.took += took;
        if passed {
            self.passed += 1;
        } else {
            self.failed.push(seed);
        }
        let how = if passed { "passed" } else { "FAILED" };
        println!("soak: {} with seed {seed}: {how} in {took:.0?}", self.name);
    }
}

impl std::fmt::Display for Tried {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{:8} {} passed, {} failed",
            self.name,
            self.passed,
            self.failed.len()
        )?;
        if !self.failed.is_empty() {
            write!(f, " (seeds {:?})", self.failed)?;
        }
        write!(f, ", {:.0?}", self.took)
    }
}

/// Where series are tried: a cluster, servers, and an operator as it is released.
struct Field {
    held: cluster::Held,
    servers: Vec<(&'static str, PathBuf)>,
    operator: PathBuf,
}

impl Field {
    fn set() -> Result<Self> {
        let servers = servers::prepare()?;
        test::step("programs", &["build", "--workspace", "--bins"])?;
        let operator = match std::env::var_os("MUSUBI_OPERATOR") {
            Some(named) => named.into(),
            None => release()?,
        };
        let held = cluster::hold(&test::programs(), servers::install)?;
        let held = held.context("a cluster is needed; what it takes is said above")?;
        Ok(Self {
            held,
            servers,
            operator,
        })
    }

    /// Tries a series, and says whether it passed. What it prints is printed.
    fn try_once(&self, series: &Series, seed: u64, scale: &Scale) -> Result<bool> {
        let (file, test) = series.test;
        let status = test::cargo()
            .args(["test", "--workspace", "--test", file, "--"])
            .args(["--exact", test, "--nocapture", "--include-ignored"])
            .envs(self.servers.iter().map(|(name, path)| (name, path)))
            .envs(self.held.environment())
            .env("MUSUBI_OPERATOR", &self.operator)
            .env("MUSUBI_SOAK", seed.to_string())
            .env("MUSUBI_SCALE_PIPELINES", scale.pipelines.to_string())
            .env("MUSUBI_SCALE_RUNS", scale.runs.to_string())
            .env("MUSUBI_SCALE_SHARDS", scale.shards.to_string())
            .status()
            .context("start cargo test")?;
        Ok(status.success())
    }
}

/// Builds the operator as it is released.
fn release() -> Result<PathBuf> {
    test::step(
        "operator",
        &["build", "--release", "--package", "musubi-operator"],
    )?;
    let here = std::env::current_exe()?;
    let target = here
        .parent()
        .and_then(Path::parent)
        .context("a target folder")?;
    let operator = target.join("release/musubi-operator");
    if !operator.is_file() {
        bail!("{} is not there", operator.display());
    }
    Ok(operator)
}
