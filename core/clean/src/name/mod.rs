//! Names of people: family and given name, titles removed, variants of kanji folded for matching.

mod variants;

use std::borrow::Cow;

use crate::{normalised::Normalised, text};

/// Version of this normaliser; raised when any result changes.
pub const VERSION: u32 = 1;

/// A person's name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PersonName {
    /// The whole name, family name first for Japanese names and given name first for others, single spaces.
    pub full: String,
    /// Family name, when it can be told apart.
    pub family: Option<String>,
    /// Given name (with middle names), when it can be told apart.
    pub given: Option<String>,
}

/// Titles after a Japanese name.
const HONORIFICS: &[&str] = &[
    "様",
    "さま",
    "さん",
    "サマ",
    "殿",
    "先生",
    "御中",
    "氏",
    "君",
    "ちゃん",
    "くん",
];
/// Honorifics that also end names (`氏` no, `君` in 真君 yes): removed after a space only.
const AFTER_SPACE_ONLY: &[&str] = &["君", "さん", "氏", "ちゃん", "くん", "サマ", "さま"];
/// Titles before or after a name in Latin letters, lower case, without the point.
const TITLES: &[&str] = &[
    "mr", "mrs", "ms", "miss", "mx", "dr", "prof", "sir", "madam", "mister", "herr", "frau", "mme",
    "mlle", "sr", "sra", "jr", "ii", "iii", "phd", "md", "esq", "sama", "san",
];

/// A whole name split into its parts. Japanese names are split at a space; without one they stay whole.
/// Latin names read `Yamada, Taro`, `Mr. Taro Yamada`, and `YAMADA Taro` (the part in capitals is the family name).
/// Invalid when no letter is left.
#[must_use]
pub fn split(value: &str) -> Normalised<PersonName> {
    let Some(folded) = text::present(value) else {
        return Normalised::absent();
    };
    let bare = without_notes(&folded);
    let name = if bare.chars().any(is_japanese) {
        japanese(&bare)
    } else {
        latin(&bare)
    };
    let valid = is_name(&name.full);
    Normalised::judged(name, valid)
}

/// A family or given name: folded, titles removed.
#[must_use]
pub fn part(value: &str) -> Normalised<String> {
    let Some(folded) = text::present(value) else {
        return Normalised::absent();
    };
    let name = if folded.chars().any(is_japanese) {
        without_honorific(&folded).to_owned()
    } else {
        title_case(&folded)
    };
    let valid = is_name(&name);
    Normalised::judged(name, valid)
}

/// Old, regional and print forms of kanji folded to the form in everyday use (`邊` and `邉` to `辺`, `髙` to `高`).
#[must_use]
pub fn fold_kanji(value: &str) -> String {
    value.chars().map(variants::plain).collect()
}

/// What two spellings of one name share: NFKC, kanji folded, Latin letters lower case without accents, no spaces or marks.
#[must_use]
pub fn key(value: &str) -> String {
    let folded = text::fold(value);
    if folded.is_ascii() {
        return folded
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .map(|c| c.to_ascii_lowercase())
            .collect();
    }
    let mut out = String::with_capacity(folded.len());
    for c in folded.chars().flat_map(char::to_lowercase) {
        if !is_latin(c) {
            out.push(variants::plain(c));
            continue;
        }
        match any_ascii::any_ascii_char(c) {
            "" => out.push(c),
            latin => out.extend(latin.chars().map(|c| c.to_ascii_lowercase())),
        }
    }
    out.retain(|c| c.is_alphanumeric() || c == 'ー');
    out
}

/// The everyday form of one kanji.
pub(crate) fn plain_kanji(c: char) -> char {
    variants::plain(c)
}

/// Whether a character belongs to Japanese writing.
#[must_use]
pub const fn is_japanese(c: char) -> bool {
    matches!(c, '\u{3005}'..='\u{3007}' | '\u{3041}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3134f}')
}

const fn is_latin(c: char) -> bool {
    matches!(c, '\u{c0}'..='\u{24f}' | '\u{1e00}'..='\u{1eff}')
}

fn is_name(name: &str) -> bool {
    name.chars().any(char::is_alphabetic)
        && !name
            .chars()
            .any(|c| c.is_ascii_digit() || matches!(c, '@' | '?' | '�'))
}

/// Brackets and what they hold (a maiden name, a reading) go.
fn without_notes(folded: &str) -> Cow<'_, str> {
    if !folded.contains(is_bracket) {
        return Cow::Borrowed(folded);
    }
    let mut out = String::with_capacity(folded.len());
    let mut depth = 0_u32;
    for c in folded.chars() {
        match c {
            '(' | '（' | '[' | '【' | '〔' => depth += 1,
            ')' | '）' | ']' | '】' | '〕' => depth = depth.saturating_sub(1),
            _ if depth == 0 => out.push(c),
            _ => {}
        }
    }
    match text::fold(&out) {
        bare if bare.is_empty() => Cow::Borrowed(folded),
        bare => Cow::Owned(bare.into_owned()),
    }
}

const fn is_bracket(c: char) -> bool {
    matches!(
        c,
        '(' | '（' | '[' | '【' | '〔' | ')' | '）' | ']' | '】' | '〕'
    )
}

fn japanese(bare: &str) -> PersonName {
    let name = without_honorific(bare);
    // ジョン・スミス: a foreign name, given name first
    if !name.contains(' ')
        && let Some((given, family)) = name.rsplit_once('・')
        && !given.is_empty()
        && !family.is_empty()
    {
        return PersonName {
            full: name.to_owned(),
            family: Some(family.to_owned()),
            given: Some(given.to_owned()),
        };
    }
    let name = if name.contains([',', '、']) {
        text::fold(&name.replace([',', '、'], " ")).into_owned()
    } else {
        name.to_owned()
    };
    match name.split_once(' ') {
        Some((family, given)) => PersonName {
            family: Some(family.to_owned()),
            given: Some(given.to_owned()),
            full: name,
        },
        None => PersonName {
            full: name,
            ..PersonName::default()
        },
    }
}

fn without_honorific(name: &str) -> &str {
    let mut rest = name.trim();
    loop {
        let before = rest.len();
        for honorific in HONORIFICS {
            let Some(bare) = rest.strip_suffix(honorific) else {
                continue;
            };
            let spaced = bare.ends_with(' ');
            if (spaced || !AFTER_SPACE_ONLY.contains(honorific)) && bare.trim().chars().count() >= 2
            {
                rest = bare.trim();
            }
        }
        if rest.len() == before {
            return rest;
        }
    }
}

fn latin(bare: &str) -> PersonName {
    if let Some((family, given)) = bare.split_once(',') {
        let given = untitled(given);
        let family = untitled(family);
        if !family.is_empty() && !given.is_empty() {
            return western(&given.join(" "), &family.join(" "));
        }
    }
    let plain = bare.replace(',', " ");
    let mut words = untitled(&plain);
    if words.is_empty() {
        words = plain.split(' ').filter(|word| !word.is_empty()).collect();
    }
    let [first, middle @ .., last] = words.as_slice() else {
        return PersonName {
            full: title_case(&words.join(" ")),
            ..PersonName::default()
        };
    };
    if is_capitals(first) && !is_capitals(last) {
        let given: Vec<&str> = middle.iter().chain([last]).copied().collect();
        return western(&given.join(" "), first);
    }
    let given: Vec<&str> = [first].into_iter().chain(middle).copied().collect();
    western(&given.join(" "), last)
}

fn western(given: &str, family: &str) -> PersonName {
    let (given, family) = (title_case(given), title_case(family));
    PersonName {
        full: format!("{given} {family}"),
        family: Some(family),
        given: Some(given),
    }
}

/// Whether a word of a name in Latin letters is a title.
#[must_use]
pub fn is_title(word: &str) -> bool {
    TITLES.contains(&word.trim_end_matches('.').to_lowercase().as_str())
}

fn untitled(words: &str) -> Vec<&str> {
    let all: Vec<&str> = words.split(' ').filter(|word| !word.is_empty()).collect();
    let is_title = |word: &&&str| is_title(word);
    let start = all.iter().take_while(is_title).count();
    let end = all[start..].iter().rev().take_while(is_title).count();
    all[start..all.len() - end].to_vec()
}

/// Whether a word is written in capitals, as family names are beside given names that are not.
#[must_use]
pub fn is_capitals(word: &str) -> bool {
    word.chars().filter(|c| c.is_alphabetic()).count() > 1 && !word.chars().any(char::is_lowercase)
}

/// Words that are all capitals or all small get a capital first letter; mixed words stay (`McDonald`, `van Dyke`).
fn title_case(words: &str) -> String {
    let mixed = words.chars().any(char::is_lowercase) && words.chars().any(char::is_uppercase);
    let mut out = String::with_capacity(words.len());
    for word in words.split(' ').filter(|word| !word.is_empty()) {
        if !out.is_empty() {
            out.push(' ');
        }
        if mixed && !is_capitals(word) {
            out.push_str(word);
            continue;
        }
        let mut first = true;
        for c in word.chars() {
            if first {
                out.extend(c.to_uppercase());
            } else {
                out.extend(c.to_lowercase());
            }
            first = matches!(c, '-' | '\'' | '.');
        }
    }
    out
}
