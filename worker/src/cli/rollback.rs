//! `musubi rollback`: publishes an earlier version again, as a new one.

use std::{collections::BTreeMap, process::ExitCode};

use anyhow::{Context as _, Result};
use serde::Serialize;

use super::{
    output::{Output, table},
    place::Place,
};
use crate::{
    stage::load,
    upkeep::rollback::{self, Rollback},
};

/// Publish an earlier version again, as a new one.
///
/// Readers see the tables of the earlier version from one moment to the next, and the warehouses are loaded
/// with them. Nothing is deleted: the versions since stay in the lake, and rolling forward is a rollback to
/// one of them.
///
/// The next run goes on from the earlier version. Files that were taken since are new to it and are taken
/// again, so correct or remove what was wrong (a file, a mapping, a policy) before it starts. A run that is
/// under way is refused when it comes to publish. Audiences are not delivered by a rollback.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  musubi lake log -f examples/bento\n  musubi rollback --to 12 -f examples/bento --dry-run\n  musubi rollback --to 12 -f examples/bento\n  musubi rollback --to 12 --lake s3://bento/lake"
)]
pub(super) struct Args {
    /// The version to go back to; `musubi lake log` lists them.
    #[arg(long, value_name = "VERSION")]
    to: u64,
    #[command(flatten)]
    place: Place,
    /// Say what would change, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// How the outcome is printed.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// What a rollback did or would do.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    from: u64,
    to: u64,
    /// The new version; absent when nothing was published.
    #[serde(skip_serializing_if = "Option::is_none")]
    published: Option<u64>,
    dry_run: bool,
    tables: BTreeMap<String, Rows>,
    /// Warehouses that hold the version now.
    warehouses: Vec<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Rows {
    before: u64,
    after: u64,
}

/// Runs the command.
///
/// # Errors
/// When the version cannot come back, or a warehouse cannot be loaded.
pub(super) async fn run(args: Args) -> Result<ExitCode> {
    let opened = args.place.open().await?;
    let done = if args.dry_run {
        rollback::preview(&opened.store, args.to).await?
    } else {
        rollback::rollback(&opened.store, &opened.pipeline, args.to).await?
    };
    let mut answer = answer(&done, args.dry_run);
    if let (Some(version), Some(context)) = (answer.published, &opened.context) {
        answer.warehouses = load::load_version(context, version)
            .await
            .with_context(|| format!("version {version} is published; the next run loads it"))?;
    }
    args.output.print(&answer, text)?;
    Ok(ExitCode::SUCCESS)
}

fn answer(done: &Rollback, dry_run: bool) -> Answer {
    let rows = |name: &String| Rows {
        before: done.from.tables.get(name).map_or(0, |t| t.rows),
        after: done.to.tables.get(name).map_or(0, |t| t.rows),
    };
    let names = done.from.tables.keys().chain(done.to.tables.keys());
    Answer {
        from: done.from.version,
        to: done.to.version,
        published: done.published.as_ref().map(|p| p.version),
        dry_run,
        tables: names.map(|name| (name.clone(), rows(name))).collect(),
        warehouses: Vec::new(),
    }
}

fn text(answer: &Answer) -> String {
    let Answer { from, to, .. } = answer;
    let headline = match answer.published {
        Some(version) => format!("Published version {version} with the content of version {to}."),
        None if answer.dry_run => {
            format!("Would publish the content of version {to} in place of version {from}.")
        }
        None => {
            return format!(
                "Version {from} has the content of version {to} already; nothing to do."
            );
        }
    };
    let mut rows = table(&["table", "rows before", "rows after"], 1);
    let differ = || answer.tables.iter().filter(|(_, r)| r.before != r.after);
    for (name, Rows { before, after }) in differ() {
        rows.add_row([name.clone(), before.to_string(), after.to_string()]);
    }
    let rows = match differ().count() {
        0 => "Every table has as many rows as before.".to_owned(),
        _ => rows.to_string(),
    };
    let loaded = match answer.warehouses.as_slice() {
        [] => "Warehouses were not touched; the next run loads them.".to_owned(),
        names => format!("Loaded into {}.", names.join(", ")),
    };
    format!(
        "{headline}\n{rows}\n{loaded}\nThe next run takes the files again that were taken since version {to}."
    )
}
