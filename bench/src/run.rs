//! A run from end to end, at several sizes.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::{machine, pipeline};

/// Sizes to run at.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// People in each world.
    #[arg(long, value_delimiter = ',', default_values_t = [20_000, 200_000, 1_000_000])]
    customers: Vec<u64>,
    /// Days that each world lasts.
    #[arg(long, default_value_t = 3)]
    days: u32,
    /// Folder for the worlds; one for the system's temporary files by default.
    #[arg(long)]
    folder: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    println!("{}", machine::facts());
    for customers in &args.customers {
        let scratch = match &args.folder {
            Some(folder) => tempfile::tempdir_in(folder),
            None => tempfile::tempdir(),
        };
        let scratch = scratch.context("make a folder for the world")?;
        let folder = scratch.path();
        pipeline::write_world(folder, *customers, args.days)?;
        let measured = pipeline::measure(folder)?;
        println!("\n{customers} customers, {} days", args.days);
        println!(
            "{:>9} {:>9} {:>9} {:>9}",
            "stage", "wall s", "cpu s", "peak MB"
        );
        for (stage, wall, cpu, peak) in &measured.stages {
            println!("{stage:>9} {wall:>9.2} {cpu:>9.2} {peak:>9}");
        }
        let (wall, cpu) = (measured.wall(), measured.cpu());
        println!(
            "{:>9} {wall:>9.2} {cpu:>9.2} {:>9}",
            "together",
            measured.peak()
        );
        #[expect(clippy::cast_precision_loss, reason = "figures for people")]
        let per_row = |seconds: f64| seconds * 1e6 / measured.rows as f64;
        println!(
            "{} source rows: {:.1} µs of wall-clock and {:.1} µs of processor time each",
            measured.rows,
            per_row(wall),
            per_row(cpu)
        );
        let bytes = |name: &str| machine::bytes(&folder.join(name)) >> 20;
        let warehouse = folder.join("bento.sqlite");
        println!(
            "{} MB of source files, {} MB of lake, {} MB of warehouse",
            bytes("data"),
            bytes("lake"),
            warehouse.metadata().map_or(0, |m| m.len()) >> 20
        );
    }
    Ok(())
}
