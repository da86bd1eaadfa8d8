//! In which notation a date or time is written.

use musubi_clean::{date, text};

/// A notation, as the format that a mapping declares for it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Notation {
    /// The date: a strptime format, `wareki`, or [`YEAR_LAST`] with its separator while nobody knows which part is the month.
    pub(super) date: String,
    /// The time, with what stands before it; empty for a date alone.
    pub(super) time: &'static str,
    /// The first number of a date with its year last is above 12.
    pub(super) day_first: bool,
    /// The second is.
    pub(super) month_first: bool,
}

/// Stands for month and day in either order.
pub(super) const YEAR_LAST: &str = "?";

/// The notation of a value; nothing when it is no date.
pub(super) fn notation(value: &str) -> Option<Notation> {
    let folded = text::fold(value);
    let first = folded.chars().next()?;
    if folded.len() > 40 || !(first.is_ascii_digit() || "明大昭平令MTSHRmtshr".contains(first))
    {
        return None;
    }
    let at = folded.find([' ', 'T']).filter(|at| *at > 0);
    let (date, time) = at.map_or((&*folded, ""), |at| folded.split_at(at));
    if !first.is_ascii_digit() {
        let era = date::parse(&folded, Some("wareki"));
        return era.value.map(|_| plain("wareki".into(), ""));
    }
    let digits = date.len() == date.bytes().filter(u8::is_ascii_digit).count();
    match (digits, date.len(), time) {
        (true, 8, _) => {
            known(&date[..4], &date[4..6], &date[6..])?;
            return Some(plain("%Y%m%d".into(), clock(time)?));
        }
        (true, 14, "") => {
            known(&date[..4], &date[4..6], &date[6..8])?;
            return Some(plain("%Y%m%d".into(), "%H%M%S"));
        }
        (true, ..) => return None,
        _ => {}
    }
    if date.contains('年') {
        date::parse(date, None).value?;
        return Some(plain("%Y年%m月%d日".into(), clock(time)?));
    }
    let separator = date.chars().find(|c| matches!(c, '-' | '/' | '.'))?;
    let parts: Vec<&str> = date.split(separator).collect();
    let [a, b, c] = parts.as_slice() else {
        return None;
    };
    if a.len() == 4 {
        known(a, b, c)?;
        return Some(plain(format!("%Y{separator}%m{separator}%d"), clock(time)?));
    }
    let (first, second) = (a.parse::<u8>().ok()?, b.parse::<u8>().ok()?);
    let year: i16 = c.parse().ok()?;
    let possible = c.len() == 4
        && (1800..=2200).contains(&year)
        && (1..=31).contains(&first.max(second))
        && (1..=12).contains(&first.min(second));
    possible.then(|| Notation {
        date: format!("{YEAR_LAST}{separator}"),
        time: clock(time).unwrap_or_default(),
        day_first: first > 12,
        month_first: second > 12,
    })
}

fn plain(date: String, time: &'static str) -> Notation {
    Notation {
        date,
        time,
        day_first: false,
        month_first: false,
    }
}

fn known(year: &str, month: &str, day: &str) -> Option<()> {
    let year: i16 = year
        .parse()
        .ok()
        .filter(|y| (1800..=2200).contains(y) || *y == 9999)?;
    jiff::civil::Date::new(year, month.parse().ok()?, day.parse().ok()?)
        .ok()
        .map(|_| ())
}

/// The format of a time of day with what stands before it; nothing when it is none.
fn clock(time: &str) -> Option<&'static str> {
    let (iso, rest) = match time.as_bytes() {
        [] => return Some(""),
        [b'T', ..] => (true, &time[1..]),
        _ => (false, time.trim_start()),
    };
    let numbers = rest.split(['+', 'Z', '-']).next().unwrap_or_default();
    if numbers.len() < rest.len() {
        return Some(OFFSET);
    }
    let shape: String = numbers
        .chars()
        .map(|c| if c.is_ascii_digit() { '9' } else { c })
        .collect();
    Some(match (iso, shape.as_str()) {
        (true, "99:99") => "T%H:%M",
        (true, "99:99:99") => "T%H:%M:%S",
        (false, "99:99" | "9:99") => " %H:%M",
        (false, "99:99:99" | "9:99:99") => " %H:%M:%S",
        (_, s) if s.starts_with("99:99:99.9") => " %H:%M:%S%.f",
        _ => return None,
    })
}

/// A time with its offset from UTC.
pub(super) const OFFSET: &str = " with offset";

#[cfg(test)]
mod tests {
    use super::notation;

    #[test]
    fn notations() {
        for (value, date, time) in [
            ("2026-11-24", "%Y-%m-%d", ""),
            ("2026/1/5 9:05", "%Y/%m/%d", " %H:%M"),
            ("20261124", "%Y%m%d", ""),
            ("20261124090506", "%Y%m%d", "%H%M%S"),
            ("2026年11月24日", "%Y年%m月%d日", ""),
            ("昭和60年4月3日", "wareki", ""),
            ("S60.4.3", "wareki", ""),
            ("5/14/1965", "?/", ""),
            ("2009-01-07 00:00:00.000", "%Y-%m-%d", " %H:%M:%S%.f"),
            ("2026-11-24T09:05:06+09:00", "%Y-%m-%d", " with offset"),
        ] {
            let found = notation(value).unwrap_or_else(|| panic!("{value}"));
            assert_eq!((found.date.as_str(), found.time), (date, time), "{value}");
        }
        for value in [
            "",
            "12",
            "12345678",
            "20261399",
            "13/13/2026",
            "1.2.3",
            "S1",
            "Hello",
            "2026-11-24x",
        ] {
            assert_eq!(notation(value), None, "{value}");
        }
    }
}
