//! Where an entity has the fields that others follow from.

use musubi_api::entity::Entity;

/// Where the fields of an entity stand from which others are derived, or into which they are.
pub(crate) struct Positions {
    pub(crate) name: Option<usize>,
    pub(crate) family_name: Option<usize>,
    pub(crate) given_name: Option<usize>,
    pub(crate) name_kana: Option<usize>,
    pub(crate) family_kana: Option<usize>,
    pub(crate) given_kana: Option<usize>,
    pub(crate) address: Option<usize>,
    pub(crate) country: Option<usize>,
    /// Postal code, prefecture, city, town, block, building.
    pub(crate) address_parts: [Option<usize>; 6],
    pub(crate) currency: Option<usize>,
    pub(crate) business_date: Option<usize>,
    /// The instant from which the business date follows.
    pub(crate) instant: Option<usize>,
}

impl Positions {
    pub(crate) fn of(entity: Entity) -> Self {
        let at = |name: &str| entity.fields().iter().position(|f| f.name == name);
        Self {
            name: at("name"),
            family_name: at("family_name"),
            given_name: at("given_name"),
            name_kana: at("name_kana"),
            family_kana: at("family_kana"),
            given_kana: at("given_kana"),
            address: at("address"),
            country: at("country"),
            address_parts: [
                "postal_code",
                "prefecture",
                "city",
                "town",
                "block",
                "building",
            ]
            .map(at),
            currency: at("currency"),
            business_date: at("business_date"),
            instant: entity.instant().and_then(at),
        }
    }
}
