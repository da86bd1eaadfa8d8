//! What a day of new data costs, next to the full run over the same files.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use musubi::demo::world::START;

use crate::{machine, pipeline};

/// The world.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// People in the world.
    #[arg(long, default_value_t = 20_000)]
    customers: u64,
    /// Days that the world lasts: the last one is the new day.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(2..=366))]
    days: u32,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    println!("{}", machine::facts());
    let scratch = tempfile::tempdir().context("make a folder for the world")?;
    let folder = scratch.path();
    pipeline::write_world(folder, args.customers, args.days)?;
    let aside = folder.join("aside");
    let last = START.saturating_add(jiff::Span::new().days(i64::from(args.days) - 1));
    let last = files_of(&folder.join("data"), last)?;
    let moved = last.iter().map(|path| {
        let name = path.strip_prefix(folder).unwrap_or(path);
        (path.clone(), aside.join(name))
    });
    let moved: Vec<(PathBuf, PathBuf)> = moved.collect();
    for (from, to) in &moved {
        fs::create_dir_all(to.parent().unwrap_or(&aside))?;
        fs::rename(from, to)?;
    }
    let before = pipeline::measure(folder)?;
    for (from, to) in &moved {
        fs::rename(to, from)?;
    }
    let day = pipeline::measure(folder)?;
    fs::remove_dir_all(folder.join("lake"))?;
    fs::remove_file(folder.join("bento.sqlite"))?;
    let full = pipeline::measure(folder)?;
    println!("\n{} customers, {} days", args.customers, args.days);
    println!(
        "{:>9} {:>10} {:>10} {:>10} {:>10}",
        "stage", "day wall", "day cpu", "full wall", "full cpu"
    );
    for (new, all) in day.stages.iter().zip(&full.stages) {
        println!(
            "{:>9} {:>10.2} {:>10.2} {:>10.2} {:>10.2}",
            new.0, new.1, new.2, all.1, all.2
        );
    }
    println!(
        "{:>9} {:>10.2} {:>10.2} {:>10.2} {:>10.2}",
        "together",
        day.wall(),
        day.cpu(),
        full.wall(),
        full.cpu()
    );
    #[expect(clippy::cast_precision_loss, reason = "a percentage")]
    let share = day.rows as f64 * 100.0 / full.rows as f64;
    println!(
        "the day: {} of {} rows ({share:.2} %), {:.1} % of the full run's wall-clock and {:.1} % of its processor time",
        day.rows,
        full.rows,
        day.wall() * 100.0 / full.wall(),
        day.cpu() * 100.0 / full.cpu()
    );
    println!(
        "the days before took {:.2} s, {:.2} s of processor time",
        before.wall(),
        before.cpu()
    );
    Ok(())
}

/// The files that have a date in their names.
fn files_of(data: &Path, date: jiff::civil::Date) -> Result<Vec<PathBuf>> {
    let date = date.strftime("%Y%m%d").to_string();
    let mut files = Vec::new();
    for system in fs::read_dir(data)? {
        for file in fs::read_dir(system?.path())? {
            let path = file?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.contains(&date) {
                files.push(path.clone());
            }
        }
    }
    anyhow::ensure!(!files.is_empty(), "the world has no files of {date}");
    Ok(files)
}
