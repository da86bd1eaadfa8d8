//! The operator: turns musubi's resources into Jobs.
//!
//! It holds no customer data and reads no Secret. What it knows of a run's work is what workers say at their
//! end; the truth stands in the lake.

mod build;
mod conditions;
mod context;
mod control;
mod health;
mod metrics;
mod objects;
mod outcome;
mod run;
mod schedule;
#[cfg(test)]
mod tests;
mod trouble;

use clap::Parser as _;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    run::run(run::Args::parse()).await
}
