//! The blocking rules, and what of a record they look at.

use super::grams;
use crate::compare::{AREA, BIRTH, BUILDING, EMAIL, FAMILY, GIVEN, PHONE, STREET};
use crate::features::{Features, Row, col, short};

/// What two records of a block share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Part {
    Email,
    Loyalty,
    AppUser,
    External,
    Device,
    BirthDate,
    Postal,
    City,
    Town,
    /// Number of the block, the house.
    House,
    Building,
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
    /// Postal code, or else town: only for the refinement of hubs.
    Place,
    /// A phone, whichever of the two.
    Phone,
    /// Letters of names and address, by any of the bands.
    Grams,
}

/// Parts but for those of which a record has several.
pub(super) const PARTS: usize = Part::Phone as usize;

impl Part {
    /// Its bit in a set of parts.
    pub(super) const fn bit(self) -> u32 {
        1 << self as u32
    }

    /// Columns that it is made of.
    const fn columns(self) -> &'static [usize] {
        match self {
            Email | EmailName | EmailStart => &[col::EMAIL],
            Loyalty => &[col::LOYALTY],
            AppUser => &[col::APP_USER],
            External => &[col::EXTERNAL],
            Device => &[col::DEVICE],
            BirthDate | Birth | BirthMonth | Birthday | BirthYear => &[col::BIRTH],
            Postal => &[col::POSTAL],
            City => &[col::CITY],
            Town => &[col::TOWN],
            House => &[col::BLOCK],
            Building => &[col::BUILDING],
            Given | GivenStart => &[col::GIVEN, col::GIVEN_READING],
            Family | FamilySound => &[col::FAMILY, col::FAMILY_READING],
            Names | Sounds | Starts => &[
                col::GIVEN,
                col::FAMILY,
                col::GIVEN_READING,
                col::FAMILY_READING,
            ],
            Place => &[col::POSTAL, col::TOWN],
            Phone => &[col::PHONE, col::PHONE2],
            Grams => &grams::COLUMNS_READ,
        }
    }
}

/// A rule puts records into one block that share all its parts.
pub(crate) struct Rule {
    pub(crate) name: &'static str,
    pub(super) parts: &'static [Part],
    /// Comparisons that the rule fixes: left out when it trains.
    pub(crate) blocked: &'static [usize],
}

impl Rule {
    /// Its parts as a set.
    pub(super) const fn needs(&self) -> u32 {
        let (mut bits, mut at) = (0, 0);
        while at < self.parts.len() {
            bits |= self.parts[at].bit();
            at += 1;
        }
        bits
    }
}

const fn rule(name: &'static str, parts: &'static [Part], blocked: &'static [usize]) -> Rule {
    Rule {
        name,
        parts,
        blocked,
    }
}

use Part::{
    AppUser, Birth, BirthDate, BirthMonth, BirthYear, Birthday, Building, City, Device, Email,
    EmailName, EmailStart, External, Family, FamilySound, Given, GivenStart, Grams, House, Loyalty,
    Names, Phone, Place, Postal, Sounds, Starts, Town,
};

/// The rules, most telling first.
#[rustfmt::skip]
pub(crate) const RULES: [Rule; 30] = [
    rule("email", &[Email], &[EMAIL]),
    rule("phone", &[Phone], &[PHONE]),
    rule("loyalty_number", &[Loyalty], &[]),
    rule("app_user_id", &[AppUser], &[]),
    rule("external_id", &[External], &[]),
    rule("device_id", &[Device], &[]),
    rule("given and birth", &[Given, BirthDate], &[GIVEN, BIRTH]),
    rule("family and birth", &[Family, BirthDate], &[FAMILY, BIRTH]),
    rule("both names", &[Names], &[GIVEN, FAMILY]),
    rule("town and block", &[Town, House], &[STREET]),
    rule("given and postal code", &[Given, Postal], &[GIVEN, AREA]),
    rule("family and postal code", &[Family, Postal], &[FAMILY, AREA]),
    rule("given and town", &[Given, Town], &[GIVEN, STREET]),
    rule("family and town", &[Family, Town], &[FAMILY, STREET]),
    rule("e-mail local part", &[EmailName], &[EMAIL, GIVEN, FAMILY]),
    rule("birth", &[Birth], &[BIRTH]),
    rule("sounds of both names", &[Sounds], &[GIVEN, FAMILY]),
    rule("given and city", &[Given, City], &[GIVEN, AREA]),
    rule("family and city", &[Family, City], &[FAMILY, AREA]),
    rule("given and birthday", &[Given, Birthday], &[GIVEN, BIRTH]),
    rule("family sound and birth month", &[FamilySound, BirthMonth], &[FAMILY, BIRTH]),
    rule("start of given and birth month", &[GivenStart, BirthMonth], &[GIVEN, BIRTH]),
    rule("postal code and birth year", &[Postal, BirthYear], &[AREA, BIRTH]),
    rule("block and postal code", &[House, Postal], &[STREET, AREA]),
    rule("block and city", &[House, City], &[STREET, AREA]),
    rule("town and postal code", &[Town, Postal], &[STREET, AREA]),
    rule("building and postal code", &[Building, Postal], &[BUILDING, AREA]),
    rule("start of e-mail and birth year", &[EmailStart, BirthYear], &[EMAIL, BIRTH]),
    rule("starts of both names", &[Starts], &[GIVEN, FAMILY]),
    rule("letters of names and address", &[Grams], &[GIVEN, FAMILY, AREA, STREET, BUILDING]),
];

/// By what oversized blocks are refined: a pair of such a block must also share one of these.
const REFINEMENTS: [Part; 5] = [Given, Family, BirthDate, Place, House];

/// The parts that rules look at which are at work, and by which their hubs are refined, as a set: as far as records have
/// something in the columns that they are made of.
pub(super) fn looked_at(at_work: impl Fn(usize) -> bool, in_use: &[bool; col::WIDTH]) -> u32 {
    let rules = RULES.iter().enumerate().filter(|(r, _)| at_work(*r));
    let parts = rules.flat_map(|(_, rule)| rule.parts);
    let has = |part: &&Part| part.columns().iter().any(|c| in_use[*c]);
    let parts = parts.chain(&REFINEMENTS).filter(has);
    parts.fold(0, |bits, part| bits | part.bit())
}

/// The refinements of a rule's hubs: those that its parts do not imply.
pub(super) fn refinements(rule: usize) -> impl Iterator<Item = Part> + Clone {
    let implied = RULES[rule].parts.iter().fold(0, |bits, part| {
        bits | match part {
            Names | Sounds => Given.bit() | Family.bit(),
            Birth => BirthDate.bit(),
            Postal | Town => Place.bit(),
            part => part.bit(),
        }
    });
    REFINEMENTS
        .into_iter()
        .filter(move |part| implied & part.bit() == 0)
}

/// Key of the part of a hub that shares a refinement.
pub(super) fn refined_key(key: u32, part: Part, value: u32) -> u32 {
    self::key(u64::from(key) ^ (part as u64) << 40, [value])
}

const PHONE_RULE: usize = 1;
/// The rule whose keys have to be worked out from letters.
pub(crate) const GRAMS_RULE: usize = RULES.len() - 1;
/// Keys that it gives to a record.
pub(crate) const GRAMS_KEYS: usize = grams::BANDS;

/// Whether a record may have several keys by a rule.
pub(super) const fn is_manifold(rule: usize) -> bool {
    rule == PHONE_RULE || rule == GRAMS_RULE
}

/// Numbers of the phones and of the bands among the words of a sketch.
const PHONES: usize = PARTS;
const BANDS: usize = PHONES + 2;
const WORDS: usize = BANDS + grams::BANDS;

/// The part that each word is of, as its bit.
const BIT_OF_WORD: [u32; WORDS] = {
    let (mut bits, mut n) = ([Phone.bit(); WORDS], 0);
    while n < WORDS {
        if n < PHONES {
            bits[n] = 1 << n;
        } else if n >= BANDS {
            bits[n] = Grams.bit();
        }
        n += 1;
    }
    bits
};

/// What of two sketches is held against each other, so that what no rule asks for is passed over.
#[derive(Clone, Default)]
pub(super) struct Held {
    /// The parts that are looked at, as a set.
    pub(super) parts: u32,
    /// Words that are looked at.
    pub(super) columns: Vec<usize>,
    /// The column of one, that of the other, and the bit of the part that they share where both are the same.
    pub(super) against: Vec<(usize, usize, u32)>,
}

impl Held {
    /// Of what is needed for some parts, as a set.
    pub(super) fn of(parts: u32) -> Self {
        let mut held = Self {
            parts,
            ..Self::default()
        };
        let mut hold = |words: std::ops::Range<usize>, each: bool, bit: u32| {
            if parts & bit == 0 {
                return;
            }
            let first = held.columns.len();
            let columns = first..first + words.len();
            held.columns.extend(words);
            for mine in columns.clone() {
                let others = if each {
                    columns.clone()
                } else {
                    mine..mine + 1
                };
                held.against
                    .extend(others.map(|theirs| (mine, theirs, bit)));
            }
        };
        for part in 0..PARTS {
            hold(part..part + 1, false, 1 << part);
        }
        hold(PHONES..BANDS, true, Phone.bit());
        hold(BANDS..BANDS + grams::BANDS, false, Grams.bit());
        held
    }
}

/// What a record has for each part, as numbers that are the same in every run; 0 for nothing.
#[derive(Clone, Debug)]
pub(crate) struct Sketch {
    /// The parts, both phones, and the bands of its grams.
    words: [u32; WORDS],
    /// The parts that it has, as a set.
    has: u32,
}

impl Sketch {
    /// Of a record, with its grams where its letters are given.
    pub(super) fn of(f: &Features, r: &Row, letters: Option<grams::Texts<'_>>) -> Self {
        let value = |c: usize| short(f.hash(r, c));
        let name =
            |text: usize, reading: usize| value(if r[reading] == 0 { text } else { reading });
        let names = &f.dicts[col::GIVEN];
        let mail = &f.dicts[col::EMAIL];
        let code = |c: usize| r[c] as usize;
        let (given, family) = (
            name(col::GIVEN, col::GIVEN_READING),
            name(col::FAMILY, col::FAMILY_READING),
        );
        let sounds = [col::GIVEN, col::FAMILY].map(|c| names.derived[code(c)]);
        let starts = [col::GIVEN, col::FAMILY].map(|c| names.prefix[code(c)]);
        let birth = r[col::BIRTH];
        let dated = |n: u32| if birth == 0 { 0 } else { scattered(n) };
        let (year, month, day) = (birth / 10_000, birth / 100 % 100, birth % 100);
        // A year alone is no key without a name.
        let full = |n: u32| if month == 0 { 0 } else { dated(n) };
        let mut words = [0; WORDS];
        let mut set = |part: Part, value: u32| words[part as usize] = value;
        for (part, column) in [
            (Email, col::EMAIL),
            (Loyalty, col::LOYALTY),
            (AppUser, col::APP_USER),
            (External, col::EXTERNAL),
            (Device, col::DEVICE),
            (BirthDate, col::BIRTH),
            (Postal, col::POSTAL),
            (City, col::CITY),
            (Town, col::TOWN),
            (House, col::BLOCK),
            (Building, col::BUILDING),
        ] {
            set(part, value(column));
        }
        set(Given, given);
        set(Family, family);
        set(Names, either_order([given, family]));
        set(Sounds, either_order(sounds));
        set(Starts, either_order(starts));
        set(GivenStart, starts[0]);
        set(FamilySound, sounds[1]);
        set(EmailName, mail.derived[code(col::EMAIL)]);
        set(EmailStart, mail.prefix[code(col::EMAIL)]);
        set(
            Birth,
            full(year * 10_000 + month.min(day) * 100 + month.max(day)),
        );
        set(BirthMonth, full(year * 100 + month));
        set(Birthday, full(month * 100 + day));
        set(BirthYear, dated(year));
        set(
            Place,
            value(if r[col::POSTAL] == 0 {
                col::TOWN
            } else {
                col::POSTAL
            }),
        );
        words[PHONES..BANDS].copy_from_slice(&[value(col::PHONE), value(col::PHONE2)]);
        if let Some(letters) = letters {
            words[BANDS..].copy_from_slice(&grams::bands(&letters));
        }
        Self::of_words(words.into_iter().enumerate())
    }

    /// Of some words by number; it has nothing else.
    pub(super) fn of_words(numbered: impl Iterator<Item = (usize, u32)>) -> Self {
        let (mut words, mut has) = ([0; WORDS], 0);
        for (n, word) in numbered {
            words[n] = word;
            has |= if word == 0 { 0 } else { BIT_OF_WORD[n] };
        }
        Self { words, has }
    }

    /// What it has for a rule by which it may have several keys.
    fn several(&self, rule: usize) -> &[u32] {
        match rule {
            PHONE_RULE => &self.words[PHONES..BANDS],
            GRAMS_RULE => &self.words[BANDS..],
            _ => &[],
        }
    }

    /// Key of the block that a rule puts the record into by which it has one at most; 0 when it lacks a part.
    pub(super) fn key(&self, rule: usize) -> u32 {
        let parts = RULES[rule].parts.iter();
        key(rule as u64, parts.map(|p| self.words[*p as usize]))
    }

    /// Keys of the blocks that a rule puts the record into.
    pub(super) fn keys(&self, rule: usize) -> impl Iterator<Item = u32> {
        let one = (!is_manifold(rule)).then(|| self.key(rule));
        let several = self.several(rule).iter();
        let several = several.map(move |value| key(rule as u64, [*value]));
        one.into_iter().chain(several).filter(|key| *key != 0)
    }

    /// Keys that two records share of those of a rule by which they may have several.
    pub(super) fn common_keys(&self, other: &Self, rule: usize) -> impl Iterator<Item = u32> {
        let (own, others) = (self.several(rule), other.several(rule));
        let shared = own.iter().filter(|v| **v != 0 && others.contains(v));
        shared.map(move |value| key(rule as u64, [*value]))
    }

    /// What it has for a part, a phone or a band, by number; 0 for nothing.
    pub(super) fn word(&self, n: usize) -> u32 {
        self.words[n]
    }

    /// What it has for a refinement of hubs; 0 for nothing.
    pub(super) fn refinement(&self, part: Part) -> u32 {
        self.words[part as usize]
    }

    /// The parts that two records share, as a set.
    pub(super) fn shared(&self, other: &Self) -> u32 {
        const BITS: [u32; PARTS] = bits();
        let mut shared = 0;
        let (mine, theirs) = (&self.words[..PARTS], &other.words[..PARTS]);
        for ((mine, theirs), bit) in mine.iter().zip(theirs).zip(BITS) {
            shared |= if mine == theirs { bit } else { 0 };
        }
        let phones = |of: &Self| [of.words[PHONES], of.words[PHONES + 1]];
        let ([first, second], [a, b]) = (phones(self), phones(other));
        let phone =
            first != 0 && (first == a || first == b) || second != 0 && (second == a || second == b);
        let bands = self.words[BANDS..].iter().zip(&other.words[BANDS..]);
        let grams = bands.fold(false, |any, (mine, theirs)| any | (mine == theirs));
        let several = if phone { Phone.bit() } else { 0 } | if grams { Grams.bit() } else { 0 };
        (shared | several) & self.has
    }
}

/// A bit for each of so many.
pub(super) const fn bits<const N: usize>() -> [u32; N] {
    let (mut bits, mut n) = ([0; N], 0);
    while n < N {
        bits[n] = 1 << n;
        n += 1;
    }
    bits
}

fn scattered(n: u32) -> u32 {
    short(u64::from(n + 1).wrapping_mul(0xA24B_AED4_963E_E407))
}

fn either_order([a, b]: [u32; 2]) -> u32 {
    if a == 0 || b == 0 {
        0
    } else {
        (a.min(b) ^ a.max(b).rotate_left(7)).max(1)
    }
}

/// Key of the values that a rule, which is the salt, looks at; 0 when one is missing.
fn key(salt: u64, values: impl IntoIterator<Item = u32>) -> u32 {
    let mut mixed = salt.wrapping_mul(0xD6E8_FEB8_6659_FD93);
    for value in values {
        if value == 0 {
            return 0;
        }
        mixed = (mixed.rotate_left(29) ^ u64::from(value)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
    short(mixed)
}
