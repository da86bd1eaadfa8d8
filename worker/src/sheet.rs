//! CSV files that people fill in: truth, labels, decisions.

use std::{fs::File, path::Path};

use anyhow::{Context as _, Result};

/// A file with a header; cells are trimmed. Spreadsheets put a byte order mark before it.
pub(crate) struct Sheet {
    /// How errors name the file.
    pub(crate) shown: String,
    pub(crate) header: Vec<String>,
    reader: csv::Reader<File>,
}

impl Sheet {
    /// Opens a file; errors call it what it is.
    ///
    /// # Errors
    /// When it is not there, or no CSV.
    pub(crate) fn open(path: &Path, what: &str) -> Result<Self> {
        let shown = path.display().to_string();
        let mut reader = csv::ReaderBuilder::new()
            .trim(csv::Trim::All)
            .from_path(path)
            .with_context(|| format!("cannot open {what} {shown}"))?;
        let header = reader.headers();
        let header = header.with_context(|| format!("{shown} is no CSV"))?.iter();
        let header = header.map(|name| name.trim_start_matches('\u{feff}').to_owned());
        Ok(Self {
            header: header.collect(),
            shown,
            reader,
        })
    }

    /// The place of a column.
    pub(crate) fn at(&self, name: &str) -> Option<usize> {
        self.header.iter().position(|column| column == name)
    }

    /// Its lines, with their numbers.
    pub(crate) fn lines(&mut self) -> impl Iterator<Item = Result<(u64, csv::StringRecord)>> {
        let shown = &self.shown;
        self.reader.records().map(move |record| {
            let record = record.with_context(|| format!("cannot read {shown}"))?;
            let line = record.position().map_or(0, csv::Position::line);
            Ok((line, record))
        })
    }
}
