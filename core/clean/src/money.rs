//! Amounts: exact decimals.

use musubi_api::source::Rounding;
use rust_decimal::{Decimal, RoundingStrategy};

use crate::{normalised::Normalised, text};

/// Version of this normaliser; raised when any result changes.
pub const VERSION: u32 = 1;

/// Words and signs of currencies that may stand around an amount.
const CURRENCIES: &[&str] = &[
    "税込", "税抜", "円", "¥", "￥", "$", "€", "£", "USD", "JPY", "EUR", "GBP", "usd", "jpy",
    "eur", "\\",
];

/// An amount: `￥1,234`, `1,234円`, `△500`, `▲500`, `500-`, `(500)`, `-1 234.50`, in any width. Commas are
/// thousands, the point is decimal; what is no number is meaningless.
#[must_use]
pub fn parse(value: &str) -> Normalised<Decimal> {
    if let Some(whole) = plain_whole(value) {
        return Normalised::valid(whole);
    }
    let Some(folded) = text::present(value) else {
        return Normalised::absent();
    };
    amount(&folded).map_or_else(Normalised::meaningless, Normalised::valid)
}

/// An amount with at most `places` decimals.
#[must_use]
pub fn round(amount: Decimal, rounding: Rounding, places: u32) -> Decimal {
    let strategy = match rounding {
        Rounding::None => {
            return amount.round_dp_with_strategy(4, RoundingStrategy::MidpointAwayFromZero);
        }
        Rounding::Down => RoundingStrategy::ToZero,
        Rounding::Up => RoundingStrategy::AwayFromZero,
        Rounding::HalfUp => RoundingStrategy::MidpointAwayFromZero,
        Rounding::HalfEven => RoundingStrategy::MidpointNearestEven,
    };
    amount.round_dp_with_strategy(places, strategy)
}

/// Decimal places of a currency (ISO 4217 code, any case).
#[must_use]
pub fn places(currency: &str) -> u32 {
    const NONE: [&str; 11] = [
        "JPY", "KRW", "VND", "CLP", "ISK", "XAF", "XOF", "XPF", "PYG", "UGX", "RWF",
    ];
    const THREE: [&str; 7] = ["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"];
    let among = |codes: &[&str]| codes.iter().any(|code| currency.eq_ignore_ascii_case(code));
    if among(&NONE) {
        0
    } else if among(&THREE) {
        3
    } else {
        2
    }
}

/// Digits alone, with or without a minus sign before them: what most systems write.
fn plain_whole(value: &str) -> Option<Decimal> {
    let digits = value.strip_prefix('-').unwrap_or(value);
    if digits.is_empty() || digits.len() > 18 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    value.parse::<i64>().ok().map(Decimal::from)
}

fn amount(folded: &str) -> Option<Decimal> {
    let mut rest = strip_currency(folded);
    let mut negative = false;
    if let Some(inner) = rest.strip_prefix('(').and_then(|r| r.strip_suffix(')')) {
        negative = true;
        rest = strip_currency(inner);
    }
    let (sign_before, body) = strip_sign(rest);
    let body = strip_currency(body);
    let trailing = body.strip_suffix(text::is_dash);
    // `¥1,000-` and `1,000.-` are the ways of a price list to say "and nothing more"
    let priced = folded.starts_with(['¥', '\\']);
    let sign_after = trailing.is_some_and(|body| !priced && !body.ends_with('.'));
    let body = strip_currency(trailing.unwrap_or(body)).trim_end_matches('.');
    let (sign_inside, body) = strip_sign(body);
    if usize::from(negative)
        + usize::from(sign_before)
        + usize::from(sign_after)
        + usize::from(sign_inside)
        > 1
    {
        return None;
    }
    negative |= sign_before || sign_after || sign_inside;
    let digits: String = body
        .chars()
        .filter(|c| !matches!(c, ',' | ' ' | '\'' | '、' | '_'))
        .collect();
    if !digits.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return None;
    }
    let number: Decimal = digits.parse().ok()?;
    Some(if negative && !number.is_zero() {
        -number
    } else {
        number
    })
}

fn strip_sign(text: &str) -> (bool, &str) {
    if let Some(rest) = text.strip_prefix('+') {
        return (false, rest.trim_start());
    }
    text.strip_prefix(|c| text::is_dash(c) || matches!(c, '△' | '▲' | '▵' | '▴'))
        .map_or((false, text), |rest| (true, rest.trim_start()))
}

fn strip_currency(text: &str) -> &str {
    let mut rest = text.trim();
    loop {
        let before = rest.len();
        for sign in CURRENCIES {
            rest = rest.strip_prefix(sign).unwrap_or(rest).trim_start();
            rest = rest.strip_suffix(sign).unwrap_or(rest).trim_end();
        }
        if rest.len() == before {
            return rest;
        }
    }
}
