//! The project's own chores.

mod crds;
mod servers;
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
    Test,
    /// Write the definitions of all kinds to crds/.
    Crds,
    /// Write docs/reference.md.
    Reference,
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().chore {
        Chore::Test => test::run(),
        Chore::Crds => crds::definitions(),
        Chore::Reference => crds::page(),
    }
}
