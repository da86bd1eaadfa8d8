//! In which notations the dates of a column are written, told from a sample of them.

use musubi_clean::{date, text};

/// Notations that begin with the year: they are understood without being declared.
const YEAR_FIRST: [&str; 9] = [
    "%Y-%m-%d",
    "%Y/%m/%d",
    "%Y.%m.%d",
    "%Y%m%d",
    "%Y年%m月%d日",
    "%Y-%m-%d %H:%M:%S",
    "%Y/%m/%d %H:%M:%S",
    "%Y-%m-%dT%H:%M:%S",
    "wareki",
];

/// Notations whose month is a word.
const WORDS: [&str; 14] = [
    "%d-%b-%y",
    "%d %b %y",
    "%d %b %Y",
    "%d %B %Y",
    "%d-%b-%Y",
    "%d-%B-%Y",
    "%d/%b/%Y",
    "%d. %B %Y",
    "%b %d %Y",
    "%B %d %Y",
    "%b %d, %Y",
    "%B %d, %Y",
    "%Y-%b-%d",
    "%Y %b %d",
];

/// Notations that end with the year, month first and day first, in pairs. Years of two digits stand first: a year
/// of four takes them too.
const YEAR_LAST: [[&str; 2]; 9] = [
    ["%m/%d/%y", "%d/%m/%y"],
    ["%m-%d-%y", "%d-%m-%y"],
    ["%m.%d.%y", "%d.%m.%y"],
    ["%m/%d/%Y", "%d/%m/%Y"],
    ["%m-%d-%Y", "%d-%m-%Y"],
    ["%m.%d.%Y", "%d.%m.%Y"],
    ["%m/%d/%Y %H:%M:%S", "%d/%m/%Y %H:%M:%S"],
    ["%m/%d/%Y %H:%M", "%d/%m/%Y %H:%M"],
    ["%m%d%Y", "%d%m%Y"],
];

/// What a sample of a column's values tells of its dates.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Dates {
    /// Notations to declare; nothing when they are understood without.
    pub(super) format: Option<String>,
    /// Share of the values that are dates then.
    pub(super) understood: f64,
    /// Whether day and month could be told apart.
    pub(super) ambiguous: bool,
}

/// Looks at values. `month_first` says how a date is read of which nothing tells whether month or day comes first.
pub(super) fn look<'a>(values: impl Iterator<Item = &'a str>, month_first: bool) -> Dates {
    let values: Vec<String> = values.map(|v| text::fold(v).to_string()).collect();
    if values.is_empty() {
        return Dates::default();
    }
    let plain = |v: &String| is_birth(v, None);
    let rest: Vec<&String> = values.iter().filter(|v| !plain(v)).collect();
    #[expect(clippy::cast_precision_loss, reason = "a share")]
    let share = |n: usize| n as f64 / values.len() as f64;
    let hits = |format: &str| rest.iter().filter(|v| is_birth(v, Some(format))).count();
    let mut formats: Vec<&str> = WORDS.into_iter().filter(|f| hits(f) > 0).collect();
    let mut ambiguous = false;
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
    if formats.is_empty() {
        return Dates {
            format: None,
            understood: share(values.len() - rest.len()),
            ambiguous: false,
        };
    }
    let all: Vec<&str> = YEAR_FIRST.into_iter().chain(formats).collect();
    let format = all.join(" | ");
    let read = values.iter().filter(|v| is_birth(v, Some(&format)));
    Dates {
        understood: share(read.count()),
        format: Some(format),
        ambiguous,
    }
}

/// Whether a value is a date on which a person may have been born.
fn is_birth(value: &str, format: Option<&str>) -> bool {
    let found = date::parse(value, format).value;
    found.is_some_and(|d| (1850..=2100).contains(&d.year()))
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
                Some("%d %b %Y"),
            ),
            (&["March 12, 1980"][..], 1.0, Some("%B %d, %Y")),
            (&["hello", "1"][..], 0.0, None),
        ] {
            let found = look(values.iter().copied(), true);
            let rest = found.format.as_deref().unwrap_or_default();
            let rest = rest.rsplit_once("wareki | ").map(|(_, rest)| rest);
            let got = rest.and_then(|rest| rest.split(" | ").next());
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
}
