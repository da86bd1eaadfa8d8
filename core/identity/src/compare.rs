//! Comparison levels: how two values of a field agree, as a small number. Level 0 means that one of
//! them is missing and carries no weight; level 1 is full agreement; higher levels agree less.

use crate::features::{Dict, Features, Row, Script, col};

/// How many comparisons there are.
pub const COMPARISONS: usize = 9;
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

const NAME_LEVELS: &[&str] = &[
    "exact",
    "same reading",
    "swapped",
    "similar",
    "initial or start",
    "somewhat similar",
    "different",
];

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
];

/// Whether Jaro-Winkler similarity of two codes of one dictionary reaches `at_least`. A bound on the
/// common characters decides most pairs without looking at the letters.
fn reaches(dict: &Dict, a: u32, b: u32, at_least: f64) -> bool {
    let (a, b) = (a as usize, b as usize);
    let (la, lb) = (f64::from(dict.len[a]), f64::from(dict.len[b]));
    let only_a = f64::from((dict.mask[a] & !dict.mask[b]).count_ones());
    let only_b = f64::from((dict.mask[b] & !dict.mask[a]).count_ones());
    let common = (la - only_a).min(lb - only_b).max(0.0);
    let jaro = (common / la + common / lb + 1.0) / 3.0;
    if jaro + 0.4 * (1.0 - jaro) < at_least {
        return false;
    }
    jaro_winkler(&dict.values[a], &dict.values[b]) >= at_least
}

fn jaro_winkler(a: &str, b: &str) -> f64 {
    if a.is_ascii() && b.is_ascii() {
        return rapidfuzz::distance::jaro_winkler::similarity(a.bytes(), b.bytes());
    }
    rapidfuzz::distance::jaro_winkler::similarity(a.chars(), b.chars())
}

/// Whether two texts are one edit apart: a letter changed, added, dropped, or two neighbours swapped.
fn one_slip(a: &str, b: &str) -> bool {
    let (a, b) = if a.len() <= b.len() {
        (a.as_bytes(), b.as_bytes())
    } else {
        (b.as_bytes(), a.as_bytes())
    };
    if b.len() - a.len() > 1 {
        return false;
    }
    let start = a.iter().zip(b).take_while(|(x, y)| x == y).count();
    let end = a[start..]
        .iter()
        .rev()
        .zip(b[start..].iter().rev())
        .take_while(|(x, y)| x == y)
        .count();
    let (ra, rb) = (&a[start..a.len() - end], &b[start..b.len() - end]);
    match (ra, rb) {
        ([], _) | ([_], [_]) => true,
        ([x1, x2], [y1, y2]) => x1 == y2 && x2 == y1,
        _ => false,
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

fn name(
    f: &Features,
    a: &Row,
    b: &Row,
    (own, own_reading, other, other_reading): NameColumns,
) -> u8 {
    let (x, y) = (a[own], b[own]);
    let (rx, ry) = (a[own_reading], b[own_reading]);
    if x != 0 && x == y {
        return 1;
    }
    let texts = &f.dicts[col::GIVEN];
    let script = |code: u32| texts.script[code as usize];
    if rx != 0 && rx == ry {
        // Two names in kanji that are only read alike are a slip of the keyboard at best.
        let homophones =
            x != 0 && y != 0 && script(x) == Script::Kanji && script(y) == Script::Kanji;
        return if homophones { 6 } else { 2 };
    }
    let crosses = |own: usize, other: usize| {
        (
            a[own] != 0 && a[own] == b[other],
            b[own] != 0 && b[own] == a[other],
        )
    };
    let four =
        |own: usize, other: usize| [a[own], b[own], a[other], b[other]].iter().all(|c| *c != 0);
    let similar = |x: u32, y: u32| x != 0 && y != 0 && similar_name(texts, x, y) <= 6;
    match crosses(own, other) {
        (true, true) => return 3,
        (true, false) if similar(b[own], a[other]) => return 3,
        (false, true) if similar(a[own], b[other]) => return 3,
        // A record with one name only, that is the other's other name: it counts once, where it is missing.
        (true, _) | (_, true) if !four(own, other) => return if x == 0 || y == 0 { 3 } else { 0 },
        _ => {}
    }
    if crosses(own_reading, other_reading) == (true, true) {
        return 3;
    }
    if x == 0 || y == 0 || script(x) != script(y) {
        // Letters of two scripts cannot be compared; their readings can.
        if rx == 0 || ry == 0 {
            return 0;
        }
        return similar_name(&f.dicts[col::GIVEN_READING], rx, ry);
    }
    similar_name(texts, x, y)
}

fn similar_name(dict: &Dict, x: u32, y: u32) -> u8 {
    if reaches(dict, x, y, 0.92) {
        return 4;
    }
    let (vx, vy) = (&*dict.values[x as usize], &*dict.values[y as usize]);
    let (short, long) = if vx.len() <= vy.len() {
        (vx, vy)
    } else {
        (vy, vx)
    };
    if short.is_ascii() && (long.starts_with(short) || short.len() >= 4 && long.contains(short)) {
        return 5;
    }
    if reaches(dict, x, y, 0.8) { 6 } else { 7 }
}

fn birth(a: u32, b: u32) -> u8 {
    if a == 0 || b == 0 {
        return 0;
    }
    if a == b {
        return 1;
    }
    let parts = |d: u32| (d / 10_000, d / 100 % 100, d % 100);
    let ((ya, ma, da), (yb, mb, db)) = (parts(a), parts(b));
    if ya == yb && ma == db && da == mb {
        return 2;
    }
    let digits = |mut d: u32| {
        let mut out = [0u8; 8];
        for slot in out.iter_mut().rev() {
            *slot = (d % 10) as u8;
            d /= 10;
        }
        out
    };
    let (xa, xb) = (digits(a), digits(b));
    let differ: Vec<usize> = (0..8).filter(|i| xa[*i] != xb[*i]).collect();
    match differ.as_slice() {
        [_] => return 2,
        [i, j] if *j == i + 1 && xa[*i] == xb[*j] && xa[*j] == xb[*i] => return 2,
        _ => {}
    }
    match (ya == yb, ma == mb, da == db) {
        (true, true, _) | (true, _, true) | (_, true, true) => 3,
        (true, ..) => 4,
        _ => 5,
    }
}

fn email(f: &Features, a: u32, b: u32) -> u8 {
    if a == 0 || b == 0 {
        return 0;
    }
    let dict = &f.dicts[col::EMAIL];
    let value = |c: u32| &*dict.values[c as usize];
    if a == b {
        1
    } else if dict.derived[a as usize] == dict.derived[b as usize] {
        2
    } else if one_slip(value(a), value(b)) {
        3
    } else if reaches(dict, a, b, 0.92) {
        4
    } else {
        5
    }
}

fn phone(f: &Features, a: &Row, b: &Row) -> u8 {
    let (pa, pb) = (
        [a[col::PHONE], a[col::PHONE2]],
        [b[col::PHONE], b[col::PHONE2]],
    );
    if pa[0] == 0 || pb[0] == 0 {
        return 0;
    }
    let values = &f.dicts[col::PHONE].values;
    let mut level = 3;
    for x in pa.into_iter().filter(|x| *x != 0) {
        for y in pb.into_iter().filter(|y| *y != 0) {
            if x == y {
                return 1;
            }
            if one_slip(&values[x as usize], &values[y as usize]) {
                level = 2;
            }
        }
    }
    level
}

fn area(f: &Features, a: &Row, b: &Row) -> u8 {
    let both = |c: usize| a[c] != 0 && b[c] != 0;
    let equal = |c: usize| both(c) && a[c] == b[c];
    let (known, same) = [col::POSTAL, col::CITY]
        .into_iter()
        .fold((0, 0), |(k, s), c| {
            (k + u8::from(both(c)), s + u8::from(equal(c)))
        });
    if known == 0 {
        return match (both(col::PREFECTURE), equal(col::PREFECTURE)) {
            (false, _) => 0,
            (true, true) => 4,
            (true, false) => 5,
        };
    }
    if same == known {
        return 1;
    }
    if same > 0 {
        return 2;
    }
    let postal = &f.dicts[col::POSTAL].values;
    if both(col::CITY) && reaches(&f.dicts[col::CITY], a[col::CITY], b[col::CITY], 0.88)
        || both(col::POSTAL)
            && one_slip(
                &postal[a[col::POSTAL] as usize],
                &postal[b[col::POSTAL] as usize],
            )
    {
        return 3;
    }
    if equal(col::PREFECTURE) { 4 } else { 5 }
}

fn street(f: &Features, a: &Row, b: &Row) -> u8 {
    let both = |c: usize| a[c] != 0 && b[c] != 0;
    let block = both(col::BLOCK) && a[col::BLOCK] == b[col::BLOCK];
    if !both(col::TOWN) {
        return match (both(col::BLOCK), block) {
            (false, _) => 0,
            (true, true) => 4,
            (true, false) => 5,
        };
    }
    let town = a[col::TOWN] == b[col::TOWN];
    // Lines of an address change places.
    let crossed = |a: &Row, b: &Row| {
        b[col::BUILDING] != 0 && f.hash(a, col::TOWN) == f.hash(b, col::BUILDING)
    };
    if town || crossed(a, b) || crossed(b, a) {
        return if block { 1 } else { 3 };
    }
    let similar = reaches(&f.dicts[col::TOWN], a[col::TOWN], b[col::TOWN], 0.88);
    match (similar, block) {
        (true, true) => 2,
        (true, false) | (false, true) => 4,
        (false, false) => 5,
    }
}

fn building(f: &Features, a: u32, b: u32) -> u8 {
    if a == 0 || b == 0 {
        0
    } else if a == b {
        1
    } else if reaches(&f.dicts[col::BUILDING], a, b, 0.88) {
        2
    } else {
        3
    }
}

/// Levels of a pair of rows.
pub(crate) fn levels(f: &Features, a: &Row, b: &Row) -> Levels {
    let gender = match (a[col::GENDER], b[col::GENDER]) {
        (0, _) | (_, 0) => 0,
        (x, y) => 1 + u8::from(x != y),
    };
    let (given, family) = (name(f, a, b, GIVEN_COLUMNS), name(f, a, b, FAMILY_COLUMNS));
    // Addresses are made of names: two people of one name have similar ones.
    let email = match email(f, a[col::EMAIL], b[col::EMAIL]) {
        4 if (1..=4).contains(&given) || (1..=4).contains(&family) => 0,
        level => level,
    };
    [
        given,
        family,
        birth(a[col::BIRTH], b[col::BIRTH]),
        gender,
        email,
        phone(f, a, b),
        area(f, a, b),
        street(f, a, b),
        building(f, a[col::BUILDING], b[col::BUILDING]),
    ]
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
        _ => 0,
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
        ] {
            assert_eq!(birth(a, b), want, "{a} {b}");
        }
    }

    #[test]
    fn one_slip_is_one_edit() {
        for (a, b, want) in [
            ("12345", "12345", true),
            ("12345", "12354", true),
            ("12345", "1245", true),
            ("12345", "12945", true),
            ("12345", "13254", false),
            ("12345", "123", false),
        ] {
            assert_eq!(one_slip(a, b), want, "{a} {b}");
        }
    }

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
