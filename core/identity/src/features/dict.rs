//! Dictionaries: the distinct values of a column, each with what comparing and blocking need of it.

use hashbrown::HashMap;
use rayon::prelude::*;
use xxhash_rust::xxh3::xxh3_64;

use super::{Texts, col};
use crate::{fold, nicknames};

/// The distinct values of a column, sorted; code `n` is `values[n]`, code 0 is missing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Dict {
    pub(crate) values: Texts,
    /// Codes up to this one are sorted by value.
    sorted: usize,
    /// Hash of the value: the same in every run.
    pub(crate) hash: Vec<u64>,
    pub(crate) shape: Vec<Shape>,
    /// Names and e-mails: hash of the sound of a name, of the local part of an e-mail; 0 when there is none.
    pub(crate) derived: Vec<u32>,
    /// Names and e-mails: hash of the first characters; 0 for the missing value.
    pub(crate) prefix: Vec<u32>,
}

/// What a comparison looks at before the letters of a value, side by side: pairs are random places in memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// Bit set of its characters, for upper bounds on similarity.
    pub(crate) mask: u64,
    /// Its first four characters, eight bits of each, the first lowest: of texts that begin alike the same.
    pub(crate) start: u32,
    /// Length in characters, at most 255.
    pub(crate) len: u8,
    /// How many bits the set has, at most 63, above the two bits of the script.
    writing: u8,
    /// Names that it is a form of, as a given name: [`nicknames::lines`].
    pub(crate) nicknames: [u8; 2],
}

const _: () = assert!(size_of::<Shape>() == 16);

impl Shape {
    /// How many bits the set of characters has, at most 63.
    pub(crate) fn letters(self) -> u8 {
        self.writing >> 2
    }

    /// What it is written in: letters of different scripts cannot be compared.
    pub(crate) fn script(self) -> Script {
        match self.writing & 3 {
            0 => Script::Kanji,
            1 => Script::Kana,
            _ => Script::Letters,
        }
    }
}

/// A hash of half the length, never 0 but for 0.
pub(crate) fn short(hash: u64) -> u32 {
    if hash == 0 {
        0
    } else {
        ((hash >> 32) as u32).max(1)
    }
}

/// SplitMix64's finaliser: a permutation of all numbers.
pub(crate) fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

/// What a value is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Script {
    Kanji,
    Kana,
    Letters,
}

fn script(value: &str) -> Script {
    if value.is_ascii() {
        Script::Letters
    } else if value.chars().any(fold::is_kanji) {
        Script::Kanji
    } else if value.chars().any(fold::is_kana) {
        Script::Kana
    } else {
        Script::Letters
    }
}

/// What is kept beside one value.
struct Facts {
    hash: u64,
    shape: Shape,
    derived: u32,
    prefix: u32,
}

impl Facts {
    fn of(value: &str, column: usize) -> Self {
        let mask = value.chars().fold(0u64, |m, c| {
            m | 1 << (u32::from(c).wrapping_mul(0x9E37_79B1) >> 26)
        });
        let start = value
            .char_indices()
            .nth(if value.is_ascii() { 3 } else { 1 })
            .map_or(value.len(), |(i, _)| i);
        let hash = |text: &str| match text {
            "" => 0,
            text => short(xxh3_64(text.as_bytes())),
        };
        let derived = match column {
            col::GIVEN if value.is_ascii() && value.len() > 1 => {
                let sound = rphonetic::DoubleMetaphone::default().double_metaphone(value);
                hash(&sound.primary())
            }
            col::GIVEN => hash(value),
            col::EMAIL => hash(value.split('@').next().unwrap_or_default()),
            _ => 0,
        };
        Self {
            hash: xxh3_64(value.as_bytes()),
            shape: Shape {
                mask,
                start: (value.chars().take(4))
                    .zip([0, 8, 16, 24])
                    .fold(0, |start, (c, at)| start | (u32::from(c) & 0xff) << at),
                len: value.chars().count().min(255) as u8,
                writing: (mask.count_ones().min(63) as u8) << 2 | script(value) as u8,
                nicknames: match column {
                    col::GIVEN => nicknames::lines(value),
                    _ => [0; 2],
                },
            },
            derived,
            prefix: hash(&value[..start]),
        }
    }
}

impl Dict {
    /// Of sorted values; the first is the empty one.
    pub(super) fn build(values: Texts, column: usize) -> Self {
        let mut out = Self {
            sorted: values.len(),
            ..Self::default()
        };
        out.note(&values, 0, column);
        out.values = values;
        out
    }

    /// Keeps the facts of the values from a number on.
    fn note(&mut self, values: &Texts, from: usize, column: usize) {
        const PIECE: usize = 1 << 16;
        let phrased = matches!(column, col::GIVEN | col::EMAIL);
        for begin in (from..values.len()).step_by(PIECE) {
            let piece = begin..(begin + PIECE).min(values.len());
            let facts = piece.into_par_iter().map(|n| Facts::of(&values[n], column));
            for facts in facts.collect::<Vec<_>>() {
                self.hash.push(facts.hash);
                self.shape.push(facts.shape);
                if phrased {
                    self.derived.push(facts.derived);
                    self.prefix.push(facts.prefix);
                }
            }
        }
    }

    /// Adds values behind the sorted ones, where they are new; gives the code of each.
    pub(crate) fn extend(
        &mut self,
        values: impl IntoIterator<Item = String>,
        column: usize,
    ) -> HashMap<String, u32> {
        let mut codes = HashMap::new();
        let from = self.values.len();
        for value in values {
            let code = match self.code(&value) {
                0 if !value.is_empty() && !codes.contains_key(&value) => {
                    self.values.push(&value);
                    (self.values.len() - 1) as u32
                }
                0 => continue,
                code => code,
            };
            codes.insert(value, code);
        }
        let values = std::mem::take(&mut self.values);
        self.note(&values, from, column);
        self.values = values;
        codes
    }

    pub(super) fn reserve(&mut self, values: usize) {
        self.values.reserve(values);
        self.hash.reserve_exact(values);
        self.shape.reserve_exact(values);
        self.derived.reserve_exact(values);
        self.prefix.reserve_exact(values);
    }

    /// The values behind the sorted ones, with their codes.
    pub(crate) fn late(&self) -> impl Iterator<Item = (u32, &str)> {
        (self.sorted..self.values.len()).map(|n| (n as u32, &self.values[n]))
    }

    /// Forgets the values from a number on; they are behind the sorted ones.
    pub(crate) fn truncate(&mut self, len: usize) {
        let len = len.max(self.sorted);
        self.values.truncate(len);
        self.hash.truncate(len);
        self.shape.truncate(len);
        self.derived.truncate(len);
        self.prefix.truncate(len);
    }

    /// Code of one of the sorted values; 0 when no record has it.
    pub(crate) fn code(&self, value: &str) -> u32 {
        let (mut low, mut high) = (0, self.sorted);
        while low < high {
            let middle = low.midpoint(high);
            match self.values[middle].cmp(value) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Equal => return middle as u32,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        0
    }
}
