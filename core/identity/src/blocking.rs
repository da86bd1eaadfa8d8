//! Blocking: which pairs are compared at all. Rules are many and cheap; a pair belongs to the first
//! rule that makes it. Blocks that were oversized when the model was trained (hubs) are refined by given name
//! and by birth date, so a pair in them must also share one of the two.

use hashbrown::HashSet;
use rayon::prelude::*;

use crate::compare::{AREA, BIRTH, EMAIL, FAMILY, GIVEN, PHONE, STREET};
use crate::features::{Features, Row, col};

/// Slots that shards are made of: the same key is always in the same slot.
pub const KEY_SLOTS: u32 = 4096;

pub(crate) struct Rule {
    pub(crate) name: &'static str,
    /// Comparisons that the rule fixes: left out when it trains.
    pub(crate) blocked: &'static [usize],
    /// Key slots, one or two.
    pub(crate) slots: std::ops::Range<usize>,
}

const fn rule(name: &'static str, blocked: &'static [usize], slot: usize) -> Rule {
    Rule {
        name,
        blocked,
        slots: slot..slot + 1,
    }
}

pub(crate) const SLOTS: usize = 24;

pub(crate) const RULES: [Rule; SLOTS - 1] = [
    rule("email", &[EMAIL], 0),
    Rule {
        name: "phone",
        blocked: &[PHONE],
        slots: 1..3,
    },
    rule("loyalty_number", &[], 3),
    rule("app_user_id", &[], 4),
    rule("external_id", &[], 5),
    rule("device_id", &[], 6),
    rule("given and birth", &[GIVEN, BIRTH], 7),
    rule("family and birth", &[FAMILY, BIRTH], 8),
    rule("both names", &[GIVEN, FAMILY], 9),
    rule("readings of both names", &[GIVEN, FAMILY], 10),
    rule("town and block", &[STREET], 11),
    rule("given and postal code", &[GIVEN, AREA], 12),
    rule("family and postal code", &[FAMILY, AREA], 13),
    rule("given and town", &[GIVEN, STREET], 14),
    rule("family and town", &[FAMILY, STREET], 15),
    rule("e-mail local part", &[EMAIL], 16),
    rule("birth", &[BIRTH], 17),
    rule("sounds of both names", &[GIVEN, FAMILY], 18),
    rule("given and city", &[GIVEN, AREA], 19),
    rule("given and birth month and day", &[GIVEN, BIRTH], 20),
    rule("family sound and birth month", &[FAMILY, BIRTH], 21),
    rule("postal code and birth year", &[AREA, BIRTH], 22),
    rule("starts of both names", &[GIVEN, FAMILY], 23),
];

pub(crate) type Keys = [u32; SLOTS];

fn key(slot: usize, a: u64, b: u64) -> u32 {
    if a == 0 || b == 0 {
        return 0;
    }
    let mixed = (a ^ b.rotate_left(29) ^ (slot as u64).wrapping_mul(0xD6E8_FEB8_6659_FD93))
        .wrapping_mul(0x9E37_79B9_7F4A_7C15);
    ((mixed >> 32) as u32).max(1)
}

fn keys(f: &Features, r: &Row) -> Keys {
    let h = |c: usize| f.hash(r, c);
    let name = |c: usize, reading: usize| if r[c] == 0 { h(reading) } else { h(c) };
    let (given, family) = (
        name(col::GIVEN, col::GIVEN_READING),
        name(col::FAMILY, col::FAMILY_READING),
    );
    let (given_reading, family_reading) = (h(col::GIVEN_READING), h(col::FAMILY_READING));
    let names = &f.dicts[col::GIVEN];
    let sound = |c: usize| names.derived[r[c] as usize];
    let start = |c: usize| {
        if r[c] == 0 {
            0
        } else {
            names.prefix[r[c] as usize]
        }
    };
    let both = |a: u64, b: u64| {
        if a == 0 || b == 0 {
            0
        } else {
            a.min(b) ^ a.max(b).rotate_left(7)
        }
    };
    let birth = h(col::BIRTH);
    let (year, month, day) = (
        r[col::BIRTH] / 10_000,
        r[col::BIRTH] / 100 % 100,
        r[col::BIRTH] % 100,
    );
    let part = |n: u32| {
        if birth == 0 {
            0
        } else {
            u64::from(n + 1).wrapping_mul(0xA24B_AED4_963E_E407)
        }
    };
    let phones = [h(col::PHONE), h(col::PHONE2)];
    let pairs: [(u64, u64); SLOTS] = [
        (h(col::EMAIL), 1),
        (phones[0], 1),
        (phones[1], 1),
        (h(col::LOYALTY), 1),
        (h(col::APP_USER), 1),
        (h(col::EXTERNAL), 1),
        (h(col::DEVICE), 1),
        (given, birth),
        (family, birth),
        (both(given, family), 1),
        (both(given_reading, family_reading), 1),
        (h(col::TOWN), h(col::BLOCK)),
        (given, h(col::POSTAL)),
        (family, h(col::POSTAL)),
        (given, h(col::TOWN)),
        (family, h(col::TOWN)),
        (f.dicts[col::EMAIL].derived[r[col::EMAIL] as usize], 1),
        (birth, 1),
        (both(sound(col::GIVEN), sound(col::FAMILY)), 1),
        (given, h(col::CITY)),
        (given, part(month * 100 + day)),
        (sound(col::FAMILY), part(year * 100 + month)),
        (h(col::POSTAL), part(year)),
        (both(start(col::GIVEN), start(col::FAMILY)), 1),
    ];
    let mut out = Keys::default();
    for (slot, (a, b)) in pairs.into_iter().enumerate() {
        // Both slots of the phone rule share one key space.
        out[slot] = key(if slot == 2 { 1 } else { slot }, a, b);
    }
    out
}

/// Oversized blocks, by rule and key.
pub(crate) type Hubs = HashSet<(u8, u32)>;

/// The records of one key.
pub(crate) struct Block {
    pub(crate) rule: u8,
    pub(crate) key: u32,
    pub(crate) members: Vec<u32>,
}

/// Keys of all records.
pub(crate) struct Blocking<'a> {
    features: &'a Features,
    keys: Vec<Keys>,
    hubs: &'a Hubs,
}

impl<'a> Blocking<'a> {
    pub(crate) fn new(features: &'a Features, hubs: &'a Hubs) -> Self {
        let keys = features
            .rows
            .par_iter()
            .map(|r| keys(features, r))
            .collect();
        Self {
            features,
            keys,
            hubs,
        }
    }

    /// Blocks of two and more records of a rule whose key the predicate takes, ordered by key.
    pub(crate) fn blocks(&self, rule: usize, take: impl Fn(u32) -> bool + Sync) -> Vec<Block> {
        let mut entries: Vec<(u32, u32)> = (0..self.keys.len() as u32)
            .into_par_iter()
            .flat_map_iter(|i| {
                let take = &take;
                RULES[rule]
                    .slots
                    .clone()
                    .map(move |s| (self.keys[i as usize][s], i))
                    .filter(move |e| e.0 != 0 && take(e.0))
            })
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
        let slots = RULES[rule].slots.clone();
        let keys = records.iter().map(|r| self.keys[*r as usize]);
        keys.flat_map(|k| slots.clone().map(move |s| k[s]))
            .collect()
    }

    fn refines(&self, a: u32, b: u32) -> bool {
        let (ra, rb) = (
            &self.features.rows[a as usize],
            &self.features.rows[b as usize],
        );
        [col::GIVEN, col::BIRTH]
            .into_iter()
            .any(|c| ra[c] != 0 && ra[c] == rb[c])
    }

    /// The smallest key by which a rule makes a pair.
    fn key_of(&self, rule: usize, a: u32, b: u32) -> Option<u32> {
        let (ka, kb) = (&self.keys[a as usize], &self.keys[b as usize]);
        let slots = RULES[rule].slots.clone();
        let shared = slots
            .clone()
            .flat_map(|x| slots.clone().map(move |y| (x, y)));
        shared
            .filter(|(x, y)| ka[*x] != 0 && ka[*x] == kb[*y])
            .map(|(x, _)| ka[x])
            .filter(|k| !self.hubs.contains(&(rule as u8, *k)) || self.refines(a, b))
            .min()
    }

    /// Whether this block is the one that scores the pair.
    pub(crate) fn owns(&self, block: &Block, a: u32, b: u32) -> bool {
        let rule = usize::from(block.rule);
        (RULES[rule].slots.len() == 1 || self.key_of(rule, a, b) == Some(block.key))
            && (0..rule).all(|earlier| self.key_of(earlier, a, b).is_none())
    }

    /// Calls `pair` for every pair of the block, once each, refined when the block is a hub.
    pub(crate) fn pairs(&self, block: &Block, mut pair: impl FnMut(u32, u32)) {
        if !self.hubs.contains(&(block.rule, block.key)) {
            return each_pair(&block.members, pair);
        }
        for (pass, c) in [col::GIVEN, col::BIRTH].into_iter().enumerate() {
            let code = |i: u32| self.features.rows[i as usize][c];
            let mut members: Vec<u32> = block
                .members
                .iter()
                .copied()
                .filter(|i| code(*i) != 0)
                .collect();
            members.sort_by_key(|i| (code(*i), *i));
            for part in members.chunk_by(|a, b| code(*a) == code(*b)) {
                each_pair(part, |a, b| {
                    let given = |i: u32| self.features.rows[i as usize][col::GIVEN];
                    if pass == 0 || given(a) == 0 || given(a) != given(b) {
                        pair(a, b);
                    }
                });
            }
        }
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

/// Name of the first rule that makes a pair.
pub(crate) fn first_rule(features: &Features, hubs: &Hubs, a: u32, b: u32) -> Option<&'static str> {
    let (ka, kb) = (
        keys(features, &features.rows[a as usize]),
        keys(features, &features.rows[b as usize]),
    );
    let refined = [col::GIVEN, col::BIRTH].into_iter().any(|c| {
        features.rows[a as usize][c] != 0
            && features.rows[a as usize][c] == features.rows[b as usize][c]
    });
    RULES
        .iter()
        .enumerate()
        .find(|(r, rule)| {
            rule.slots.clone().any(|x| {
                ka[x] != 0
                    && rule.slots.clone().any(|y| ka[x] == kb[y])
                    && (refined || !hubs.contains(&(*r as u8, ka[x])))
            })
        })
        .map(|(_, rule)| rule.name)
}
