//! What is counted of one column, value by value.

use std::collections::BTreeMap;

use hashbrown::HashMap;
use musubi_clean::{flag, money};
use serde::Serialize;
use xxhash_rust::xxh3::xxh3_64;

use super::{
    meaning::{self, Meaning},
    notation::{Notation, OFFSET, YEAR_LAST, notation},
    shape::shape,
    sketch::Distinct,
};

/// Shapes that are kept apart; what comes after counts as "others".
const SHAPES: usize = 4096;
/// Share of values from which a column counts as being of a type.
const MOST: f64 = 0.95;

/// Counts of one column. No value is kept.
#[derive(Debug, Default)]
pub(crate) struct Column {
    values: u64,
    distinct: Distinct,
    shapes: HashMap<String, u64>,
    others: u64,
    integers: u64,
    decimals: u64,
    flags: u64,
    /// Values with a leading zero that are more than zero: codes, not numbers.
    codes: u64,
    emails: u64,
    phones: u64,
    kana: u64,
    pub(crate) japanese: u64,
    notations: BTreeMap<(String, &'static str), u64>,
    day_first: bool,
    month_first: bool,
}

/// The hash by which values are told apart.
pub(super) fn hash(value: &str) -> u64 {
    xxh3_64(value.trim().as_bytes())
}

impl Column {
    pub(crate) fn add(&mut self, value: &str) {
        self.values += 1;
        self.distinct.add(hash(value));
        let shape = shape(value);
        let room = self.shapes.len() < SHAPES;
        match self.shapes.get_mut(&shape) {
            Some(count) => *count += 1,
            None if room => {
                self.shapes.insert(shape, 1);
            }
            None => self.others += 1,
        }
        let text = value.trim();
        let digits = text.bytes().filter(u8::is_ascii_digit).count();
        if digits > 0 {
            self.number(text, digits);
        }
        if let Some(found) = notation(text) {
            self.date(found);
        }
        if text.len() < 24 && flag::parse(text).value.is_some() {
            self.flags += 1;
        }
        self.emails += u64::from(meaning::is_email(text));
        let is_kana = |c: char| matches!(c, 'ァ'..='ヿ' | 'ｦ'..='ﾟ' | 'ぁ'..='ゟ' | ' ' | '　');
        self.kana += u64::from(text.chars().all(is_kana));
        self.japanese += u64::from(
            text.chars()
                .any(|c| matches!(c, 'ぁ'..='ヿ' | '\u{4e00}'..='\u{9fff}')),
        );
    }

    fn number(&mut self, text: &str, digits: usize) {
        let bare = text.trim_start_matches(['+', '-']);
        let all_digits = bare.len() == digits;
        self.codes += u64::from(all_digits && digits > 1 && bare.starts_with('0'));
        self.phones += u64::from(
            (9..=15).contains(&digits)
                && text
                    .chars()
                    .all(|c| c.is_ascii_digit() || " +-()./".contains(c)),
        );
        if all_digits && digits < 19 {
            self.integers += 1;
        } else if text.len() < 32 && money::parse(text).value.is_some() {
            self.decimals += 1;
        }
    }

    fn date(&mut self, found: Notation) {
        *self.notations.entry((found.date, found.time)).or_default() += 1;
        self.day_first |= found.day_first;
        self.month_first |= found.month_first;
    }

    /// What was found, of `rows` rows.
    pub(crate) fn report(&self, name: &str, rows: u64) -> ColumnReport {
        let kind = self.kind();
        let mut shapes: Vec<_> = self.shapes.iter().collect();
        shapes.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
        let share = |n: u64| percent(n, self.values);
        let top = shapes.iter().take(4);
        let mut report = ColumnReport {
            name: name.to_owned(),
            kind,
            rows,
            null_percent: percent(rows.saturating_sub(self.values), rows),
            distinct: self.distinct.count(),
            distinct_is_exact: self.distinct.is_exact(),
            shapes: top
                .map(|(shape, n)| Share {
                    text: (*shape).clone(),
                    percent: share(**n),
                })
                .collect(),
            notations: self.notations(),
            email_percent: share(self.emails),
            phone_percent: share(self.phones),
            kana_percent: share(self.kana),
            of_type_percent: share(self.of(kind)),
            meaning: None,
        };
        report.meaning = meaning::of(&report);
        report
    }

    fn of(&self, kind: Kind) -> u64 {
        match kind {
            Kind::Integer => self.integers - self.codes.min(self.integers),
            Kind::Decimal => self.integers + self.decimals,
            Kind::Date => self.dates(false),
            Kind::Timestamp => self.dates(true),
            Kind::Flag => self.flags,
            Kind::Text => self.values,
        }
    }

    /// Dates alone, or dates with and without a time.
    fn dates(&self, with_time: bool) -> u64 {
        let each = self.notations.iter();
        each.filter(|((_, time), _)| with_time || time.is_empty())
            .map(|(_, n)| n)
            .sum()
    }

    fn kind(&self) -> Kind {
        let most = |n: u64| self.values > 0 && n as f64 >= MOST * self.values as f64;
        let few = self.distinct.count() <= 3;
        let all = [
            Kind::Date,
            Kind::Timestamp,
            Kind::Integer,
            Kind::Decimal,
            Kind::Flag,
        ];
        let codes = self.codes * 50 > self.values;
        all.into_iter()
            .filter(|kind| !matches!(kind, Kind::Integer | Kind::Decimal) || !codes)
            .filter(|kind| *kind != Kind::Flag || few)
            .find(|kind| most(self.of(*kind)))
            .unwrap_or(Kind::Text)
    }

    fn notations(&self) -> Vec<Share> {
        let mut found: Vec<_> = self.notations.iter().collect();
        found.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
        let total: u64 = found.iter().map(|(_, n)| **n).sum();
        // A few dates among other texts are chance.
        if (total as f64) < 0.5 * self.values as f64 {
            return Vec::new();
        }
        let text = |(date, time): &(String, &str)| {
            let date = match date.strip_prefix(YEAR_LAST) {
                Some(s) if self.day_first && !self.month_first => format!("%d{s}%m{s}%Y"),
                // Nothing says which: month first, as most systems that write the year last.
                Some(s) => format!("%m{s}%d{s}%Y"),
                None => date.clone(),
            };
            format!("{date}{time}")
        };
        found
            .into_iter()
            .map(|(key, n)| Share {
                text: text(key),
                percent: percent(*n, self.values),
            })
            .collect()
    }
}

/// `part` of `whole` in percent, to a tenth.
#[expect(clippy::cast_precision_loss, reason = "shown to a person")]
pub(super) fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        return 0.0;
    }
    (part as f64 / whole as f64 * 1000.0).round() / 10.0
}

/// Types of columns, as a contract names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum Kind {
    Text,
    Integer,
    Decimal,
    Date,
    Timestamp,
    Flag,
}

impl Kind {
    /// Its word in a contract.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Integer => "integer",
            Self::Decimal => "decimal",
            Self::Date => "date",
            Self::Timestamp => "timestamp",
            Self::Flag => "flag",
        }
    }
}

/// A shape or notation, and how many of the values have it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Share {
    /// The shape, or the format.
    pub text: String,
    /// Percent of the values.
    pub percent: f64,
}

/// What was found in a column.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ColumnReport {
    /// Name or path; `items[].sku` is a member of the elements of an array, `line.数量` a column of a record type.
    pub name: String,
    /// Type of at least 95 % of the values.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// Percent of the values that are of that type.
    pub of_type_percent: f64,
    /// Rows (or elements of an array) that may have the column.
    pub rows: u64,
    /// Percent of rows without a value.
    pub null_percent: f64,
    /// Different values.
    pub distinct: u64,
    /// Whether `distinct` was counted, and not estimated.
    pub distinct_is_exact: bool,
    /// The most frequent shapes; never a value.
    pub shapes: Vec<Share>,
    /// Notations of dates and times.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notations: Vec<Share>,
    /// What it probably holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meaning: Option<Meaning>,
    #[serde(skip)]
    pub(crate) email_percent: f64,
    #[serde(skip)]
    pub(crate) phone_percent: f64,
    #[serde(skip)]
    pub(crate) kana_percent: f64,
}

impl ColumnReport {
    /// The `format` that a mapping of the column has to declare; nothing when dates are understood without.
    pub(super) fn format(&self) -> Option<String> {
        let texts = || self.notations.iter().map(|n| n.text.as_str());
        if texts().any(|t| t.ends_with(OFFSET))
            || texts().all(|t| t.starts_with("%Y") && !t.contains("年"))
        {
            return None;
        }
        Some(texts().collect::<Vec<_>>().join(" | "))
    }
}
