//! Imperial eras.

use jiff::civil::{Date, date};

use super::{Scan, civil};

struct Era {
    kanji: &'static str,
    letter: char,
    first: Date,
    last: Date,
}

/// The modern eras with their first and last day; 明治 counts in the Gregorian calendar from 1873 on, and
/// its earlier years are read the same way.
const ERAS: [Era; 5] = [
    Era {
        kanji: "令和",
        letter: 'R',
        first: date(2019, 5, 1),
        last: date(9999, 12, 31),
    },
    Era {
        kanji: "平成",
        letter: 'H',
        first: date(1989, 1, 8),
        last: date(2019, 4, 30),
    },
    Era {
        kanji: "昭和",
        letter: 'S',
        first: date(1926, 12, 25),
        last: date(1989, 1, 7),
    },
    Era {
        kanji: "大正",
        letter: 'T',
        first: date(1912, 7, 30),
        last: date(1926, 12, 24),
    },
    Era {
        kanji: "明治",
        letter: 'M',
        first: date(1868, 1, 25),
        last: date(1912, 7, 29),
    },
];

/// A date of an era, and whether the era held on that day (`昭和64年1月8日` names a day of 平成).
pub(super) fn parse(folded: &str) -> Option<(Date, bool)> {
    let (era, rest) = era_of(folded)?;
    let (year, rest) = year_of(rest)?;
    let mut scan = Scan::new(rest);
    scan.separator('年')?;
    let month = scan.number(1, 2)?;
    scan.separator('月')?;
    let day = scan.number(1, 2)?;
    if !scan.ends_date() {
        return None;
    }
    finish(era, year, month, day)
}

fn finish(era: &Era, year: u32, month: u32, day: u32) -> Option<(Date, bool)> {
    let year = era.first.year() + i16::try_from(year).ok()? - 1;
    let date = civil(year, month, day)?;
    Some((date, (era.first..=era.last).contains(&date)))
}

fn era_of(folded: &str) -> Option<(&'static Era, &str)> {
    for era in &ERAS {
        if let Some(rest) = folded.strip_prefix(era.kanji) {
            return Some((era, rest));
        }
        let short = era.kanji.chars().next()?;
        let mut rest = folded.chars();
        let first = rest.next()?;
        if first == short || first.eq_ignore_ascii_case(&era.letter) {
            let rest = rest.as_str();
            return Some((era, rest.strip_prefix('.').unwrap_or(rest)));
        }
    }
    None
}

/// The year of an era (`元` is 1), in digits; compact dates (`S640107`) keep two digits.
fn year_of(rest: &str) -> Option<(u32, &str)> {
    let rest = rest.trim_start();
    if let Some(rest) = rest.strip_prefix('元') {
        return Some((1, rest));
    }
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    if !(1..=2).contains(&digits) {
        return None;
    }
    let year = rest[..digits].parse().ok().filter(|year| *year > 0)?;
    Some((year, &rest[digits..]))
}
