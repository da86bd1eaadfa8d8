//! `musubi evaluate`: how right customers are.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::Args as ClapArgs;
use comfy_table::Cell;
use musubi_identity::evaluate::Calibration;

use super::{
    output::{self, Output, number, table},
    target::{Files, Target},
};
use crate::{
    evaluate::{self, Audited, Evaluation, Figures, Partition},
    report::{count, reliability},
    stage::resolved::Resolved,
};

/// Measure how right customers are: against the truth, or by a sample that people label.
///
/// Judges the published version of a lake, or what musubi dedupe wrote: its folder, or a clusters.parquet alone, with which
/// only pairs that were joined are known. The truth is a CSV file with a record each line, by record_id, by source, stream and
/// key, or by row (of musubi dedupe), and a column with the person. Records that it does not name are left out. Without truth,
/// --sample writes pairs to label, and --labels reads them; musubi dedupe --labels learns from them.
#[derive(Debug, ClapArgs)]
#[command(
    after_help = "Examples:\n  musubi evaluate --truth people.csv                  the published version\n  musubi evaluate --truth people.csv --clusters out/clusters.parquet\n  musubi evaluate --sample pairs.csv                  pairs to label, by record ids\n  musubi evaluate --labels pairs.csv                  what the labels tell\n  musubi evaluate --dedupe out --sample pairs.csv     the same of musubi dedupe"
)]
pub(super) struct Args {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    files: Files,
    /// The clusters.parquet of musubi dedupe, in place of a lake.
    #[arg(long, value_name = "FILE", conflicts_with = "dedupe")]
    clusters: Option<PathBuf>,
    /// CSV that says who each record is.
    #[arg(long, value_name = "FILE", required_unless_present_any = ["sample", "labels"])]
    truth: Option<PathBuf>,
    /// Its column with the person [default: person, truth or cluster].
    #[arg(long, value_name = "NAME", requires = "truth")]
    column: Option<String>,
    /// Write a sample of pairs to be labelled to this file.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["truth", "labels"])]
    sample: Option<PathBuf>,
    /// Pairs of the sample for each stratum of probability.
    #[arg(long, value_name = "N", default_value_t = 50)]
    each: usize,
    /// A sample whose column `same` people have filled with yes and no.
    #[arg(long, value_name = "FILE", conflicts_with = "truth")]
    labels: Option<PathBuf>,
    /// How the answer is printed.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// Runs the command.
///
/// # Errors
/// When what is judged or what it is judged by cannot be read.
pub(super) async fn run(args: Args) -> Result<ExitCode> {
    let again = args.files.open().await?;
    let busy = output::working("reading who is who");
    let partition = match (&again, &args.clusters) {
        (Some(again), _) => Partition::again(again),
        (None, Some(path)) => Partition::clusters(path)?,
        (None, None) => Partition::published(&Resolved::published(&args.target.open()?).await?),
    };
    busy.finish_and_clear();
    if let Some(path) = &args.sample {
        let written = evaluate::sample(&partition, path, args.each, 1)?;
        eprintln!(
            "wrote {} pairs to {1}; write yes or no into column same, then the same with --labels {1} for --sample",
            count(written),
            path.display()
        );
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(path) = &args.labels {
        let found = evaluate::estimate(path, partition.threshold)?;
        args.output.print(&found, audited)?;
        return Ok(ExitCode::SUCCESS);
    }
    let Some(truth) = &args.truth else {
        return Ok(ExitCode::SUCCESS);
    };
    let found = evaluate::judge(&partition, truth, args.column.as_deref())?;
    args.output.print(&found, text)?;
    Ok(ExitCode::SUCCESS)
}

fn figure(n: f64) -> Cell {
    Cell::new(format!("{n:.4}")).set_alignment(comfy_table::CellAlignment::Right)
}

fn text(found: &Evaluation) -> String {
    let mut parts = vec![format!(
        "{}: {} records are {} people, and were made {} customers",
        found.of,
        count(found.records),
        count(found.people),
        count(found.customers)
    )];
    if found.unknown > 0 || found.strangers > 0 {
        parts.push(format!(
            "{} records have no person in the truth and are left out; {} lines of the truth name no record",
            count(found.unknown),
            count(found.strangers)
        ));
    }
    let mut rows = table(
        &["over", "precision", "recall", "F1", "95 % interval of F1"],
        1,
    );
    let (t, i) = (&found.total, &found.intervals);
    for (name, q, i) in [
        ("pairs", t.pairwise, i.pairwise),
        ("records (B-cubed)", t.b_cubed, i.b_cubed),
        ("exact clusters", t.exact_clusters, i.exact_clusters),
    ] {
        let interval = Cell::new(format!("{:.4} to {:.4}", i.low, i.high));
        rows.add_row([
            name.into(),
            figure(q.precision),
            figure(q.recall),
            figure(q.f1),
            interval,
        ]);
    }
    parts.push(rows.to_string());
    for (title, segments) in [
        ("source", &found.by_source),
        ("records of the person", &found.by_size),
    ] {
        let mut rows = table(&[title, "records", "pairs F1", "B-cubed F1", "exact F1"], 1);
        for (name, of) in segments {
            let Figures {
                pairwise,
                b_cubed,
                exact_clusters,
                records,
            } = of;
            rows.add_row([
                name.into(),
                number(*records),
                figure(pairwise.f1),
                figure(b_cubed.f1),
                figure(exact_clusters.f1),
            ]);
        }
        parts.push(rows.to_string());
    }
    if !found.curve.is_empty() {
        let mut rows = table(&["scored pairs from", "pairs", "precision", "recall"], 1);
        let step = found.curve.len().div_ceil(10);
        for point in found.curve.iter().step_by(step) {
            rows.add_row([
                format!("{:.6} ({:+.1} bits)", point.probability, point.weight).into(),
                number(point.pairs),
                figure(point.precision),
                figure(point.recall),
            ]);
        }
        parts.push(rows.to_string());
    }
    parts.push(match &found.calibration {
        Some(calibration) => calibrated(calibration),
        None => "Whether probabilities mean what they say is not known from links that stand: musubi dedupe --truth COLUMN shows it."
            .to_owned(),
    });
    parts.join("\n\n")
}

/// The reliability table.
fn calibrated(found: &Calibration) -> String {
    let mut rows = table(
        &[
            "match probability",
            "pairs",
            "said",
            "true",
            "95 % interval",
        ],
        1,
    );
    for bin in &found.bins {
        let seen = bin.observed;
        rows.add_row([
            reliability::range(bin).into(),
            number(bin.pairs),
            figure(bin.predicted),
            figure(seen.value),
            Cell::new(format!("{:.4} to {:.4}", seen.low, seen.high)),
        ]);
    }
    format!("{rows}\n{}", reliability::sentence(found))
}

fn audited(found: &Audited) -> String {
    let mut rows = table(
        &["match probability from", "pairs", "labelled", "one person"],
        1,
    );
    for s in &found.strata {
        let mark = if s.from + 1e-12 >= found.threshold {
            ""
        } else {
            " (not joined)"
        };
        rows.add_row([
            format!("{}{mark}", s.from).into(),
            number(s.pairs),
            number(s.labelled),
            number(s.same),
        ]);
    }
    let of = |e: musubi_identity::evaluate::Estimate| {
        format!("{:.4} ({:.4} to {:.4})", e.value, e.low, e.high)
    };
    let mut parts = vec![
        rows.to_string(),
        format!(
            "precision of joined pairs  {}",
            of(found.estimates.precision)
        ),
    ];
    parts.push(match found.estimates.recall {
        Some(recall) => format!("recall among scored pairs  {}", of(recall)),
        None => "Recall is not known: the sample has no pairs that were not joined.".to_owned(),
    });
    if let Some(calibration) = &found.calibration {
        parts.push(format!("\n{}", calibrated(calibration)));
    }
    if found.open > 0 {
        parts.push(format!("{} pairs are not labelled yet", count(found.open)));
    }
    parts.join("\n")
}
