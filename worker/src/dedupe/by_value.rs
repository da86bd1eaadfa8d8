//! What a column holds where its name says nothing: told by its values alone.

use musubi_clean::{
    gender::{self, Gender},
    text,
};

use super::{
    dates::Dates,
    guess::{Found, Seen},
    japanese,
    names::{self, Names},
    role::Role,
};

/// Whether a name says nothing, not even that the column is something else: `column_3`, `c1`, `field3`, `項目1`,
/// `Unnamed: 0`.
pub(super) fn is_nameless(name: &str) -> bool {
    const WORDS: [&str; 12] = [
        "column",
        "col",
        "field",
        "fld",
        "var",
        "variable",
        "attr",
        "attribute",
        "unnamed",
        "項目",
        "列",
        "カラム",
    ];
    let folded = text::fold(name).to_lowercase();
    let bare: String = folded.chars().filter(|c| c.is_alphanumeric()).collect();
    let word = bare.trim_end_matches(|c: char| c.is_ascii_digit());
    let numbered = word.len() < bare.len();
    numbered && (word.chars().count() <= 1 && word.is_ascii() || WORDS.contains(&word))
}

/// What the values say where the name says nothing.
pub(super) fn look(seen: &Seen<'_>, dates: &impl Fn() -> Dates) -> Option<Found> {
    let report = seen.report;
    let field = |name: &str, why: &'static str| Some((Role::field(name), why, None));
    if report.email_percent >= 80.0 {
        return field("email", "e-mail addresses");
    }
    let nameless = is_nameless(&report.name);
    // Ids are bare digits as a rule.
    let written = seen.share(|v| {
        let folded = text::fold(v);
        is_phone(&folded)
            && (folded.starts_with(['+', '0', '(']) || folded.contains(['-', ' ', '.']))
    });
    let rising = seen.rising();
    let bare = || nameless && !rising && seen.share(is_bare_phone) >= 0.95;
    if written >= 0.8 || bare() {
        return field("phone", "phone numbers");
    }
    let values = || seen.texts().take(2000);
    if let Some((role, why)) = japanese::look(values(), nameless) {
        return field(role, why);
    }
    if are_genders(seen) {
        return field("gender", "genders");
    }
    let found = dates();
    // Dates of birth reach far back, others do not.
    if found.understood >= 0.9 && (nameless || found.reach_back) {
        return Some((Role::field("birth_date"), "dates", found.format));
    }
    if seen.share(is_postcode) >= 0.9 {
        return field("postal_code", "postcodes");
    }
    // Numbers of rows rise, and each is there once.
    let several = report.distinct >= 10 && report.distinct * 10 < report.rows * 9;
    if nameless && several && !rising && seen.share(is_short_code) >= 0.95 {
        return field("postal_code", "postal codes");
    }
    if seen.share(is_street) >= 0.8 {
        return field("address", "house numbers and streets");
    }
    let role = match names::look(values())? {
        Names::Given => "given_name",
        Names::Family => "family_name",
        Names::Whole => "name",
    };
    field(role, "names of people")
}

/// Whether the values are the words for two genders, and hardly anything else.
fn are_genders(seen: &Seen<'_>) -> bool {
    if seen.report.distinct > 12 {
        return false;
    }
    let of = |wanted: &[Gender]| {
        seen.share(|v| {
            let digits = v.bytes().any(|b| b.is_ascii_digit());
            !digits && gender::parse(v).value.is_some_and(|g| wanted.contains(&g))
        })
    };
    of(&[Gender::Female]) >= 0.05
        && of(&[Gender::Male]) >= 0.05
        && of(&[Gender::Female, Gender::Male]) >= 0.9
}

/// Whether a value has the form of a phone number.
fn is_phone(folded: &str) -> bool {
    let digits = folded.bytes().filter(u8::is_ascii_digit).count();
    (9..=15).contains(&digits)
        && folded
            .chars()
            .all(|c| c.is_ascii_digit() || " +-()./".contains(c))
}

/// Whether a value is bare digits as numbers of phones begin in some country: with 0, as in North America (area and
/// exchange from 2), Spain (6 to 9) or China (1).
fn is_bare_phone(value: &str) -> bool {
    let digits = value.as_bytes();
    digits.iter().all(u8::is_ascii_digit)
        && match digits {
            [b'0', ..] => (9..=11).contains(&digits.len()),
            [b'2'..=b'9', _, _, b'2'..=b'9', ..] if digits.len() == 10 => true,
            [b'6'..=b'9', ..] => digits.len() == 9,
            [b'1', b'3'..=b'9', ..] => digits.len() == 11,
            _ => false,
        }
}

/// Whether a value has the form of a postal code of five or six digits, with four more or three where they are written.
fn is_short_code(value: &str) -> bool {
    let (code, more) = value.split_once('-').unwrap_or((value, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    digits(code) && digits(more) && matches!((code.len(), more.len()), (5, 0 | 3 | 4) | (6, 0))
}

/// Whether a value is a postcode with letters and digits, as in the United Kingdom (`EX2 5DW`) and Canada (`K1A 0B1`).
fn is_postcode(value: &str) -> bool {
    let kinds: String = value
        .chars()
        .filter(|c| *c != ' ')
        .map(|c| match c {
            '0'..='9' => '9',
            'a'..='z' | 'A'..='Z' => 'A',
            _ => '-',
        })
        .collect();
    let area = kinds.strip_suffix("9AA");
    let area = area.or_else(|| kinds.strip_suffix("9A9"));
    area.is_some_and(|area| ["A9", "A99", "AA9", "AA99", "A9A", "AA9A"].contains(&area))
}

/// Whether a value begins with the number of a house and goes on with a street: `12 High Street`.
fn is_street(value: &str) -> bool {
    const KINDS: [&str; 24] = [
        "street",
        "st",
        "road",
        "rd",
        "avenue",
        "ave",
        "lane",
        "ln",
        "drive",
        "dr",
        "court",
        "ct",
        "place",
        "pl",
        "close",
        "way",
        "blvd",
        "boulevard",
        "terrace",
        "crescent",
        "circle",
        "parade",
        "highway",
        "hwy",
    ];
    let value = value.to_lowercase();
    let mut words = value.split([' ', ',', '.']).filter(|w| !w.is_empty());
    let number = words
        .next()
        .is_some_and(|w| w.starts_with(|c: char| c.is_ascii_digit()));
    number && words.skip(1).any(|word| KINDS.contains(&word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_say_nothing_are_known() {
        for (name, nameless) in [
            ("column_3", true),
            ("c1", true),
            ("Field 3", true),
            ("x1", true),
            ("Unnamed: 0", true),
            ("項目１", true),
            ("0", true),
            ("address1", false),
            ("notes", false),
            ("col", false),
        ] {
            assert_eq!(is_nameless(name), nameless, "{name}");
        }
    }

    #[test]
    fn bare_digits_are_phones_or_postal_codes() {
        for (value, phone, code) in [
            ("0312345678", true, false),
            ("01012345678", true, false),
            ("2125550111", true, false),
            ("1125550111", false, false),
            ("612345678", true, false),
            ("13812345678", true, false),
            ("12345", false, true),
            ("12345-6789", false, true),
            ("01310-100", false, true),
            ("100080", false, true),
            ("1234", false, false),
        ] {
            assert_eq!(
                (is_bare_phone(value), is_short_code(value)),
                (phone, code),
                "{value}"
            );
        }
    }
}
