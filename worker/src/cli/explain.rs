//! `musubi explain`: why two records are one person or not, and what holds a customer together.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, Result, bail};
use clap::{Args as ClapArgs, ValueEnum};
use comfy_table::{Cell, CellAlignment};
use musubi_identity::{ClusterExplanation, CustomerId, Explanation, explain, explain_customer};

use super::{
    output::{self, Output, number, table},
    target::{Files, Target},
};
use crate::{
    dedupe::Again,
    report::{
        self,
        explain::short,
        graph::{self, Part},
    },
    stage::resolved::Resolved,
};

/// Explain a decision: why two records match or not, or what holds a customer together.
///
/// Of two records it shows the rule that made the pair and each comparison with its level, m, u, weight and what the
/// frequency of the value adds; of a customer its graph: records, links, the weakest of those that hold it together, and
/// the two customers it would be without. No value of a record is printed.
#[derive(Debug, ClapArgs)]
#[command(
    after_help = "Examples:\n  musubi explain 0f3a… 77c1…             two records, by record id\n  musubi explain customer c0f3…          a customer\n  musubi explain customer c0f3… -o dot | dot -Tsvg > graph.svg\n  musubi explain 0f3a… 77c1… --html why.html\n  musubi explain --dedupe out 17 93      two rows that musubi dedupe compared\n  musubi explain --dedupe out customer c0f3…"
)]
pub(super) struct Args {
    /// Two record ids, or `customer` and a customer id. With --dedupe two rows, or `customer` and a cluster id.
    #[arg(value_name = "WHAT", num_args = 2, required = true)]
    what: Vec<String>,
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    files: Files,
    /// Draw it on a page.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// How the answer is printed.
    #[arg(short, long, value_enum, default_value_t)]
    output: Form,
}

/// How the answer is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Form {
    /// For people.
    #[default]
    Table,
    /// JSON for machines.
    Json,
    /// YAML for machines.
    Yaml,
    /// A customer's graph for Graphviz.
    Dot,
    /// A customer's graph for Mermaid.
    Mermaid,
}

impl Form {
    /// As answers of all kinds are printed; nothing for those of graphs.
    const fn output(self) -> Option<Output> {
        match self {
            Self::Table => Some(Output::Table),
            Self::Json => Some(Output::Json),
            Self::Yaml => Some(Output::Yaml),
            Self::Dot | Self::Mermaid => None,
        }
    }
}

/// Runs the command.
///
/// # Errors
/// When there is no such record or customer in the published version.
pub(super) async fn run(args: Args) -> Result<ExitCode> {
    let [first, second] = args.what.as_slice() else {
        bail!("give two record ids, or `customer` and a customer id");
    };
    let customer = if first == "customer" {
        let id: Result<CustomerId, ()> = second.parse();
        let Ok(id) = id else {
            bail!(
                "{second:?} is no customer id: c and 32 hexadecimal digits, as in table customers"
            );
        };
        Some(id)
    } else {
        None
    };
    if customer.is_none() && args.output.output().is_none() {
        bail!(
            "-o dot and -o mermaid draw a customer: musubi explain customer ID; --html draws a pair"
        );
    }
    if let Some(again) = args.files.open().await? {
        return in_files(&args, &again, customer);
    }
    let context = args.target.open()?;
    let busy = output::working("reading who is who");
    let resolved = Resolved::published(&context).await?;
    busy.finish_and_clear();
    if let Some(id) = customer {
        let found = explain_customer(&resolved.matcher, &resolved.registry, &resolved.policy, id)
            .with_context(|| format!("version {}", resolved.version))?;
        return answer_customer(&args, &found);
    }
    let found = explain(&resolved.matcher, &resolved.model, first, second).with_context(|| {
        format!(
            "version {}; record ids stand in table links",
            resolved.version
        )
    })?;
    answer_pair(&args, &found, resolved.policy.match_probability)
}

/// The same for what `musubi dedupe` found.
fn in_files(args: &Args, again: &Again, customer: Option<CustomerId>) -> Result<ExitCode> {
    if let Some(id) = customer {
        let mut found = explain_customer(&again.matcher, &again.registry, &again.policy, id)?;
        by_row(&mut found);
        return answer_customer(args, &found);
    }
    let (left, right) = (again.record(&args.what[0])?, again.record(&args.what[1])?);
    let mut found = explain(&again.matcher, &again.model, &left, &right)?;
    (found.left, found.right) = (Again::row(&left), Again::row(&right));
    answer_pair(args, &found, again.policy.match_probability)
}

fn answer_pair(args: &Args, found: &Explanation, threshold: f64) -> Result<ExitCode> {
    page(args.html.as_deref(), || report::explain::pair(found))?;
    let output = args.output.output().unwrap_or_default();
    output.print(found, |found| pair_text(found, threshold))?;
    Ok(ExitCode::SUCCESS)
}

fn answer_customer(args: &Args, found: &ClusterExplanation) -> Result<ExitCode> {
    page(args.html.as_deref(), || report::explain::customer(found))?;
    match args.output {
        Form::Dot => output::say(graph::dot(found).trim_end())?,
        Form::Mermaid => output::say(graph::mermaid(found).trim_end())?,
        other => {
            let output = other.output().unwrap_or_default();
            output.print(found, customer_text)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Names records by their rows.
fn by_row(found: &mut ClusterExplanation) {
    let name = |record: &mut String| *record = Again::row(record);
    found.records.iter_mut().for_each(|m| name(&mut m.record));
    let split = found.weakest.iter_mut();
    let (mut links, mut sides): (Vec<_>, Vec<_>) = (found.links.iter_mut().collect(), Vec::new());
    for split in split {
        links.push(&mut split.link);
        sides.extend(split.left.iter_mut().chain(&mut split.right));
    }
    for link in links {
        name(&mut link.left);
        name(&mut link.right);
    }
    sides.into_iter().for_each(name);
}

fn page(path: Option<&Path>, html: impl FnOnce() -> String) -> Result<()> {
    let Some(path) = path else { return Ok(()) };
    std::fs::write(path, html()).with_context(|| format!("cannot write {}", path.display()))
}

fn right(text: String) -> Cell {
    Cell::new(text).set_alignment(CellAlignment::Right)
}

fn pair_text(found: &Explanation, threshold: f64) -> String {
    let mut rows = table(
        &[
            "comparison",
            "level",
            "m",
            "u",
            "weight",
            "frequency",
            "total",
        ],
        2,
    );
    let mut total = found.prior;
    let bits = |n: f64| right(format!("{n:+.2}"));
    let none = || Cell::new("");
    rows.add_row([
        "before any comparison".into(),
        none(),
        none(),
        none(),
        bits(found.prior),
        none(),
        bits(total),
    ]);
    for part in &found.comparisons {
        total += part.weight + part.frequency;
        let frequency = if part.frequency.abs() < 0.005 {
            none()
        } else {
            bits(part.frequency)
        };
        rows.add_row([
            part.comparison.into(),
            part.level.into(),
            right(format!("{:.4}", part.m)),
            right(format!("{:.6}", part.u)),
            bits(part.weight),
            frequency,
            bits(total),
        ]);
    }
    if found.household.abs() >= 0.005 {
        total += found.household;
        rows.add_row([
            "as of one household".into(),
            none(),
            none(),
            none(),
            bits(found.household),
            none(),
            bits(total),
        ]);
    }
    let verdict = if found.probability >= threshold {
        "enough"
    } else {
        "not enough"
    };
    let made = match found.rule {
        Some(rule) => format!("The blocking rule \"{rule}\" makes the pair."),
        None => "No blocking rule makes the pair: it is never compared.".to_owned(),
    };
    format!(
        "{made}\n\n{rows}\n\nmatch weight {:+.2} bits, probability {:.6}: {verdict} for the threshold of {threshold}.\n\
         Identifiers, pins and the other records of a customer decide as well: musubi explain customer ID",
        found.weight, found.probability
    )
}

fn customer_text(found: &ClusterExplanation) -> String {
    const SHOWN: usize = 20;
    let mut parts = vec![format!(
        "{}: {} records, {} links",
        found.customer,
        found.records.len(),
        found.links.len()
    )];
    let mut rows = table(&["record", "source", "links"], 2);
    for member in found.records.iter().take(SHOWN) {
        rows.add_row([
            member.record.clone().into(),
            member.source.clone().into(),
            number(member.links as u64),
        ]);
    }
    parts.push(rows.to_string());
    if !found.links.is_empty() {
        let mut rows = table(
            &["left", "right", "rule", "part", "weight", "probability"],
            4,
        );
        for link in found.links.iter().take(SHOWN) {
            rows.add_row([
                short(&link.left).into(),
                short(&link.right).into(),
                link.rule.into(),
                Part::of(found, link).word(link).into(),
                right(format!("{:+.2}", link.weight)),
                right(format!("{:.6}", link.probability)),
            ]);
        }
        parts.push(rows.to_string());
    }
    if found.records.len().max(found.links.len()) > SHOWN {
        parts.push("-o json shows all of them.".to_owned());
    }
    parts.push(match &found.weakest {
        None if found.records.len() == 1 => "A single record: nothing to split.".to_owned(),
        None => "No links hold it together as a whole: it was joined by the evidence of its records together, or in an earlier version.".to_owned(),
        Some(split) => format!(
            "It is held together least by {} and {} ({}, {:+.2} bits). Without {}, it would be two customers of {} and {} records.",
            short(&split.link.left),
            short(&split.link.right),
            split.link.rule,
            split.link.weight,
            if split.links == 1 { "this link".to_owned() } else { format!("the {} links between these sides", split.links) },
            split.left.len(),
            split.right.len()
        ),
    });
    parts.join("\n\n")
}
