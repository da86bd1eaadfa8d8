//! Which columns, taken together, tell the rows of a file apart.

use std::collections::HashSet;

use xxhash_rust::xxh3::xxh3_64;

/// Cells that are looked at: 16 MB of hashes.
const CELLS: usize = 2 << 20;
/// Columns of a key.
const WIDEST: usize = 3;

/// Hashes of the first rows of a stream, by column; 0 stands for no value.
#[derive(Debug, Default)]
pub(super) struct Rows {
    names: Vec<String>,
    columns: Vec<Vec<u64>>,
    files: Vec<u32>,
    cells: usize,
}

/// A key that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) columns: Vec<String>,
    /// Rows whose key an earlier row of the same file has.
    pub(super) duplicates: u64,
    /// Rows in which one of its columns is empty.
    pub(super) empty: u64,
    /// Rows that were looked at.
    pub(super) rows: u64,
}

impl Rows {
    /// Whether there is room for another row.
    pub(super) const fn has_room(&self) -> bool {
        self.cells < CELLS
    }

    /// Adds a row of a file.
    pub(super) fn add<'a>(&mut self, file: u32, cells: impl Iterator<Item = (&'a str, u64)>) {
        let row = self.files.len();
        for (name, hash) in cells {
            let at = match self.names.iter().position(|n| n == name) {
                Some(at) => at,
                None => {
                    self.names.push(name.to_owned());
                    self.columns.push(Vec::new());
                    self.names.len() - 1
                }
            };
            self.columns[at].resize(row, 0);
            self.columns[at].push(hash.max(1));
            self.cells += 1;
        }
        self.files.push(file);
    }

    /// The shortest key of the candidates, or nothing when no three of them are one. Columns that are likelier than
    /// others by their names are tried alone first. A key may miss one row in two hundred, or two of a few:
    /// systems deliver rows twice, and without their key.
    pub(super) fn key(&mut self, candidates: &[(&str, i32)]) -> Option<Key> {
        let rows = self.files.len();
        for column in &mut self.columns {
            column.resize(rows, 0);
        }
        let tolerated = (rows / 200).max((rows / 20).min(2));
        [3, 0, i32::MIN].into_iter().find_map(|least| {
            let tier = candidates.iter().filter(|(_, likely)| *likely >= least);
            let at = |name: &str| self.names.iter().position(|n| n == name);
            let tier: Vec<usize> = tier.filter_map(|(name, _)| at(name)).collect();
            self.among(&tier, tolerated)
        })
    }

    /// Adds columns one by one, each time the one that tells most rows apart.
    fn among(&self, candidates: &[usize], tolerated: usize) -> Option<Key> {
        let rows = self.files.len();
        let mut chosen: Vec<usize> = Vec::new();
        let mut best = 0;
        let mut good_enough = None;
        while chosen.len() < WIDEST && best < rows {
            let mut next = None;
            for column in candidates.iter().filter(|c| !chosen.contains(c)) {
                let (distinct, empty) = self.distinct(&chosen, *column);
                if distinct > best {
                    (best, next) = (distinct, Some((*column, empty)));
                }
            }
            let Some((column, empty)) = next else { break };
            chosen.push(column);
            if best == rows || (good_enough.is_none() && rows - best <= tolerated) {
                good_enough = Some((chosen.clone(), best, empty));
            }
        }
        let (columns, distinct, empty) = good_enough?;
        Some(Key {
            columns: columns.iter().map(|c| self.names[*c].clone()).collect(),
            duplicates: (rows - distinct - empty) as u64,
            empty: empty as u64,
            rows: rows as u64,
        })
    }

    /// Different values of some columns together, file by file, and rows in which one is empty.
    fn distinct(&self, columns: &[usize], and: usize) -> (usize, usize) {
        let mut empty = 0;
        let mut seen = HashSet::with_capacity(self.files.len());
        let mut bytes = Vec::with_capacity(40);
        for row in 0..self.files.len() {
            let cells = || columns.iter().chain([&and]).map(|c| self.columns[*c][row]);
            if cells().any(|cell| cell == 0) {
                empty += 1;
                continue;
            }
            bytes.clear();
            bytes.extend(self.files[row].to_le_bytes());
            cells().for_each(|cell| bytes.extend(cell.to_le_bytes()));
            seen.insert(xxh3_64(&bytes));
        }
        (seen.len(), empty)
    }
}

#[cfg(test)]
mod tests {
    use super::{Key, Rows};

    fn rows(table: &[(u32, u64, u64, u64)]) -> Rows {
        let mut rows = Rows::default();
        for (file, a, b, c) in table {
            rows.add(*file, [("a", *a), ("b", *b), ("c", *c)].into_iter());
        }
        rows
    }

    #[test]
    fn the_shortest_key_is_found_file_by_file() {
        let all = [("b", 0), ("a", 0), ("c", 0)];
        let key = |columns: &[&str], rows| {
            Some(Key {
                columns: columns.iter().map(|c| (*c).to_owned()).collect(),
                duplicates: 0,
                empty: 0,
                rows,
            })
        };
        // an update of row 1 in the next file is no duplicate
        let mut updated = rows(&[(0, 1, 7, 5), (0, 2, 7, 5), (1, 1, 7, 6)]);
        assert_eq!(updated.key(&all), key(&["a"], 3));
        let mut lines = rows(&[(0, 1, 1, 5), (0, 1, 2, 5), (0, 2, 1, 5)]);
        assert_eq!(lines.key(&all), key(&["b", "a"], 3));
        let mut same = rows(&[(0, 1, 1, 1), (0, 1, 1, 1)]);
        assert_eq!(same.key(&all), None);
    }

    #[test]
    fn a_likely_column_with_a_row_sent_twice_goes_before_an_unlikely_one() {
        let mut table: Vec<_> = (1..=40).map(|n| (0, n, n, 1)).collect();
        table[39].1 = 39;
        let found = rows(&table).key(&[("a", 4), ("b", -3)]).expect("a key");
        assert_eq!((found.columns, found.duplicates), (vec!["a".to_owned()], 1));
    }
}
