//! `cargo xtask test`: what has to hold before anything is merged.

mod binaries;

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use anyhow::{Context, Result, bail};

use crate::{cluster, servers, supply};
use binaries::{Binary, Environment, Outcome};

/// Tests in the cluster that do not disturb each other, which mostly wait: lanes run side by side, the tests of a lane
/// one after another. Each is a file of `tests/e2e/tests`. What stands here nowhere runs alone after them, because it
/// restarts the API server, exchanges definitions, installs for every namespace, begins dozens of operators, or
/// measures.
const LANES: [&[&str]; 3] = [
    &["nodes", "clocks", "interventions"],
    // Kueue would hold back the Jobs of `peaks`, which admits them in its place.
    &[
        "peaks",
        "kueue",
        "repeats",
        "kustomize",
        "refused",
        "gitops",
    ],
    &["bento", "lost_answers", "traces", "deletion"],
];

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
    let mut environment: Vec<(&'static str, OsString)> = Vec::new();
    environment.extend(servers.into_iter().map(|(name, path)| (name, path.into())));
    if let Some(kubeconfig) = &args.kubeconfig {
        let path = std::path::absolute(kubeconfig)?;
        environment.push(("MUSUBI_KUBECONFIG", path.into()));
    }
    let of_cluster = held.iter().flat_map(|held| held.environment());
    environment.extend(of_cluster.map(|(name, value)| (name, value.into())));
    let all = tests(&environment)?;
    let passed: u64 = all.iter().map(|outcome| outcome.passed).sum();
    let failed: u64 = all.iter().map(|outcome| outcome.failed).sum();
    for outcome in &all {
        if outcome.failed > 0 {
            println!("{}: {} failed", outcome.title, outcome.failed);
        } else if outcome.wavered > 0 {
            println!(
                "{}: {} failed, and passed the second time: look why",
                outcome.title, outcome.wavered
            );
        }
    }
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

/// Builds and runs the tests of every crate: first those that need no cluster, then those in it.
fn tests(environment: &Environment) -> Result<Vec<Outcome>> {
    let begun = Instant::now();
    let (in_cluster, elsewhere): (Vec<Binary>, Vec<Binary>) = binaries::build()?
        .into_iter()
        .partition(|binary| binary.is_of(Path::new("tests/e2e")));
    println!("tests: built in {:.0?}", begun.elapsed());
    let (lanes, alone) = lanes(in_cluster);
    let mut all = binaries::one_by_one(&elsewhere, environment)?;
    all.push(binaries::documentation(environment)?);
    let mut in_cluster = binaries::side_by_side(&lanes, environment)?;
    in_cluster.extend(binaries::one_by_one(&alone, environment)?);
    binaries::again(&mut in_cluster, environment)?;
    all.extend(in_cluster);
    println!("tests: done in {:.0?}", begun.elapsed());
    Ok(all)
}

/// The lanes of tests in the cluster, and those that run alone.
fn lanes(mut binaries: Vec<Binary>) -> (Vec<Vec<Binary>>, Vec<Binary>) {
    let mut take = |name: &&str| {
        let at = binaries.iter().position(|binary| binary.name == **name)?;
        Some(binaries.remove(at))
    };
    let lane = |names: &&[&str]| names.iter().filter_map(&mut take).collect();
    let lanes = LANES.iter().map(lane).collect();
    (lanes, binaries)
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, path::Path};

    use super::LANES;

    #[test]
    fn what_a_lane_names_is_there_and_named_once() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/e2e/tests");
        let mut seen = BTreeSet::new();
        for name in LANES.into_iter().flatten() {
            assert!(folder.join(format!("{name}.rs")).is_file(), "{name}");
            assert!(seen.insert(name), "{name} is in two lanes");
        }
    }
}
