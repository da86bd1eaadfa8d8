//! `musubi dedupe`: who is who in plain files.

use std::{io::IsTerminal as _, path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context as _, Result, bail};
use clap::{ArgAction, Args as ClapArgs, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};

use super::output;
use crate::{
    dedupe::{self, Input, Role, Settings, Watch},
    report::{Paint, count},
};

/// Find out which records of plain files are one person, without any YAML.
///
/// Takes CSV (delimiter and encoding are found out), Parquet, and workbooks. What each column holds is guessed from its
/// name and values and shown before work begins; --field and --ignore correct it. National ids and columns
/// that number people are never used unless told. Rows keep their order: row 0 is the first one of the first file.
///
/// With --link, only pairs across two files are compared. A record may still join two records of the other file:
/// neither file is assumed to be free of duplicates.
#[derive(Debug, ClapArgs)]
#[command(
    after_help = "Examples:\n  musubi dedupe customers.csv --out people\n  musubi dedupe crm.csv shop.parquet --out people\n  musubi dedupe a.csv b.csv --link --out matches\n  musubi dedupe people.csv --out scored --truth cluster\n  musubi dedupe people.csv --out better --labels pairs.csv\n  musubi dedupe export.csv --out people --field 'Contact 1=phone' --ignore Notes"
)]
pub(super) struct Args {
    /// Files of records.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Folder for clusters, links, model, page and figures; it is made when it is not there.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// What a column holds, as in 'Birth=birth_date'; may be given several times.
    #[arg(long, value_name = "COLUMN=ROLE", action = ArgAction::Append)]
    field: Vec<String>,
    /// A column that is not to be used; may be given several times.
    #[arg(long, value_name = "COLUMN", action = ArgAction::Append)]
    ignore: Vec<String>,
    /// Only pairs across two files.
    #[arg(long)]
    link: bool,
    /// The column that says who is who: to score with, never to match by.
    #[arg(long, value_name = "COLUMN")]
    truth: Option<String>,
    /// CSV of pairs that somebody labelled: they hold, and the model learns from them. Columns left and right (rows from 0), or
    /// COLUMN_l and COLUMN_r (values of a column), and same (yes or no); as musubi evaluate --sample writes it.
    #[arg(long, value_name = "FILE", conflicts_with = "model")]
    labels: Option<PathBuf>,
    /// The column that says who lives together: counts links that join two of one household.
    #[arg(long, value_name = "COLUMN", requires = "truth")]
    household: Option<String>,
    /// Match probability from which two records are one person [default: 0.7]: a wrong
    /// merge counts as more than two missed ones; at 0.95, as nineteen.
    #[arg(long, value_name = "PROBABILITY")]
    threshold: Option<f64>,
    /// A model.json from before, in place of training.
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Country (ISO 3166, two letters) of phones, postal codes and addresses that do not say it.
    #[arg(long, value_name = "CODE")]
    country: Option<String>,
    /// Memory to stay within, as in 2GB [default: what is free].
    #[arg(long, value_name = "SIZE", value_parser = size)]
    memory: Option<u64>,
    /// Threads [default: one for each core].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Parts that matching is cut into, one after the other; the result is the same [default: 1].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
    shards: Option<u32>,
    /// How the outcome is printed.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// How the outcome is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people.
    #[default]
    Table,
    /// The figures of stats.json.
    Json,
}

/// `2GB`, `500 MB`, `1Gi`: bytes.
fn size(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let of = match unit.trim().to_lowercase().as_str() {
        "k" | "kb" => 1e3,
        "m" | "mb" => 1e6,
        "g" | "gb" => 1e9,
        "ki" | "kib" => 1024.0,
        "mi" | "mib" => 1_048_576.0,
        "gi" | "gib" => 1_073_741_824.0,
        _ => return Err("give a number with its unit, as in 500MB or 2GB".to_owned()),
    };
    let number: f64 = number
        .parse()
        .map_err(|_| "give a number with its unit, as in 500MB or 2GB".to_owned())?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a size"
    )]
    let bytes = (number * of) as u64;
    if bytes < 32_000_000 {
        return Err("less than 32MB holds no records at all".to_owned());
    }
    Ok(bytes)
}

fn settings(args: &Args) -> Result<Settings> {
    let mut fields = Vec::new();
    for said in &args.field {
        // Names of columns may have the sign in them; roles have not.
        let Some((column, role)) = said.rsplit_once('=') else {
            bail!("--field {said:?}: give COLUMN=ROLE, as in --field 'Birth=birth_date'");
        };
        let role: Role = role.parse().with_context(|| format!("--field {said:?}"))?;
        fields.push((column.to_owned(), role));
    }
    fields.extend(args.ignore.iter().map(|c| (c.clone(), Role::Ignored)));
    if let Some(country) = &args.country {
        let letters = country.len() == 2 && country.chars().all(|c| c.is_ascii_alphabetic());
        if !letters {
            bail!("--country {country:?} is no code of two letters, such as us, gb or jp");
        }
    }
    Ok(Settings {
        files: args.files.clone(),
        out: args.out.clone(),
        fields,
        link: args.link,
        truth: args.truth.clone(),
        labels: args.labels.clone(),
        household: args.household.clone(),
        memory: args.memory,
        threads: args.threads.map(usize::from),
        shards: args.shards,
        threshold: args.threshold,
        model: args.model.clone(),
        country: args.country.clone(),
    })
}

/// Runs the command.
///
/// # Errors
/// When an input cannot be used, or nothing be written.
pub(super) async fn run(args: Args) -> Result<ExitCode> {
    let settings = settings(&args)?;
    let shown = args.output == Output::Table;
    let bar = Bar::new(shown);
    let work = tokio::task::spawn_blocking(move || {
        let stats = dedupe::run(&settings, &bar);
        bar.bar.finish_and_clear();
        stats
    });
    let stats = work.await??;
    match args.output {
        Output::Table => output::say(dedupe::summary(&stats, Paint::of_stdout()).trim_end())?,
        Output::Json => output::say(&serde_json::to_string_pretty(&stats)?)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// A spinner on a terminal, nothing elsewhere.
struct Bar {
    bar: ProgressBar,
    columns: bool,
}

impl Bar {
    fn new(columns: bool) -> Self {
        let bar = if std::io::stderr().is_terminal() {
            ProgressBar::new_spinner()
        } else {
            ProgressBar::hidden()
        };
        if let Ok(style) =
            ProgressStyle::with_template("{spinner} {elapsed:>4}  {prefix} {wide_msg}")
        {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(120));
        Self { bar, columns }
    }
}

impl Watch for Bar {
    fn columns(&self, inputs: &[Input]) {
        if self.columns {
            let said = dedupe::columns(inputs, Paint::of_stdout());
            // Nobody may read any more; the files are made all the same.
            self.bar.suspend(|| output::say(&said).ok());
        }
    }

    fn phase(&self, name: &str) {
        self.bar.set_prefix(name.to_owned());
        self.bar.set_message("");
    }

    fn rows(&self, rows: u64) {
        self.bar.set_message(format!("{} rows", count(rows)));
    }
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes_have_units() {
        for (text, bytes) in [
            ("500MB", Some(500_000_000)),
            ("1.5 g", Some(1_500_000_000)),
            ("1Gi", Some(1 << 30)),
            ("2", None),
            ("1MB", None),
            ("much", None),
        ] {
            assert_eq!(size(text).ok(), bytes, "{text}");
        }
    }
}
