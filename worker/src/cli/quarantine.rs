//! `musubi quarantine`: rows that were set aside: list them, export them to CSV, hand them in corrected.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, Result, bail};
use clap::Subcommand;
use serde::Serialize;

use super::{
    output::{self, Output, working},
    target::Target,
};
use crate::{
    quarantine::{self, Filter, Listing, Outcome, Wrong},
    report::{self, Paint},
    stage::view::View,
};

/// Look at rows that were set aside, and correct them.
///
/// They are listed with what is wrong with them, exported to CSV, and handed in again.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  musubi quarantine list\n  musubi quarantine export --source pos --to bad.csv\n  musubi quarantine replay -f bad.csv --run"
)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(List),
    Export(Export),
    Replay(Replay),
}

/// Which rows are meant.
#[derive(Debug, clap::Args)]
struct Which {
    /// Rows of this source only.
    #[arg(long)]
    source: Option<String>,
    /// Rows of this stream only.
    #[arg(long)]
    stream: Option<String>,
    /// Rows with this reason code only.
    #[arg(long, value_name = "CODE")]
    reason: Option<String>,
}

impl From<Which> for Filter {
    fn from(which: Which) -> Self {
        Self {
            source: which.source,
            stream: which.stream,
            reason: which.reason,
        }
    }
}

/// Count what is in quarantine by source, stream, reason and rule.
///
/// The last run is looked at, whether it was published or refused.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  musubi quarantine list\n  musubi quarantine list -f examples/bento --source pos\n  musubi quarantine list --reason invalid_type -o json"
)]
struct List {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    which: Which,
    /// How the answer is printed.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// Write the rows in quarantine to CSV files, to be corrected in any editor or spreadsheet.
///
/// Each row comes with what is wrong with it in columns that begin with musubi_. Correct the other columns, delete
/// the rows that are to stay in quarantine, and hand the file in with `musubi quarantine replay`. Leave musubi_id as
/// it is. A row that could not be read at all shows what stands there in musubi_text, and its columns are empty.
/// The files hold values of persons: keep them where such values may be.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  musubi quarantine export --source pos --stream sales --to bad.csv\n  musubi quarantine export -f examples/bento --to corrections/      a file a stream\n  musubi quarantine export --stream sales > bad.csv"
)]
struct Export {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    which: Which,
    /// A file (*.csv) when the rows are of one stream, or a folder for a file a stream; standard output by default.
    #[arg(long, value_name = "PATH")]
    to: Option<PathBuf>,
}

/// Hand in corrected rows.
///
/// Each row is held against the rules at once. Those that hold are kept in the lake as raw data and are taken by the
/// next run; those that do not are named with the reason. Handing in the same file twice changes nothing. The exit
/// code is 1 when a row is still wrong.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  musubi quarantine replay -f bad.csv\n  musubi quarantine replay -f examples/bento -f corrections/pos.sales.csv --run\n  musubi quarantine replay -f bad.csv -o json"
)]
struct Replay {
    /// The corrected CSV files are given with -f too.
    #[command(flatten)]
    target: Target,
    /// Run the pipeline at once.
    #[arg(long)]
    run: bool,
    /// How the answer is printed.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// Runs the command.
///
/// # Errors
/// When the lake cannot be read, or a file cannot be read or written.
pub(super) async fn run(args: Args) -> Result<ExitCode> {
    match args.command {
        Command::List(args) => {
            let context = args.target.open()?;
            let busy = working("reading quarantine");
            let view = View::latest(&context).await?;
            let found = quarantine::list(&view, &args.which.into()).await?;
            busy.finish_and_clear();
            args.output.print(&found, listing)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Export(args) => export(args).await,
        Command::Replay(args) => replay(args).await,
    }
}

fn listing(found: &Listing) -> String {
    let state = match found.version {
        Some(version) => format!("published as version {version}"),
        None => "which is not published".to_owned(),
    };
    let mut lines = vec![format!("Quarantine of run {}, {state}", found.run)];
    if !found.groups.is_empty() {
        let mut table = output::table(&["stream", "reason", "rows", "corrected"], 2);
        output::narrow(&mut table);
        for group in &found.groups {
            let field = group.field.iter().map(|field| format!("{field}: "));
            let why = field.collect::<String>() + &group.rule;
            table.add_row(vec![
                comfy_table::Cell::new(format!("{}/{}", group.source, group.stream)),
                comfy_table::Cell::new(format!("{}\n{why}", group.reason)),
                output::number(group.rows),
                output::number(group.corrected),
            ]);
        }
        lines.push(table.to_string());
    }
    let rows = &found.rows;
    lines.push(format!(
        "{} rows = {} accepted + {} quarantined + {} structural ({} of them corrected): {}",
        report::count(rows.total),
        report::count(rows.accepted),
        report::count(rows.quarantined),
        report::count(rows.structural),
        report::count(rows.edited),
        if rows.holds {
            "every row is accounted for"
        } else {
            "rows are missing; this is a defect of musubi"
        }
    ));
    if found.waiting > 0 {
        lines.push(format!(
            "corrected and waiting for the next run: {}",
            output::rows(found.waiting)
        ));
    }
    if !found.groups.is_empty() {
        lines.push("`musubi quarantine export --to FOLDER` writes them out to be corrected".into());
    }
    lines.join("\n")
}

async fn export(args: Export) -> Result<ExitCode> {
    let context = args.target.open()?;
    let busy = working("writing out quarantine");
    let view = View::latest(&context).await?;
    let filter: Filter = args.which.into();
    let to = args.to;
    let mut taken = false;
    let written = quarantine::export(&view, &filter, |source, stream| {
        let one_file = to.as_deref().is_none_or(is_csv);
        if one_file && std::mem::replace(&mut taken, true) {
            bail!(
                "several streams have rows in quarantine and each needs a file of its own: give a folder with --to, \
                 or choose with --source and --stream"
            );
        }
        let Some(to) = &to else {
            let out: Box<dyn Write> = Box::new(std::io::stdout());
            return Ok((out, "standard output".to_owned()));
        };
        let path = if is_csv(to) {
            to.clone()
        } else {
            fs::create_dir_all(to).with_context(|| format!("make folder {}", to.display()))?;
            to.join(format!("{source}.{stream}.csv"))
        };
        let file = fs::File::create(&path).with_context(|| format!("write {}", path.display()))?;
        let out: Box<dyn Write> = Box::new(std::io::BufWriter::new(file));
        Ok((out, path.display().to_string()))
    })
    .await?;
    busy.finish_and_clear();
    if written.is_empty() {
        eprintln!("nothing is in quarantine");
    }
    for one in &written {
        eprintln!(
            "{} of {}/{} in {}; hand it in with `musubi quarantine replay -f {}` when it is corrected",
            output::rows(one.rows),
            one.source,
            one.stream,
            one.path,
            one.path
        );
    }
    Ok(ExitCode::SUCCESS)
}

fn is_csv(path: &Path) -> bool {
    path.extension()
        .is_some_and(|e| e.eq_ignore_ascii_case("csv"))
}

/// What became of corrected rows, after the run when there was one.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    #[serde(flatten)]
    outcome: Outcome,
    /// The version that was published with them.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u64>,
}

async fn replay(mut args: Replay) -> Result<ExitCode> {
    let files = args.target.take_csv();
    if files.is_empty() {
        bail!("give the corrected files with -f: `musubi quarantine replay -f bad.csv`");
    }
    let (run, secrets) = args.target.resolve()?;
    let context = crate::stage::Context::open(run.clone(), secrets.clone())?;
    let busy = working("holding the rows against the rules");
    let view = View::latest(&context).await?;
    let mut outcome = quarantine::replay(&context, &view, &files).await?;
    busy.finish_and_clear();
    let mut version = None;
    if args.run {
        match super::run::execute(run, secrets, None, false).await {
            Ok(summary) => {
                version = summary.version;
                if args.output == Output::Table {
                    println!("{}", report::summary(&summary, Paint::of_stdout()));
                }
            }
            Err(error) => {
                let report = Report { outcome, version };
                args.output.print(&report, handed_in)?;
                return super::run::refused(error);
            }
        }
        let view = View::latest(&context).await?;
        let again = quarantine::still_wrong(&view, &outcome.kept).await?;
        outcome.wrong.extend(again);
    }
    let report = Report { outcome, version };
    args.output.print(&report, handed_in)?;
    Ok(ExitCode::from(u8::from(!report.outcome.wrong.is_empty())))
}

fn handed_in(report: &Report) -> String {
    let outcome = &report.outcome;
    let mut lines = Vec::new();
    for kept in &outcome.kept {
        lines.push(format!(
            "corrected: {} of {}/{}, kept as {}",
            output::rows(kept.ids.len() as u64),
            kept.source,
            kept.stream,
            kept.path
        ));
    }
    if outcome.unchanged > 0 {
        lines.push(format!(
            "handed in just so before: {}",
            output::rows(outcome.unchanged)
        ));
    }
    if outcome.replaced > 0 {
        lines.push(format!(
            "in no file of the lake any more, nothing to correct: {}",
            output::rows(outcome.replaced)
        ));
    }
    if !outcome.wrong.is_empty() {
        lines.push(format!(
            "still wrong: {}",
            output::rows(outcome.wrong.len() as u64)
        ));
        lines.push(wrong(&outcome.wrong).to_string());
    }
    lines.push(match report.version {
        Some(version) => format!("published as version {version}"),
        None if outcome.kept.is_empty() => "nothing is to be done".to_owned(),
        None => "the next `musubi run` takes them".to_owned(),
    });
    lines.join("\n")
}

fn wrong(rows: &[Wrong]) -> comfy_table::Table {
    let mut table = output::table(&["place", "id", "reason", "field", "rule"], 5);
    for row in rows {
        let field = row.field.as_deref().unwrap_or_default();
        table.add_row([&row.place, &row.id, &row.reason, field, &row.rule]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quarantine::{Balance, Group};

    #[test]
    fn the_list_fits_a_terminal_of_80_columns() {
        let group = |field: Option<&str>, rule: &str| Group {
            source: "loyalty-programme".into(),
            stream: "members".into(),
            reason: "unknown_record_type".into(),
            field: field.map(str::to_owned),
            rule: rule.into(),
            rows: 1_234_567,
            corrected: 0,
        };
        let found = Listing {
            run: "r1".into(),
            version: Some(1),
            groups: vec![
                group(
                    None,
                    "the trailer's 明細件数 differs from the number of details that came before it",
                ),
                group(
                    Some("お客様の生年月日"),
                    "is no date in the format %Y-%m-%d | wareki | %Y/%m/%d",
                ),
            ],
            rows: Balance::default(),
            waiting: 0,
        };
        let shown = listing(&found);
        let table = shown
            .lines()
            .skip(1)
            .take_while(|l| l.starts_with([' ', '─']));
        let widths = table.map(comfy_table_width);
        assert!(
            widths.clone().count() > 5 && widths.max() <= Some(80),
            "{shown}"
        );
        for part in [
            "loyalty-programme/members",
            "unknown_record_type",
            "お客様の生年月日",
        ] {
            assert!(shown.contains(part), "{part}: {shown}");
        }
    }

    /// Columns of a terminal that a line takes.
    fn comfy_table_width(line: &str) -> usize {
        line.trim_end()
            .chars()
            .map(|c| if c.is_ascii() || c == '─' { 1 } else { 2 })
            .sum()
    }
}
