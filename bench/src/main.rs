//! How fast musubi is, how much memory it takes, and what a day of new data costs.
//!
//!     cargo xtask bench clean
//!     cargo xtask bench run --customers 20000,200000,1000000
//!     cargo xtask bench day
//!     cargo xtask bench identity --records 100000,1000000
//!     cargo xtask bench lookup --records 1000000
//!
//! Worlds are those of `musubi demo`. Every run has a process of its own, so that its memory is its own.
//! Processor time stands beside wall-clock time, because only the first says much on a busy machine.

mod clean;
mod day;
mod identity;
mod lookup;
mod machine;
mod pipeline;
mod run;

use clap::{Parser, Subcommand};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Benchmarks of musubi.
#[derive(Parser)]
#[command(name = "cargo xtask bench", arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Subcommand)]
enum Bench {
    /// Rows and megabytes that cleaning takes a second, next to the bare Parquet writer.
    Clean(clean::Args),
    /// A run from end to end, at several sizes: time and memory by stage, and bytes.
    Run(run::Args),
    /// What a day costs that brings a hundredth of the data, next to the full run.
    Day(day::Args),
    /// Identity alone, on seeded sets with their truth: time, memory, pairs, accuracy.
    Identity(identity::Args),
    /// One record in a process that stays: time, memory, next to a process a record.
    Lookup(lookup::Args),
    /// One measured run over the files that are there; what the other benchmarks call.
    #[command(hide = true)]
    One(pipeline::Args),
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    match Cli::parse().bench {
        Bench::Clean(args) => clean::run(&args).await,
        Bench::Run(args) => run::run(&args),
        Bench::Day(args) => day::run(&args),
        Bench::Identity(args) => identity::run(&args),
        Bench::Lookup(args) => lookup::run(&args).await,
        Bench::One(args) => pipeline::run(&args).await,
    }
}
