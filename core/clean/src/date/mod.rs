//! Dates and instants.

mod era;
mod exact;
mod instant;

use jiff::civil::{Date, DateTime};

use crate::{normalised::Normalised, text};

pub use instant::parse_timestamp;

/// Version of this normaliser; raised when any result changes.
pub const VERSION: u32 = 1;

/// Dates that systems write when they know none.
const PLACEHOLDERS: &[(i16, i8, i8)] = &[
    (1, 1, 1),
    (1000, 1, 1),
    (1753, 1, 1),
    (1800, 1, 1),
    (1899, 12, 30),
    (1899, 12, 31),
    (1900, 1, 1),
    (1901, 1, 1),
    (2099, 12, 31),
    (2999, 12, 31),
    (9999, 1, 1),
    (9999, 12, 31),
];

/// The order in which a column writes the parts of its dates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// 2026/11/24.
    YearFirst,
    /// 11/24/2026.
    MonthFirst,
    /// 24/11/2026.
    DayFirst,
}

impl Order {
    /// The strptime format to declare.
    #[must_use]
    pub const fn format(self) -> &'static str {
        match self {
            Self::YearFirst => "%Y/%m/%d",
            Self::MonthFirst => "%m/%d/%Y",
            Self::DayFirst => "%d/%m/%Y",
        }
    }
}

/// A calendar date. Without a format: year first (ISO 8601, `2026/1/5`, `20260105`, `2026年1月5日`) or an
/// imperial era (`令和8年1月5日`, `R8.1.5`, `昭和64/1/7`); month or day first only by a declared format.
/// `format` is strptime notation or `wareki`; several, joined by ` | `, are tried in turn. Impossible dates
/// are meaningless; an era that did not hold on that day, and placeholders (`1900-01-01`, `9999-12-31`), are invalid.
#[must_use]
pub fn parse(value: &str, format: Option<&str>) -> Normalised<Date> {
    let Some(folded) = text::present(value) else {
        return Normalised::absent();
    };
    let found = match format {
        None => undeclared(&folded),
        Some(formats) => formats
            .split('|')
            .find_map(|format| declared(&folded, format.trim())),
    };
    let Some((date, in_era)) = found else {
        return if is_zero(&folded) {
            Normalised::absent()
        } else {
            Normalised::meaningless()
        };
    };
    Normalised::judged(date, in_era && !is_placeholder(date))
}

/// The order of a column, from values whose parts can only be read one way; nothing when none can, or when they disagree.
pub fn detect_order<'a>(values: impl IntoIterator<Item = &'a str>) -> Option<Order> {
    let (mut month_first, mut day_first, mut year_first) = (false, false, false);
    for value in values {
        let folded = text::fold(value);
        let mut parts = folded.split(['/', '-', '.']).map(str::trim);
        let (Some(first), Some(second), Some(third)) = (parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        let third = third.split([' ', 'T']).next().unwrap_or(third);
        match (first.parse::<u32>(), second.parse::<u32>()) {
            (Ok(1000..), Ok(_)) if first.len() == 4 => year_first = true,
            (Ok(13..=31), Ok(1..=12)) if third.len() == 4 => day_first = true,
            (Ok(1..=12), Ok(13..=31)) if third.len() == 4 => month_first = true,
            _ => {}
        }
    }
    match (year_first, month_first, day_first) {
        (true, false, false) => Some(Order::YearFirst),
        (false, true, false) => Some(Order::MonthFirst),
        (false, false, true) => Some(Order::DayFirst),
        _ => None,
    }
}

/// Whether a date stands for "none".
#[must_use]
pub fn is_placeholder(date: Date) -> bool {
    PLACEHOLDERS.contains(&(date.year(), date.month(), date.day()))
}

fn is_zero(folded: &str) -> bool {
    folded
        .chars()
        .all(|c| matches!(c, '0' | '-' | '/' | '.' | ':' | ' '))
}

fn declared(folded: &str, format: &str) -> Option<(Date, bool)> {
    if format == "wareki" {
        return era::parse(folded);
    }
    let exact = exact::read(format, folded).map(DateTime::date);
    let date = exact.or_else(|| Date::strptime(format, folded).ok())?;
    Some((date, true))
}

fn undeclared(folded: &str) -> Option<(Date, bool)> {
    year_first(folded)
        .map(|date| (date, true))
        .or_else(|| era::parse(folded))
}

/// A date with its year first, whatever stands between, and a time after it that is not looked at.
pub(crate) fn year_first(folded: &str) -> Option<Date> {
    let bytes = folded.as_bytes();
    if bytes.len() == 8 && bytes.iter().all(u8::is_ascii_digit) {
        return civil(
            folded[..4].parse().ok()?,
            folded[4..6].parse().ok()?,
            folded[6..].parse().ok()?,
        );
    }
    let mut scan = Scan::new(folded);
    let year = scan.number(4, 4)?;
    scan.separator('年')?;
    let month = scan.number(1, 2)?;
    scan.separator('月')?;
    let day = scan.number(1, 2)?;
    if !scan.ends_date() {
        return None;
    }
    civil(i16::try_from(year).ok()?, month, day)
}

fn civil(year: i16, month: u32, day: u32) -> Option<Date> {
    Date::new(year, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()
}

/// Reads numbers and what separates them, from left to right.
struct Scan<'a> {
    rest: &'a str,
}

impl<'a> Scan<'a> {
    const fn new(text: &'a str) -> Self {
        Self { rest: text }
    }

    /// A number of so many digits.
    fn number(&mut self, least: usize, most: usize) -> Option<u32> {
        self.rest = self.rest.trim_start();
        let digits = self.rest.bytes().take_while(u8::is_ascii_digit).count();
        if digits < least || digits > most {
            return None;
        }
        let (number, rest) = self.rest.split_at(digits);
        self.rest = rest;
        number.parse().ok()
    }

    /// The character that names the part, or `/`, `.` or a dash.
    fn separator(&mut self, named: char) -> Option<()> {
        let rest = self.rest.trim_start();
        let c = rest.chars().next()?;
        if c != named && !matches!(c, '/' | '.') && !text::is_dash(c) {
            return None;
        }
        self.rest = &rest[c.len_utf8()..];
        Some(())
    }

    /// Whether the date ends here: nothing more, `日`, a day of the week, or a time.
    fn ends_date(&self) -> bool {
        let rest = self.rest.strip_prefix('日').unwrap_or(self.rest);
        let rest = rest.strip_suffix('生').unwrap_or(rest).trim_start();
        rest.is_empty() || rest.starts_with('(') || is_time(rest.strip_prefix('T').unwrap_or(rest))
    }
}

fn is_time(rest: &str) -> bool {
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    (1..=2).contains(&digits) && rest[digits..].starts_with([':', '時'])
}
