//! Loyalty cards and member numbers.

use crate::{normalised::Normalised, text};

/// Version of this normaliser; raised when any result changes.
pub const VERSION: u32 = 1;

/// Upper-case letters and digits, spaces and dashes dropped, leading zeros kept. Invalid when it has fewer
/// than four characters, other characters, or one digit repeated.
#[must_use]
pub fn normalise(value: &str) -> Normalised<String> {
    let Some(folded) = text::present(value) else {
        return Normalised::absent();
    };
    let mut number = String::with_capacity(folded.len());
    for c in folded.chars().filter(|c| !(text::is_dash(*c) || *c == ' ')) {
        number.extend(c.to_uppercase());
    }
    let first = number.chars().next();
    let repeated = number.chars().all(|c| Some(c) == first);
    let valid = number.len() >= 4
        && !repeated
        && number.bytes().all(|b| b.is_ascii_alphanumeric())
        && number.bytes().any(|b| b.is_ascii_digit());
    Normalised::judged(number, valid)
}
