//! Readings: full-width katakana, a skeleton for matching, and the bridge to Latin letters.

use wana_kana::{ConvertJapanese, IsJapaneseStr};

use crate::{normalised::Normalised, text};

/// Version of this normaliser; raised when any result changes.
pub const VERSION: u32 = 1;

/// A reading in full-width katakana with single spaces; invalid when other letters are left.
#[must_use]
pub fn normalise(value: &str) -> Normalised<String> {
    let Some(folded) = text::present(value) else {
        return Normalised::absent();
    };
    let reading = of_folded(&folded);
    let valid = reading
        .chars()
        .all(|c| is_katakana(c) || matches!(c, ' ' | '・'));
    Normalised::judged(reading, valid)
}

/// NFKC with hiragana turned into katakana, and a dash after kana into the long vowel mark.
#[must_use]
pub fn katakana(value: &str) -> String {
    of_folded(&text::fold(value))
}

fn of_folded(folded: &str) -> String {
    if !folded.contains(['\u{3099}', '\u{309a}']) {
        return lengthened(folded.chars().map(to_katakana), folded.len());
    }
    // hiragana without a voiced form of its own has one in katakana (ヷ)
    let kana: String = folded.chars().map(to_katakana).collect();
    lengthened(text::fold(&kana).chars(), kana.len())
}

fn lengthened(kana: impl Iterator<Item = char>, bytes: usize) -> String {
    let mut out = String::with_capacity(bytes);
    let mut before = ' ';
    for c in kana {
        let lengthens = is_katakana(before) && (text::is_dash(c) || matches!(c, '~' | '〜'));
        before = if lengthens { 'ー' } else { c };
        out.push(before);
    }
    out
}

fn to_katakana(c: char) -> char {
    match c {
        'ぁ'..='ゖ' | 'ゝ' | 'ゞ' => char::from_u32(c as u32 + 0x60).unwrap_or(c),
        other => other,
    }
}

/// What is left of a reading when habits of spelling are taken away: small kana are large, long vowels
/// (`ー`, ウ after オ and ウ rows, オ after オ rows, イ after エ rows) are gone, and so are spaces.
/// `ヨウコ`, `ヨーコ` and `ヨオコ` share `ヨコ`; `ヂ` is `ジ`, `ヅ` `ズ`, `ヲ` `オ`, `ヴァ` `バ`.
#[must_use]
pub fn skeleton(value: &str) -> String {
    drop_long_vowels(&unify(&katakana(value)))
}

/// Hepburn letters of a reading, lower case, without long vowels (`サトウ タロウ` gives `sato taro`).
#[must_use]
pub fn romaji_hepburn(value: &str) -> String {
    let tokens = katakana(value);
    let latin: Vec<String> = tokens
        .split([' ', '・'])
        .filter(|token| !token.is_empty())
        .map(|token| {
            if !token.chars().any(is_katakana) {
                return token.to_lowercase();
            }
            drop_long_vowels(token)
                .to_romaji()
                .replace('\'', "")
                .replace("cch", "tch")
        })
        .collect();
    latin.join(" ")
}

/// The reading that a name in Latin letters spells (`Satoh Taro` gives `サト タロ` after [`skeleton`]),
/// or nothing when it does not spell Japanese.
#[must_use]
pub fn from_romaji(value: &str) -> Option<String> {
    let folded = text::fold(value).to_lowercase();
    let mut readings = Vec::new();
    for token in folded.split([' ', '-']).filter(|token| !token.is_empty()) {
        if !token.bytes().all(|b| b.is_ascii_lowercase() || b == b'\'') {
            return None;
        }
        let kana = plain_spelling(token).to_katakana();
        if !kana.as_str().is_katakana() {
            return None;
        }
        readings.push(kana);
    }
    (!readings.is_empty()).then(|| readings.join(" "))
}

/// Whether a character is katakana or the long vowel mark.
#[must_use]
pub const fn is_katakana(c: char) -> bool {
    matches!(c, 'ァ'..='ヺ' | 'ー' | 'ヽ' | 'ヾ')
}

/// Passport habits: `oh` before a consonant or at the end is a long o, `mb`/`mp`/`mm` are `n` + consonant, `tch` is `cch`.
fn plain_spelling(token: &str) -> String {
    let bytes = token.as_bytes();
    let mut out = String::with_capacity(token.len());
    for (i, &byte) in bytes.iter().enumerate() {
        let next = bytes.get(i + 1).copied().unwrap_or(0);
        let before = if i > 0 { bytes[i - 1] } else { 0 };
        let vowel_next = matches!(next, b'a' | b'i' | b'u' | b'e' | b'o' | b'y');
        match byte {
            b'h' if before == b'o' && !vowel_next => {}
            b'm' if matches!(next, b'b' | b'p' | b'm') => out.push('n'),
            b't' if token[i..].starts_with("tch") => out.push('c'),
            other => out.push(char::from(other)),
        }
    }
    out
}

fn unify(katakana: &str) -> String {
    let mut out = String::with_capacity(katakana.len());
    let mut chars = katakana.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            ' ' | '・' | '\'' | '~' | '〜' | '\u{3099}' | '\u{309a}' => {}
            dash if text::is_dash(dash) => {}
            'ヴ' => {
                let (joined, used) = match chars.peek() {
                    Some('ァ' | 'ア') => ('バ', true),
                    Some('ィ' | 'イ') => ('ビ', true),
                    Some('ェ' | 'エ') => ('ベ', true),
                    Some('ォ' | 'オ') => ('ボ', true),
                    _ => ('ブ', false),
                };
                if used {
                    chars.next();
                }
                out.push(joined);
            }
            other => out.push(plain_kana(other)),
        }
    }
    out
}

const fn plain_kana(c: char) -> char {
    match c {
        'ァ' => 'ア',
        'ィ' => 'イ',
        'ゥ' => 'ウ',
        'ェ' => 'エ',
        'ォ' => 'オ',
        'ッ' => 'ツ',
        'ャ' => 'ヤ',
        'ュ' => 'ユ',
        'ョ' => 'ヨ',
        'ヮ' => 'ワ',
        'ヵ' => 'カ',
        'ヶ' => 'ケ',
        'ヂ' => 'ジ',
        'ヅ' => 'ズ',
        'ヲ' => 'オ',
        'ヰ' => 'イ',
        'ヱ' => 'エ',
        other => other,
    }
}

fn drop_long_vowels(kana: &str) -> String {
    let mut out = String::with_capacity(kana.len());
    let mut row = None;
    for c in kana.chars() {
        let long = c == 'ー'
            || matches!(
                (row, c),
                (Some('o'), 'ウ' | 'オ') | (Some('u'), 'ウ') | (Some('e'), 'イ' | 'エ')
            );
        if !long {
            out.push(c);
            row = vowel(c);
        }
    }
    out
}

/// Vowel of a kana, for the rows that lengthen.
const fn vowel(c: char) -> Option<char> {
    match c {
        'オ' | 'ォ' | 'コ' | 'ゴ' | 'ソ' | 'ゾ' | 'ト' | 'ド' | 'ノ' | 'ホ' | 'ボ' | 'ポ'
        | 'モ' | 'ヨ' | 'ョ' | 'ロ' | 'ヲ' => Some('o'),
        'ウ' | 'ゥ' | 'ク' | 'グ' | 'ス' | 'ズ' | 'ツ' | 'ヅ' | 'ヌ' | 'フ' | 'ブ' | 'プ'
        | 'ム' | 'ユ' | 'ュ' | 'ル' => Some('u'),
        'エ' | 'ェ' | 'ケ' | 'ゲ' | 'セ' | 'ゼ' | 'テ' | 'デ' | 'ネ' | 'ヘ' | 'ベ' | 'ペ'
        | 'メ' | 'レ' => Some('e'),
        _ => None,
    }
}
