//! Text: one width, one form, one kind of space.

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfkc_quick};

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

/// NFKC (full-width letters and digits become ASCII, half-width kana become full-width), without control
/// and invisible characters, with single spaces, trimmed.
#[must_use]
pub fn fold(text: &str) -> String {
    if is_plain(text) {
        return text.to_owned();
    }
    if text.is_ascii() {
        return collapse(text.chars());
    }
    let visible = || text.chars().filter(|c| !is_invisible(*c)).map(join_voicing);
    if is_nfkc_quick(visible()) == IsNormalized::Yes {
        return collapse(visible());
    }
    collapse(visible().nfkc())
}

/// Whether a text, folded, says nothing: empty, only dashes or marks, or a word such as `なし` or `NULL`.
#[must_use]
pub fn is_blank(folded: &str) -> bool {
    folded.chars().all(is_filler) || BLANK.contains(&folded)
}

/// The folded text, or nothing when it is blank.
#[must_use]
pub fn present(text: &str) -> Option<String> {
    let folded = fold(text);
    (!is_blank(&folded)).then_some(folded)
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

fn is_plain(text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut before = b' ';
    for &byte in bytes {
        if !(b' '..=b'~').contains(&byte) || (byte == b' ' && before == b' ') {
            return false;
        }
        before = byte;
    }
    before != b' ' || bytes.is_empty()
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
