//! Comparison levels: how two values of a field agree, as a small number. Level 0 means that one of
//! them is missing and carries no weight; level 1 is full agreement; higher levels agree less.

mod fields;
mod glance;
mod similarity;

use crate::features::{Features, Row, col};
pub(crate) use glance::Glance;
#[cfg(test)]
pub(crate) use glance::tests::features as made_features;

/// How many comparisons there are.
pub const COMPARISONS: usize = 11;
/// Most levels a comparison has, missing included.
pub const LEVELS: usize = 8;

/// Levels of a pair, by comparison.
pub type Levels = [u8; COMPARISONS];

pub(crate) const GIVEN: usize = 0;
pub(crate) const FAMILY: usize = 1;
pub(crate) const BIRTH: usize = 2;
pub(crate) const GENDER: usize = 3;
pub(crate) const EMAIL: usize = 4;
pub(crate) const PHONE: usize = 5;
pub(crate) const AREA: usize = 6;
pub(crate) const STREET: usize = 7;
pub(crate) const BUILDING: usize = 8;
pub(crate) const MIDDLE: usize = 9;
pub(crate) const SUFFIX: usize = 10;

/// The level of street and building in another area, for each that has one: who moved, moved with all of them, so that
/// what differs there says no more than the area does. It comes after the levels that a model knows.
pub(crate) const fn elsewhere(comparison: usize) -> Option<u8> {
    match comparison {
        STREET | BUILDING => Some(COMPARISON[comparison].levels.len() as u8 + 1),
        _ => None,
    }
}

/// The level of areas from which on they are two: at most the prefecture is the same.
pub(crate) const OTHER_AREA: u8 = 4;

/// What is fixed about a comparison: its name, its levels, and what is believed before any data.
#[derive(Debug)]
pub struct Comparison {
    /// Name in models and explanations.
    pub name: &'static str,
    /// Customer fields that it reads.
    pub fields: &'static [&'static str],
    /// Names of the levels from 1.
    pub levels: &'static [&'static str],
    /// Share of same-person pairs at each level, believed before any data.
    pub(crate) m: &'static [f64],
    /// Share of unrelated pairs at each level, believed before any data.
    pub(crate) u: &'static [f64],
    /// How far two members of one household agree as one person does (1) or as strangers do (0).
    pub(crate) household: f64,
}

/// The level of names that changed places.
pub(crate) const SWAPPED: u8 = 3;

const NAME_LEVELS: &[&str] = &[
    "exact",
    "same reading or nickname",
    "swapped",
    "similar",
    "initial or start",
    "somewhat similar",
    "different",
];

impl Comparison {
    /// The name of a level from 1.
    #[must_use]
    pub fn level(&self, level: u8) -> &'static str {
        let level = self.levels.get(usize::from(level) - 1);
        level.copied().unwrap_or("elsewhere")
    }
}

/// Every comparison, in the order of [`Levels`].
pub const COMPARISON: [Comparison; COMPARISONS] = [
    Comparison {
        name: "given",
        fields: &["given_name", "given_kana", "name", "name_kana"],
        levels: NAME_LEVELS,
        m: &[0.80, 0.04, 0.02, 0.05, 0.03, 0.02, 0.04],
        u: &[0.004, 0.001, 0.0003, 0.003, 0.02, 0.01, 0.9617],
        household: 0.005,
    },
    Comparison {
        name: "family",
        fields: &["family_name", "family_kana", "name", "name_kana"],
        levels: NAME_LEVELS,
        m: &[0.80, 0.03, 0.02, 0.05, 0.01, 0.02, 0.07],
        u: &[0.004, 0.0005, 0.0003, 0.002, 0.015, 0.01, 0.9682],
        household: 0.8,
    },
    Comparison {
        name: "birth",
        fields: &["birth_date"],
        levels: &[
            "exact",
            "one slip",
            "two of three parts",
            "same year",
            "different",
        ],
        m: &[0.88, 0.06, 0.03, 0.01, 0.02],
        u: &[0.00005, 0.0008, 0.004, 0.014, 0.98115],
        household: 0.006,
    },
    Comparison {
        name: "gender",
        fields: &["gender"],
        levels: &["same", "different"],
        m: &[0.98, 0.02],
        u: &[0.5, 0.5],
        household: 0.0,
    },
    Comparison {
        name: "email",
        fields: &["email"],
        levels: &["exact", "local part", "one slip", "similar", "different"],
        m: &[0.70, 0.05, 0.05, 0.03, 0.17],
        u: &[0.00001, 0.0002, 0.00005, 0.0005, 0.99924],
        household: 0.2,
    },
    Comparison {
        name: "phone",
        fields: &["phone", "phone2"],
        levels: &["exact", "one slip", "different"],
        m: &[0.70, 0.05, 0.25],
        u: &[0.00001, 0.0001, 0.99989],
        household: 0.6,
    },
    Comparison {
        name: "area",
        fields: &["postal_code", "city", "prefecture"],
        levels: &[
            "all parts",
            "some parts",
            "similar",
            "prefecture",
            "different",
        ],
        m: &[0.75, 0.10, 0.05, 0.05, 0.05],
        u: &[0.005, 0.005, 0.005, 0.1, 0.885],
        household: 0.9,
    },
    Comparison {
        name: "street",
        fields: &["town", "block"],
        levels: &[
            "town and block",
            "similar town and block",
            "town",
            "similar town or block",
            "different",
        ],
        m: &[0.65, 0.10, 0.10, 0.05, 0.10],
        u: &[0.0001, 0.0002, 0.003, 0.02, 0.9767],
        household: 0.9,
    },
    Comparison {
        name: "building",
        fields: &["building"],
        levels: &["exact", "similar", "different"],
        m: &[0.70, 0.15, 0.15],
        u: &[0.005, 0.01, 0.985],
        household: 0.9,
    },
    Comparison {
        name: "middle",
        fields: &["middle_name"],
        levels: &["exact", "similar", "initial or start", "different"],
        m: &[0.68, 0.06, 0.20, 0.06],
        u: &[0.015, 0.003, 0.05, 0.932],
        household: 0.01,
    },
    Comparison {
        name: "suffix",
        fields: &["name_suffix"],
        levels: &["same generation", "another"],
        m: &[0.97, 0.03],
        u: &[0.5, 0.5],
        household: 0.0,
    },
];

/// What codes alone say about a comparison of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Likely {
    /// Its level.
    Level(u8),
    /// That it agrees no better than at this level, or not at all.
    From(u8),
}

/// The comparisons of one pair, each made when it is asked for and no more than once.
pub(crate) struct Comparing<'a> {
    features: &'a Features,
    a: &'a Row,
    b: &'a Row,
    glances: Option<[&'a Glance; 2]>,
    /// What has been found out about each comparison.
    known: [Option<Likely>; COMPARISONS],
}

impl<'a> Comparing<'a> {
    pub(crate) fn new(features: &'a Features, a: &'a Row, b: &'a Row) -> Self {
        Self::at_a_glance(features, [a, b], None)
    }

    /// The same, with glances at both records where they are at hand.
    pub(crate) fn at_a_glance(
        features: &'a Features,
        [a, b]: [&'a Row; 2],
        glances: Option<[&'a Glance; 2]>,
    ) -> Self {
        Self {
            features,
            a,
            b,
            glances,
            known: [None; COMPARISONS],
        }
    }

    /// What is known of a comparison before letters are looked at.
    pub(crate) fn likely(&mut self, comparison: usize) -> Likely {
        match self.known[comparison] {
            Some(known) => known,
            None => self.look(comparison),
        }
    }

    /// The same of one that was not asked for yet. It is asked of every pair: inlined where the comparison is known.
    #[inline(always)]
    pub(crate) fn look(&mut self, comparison: usize) -> Likely {
        let look = |c: usize| fields::likely(self.features, self.a, self.b, self.glances, c);
        let area = || self.known[AREA].unwrap_or_else(|| look(AREA));
        let known = fields::in_area(comparison, look(comparison), area);
        self.known[comparison] = Some(known);
        known
    }

    /// The level of a comparison.
    pub(crate) fn level(&mut self, comparison: usize) -> u8 {
        if let Likely::Level(level) = self.likely(comparison) {
            return level;
        }
        let (f, a, b) = (self.features, self.a, self.b);
        let level = match comparison {
            GIVEN | FAMILY => fields::name(f, a, b, comparison),
            EMAIL => match fields::email(f, a[col::EMAIL], b[col::EMAIL]) {
                // Addresses are made of names: two people of one name have similar ones.
                4 if [GIVEN, FAMILY]
                    .iter()
                    .any(|c| (1..=4).contains(&self.level(*c))) =>
                {
                    0
                }
                level => level,
            },
            PHONE => fields::phone(f, a, b),
            AREA => fields::area(f, a, b),
            STREET => self.unless_elsewhere(STREET, fields::street(f, a, b)),
            BUILDING => {
                let level = fields::building(f, a[col::BUILDING], b[col::BUILDING]);
                self.unless_elsewhere(BUILDING, level)
            }
            MIDDLE => fields::middle(f, a[col::MIDDLE], b[col::MIDDLE]),
            // Of birth dates, genders and generations, codes say everything.
            _ => 0,
        };
        self.known[comparison] = Some(Likely::Level(level));
        level
    }

    /// The level of a part of an address, unless it differs as the whole area does.
    fn unless_elsewhere(&mut self, comparison: usize, level: u8) -> u8 {
        let differs = usize::from(level) == COMPARISON[comparison].levels.len();
        match elsewhere(comparison).filter(|_| differs && self.level(AREA) >= OTHER_AREA) {
            Some(elsewhere) => elsewhere,
            None => level,
        }
    }

    /// The levels of all comparisons.
    pub(crate) fn levels(mut self) -> Levels {
        std::array::from_fn(|c| self.level(c))
    }
}

/// Columns without which a comparison says nothing: where both records lack all of them.
pub(crate) const fn columns(comparison: usize) -> &'static [usize] {
    match comparison {
        // Names change places.
        GIVEN | FAMILY => &[
            col::GIVEN,
            col::FAMILY,
            col::GIVEN_READING,
            col::FAMILY_READING,
        ],
        BIRTH => &[col::BIRTH],
        GENDER => &[col::GENDER],
        EMAIL => &[col::EMAIL],
        PHONE => &[col::PHONE, col::PHONE2],
        AREA => &[col::POSTAL, col::CITY, col::PREFECTURE],
        STREET => &[col::TOWN, col::BLOCK],
        BUILDING => &[col::BUILDING],
        MIDDLE => &[col::MIDDLE],
        SUFFIX => &[col::SUFFIX],
        _ => &[],
    }
}

/// Columns whose joint value full agreement of a comparison is about, for term frequencies.
pub(crate) fn term(f: &Features, row: &Row, comparison: usize) -> u64 {
    let h = |c| f.hash(row, c);
    match comparison {
        GIVEN if row[col::GIVEN] == 0 => h(col::GIVEN_READING),
        GIVEN => h(col::GIVEN),
        FAMILY if row[col::FAMILY] == 0 => h(col::FAMILY_READING),
        FAMILY => h(col::FAMILY),
        EMAIL => h(col::EMAIL),
        PHONE => h(col::PHONE),
        AREA if row[col::POSTAL] != 0 => h(col::POSTAL),
        AREA => h(col::CITY),
        STREET if row[col::TOWN] != 0 && row[col::BLOCK] != 0 => {
            h(col::TOWN) ^ h(col::BLOCK).rotate_left(17)
        }
        BUILDING => h(col::BUILDING),
        MIDDLE => h(col::MIDDLE),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beliefs_are_distributions() {
        for c in &COMPARISON {
            for p in [c.m, c.u] {
                assert_eq!(p.len(), c.levels.len(), "{}", c.name);
                assert!((p.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{}", c.name);
            }
        }
    }
}
