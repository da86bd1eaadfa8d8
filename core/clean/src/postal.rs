//! Postal codes.

use crate::{normalised::Normalised, text};

/// Version of this normaliser; raised when any result changes.
pub const VERSION: u32 = 1;

/// A postal code in the form of its country (ISO 3166 alpha-2, any case). Japan: `123-4567`, with a leading zero
/// that a spreadsheet lost put back. United States, Canada and Great Britain in their own forms; others folded to upper case.
#[must_use]
pub fn normalise(value: &str, country: &str) -> Normalised<String> {
    let Some(folded) = text::present(value) else {
        return Normalised::absent();
    };
    let is = |code: &str| country.eq_ignore_ascii_case(code);
    if is("jp") {
        japanese(&folded)
    } else if is("us") {
        american(&folded)
    } else if is("ca") {
        spaced(&folded, 3, |code| code.len() == 6)
    } else if is("gb") {
        spaced(&folded, 3, |code| (5..=7).contains(&code.len()))
    } else {
        other(&folded)
    }
}

fn japanese(folded: &str) -> Normalised<String> {
    let mut digits = String::with_capacity(8);
    let mut foreign = false;
    for c in folded.chars() {
        if c.is_ascii_digit() {
            digits.push(c);
        } else {
            foreign |= !(text::is_dash(c) || matches!(c, ' ' | '〒' | '〶' | '.' | '\''));
        }
    }
    match digits.len() {
        0 => return Normalised::invalid(folded.to_uppercase()),
        6 => digits.insert(0, '0'),
        _ => {}
    }
    if digits.len() != 7 {
        return Normalised::invalid(if foreign {
            folded.to_uppercase()
        } else {
            digits
        });
    }
    let valid = !foreign && !is_repeated(&digits) && &digits[..3] != "000" && digits != "1234567";
    digits.insert(3, '-');
    Normalised::judged(digits, valid)
}

fn american(folded: &str) -> Normalised<String> {
    let digits: String = folded.chars().filter(char::is_ascii_digit).collect();
    let clean = folded
        .chars()
        .all(|c| c.is_ascii_digit() || text::is_dash(c) || c == ' ');
    match digits.len() {
        4 if clean => Normalised::valid(format!("0{digits}")),
        5 if clean => {
            Normalised::judged(digits.clone(), !is_repeated(&digits) || digits == "44444")
        }
        9 if clean => Normalised::valid(format!("{}-{}", &digits[..5], &digits[5..])),
        _ => Normalised::invalid(folded.to_uppercase()),
    }
}

fn spaced(folded: &str, tail: usize, fits: impl Fn(&str) -> bool) -> Normalised<String> {
    let code: String = folded
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_uppercase())
        .collect();
    let mixed =
        code.bytes().any(|b| b.is_ascii_digit()) && code.bytes().any(|b| b.is_ascii_uppercase());
    if !fits(&code) || !mixed {
        return Normalised::invalid(folded.to_uppercase());
    }
    let (head, tail) = code.split_at(code.len() - tail);
    Normalised::valid(format!("{head} {tail}"))
}

fn other(folded: &str) -> Normalised<String> {
    let code = folded.to_uppercase();
    let valid = code.len() <= 12
        && code.bytes().any(|b| b.is_ascii_digit())
        && code
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, ' ' | '-'));
    Normalised::judged(code, valid)
}

fn is_repeated(digits: &str) -> bool {
    let mut bytes = digits.bytes();
    bytes.next().is_some_and(|first| bytes.all(|b| b == first))
}
