//! How commands print what they found: `-o table|json|yaml`, the same everywhere.

use std::{
    io::{ErrorKind, Write as _},
    time::Duration,
};

use anyhow::Result;
use clap::ValueEnum;
use comfy_table::{Cell, CellAlignment, ContentArrangement, LineStyle, Table, TableStyle};
use indicatif::{ProgressBar, ProgressFinish};
use serde::Serialize;

/// How an answer is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    /// For people.
    #[default]
    Table,
    /// JSON for machines.
    Json,
    /// YAML for machines.
    Yaml,
}

impl Output {
    /// Prints an answer to standard output: as `text` says for people, as the value itself for machines.
    ///
    /// # Errors
    /// When the value cannot be written in that form.
    pub(super) fn print<T: Serialize>(
        self,
        value: &T,
        text: impl FnOnce(&T) -> String,
    ) -> Result<()> {
        match self {
            Self::Table => say(text(value).trim_end()),
            Self::Json => say(&serde_json::to_string_pretty(value)?),
            Self::Yaml => say(serde_saphyr::to_string(value)?.trim_end()),
        }
    }
}

/// Prints to standard output. Whoever reads may have seen enough (`| head`): that is no error.
///
/// # Errors
/// Any other that standard output has.
pub(super) fn say(text: &str) -> Result<()> {
    match writeln!(std::io::stdout(), "{text}") {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// A table with a rule below its header. The first `texts` columns are texts, the others numbers.
pub(super) fn table(header: &[&str], texts: usize) -> Table {
    let mut table = Table::new();
    table
        .load_style(TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─')))
        .set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header.iter().enumerate().map(|(at, name)| {
        let side = if at < texts {
            CellAlignment::Left
        } else {
            CellAlignment::Right
        };
        Cell::new(name).set_alignment(side)
    }));
    table
}

/// Wraps long texts, so that the table fits a terminal of 80 columns.
pub(super) fn narrow(table: &mut Table) {
    table
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(80);
}

/// A count for a table.
pub(super) fn number(n: u64) -> Cell {
    Cell::new(crate::report::count(n)).set_alignment(CellAlignment::Right)
}

/// Says on a terminal that work is going on, until it is cleared.
pub(super) fn working(what: &'static str) -> ProgressBar {
    let bar = ProgressBar::new_spinner()
        .with_message(what)
        .with_finish(ProgressFinish::AndClear);
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}

/// So many rows, in words.
pub(super) fn rows(n: u64) -> String {
    match n {
        1 => "1 row".to_owned(),
        n => format!("{} rows", crate::report::count(n)),
    }
}
