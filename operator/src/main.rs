//! The operator: turns musubi's resources into Jobs.
//!
//! It holds no customer data and reads no Secret. What it knows of a run's work is what workers say at their
//! end; the truth stands in the lake.

mod ahead;
mod ask;
mod build;
mod calendar;
mod conditions;
mod context;
mod control;
mod ends;
mod freshness;
mod health;
mod metrics;
mod objects;
#[cfg(test)]
mod older;
mod outcome;
mod peaks;
mod repeat;
mod run;
mod schedule;
#[cfg(test)]
mod tests;
mod traces;
mod trouble;

use clap::{Parser, Subcommand};

/// musubi's operator: turns musubi's resources into Jobs.
#[derive(Parser)]
#[command(
    version,
    subcommand_negates_reqs = true,
    args_conflicts_with_subcommands = true
)]
struct Cli {
    #[command(flatten)]
    run: Option<run::Args>,
    #[command(subcommand)]
    order: Option<Order>,
}

#[derive(Subcommand)]
enum Order {
    Ask(ask::Args),
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    match Cli::parse() {
        Cli {
            order: Some(Order::Ask(args)),
            ..
        } => ask::run(args).await,
        Cli {
            run: Some(args), ..
        } => run::run(args).await,
        Cli { .. } => anyhow::bail!("nothing to do: see --help"),
    }
}
