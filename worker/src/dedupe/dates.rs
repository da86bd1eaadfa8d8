//! In which notations the dates of a column are written, told from a sample of them, and what they say then.

use std::sync::LazyLock;

use jiff::civil::Date;
use musubi_clean::{date, text};

use super::written;

/// Notations that begin with the year: they are understood without being declared.
const YEAR_FIRST: [&str; 6] = [
    "%Y-%m-%d",
    "%Y/%m/%d",
    "%Y.%m.%d",
    "%Y%m%d",
    "%Y年%m月%d日",
    "wareki",
];

/// Stands among notations for dates whose month is a word.
const WORDS: &str = "words";

/// Notations that end with the year, month first and day first, in pairs. Years of two digits stand first: a year
/// of four takes them too.
const YEAR_LAST: [[&str; 2]; 7] = [
    ["%m/%d/%y", "%d/%m/%y"],
    ["%m-%d-%y", "%d-%m-%y"],
    ["%m.%d.%y", "%d.%m.%y"],
    ["%m/%d/%Y", "%d/%m/%Y"],
    ["%m-%d-%Y", "%d-%m-%Y"],
    ["%m.%d.%Y", "%d.%m.%Y"],
    ["%m%d%Y", "%d%m%Y"],
];

/// What a sample of a column's values tells of its dates.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Dates {
    /// Notations for [`read`]; nothing when normalisers understand the dates as they are.
    pub(super) format: Option<String>,
    /// Share of the values that are dates then.
    pub(super) understood: f64,
    /// Whether day and month could be told apart.
    pub(super) ambiguous: bool,
    /// Whether they are as far back as births are: half of them before 1990, and some before 1965.
    pub(super) reach_back: bool,
}

/// Looks at values. `month_first` says how a date is read of which nothing tells whether month or day comes first.
pub(super) fn look<'a>(values: impl Iterator<Item = &'a str>, month_first: bool) -> Dates {
    let values: Vec<String> = values.map(|v| text::fold(v).to_string()).collect();
    if values.is_empty() {
        return Dates::default();
    }
    let plain = |v: &String| is_birth(date::parse(v, None).value);
    let rest: Vec<&String> = values.iter().filter(|v| !plain(v)).collect();
    #[expect(clippy::cast_precision_loss, reason = "a share")]
    let share = |n: usize| n as f64 / values.len() as f64;
    let reads = |v: &str, format: &str| is_birth(read(v, format));
    let hits = |format: &str| rest.iter().filter(|v| reads(v, format)).count();
    let (mut formats, mut ambiguous) = (Vec::new(), false);
    for pair in YEAR_LAST {
        let [month, day] = pair.map(hits);
        // Eight digits with a slip look like it now and then.
        let few = pair[0] == "%m%d%Y" && (month + day) * 5 < rest.len().max(values.len() / 20);
        if month + day == 0 || few {
            continue;
        }
        ambiguous |= month == day;
        let first = if month == day {
            month_first
        } else {
            month > day
        };
        // What cannot be read in the order of most can only be meant in the other.
        formats.extend(if first { pair } else { [pair[1], pair[0]] });
    }
    formats.extend((hits(WORDS) > 0).then_some(WORDS));
    let all: Vec<&str> = YEAR_FIRST.into_iter().chain(formats).collect();
    let all = all.join(" | ");
    // Years first that only a time or a sign behind them hides count as well.
    let format = rest.iter().any(|v| reads(v, &all)).then_some(all);
    let said = |v: &String| match &format {
        Some(format) => read(v, format),
        None => date::parse(v, None).value,
    };
    let mut years: Vec<i16> = values
        .iter()
        .map(said)
        .filter(|date| is_birth(*date))
        .filter_map(|date| Some(date?.year()))
        .collect();
    years.sort_unstable();
    let before = |year: i16| years.iter().take_while(|y| **y < year).count();
    Dates {
        understood: share(years.len()),
        ambiguous,
        reach_back: before(1990) * 2 > years.len() && before(1965) * 20 > years.len(),
        format,
    }
}

/// Whether a date is one on which a person may have been born.
fn is_birth(date: Option<Date>) -> bool {
    date.is_some_and(|d| (1850..=2100).contains(&d.year()))
}

/// The date of birth that a value says in one of the notations, joined by ` | `. Nobody is born yet to come: with a year
/// of two digits, it was a hundred years earlier.
pub(super) fn read(value: &str, formats: &str) -> Option<Date> {
    let today = today();
    let folded = text::fold(value);
    let day = without_time(&folded);
    formats.split(" | ").find_map(|format| {
        if format == WORDS {
            return written::read(day, today.year());
        }
        let found = date::parse(day, Some(format)).value?;
        let to_come = format.contains("%y") && found > today;
        if to_come {
            Date::new(found.year() - 100, found.month(), found.day()).ok()
        } else {
            Some(found)
        }
    })
}

fn today() -> Date {
    static TODAY: LazyLock<Date> = LazyLock::new(|| jiff::Zoned::now().date());
    *TODAY
}

/// The text before a time of day, and without the `.0` of a number that was read as one with decimals.
fn without_time(text: &str) -> &str {
    let is_time = |rest: &str| {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        (1..=2).contains(&digits) && rest[digits..].starts_with(':')
    };
    let mut breaks = text.match_indices([' ', 'T']);
    let time = breaks.find(|(at, _)| is_time(&text[at + 1..]));
    let day = time.map_or(text, |(at, _)| &text[..at]);
    day.strip_suffix(".0")
        .filter(|number| number.bytes().all(|b| b.is_ascii_digit()))
        .unwrap_or(day)
        .trim_end()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notations_are_told_from_values() {
        for (values, understood, first) in [
            (&["1980-01-02", "19800102", "昭和55年1月2日"][..], 1.0, None),
            (&["13/02/1980", "01/02/1980"][..], 1.0, Some("%d/%m/%Y")),
            (&["02/13/1980", "01/02/1980"][..], 1.0, Some("%m/%d/%Y")),
            (
                &["12 Mar 1980", "1980-03-12", "x"][..],
                2.0 / 3.0,
                Some("words"),
            ),
            (&["12. März 1980", "1er août 1980"][..], 1.0, Some("words")),
            (&["19800102.0", "19800203.0"][..], 1.0, Some("wareki")),
            (
                &["02/13/1980 12:00:00 AM", "2/1/1980 0:00"][..],
                1.0,
                Some("%m/%d/%Y"),
            ),
            (&["hello", "1"][..], 0.0, None),
        ] {
            let found = look(values.iter().copied(), true);
            let rest = found.format.as_deref().unwrap_or_default();
            let mut rest = rest.split(" | ").skip(YEAR_FIRST.len() - 1);
            let last = rest.next();
            let got = rest.next().or(last).filter(|f| !f.is_empty());
            assert_eq!((found.understood, got), (understood, first), "{values:?}");
        }
    }

    #[test]
    fn what_nothing_tells_is_read_by_the_country_and_said() {
        let values = ["01/02/1980", "03/04/1981"];
        let [american, british] = [true, false].map(|m| look(values.into_iter(), m));
        assert!(american.ambiguous && british.ambiguous);
        let of = |d: Dates| d.format.unwrap_or_default();
        assert!(of(american).contains("%m/%d/%Y | %d/%m/%Y"));
        assert!(of(british).contains("%d/%m/%Y | %m/%d/%Y"));
    }

    #[test]
    fn nobody_is_born_yet_to_come() {
        for (value, format, want) in [
            ("03/02/45", "%m/%d/%y", "1945-03-02"),
            ("03/02/20", "%m/%d/%y", "2020-03-02"),
            ("1980-01-02T00:00:00.000Z", "%Y-%m-%d", "1980-01-02"),
        ] {
            let found = read(value, format).map(|d| d.to_string());
            assert_eq!(found.as_deref(), Some(want), "{value}");
        }
    }

    #[test]
    fn births_reach_far_back() {
        let of = |values: &[&str]| look(values.iter().copied(), false).reach_back;
        assert!(of(&["1950-01-02", "1971-02-03", "2001-03-04"]));
        assert!(!of(&["2019-01-02", "2020-02-03", "1971-03-04"]));
    }
}
