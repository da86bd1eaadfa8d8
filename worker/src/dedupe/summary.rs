//! What is said on a terminal, in 80 columns.

use std::fmt::Write as _;

use musubi_identity::Doubt;

use super::{Input, Stats, clock::bytes, page::word, stats::Labelled};
use crate::report::{Paint, count, reliability};

/// What each column is used as, before work begins.
#[must_use]
pub fn columns(inputs: &[Input], paint: Paint) -> String {
    let mut out = String::new();
    for (at, input) in inputs.iter().enumerate() {
        let same = |other: &&Input| {
            let both = other.columns.iter().zip(&input.columns);
            other.columns.len() == input.columns.len()
                && both
                    .into_iter()
                    .all(|(a, b)| (&a.column, &a.role) == (&b.column, &b.role))
        };
        if let Some(first) = inputs[..at].iter().find(same) {
            let said = format!("{}; columns as in {}", input.format, first.source);
            let _ = writeln!(out, "{}  {}", paint.bold(&input.file), paint.dim(&said));
            continue;
        }
        let _ = writeln!(
            out,
            "{}  {}",
            paint.bold(&input.file),
            paint.dim(&input.format)
        );
        let widest = input.columns.iter().map(|c| width(&c.column)).max();
        let widest = widest.unwrap_or(0).clamp(6, 24);
        for column in &input.columns {
            let used = !matches!(column.role.as_str(), "ignore" | "id");
            let role = if column.role == "ignore" {
                "-"
            } else {
                &column.role
            };
            let role = format!("{role:<15}");
            let why = match (used, column.why.as_str()) {
                (true, "by its name") => format!("{} % filled", column.filled_percent),
                (true, why) => format!("{} % filled; {why}", column.filled_percent),
                (false, why) => why.to_owned(),
            };
            let room = 80usize.saturating_sub(widest + 22);
            let _ = writeln!(
                out,
                "  {}  {}  {}",
                cut(&column.column, widest),
                if used {
                    paint.good(&role)
                } else {
                    paint.dim(&role)
                },
                paint.dim(cut(&why, room).trim_end())
            );
        }
    }
    out
}

fn counted(n: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(n), if n == 1 { one } else { many })
}

/// Cells that a text takes on a terminal: wide letters take two.
fn width(text: &str) -> usize {
    text.chars().map(cells).sum()
}

fn cells(c: char) -> usize {
    1 + usize::from(
        matches!(c, '\u{1100}'..='\u{115f}' | '\u{2e80}'..='\u{a4cf}' | '\u{ac00}'..='\u{d7a3}' | '\u{f900}'..='\u{faff}' | '\u{fe30}'..='\u{fe4f}' | '\u{ff00}'..='\u{ff60}' | '\u{ffe0}'..='\u{ffe6}'),
    )
}

/// A text in so many cells: filled up, or cut.
fn cut(text: &str, room: usize) -> String {
    let all = width(text);
    if all <= room {
        return format!("{text}{}", " ".repeat(room - all));
    }
    let (mut out, mut taken) = (String::new(), 0);
    for c in text.chars() {
        if taken + cells(c) >= room {
            break;
        }
        taken += cells(c);
        out.push(c);
    }
    format!("{out}…{}", " ".repeat(room.saturating_sub(taken + 1)))
}

/// What it came to.
#[must_use]
pub fn summary(stats: &Stats, paint: Paint) -> String {
    let mut out = String::new();
    head(&mut out, stats, paint);
    if stats.accuracy.is_some() {
        accuracy(&mut out, stats, paint);
    }
    sizes(&mut out, stats, paint);
    remarks(&mut out, stats, paint);
    let _ = writeln!(
        out,
        "{}\n  {}",
        paint.bold(&format!("In {}", stats.out)),
        paint.dim("clusters.parquet  edges.parquet  model.json  report.html  stats.json")
    );
    let steps = next(stats);
    for (at, (what, how)) in steps.iter().enumerate() {
        let title = if at == 0 { "Next" } else { "" };
        let _ = writeln!(
            out,
            "{}  {what}\n        {}",
            paint.bold(&format!("{title:<4}")),
            paint.cool(how)
        );
    }
    out
}

fn head(out: &mut String, stats: &Stats, paint: Paint) {
    #[expect(clippy::cast_precision_loss, reason = "shown to people")]
    let each = stats.records as f64 / stats.clusters.max(1) as f64;
    let title = format!(
        "{} {} {}",
        counted(stats.records, "record", "records"),
        if stats.records == 1 { "is" } else { "are" },
        counted(stats.clusters, "person", "people")
    );
    let _ = writeln!(
        out,
        "{}  {}\n",
        paint.bold(&title),
        paint.dim(&format!(
            "{each:.2} each, in {}",
            counted(stats.households, "household", "households")
        ))
    );
    let rate = if stats.pairs_per_core_second >= 1e6 {
        format!("{:.1} M", stats.pairs_per_core_second / 1e6)
    } else {
        format!("{:.0} k", stats.pairs_per_core_second / 1e3)
    };
    let recall = format!("{:.2} %", stats.blocking_recall.value * 100.0);
    let lines = [
        (
            "time",
            format!(
                "{:.1} s, {:.1} s of processor time, {} of memory",
                stats.wall_seconds,
                stats.cpu_seconds,
                bytes(stats.peak_memory_bytes)
            ),
        ),
        (
            "compared",
            format!(
                "{}, {rate} a processor second; {}",
                counted(stats.pairs, "pair", "pairs"),
                counted(stats.links, "link stands", "links stand")
            ),
        ),
        (
            "reach",
            if stats.blocking_recall.estimated {
                format!("about {recall} of the pairs of one person were compared (estimated)")
            } else {
                format!("{recall} of the pairs of one person were compared")
            },
        ),
    ];
    let labels = stats.labels.iter().map(|l| ("labels", labels(l)));
    for (name, said) in lines.into_iter().chain(labels) {
        let mut name = name;
        for part in wrapped(&said, 66) {
            let _ = writeln!(out, "  {}  {part}", paint.dim(&format!("{name:<9}")));
            name = "";
        }
    }
    out.push('\n');
}

/// What came of labels.
fn labels(labels: &Labelled) -> String {
    let open = match labels.open {
        0 => String::new(),
        n => format!("; {} without a label", counted(n, "line", "lines")),
    };
    let learnt = match &labels.refined {
        Some(refined) => format!(
            "the model learnt from them: labels held back surprise it by {:.2} bits, {:.2} before",
            refined.after, refined.before
        ),
        None => "they teach the model nothing that foretells others".to_owned(),
    };
    format!(
        "{} of one person and {} of two hold; {learnt}{open}",
        counted(labels.same, "pair", "pairs"),
        count(labels.different)
    )
}

fn accuracy(out: &mut String, stats: &Stats, paint: Paint) {
    let Some(a) = &stats.accuracy else { return };
    let _ = writeln!(
        out,
        "  {}",
        paint.dim("against the truth     precision   recall       F1   95 % interval")
    );
    let over = if stats.mode == "link" {
        "pairs across files"
    } else {
        "pairs of records"
    };
    for (name, q, i) in [
        (over, a.pairwise, a.intervals.pairwise),
        ("records (B-cubed)", a.b_cubed, a.intervals.b_cubed),
        (
            "exact clusters",
            a.exact_clusters,
            a.intervals.exact_clusters,
        ),
    ] {
        let interval = if i.high > 0.0 {
            format!("{:.4} to {:.4}", i.low, i.high)
        } else {
            String::new()
        };
        let f1 = format!("{:.4}", q.f1);
        let _ = writeln!(
            out,
            "  {name:<21}    {:.4}   {:.4}   {}   {}",
            q.precision,
            q.recall,
            paint.good(&f1),
            paint.dim(&interval)
        );
    }
    if let Some(share) = a.within_household {
        let _ = writeln!(
            out,
            "  {:.2} % of the pairs that are together are two members of one household",
            share * 100.0
        );
    }
    if let Some(calibration) = &a.calibration {
        for line in wrapped(&reliability::sentence(calibration), 76) {
            let _ = writeln!(out, "  {line}");
        }
    }
    out.push('\n');
}

fn sizes(out: &mut String, stats: &Stats, paint: Paint) {
    const BAR: usize = 36;
    let mut bins: Vec<(String, u64)> = Vec::new();
    for (size, n) in &stats.cluster_sizes {
        let label = match size {
            1..=4 => size.to_string(),
            5..=9 => "5 to 9".into(),
            10..=49 => "10 to 49".into(),
            _ => "50 and more".into(),
        };
        match bins.last_mut().filter(|(last, _)| *last == label) {
            Some((_, sum)) => *sum += n,
            None => bins.push((label, *n)),
        }
    }
    let most = bins.iter().map(|b| b.1).max().unwrap_or(1).max(1);
    let _ = writeln!(out, "  {}", paint.dim("records of a person"));
    for (label, n) in bins {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the length of a bar"
        )]
        let length = ((n as f64 / most as f64 * BAR as f64).ceil() as usize).max(1);
        let _ = writeln!(
            out,
            "  {label:>11}  {} {}",
            paint.cool(&"▇".repeat(length)),
            count(n)
        );
    }
    out.push('\n');
}

fn remarks(out: &mut String, stats: &Stats, paint: Paint) {
    let mut lines = Vec::new();
    if stats.bad_rows > 0 {
        let n = stats.bad_rows;
        lines.push(format!(
            "{} could not be read; each is a cluster of its own:",
            counted(n, "row", "rows")
        ));
        for bad in stats.bad.iter().take(3) {
            lines.push(format!("  {} line {}: {}", bad.file, bad.line, bad.rule));
        }
    }
    for (field, u) in &stats.understood {
        if u.given > 0 && u.understood * 10 < u.given * 9 {
            lines.push(format!(
                "{field}: {} of {} values could be understood",
                count(u.understood),
                count(u.given)
            ));
        }
    }
    let starved = stats
        .diagnostics
        .iter()
        .filter(|d| d.kind == Doubt::Starved);
    let starved: Vec<&str> = starved.map(|d| d.parameter.as_str()).collect();
    if !starved.is_empty() {
        lines.push(format!(
            "too few matches to learn {} from; beliefs from before the data weigh in",
            starved.join(", ")
        ));
    }
    let others = stats
        .diagnostics
        .iter()
        .filter(|d| d.kind != Doubt::Starved);
    for doubt in others.take(3) {
        lines.push(format!("{}: {}", doubt.parameter, doubt.message));
    }
    let refused: Vec<String> = stats
        .guards
        .iter()
        .map(|(guard, n)| format!("{} {}", count(*n), word(guard)))
        .collect();
    if !refused.is_empty() {
        lines.push(format!("links refused: {}", refused.join(", ")));
    }
    let (peak, allowed) = (stats.peak_memory_bytes, stats.memory_limit_bytes);
    if peak > allowed {
        lines.push(format!(
            "it took {} of memory where {} were allowed: the values or links of these records take more than most",
            bytes(peak),
            bytes(allowed)
        ));
    }
    if lines.is_empty() {
        return;
    }
    for line in lines {
        for (at, part) in wrapped(&line, 76).iter().enumerate() {
            let mark = if at == 0 && !line.starts_with(' ') {
                "·"
            } else {
                " "
            };
            let _ = writeln!(out, "{} {}", paint.warm(mark), part);
        }
    }
    out.push('\n');
}

fn wrapped(text: &str, room: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let last = lines.last_mut();
        match last {
            Some(line) if line.is_empty() || width(line) + 1 + width(word) <= room => {
                if !line.is_empty() {
                    line.push(' ');
                }
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// What to try next, and how.
fn next(stats: &Stats) -> Vec<(String, String)> {
    let mut steps = Vec::new();
    if let Some(better) = stats
        .accuracy
        .as_ref()
        .and_then(super::stats::Accuracy::better)
    {
        steps.push((
            format!(
                "a threshold of {} comes to F1 {:.4}",
                better.threshold, better.pairwise.f1
            ),
            format!("--threshold {}", better.threshold),
        ));
    }
    let answer = stats.inputs.iter().flat_map(|i| &i.columns);
    let mut answer = answer.filter(|c| c.why.contains("--truth scores"));
    if stats.accuracy.is_none()
        && let Some(column) = answer.next()
    {
        steps.push((
            format!(
                "column {} looks like the truth: see how right this is",
                column.column
            ),
            format!("--truth {}", shell(&column.column)),
        ));
    }
    let idle = stats.inputs.iter().flat_map(|i| &i.columns);
    let mut idle = idle.filter(|c| c.why == "nothing known of a person" && c.filled_percent >= 50);
    if let Some(column) = idle.next() {
        steps.push((
            format!(
                "column {} is not used; if it tells of people, say what it is",
                column.column
            ),
            format!("--field {}=ROLE", shell(&column.column)),
        ));
    }
    if stats.accuracy.is_none() {
        steps.push((
            "label a sample of pairs: how right this is, and its probabilities".to_owned(),
            format!(
                "musubi evaluate --dedupe {} --sample pairs.csv",
                shell(&stats.out)
            ),
        ));
    }
    steps.push((
        "look at the page; use the model again on the next file".to_owned(),
        format!("--model {}/model.json", shell(&stats.out)),
    ));
    steps.truncate(3);
    steps
}

/// A word as a shell takes it.
pub(super) fn shell(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/');
    if word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}
