//! Instants: UTC microseconds.

use jiff::{Timestamp, civil::DateTime, fmt::strtime, tz::TimeZone};

use super::{exact, is_placeholder, is_zero, year_first};
use crate::{normalised::Normalised, text};

/// From 1902 to 2098: no placeholder is among them, wherever the clock stands.
const PLAIN_YEARS: std::ops::Range<i64> = -2_145_916_800..4_070_908_800;

/// What is tried first where no format is declared, by length.
const PLAIN_FORMATS: [(usize, &str); 4] = [
    (10, "%Y-%m-%d"),
    (19, "%Y-%m-%d %H:%M:%S"),
    (19, "%Y/%m/%d %H:%M:%S"),
    (16, "%Y/%m/%d %H:%M"),
];

/// An instant as UTC microseconds since 1970. Without a format: RFC 3339, ISO 8601 with or without offset, and
/// `2026/11/24 9:05[:06]`, `2026年11月24日 9時5分`, a date alone is its first moment. A time without an offset is of `zone`;
/// one that a change of clocks skips is read with the offset before it (so it falls later), one that occurs twice is the
/// first. `format` is strptime notation, `unix` or `unix-ms`, or `wareki`; several, joined by ` | `, are tried in turn.
#[must_use]
pub fn parse_timestamp(value: &str, format: Option<&str>, zone: &TimeZone) -> Normalised<i64> {
    let Some(folded) = text::present(value) else {
        return Normalised::absent();
    };
    let found = match format {
        None => undeclared(&folded, zone),
        Some(formats) => formats
            .split('|')
            .find_map(|format| declared(&folded, format.trim(), zone)),
    };
    let Some(instant) = found else {
        return if is_zero(&folded) {
            Normalised::absent()
        } else {
            Normalised::meaningless()
        };
    };
    let valid = PLAIN_YEARS.contains(&instant.as_second())
        || !is_placeholder(zone.to_datetime(instant).date());
    Normalised::judged(instant.as_microsecond(), valid)
}

fn undeclared(folded: &str, zone: &TimeZone) -> Option<Timestamp> {
    let mut plain = PLAIN_FORMATS
        .iter()
        .filter(|(length, _)| *length == folded.len());
    if let Some(moment) = plain.find_map(|(_, format)| exact::read(format, folded)) {
        return in_zone(moment, zone);
    }
    if let Ok(instant) = folded.parse::<Timestamp>() {
        return Some(instant);
    }
    let date = year_first(folded)?;
    let after_date = folded.find([' ', 'T', '日']);
    let time = match after_date {
        None => "",
        Some(at) => folded[at..].trim_start_matches([' ', 'T', '日']),
    };
    // `2026-11-24 09:05:06+09:00` and `2026/11/24 09:05:06Z`
    if let Some(at) = time.find(['+', 'Z']).or_else(|| time.rfind('-')) {
        let (clock, offset) = time.split_at(at);
        return format!("{date}T{}{offset}", padded(clock)?).parse().ok();
    }
    let moment: DateTime = format!("{date}T{}", padded(time)?).parse().ok()?;
    in_zone(moment, zone)
}

/// `9:5`, `9時5分6秒`, `09:05:06.123` as `09:05:06.123`.
fn padded(clock: &str) -> Option<String> {
    let plain = clock.trim().replace(['時', '分'], ":").replace('秒', "");
    let mut parts = plain.trim_end_matches(':').split(':').map(str::trim);
    let hour = parts.next().filter(|hour| !hour.is_empty()).unwrap_or("0");
    let minute = parts.next().unwrap_or("0");
    let second = parts.next().unwrap_or("0");
    if parts.next().is_some() || hour.len() > 2 || minute.len() > 2 {
        return None;
    }
    let (whole, fraction) = second.split_once('.').unwrap_or((second, "0"));
    Some(format!("{hour:0>2}:{minute:0>2}:{whole:0>2}.{fraction}"))
}

fn declared(folded: &str, format: &str, zone: &TimeZone) -> Option<Timestamp> {
    match format {
        "unix" => seconds(folded),
        "unix-ms" => Timestamp::from_millisecond(folded.parse().ok()?).ok(),
        "wareki" => {
            let (date, _) = super::era::parse(folded)?;
            in_zone(date.at(0, 0, 0, 0), zone)
        }
        strptime => {
            if let Some(moment) = exact::read(strptime, folded) {
                return in_zone(moment, zone);
            }
            let time = strtime::parse(strptime, folded).ok()?;
            if time.offset().is_some() || time.iana_time_zone().is_some() {
                return time.to_timestamp().ok();
            }
            let moment = time
                .to_datetime()
                .or_else(|_| time.to_date().map(|date| date.at(0, 0, 0, 0)))
                .ok()?;
            in_zone(moment, zone)
        }
    }
}

fn seconds(folded: &str) -> Option<Timestamp> {
    let (whole, fraction) = folded.split_once('.').unwrap_or((folded, ""));
    let whole: i64 = whole.parse().ok()?;
    if !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let micros: i64 = format!("{fraction:0<6}").get(..6)?.parse().ok()?;
    Timestamp::from_microsecond(whole.checked_mul(1_000_000)?.checked_add(micros)?).ok()
}

fn in_zone(moment: DateTime, zone: &TimeZone) -> Option<Timestamp> {
    zone.to_ambiguous_timestamp(moment).compatible().ok()
}
