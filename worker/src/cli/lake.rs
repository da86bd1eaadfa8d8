//! `musubi lake`: looks at a lake's versions, clears away what nobody needs, and ends it.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args as ClapArgs, Subcommand};
use musubi_api::{pipeline::Retention, run::EXIT_RUN_FAILED};
use serde::Serialize;

use super::{
    output::{Output, table},
    place::Place,
};
use crate::upkeep::{
    destroy::{self, Contents, NotOwned},
    gc::{self, Findings, Policy, Why},
    log::{self, Entry},
};

/// Look at the versions of a lake, clear away what nobody needs, and end it.
#[derive(Debug, ClapArgs)]
#[command(arg_required_else_help = true)]
pub(super) struct Args {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Debug, Subcommand)]
enum Chore {
    Log(LogArgs),
    Gc(GcArgs),
    Destroy(DestroyArgs),
}

/// List the published versions, newest first: when, by which run, how many rows, what changed.
#[derive(Debug, ClapArgs)]
#[command(
    after_help = "Examples:\n  musubi lake log -f examples/bento\n  musubi lake log --lake ./musubi-demo/lake -o json"
)]
struct LogArgs {
    #[command(flatten)]
    place: Place,
    /// How the versions are printed.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// Clear away what nobody needs: attempts that lost, files of runs that are over, versions past retention.
///
/// Says what would go; deletes it with --delete. Safe while runs are under way. Raw files are never touched.
/// Whoever reads an old version by its number must finish before retention ends.
#[derive(Debug, ClapArgs)]
#[command(
    after_help = "Examples:\n  musubi lake gc -f examples/bento\n  musubi lake gc -f examples/bento --delete\n  musubi lake gc --lake s3://bento/lake --keep-versions 3 --keep-days 0 --delete"
)]
struct GcArgs {
    #[command(flatten)]
    place: Place,
    /// Delete what is listed.
    #[arg(long)]
    delete: bool,
    /// Newest versions to keep; spec.retention.versions of the pipeline by default.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    keep_versions: Option<u32>,
    /// Days to keep a version after another took its place; spec.retention.days by default.
    #[arg(long, value_name = "DAYS")]
    keep_days: Option<u32>,
    /// Age below which nothing goes: longer than your longest run, since a run on another machine may be
    /// writing what nothing names yet.
    #[arg(long, value_name = "TIME", default_value = "24h")]
    min_age: jiff::SignedDuration,
    /// How the outcome is printed.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// Delete a lake for good: everything below its place, with every version and all raw data.
///
/// Says what would go; deletes it with --yes. Only the lake of the pipeline that is named: another one's is refused.
/// Runs of the pipeline have to be over. Warehouses and delivered audiences keep what they have.
#[derive(Debug, ClapArgs)]
#[command(
    after_help = "Examples:\n  musubi lake destroy -f examples/bento\n  musubi lake destroy -f examples/bento --yes\n  musubi lake destroy --lake s3://bento/lake --owner retail/bento --yes\n\nExit codes:\n  43  the lake belongs to another pipeline"
)]
struct DestroyArgs {
    #[command(flatten)]
    place: Place,
    /// The pipeline that has to own it, as NAMESPACE/NAME; that of the resources, or else whoever does.
    #[arg(long, value_name = "PIPELINE")]
    owner: Option<String>,
    /// Delete it.
    #[arg(long)]
    yes: bool,
    /// How the outcome is printed.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// Runs the command.
///
/// # Errors
/// Those of the storage.
pub(super) async fn run(args: Args) -> Result<ExitCode> {
    match args.chore {
        Chore::Log(args) => {
            let opened = args.place.open().await?;
            args.output
                .print(&log::log(&opened.store).await?, |entries| versions(entries))?;
        }
        Chore::Gc(args) => clear(args).await?,
        Chore::Destroy(args) => return end(args).await,
    }
    Ok(ExitCode::SUCCESS)
}

async fn clear(args: GcArgs) -> Result<()> {
    let opened = args.place.open().await?;
    let retention = match &opened.context {
        Some(context) => context.run.spec.retention.clone(),
        None => Retention::default(),
    };
    let policy = Policy {
        versions: args.keep_versions.unwrap_or(retention.versions),
        days: args.keep_days.unwrap_or(retention.days),
        min_age: args.min_age,
        now: jiff::Timestamp::now(),
    };
    let found = if args.delete {
        gc::clear(&opened.store, &policy).await?
    } else {
        gc::look(&opened.store, &policy).await?
    };
    let answer = Answer {
        deleted: args.delete,
        found,
    };
    args.output.print(&answer, findings)
}

async fn end(args: DestroyArgs) -> Result<ExitCode> {
    let (store, pipeline) = args.place.open_for(args.owner.as_deref()).await?;
    let found = if args.yes {
        destroy::destroy(&store, &pipeline).await
    } else {
        destroy::look(&store, &pipeline).await
    };
    let contents = match found {
        Err(error) if error.is::<NotOwned>() => {
            eprintln!("error: {error}");
            return Ok(ExitCode::from(u8::try_from(EXIT_RUN_FAILED)?));
        }
        found => found?,
    };
    let end = End {
        place: store.name().to_owned(),
        deleted: args.yes,
        contents,
    };
    args.output.print(&end, ended)?;
    Ok(ExitCode::SUCCESS)
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct End {
    place: String,
    deleted: bool,
    #[serde(flatten)]
    contents: Contents,
}

fn ended(end: &End) -> String {
    let Contents { owner, folders } = &end.contents;
    let Some(owner) = owner else {
        return format!("There is nothing at {}.", end.place);
    };
    let mut rows = table(&["what", "objects", "bytes"], 1);
    for (name, folder) in folders {
        rows.add_row([
            name.clone(),
            folder.objects.to_string(),
            folder.bytes.to_string(),
        ]);
    }
    let last = if end.deleted {
        "Deleted."
    } else {
        "Nothing was deleted; add --yes to do it, for good."
    };
    format!(
        "The lake of pipeline {owner} at {}:\n{rows}\n{last}",
        end.place
    )
}

#[derive(Debug, Serialize)]
struct Answer {
    deleted: bool,
    #[serde(flatten)]
    found: Findings,
}

fn findings(answer: &Answer) -> String {
    let Answer { deleted, found } = answer;
    if found.waste.is_empty() {
        return format!(
            "Nothing to clear away; {} versions are kept.",
            found.kept.len()
        );
    }
    let words = [
        (Why::Version, "records of versions past retention"),
        (
            Why::Unused,
            "data files that no kept version and no run has",
        ),
        (Why::Attempt, "files of attempts that lost"),
        (Why::Run, "files of runs that are over"),
        (Why::Scrap, "scraps of writers that died"),
    ];
    let mut rows = table(&["what", "objects", "bytes"], 1);
    for (why, word) in words {
        let of = || found.waste.iter().filter(move |w| w.why == why);
        if of().next().is_some() {
            let bytes: u64 = of().map(|w| w.size).sum();
            rows.add_row([word.to_owned(), of().count().to_string(), bytes.to_string()]);
        }
    }
    let versions = match found.expired.as_slice() {
        [] => String::new(),
        expired => {
            let list: Vec<String> = expired.iter().map(u64::to_string).collect();
            format!(
                "\nVersions {}: {}",
                if *deleted { "gone" } else { "past retention" },
                list.join(", ")
            )
        }
    };
    let end = if *deleted {
        "Deleted."
    } else {
        "Nothing was deleted; add --delete to do it, -o json to see every path."
    };
    format!("{rows}{versions}\n{end}")
}

fn versions(entries: &[Entry]) -> String {
    if entries.is_empty() {
        return "Nothing is published yet.".to_owned();
    }
    let mut rows = table(
        &["version", "published", "by", "changed", "rows", "customers"],
        4,
    );
    let oldest = entries.last().map(|e| e.version);
    for entry in entries {
        let now = if entry.current { " (current)" } else { "" };
        let by = match entry.restores {
            Some(version) => format!("rollback to {version}"),
            None => format!("run {}", entry.run),
        };
        rows.add_row([
            format!("{}{now}", entry.version),
            entry.published.strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
            by,
            if Some(entry.version) == oldest {
                String::new()
            } else {
                changed(entry)
            },
            entry.rows.to_string(),
            entry
                .tables
                .get("customers")
                .copied()
                .unwrap_or(0)
                .to_string(),
        ]);
    }
    rows.to_string()
}

/// The tables that changed most, in a few words.
fn changed(entry: &Entry) -> String {
    let mut tables: Vec<(&String, &i64)> = entry.changed.iter().collect();
    tables.sort_by_key(|(name, rows)| (std::cmp::Reverse(rows.unsigned_abs()), *name));
    let words: Vec<String> = tables
        .iter()
        .take(3)
        .map(|(name, rows)| match **rows {
            0 => format!("{name} rewritten"),
            rows => format!("{name} {rows:+}"),
        })
        .collect();
    match tables.len() {
        0 => "nothing".to_owned(),
        1..=3 => words.join(", "),
        more => format!("{}, {} more", words.join(", "), more - 3),
    }
}
