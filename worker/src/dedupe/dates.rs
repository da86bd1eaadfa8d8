//! In which notations the dates of a column are written, told from a sample of them, and what they say then.

use std::sync::LazyLock;

use jiff::{Timestamp, ToSpan as _, civil::Date, tz::TimeZone};
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

/// Six digits: year first, month first, day first.
const SHORT: [&str; 3] = ["%y%m%d", "%m%d%y", "%d%m%y"];

/// Stand among notations for numbers that count: days as spreadsheets do, seconds and milliseconds since 1970.
const COUNTS: [&str; 3] = ["serial", "seconds", "milliseconds"];

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

/// Looks at values. `month_first` says how a date is read of which nothing tells whether month or day comes first;
/// `said`, that they are dates, whatever they look like: then numbers may count days or seconds.
pub(super) fn look<'a>(
    values: impl Iterator<Item = &'a str>,
    month_first: bool,
    said: bool,
) -> Dates {
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
    // A number is one by chance now and then: most have to be.
    let numbers = SHORT
        .into_iter()
        .chain(said.then_some(COUNTS).into_iter().flatten());
    let numbers = numbers.map(|format| (hits(format), format));
    let most = numbers.rev().max_by_key(|(hits, _)| *hits);
    formats.extend(
        most.filter(|(hits, _)| hits * 10 >= values.len() * 9)
            .map(|(_, f)| f),
    );
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
        if COUNTS.contains(&format) {
            return counted(day, format).filter(|date| *date <= today);
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

/// The date that a number counts to. Spreadsheets begin on 30 December 1899; what they count before 1910 are small
/// numbers of anything, and so are the first months of seconds.
fn counted(number: &str, format: &str) -> Option<Date> {
    // Telephone numbers begin with zeros.
    let n: i64 = (!number.starts_with('0')).then_some(number)?.parse().ok()?;
    let since_1970 = match format {
        "serial" => {
            let days = (3653..100_000).contains(&n).then_some(n)?;
            return Date::constant(1899, 12, 30).checked_add(days.days()).ok();
        }
        "seconds" if n.abs() >= 10_000_000 => Timestamp::from_second(n),
        "milliseconds" if n.abs() >= 10_000_000_000 => Timestamp::from_millisecond(n),
        _ => return None,
    };
    Some(since_1970.ok()?.to_zoned(TimeZone::UTC).date())
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
            (&["500102", "851231", "991130"][..], 1.0, Some("%y%m%d")),
            (&["310150", "311285"][..], 1.0, Some("%d%m%y")),
            (&["500102", "123456", "999999"][..], 0.0, None),
            (&["30567", "12345"][..], 0.0, None),
            (&["hello", "1"][..], 0.0, None),
        ] {
            let found = look(values.iter().copied(), true, false);
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
        let [american, british] = [true, false].map(|m| look(values.into_iter(), m, false));
        assert!(american.ambiguous && british.ambiguous);
        let of = |d: Dates| d.format.unwrap_or_default();
        assert!(of(american).contains("%m/%d/%Y | %d/%m/%Y"));
        assert!(of(british).contains("%d/%m/%Y | %m/%d/%Y"));
    }

    #[test]
    fn numbers_count_when_they_are_said_to_be_dates() {
        for (values, first) in [
            (["30567", "12346.0", "29221"], "1983-09-08"),
            (["432000000", "-86400000", "-631152000"], "1983-09-10"),
            (
                ["432000000000", "-631152000000", "315532800000"],
                "1983-09-10",
            ),
        ] {
            let found = look(values.into_iter(), true, true);
            let format = found.format.expect("a notation");
            let date = read(values[0], &format).map(|d| d.to_string());
            assert_eq!(date.as_deref(), Some(first), "{format}");
        }
        let postcodes = look(["99999", "95014", "94043"].into_iter(), true, true);
        assert_eq!(postcodes.understood, 0.0, "nobody is born yet to come");
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
        let of = |values: &[&str]| look(values.iter().copied(), false, false).reach_back;
        assert!(of(&["1950-01-02", "1971-02-03", "2001-03-04"]));
        assert!(!of(&["2019-01-02", "2020-02-03", "1971-03-04"]));
    }
}
