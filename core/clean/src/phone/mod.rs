//! Phone numbers: E.164.

use std::sync::OnceLock;

use rlibphonenumber::{PHONE_NUMBER_UTIL, PhoneNumber, PhoneNumberFormat};

use crate::{normalised::Normalised, text};

/// Version of this normaliser; raised when any result changes.
pub const VERSION: u32 = 1;

/// An E.164 number. Numbers without a country follow `country` (ISO 3166 alpha-2, any case). A leading zero
/// that a spreadsheet lost is put back; an extension is dropped. Dummies (`0000000000`, `090-1234-5678`,
/// `090-0000-0000`) and numbers that no network has are invalid and kept as their digits.
#[must_use]
pub fn normalise(value: &str, country: &str) -> Normalised<String> {
    let Some(folded) = text::present(value) else {
        return Normalised::absent();
    };
    let digits = significant(&folded);
    if !digits.bytes().any(|b| b.is_ascii_digit()) {
        return Normalised::meaningless();
    }
    if country.eq_ignore_ascii_case("jp")
        && let Some(national) = japanese_national(&digits)
    {
        return japanese(national);
    }
    international(&digits, country)
}

/// Digits with an optional `+` in front: no punctuation, no `(0)` after a country code, no extension, no
/// international prefix.
fn significant(folded: &str) -> String {
    let mut body = folded;
    if !folded.bytes().all(is_plain) {
        for mark in ["内線", "ext", "EXT", "Ext", "#", ";", "(内"] {
            if let Some(at) = body.find(mark).filter(|at| *at > 0) {
                body = &body[..at];
            }
        }
    }
    let abroad = body
        .trim_start()
        .trim_start_matches(|c: char| !c.is_ascii_digit() && c != '+');
    let mut digits = String::with_capacity(abroad.len());
    if abroad.starts_with('+') {
        digits.push('+');
        digits.extend(
            abroad
                .replace("(0)", "")
                .chars()
                .filter(char::is_ascii_digit),
        );
    } else {
        digits.extend(abroad.chars().filter(char::is_ascii_digit));
    }
    digits
}

/// What numbers are written with that have no extension.
const fn is_plain(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'-' | b' ' | b'+' | b'(' | b')' | b'.')
}

/// The national number (without its leading zero) when the digits are, or may be, Japanese.
fn japanese_national(digits: &str) -> Option<&str> {
    if let Some(rest) = digits
        .strip_prefix("+81")
        .or_else(|| digits.strip_prefix("01081"))
        .or_else(|| digits.strip_prefix("0081"))
    {
        return Some(rest.strip_prefix('0').unwrap_or(rest));
    }
    if digits.starts_with('+') {
        return None;
    }
    if let Some(rest) = digits.strip_prefix('0') {
        return Some(rest);
    }
    match digits.len() {
        // the code of the country without its plus sign
        11 | 12 if digits.starts_with("81") => Some(&digits[2..]),
        // a lost zero
        9 | 10 => Some(digits),
        _ => None,
    }
}

fn japanese(national: &str) -> Normalised<String> {
    if is_dummy(national) || !is_japanese_number(national) {
        return Normalised::invalid(["0", national].concat());
    }
    Normalised::valid(["+81", national].concat())
}

/// Digits that people type to get past a form: one digit throughout the subscriber number, or a run up or down.
fn is_dummy(national: &str) -> bool {
    let subscriber = national
        .get(national.len().saturating_sub(8)..)
        .unwrap_or(national);
    let repeated = subscriber
        .bytes()
        .all(|b| Some(b) == subscriber.bytes().next());
    repeated
        || matches!(
            subscriber,
            "12345678" | "23456789" | "34567890" | "87654321" | "98765432" | "01234567"
        )
}

/// Whether Japan has such a number. The plan of numbers turns on the length and the first three digits
/// of nine and ten digits, so each answer of the library is kept.
fn is_japanese_number(national: &str) -> bool {
    static KNOWN: OnceLock<Box<[[OnceLock<bool>; 1000]; 2]>> = OnceLock::new();
    let index = match national.len() {
        9 => 0,
        10 => 1,
        _ => return is_valid(&format!("+81{national}")),
    };
    let Some(head) = national
        .get(..3)
        .and_then(|head| head.parse::<usize>().ok())
    else {
        return false;
    };
    let known = KNOWN.get_or_init(|| {
        Box::new(std::array::from_fn(|_| {
            std::array::from_fn(|_| OnceLock::new())
        }))
    });
    *known[index][head].get_or_init(|| {
        let tail = if index == 0 { "234567" } else { "2345678" };
        is_valid(&format!("+81{head:03}{tail}"))
    })
}

fn is_valid(e164: &str) -> bool {
    parse(e164, "ZZ").is_some_and(|number| PHONE_NUMBER_UTIL.is_valid_number(&number))
}

fn international(digits: &str, country: &str) -> Normalised<String> {
    let region = country.to_ascii_uppercase();
    let Some(number) = parse(digits, &region) else {
        return Normalised::invalid(digits.to_owned());
    };
    let e164 = number.format_as(PhoneNumberFormat::E164).into_owned();
    let national = number.national_number.to_string();
    if is_dummy(&national) || !PHONE_NUMBER_UTIL.is_valid_number(&number) {
        return Normalised::invalid(digits.to_owned());
    }
    Normalised::valid(e164)
}

/// The country (ISO 3166 alpha-2 in small letters) whose code a number in international notation begins with: of
/// countries that share a code the main one. Nothing of a number in national notation.
#[must_use]
pub fn country(value: &str) -> Option<String> {
    let digits = significant(&text::present(value)?);
    let number = parse(digits.starts_with('+').then_some(&*digits)?, "ZZ")?;
    let country = PHONE_NUMBER_UTIL.get_region_for_country_code(number.country_code)?;
    Some(country.to_string().to_ascii_lowercase())
}

fn parse(digits: &str, region: &str) -> Option<PhoneNumber> {
    let region = if digits.starts_with('+') {
        None
    } else {
        region.parse().ok()
    };
    PHONE_NUMBER_UTIL.parse(digits, region).ok()
}
