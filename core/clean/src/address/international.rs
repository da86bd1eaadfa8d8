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
    let Some(street) = segments.next() else {
        return Normalised::meaningless();
    };
    let (street, unit) = cut_unit(street);
    let (block, town) = cut_number(street);
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
