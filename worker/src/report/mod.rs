//! The summary on the terminal and the page a person looks at. Neither holds a value of a person.

pub(crate) mod chart;
mod collect;
pub(crate) mod explain;
mod flow;
pub(crate) mod graph;
pub(crate) mod html;
mod paint;
mod quality;
mod questions;
pub(crate) mod reliability;
mod summary;
mod totals;
mod write;

use serde::{Deserialize, Serialize};

pub use collect::collect;
pub use html::html;
pub use paint::Paint;
pub use questions::questions;
pub use summary::summary;
pub use totals::SourceTotal;
pub use write::write;

use crate::stage::accounts::Account;

/// What a run came to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunSummary {
    /// Pipeline.
    pub pipeline: String,
    /// Run.
    pub run: String,
    /// Version that was published; `None` when nothing was.
    pub version: Option<u64>,
    /// What came in and what became of it, by source and stream.
    pub streams: Vec<Account>,
    /// Clean customer records.
    pub records: u64,
    /// Customers that they became.
    pub customers: u64,
    /// Rows of each published table.
    pub tables: Vec<(String, u64)>,
    /// Where things are: `lake` → `out/lake`, `warehouse` → `out/bento.db`, `report` → ….
    pub places: Vec<(String, String)>,
    /// The stages.
    pub stages: Vec<StageTime>,
    /// Commands to try next, with what they do.
    pub next: Vec<(String, String)>,
}

/// How long a stage took.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StageTime {
    /// Stage.
    pub stage: String,
    /// Shards.
    pub shards: u32,
    /// Shards that were done already.
    pub reused: u32,
    /// Milliseconds.
    pub millis: u64,
}

/// Everything on the page. [`collect`] fills what the warehouse knows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReportData {
    /// The run.
    pub summary: RunSummary,
    /// The instant the run speaks for, as text.
    pub as_of: String,
    /// ISO 4217 code of most orders, lower case.
    pub currency: String,
    /// Customers by channels they bought in: (`store + web`, customers).
    pub channels: Vec<(Vec<String>, u64)>,
    /// Sales by day and channel, in 1/10,000 of the currency.
    pub sales: Vec<Sale>,
    /// What each source says it sold, taken from its clean rows.
    pub source_totals: Vec<SourceTotal>,
    /// Pairs that were kept, by match weight (lower edge of a bin, in bits).
    pub weights: Vec<(f64, u64)>,
    /// Customers by how many records they have.
    pub clusters: Vec<(u64, u64)>,
    /// The five questions.
    pub answers: Vec<Answer>,
}

/// Sales of a day in a channel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sale {
    /// Business day.
    pub date: String,
    /// Channel.
    pub channel: String,
    /// Amount in 1/10,000 of the currency.
    pub amount: i64,
}

/// The answer to a question.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// The question.
    pub question: String,
    /// Its SQL, in the words of SQLite.
    pub sql: String,
    /// Columns of the result.
    pub columns: Vec<String>,
    /// Rows of the result.
    pub rows: Vec<Vec<Cell>>,
    /// Which column the chart shows, beside the first.
    pub shown: usize,
    /// What its numbers are.
    pub unit: Unit,
    /// What the figures mean, in a sentence.
    pub sentence: String,
}

/// What a number counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Unit {
    /// Things.
    #[default]
    Count,
    /// Amounts of the report's currency.
    Money,
    /// Parts of a hundred.
    Percent,
}

/// A cell of a result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Cell {
    /// Nothing.
    Empty,
    /// A number.
    Number(f64),
    /// A text.
    Text(String),
}

impl Cell {
    /// The number, if it is one.
    #[must_use]
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Number(n) => Some(*n),
            Self::Empty | Self::Text(_) => None,
        }
    }
}

impl std::fmt::Display for Cell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Empty => f.write_str("–"),
            Self::Text(text) => f.write_str(text),
            Self::Number(n) if n.fract() == 0.0 => f.write_str(&grouped(*n as i64)),
            Self::Number(n) => write!(f, "{n}"),
        }
    }
}

/// A whole number with its thousands apart: `24,914,586`.
#[must_use]
pub fn grouped(n: i64) -> String {
    let digits = n.unsigned_abs().to_string();
    let mut out = String::from(if n < 0 { "-" } else { "" });
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// A count with its thousands apart.
#[must_use]
pub(crate) fn count(n: u64) -> String {
    grouped(i64::try_from(n).unwrap_or(i64::MAX))
}

/// An amount in 1/10,000 of a currency, as people write it; a fraction is shown when there is one.
#[must_use]
pub fn money(currency: &str, units: i64) -> String {
    let (whole, fraction) = (units.unsigned_abs() / 10_000, units.unsigned_abs() % 10_000);
    let mut amount = count(whole);
    if fraction != 0 {
        let digits = format!("{fraction:04}");
        amount = format!("{amount}.{}", digits.trim_end_matches('0'));
    }
    let sign = if units < 0 { "-" } else { "" };
    match currency {
        "jpy" => format!("{sign}¥{amount}"),
        other => format!("{sign}{amount} {}", other.to_uppercase()),
    }
}

/// Milliseconds as a person says them.
pub(crate) fn duration(millis: u64) -> String {
    match millis {
        0..1_000 => format!("{millis} ms"),
        1_000..60_000 => format!("{}.{} s", millis / 1_000, millis % 1_000 / 100),
        _ => format!("{} min {} s", millis / 60_000, millis % 60_000 / 1_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_for_people() {
        let cases = [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (-24_914_586, "-24,914,586"),
        ];
        for (n, text) in cases {
            assert_eq!(grouped(n), text);
        }
        assert_eq!(
            (
                money("jpy", -8_000_000),
                money("usd", 125_500),
                money("usd", -1_000)
            ),
            ("-¥800".into(), "12.55 USD".into(), "-0.1 USD".into())
        );
        assert_eq!(
            (duration(950), duration(1_250), duration(61_000)),
            ("950 ms".into(), "1.2 s".into(), "1 min 1 s".into())
        );
    }
}
