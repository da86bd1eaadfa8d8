//! Numbers in digits and in kanji.

use crate::text;

/// A number at the start of a text, in digits or in kanji (`12`, `十二`, `一二`, `千二百三十四`), and what follows.
pub(super) fn number(text: &str) -> Option<(u32, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    if digits > 0 {
        return Some((text[..digits].parse().ok()?, &text[digits..]));
    }
    let end = text.find(|c| value(c).is_none()).unwrap_or(text.len());
    let after = &text[end..];
    if end == 0 || !ends_number(after) {
        return None;
    }
    Some((kanji(&text[..end])?, after))
}

/// Whether a numeral in kanji ends before this: 三番地 is a number, 三栄町 and 三番町 are names.
fn ends_number(after: &str) -> bool {
    let mut chars = after.chars();
    match chars.next() {
        None | Some('号' | '丁' | 'の' | 'ノ' | '之' | ' ' | '階') => true,
        Some('番') => !chars.as_str().starts_with(['町', '丁', '館']),
        Some(c) => text::is_dash(c),
    }
}

/// Whether a text is at its end or goes on with a digit.
pub(super) fn starts_with_digit(text: &str) -> bool {
    text.trim_start()
        .bytes()
        .next()
        .is_none_or(|b| b.is_ascii_digit())
}

/// A number below 10,000 in kanji (`23` gives `二十三`).
pub(super) fn to_kanji(number: u32) -> String {
    let mut out = String::new();
    push_kanji(&mut out, number);
    out
}

fn push_kanji(out: &mut String, number: u32) {
    const DIGITS: [char; 10] = ['〇', '一', '二', '三', '四', '五', '六', '七', '八', '九'];
    if number == 0 || number > 9_999 {
        out.push_str(&number.to_string());
        return;
    }
    for (unit, name) in [(1000, "千"), (100, "百"), (10, "十"), (1, "")] {
        let digit = number / unit % 10;
        if digit == 0 {
            continue;
        }
        if digit > 1 || unit == 1 {
            out.push(DIGITS[digit as usize]);
        }
        out.push_str(name);
    }
}

/// Adds a run of digits as a kanji numeral.
pub(super) fn push_digits(out: &mut String, digits: &str) {
    match digits.parse() {
        Ok(number) => push_kanji(out, number),
        Err(_) => out.push_str(digits),
    }
}

/// Every run of digits in a name as a kanji numeral.
pub(super) fn digits_to_kanji(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        out.push_str(&rest[..start]);
        rest = &rest[start..];
        let end = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        let (digits, after) = rest.split_at(end);
        push_digits(&mut out, digits);
        rest = after;
    }
    out.push_str(rest);
    out
}

const fn value(c: char) -> Option<u32> {
    Some(match c {
        '〇' | '零' => 0,
        '一' | '壱' => 1,
        '二' | '弐' => 2,
        '三' | '参' => 3,
        '四' => 4,
        '五' => 5,
        '六' => 6,
        '七' => 7,
        '八' => 8,
        '九' => 9,
        '十' => 10,
        '百' => 100,
        '千' => 1000,
        _ => return None,
    })
}

fn kanji(text: &str) -> Option<u32> {
    let positional = text.chars().all(|c| value(c).is_some_and(|v| v < 10));
    let (mut total, mut digit) = (0_u32, None::<u32>);
    for v in text.chars().filter_map(value) {
        if v < 10 {
            digit = Some(match digit {
                Some(before) if positional => before.checked_mul(10)?.checked_add(v)?,
                _ => v,
            });
        } else {
            total = total.checked_add(digit.take().unwrap_or(1).checked_mul(v)?)?;
        }
    }
    total.checked_add(digit.unwrap_or(0))
}
