//! What a run ends with on the terminal: eighty columns, the figures on the right, the way on at the end.

use std::fmt::Write as _;

use super::{RunSummary, StageTime, count, duration, paint::Paint};
use crate::stage::accounts::Account;

/// Columns of a terminal.
const WIDTH: usize = 80;

/// The summary of a run, ready to be printed.
#[must_use]
pub fn summary(run: &RunSummary, paint: Paint) -> String {
    let mut out = String::from("\n");
    let _ = writeln!(
        out,
        "  {}\n",
        paint.bold(&run.version.map_or_else(
            || format!("{}: nothing was published", run.pipeline),
            |v| format!("{}, version {v}", run.pipeline)
        ))
    );
    incoming(&mut out, &run.streams, paint);
    people(&mut out, run, paint);
    if !run.tables.is_empty() {
        out.push('\n');
        let tables: Vec<_> = run
            .tables
            .iter()
            .filter(|(_, n)| *n > 0)
            .map(|(table, n)| format!("{table} {}", count(*n)))
            .collect();
        listed(&mut out, "tables", &tables, paint);
    }
    out.push('\n');
    stages(&mut out, &run.stages, paint);
    section(&mut out, &run.places, paint);
    commands(&mut out, &run.next, paint);
    out
}

/// A line a source: its rows, and what became of them.
fn incoming(out: &mut String, streams: &[Account], paint: Paint) {
    const HEADER: [&str; 7] = [
        "source",
        "rows",
        "accepted",
        "duplicate",
        "superseded",
        "structural",
        "quarantined",
    ];
    let mut lines: Vec<(&str, [u64; 6])> = Vec::new();
    let mut sum = [0; 6];
    for s in streams {
        let counts = [
            s.rows,
            s.accepted,
            s.duplicate,
            s.superseded,
            s.structural,
            s.quarantined,
        ];
        if lines.last().is_none_or(|(source, _)| *source != s.source) {
            lines.push((&s.source, [0; 6]));
        }
        if let Some((_, line)) = lines.last_mut() {
            for (at, n) in counts.into_iter().enumerate() {
                line[at] += n;
                sum[at] += n;
            }
        }
    }
    lines.push(("together", sum));
    let first = lines.iter().map(|(s, _)| s.len()).max().unwrap_or(0).max(6);
    let widths: Vec<usize> = (0..6)
        .map(|at| count(sum[at]).len().max(HEADER[at + 1].len()) + 2)
        .collect();
    let mut header = format!("  {:<first$}", HEADER[0]);
    for (at, width) in widths.iter().enumerate() {
        let _ = write!(header, "{:>width$}", HEADER[at + 1]);
    }
    let _ = writeln!(out, "{}", paint.dim(&header));
    let last = lines.len() - 1;
    for (at, (source, counts)) in lines.iter().enumerate() {
        let name = format!("  {source:<first$}");
        out.push_str(&if at == last { paint.bold(&name) } else { name });
        for (column, (n, width)) in counts.iter().zip(&widths).enumerate() {
            let text = if *n == 0 {
                format!("{:>width$}", "·")
            } else {
                format!("{:>width$}", count(*n))
            };
            out.push_str(&match column {
                _ if *n == 0 => paint.dim(&text),
                5 => paint.warm(&text),
                _ if at == last => paint.bold(&text),
                _ => text,
            });
        }
        out.push('\n');
    }
    let equal = streams.iter().all(Account::holds);
    let verdict = if equal {
        paint.good("  every row is accounted for")
    } else {
        paint.warm("  rows are missing")
    };
    let _ = writeln!(out, "{verdict}\n");
}

fn people(out: &mut String, run: &RunSummary, paint: Paint) {
    #[expect(clippy::cast_precision_loss, reason = "shown to a person")]
    let each = run.records as f64 / run.customers.max(1) as f64;
    let _ = writeln!(
        out,
        "  {} records became {} customers ({each:.1} records each)",
        count(run.records),
        paint.bold(&count(run.customers))
    );
}

/// Words behind a heading, on lines of the terminal's width.
fn listed(out: &mut String, heading: &str, words: &[String], paint: Paint) {
    let mut line = 0;
    for word in words {
        let long = word.chars().count();
        if line == 0 || line + 3 + long > WIDTH {
            if line > 0 {
                out.push('\n');
            }
            let heading = if line == 0 { heading } else { "" };
            let _ = write!(out, "{}", paint.dim(&format!("  {heading:<10}")));
            line = 12;
        } else {
            out.push_str(&paint.dim(" · "));
            line += 3;
        }
        out.push_str(word);
        line += long;
    }
    out.push('\n');
}

/// The stages in two columns, each with a bar of its time.
fn stages(out: &mut String, stages: &[StageTime], paint: Paint) {
    let longest = stages.iter().map(|s| s.millis).max().unwrap_or(0).max(1);
    let cell = |s: &StageTime| {
        let bar = bar(s.millis, longest, 14);
        let again = s.reused > 0 && s.reused == s.shards;
        let time = if again {
            "was done".into()
        } else {
            duration(s.millis)
        };
        format!(
            "{} {:>10}  {}",
            paint.dim(&format!("{:<9}", s.stage)),
            time,
            paint.cool(&format!("{bar:<14}"))
        )
    };
    let rows = stages.len().div_ceil(2);
    for (left, right) in (0..rows).map(|row| (&stages[row], stages.get(row + rows))) {
        let right = right.map(cell).unwrap_or_default();
        let line = format!("  {}  {right}", cell(left));
        let _ = writeln!(out, "{}", line.trim_end());
    }
    let total: u64 = stages.iter().map(|s| s.millis).sum();
    let _ = writeln!(
        out,
        "  {} {:>10}\n",
        paint.bold(&format!("{:<9}", "together")),
        duration(total)
    );
}

/// A bar in eighths of a character.
fn bar(part: u64, whole: u64, width: u64) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = (part * width * 8 / whole).max(1);
    let full = "█".repeat(usize::try_from(eighths / 8).unwrap_or(0));
    format!("{full}{}", EIGHTHS[(eighths % 8) as usize])
}

/// Where things are.
fn section(out: &mut String, pairs: &[(String, String)], paint: Paint) {
    let width = pairs.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    for (name, text) in pairs {
        let _ = writeln!(out, "  {}  {text}", paint.dim(&format!("{name:<width$}")));
    }
}

fn commands(out: &mut String, next: &[(String, String)], paint: Paint) {
    if next.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n  {}", paint.bold("Next"));
    for (command, does) in next {
        let _ = writeln!(
            out,
            "    {}\n      {}",
            paint.cool(command),
            paint.dim(does)
        );
    }
}
