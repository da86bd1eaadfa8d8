//! What a run ends with on the terminal.

use std::fmt::Write as _;

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};

use super::{RunSummary, count, duration};

/// The summary of a run, ready to be printed.
#[must_use]
pub fn summary(run: &RunSummary) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "\n  What came in");
    let mut table = table(
        &[
            "source",
            "stream",
            "files",
            "rows",
            "cleaned",
            "quarantined",
        ],
        2,
    );
    for s in &run.streams {
        table.add_row(vec![
            Cell::new(&s.source),
            Cell::new(&s.stream),
            number(s.files),
            number(s.rows),
            number(s.accepted),
            if s.quarantined == 0 {
                Cell::new("·").set_alignment(CellAlignment::Right)
            } else {
                number(s.quarantined)
            },
        ]);
    }
    let _ = writeln!(out, "{}", indent(&table));
    let _ = writeln!(
        out,
        "\n  {} records became {} customers{}",
        count(run.records),
        count(run.customers),
        run.version.map_or_else(
            || "; nothing was published".into(),
            |v| format!(", published as version {v}")
        )
    );
    if !run.tables.is_empty() {
        let tables: Vec<_> = run
            .tables
            .iter()
            .map(|(t, n)| format!("{t} {}", count(*n)))
            .collect();
        for line in wrap(&tables, 92) {
            let _ = writeln!(out, "    {line}");
        }
    }
    let _ = writeln!(out, "\n  How long it took");
    let longest = run
        .stages
        .iter()
        .map(|s| s.millis)
        .max()
        .unwrap_or(0)
        .max(1);
    for s in &run.stages {
        let bar = "█".repeat(usize::try_from(s.millis * 30 / longest).unwrap_or(0));
        let again = if s.reused > 0 && s.reused == s.shards {
            "  (was done)"
        } else {
            ""
        };
        let _ = writeln!(
            out,
            "    {:<9} {:>9}  {bar}{again}",
            s.stage,
            duration(s.millis)
        );
    }
    let total: u64 = run.stages.iter().map(|s| s.millis).sum();
    let _ = writeln!(out, "    {:<9} {:>9}", "together", duration(total));
    section(&mut out, "Where it is", &run.places);
    section(&mut out, "Next", &run.next);
    out
}

fn section(out: &mut String, title: &str, pairs: &[(String, String)]) {
    if pairs.is_empty() {
        return;
    }
    let width = pairs
        .iter()
        .map(|(name, _)| name.chars().count())
        .max()
        .unwrap_or(0);
    let _ = writeln!(out, "\n  {title}");
    for (name, text) in pairs {
        let _ = writeln!(out, "    {name:<width$}  {text}");
    }
}

fn table(header: &[&str], texts: usize) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_HORIZONTAL_ONLY)
        .set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header.iter().enumerate().map(|(i, h)| {
        let side = if i < texts {
            CellAlignment::Left
        } else {
            CellAlignment::Right
        };
        Cell::new(h).set_alignment(side)
    }));
    table
}

fn number(n: u64) -> Cell {
    Cell::new(count(n)).set_alignment(CellAlignment::Right)
}

fn indent(table: &Table) -> String {
    table
        .lines()
        .map(|line| format!("  {line}"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// Words on lines of at most `width` columns.
fn wrap(words: &[String], width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in words {
        let line = lines.last().map_or(0, |l| l.chars().count());
        if line > 0 && line + 3 + word.chars().count() > width {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push_str(" · ");
            }
            line.push_str(word);
        }
    }
    lines
}
