//! `--labels`: pairs of rows of which somebody said whether they are one person. They hold, and they refine the model.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use hashbrown::HashMap;
use musubi_identity::{Decision, Pin};

use super::table::{Piece, Table, text};
use crate::sheet::Sheet;

/// Columns that hold rows, as `musubi evaluate --sample` and edges.parquet call them.
const ROWS: [(&str, &str); 2] = [("left", "right"), ("row_l", "row_r")];
/// Columns that hold the file of an id, as clusters.parquet calls it.
const SOURCES: [(&str, &str); 2] = [
    ("source_l", "source_r"),
    ("source_dataset_l", "source_dataset_r"),
];
/// Columns that hold the label.
const SAME: [&str; 4] = ["same", "match", "label", "clerical_match_score"];

/// A file of labels.
pub(super) struct Labels {
    path: PathBuf,
    /// Column of the records by which pairs are named; rows are named by number.
    by: Option<String>,
    pairs: Vec<Pair>,
    /// Lines without a label.
    pub(super) open: u64,
}

/// A labelled pair.
struct Pair {
    line: u64,
    ends: [End; 2],
    same: bool,
}

/// A record as the file names it.
struct End {
    name: String,
    source: String,
}

impl Labels {
    /// Reads a file of labels for these tables.
    pub(super) fn read(path: &Path, tables: &[Table]) -> Result<Self> {
        let mut sheet = Sheet::open(path, "the labels")?;
        let (shown, header) = (sheet.shown.clone(), sheet.header.clone());
        let at = |name: &str| sheet.at(name);
        let both = |(left, right): (&str, &str)| Some([at(left)?, at(right)?]);
        let (ends, by) = match ROWS.into_iter().find_map(both) {
            Some(ends) => (ends, None),
            None => by_column(&header, tables).with_context(|| {
                format!(
                    "{shown} does not say which records a pair is: it must have columns left and right (or row_l and row_r) with \
                     rows from 0, or COLUMN_l and COLUMN_r with values of a column of the records; its columns are {}",
                    header.join(", ")
                )
            })?,
        };
        let sources = SOURCES.into_iter().find_map(both);
        let label = SAME.into_iter().find_map(at).with_context(|| {
            format!(
                "{shown} has no column same with yes and no; its columns are {}",
                header.join(", ")
            )
        })?;
        let mut labels = Self {
            path: path.to_owned(),
            by,
            pairs: Vec::new(),
            open: 0,
        };
        for line in sheet.lines() {
            let (line, record) = line?;
            let cell = |at: usize| record.get(at).unwrap_or_default().to_owned();
            let said = cell(label);
            if said.is_empty() || said.eq_ignore_ascii_case("undecided") {
                labels.open += 1;
                continue;
            }
            // Tools write yes and no as 1.0 and 0.0, too.
            let word = said.strip_suffix(".0").unwrap_or(&said);
            let Some(same) = musubi_clean::flag::parse(word).value else {
                bail!(
                    "{shown} line {line}: column {} holds neither yes nor no; leave it empty where nobody can tell",
                    header[label]
                );
            };
            let end = |side: usize| End {
                name: cell(ends[side]),
                source: sources.map_or_else(String::new, |s| cell(s[side])),
            };
            labels.pairs.push(Pair {
                line,
                ends: [end(0), end(1)],
                same,
            });
        }
        ensure!(
            !labels.pairs.is_empty(),
            "{shown}: nobody has labelled a pair yet; write yes or no into column same"
        );
        Ok(labels)
    }

    /// The pairs as decisions on rows. `source` is the file of each row; with `link`, only pairs across files may be.
    pub(super) fn pins(&self, tables: &[Table], source: &[u32], link: bool) -> Result<Vec<Pin>> {
        let known = match &self.by {
            None => HashMap::new(),
            Some(column) => self.rows_of(column, tables)?,
        };
        let mut said: HashMap<(usize, usize), (u64, bool)> = HashMap::new();
        let mut pins = Vec::new();
        for pair in &self.pairs {
            let place = format!("{} line {}", self.path.display(), pair.line);
            let mut rows = [0; 2];
            for (row, end) in rows.iter_mut().zip(&pair.ends) {
                *row = match &self.by {
                    None => number(&end.name, source.len()).with_context(|| {
                        format!(
                            "{place}: a pair is two rows, from 0 to {}",
                            source.len() - 1
                        )
                    })?,
                    Some(column) => {
                        one(&known, end, column, tables).with_context(|| place.clone())?
                    }
                };
            }
            let [a, b] = [rows[0].min(rows[1]), rows[0].max(rows[1])];
            ensure!(
                a != b,
                "{place}: both sides are row {a}; a record is always itself"
            );
            ensure!(
                !link || source[a] != source[b],
                "{place}: rows {a} and {b} are of one file; with --link only pairs across files are compared"
            );
            if let Some((line, same)) = said.insert((a, b), (pair.line, pair.same)) {
                ensure!(
                    same == pair.same,
                    "{place} says another thing of rows {a} and {b} than line {line}: leave one of them out"
                );
                continue;
            }
            pins.push(Pin {
                left: format!("{a:032x}"),
                right: format!("{b:032x}"),
                decision: if pair.same {
                    Decision::Always
                } else {
                    Decision::Never
                },
            });
        }
        Ok(pins)
    }

    /// The rows, with their files, that have each value by which a pair is named.
    fn rows_of(
        &self,
        column: &str,
        tables: &[Table],
    ) -> Result<HashMap<&str, Vec<(usize, usize)>>> {
        let ends = self.pairs.iter().flat_map(|p| &p.ends);
        let mut known: HashMap<&str, Vec<(usize, usize)>> =
            ends.map(|end| (end.name.as_str(), Vec::new())).collect();
        let mut base = 0;
        for (file, table) in tables.iter().enumerate() {
            let at = table.columns.iter().position(|c| c.name == column);
            let mut rows = 0;
            table.rows(&mut |piece| {
                match piece {
                    Piece::Bad(..) => rows += 1,
                    Piece::Rows(numbers, batch, _) => {
                        rows += numbers.len();
                        let Some(at) = at else { return Ok(true) };
                        for (number, value) in numbers.iter().zip(text(&batch, at)) {
                            if let Some(rows) = value.and_then(|v| known.get_mut(v.trim())) {
                                rows.push((base + *number as usize, file));
                            }
                        }
                    }
                }
                Ok(true)
            })?;
            base += rows;
        }
        Ok(known)
    }
}

/// Columns `x_l` and `x_r` where `x` is a column of the records.
fn by_column(header: &[String], tables: &[Table]) -> Option<([usize; 2], Option<String>)> {
    header.iter().enumerate().find_map(|(left, name)| {
        let column = name.strip_suffix("_l")?;
        let right = header.iter().position(|c| *c == format!("{column}_r"))?;
        let mut columns = tables.iter().flat_map(|t| &t.columns);
        columns
            .any(|c| c.name == column)
            .then(|| ([left, right], Some(column.to_owned())))
    })
}

fn number(name: &str, rows: usize) -> Option<usize> {
    name.parse().ok().filter(|row| *row < rows)
}

/// The one row that has a value.
fn one(
    known: &HashMap<&str, Vec<(usize, usize)>>,
    end: &End,
    column: &str,
    tables: &[Table],
) -> Result<usize> {
    let is_of = |file: usize| end.source.is_empty() || tables[file].source == end.source;
    let rows = known.get(end.name.as_str()).into_iter().flatten();
    let rows: Vec<&(usize, usize)> = rows.filter(|(_, file)| is_of(*file)).collect();
    match rows[..] {
        [(row, _)] => Ok(*row),
        [] => bail!("no record has this {column}"),
        [(first, _), (second, _), ..] => bail!(
            "rows {first} and {second} have this {column}; name rows, or the file of each in columns source_l and source_r"
        ),
    }
}
