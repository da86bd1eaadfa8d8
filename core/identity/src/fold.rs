//! Folds that let two spellings of one value meet. The clean zone folds too; this small set keeps the
//! engine good on raw files. All folds are idempotent, so features can be written and built again.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization;
use wana_kana::ConvertJapanese;

/// Old and variant forms of kanji that are frequent in names, each before its common form.
const VARIANTS: &str = "齋斎齊斉邊辺邉辺髙高﨑崎嵜崎澤沢廣広國国濱浜濵浜嶋島嶌島櫻桜瀧滝龍竜眞真惠恵榮栄槇槙條条黑黒藏蔵壽寿實実豐豊德徳藪薮靜静淺浅增増德徳禮礼關関團団當当萬万圓円冨富舘館彌弥會会學学佛仏與与曾曽";

fn modern(c: char) -> char {
    let mut it = VARIANTS.chars();
    while let (Some(old), Some(new)) = (it.next(), it.next()) {
        if old == c {
            return new;
        }
    }
    c
}

pub(crate) fn is_kanji(c: char) -> bool {
    matches!(c, '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '々')
}

pub(crate) fn is_kana(c: char) -> bool {
    matches!(c, '\u{3041}'..='\u{30ff}')
}

/// Width, case and kanji variants folded; outer blanks removed.
pub(crate) fn text(value: &str) -> Cow<'_, str> {
    let value = value.trim();
    if value.is_ascii() {
        if value.bytes().any(|b| b.is_ascii_uppercase()) {
            return Cow::Owned(value.to_ascii_lowercase());
        }
        return Cow::Borrowed(value);
    }
    Cow::Owned(
        value
            .nfkc()
            .flat_map(char::to_lowercase)
            .map(modern)
            .collect(),
    )
}

/// A part of a name: letters only, diacritics and hiragana folded.
pub(crate) fn name(value: &str) -> Cow<'_, str> {
    let folded = text(value);
    if folded.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return folded;
    }
    let plain: String = folded
        .chars()
        .filter(|c| c.is_alphanumeric() || *c == 'ー')
        .map(|c| match c {
            '\u{3041}'..='\u{3096}' => char::from_u32(c as u32 + 0x60).unwrap_or(c),
            _ => c,
        })
        .collect();
    if plain.is_ascii() || plain.chars().any(|c| is_kanji(c) || is_kana(c)) {
        return Cow::Owned(plain);
    }
    let letters = any_ascii::any_ascii(&plain).to_ascii_lowercase();
    let letters = letters.chars().filter(char::is_ascii_alphanumeric);
    Cow::Owned(letters.collect())
}

/// The reading of a folded name as a consonant-vowel skeleton, when its script tells one: kana and
/// Latin letters meet here, whatever the romanisation and however long vowels are written.
pub(crate) fn reading(folded: &str) -> Option<String> {
    if folded.is_empty() || folded.chars().any(is_kanji) {
        return None;
    }
    let mut s = if folded.is_ascii() {
        folded.to_owned()
    } else if folded.chars().all(is_kana) {
        folded.replace('ー', "").to_romaji()
    } else {
        return None;
    };
    s.retain(|c| c.is_ascii_alphabetic());
    for (from, to) in [
        ("shi", "si"),
        ("sh", "sy"),
        ("tch", "ty"),
        ("chi", "ti"),
        ("ch", "ty"),
        ("tsu", "tu"),
        ("fu", "hu"),
        ("ji", "zi"),
        ("j", "zy"),
        ("dzu", "zu"),
        ("du", "zu"),
        ("di", "zi"),
        ("mb", "nb"),
        ("mp", "np"),
        ("mm", "nm"),
        ("ou", "o"),
        ("oo", "o"),
        ("uu", "u"),
        ("oh", "o"),
        ("ii", "i"),
        ("aa", "a"),
        ("ee", "e"),
    ] {
        if s.contains(from) {
            s = s.replace(from, to);
        }
    }
    s.dedup_letters();
    (!s.is_empty()).then_some(s)
}

trait Dedup {
    fn dedup_letters(&mut self);
}

impl Dedup for String {
    fn dedup_letters(&mut self) {
        let mut last = ' ';
        self.retain(|c| {
            let keep = c != last;
            last = c;
            keep
        });
    }
}

/// Splits a whole name into (family, given): family first where the script is Japanese, last elsewhere.
pub(crate) fn split_name(value: &str) -> (Option<String>, Option<String>) {
    let folded = text(value);
    if let Some((family, given)) = folded.split_once(',') {
        return (Some(family.to_owned()), Some(given.to_owned()));
    }
    let parts: Vec<&str> = folded.split_whitespace().collect();
    let japanese = folded.chars().any(|c| is_kanji(c) || is_kana(c));
    match parts.as_slice() {
        [] => (None, None),
        [one] => (Some((*one).to_owned()), None),
        [family, given @ ..] if japanese => (Some((*family).to_owned()), Some(given.concat())),
        [given @ .., family] => (Some((*family).to_owned()), Some(given.concat())),
    }
}

/// Where the third of four kanji begins: without a space they are nearly always a family and a given name
/// of two each.
pub(crate) fn middle_of_four_kanji(name: &str) -> Option<usize> {
    let characters: Vec<(usize, char)> = name.char_indices().collect();
    (characters.len() == 4 && characters.iter().all(|c| is_kanji(c.1))).then(|| characters[2].0)
}

/// Words that mark the name of a company.
pub(crate) fn is_company(value: &str) -> bool {
    const MARKS: [&str; 9] = [
        "株式会社",
        "有限会社",
        "合同会社",
        "(株)",
        "(有)",
        " inc",
        " ltd",
        " gmbh",
        " llc",
    ];
    let folded = text(value);
    MARKS.iter().any(|m| folded.contains(m))
}

/// Whether an e-mail address says nothing about a person: placeholders and role accounts.
pub(crate) fn is_junk_email(value: &str) -> bool {
    const LOCALS: [&str; 16] = [
        "test", "info", "none", "na", "noreply", "no-reply", "dummy", "unknown", "nomail",
        "noemail", "example", "sample", "xxx", "aaa", "a", "null",
    ];
    let (local, domain) = value.split_once('@').unwrap_or((value, ""));
    domain.is_empty() || LOCALS.contains(&local) || domain == "test.com"
}

/// Whether a phone number is a placeholder: too short, one digit repeated, or counting up.
pub(crate) fn is_junk_phone(digits: &str) -> bool {
    let tail: Vec<u8> = digits.bytes().rev().take(7).collect();
    tail.len() < 7 || tail.windows(2).all(|w| w[0] == w[1]) || "01234567890123".contains(digits)
}

/// The year that somebody of no age stands for: ages are years before it, so that they lie as far apart as years of
/// birth do, and so far from these that nobody takes one for the other.
pub(crate) const AGES: u32 = 9000;

/// Whether a date of birth stands for an age.
pub(crate) const fn is_age(date: u32) -> bool {
    date / 10_000 > AGES - 200
}

/// The generation that the end of a name tells of: `Jr.` and `II` are one, as the second of a name is the son of the
/// first. Nothing of titles and degrees.
pub(crate) fn generation(suffix: &str) -> Option<&'static str> {
    let folded = text(suffix);
    let plain: String = folded.chars().filter(char::is_ascii_alphanumeric).collect();
    Some(match &*plain {
        "sr" | "senior" | "i" | "1st" => "sr",
        "jr" | "jnr" | "junior" | "ii" | "2nd" => "jr",
        "iii" | "3rd" => "iii",
        "iv" | "4th" => "iv",
        "v" | "5th" => "v",
        _ => return None,
    })
}

/// Whether the end of a name tells of a generation: `Jr.`, `III`.
#[must_use]
pub fn tells_generation(suffix: &str) -> bool {
    generation(suffix).is_some()
}

/// A name without the generation at its end, and that: `Smith, Jr.`, `Smith III`. Letters that are initials as well are
/// left where they are.
pub(crate) fn without_generation(name: &str) -> (&str, Option<&'static str>) {
    let trimmed = name.trim_end();
    let split = trimmed.rsplit_once([' ', ',']);
    let told = split.and_then(|(rest, last)| {
        let rest = rest.trim_end_matches([' ', ',']);
        let certain = last.trim_end_matches('.').len() > 1 && !rest.is_empty();
        Some((rest, generation(last).filter(|_| certain)?))
    });
    told.map_or((name, None), |(rest, told)| (rest, Some(told)))
}

/// What systems say of a birth date that they do not know.
const NO_DATE: u32 = 19_000_101;

/// `YYYYMMDD` of an ISO or compact date, `YYYY0000` of a year alone, what stands for it of an age (`age 45`); `None` when
/// it is nothing of these.
pub(crate) fn date(value: &str) -> Option<u32> {
    let value = value.trim();
    if let Some(age) = value.strip_prefix("age ") {
        let age: u32 = age.parse().ok()?;
        return (age < 130).then_some((AGES - age) * 10_000);
    }
    if value.len() == 4 {
        let year: u32 = value.parse().ok()?;
        return (1800..2200).contains(&year).then_some(year * 10_000);
    }
    let digits: String = value
        .chars()
        .take(10)
        .filter(char::is_ascii_digit)
        .collect();
    if digits.len() != 8 {
        return None;
    }
    let n: u32 = digits.parse().ok()?;
    let (month, day) = (n / 100 % 100, n % 100);
    (n > 18_000_000
        && n < 22_000_000
        && n != NO_DATE
        && (1..=12).contains(&month)
        && (1..=31).contains(&day))
    .then_some(n)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_reading_meet() {
        for group in [
            &["さとう", "サトウ", "Satou", "SATO", "Satoh", "ｻﾄｳ"][..],
            &["おおた", "Ohta", "ota", "Oota"],
            &["ジュンイチ", "Junichi", "zyunichi"],
            &["しょう", "Sho", "syou"],
            &["なんば", "Namba", "Nanba"],
        ] {
            let want = reading(&name(group[0]));
            assert!(want.is_some());
            for v in group {
                assert_eq!(reading(&name(v)), want, "{v}");
            }
        }
        assert_eq!(reading(&name("佐藤")), None);
    }

    #[test]
    fn names_fold_and_folding_again_changes_nothing() {
        for (raw, want) in [
            ("齋藤", "斎藤"),
            ("渡邊", "渡辺"),
            ("髙橋", "高橋"),
            ("O'Brien", "obrien"),
            ("Müller", "muller"),
            ("さくら", "サクラ"),
        ] {
            assert_eq!(name(raw), want);
            assert_eq!(name(&name(raw)), want);
        }
    }

    #[test]
    fn a_date_is_whole_or_a_year() {
        for (value, want) in [
            ("1980-01-02", Some(19_800_102)),
            ("19800102", Some(19_800_102)),
            ("1980", Some(19_800_000)),
            ("1980-00-00", None),
            ("0980", None),
            ("198", None),
            ("1900-01-01", None),
            ("9999-12-31", None),
            ("age 45", Some(89_550_000)),
            ("age 451", None),
        ] {
            assert_eq!(date(value), want, "{value}");
        }
    }

    #[test]
    fn generations_are_told_from_the_end_of_a_name() {
        for (name, want) in [
            ("Smith Jr.", ("Smith", Some("jr"))),
            ("John Smith, III", ("John Smith", Some("iii"))),
            ("smith ii", ("smith", Some("jr"))),
            ("John V", ("John V", None)),
            ("Junior", ("Junior", None)),
            ("Smith, John", ("Smith, John", None)),
        ] {
            assert_eq!(without_generation(name), want);
        }
        assert_eq!(generation("Sr."), Some("sr"));
        assert_eq!(generation("PhD"), None);
    }

    #[test]
    fn junk_contacts_are_known() {
        assert!(
            is_junk_email("test@musubi.jp")
                && is_junk_email("no at sign")
                && !is_junk_email("kenta@musubi.jp")
        );
        assert!(
            is_junk_phone("+81000000000")
                && is_junk_phone("123")
                && !is_junk_phone("+819012345678")
        );
    }
}
