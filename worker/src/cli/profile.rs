//! `musubi profile`: what is in files and sources, and a Source to begin with.

use std::{
    io::IsTerminal as _,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use clap::Args as ClapArgs;
use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};

use super::output::{Output, table};
use crate::profile::{self, ColumnReport, Profile, Progress, Share, StreamReport};

/// Look at data before anything is built on it.
///
/// Types, empty values, shapes, keys, duplicates, notations.
///
/// Takes data files, folders and globs as they are, without any YAML, or the YAML of sources. No value is ever
/// printed, only what values look like: 999-9999-9999. With --propose it writes a Source and a pipeline that run.
#[derive(Debug, ClapArgs)]
#[command(
    after_help = "Examples:\n  musubi profile -f exports/\n  musubi profile -f 'exports/sales_*.csv.gz' members.csv\n  musubi profile -f exports/ --propose sources.yaml && musubi run -f sources.yaml\n  musubi profile -f examples/bento/loyalty.yaml -o json"
)]
pub(super) struct Args {
    /// Data files, folders and globs; or YAML files and folders with sources.
    #[arg(short = 'f', long = "file", value_name = "PATH", required = true, num_args = 1..)]
    files: Vec<PathBuf>,
    /// How the outcome is printed.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
    /// Write the proposed resources to this file; `-` prints them and nothing else.
    #[arg(long, value_name = "FILE")]
    propose: Option<PathBuf>,
}

/// Runs the command.
///
/// # Errors
/// When the data cannot be read, or the proposal not be written.
pub(super) async fn run(args: Args) -> Result<ExitCode> {
    let bar = Bar::new();
    let resources = args
        .files
        .iter()
        .filter(|p| profile::holds_resources(p))
        .count();
    let profile = match resources {
        0 => profile::files(&args.files, &bar)?,
        n if n == args.files.len() => {
            let catalog =
                musubi_api::load_and_validate(&args.files).map_err(|p| anyhow::anyhow!("{p}"))?;
            if catalog.names(musubi_api::Kind::Source).next().is_none() {
                bail!("there is no Source in the files given");
            }
            profile::declared(&catalog, &bar).await?
        }
        _ => bail!("give either data or the YAML of sources, not both"),
    };
    bar.0.finish_and_clear();
    let Some(file) = &args.propose else {
        args.output.print(&profile, text)?;
        return Ok(ExitCode::SUCCESS);
    };
    if resources > 0 {
        bail!("--propose is for data that no Source describes yet; these sources are described");
    }
    let proposal = profile::propose(&profile);
    if file == Path::new("-") {
        print!("{proposal}");
        return Ok(ExitCode::SUCCESS);
    }
    if file.exists() {
        bail!(
            "{} is there already: remove it, or choose another name",
            file.display()
        );
    }
    std::fs::write(file, proposal).with_context(|| format!("write {}", file.display()))?;
    args.output.print(&profile, text)?;
    eprintln!(
        "\nwrote {}; next: musubi validate -f {0}, then musubi run -f {0}",
        file.display()
    );
    Ok(ExitCode::SUCCESS)
}

/// A bar on a terminal, nothing elsewhere.
struct Bar(ProgressBar);

impl Bar {
    fn new() -> Self {
        let bar = if std::io::stderr().is_terminal() {
            ProgressBar::new(0)
        } else {
            ProgressBar::hidden()
        };
        let template = "{elapsed:>6}  {bar:24} {bytes}/{total_bytes}  {wide_msg}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(120));
        Self(bar)
    }
}

impl Progress for Bar {
    fn total(&self, bytes: u64) {
        self.0.inc_length(bytes);
    }

    fn file(&self, name: &str) {
        self.0.set_message(name.to_owned());
    }

    fn advance(&self, bytes: u64) {
        self.0.inc(bytes);
    }
}

fn text(profile: &Profile) -> String {
    let mut out = String::new();
    for source in &profile.sources {
        for stream in &source.streams {
            out.push_str(&head(&source.name, stream));
            out.push_str(&columns(stream));
            out.push_str("\n\n");
        }
    }
    out.push_str("Next: add --propose sources.yaml to write a Source that runs\n");
    out
}

fn head(source: &str, stream: &StreamReport) -> String {
    let mut lines = vec![format!(
        "{source} / {}   {}   {} in {} files, {}",
        stream.name,
        stream.path,
        counted(stream.rows, "row"),
        HumanCount(stream.files),
        HumanBytes(stream.bytes),
    )];
    let format = stream.format.as_object().and_then(|f| f.keys().next());
    let encodings: Vec<String> = stream
        .encodings
        .iter()
        .map(|(name, n)| format!("{name} ({n})"))
        .collect();
    lines.push(format!(
        "  {}  {}",
        format.map_or("table", String::as_str),
        encodings.join(", ")
    ));
    match &stream.key {
        Some(key) => lines.push(format!(
            "  key {}: {} in {}",
            key.columns.join(" + "),
            counted(key.duplicates, "duplicate"),
            counted(key.of_rows, "row")
        )),
        None => lines.push("  no key of up to three columns".into()),
    }
    for (code, n) in &stream.faults {
        lines.push(format!(
            "  {} could not be read: {code}",
            counted(*n, "record")
        ));
    }
    for wrong in &stream.unreadable {
        lines.push(format!("  not read: {wrong}"));
    }
    lines.join("\n") + "\n"
}

fn counted(n: u64, what: &str) -> String {
    format!("{} {what}{}", HumanCount(n), if n == 1 { "" } else { "s" })
}

fn columns(stream: &StreamReport) -> String {
    let mut table = table(
        &[
            "column",
            "type",
            "holds",
            "shapes and notations",
            "empty %",
            "distinct",
        ],
        4,
    );
    for column in &stream.columns {
        table.add_row([
            column.name.clone(),
            kind(column),
            column.meaning.map(|m| m.as_str()).unwrap_or_default(),
            looks(column),
            format!("{:.1}", column.null_percent),
            format!(
                "{}{}",
                if column.distinct_is_exact { "" } else { "≈" },
                HumanCount(column.distinct)
            ),
        ]);
    }
    table.to_string()
}

fn kind(column: &ColumnReport) -> String {
    if column.of_type_percent < 100.0 && column.null_percent < 100.0 {
        return format!("{} {}%", column.kind.as_str(), column.of_type_percent);
    }
    column.kind.as_str().to_owned()
}

/// Notations of dates where there are any, shapes otherwise.
fn looks(column: &ColumnReport) -> String {
    let all = if column.notations.is_empty() {
        &column.shapes
    } else {
        &column.notations
    };
    let each = |s: &Share| match s.percent {
        0.0 => format!("{} <0.1%", s.text),
        percent => format!("{} {percent}%", s.text),
    };
    let mut shown: Vec<String> = all.iter().take(3).map(each).collect();
    if all.len() > 3 {
        shown.push("…".into());
    }
    shown.join("\n")
}
