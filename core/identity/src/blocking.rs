//! Blocking: which pairs are compared at all. Rules are many and cheap; a pair belongs to the first
//! rule that makes it. Blocks that were oversized when the model was trained (hubs) are refined by given name
//! and by birth date, so a pair in them must also share one of the two.

use hashbrown::HashSet;
use rayon::prelude::*;

use crate::compare::{AREA, BIRTH, BUILDING, EMAIL, FAMILY, GIVEN, PHONE, STREET};
use crate::features::{Features, Row, col};

/// Slots that shards are made of: the same key is always in the same slot.
pub const KEY_SLOTS: u32 = 4096;

/// What two records of a block share.
#[derive(Clone, Copy, Debug)]
enum Part {
    /// A column's value.
    Is(usize),
    /// A phone, whichever of the two.
    Phone,
    /// Given name as it is read, or else as it is written.
    Given,
    /// Family name as it is read, or else as it is written.
    Family,
    /// Both names, in either order.
    Names,
    /// What both names sound like in English, in either order.
    Sounds,
    /// The first letters of both names, in either order.
    Starts,
    /// The first letters of the given name.
    GivenStart,
    /// What the family name sounds like in English.
    FamilySound,
    /// What comes before the @.
    EmailName,
    /// The first letters of the e-mail.
    EmailStart,
    /// Birth date, day and month in either order.
    Birth,
    /// Year and month of birth.
    BirthMonth,
    /// Month and day of birth.
    Birthday,
    /// Year of birth.
    BirthYear,
}

impl Part {
    /// Its bit in a set of parts; columns come first.
    const fn bit(self) -> u32 {
        let after = col::WIDTH as u32;
        match self {
            Self::Is(column) => column as u32,
            Self::Phone => after,
            Self::Given => after + 1,
            Self::Family => after + 2,
            Self::Names => after + 3,
            Self::Sounds => after + 4,
            Self::Starts => after + 5,
            Self::GivenStart => after + 6,
            Self::FamilySound => after + 7,
            Self::EmailName => after + 8,
            Self::EmailStart => after + 9,
            Self::Birth => after + 10,
            Self::BirthMonth => after + 11,
            Self::Birthday => after + 12,
            Self::BirthYear => after + 13,
        }
    }
}

pub(crate) struct Rule {
    pub(crate) name: &'static str,
    parts: &'static [Part],
    /// Comparisons that the rule fixes: left out when it trains.
    pub(crate) blocked: &'static [usize],
}

const fn rule(name: &'static str, parts: &'static [Part], blocked: &'static [usize]) -> Rule {
    Rule {
        name,
        parts,
        blocked,
    }
}

const POSTAL: Part = Part::Is(col::POSTAL);
const CITY: Part = Part::Is(col::CITY);
const TOWN: Part = Part::Is(col::TOWN);
const HOUSE: Part = Part::Is(col::BLOCK);

/// The rules, most telling first.
pub(crate) const RULES: [Rule; 29] = [
    rule("email", &[Part::Is(col::EMAIL)], &[EMAIL]),
    rule("phone", &[Part::Phone], &[PHONE]),
    rule("loyalty_number", &[Part::Is(col::LOYALTY)], &[]),
    rule("app_user_id", &[Part::Is(col::APP_USER)], &[]),
    rule("external_id", &[Part::Is(col::EXTERNAL)], &[]),
    rule("device_id", &[Part::Is(col::DEVICE)], &[]),
    rule(
        "given and birth",
        &[Part::Given, Part::Is(col::BIRTH)],
        &[GIVEN, BIRTH],
    ),
    rule(
        "family and birth",
        &[Part::Family, Part::Is(col::BIRTH)],
        &[FAMILY, BIRTH],
    ),
    rule("both names", &[Part::Names], &[GIVEN, FAMILY]),
    rule("town and block", &[TOWN, HOUSE], &[STREET]),
    rule(
        "given and postal code",
        &[Part::Given, POSTAL],
        &[GIVEN, AREA],
    ),
    rule(
        "family and postal code",
        &[Part::Family, POSTAL],
        &[FAMILY, AREA],
    ),
    rule("given and town", &[Part::Given, TOWN], &[GIVEN, STREET]),
    rule("family and town", &[Part::Family, TOWN], &[FAMILY, STREET]),
    rule("e-mail local part", &[Part::EmailName], &[EMAIL]),
    rule("birth", &[Part::Birth], &[BIRTH]),
    rule("sounds of both names", &[Part::Sounds], &[GIVEN, FAMILY]),
    rule("given and city", &[Part::Given, CITY], &[GIVEN, AREA]),
    rule("family and city", &[Part::Family, CITY], &[FAMILY, AREA]),
    rule(
        "given and birthday",
        &[Part::Given, Part::Birthday],
        &[GIVEN, BIRTH],
    ),
    rule(
        "family sound and birth month",
        &[Part::FamilySound, Part::BirthMonth],
        &[FAMILY, BIRTH],
    ),
    rule(
        "start of given and birth month",
        &[Part::GivenStart, Part::BirthMonth],
        &[GIVEN, BIRTH],
    ),
    rule(
        "postal code and birth year",
        &[POSTAL, Part::BirthYear],
        &[AREA, BIRTH],
    ),
    rule("block and postal code", &[HOUSE, POSTAL], &[STREET, AREA]),
    rule("block and city", &[HOUSE, CITY], &[STREET, AREA]),
    rule("town and postal code", &[TOWN, POSTAL], &[STREET, AREA]),
    rule(
        "building and postal code",
        &[Part::Is(col::BUILDING), POSTAL],
        &[BUILDING, AREA],
    ),
    rule(
        "start of e-mail and birth year",
        &[Part::EmailStart, Part::BirthYear],
        &[EMAIL, BIRTH],
    ),
    rule("starts of both names", &[Part::Starts], &[GIVEN, FAMILY]),
];

const PHONE_RULE: usize = 1;

fn mixed(n: u32) -> u64 {
    u64::from(n + 1).wrapping_mul(0xA24B_AED4_963E_E407)
}

fn either_order(a: u64, b: u64) -> u64 {
    if a == 0 || b == 0 {
        0
    } else {
        a.min(b) ^ a.max(b).rotate_left(7)
    }
}

/// What a record has for a part; 0 for nothing.
fn part(f: &Features, r: &Row, part: Part) -> u64 {
    let name = |text: usize, reading: usize| {
        if r[reading] == 0 {
            f.hash(r, text)
        } else {
            f.hash(r, reading)
        }
    };
    let given = || name(col::GIVEN, col::GIVEN_READING);
    let family = || name(col::FAMILY, col::FAMILY_READING);
    let sound = |c: usize| f.dicts[col::GIVEN].derived[r[c] as usize];
    let start = |c: usize| {
        if r[c] == 0 {
            0
        } else {
            f.dicts[col::GIVEN].prefix[r[c] as usize]
        }
    };
    let birth = r[col::BIRTH];
    let dated = |n: u32| if birth == 0 { 0 } else { mixed(n) };
    let (year, month, day) = (birth / 10_000, birth / 100 % 100, birth % 100);
    match part {
        Part::Is(column) => f.hash(r, column),
        Part::Phone => f.hash(r, col::PHONE),
        Part::Given => given(),
        Part::Family => family(),
        Part::Names => either_order(given(), family()),
        Part::Sounds => either_order(sound(col::GIVEN), sound(col::FAMILY)),
        Part::Starts => either_order(start(col::GIVEN), start(col::FAMILY)),
        Part::GivenStart => start(col::GIVEN),
        Part::FamilySound => sound(col::FAMILY),
        Part::EmailName => f.dicts[col::EMAIL].derived[r[col::EMAIL] as usize],
        Part::EmailStart if r[col::EMAIL] == 0 => 0,
        Part::EmailStart => f.dicts[col::EMAIL].prefix[r[col::EMAIL] as usize],
        Part::Birth => dated(year * 10_000 + month.min(day) * 100 + month.max(day)),
        Part::BirthMonth => dated(year * 100 + month),
        Part::Birthday => dated(month * 100 + day),
        Part::BirthYear => dated(year),
    }
}

/// Key of the values that a rule looks at; 0 when one is missing.
fn key(rule: usize, values: impl IntoIterator<Item = u64>) -> u32 {
    let mut mixed = (rule as u64).wrapping_mul(0xD6E8_FEB8_6659_FD93);
    for value in values {
        if value == 0 {
            return 0;
        }
        mixed = (mixed.rotate_left(29) ^ value).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
    ((mixed >> 32) as u32).max(1)
}

fn key_of_record(f: &Features, r: &Row, rule: usize) -> u32 {
    key(rule, RULES[rule].parts.iter().map(|p| part(f, r, *p)))
}

/// Keys of a record by a rule: a record with two phones has two.
fn keys(f: &Features, r: &Row, rule: usize) -> [u32; 2] {
    let second = if rule == PHONE_RULE {
        key(rule, [f.hash(r, col::PHONE2)])
    } else {
        0
    };
    [key_of_record(f, r, rule), second]
}

/// What training found out about the rules.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hubs {
    /// Oversized blocks, by rule and key.
    pub(crate) keys: HashSet<(u8, u32)>,
    /// Rules that are left out.
    pub(crate) idle: [bool; RULES.len()],
}

/// The records of one key.
pub(crate) struct Block {
    pub(crate) rule: u8,
    pub(crate) key: u32,
    pub(crate) members: Vec<u32>,
}

/// Records and the blocks that they are in.
pub(crate) struct Blocking<'a> {
    features: &'a Features,
    hubs: &'a Hubs,
    /// Whether a rule has hubs.
    refined: [bool; RULES.len()],
    /// Bits of the parts of a rule.
    needed: [u64; RULES.len()],
}

impl<'a> Blocking<'a> {
    pub(crate) fn new(features: &'a Features, hubs: &'a Hubs) -> Self {
        let mut refined = [false; RULES.len()];
        for (rule, _) in &hubs.keys {
            refined[usize::from(*rule)] = true;
        }
        Self {
            features,
            hubs,
            refined,
            needed: std::array::from_fn(|r| {
                RULES[r].parts.iter().fold(0, |bits, p| bits | 1 << p.bit())
            }),
        }
    }

    fn row(&self, i: u32) -> &Row {
        &self.features.rows[i as usize]
    }

    /// Blocks of two and more records of a rule whose key the predicate takes, ordered by key.
    pub(crate) fn blocks(&self, rule: usize, take: impl Fn(u32) -> bool + Sync) -> Vec<Block> {
        let mut entries: Vec<(u32, u32)> = (0..self.features.len() as u32)
            .into_par_iter()
            .flat_map_iter(|i| {
                let keys = keys(self.features, self.row(i), rule);
                keys.into_iter().map(move |k| (k, i))
            })
            .filter(|(k, _)| *k != 0 && take(*k))
            .collect();
        entries.par_sort_unstable();
        entries.dedup();
        entries
            .chunk_by(|a, b| a.0 == b.0)
            .filter(|c| c.len() > 1)
            .map(|c| Block {
                rule: rule as u8,
                key: c[0].0,
                members: c.iter().map(|e| e.1).collect(),
            })
            .collect()
    }

    /// Keys by which a rule puts some records into blocks.
    pub(crate) fn keys_of(&self, rule: usize, records: &[u32]) -> HashSet<u32> {
        records
            .iter()
            .flat_map(|r| keys(self.features, self.row(*r), rule))
            .collect()
    }

    fn is_hub(&self, rule: usize, key: u32) -> bool {
        self.refined[rule] && self.hubs.keys.contains(&(rule as u8, key))
    }

    fn refines(&self, a: &Row, b: &Row) -> bool {
        [col::GIVEN, col::BIRTH]
            .into_iter()
            .any(|c| a[c] != 0 && a[c] == b[c])
    }

    /// The parts that two records share, as bits by [`Part::bit`].
    fn shared(&self, a: &Row, b: &Row) -> u64 {
        let f = self.features;
        let same = |c: usize| a[c] != 0 && a[c] == b[c];
        let equal = |x: u64, y: u64| x != 0 && x == y;
        let mut bits = 0;
        for c in col::EMAIL..col::BUSINESS {
            bits |= u64::from(same(c)) << c;
        }
        // Names are compared as they are read where both can be read, as they are written elsewhere.
        let name = |r: &Row, text: usize, reading: usize| match r[reading] {
            0 => f.hash(r, text),
            _ => f.hash(r, reading),
        };
        let names = |r: &Row| {
            (
                name(r, col::GIVEN, col::GIVEN_READING),
                name(r, col::FAMILY, col::FAMILY_READING),
            )
        };
        let ((ga, fa), (gb, fb)) = (names(a), names(b));
        let both = |(ga, fa): (u64, u64), (gb, fb): (u64, u64)| {
            ga != 0 && fa != 0 && (ga == gb && fa == fb || ga == fb && fa == gb)
        };
        let dict = &f.dicts[col::GIVEN];
        let sounds = |r: &Row| {
            (
                dict.derived[r[col::GIVEN] as usize],
                dict.derived[r[col::FAMILY] as usize],
            )
        };
        let start = |r: &Row, c: usize| {
            if r[c] == 0 {
                0
            } else {
                dict.prefix[r[c] as usize]
            }
        };
        let starts = |r: &Row| (start(r, col::GIVEN), start(r, col::FAMILY));
        let ((sound_a, sound_b), (start_a, start_b)) =
            ((sounds(a), sounds(b)), (starts(a), starts(b)));
        let mut set = |part: Part, shared: bool| bits |= u64::from(shared) << part.bit();
        set(Part::Given, equal(ga, gb));
        set(Part::Family, equal(fa, fb));
        set(Part::Names, both((ga, fa), (gb, fb)));
        set(Part::Sounds, both(sound_a, sound_b));
        set(Part::FamilySound, equal(sound_a.1, sound_b.1));
        set(Part::Starts, both(start_a, start_b));
        set(Part::GivenStart, equal(start_a.0, start_b.0));
        if a[col::EMAIL] != 0 && b[col::EMAIL] != 0 {
            let mail = &f.dicts[col::EMAIL];
            let (x, y) = (a[col::EMAIL] as usize, b[col::EMAIL] as usize);
            set(Part::EmailName, equal(mail.derived[x], mail.derived[y]));
            set(Part::EmailStart, equal(mail.prefix[x], mail.prefix[y]));
        }
        let (x, y) = (a[col::BIRTH], b[col::BIRTH]);
        if x != 0 && y != 0 {
            let parts = |d: u32| (d / 10_000, d / 100 % 100, d % 100);
            let ((ya, ma, da), (yb, mb, db)) = (parts(x), parts(y));
            set(Part::BirthYear, ya == yb);
            set(Part::BirthMonth, ya == yb && ma == mb);
            set(Part::Birthday, ma == mb && da == db);
            set(
                Part::Birth,
                ya == yb && (ma == mb && da == db || ma == db && da == mb),
            );
        }
        set(Part::Phone, self.phone_key(a, b).is_some());
        bits
    }

    /// Whether a rule makes a pair that shares some parts.
    fn makes(&self, rule: usize, shared: u64, a: &Row, b: &Row) -> bool {
        let needed = self.needed[rule];
        shared & needed == needed
            && !self.hubs.idle[rule]
            && (rule == PHONE_RULE
                || !self.refined[rule]
                || !self.is_hub(rule, key_of_record(self.features, a, rule))
                || self.refines(a, b))
    }

    /// The smallest key of a phone that two records share.
    fn phone_key(&self, a: &Row, b: &Row) -> Option<u32> {
        let shared = [col::PHONE, col::PHONE2]
            .into_iter()
            .filter(|c| a[*c] != 0 && (a[*c] == b[col::PHONE] || a[*c] == b[col::PHONE2]));
        shared
            .map(|c| key(PHONE_RULE, [self.features.hash(a, c)]))
            .filter(|k| !self.is_hub(PHONE_RULE, *k) || self.refines(a, b))
            .min()
    }

    /// Whether this block is the one that scores the pair.
    pub(crate) fn owns(&self, block: &Block, a: u32, b: u32) -> bool {
        let rule = usize::from(block.rule);
        let (a, b) = (self.row(a), self.row(b));
        let shared = self.shared(a, b);
        // Two values may share a key by chance; two phones may make a pair twice.
        let own = shared & self.needed[rule] == self.needed[rule]
            && (rule != PHONE_RULE || self.phone_key(a, b) == Some(block.key));
        own && !(0..rule).any(|earlier| self.makes(earlier, shared, a, b))
    }

    /// Calls `pair` for every pair of the block, once each, refined when the block is a hub.
    pub(crate) fn pairs(&self, block: &Block, mut pair: impl FnMut(u32, u32)) {
        if !self.is_hub(usize::from(block.rule), block.key) {
            return each_pair(&block.members, pair);
        }
        for (pass, c) in [col::GIVEN, col::BIRTH].into_iter().enumerate() {
            let code = |i: u32| self.row(i)[c];
            let mut members: Vec<u32> = block
                .members
                .iter()
                .copied()
                .filter(|i| code(*i) != 0)
                .collect();
            members.sort_by_key(|i| (code(*i), *i));
            for part in members.chunk_by(|a, b| code(*a) == code(*b)) {
                each_pair(part, |a, b| {
                    let given = |i: u32| self.row(i)[col::GIVEN];
                    if pass == 0 || given(a) == 0 || given(a) != given(b) {
                        pair(a, b);
                    }
                });
            }
        }
    }

    /// The first rule that makes a pair.
    pub(crate) fn first_rule(&self, a: u32, b: u32) -> Option<usize> {
        let (a, b) = (self.row(a), self.row(b));
        let shared = self.shared(a, b);
        (0..RULES.len()).find(|r| self.makes(*r, shared, a, b))
    }
}

fn each_pair(members: &[u32], mut pair: impl FnMut(u32, u32)) {
    for (n, a) in members.iter().enumerate() {
        for b in &members[n + 1..] {
            pair(*a.min(b), *a.max(b));
        }
    }
}

/// Shard of a key.
pub(crate) fn shard_of(key: u32, shards: u32) -> u32 {
    (key.wrapping_mul(0x9E37_79B1) >> 20) * shards / KEY_SLOTS
}

/// Of the pairs of records that are one person, the share that any rule makes. `truth` is a person per record.
pub(crate) fn recall(features: &Features, hubs: &Hubs, truth: &[u32]) -> f64 {
    let blocking = Blocking::new(features, hubs);
    let mut people: Vec<(u32, u32)> = truth.iter().copied().zip(0..).collect();
    people.sort_unstable();
    let people: Vec<&[(u32, u32)]> = people.chunk_by(|a, b| a.0 == b.0).collect();
    let (made, all) = people
        .into_par_iter()
        .map(|person| {
            let mut counts = (0u64, 0u64);
            let members: Vec<u32> = person.iter().map(|p| p.1).collect();
            each_pair(&members, |a, b| {
                counts = (
                    counts.0 + u64::from(blocking.first_rule(a, b).is_some()),
                    counts.1 + 1,
                );
            });
            counts
        })
        .reduce(|| (0, 0), |x, y| (x.0 + y.0, x.1 + y.1));
    if all == 0 {
        1.0
    } else {
        made as f64 / all as f64
    }
}
