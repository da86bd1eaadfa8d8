//! Holds a run's result against the truth of its world: who is who, which rows are bad, what was sold.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::Path,
};

use anyhow::{Context, Result};
use comfy_table::{Cell, CellAlignment, Color, Table, presets};
use serde::Serialize;

/// What a world knows to be true.
#[derive(Clone, Debug, Default)]
pub struct Truth {
    /// Person by record id.
    pub people: HashMap<String, String>,
    /// Household by person.
    pub households: HashMap<String, String>,
    /// Bad rows.
    pub bad: BTreeSet<BadRow>,
    /// Orders and yen by channel and date (ISO 8601).
    pub totals: BTreeMap<(String, String), (u64, i64)>,
}

/// A row that is, or should be, in quarantine.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct BadRow {
    /// Source.
    pub source: String,
    /// Stream.
    pub stream: String,
    /// File below the source's folder.
    pub file: String,
    /// Row of the file, from 1: its line (a header counts), or its element in a JSON document.
    pub row: u64,
}

/// What a run made of a world.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Customer id by record id.
    pub links: Vec<(String, String)>,
    /// Rows in quarantine.
    pub quarantined: Vec<BadRow>,
    /// Channel, business date (ISO 8601), orders and yen: one entry each.
    pub totals: Vec<(String, String, u64, i64)>,
}

/// The score.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Score {
    /// People in the truth, customers in the result, records that both know.
    pub people: usize,
    /// Customers that the run made of these records.
    pub customers: usize,
    /// Records that were scored.
    pub records: usize,
    /// Records of the truth that no customer holds.
    pub records_missing: usize,
    /// Records that the truth does not know.
    pub records_unknown: usize,
    /// Of the pairs of records that the run put together, the share that belongs together.
    pub pair_precision: f64,
    /// Of the pairs that belong together, the share that the run put together.
    pub pair_recall: f64,
    /// Harmonic mean of both.
    pub pair_f1: f64,
    /// B-cubed precision (Bagga and Baldwin 1998): per record, the share of its cluster that is the same person.
    pub bcubed_precision: f64,
    /// B-cubed recall: per record, the share of its person's records that are in its cluster.
    pub bcubed_recall: f64,
    /// Harmonic mean of both.
    pub bcubed_f1: f64,
    /// Of the pairs of records that the run put together, the share that are two people of one household.
    pub pairs_in_family: f64,
    /// Of the people, the share whose records are exactly one customer.
    pub exact_people: f64,
    /// Bad rows planted.
    pub planted: usize,
    /// Planted rows that are not in quarantine.
    pub quarantine_missing: Vec<BadRow>,
    /// Rows in quarantine that are not bad.
    pub quarantine_extra: Vec<BadRow>,
    /// Yen sold, in truth and in the result.
    pub yen: (i64, i64),
    /// Channels and days whose orders or yen differ: channel, date, truth, result.
    pub totals_wrong: Vec<(String, String, i64, i64)>,
}

impl Truth {
    /// Reads the folder `truth` of a world. `record_id` makes the id of a customer record from source,
    /// stream and the parts of its key.
    ///
    /// # Errors
    /// When a file is missing or not as the world writes it.
    pub fn read(folder: &Path, record_id: impl Fn(&str, &str, &[&str]) -> String) -> Result<Self> {
        let mut truth = Self::default();
        each(&folder.join("people.csv"), |row| {
            let key: Vec<&str> = row[2].split('|').collect();
            let id = record_id(&row[0], &row[1], &key);
            truth.people.insert(id, row[3].to_owned());
            truth
                .households
                .insert(row[3].to_owned(), row[4].to_owned());
            Ok(())
        })?;
        each(&folder.join("bad_rows.csv"), |row| {
            truth.bad.insert(BadRow {
                source: row[0].to_owned(),
                stream: row[1].to_owned(),
                file: row[2].to_owned(),
                row: row[3].parse()?,
            });
            Ok(())
        })?;
        each(&folder.join("totals.csv"), |row| {
            let key = (row[0].to_owned(), row[1].to_owned());
            truth.totals.insert(key, (row[2].parse()?, row[3].parse()?));
            Ok(())
        })?;
        Ok(truth)
    }
}

fn each(path: &Path, mut take: impl FnMut(&csv::StringRecord) -> Result<()>) -> Result<()> {
    let mut reader =
        csv::Reader::from_path(path).with_context(|| format!("cannot open {}", path.display()))?;
    for row in reader.records() {
        let row = row.with_context(|| format!("cannot read {}", path.display()))?;
        take(&row).with_context(|| format!("{} is not a file of the truth", path.display()))?;
    }
    Ok(())
}

impl Score {
    /// Holds an outcome against the truth.
    #[must_use]
    pub fn of(truth: &Truth, outcome: &Outcome) -> Self {
        let mut cells: HashMap<(&str, &str), u64> = HashMap::new();
        let mut records = 0;
        let mut unknown = 0;
        for (record, customer) in &outcome.links {
            if let Some(person) = truth.people.get(record) {
                *cells.entry((person, customer)).or_default() += 1;
                records += 1;
            } else {
                unknown += 1;
            }
        }
        let mut people: HashMap<&str, u64> = HashMap::new();
        let mut customers: HashMap<&str, u64> = HashMap::new();
        for ((person, customer), count) in &cells {
            *people.entry(person).or_default() += count;
            *customers.entry(customer).or_default() += count;
        }
        let pairs = |counts: &mut dyn Iterator<Item = u64>| -> f64 {
            counts.map(|n| n * (n - 1) / 2).sum::<u64>() as f64
        };
        let together = pairs(&mut cells.values().copied());
        let pair_precision = share(together, pairs(&mut customers.values().copied()));
        let mut homes: HashMap<(&str, &str), u64> = HashMap::new();
        for ((person, customer), count) in &cells {
            let home = truth
                .households
                .get(*person)
                .map_or(*person, String::as_str);
            *homes.entry((home, customer)).or_default() += count;
        }
        let in_family = pairs(&mut homes.values().copied()) - together;
        let exact = cells
            .iter()
            .filter(|((person, customer), n)| people[person] == **n && customers[customer] == **n)
            .count();
        let pair_recall = share(together, pairs(&mut people.values().copied()));
        // A sorted sum, so that the last digit does not depend on the order of a map.
        let bcubed = |whole: &dyn Fn(&(&str, &str)) -> u64| -> f64 {
            let mut parts: Vec<f64> = cells
                .iter()
                .map(|(key, n)| (n * n) as f64 / whole(key) as f64)
                .collect();
            parts.sort_by(f64::total_cmp);
            share(parts.iter().sum(), records as f64)
        };
        let bcubed_precision = bcubed(&|(_, customer)| customers[customer]);
        let bcubed_recall = bcubed(&|(person, _)| people[person]);
        let found: BTreeSet<&BadRow> = outcome.quarantined.iter().collect();
        let (yen, totals_wrong) = compare_totals(truth, outcome);
        Self {
            people: people.len(),
            customers: customers.len(),
            records,
            records_missing: truth.people.len().saturating_sub(records),
            records_unknown: unknown,
            pair_precision,
            pair_recall,
            pair_f1: harmonic(pair_precision, pair_recall),
            bcubed_precision,
            bcubed_recall,
            bcubed_f1: harmonic(bcubed_precision, bcubed_recall),
            pairs_in_family: in_family / pairs(&mut customers.values().copied()).max(1.0),
            exact_people: share(exact as f64, people.len() as f64),
            planted: truth.bad.len(),
            quarantine_missing: truth
                .bad
                .iter()
                .filter(|row| !found.contains(row))
                .cloned()
                .collect(),
            quarantine_extra: found
                .into_iter()
                .filter(|row| !truth.bad.contains(row))
                .cloned()
                .collect(),
            yen,
            totals_wrong,
        }
    }

    /// Whether quarantine and totals are exactly as the truth says.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.quarantine_missing.is_empty()
            && self.quarantine_extra.is_empty()
            && self.totals_wrong.is_empty()
    }

    /// The score as a table for a terminal.
    #[must_use]
    pub fn table(&self) -> String {
        let mut table = Table::new();
        table.load_style(presets::UTF8_FULL_CONDENSED);
        table.set_header(vec!["against the truth", "", ""]);
        let mut row = |what: &str, value: String, good: bool, note: String| {
            let color = if good { Color::Green } else { Color::Yellow };
            table.add_row(vec![
                Cell::new(what),
                Cell::new(value)
                    .set_alignment(CellAlignment::Right)
                    .fg(color),
                Cell::new(note),
            ]);
        };
        let percent = |share: f64| format!("{:.2} %", share * 100.0);
        row(
            "people",
            grouped(self.people as i64),
            true,
            format!(
                "{} records became {} customers",
                grouped(self.records as i64),
                grouped(self.customers as i64)
            ),
        );
        for (what, value, note) in [
            (
                "pairs: precision",
                self.pair_precision,
                "of what was put together",
            ),
            (
                "pairs: recall",
                self.pair_recall,
                "of what belongs together",
            ),
            ("pairs: F1", self.pair_f1, ""),
            ("B-cubed: precision", self.bcubed_precision, "per record"),
            ("B-cubed: recall", self.bcubed_recall, "per record"),
            ("B-cubed: F1", self.bcubed_f1, ""),
        ] {
            row(what, percent(value), value >= 0.9, note.to_owned());
        }
        row(
            "whole people",
            percent(self.exact_people),
            self.exact_people >= 0.8,
            "all their records, and no other's, are one customer".to_owned(),
        );
        row(
            "families mixed",
            percent(self.pairs_in_family),
            self.pairs_in_family < 0.01,
            "of what was put together are two people of one household".to_owned(),
        );
        let (missing, extra) = (self.quarantine_missing.len(), self.quarantine_extra.len());
        row(
            "quarantine",
            format!("{} of {}", self.planted - missing, self.planted),
            missing + extra == 0,
            format!("planted rows found; {missing} missed, {extra} too many"),
        );
        let wrong = self.totals_wrong.len();
        row(
            "sales in yen",
            grouped(self.yen.1),
            wrong == 0,
            if wrong == 0 {
                "to the yen, every channel and day".to_owned()
            } else {
                format!(
                    "{} in truth; {wrong} channel days differ",
                    grouped(self.yen.0)
                )
            },
        );
        table.to_string()
    }
}

type Totals = ((i64, i64), Vec<(String, String, i64, i64)>);

fn compare_totals(truth: &Truth, outcome: &Outcome) -> Totals {
    let mut result: BTreeMap<(String, String), (u64, i64)> = BTreeMap::new();
    for (channel, date, orders, yen) in &outcome.totals {
        let entry = result.entry((channel.clone(), date.clone())).or_default();
        entry.0 += orders;
        entry.1 += yen;
    }
    let days: BTreeSet<_> = truth.totals.keys().chain(result.keys()).collect();
    let wrong = days
        .into_iter()
        .filter_map(|key| {
            let expected = truth.totals.get(key).copied().unwrap_or_default();
            let got = result.get(key).copied().unwrap_or_default();
            (expected != got).then(|| (key.0.clone(), key.1.clone(), expected.1, got.1))
        })
        .collect();
    let sum = |map: &BTreeMap<_, (u64, i64)>| map.values().map(|(_, yen)| yen).sum();
    ((sum(&truth.totals), sum(&result)), wrong)
}

/// `part / whole`, and 1 where there is nothing to get wrong.
fn share(part: f64, whole: f64) -> f64 {
    if whole == 0.0 { 1.0 } else { part / whole }
}

fn harmonic(a: f64, b: f64) -> f64 {
    if a + b == 0.0 {
        0.0
    } else {
        2.0 * a * b / (a + b)
    }
}

/// 1234567 as `1,234,567`.
fn grouped(value: i64) -> String {
    let digits = value.unsigned_abs().to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    if value < 0 { format!("-{out}") } else { out }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn truth(people: &[(&str, &str)]) -> Truth {
        Truth {
            people: people
                .iter()
                .map(|(r, p)| ((*r).to_owned(), (*p).to_owned()))
                .collect(),
            ..Truth::default()
        }
    }

    fn links(links: &[(&str, &str)]) -> Outcome {
        Outcome {
            links: links
                .iter()
                .map(|(r, c)| ((*r).to_owned(), (*c).to_owned()))
                .collect(),
            ..Outcome::default()
        }
    }

    #[test]
    fn pairs_and_b_cubed_by_hand() {
        let truth = truth(&[("a", "1"), ("b", "1"), ("c", "1"), ("d", "2"), ("e", "2")]);
        // a b | c d e: pairs made ab cd ce de, right ab de; pairs true ab ac bc de.
        let score = Score::of(
            &truth,
            &links(&[("a", "x"), ("b", "x"), ("c", "y"), ("d", "y"), ("e", "y")]),
        );
        assert_eq!((score.pair_precision, score.pair_recall), (0.5, 0.5));
        // precision: 1 + 1 + 1/3 + 2/3 + 2/3; recall: 2/3 + 2/3 + 1/3 + 1 + 1; each over 5.
        assert!((score.bcubed_precision - 11.0 / 15.0).abs() < 1e-12);
        assert!((score.bcubed_recall - 11.0 / 15.0).abs() < 1e-12);
    }

    #[test]
    fn quarantine_and_totals_name_what_differs() {
        let bad = |row| BadRow {
            source: "pos".into(),
            stream: "sales".into(),
            file: "f".into(),
            row,
        };
        let mut truth = truth(&[]);
        truth.bad.extend([bad(1), bad(2)]);
        truth
            .totals
            .insert(("web".into(), "2026-10-01".into()), (2, 1000));
        let mut outcome = links(&[]);
        outcome.quarantined = vec![bad(2), bad(3)];
        outcome.totals = vec![("web".into(), "2026-10-01".into(), 2, 999)];
        let score = Score::of(&truth, &outcome);
        assert_eq!(score.quarantine_missing, [bad(1)]);
        assert_eq!(score.quarantine_extra, [bad(3)]);
        assert_eq!(
            score.totals_wrong,
            [("web".into(), "2026-10-01".into(), 1000, 999)]
        );
        assert!(!score.is_exact());
        assert!(score.table().contains("1 missed, 1 too many"));
    }

    #[test]
    fn thousands_are_grouped() {
        for (value, text) in [
            (0, "0"),
            (999, "999"),
            (-1234, "-1,234"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(grouped(value), text);
        }
    }
}
