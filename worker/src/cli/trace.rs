//! `musubi trace`: from a curated value back to the bytes it was made from.

use std::process::ExitCode;

use anyhow::Result;
use comfy_table::Table;

use super::{
    output::{self, Output},
    target::Target,
};
use crate::{
    stage::view::View,
    trace::{Address, Origin, Show, Trace, trace},
};

/// Show where a published value comes from.
///
/// The source row that won, the rule, the raw object with its SHA-256, and the place in it.
///
/// A value is named by table, key and column. A table with a key of several columns has a part for each; %2F stands
/// for a slash within a part. Without a column, every value of the row is followed. A customer id that was merged
/// into another leads to the one that stands for it now.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  musubi trace customers/c0f3…/email\n  musubi trace orders/9a41…            every column of an order\n  musubi trace identifiers/c0f3…/phone/%2B819012345678\n  musubi trace customers/c0f3…/email --raw    with the bytes of the source row\n  musubi trace -f examples/bento customers/c0f3… -o json"
)]
pub(super) struct Args {
    /// What to follow: table/key or table/key/column.
    #[arg(value_name = "TABLE/KEY[/COLUMN]")]
    address: String,
    #[command(flatten)]
    target: Target,
    /// Print the values too; they may be of a person.
    #[arg(long)]
    show_value: bool,
    /// Print the bytes of the source rows, after the raw objects were held against their SHA-256.
    #[arg(long)]
    raw: bool,
    /// How the answer is printed.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// Runs the command.
///
/// # Errors
/// When there is no such value, or what it came from cannot be read.
pub(super) async fn run(args: Args) -> Result<ExitCode> {
    let address = Address::parse(&args.address)?;
    let context = args.target.open()?;
    let busy = output::working("following the value");
    let view = View::published(&context).await?;
    let show = Show {
        values: args.show_value,
        raw: args.raw,
    };
    let found = trace(&view, &address, show).await?;
    busy.finish_and_clear();
    args.output.print(&found, text)?;
    Ok(ExitCode::SUCCESS)
}

fn text(trace: &Trace) -> String {
    let mut parts = vec![format!(
        "{}/{} in version {} (run {})",
        trace.table, trace.key, trace.version, trace.run
    )];
    if let Some(alias) = &trace.alias {
        parts.push(format!("{alias} was merged into it"));
    }
    parts.push(values(trace).to_string());
    parts.push(rows(trace).to_string());
    let corrected = trace.rows.iter().enumerate();
    parts.extend(corrected.filter_map(|(at, row)| {
        let note = row.correction.as_ref()?;
        Some(format!(
            "{} was corrected in quarantine ({}): {}",
            name(at),
            match note.columns.as_slice() {
                [] => "let in as it is".to_owned(),
                columns => columns.join(", "),
            },
            note.object
        ))
    }));
    parts.push(objects(trace).to_string());
    for (at, row) in trace.rows.iter().enumerate() {
        if let Some(raw) = &row.raw {
            parts.push(format!("{} {}\n{}", name(at), place(row), raw.text));
        }
    }
    parts.join("\n")
}

/// How a row is called in the tables.
fn name(at: usize) -> String {
    format!("#{}", at + 1)
}

/// Rows that a cell names before it says how many more there are.
const NAMED: usize = 6;

fn names(rows: &[usize]) -> String {
    let mut names: Vec<String> = rows.iter().take(NAMED).map(|at| name(*at)).collect();
    if rows.len() > NAMED {
        names.push(format!("and {} more", rows.len() - NAMED));
    }
    names.join(" ")
}

fn values(trace: &Trace) -> Table {
    let shown = trace.columns.iter().any(|c| c.value.is_some());
    let mut header = vec!["column", "rule", "from", "others"];
    if shown {
        header.insert(1, "value");
    }
    let mut table = output::table(&header, header.len());
    for column in &trace.columns {
        let mut row = vec![
            column.column.clone(),
            column.rule.clone(),
            names(&column.won),
            names(&column.lost),
        ];
        if shown {
            row.insert(1, column.value.clone().unwrap_or_default());
        }
        table.add_row(row);
    }
    table
}

fn rows(trace: &Trace) -> Table {
    let header = [
        "", "source", "stream", "record", "time", "file", "row", "place",
    ];
    let mut table = output::table(&header, header.len());
    for (at, row) in trace.rows.iter().enumerate() {
        let mut record = row.record.clone().unwrap_or_default();
        if row.superseded {
            record.push_str(" (superseded)");
        }
        table.add_row([
            name(at),
            row.source.clone(),
            row.stream.clone(),
            record,
            row.time.map(|t| t.to_string()).unwrap_or_default(),
            row.file.clone(),
            row.row.map(|n| n.to_string()).unwrap_or_default(),
            place(row),
        ]);
    }
    table
}

/// Where a row stands, in words that a person can follow.
fn place(row: &Origin) -> String {
    let mut place = row
        .locator
        .clone()
        .unwrap_or_else(|| "the whole object".into());
    if let Some(database) = &row.database {
        let key = database
            .key
            .iter()
            .map(|column| match database.values.get(column) {
                Some(value) => format!("{column}={value}"),
                None => column.clone(),
            });
        let key: Vec<String> = key.collect();
        place = format!("table {} by {}, {place}", database.table, key.join(", "));
    }
    place
}

fn objects(trace: &Trace) -> Table {
    let mut table = output::table(&["raw object", "SHA-256", "bytes"], 2);
    let mut seen = std::collections::BTreeSet::new();
    for row in trace.rows.iter().filter(|row| seen.insert(&row.object)) {
        table.add_row([&row.object, &row.sha256, &row.size.to_string()]);
    }
    table
}
