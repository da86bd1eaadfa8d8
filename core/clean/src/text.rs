//! Text: one width, one form, one kind of space.

use std::borrow::Cow;

use unicode_normalization::{IsNormalized, UnicodeNormalization, char::compose, is_nfkc_quick};

/// Version of this normaliser; raised when any result changes.
pub const VERSION: u32 = 1;

/// What people and systems write where they have nothing to say. Compared after [`fold`], with case
/// (`Null` and `Na` are family names; `NULL` is none).
const BLANK: &[&str] = &[
    "NULL",
    "null",
    "(null)",
    "(NULL)",
    "<null>",
    "\\N",
    "N/A",
    "n/a",
    "#N/A",
    "None",
    "none",
    "nil",
    "NaN",
    "nan",
    "undefined",
    "なし",
    "無し",
    "ナシ",
    "不明",
    "未登録",
    "未入力",
    "未設定",
    "未記入",
    "該当なし",
    "該当無し",
    "記載なし",
    "登録なし",
    "(なし)",
    "(空白)",
    "空白",
];

/// Bytes of the longest word of [`BLANK`].
const LONGEST_BLANK: usize = 12;

/// NFKC (full-width letters and digits become ASCII, half-width kana become full-width), without control
/// and invisible characters, with single spaces, trimmed. Borrowed when the text is so already.
#[must_use]
pub fn fold(text: &str) -> Cow<'_, str> {
    let Some(at) = unsettled(text) else {
        return Cow::Borrowed(text);
    };
    Cow::Owned(fold_common(text, at).unwrap_or_else(|| fold_any(text)))
}

/// Whether a text, folded, says nothing: empty, only dashes or marks, or a word such as `なし` or `NULL`.
#[must_use]
pub fn is_blank(folded: &str) -> bool {
    folded.chars().all(is_filler) || (may_be_word(folded) && BLANK.contains(&folded))
}

/// Whether length and first byte allow a text to be among [`BLANK`].
fn may_be_word(folded: &str) -> bool {
    folded.len() <= LONGEST_BLANK
        && matches!(
            folded.as_bytes(),
            [b'N' | b'n' | b'(' | b'<' | b'\\' | b'#' | b'u' | 0x80.., ..]
        )
}

/// The folded text, or nothing when it is blank.
#[must_use]
pub fn present(text: &str) -> Option<Cow<'_, str>> {
    let folded = fold(text);
    (!is_blank(&folded)).then_some(folded)
}

/// Lower case, without a copy where nothing is upper case.
pub(crate) fn lowercase(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.is_ascii() && !text.bytes().any(|b| b.is_ascii_uppercase()) {
        return text;
    }
    Cow::Owned(text.to_lowercase())
}

/// Every form of a dash that is found between digits, the long vowel mark and box drawing included.
#[must_use]
pub const fn is_dash(c: char) -> bool {
    matches!(
        c,
        '-' | '\u{ad}'
            | '‐'
            | '‑'
            | '‒'
            | '–'
            | '—'
            | '―'
            | '⁃'
            | '⁻'
            | '₋'
            | '−'
            | '─'
            | '━'
            | '➖'
            | 'ー'
            | '﹘'
            | '﹣'
            | '－'
            | 'ｰ'
            | '˗'
    )
}

const fn is_filler(c: char) -> bool {
    is_dash(c)
        || matches!(
            c,
            ' ' | '.' | '*' | '?' | '_' | '・' | '〃' | '×' | '/' | ',' | '、' | '。'
        )
}

/// Where the first character stands that folding may change, if any does.
fn unsettled(text: &str) -> Option<usize> {
    // codes, numbers and times have neither spaces nor anything that folds; no early end, so that many bytes are looked at at once
    if text.bytes().fold(true, |all, b| all & b.is_ascii_graphic()) {
        return None;
    }
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        if !is_settled(c) || (c == ' ' && before == ' ') {
            return Some(at);
        }
        before = c;
    }
    (before == ' ' && !text.is_empty()).then(|| text.len() - 1)
}

/// Characters that NFKC leaves alone whatever stands beside them, but for combining marks, which are none of them:
/// printable ASCII, kana, unified kanji.
const fn is_settled(c: char) -> bool {
    matches!(c, ' '..='~' | '\u{3001}'..='\u{3003}' | '\u{3005}'..='\u{3007}' | '\u{3041}'..='\u{3096}'
        | '\u{309d}' | '\u{309e}' | '\u{30a1}'..='\u{30fe}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}'
        | '\u{20000}'..='\u{2a6df}')
}

/// Katakana of the half-width block from U+FF61 on, up to the voicing marks.
const HALF_WIDTH: [char; 61] = [
    '。', '「', '」', '、', '・', 'ヲ', 'ァ', 'ィ', 'ゥ', 'ェ', 'ォ', 'ャ', 'ュ', 'ョ', 'ッ', 'ー',
    'ア', 'イ', 'ウ', 'エ', 'オ', 'カ', 'キ', 'ク', 'ケ', 'コ', 'サ', 'シ', 'ス', 'セ', 'ソ', 'タ',
    'チ', 'ツ', 'テ', 'ト', 'ナ', 'ニ', 'ヌ', 'ネ', 'ノ', 'ハ', 'ヒ', 'フ', 'ヘ', 'ホ', 'マ', 'ミ',
    'ム', 'メ', 'モ', 'ヤ', 'ユ', 'ヨ', 'ラ', 'リ', 'ル', 'レ', 'ロ', 'ワ', 'ン',
];

/// Folds the notations that Japanese systems mix (full-width ASCII, half-width kana, ideographic spaces); `None`
/// when another character is met. Everything before `from` is settled.
fn fold_common(text: &str, from: usize) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    out.push_str(text[..from].trim_end_matches(' '));
    let mut gap = out.len() < from;
    for c in text[from..].chars() {
        let plain = match c {
            c if c != ' ' && is_settled(c) => c,
            c if c.is_whitespace() => {
                gap = true;
                continue;
            }
            '！'..='～' => char::from_u32(c as u32 - 0xfee0)?,
            '￥' => '¥',
            '｡'..='ﾝ' => HALF_WIDTH[c as usize - 0xff61],
            'ﾞ' | '゛' | '\u{3099}' | 'ﾟ' | '゜' | '\u{309a}' if !gap => {
                let mark = if matches!(c, 'ﾞ' | '゛' | '\u{3099}') {
                    '\u{3099}'
                } else {
                    '\u{309a}'
                };
                compose(out.pop()?, mark)?
            }
            _ => return None,
        };
        if gap && !out.is_empty() {
            out.push(' ');
        }
        gap = false;
        out.push(plain);
    }
    Some(out)
}

fn fold_any(text: &str) -> String {
    let visible = || text.chars().filter(|c| !is_invisible(*c)).map(join_voicing);
    if is_nfkc_quick(visible()) == IsNormalized::Yes {
        return collapse(visible());
    }
    collapse(visible().nfkc())
}

/// Zero-width characters, joiners, direction marks, variation selectors, and controls other than white space.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}' | '\u{feff}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}' | '\u{fff9}'..='\u{fffd}')
        || (c.is_control() && !c.is_whitespace())
}

/// A voicing mark written as a character of its own joins the kana before it.
const fn join_voicing(c: char) -> char {
    match c {
        '゛' => '\u{3099}',
        '゜' => '\u{309a}',
        other => other,
    }
}

fn collapse(chars: impl Iterator<Item = char>) -> String {
    let mut out = String::new();
    let mut gap = false;
    for c in chars {
        if c.is_whitespace() {
            gap = true;
        } else if !is_invisible(c) {
            if gap && !out.is_empty() {
                out.push(' ');
            }
            gap = false;
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_short_way_folds_as_the_long_one() {
        let mut chars: Vec<char> = (' '..='~').step_by(7).collect();
        chars.extend(
            ('\u{3000}'..='\u{30ff}')
                .chain('！'..='ﾟ')
                .chain(['￥', '漢', '𠮷', '〇']),
        );
        let before = [' ', 'a', 'か', 'ハ', 'ｶ', 'ﾊ', 'が', '漢', '\u{3000}'];
        let mut text = String::new();
        let mut short = 0;
        for first in before {
            for &second in &chars {
                for third in ['ﾞ', '゜', '\u{3099}', ' ', 'x'] {
                    text.clear();
                    text.extend([first, second, third]);
                    assert_eq!(fold(&text), fold_any(&text), "{text:?}");
                    short += usize::from(
                        unsettled(&text).is_none_or(|at| fold_common(&text, at).is_some()),
                    );
                }
            }
        }
        assert!(short > 5_000, "{short} took the short way");
    }
}
