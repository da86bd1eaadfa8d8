//! What a day of new data costs, next to the full run over the same files.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use crate::{machine, pipeline};

/// The world.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// People in the world.
    #[arg(long, default_value_t = 20_000)]
    customers: u64,
    /// Days that the world lasts: the last one is the new day.
    #[arg(long, default_value_t = 100)]
    days: u32,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    println!("{}", machine::facts());
    let scratch = tempfile::tempdir().context("make a folder for the world")?;
    let folder = scratch.path();
    pipeline::write_world(folder, args.customers, args.days)?;
    let aside = folder.join("aside");
    let last = last_day(&folder.join("data"))?;
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

/// The files of the newest date in their names.
fn last_day(data: &Path) -> Result<Vec<PathBuf>> {
    let mut dated: Vec<(String, PathBuf)> = Vec::new();
    for system in fs::read_dir(data)? {
        for file in fs::read_dir(system?.path())? {
            let path = file?.path();
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            let digits: String = name.chars().filter(char::is_ascii_digit).collect();
            let date = digits.find("20").and_then(|at| digits.get(at..at + 8));
            if let Some(date) = date {
                dated.push((date.to_owned(), path));
            }
        }
    }
    let newest = dated.iter().map(|(date, _)| date.clone()).max();
    let newest = newest.context("no file of the world has a date in its name")?;
    dated.retain(|(date, _)| *date == newest);
    Ok(dated.into_iter().map(|(_, path)| path).collect())
}
