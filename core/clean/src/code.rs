//! Codes of stores, products, campaigns and coupons.

use std::borrow::Cow;

use crate::text;

/// Version of this normaliser; raised when any result changes.
pub const VERSION: u32 = 1;

/// Upper case, NFKC, every dash a hyphen, no spaces. Leading zeros stay; empty when nothing was given.
#[must_use]
pub fn fold(value: &str) -> Cow<'_, str> {
    let folded = text::fold(value);
    if text::is_blank(&folded) {
        return Cow::Borrowed("");
    }
    let settled = |b: u8| b.is_ascii_graphic() && !b.is_ascii_lowercase();
    if folded.bytes().all(settled) {
        return folded;
    }
    let mut out = String::with_capacity(folded.len());
    let mut before = ' ';
    for c in folded
        .chars()
        .filter(|c| !matches!(c, ' ' | '\u{3099}' | '\u{309a}'))
    {
        // the long vowel mark belongs to kana (`カード1`) and is a dash elsewhere
        let dash = text::is_dash(c) && !(c == 'ー' && crate::kana::is_katakana(before));
        before = if dash { '-' } else { c };
        out.extend(before.to_uppercase());
    }
    Cow::Owned(out)
}
