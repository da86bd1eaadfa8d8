//! `musubi identity review`: pairs that wait for a person, and decisions.

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Result, bail};
use comfy_table::{Cell, CellAlignment};

use crate::{
    cli::{
        output::{self, Output, number, table},
        target::Target,
    },
    report::count,
    review::{self, Decided, Decision, Queue, Verdict},
};

/// Decide pairs that the evidence leaves open.
///
/// Pairs come in the order of what a wrong decision would cost. A decision stands in the lake and holds from the next
/// run on, whatever is trained or rebuilt, until it is taken back.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub(super) struct Review {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    List(List),
    Decide(Decide),
}

/// List the pairs that wait, the costliest first, or write them to a file to be labelled.
///
/// The expected cost of a pair is the probability that its score decides it wrongly, times what would then stand with
/// the wrong customer: the records and the orders of the smaller side. Links that stand are listed where a customer
/// hangs on them. With --values, the file holds values of persons: keep it where such values may be.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  musubi identity review list\n  musubi identity review list --limit 200 --to pairs.csv --values\n  musubi identity review list -f examples/bento -o json"
)]
struct List {
    #[command(flatten)]
    target: Target,
    /// How many pairs.
    #[arg(long, default_value_t = 20)]
    limit: usize,
    /// Write them to this CSV file, with a column `same` to be filled in.
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    /// With the values of both records.
    #[arg(long, requires = "to")]
    values: bool,
    /// How the answer is printed.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// Decide a pair, or all that a file of labels decides.
///
/// In the file, column `same` says yes, no or undecided; lines without a label are left out.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  musubi identity review decide 0f3a… 77c1… --as always\n  musubi identity review decide --labels pairs.csv"
)]
struct Decide {
    /// Two record ids.
    #[arg(
        value_name = "RECORD",
        num_args = 2,
        required_unless_present = "labels",
        requires = "verdict"
    )]
    pair: Vec<String>,
    /// What holds of them: always one person, never, or open again.
    #[arg(long = "as", value_enum, value_name = "VERDICT", requires = "pair")]
    verdict: Option<Said>,
    /// The file that `review list --to` wrote, with labels.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["pair", "verdict"])]
    labels: Option<PathBuf>,
    #[command(flatten)]
    target: Target,
    /// How the answer is printed.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// What a person may say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Said {
    /// One person.
    Always,
    /// Two persons.
    Never,
    /// Undecided again.
    Open,
}

/// Runs the command.
///
/// # Errors
/// When nothing is published, or a file or record is not there.
pub(super) async fn run(args: Review) -> Result<ExitCode> {
    match args.what {
        What::List(args) => list(args).await,
        What::Decide(args) => decide(args).await,
    }
}

async fn list(args: List) -> Result<ExitCode> {
    let context = args.target.open()?;
    let busy = output::working("looking for open pairs");
    let found = review::queue(&context).await;
    busy.finish_and_clear();
    let (mut queue, resolved) = found?;
    queue.pairs.truncate(args.limit);
    if let Some(path) = &args.to {
        review::export(&queue.pairs, resolved.matcher.features(), path, args.values)?;
        eprintln!(
            "wrote {} of {} pairs to {2}; write yes or no into column same, then: musubi identity review decide --labels {2}",
            count(queue.pairs.len() as u64),
            count(queue.open),
            path.display()
        );
        return Ok(ExitCode::SUCCESS);
    }
    args.output.print(&queue, text)?;
    Ok(ExitCode::SUCCESS)
}

fn text(queue: &Queue) -> String {
    let head = format!(
        "version {}: {} pairs wait, {} are decided",
        queue.version,
        count(queue.open),
        count(queue.decided)
    );
    if queue.pairs.is_empty() {
        return head;
    }
    let columns = ["pair", "now", "prob.", "records", "worth", "cost"];
    let mut rows = table(&columns, 2);
    let right = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
    for pair in &queue.pairs {
        rows.add_row([
            format!("{}\n{}", pair.left, pair.right).into(),
            if pair.joined { "one" } else { "two" }.into(),
            right(format!("{:.4}", pair.probability)),
            number(pair.records),
            right(pair.worth.map(|w| format!("{w:.0}")).unwrap_or_default()),
            right(format!("{:.2}", pair.expected)),
        ]);
    }
    format!(
        "{head}\n{rows}\n`musubi explain RECORD RECORD` says why; `musubi identity review decide RECORD RECORD --as always|never` decides;\n--to FILE writes a file to be labelled"
    )
}

async fn decide(args: Decide) -> Result<ExitCode> {
    let (decisions, open) = match (&args.labels, args.pair.as_slice(), args.verdict) {
        (Some(path), ..) => review::labels(path)?,
        (None, [left, right], Some(verdict)) => {
            let decision = match verdict {
                Said::Always => Verdict::Always,
                Said::Never => Verdict::Never,
                Said::Open => Verdict::Open,
            };
            let (left, right) = (left.to_lowercase(), right.to_lowercase());
            (
                vec![Decision {
                    left,
                    right,
                    decision,
                }],
                0,
            )
        }
        _ => bail!("give two record ids with --as, or --labels FILE"),
    };
    if decisions.is_empty() {
        bail!("nobody has labelled a pair yet; write yes or no into column same");
    }
    let context = args.target.open()?;
    let decided = review::decide(&context, decisions).await?;
    args.output.print(&decided, |decided| kept(decided, open))?;
    Ok(ExitCode::SUCCESS)
}

fn kept(decided: &Decided, open: u64) -> String {
    let mut lines = vec![match decided.kept {
        0 => "nothing new is decided".to_owned(),
        1 => "kept 1 decision; it holds from the next `musubi run` on".to_owned(),
        n => format!(
            "kept {} decisions; they hold from the next `musubi run` on",
            count(n)
        ),
    }];
    if decided.unchanged > 0 {
        lines.push(format!("{} stood already", count(decided.unchanged)));
    }
    if open > 0 {
        lines.push(format!("{} pairs are not labelled yet", count(open)));
    }
    lines.join("\n")
}
