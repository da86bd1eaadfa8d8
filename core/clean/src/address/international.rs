//! Addresses in Latin letters: house number, street, unit; city and region by their place between commas.

use super::Address;
use crate::normalised::Normalised;

const UNITS: &[&str] = &[
    "apt",
    "apartment",
    "suite",
    "ste",
    "unit",
    "flat",
    "room",
    "rm",
    "floor",
    "fl",
];

/// Splits an address written as `12 High Street Apt 3, Springfield, IL 62704`. No claim beyond that is made.
pub(super) fn split(folded: &str) -> Normalised<Address> {
    let mut segments = folded
        .split(',')
        .map(str::trim)
        .filter(|segment| !segment.is_empty());
    let Some(mut street) = segments.next() else {
        return Normalised::meaningless();
    };
    let mut segments = segments.peekable();
    // `12, rue Pasteur` and `Calle Mayor, 12`: the number of the house stands apart.
    let mut number = "";
    if is_house(street) && segments.peek().is_some() {
        number = street;
        street = segments.next().unwrap_or_default();
    }
    let (street, unit) = cut_unit(street);
    let (block, town) = match number {
        "" => cut_number(street),
        number => (number, street),
    };
    let apart = segments.next_if(|segment| block.is_empty() && is_house(segment));
    let block = apart.unwrap_or(block);
    let mut address = Address {
        block: block.to_owned(),
        town: town.to_owned(),
        building: unit.to_owned(),
        ..Address::default()
    };
    for segment in segments {
        place(&mut address, segment);
    }
    let valid = address.town.chars().any(char::is_alphabetic);
    Normalised::judged(address, valid)
}

/// City first, then region with postal code.
fn place(address: &mut Address, segment: &str) {
    if is_unit(segment.split(' ').next().unwrap_or(""))
        && address.building.is_empty()
        && address.city.is_empty()
    {
        address.building = segment.to_owned();
        return;
    }
    let words = segment.split(' ');
    let (code, region): (Vec<&str>, Vec<&str>) =
        words.partition(|word| word.bytes().any(|b| b.is_ascii_digit()));
    if address.postal_code.is_empty() {
        address.postal_code = code.join(" ");
    }
    let region = region.join(" ");
    if address.city.is_empty() {
        address.city = region;
    } else if address.prefecture.is_empty() {
        address.prefecture = region;
    }
}

/// Whether a segment is the number of a house and nothing else: `12`, `12 bis`, `7b`. Four digits are a postal code.
fn is_house(segment: &str) -> bool {
    let digits = segment.bytes().take_while(u8::is_ascii_digit).count();
    let rest = segment[digits..].trim_start();
    (1..=3).contains(&digits) && (rest.len() <= 1 || matches!(rest, "bis" | "ter" | "quater"))
}

fn is_unit(word: &str) -> bool {
    word.starts_with('#') || UNITS.contains(&word.trim_end_matches('.').to_lowercase().as_str())
}

fn cut_unit(street: &str) -> (&str, &str) {
    let mut at = 0;
    for word in street.split(' ') {
        if at > 0 && is_unit(word) {
            return (street[..at].trim_end(), &street[at..]);
        }
        at += word.len() + 1;
    }
    (street, "")
}

/// The house number before the street (`12 High Street`) or behind it (`Hauptstrasse 5`).
fn cut_number(street: &str) -> (&str, &str) {
    let is_number = |word: &str| word.starts_with(|c: char| c.is_ascii_digit());
    match (street.split_once(' '), street.rsplit_once(' ')) {
        (Some((first, rest)), _) if is_number(first) => (first, rest),
        (_, Some((rest, last))) if is_number(last) => (last, rest),
        _ => ("", street),
    }
}
