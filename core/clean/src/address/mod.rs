//! Postal addresses, split into their parts.

mod gazetteer;
mod international;
mod japanese;
mod numerals;

use crate::{normalised::Normalised, text};

/// Version of this normaliser; raised when any result changes.
pub const VERSION: u32 = 2;

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

impl Address {
    /// The address in one line, as its country writes it.
    #[must_use]
    pub fn line(&self) -> String {
        let place = format!("{}{}{}", self.prefecture, self.city, self.town);
        if place.chars().any(crate::name::is_japanese) {
            let line = format!("{place}{} {}", self.block, self.building);
            return line.trim_end().to_owned();
        }
        let street = format!("{} {}", self.block, self.town);
        [street.trim(), &self.building, &self.city, &self.prefecture]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join(", ")
    }
}

/// An address of a country (ISO 3166 alpha-2, any case). A Japanese one is invalid when its city or town is not
/// known; one of another country when it has no street. Addresses in Japanese writing are read as Japanese whatever the country.
#[must_use]
pub fn normalise(value: &str, country: &str) -> Normalised<Address> {
    let Some(folded) = text::present(value) else {
        return Normalised::absent();
    };
    if folded.chars().any(crate::name::is_japanese)
        || (country.eq_ignore_ascii_case("jp") && !folded.is_ascii())
    {
        return japanese::split(&folded);
    }
    international::split(&folded)
}
