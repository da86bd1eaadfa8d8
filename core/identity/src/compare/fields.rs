//! The comparison of each field: what codes alone say, and the level.

use super::similarity::{
    contains, may_contain, may_reach, may_slip, one_slip, reaches, similarity,
};
use super::{
    AREA, BIRTH, BUILDING, COMPARISON, EMAIL, FAMILY, GENDER, GIVEN, Glance, Likely, MIDDLE,
    OTHER_AREA, PHONE, STREET, SUFFIX, elsewhere,
};
use crate::features::{Dict, Features, Row, Script, Shape, col, dict_of};
use crate::fold::is_age;
use crate::nicknames;

/// Similarities (Jaro-Winkler) from which on names are alike, and other texts.
const SOMEWHAT: f64 = 0.8;
const VERY: f64 = 0.92;
const ALIKE: f64 = 0.88;

/// What codes say about a comparison, and shapes where they are at hand. Of street and building, before it is asked
/// whether the whole area differs: see [`in_area`]. Inlined where the comparison is known.
#[inline(always)]
pub(super) fn likely(
    f: &Features,
    a: &Row,
    b: &Row,
    glances: Option<[&Glance; 2]>,
    comparison: usize,
) -> Likely {
    use Likely::{From, Level};
    let both = |c: usize| a[c] != 0 && b[c] != 0;
    let equal = |c: usize| both(c) && a[c] == b[c];
    let whole = |c: usize| match (both(c), equal(c)) {
        (false, _) => Level(0),
        (_, true) => Level(1),
        _ => From(2),
    };
    let shapes = |c: usize| glances.map(|pair| pair.map(|glance| glance.shape(c)));
    let apart =
        |c: usize, at_least: f64| shapes(c).is_some_and(|[x, y]| !may_reach(x, y, at_least));
    let slipped = |c: usize| shapes(c).is_none_or(|[x, y]| may_slip(x, y));
    let name = |c: usize| match (equal(c), shapes(c)) {
        (true, _) => Level(1),
        (_, Some(shapes)) => name_at_a_glance(a, b, shapes, comparison),
        _ => From(2),
    };
    let same_email_name = || {
        let derived = &f.dicts[col::EMAIL].derived;
        match glances {
            Some([x, y]) => x.email_name == y.email_name,
            None => derived[a[col::EMAIL] as usize] == derived[b[col::EMAIL] as usize],
        }
    };
    match comparison {
        GIVEN => name(col::GIVEN),
        FAMILY => name(col::FAMILY),
        BIRTH => Level(birth(a[col::BIRTH], b[col::BIRTH])),
        GENDER => match whole(col::GENDER) {
            From(_) => Level(2),
            known => known,
        },
        EMAIL => match whole(col::EMAIL) {
            From(_) if same_email_name() => Level(2),
            From(_) if apart(col::EMAIL, VERY) && !slipped(col::EMAIL) => Level(5),
            From(_) => From(3),
            known => known,
        },
        PHONE => match (both(col::PHONE), shares_phone(a, b)) {
            (false, _) => Level(0),
            (_, true) => Level(1),
            _ => From(2),
        },
        AREA => match area_by_codes(a, b) {
            Some(level) => Level(level),
            None if both(col::CITY) && !apart(col::CITY, ALIKE) => From(3),
            None if both(col::POSTAL) && slipped(col::POSTAL) => From(3),
            None => Level(area_by_prefecture(a, b)),
        },
        STREET => match street_by_codes(a, b) {
            From(2) if apart(col::TOWN, ALIKE) => Level(4),
            From(4) if apart(col::TOWN, ALIKE) => Level(5),
            known => known,
        },
        BUILDING => match whole(col::BUILDING) {
            From(_) if apart(col::BUILDING, ALIKE) => Level(3),
            known => known,
        },
        MIDDLE => match whole(col::MIDDLE) {
            // It is counted where the given name is.
            From(_) if goes_by_middle(a, b) => Level(0),
            known => known,
        },
        SUFFIX => match whole(col::SUFFIX) {
            From(_) => Level(2),
            known => known,
        },
        _ => Level(0),
    }
}

/// What is said about a part of an address: what differs as the area does says no more than that; the area may be
/// known later.
#[inline(always)]
pub(super) fn in_area(comparison: usize, known: Likely, area: impl FnOnce() -> Likely) -> Likely {
    use Likely::{From, Level};
    let (Level(level), Some(elsewhere)) = (known, elsewhere(comparison)) else {
        return known;
    };
    if usize::from(level) != COMPARISON[comparison].levels.len() {
        return known;
    }
    match area() {
        Level(OTHER_AREA..) => Level(elsewhere),
        From(_) => From(level),
        Level(_) => known,
    }
}

/// The two columns of a part of a name, text and reading, and those of the other part.
type NameColumns = (usize, usize, usize, usize);

const GIVEN_COLUMNS: NameColumns = (
    col::GIVEN,
    col::GIVEN_READING,
    col::FAMILY,
    col::FAMILY_READING,
);
const FAMILY_COLUMNS: NameColumns = (
    col::FAMILY,
    col::FAMILY_READING,
    col::GIVEN,
    col::GIVEN_READING,
);

const fn name_columns(comparison: usize) -> NameColumns {
    match comparison {
        GIVEN => GIVEN_COLUMNS,
        _ => FAMILY_COLUMNS,
    }
}

/// Whether a part of a name is the other part of the other name: that of `a`, and that of `b`.
fn crosses(a: &Row, b: &Row, own: usize, other: usize) -> (bool, bool) {
    (
        a[own] != 0 && a[own] == b[other],
        b[own] != 0 && b[own] == a[other],
    )
}

/// Whether the given name of one is the middle name of the other: people go by either.
fn goes_by_middle(a: &Row, b: &Row) -> bool {
    let (ab, ba) = crosses(a, b, col::GIVEN, col::MIDDLE);
    ab || ba
}

/// What codes and the shapes of two names, as they are written, say about them.
fn name_at_a_glance(a: &Row, b: &Row, [of_a, of_b]: [Shape; 2], comparison: usize) -> Likely {
    use Likely::{From, Level};
    let (own, own_reading, other, other_reading) = name_columns(comparison);
    let (x, y) = (a[own], b[own]);
    let (rx, ry) = (a[own_reading], b[own_reading]);
    let known = x != 0 && y != 0;
    if known && x == y {
        return Level(1);
    }
    if rx != 0 && rx == ry {
        // Two names in kanji that are only read alike are a slip of the keyboard at best.
        let homophones = known && of_a.script() == Script::Kanji && of_b.script() == Script::Kanji;
        return Level(if homophones { 6 } else { 2 });
    }
    if comparison == GIVEN && nicknames::meet(of_a.nicknames, of_b.nicknames) {
        return Level(2);
    }
    if comparison == GIVEN && goes_by_middle(a, b) {
        return Level(3);
    }
    if crosses(a, b, own, other) != (false, false)
        || crosses(a, b, own_reading, other_reading) == (true, true)
    {
        return From(3);
    }
    match known && of_a.script() == of_b.script() {
        // Letters of two scripts cannot be compared; their readings can.
        false if rx == 0 || ry == 0 => Level(0),
        true if !may_reach(of_a, of_b, SOMEWHAT) && !may_contain(of_a, of_b) => Level(7),
        _ => From(4),
    }
}

pub(super) fn name(f: &Features, a: &Row, b: &Row, comparison: usize) -> u8 {
    let (own, own_reading, other, other_reading) = name_columns(comparison);
    let texts = &f.dicts[col::GIVEN];
    let shapes = [a, b].map(|row| texts.shape[row[own] as usize]);
    if let Likely::Level(level) = name_at_a_glance(a, b, shapes, comparison) {
        return level;
    }
    let (x, y) = (a[own], b[own]);
    let four =
        |own: usize, other: usize| [a[own], b[own], a[other], b[other]].iter().all(|c| *c != 0);
    // Of names that changed places, one is the same and the other one more or less.
    let crossed = |x: u32, y: u32| match similar_name(texts, x, y) {
        _ if x == 0 || y == 0 => None,
        ..=5 => Some(3),
        6 => Some(6),
        _ => None,
    };
    let crosses_here = crosses(a, b, own, other);
    let level = match crosses_here {
        (true, true) => Some(3),
        (true, false) => crossed(b[own], a[other]),
        (false, true) => crossed(a[own], b[other]),
        _ => None,
    };
    if let Some(level) = level {
        return level;
    }
    match crosses_here {
        // A record with one name only, that is the other's other name: it counts once, where it is missing.
        (true, _) | (_, true) if !four(own, other) => return if x == 0 || y == 0 { 3 } else { 0 },
        _ => {}
    }
    if crosses(a, b, own_reading, other_reading) == (true, true) {
        return 3;
    }
    if x == 0 || y == 0 || shapes[0].script() != shapes[1].script() {
        let (rx, ry) = (a[own_reading], b[own_reading]);
        if rx == 0 || ry == 0 {
            return 0;
        }
        return similar_name(&f.dicts[col::GIVEN_READING], rx, ry);
    }
    similar_name(texts, x, y)
}

fn similar_name(dict: &Dict, x: u32, y: u32) -> u8 {
    match similarity(dict, x, y, SOMEWHAT) {
        Some(similarity) if similarity >= VERY => 4,
        _ if contains(dict, x, y) => 5,
        Some(_) => 6,
        None => 7,
    }
}

pub(super) fn birth(a: u32, b: u32) -> u8 {
    if a == 0 || b == 0 {
        return 0;
    }
    if a == b {
        return 1;
    }
    let parts = |d: u32| (d / 10_000, d / 100 % 100, d % 100);
    let ((ya, ma, da), (yb, mb, db)) = (parts(a), parts(b));
    match (is_age(a), is_age(b)) {
        (false, false) => {}
        // They were told years apart.
        (true, true) => {
            return match ya.abs_diff(yb) {
                1 => 2,
                ..=9 => 3,
                _ => 5,
            };
        }
        _ => return 0,
    }
    // Of a year alone, nothing is known of month and day. It may be worked out of an age.
    match (ma == 0, mb == 0) {
        (false, false) => {}
        (true, true) if ya.abs_diff(yb) == 1 => return 2,
        (true, true) => return if one_digit(a, b) { 2 } else { 5 },
        _ => return if ya == yb { 0 } else { 5 },
    }
    let same = [ya == yb, ma == mb, da == db];
    if same == [false; 3] {
        // One slip leaves a part as it is.
        return 5;
    }
    if ya == yb && ma == db && da == mb {
        return 2;
    }
    if one_digit(a, b) {
        return 2;
    }
    match same {
        [true, true, _] | [true, _, true] | [_, true, true] => 3,
        [true, ..] => 4,
        _ => 5,
    }
}

/// Whether two dates differ in one digit, or in two neighbours that changed places.
fn one_digit(a: u32, b: u32) -> bool {
    let digits = |mut d: u32| {
        let mut out = [0u8; 8];
        for slot in out.iter_mut().rev() {
            *slot = (d % 10) as u8;
            d /= 10;
        }
        out
    };
    let (a, b) = (digits(a), digits(b));
    let mut differ = (0..8).filter(|i| a[*i] != b[*i]);
    match (differ.next(), differ.next(), differ.next()) {
        (Some(_), None, _) => true,
        (Some(i), Some(j), None) => j == i + 1 && a[i] == b[j] && a[j] == b[i],
        _ => false,
    }
}

pub(super) fn email(f: &Features, a: u32, b: u32) -> u8 {
    if a == 0 || b == 0 {
        return 0;
    }
    let dict = &f.dicts[col::EMAIL];
    let value = |c: u32| &dict.values[c as usize];
    if a == b {
        1
    } else if dict.derived[a as usize] == dict.derived[b as usize] {
        2
    } else if one_slip(value(a), value(b)) {
        3
    } else if reaches(dict, a, b, VERY) {
        4
    } else {
        5
    }
}

fn phones(row: &Row) -> impl Iterator<Item = u32> + Clone + use<> {
    let phones = [row[col::PHONE], row[col::PHONE2]];
    phones.into_iter().filter(|p| *p != 0)
}

fn shares_phone(a: &Row, b: &Row) -> bool {
    phones(a).any(|x| phones(b).any(|y| x == y))
}

pub(super) fn phone(f: &Features, a: &Row, b: &Row) -> u8 {
    if a[col::PHONE] == 0 || b[col::PHONE] == 0 {
        return 0;
    }
    if shares_phone(a, b) {
        return 1;
    }
    let values = &f.dicts[col::PHONE].values;
    let slip = |x: u32, y: u32| one_slip(&values[x as usize], &values[y as usize]);
    let slipped = phones(a).any(|x| phones(b).any(|y| slip(x, y)));
    if slipped { 2 } else { 3 }
}

/// The level of the area, unless letters decide: then it is 3 or the one that the prefecture tells.
fn area_by_codes(a: &Row, b: &Row) -> Option<u8> {
    let both = |c: usize| a[c] != 0 && b[c] != 0;
    let equal = |c: usize| both(c) && a[c] == b[c];
    let count = |of: &dyn Fn(usize) -> bool| u8::from(of(col::POSTAL)) + u8::from(of(col::CITY));
    match (count(&both), count(&equal)) {
        (0, _) if !both(col::PREFECTURE) => Some(0),
        (0, _) => Some(area_by_prefecture(a, b)),
        (known, same) if same == known => Some(1),
        (_, 1..) => Some(2),
        _ => None,
    }
}

pub(super) fn area(f: &Features, a: &Row, b: &Row) -> u8 {
    if let Some(level) = area_by_codes(a, b) {
        return level;
    }
    let both = |c: usize| a[c] != 0 && b[c] != 0;
    let postal = |r: &Row| &f.dicts[col::POSTAL].values[r[col::POSTAL] as usize];
    let similar = both(col::CITY)
        && reaches(&f.dicts[col::CITY], a[col::CITY], b[col::CITY], ALIKE)
        || both(col::POSTAL) && one_slip(postal(a), postal(b));
    match similar {
        true => 3,
        false => area_by_prefecture(a, b),
    }
}

/// The level of areas that have nothing else in common.
fn area_by_prefecture(a: &Row, b: &Row) -> u8 {
    let (x, y) = (a[col::PREFECTURE], b[col::PREFECTURE]);
    if x != 0 && x == y { 4 } else { 5 }
}

fn same_block(a: &Row, b: &Row) -> bool {
    a[col::BLOCK] != 0 && a[col::BLOCK] == b[col::BLOCK]
}

fn street_by_codes(a: &Row, b: &Row) -> Likely {
    let both = |c: usize| a[c] != 0 && b[c] != 0;
    match (both(col::TOWN), same_block(a, b)) {
        (false, true) => Likely::Level(4),
        (false, false) => Likely::Level(if both(col::BLOCK) { 5 } else { 0 }),
        (true, block) if a[col::TOWN] == b[col::TOWN] => Likely::Level(if block { 1 } else { 3 }),
        // Lines of an address change places.
        (true, block) if a[col::BUILDING] != 0 || b[col::BUILDING] != 0 => {
            Likely::From(if block { 1 } else { 3 })
        }
        (true, true) => Likely::From(2),
        (true, false) => Likely::From(4),
    }
}

pub(super) fn street(f: &Features, a: &Row, b: &Row) -> u8 {
    if let Likely::Level(level) = street_by_codes(a, b) {
        return level;
    }
    let crossed = |a: &Row, b: &Row| {
        b[col::BUILDING] != 0 && f.hash(a, col::TOWN) == f.hash(b, col::BUILDING)
    };
    let block = same_block(a, b);
    if crossed(a, b) || crossed(b, a) {
        return if block { 1 } else { 3 };
    }
    let similar = reaches(&f.dicts[col::TOWN], a[col::TOWN], b[col::TOWN], ALIKE);
    match (similar, block) {
        (true, true) => 2,
        (true, false) | (false, true) => 4,
        (false, false) => 5,
    }
}

pub(super) fn building(f: &Features, a: u32, b: u32) -> u8 {
    if a == 0 || b == 0 {
        0
    } else if a == b {
        1
    } else if reaches(&f.dicts[col::BUILDING], a, b, ALIKE) {
        2
    } else {
        3
    }
}

pub(super) fn middle(f: &Features, a: u32, b: u32) -> u8 {
    if a == 0 || b == 0 {
        return 0;
    }
    let names = &f.dicts[dict_of(col::MIDDLE)];
    if a == b {
        1
    } else if reaches(names, a, b, VERY) {
        2
    } else if contains(names, a, b) {
        3
    } else {
        4
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn birth_dates_agree_by_degrees() {
        for (a, b, want) in [
            (19_800_102, 19_800_102, 1),
            (19_800_102, 19_800_201, 2),
            (19_800_102, 19_800_112, 2),
            (19_800_102, 18_900_102, 2),
            (19_800_102, 19_080_102, 2),
            (19_800_102, 19_750_102, 3),
            (19_800_102, 19_801_220, 4),
            (19_800_102, 19_751_220, 5),
            (0, 19_800_102, 0),
            (19_800_000, 19_790_000, 2),
            (89_550_000, 89_550_000, 1),
            (89_550_000, 89_540_000, 2),
            (89_550_000, 89_500_000, 3),
            (89_550_000, 89_300_000, 5),
            (89_550_000, 19_800_102, 0),
            (89_550_000, 19_800_000, 0),
            (19_800_000, 19_800_000, 1),
            (19_800_000, 19_810_000, 2),
            (19_800_000, 19_080_000, 2),
            (19_800_000, 19_910_000, 5),
            (19_800_000, 19_800_102, 0),
            (19_800_000, 19_810_102, 5),
        ] {
            assert_eq!(birth(a, b), want, "{a} {b}");
        }
    }
}
