//! The project's own chores.

mod bench;
mod cluster;
mod crds;
mod servers;
mod soak;
mod supply;
mod test;

use clap::{Parser, Subcommand};

/// The project's own chores.
#[derive(Parser)]
#[command(name = "cargo xtask", arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Format, lint, build and run every test.
    Test(test::Args),
    Soak(soak::Args),
    /// Measure: `cargo xtask bench clean|run|day|identity|lookup|operator`, each with `--help`.
    #[command(disable_help_flag = true)]
    Bench {
        /// What the benchmark is told.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Install the servers and readers that tests run against, and say where they are.
    Tools,
    /// A real Kubernetes on this machine, for tests: one for each checkout.
    #[command(subcommand)]
    Cluster(cluster::Order),
    /// Check the licences of everything that the programs are made of.
    Licences,
    /// Write what the programs are made of: a bill of materials, CycloneDX as JSON.
    Sbom {
        /// Where to.
        #[arg(default_value = "target/musubi.cdx.json")]
        file: std::path::PathBuf,
    },
    /// Write what is generated from the resource types: crds/ and docs/reference.md.
    Crds,
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().chore {
        Chore::Test(args) => test::run(&args),
        Chore::Soak(args) => soak::run(&args),
        Chore::Bench { args } => bench::run(&args),
        Chore::Tools => servers::prepare().map(|found| {
            for (name, path) in found {
                println!("{name}={}", path.display());
            }
        }),
        Chore::Cluster(order) => cluster::run(&order),
        Chore::Licences => supply::licences(),
        Chore::Sbom { file } => supply::bill(&file),
        Chore::Crds => crds::run(),
    }
}
