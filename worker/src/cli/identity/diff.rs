//! `musubi identity diff`: what another policy would change.

use std::{collections::BTreeMap, process::ExitCode};

use anyhow::Result;

use crate::cli::{
    output::{self, Output, number, table},
    target::Target,
};
use crate::{
    report::count,
    stage::preview::{self, Found},
};

/// Show what the identity policy in the files would change.
///
/// The records of the published version are resolved anew under the policy in the files, in memory: how many
/// customers would merge, split and stay, with samples by id. Nothing is written.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  musubi identity diff                 the policy in this folder against what is published\n  musubi identity diff --retrain       with a model that is trained now\n  musubi identity diff --exit-code     1 when a customer would be another, for CI"
)]
pub(super) struct Diff {
    #[command(flatten)]
    target: Target,
    /// Train a model on the published records now, instead of the one that stands.
    #[arg(long)]
    retrain: bool,
    /// How many merges and splits are named.
    #[arg(long, default_value_t = 5)]
    samples: usize,
    /// End with exit code 1 when a customer would be another.
    #[arg(long)]
    exit_code: bool,
    /// How the answer is printed.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// Runs the command.
///
/// # Errors
/// When nothing is published, or what is cannot be read.
pub(super) async fn diff(args: Diff) -> Result<ExitCode> {
    let context = args.target.open()?;
    let busy = output::working("resolving the published records anew");
    let found = preview::preview(&context, args.retrain).await?;
    busy.finish_and_clear();
    args.output
        .print(&found, |found| text(found, args.samples))?;
    let differs = args.exit_code && found.preview.differs();
    Ok(ExitCode::from(u8::from(differs)))
}

fn text(found: &Found, samples: usize) -> String {
    let Found {
        version, preview, ..
    } = found;
    let model = if found.model == found.model_before {
        format!("model {}", found.model)
    } else {
        format!("model {} in place of {}", found.model, found.model_before)
    };
    let mut parts = vec![format!(
        "{} records of version {version}, under {model}",
        count(preview.records)
    )];
    let merging = preview.merged.values().map(Vec::len).sum::<usize>() as u64;
    let mut rows = table(&["customers", "number"], 1);
    for (what, n) in [
        ("stand", preview.customers_before),
        ("would stand", preview.customers_after),
        ("would stay as they are", preview.unchanged),
        ("would merge", merging),
        ("would split", preview.split.len() as u64),
        ("records that would change customer", preview.moved),
        ("pairs that would wait for review", preview.review),
    ] {
        rows.add_row([what.into(), number(n)]);
    }
    parts.push(rows.to_string());
    if !preview.differs() {
        parts.push("No customer would be another.".to_owned());
        return parts.join("\n");
    }
    parts.extend(named("merge", &preview.merged, samples, |id, others| {
        format!("{} -> {id}", others.join(" + "))
    }));
    parts.extend(named("split", &preview.split, samples, |id, others| {
        format!("{id} -> {}", others.join(" + "))
    }));
    parts.push(
        "To publish it: `musubi run -f PATH`; to look at a customer: `musubi trace customers/ID`."
            .to_owned(),
    );
    parts.join("\n")
}

fn named(
    what: &str,
    changes: &BTreeMap<String, Vec<String>>,
    samples: usize,
    line: impl Fn(&str, &[String]) -> String,
) -> Option<String> {
    if changes.is_empty() || samples == 0 {
        return None;
    }
    let shown = changes.iter().take(samples);
    let mut lines: Vec<String> = shown
        .map(|(id, others)| format!("  {}", line(id, others)))
        .collect();
    if changes.len() > samples {
        lines.push(format!(
            "  and {} more",
            count((changes.len() - samples) as u64)
        ));
    }
    Some(format!("would {what}:\n{}", lines.join("\n")))
}
