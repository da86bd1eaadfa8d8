//! The notations that most systems write, read without the general parser.

use jiff::civil::{Date, DateTime};

/// The moment that a text says in a strptime format of `%Y`, `%m`, `%d`, `%H`, `%M`, `%S` and signs between
/// them, every number with all its digits; a date alone is its first moment. `None` when format or text are
/// otherwise: then the general parser decides.
pub(super) fn read(format: &str, text: &str) -> Option<DateTime> {
    let mut rest = text.as_bytes();
    let (mut year, mut parts) = (None, [None; 5]);
    let mut signs = format.bytes();
    while let Some(sign) = signs.next() {
        if sign != b'%' {
            rest = rest.strip_prefix(&[sign])?;
            continue;
        }
        let at = match signs.next()? {
            b'Y' if year.is_none() => {
                year = Some(i16::try_from(number(&mut rest, 4)?).ok()?);
                continue;
            }
            b'm' => 0,
            b'd' => 1,
            b'H' => 2,
            b'M' => 3,
            b'S' => 4,
            _ => return None,
        };
        let part = i8::try_from(number(&mut rest, 2)?).ok()?;
        if parts[at].replace(part).is_some() {
            return None;
        }
    }
    let (hour, minute, second) = match parts[2..] {
        [None, None, None] => (0, 0, 0),
        [Some(hour), Some(minute), second] => (hour, minute, second.unwrap_or(0)),
        _ => return None,
    };
    let in_day = hour < 24 && minute < 60 && second < 60;
    let date = Date::new(year?, parts[0]?, parts[1]?).ok()?;
    (rest.is_empty() && in_day).then(|| date.at(hour, minute, second, 0))
}

fn number(rest: &mut &[u8], digits: usize) -> Option<u16> {
    let (number, behind) = rest.split_at_checked(digits)?;
    *rest = behind;
    number.iter().try_fold(0, |sum: u16, digit| {
        let digit = digit.is_ascii_digit().then(|| digit - b'0')?;
        Some(sum * 10 + u16::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_here_is_what_the_general_parser_reads() {
        let formats = [
            "%Y-%m-%d",
            "%Y%m%d",
            "%Y/%m/%d %H:%M",
            "%d.%m.%Y %H:%M:%S",
            "%Y-%m-%dT%H:%M:%S",
            "%Y年%m月%d日",
        ];
        let texts = [
            "2026-02-28",
            "2026-02-30",
            "20260228",
            "2026/02/28 23:59",
            "2026/02/28 24:00",
            "2026/2/28 3:59",
            "28.02.2026 09:05:06",
            "28.02.2026 09:05:60",
            "2026-02-28T00:00:00",
            "2026-02-28T00:00:00Z",
            "2026年02月28日",
            "",
        ];
        let mut read_here = 0;
        for format in formats {
            for text in texts {
                let Some(here) = read(format, text) else {
                    continue;
                };
                read_here += 1;
                let there = jiff::fmt::strtime::parse(format, text).unwrap();
                let midnight = || there.to_date().map(|date| date.at(0, 0, 0, 0));
                assert_eq!(there.to_datetime().or_else(|_| midnight()).unwrap(), here);
            }
        }
        assert_eq!(read_here, 6);
    }
}
