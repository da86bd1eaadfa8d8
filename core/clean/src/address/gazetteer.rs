//! The cities and towns of Japan, embedded (see `data/NOTICE`), decoded at the first address.

use std::sync::OnceLock;

use hashbrown::HashMap;

use super::numerals;
use crate::name;

static PACKED: &[u8] = include_bytes!("../../data/towns.tsv.zst");

/// Most characters of a city's name, district included.
const LONGEST_CITY: usize = 16;
/// Most characters of a town's name that are tried.
const LONGEST_TOWN: usize = 24;

/// All cities, found by the beginning of a text.
pub(super) struct Gazetteer {
    cities: Vec<City>,
    by_key: Names<Vec<usize>>,
    /// With their first characters.
    prefectures: Vec<(char, &'static str)>,
}

/// What is found by the key of a name.
struct Names<T> {
    by_key: HashMap<String, T>,
    /// For the first character of a key: one bit for each length in bytes that such keys have, the last
    /// for all that are longer. Only beginnings of these lengths are looked up.
    lengths: HashMap<char, u128>,
}

/// A city (or ward, or town of a district) and its towns.
pub(super) struct City {
    pub(super) prefecture: &'static str,
    pub(super) name: &'static str,
    line: &'static str,
    towns: OnceLock<Names<Town>>,
}

/// A town.
#[derive(Default)]
pub(super) struct Town {
    /// Its name with numerals in kanji.
    pub(super) name: String,
    /// Whether it is divided into chome.
    pub(super) has_chome: bool,
}

/// The beginning of a text as it is compared, with where each character of the comparison ends in it.
struct Keyed {
    key: String,
    /// End in `key`, end in the text.
    ends: Vec<(usize, usize)>,
}

/// The gazetteer.
pub(super) fn get() -> &'static Gazetteer {
    static GAZETTEER: OnceLock<Gazetteer> = OnceLock::new();
    GAZETTEER.get_or_init(|| Gazetteer::read(unpack()))
}

/// The embedded table as text; it lives as long as the program. A damaged table would be a damaged program: it reads as empty
/// and a test would fail.
fn unpack() -> &'static str {
    let bytes = zstd::decode_all(PACKED).unwrap_or_default();
    String::from_utf8(bytes).unwrap_or_default().leak()
}

impl Gazetteer {
    fn read(table: &'static str) -> Self {
        let mut cities = Vec::new();
        let mut by_key: Names<Vec<usize>> = Names::default();
        let mut prefectures: Vec<(char, &'static str)> = Vec::new();
        for row in table.lines() {
            let mut parts = row.splitn(3, '\t');
            let (Some(prefecture), Some(name)) = (parts.next(), parts.next()) else {
                continue;
            };
            let index = cities.len();
            by_key.entry(key(name)).push(index);
            // towns and villages are written without their district too
            if let Some((_, short)) = name
                .split_once('郡')
                .filter(|(_, short)| short.ends_with(['町', '村']))
            {
                by_key.entry(key(short)).push(index);
            }
            let initial = prefecture.chars().next().unwrap_or_default();
            if !prefectures.contains(&(initial, prefecture)) {
                prefectures.push((initial, prefecture));
            }
            cities.push(City {
                prefecture,
                name,
                line: parts.next().unwrap_or(""),
                towns: OnceLock::new(),
            });
        }
        Self {
            cities,
            by_key,
            prefectures,
        }
    }

    /// The prefecture that a text begins with, and what follows.
    pub(super) fn prefecture<'a>(&self, text: &'a str) -> Option<(&'static str, &'a str)> {
        let first = text.chars().next()?;
        self.prefectures
            .iter()
            .filter(|(initial, _)| *initial == first)
            .find_map(|(_, prefecture)| Some((*prefecture, text.strip_prefix(prefecture)?)))
    }

    /// The prefecture whose name without its last character a text begins with.
    pub(super) fn short_prefecture<'a>(&self, text: &'a str) -> Option<(&'static str, &'a str)> {
        self.prefectures.iter().find_map(|(_, prefecture)| {
            let short = prefecture.trim_end_matches(['都', '府', '県']);
            Some((*prefecture, text.strip_prefix(short)?))
        })
    }

    /// Cities that a text may begin with, longest name first, each with what follows.
    pub(super) fn cities<'a>(
        &self,
        text: &'a str,
        prefecture: Option<&str>,
    ) -> Vec<(&City, &'a str)> {
        let keyed = Keyed::of(text, LONGEST_CITY);
        let mut found = Vec::new();
        for (indexes, end) in self.by_key.beginnings(&keyed) {
            for &index in indexes {
                let city = &self.cities[index];
                if prefecture.is_none_or(|wanted| wanted == city.prefecture) {
                    found.push((city, &text[end..]));
                }
            }
        }
        found
    }
}

impl City {
    fn towns(&self) -> &Names<Town> {
        self.towns.get_or_init(|| {
            let mut towns = Names::default();
            for entry in self.line.split('\t').filter(|name| !name.is_empty()) {
                let name = entry.strip_suffix('+').unwrap_or(entry);
                *towns.entry(key(name)) = Town {
                    name: numerals::digits_to_kanji(name),
                    has_chome: name.len() < entry.len(),
                };
            }
            towns
        })
    }

    /// The town with the longest name that a text begins with, and what follows. `町` at its end may be left out before a number.
    pub(super) fn town<'a>(&self, text: &'a str) -> Option<(&Town, &'a str)> {
        let keyed = Keyed::of(text, LONGEST_TOWN);
        let towns = self.towns();
        let exact = towns.beginnings(&keyed).next();
        let exact = exact.map(|(town, end)| (town, &text[end..]));
        exact.or_else(|| {
            keyed.prefixes().find_map(|(key, end)| {
                let rest = &text[end..];
                if !numerals::starts_with_digit(rest) {
                    return None;
                }
                Some((towns.by_key.get(&format!("{key}町"))?, rest))
            })
        })
    }

    /// Whether a town of this very name exists.
    pub(super) fn has_town(&self, name: &str) -> bool {
        self.towns().by_key.contains_key(&key(name))
    }
}

impl<T> Default for Names<T> {
    fn default() -> Self {
        Self {
            by_key: HashMap::new(),
            lengths: HashMap::new(),
        }
    }
}

impl<T: Default> Names<T> {
    /// What is known under a key.
    fn entry(&mut self, key: String) -> &mut T {
        if let Some(first) = key.chars().next() {
            *self.lengths.entry(first).or_default() |= length_bit(&key);
        }
        self.by_key.entry(key).or_default()
    }

    /// What the beginnings of a text name, longest first, each with where it ends in the text.
    fn beginnings(&self, keyed: &Keyed) -> impl Iterator<Item = (&T, usize)> {
        let first = keyed.key.chars().next();
        let lengths = first.and_then(|first| self.lengths.get(&first)).copied();
        let lengths = lengths.unwrap_or(0);
        keyed
            .prefixes()
            .filter(move |(key, _)| length_bit(key) & lengths != 0)
            .filter_map(|(key, end)| Some((self.by_key.get(key)?, end)))
    }
}

fn length_bit(key: &str) -> u128 {
    1 << key.len().min(127)
}

/// What two spellings of a place name share.
fn key(name: &str) -> String {
    Keyed::of(name, usize::MAX).key
}

impl Keyed {
    /// Compares at most so many characters; a run of digits counts as one and is compared as a kanji numeral.
    fn of(text: &str, most: usize) -> Self {
        let mut key = String::with_capacity(text.len().min(96));
        let mut ends = Vec::with_capacity(most.min(text.len()));
        let mut chars = text.char_indices().peekable();
        while ends.len() < most
            && let Some((start, c)) = chars.next()
        {
            let mut end = start + c.len_utf8();
            if c.is_ascii_digit() {
                while let Some((at, _)) = chars.next_if(|(_, next)| next.is_ascii_digit()) {
                    end = at + 1;
                }
                numerals::push_digits(&mut key, &text[start..end]);
            } else if c != ' ' {
                key.push(plain(c));
            }
            ends.push((key.len(), end));
        }
        Self { key, ends }
    }

    /// The beginnings, longest first, each with where it ends in the text.
    fn prefixes(&self) -> impl Iterator<Item = (&str, usize)> {
        self.ends
            .iter()
            .rev()
            .filter(|(in_key, _)| *in_key > 0)
            .map(|(in_key, in_text)| (&self.key[..*in_key], *in_text))
    }
}

fn plain(c: char) -> char {
    match c {
        'ヶ' | 'が' | 'ガ' | 'ヵ' | 'か' | 'カ' | 'け' => 'ケ',
        'の' | '之' | '乃' => 'ノ',
        'ッ' | 'つ' | 'っ' => 'ツ',
        '舟' => '船',
        '莵' => '菟',
        '巿' => '市',
        other => name::plain_kanji(other),
    }
}
