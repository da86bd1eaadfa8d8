//! Guards: named reasons why two records are not joined though something says they should be.

use serde::Serialize;

use crate::compare::{BIRTH, GENDER, GIVEN, Levels, SUFFIX};
use crate::features::{Row, col};

/// Why a link was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Guard {
    /// A steward said never.
    Pin,
    /// One of them is a company.
    Business,
    /// Same birth date, different given names: twins.
    Twins,
    /// Same given name, birth dates far apart or names of two generations: parent and child.
    ParentAndChild,
    /// Different given names: members of a family that share a contact.
    GivenName,
    /// More values of one identifier than a customer may have.
    IdentifierLimit,
    /// The clusters as wholes are more unlike than like: the link was a bridge.
    Bridge,
    /// The cluster grew past its bound and its evidence is weak.
    Size,
}

/// Whether one is a company's record and the other a person's. A company's account with the name of the
/// same person is that person at work.
fn business_and_person(a: &Row, b: &Row, levels: &Levels) -> bool {
    let business = |r: &Row| r[col::BUSINESS] == 2;
    business(a) != business(b) && !(1..=4).contains(&levels[GIVEN])
}

/// Whether two records tell of different ages: by their birth dates, or as one is Jr. and the other Sr.
pub(crate) fn other_age(levels: &Levels) -> bool {
    match levels[BIRTH] {
        0 => levels[SUFFIX] == 2,
        level => level >= 4,
    }
}

/// What tells two records apart as people, whatever contacts they share.
pub(crate) fn differ(a: &Row, b: &Row, levels: &Levels, birth_conflict: bool) -> Option<Guard> {
    if business_and_person(a, b, levels) {
        return Some(Guard::Business);
    }
    let other_given = levels[GIVEN] == 7;
    match levels[BIRTH] {
        1 if other_given => Some(Guard::Twins),
        _ if birth_conflict && other_age(levels) => Some(match levels[GIVEN] {
            0 | 7 => Guard::GivenName,
            _ => Guard::ParentAndChild,
        }),
        _ if other_given || levels[GIVEN] == 6 && levels[GENDER] == 2 => Some(Guard::GivenName),
        _ => None,
    }
}
