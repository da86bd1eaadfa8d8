//! A seeded generator in the manner of FEBRL (Christen 2005): people of Australian names and addresses, and
//! duplicates of their records with slips of keyboard, ear and scanner. The values and how often they come are
//! those of the originals of FEBRL 3, with rarer family names and more streets beside them.

use musubi::demo::person::{mix, rng};
use rand::{Rng, seq::IndexedRandom as _};
use rand_chacha::ChaCha8Rng;

use super::Row;

/// Columns, as the customer fields that they become.
pub(super) const COLUMNS: [&str; 9] = [
    "given_name",
    "family_name",
    "block",
    "town",
    "building",
    "city",
    "postal_code",
    "prefecture",
    "birth_date",
];

const GIVEN: usize = 0;
const FAMILY: usize = 1;
const STREET: usize = 3;
const LOT: usize = 4;
const BIRTH: usize = 8;

/// How many duplicates and how many slips there are at most.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    /// Duplicates of an original.
    pub(super) duplicates: u32,
    /// Slips in a field.
    pub(super) field: u32,
    /// Slips in a record.
    pub(super) record: u32,
}

/// Of ten records, those that are originals.
const ORIGINALS: u64 = 6;

/// The values of the originals of FEBRL 3 by column, as often as they come.
pub(super) struct Generator {
    settings: Settings,
    seed: u64,
    pools: Vec<Vec<String>>,
    street_starts: Vec<String>,
    street_ends: Vec<String>,
}

impl Generator {
    pub(super) fn new(settings: Settings, seed: u64) -> Self {
        let text = include_str!("../../../tests/data/identity/dataset3.csv");
        let mut pools = vec![Vec::new(); COLUMNS.len()];
        for line in text.lines().skip(1) {
            let fields: Vec<&str> = line.split(',').map(str::trim).collect();
            if fields.len() <= COLUMNS.len() || !fields[0].ends_with("-org") {
                continue;
            }
            for (pool, value) in pools.iter_mut().zip(&fields[1..]) {
                pool.push((*value).to_owned());
            }
        }
        let streets = pools[STREET].iter().filter_map(|s| s.rsplit_once(' '));
        let (street_starts, street_ends) =
            streets.map(|(a, b)| (a.to_owned(), b.to_owned())).unzip();
        Self {
            settings,
            seed,
            pools,
            street_starts,
            street_ends,
        }
    }

    /// Calls `take` for every record, with its person.
    pub(super) fn each(&self, records: u64, mut take: impl FnMut(u32, Row)) {
        let people = records * ORIGINALS / 10;
        let mut left = records - people;
        for person in 0..people {
            let original = self.original(person);
            let mut r = rng(self.seed, 2, person, 0);
            // Duplicates are spread so that they are used up with the people.
            let mean = f64::from(self.settings.duplicates + 1) / 2.0;
            let share = left as f64 / (people - person) as f64 / mean;
            let copies = match r.random_bool(share.min(1.0)) {
                true => u64::from(r.random_range(1..=self.settings.duplicates)).min(left),
                false => 0,
            };
            left -= copies;
            for _ in 0..copies {
                take(person as u32, self.duplicate(&original, &mut r));
            }
            take(person as u32, original);
        }
        // What is left when the dice fell low goes to the last person.
        let last = people.saturating_sub(1);
        let (original, mut r) = (self.original(last), rng(self.seed, 3, last, 0));
        for _ in 0..left {
            take(last as u32, self.duplicate(&original, &mut r));
        }
    }

    fn original(&self, person: u64) -> Row {
        let mut r = rng(self.seed, 1, person, 0);
        (0..COLUMNS.len()).map(|c| self.value(c, &mut r)).collect()
    }

    fn value(&self, column: usize, r: &mut ChaCha8Rng) -> Option<String> {
        let own = self.pools[column].choose(r)?;
        let value = match column {
            FAMILY if r.random_bool(0.35) => rare_name(r),
            STREET if !own.is_empty() => {
                let (start, end) = (self.street_starts.choose(r)?, self.street_ends.choose(r)?);
                format!("{start} {end}")
            }
            BIRTH if !own.is_empty() => {
                let year = r.random_range(1900..2000);
                let (month, day) = (r.random_range(1..=12), r.random_range(1..=28));
                format!("{year}{month:02}{day:02}")
            }
            _ => own.clone(),
        };
        (!value.is_empty()).then_some(value)
    }

    fn duplicate(&self, original: &Row, r: &mut ChaCha8Rng) -> Row {
        let mut row = original.clone();
        let mut slips = [0; COLUMNS.len()];
        for _ in 0..r.random_range(1..=self.settings.record) {
            let column = r.random_range(0..COLUMNS.len());
            if slips[column] < self.settings.field {
                slips[column] += 1;
                self.slip(&mut row, column, r);
            }
        }
        row
    }

    fn slip(&self, row: &mut Row, column: usize, r: &mut ChaCha8Rng) {
        match r.random_range(0..100) {
            0..=11 => row[column] = None,
            12..=19 => row[column] = self.value(column, r),
            20..=24 if column == GIVEN || column == FAMILY => row.swap(GIVEN, FAMILY),
            20..=24 if column == STREET || column == LOT => row.swap(STREET, LOT),
            _ => {
                if let Some(value) = &row[column] {
                    row[column] = Some(misspelt(value, r));
                }
            }
        }
    }
}

/// A family name that few people have.
fn rare_name(r: &mut ChaCha8Rng) -> String {
    const STARTS: [&str; 40] = [
        "al", "ba", "ber", "bo", "car", "chi", "da", "del", "do", "ed", "fa", "fer", "ga", "gre",
        "ha", "hol", "in", "ja", "ka", "kel", "la", "lin", "ma", "mer", "na", "nor", "o", "pa",
        "per", "qui", "ra", "ro", "sa", "sha", "ta", "tho", "ul", "va", "wi", "za",
    ];
    const MIDDLES: [&str; 24] = [
        "", "ba", "ch", "de", "en", "er", "gi", "ha", "il", "ki", "la", "li", "man", "na", "ni",
        "or", "ra", "ri", "sa", "si", "ta", "te", "va", "ze",
    ];
    const ENDS: [&str; 24] = [
        "bury", "dez", "der", "field", "ford", "gan", "ham", "ington", "ka", "land", "ler", "ley",
        "low", "man", "mond", "ner", "poulos", "sen", "son", "ston", "tt", "vic", "well", "wood",
    ];
    let of = |list: &[&str], r: &mut ChaCha8Rng| list[r.random_range(0..list.len())].to_owned();
    of(&STARTS, r) + &of(&MIDDLES, r) + &of(&ENDS, r)
}

/// A slip of the keyboard (a letter changed, added, dropped, two swapped), of the ear, of the scanner, or a blank.
fn misspelt(value: &str, r: &mut ChaCha8Rng) -> String {
    const SOUNDS: [(&str, &str); 8] = [
        ("ph", "f"),
        ("ck", "k"),
        ("c", "k"),
        ("ie", "y"),
        ("y", "i"),
        ("ee", "ea"),
        ("s", "z"),
        ("ll", "l"),
    ];
    const SHAPES: [(char, char); 8] = [
        ('l', '1'),
        ('o', '0'),
        ('s', '5'),
        ('g', '9'),
        ('b', '6'),
        ('m', 'n'),
        ('u', 'v'),
        ('i', 'j'),
    ];
    let mut letters: Vec<char> = value.chars().collect();
    let at = r.random_range(0..letters.len());
    let digits = letters.iter().all(char::is_ascii_digit);
    let other = |r: &mut ChaCha8Rng| match digits {
        true => char::from(b'0' + r.random_range(0..10)),
        false => char::from(b'a' + r.random_range(0..26)),
    };
    match r.random_range(0..100) {
        0..=29 => letters[at] = other(r),
        30..=49 => letters.insert(at, other(r)),
        50..=69 if letters.len() > 1 => {
            letters.remove(at);
        }
        70..=84 if letters.len() > 1 => letters.swap(at.max(1) - 1, at.max(1)),
        85..=91 => {
            let found: Vec<_> = SOUNDS.iter().filter(|s| value.contains(s.0)).collect();
            if let Some((from, to)) = found.choose(r) {
                return value.replacen(from, to, 1);
            }
        }
        92..=96 => {
            let shape = SHAPES.iter().find(|s| letters.contains(&s.0));
            if let Some((from, to)) = shape {
                return value.replacen(*from, &to.to_string(), 1);
            }
        }
        _ => match letters.iter().position(|c| *c == ' ') {
            Some(blank) => {
                letters.remove(blank);
            }
            None => letters.insert(at, ' '),
        },
    }
    letters.into_iter().collect()
}

/// An id that says nothing about the person.
pub(super) fn record_id(seed: u64, number: u64) -> u128 {
    u128::from(mix(seed ^ mix(number))) << 64 | u128::from(number)
}
