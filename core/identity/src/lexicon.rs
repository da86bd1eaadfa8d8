//! What the records themselves teach about names (and about dates that stand for none): which words are given and which
//! are family names, and how each is read. A whole name without a space is split by it, a lone word finds its place, and a name in
//! kanji or foreign letters gets the reading that others wrote beside it.
//!
//! It is learnt once, when the model is trained, and is pinned with the model: a record means the same
//! whatever records come after it.

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hashbrown::HashMap;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::features::{Features, col};
use crate::fold;
use crate::placeholders::{self, Placeholders};

/// Records that must agree before a name or its reading is taken up: nothing that one record says alone.
const AGREE: u32 = 2;

/// Names by the hash of their folded text.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Lexicon {
    /// What is known of each name.
    pub names: BTreeMap<String, Name>,
    /// Birth dates that too many people have, `YYYYMMDD`, and what they tell: `YYYY0000` for the year, 0 for nothing.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub placeholders: Placeholders,
}

/// What is known of one name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Name {
    /// Records that have it as given name.
    pub given: u32,
    /// Records that have it as family name.
    pub family: u32,
    /// How it is read as given name, when its letters do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given_reading: Option<String>,
    /// How it is read as family name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family_reading: Option<String>,
}

const ROLES: [(usize, usize); 2] = [
    (col::GIVEN, col::GIVEN_READING),
    (col::FAMILY, col::FAMILY_READING),
];

impl Lexicon {
    /// Learns from the records that carry both parts of a name, or a name and its reading.
    pub(crate) fn learn(features: &Features) -> Self {
        let texts = &features.dicts[col::GIVEN].values;
        let readings = &features.dicts[col::GIVEN_READING].values;
        let mut counts = vec![[0u32; 2]; texts.len()];
        let mut read: HashMap<(usize, u32, u32), u32> = HashMap::new();
        for row in &features.rows {
            let whole = row[col::GIVEN] != 0 && row[col::FAMILY] != 0;
            for (role, (text, reading)) in ROLES.into_iter().enumerate() {
                counts[row[text] as usize][role] += u32::from(whole);
                if whole && row[reading] != 0 {
                    *read.entry((role, row[text], row[reading])).or_default() += 1;
                }
            }
        }
        let mut names: BTreeMap<String, Name> = BTreeMap::new();
        for (text, [given, family]) in texts.iter().zip(counts).skip(1) {
            if given + family >= AGREE {
                let name = Name {
                    given,
                    family,
                    ..Name::default()
                };
                names.insert(key(xxh3_64(text.as_bytes())), name);
            }
        }
        let mut read: Vec<((usize, u32, u32), u32)> =
            read.into_iter().filter(|r| r.1 >= AGREE).collect();
        // The most frequent reading first; among equals the one that sorts first.
        read.sort_unstable_by_key(|((role, text, reading), n)| {
            (*role, *text, std::cmp::Reverse(*n), *reading)
        });
        for ((role, text, reading), _) in read {
            let (text, reading) = (&texts[text as usize], &readings[reading as usize]);
            if fold::reading(text).as_deref() == Some(reading) {
                continue;
            }
            if let Some(name) = names.get_mut(&key(xxh3_64(text.as_bytes()))) {
                let slot = if role == 0 {
                    &mut name.given_reading
                } else {
                    &mut name.family_reading
                };
                slot.get_or_insert_with(|| reading.to_string());
            }
        }
        Self {
            names,
            placeholders: placeholders::learn(features),
        }
    }

    /// The features with names split and read. Records that need neither stay as they are; doing it again
    /// changes nothing.
    pub(crate) fn resolve(&self, mut features: Features) -> Features {
        if !self.placeholders.is_empty() {
            features
                .rows
                .par_iter_mut()
                .for_each(|row| row[col::BIRTH] = told(&self.placeholders, row[col::BIRTH]));
        }
        let known: HashMap<u64, &Name> = self
            .names
            .iter()
            .filter_map(|(k, v)| Some((u64::from_str_radix(k, 16).ok()?, v)))
            .collect();
        let dict = &features.dicts[col::GIVEN];
        let mut alone: BTreeSet<u32> = BTreeSet::new();
        for row in features
            .rows
            .iter()
            .filter(|r| r[col::GIVEN] == 0 && r[col::FAMILY] != 0)
        {
            alone.insert(row[col::FAMILY]);
        }
        let parted: HashMap<u32, (String, String)> = alone
            .into_iter()
            .filter_map(|code| Some((code, part(&dict.values[code as usize], &known)?)))
            .collect();
        let mut texts: BTreeSet<String> = BTreeSet::new();
        texts.extend(parted.values().flat_map(|(f, g)| [f.clone(), g.clone()]));
        let readings: BTreeSet<String> = self
            .names
            .values()
            .flat_map(|n| [n.given_reading.clone(), n.family_reading.clone()])
            .flatten()
            .chain(texts.iter().filter_map(|t| fold::reading(t)))
            .collect();
        if parted.is_empty() && readings.is_empty() {
            return features;
        }
        let text_codes = Arc::make_mut(&mut features.dicts[col::GIVEN]).extend(texts, col::GIVEN);
        let reading_codes = Arc::make_mut(&mut features.dicts[col::GIVEN_READING])
            .extend(readings, col::GIVEN_READING);
        let (texts, readings) = (
            &features.dicts[col::GIVEN],
            &features.dicts[col::GIVEN_READING],
        );
        let code = |r: &str| {
            let new = reading_codes.get(r).copied();
            new.unwrap_or_else(|| readings.code(r))
        };
        // Readings of each text by role, and the one that its letters tell.
        let read: Vec<([u32; 2], u32)> = (0..texts.values.len())
            .into_par_iter()
            .map(|n| {
                let own = fold::reading(&texts.values[n]).map_or(0, |r| code(&r));
                let learnt = known.get(&texts.hash[n]).map_or([0, 0], |n| {
                    [&n.given_reading, &n.family_reading].map(|r| r.as_deref().map_or(0, code))
                });
                (learnt.map(|l| if l == 0 { own } else { l }), own)
            })
            .collect();
        features.rows.par_iter_mut().for_each(|row| {
            if row[col::GIVEN] == 0
                && let Some((family, given)) = parted.get(&row[col::FAMILY])
            {
                row[col::FAMILY] = text_codes.get(family).copied().unwrap_or(0);
                row[col::GIVEN] = text_codes.get(given).copied().unwrap_or(0);
                if row[col::FAMILY] == 0 && row[col::GIVEN_READING] == 0 {
                    row.swap(col::FAMILY_READING, col::GIVEN_READING);
                }
                // What the letters of the unsplit name spelt was no reading of the family name.
                if row[col::GIVEN_READING] == 0 {
                    row[col::FAMILY_READING] = 0;
                }
            }
            for (role, (text, reading)) in ROLES.into_iter().enumerate() {
                let (found, own) = read[row[text] as usize];
                if row[text] != 0 && (row[reading] == 0 || row[reading] == own) {
                    row[reading] = found[role];
                }
            }
        });
        features
    }
}

/// A lexicon that reads one record at a time, as [`Lexicon::resolve`] reads all.
pub(crate) struct Reader {
    names: HashMap<u64, Name>,
    placeholders: Placeholders,
}

impl Reader {
    pub(crate) fn new(lexicon: &Lexicon) -> Self {
        let names = lexicon.names.iter();
        let known = names.filter_map(|(k, v)| Some((u64::from_str_radix(k, 16).ok()?, v.clone())));
        Self {
            names: known.collect(),
            placeholders: lexicon.placeholders.clone(),
        }
    }

    /// What a birth date tells.
    pub(crate) fn birth(&self, date: u32) -> u32 {
        told(&self.placeholders, date)
    }

    /// Given and family name and the readings of both, split and read; an empty text is a missing one.
    pub(crate) fn read(&self, names: [String; 4]) -> [String; 4] {
        let [mut given, mut family, mut given_reading, mut family_reading] = names;
        if given.is_empty()
            && !family.is_empty()
            && let Some(parts) = part(&family, &self.names)
        {
            (family, given) = parts;
            if family.is_empty() && given_reading.is_empty() {
                std::mem::swap(&mut given_reading, &mut family_reading);
            }
            if given_reading.is_empty() {
                family_reading.clear();
            }
        }
        let read = |text: &str, reading: &mut String, learnt: fn(&Name) -> &Option<String>| {
            let own = fold::reading(text).unwrap_or_default();
            if !text.is_empty() && (reading.is_empty() || *reading == own) {
                let known = self.names.get(&xxh3_64(text.as_bytes()));
                *reading = known.and_then(|n| learnt(n).clone()).unwrap_or(own);
            }
        };
        read(&given, &mut given_reading, |n| &n.given_reading);
        read(&family, &mut family_reading, |n| &n.family_reading);
        [given, family, given_reading, family_reading]
    }
}

fn told(placeholders: &Placeholders, date: u32) -> u32 {
    placeholders.get(&date).copied().unwrap_or(date)
}

fn key(hash: u64) -> String {
    format!("{hash:016x}")
}

/// A lone name as (family, given), where one of them may be empty; `None` when it stays a family name.
fn part<N: Borrow<Name>>(whole: &str, known: &HashMap<u64, N>) -> Option<(String, String)> {
    let count = |text: &str| {
        known
            .get(&xxh3_64(text.as_bytes()))
            .map(Borrow::borrow)
            .map_or((0, 0), |n: &Name| (n.given, n.family))
    };
    match count(whole) {
        (0, 0) => {}
        (given, family) => return (given > family).then(|| (String::new(), whole.to_owned())),
    }
    if whole.is_ascii() {
        return None;
    }
    let score = |at: usize| {
        let (family, given) = (count(&whole[..at]).1, count(&whole[at..]).0);
        let both = if family > 0 && given > 0 { 4.0 } else { 0.0 };
        both + f64::from(1 + family).ln() + f64::from(1 + given).ln()
    };
    let mut best = (0.0, 0);
    for (at, _) in whole.char_indices().skip(1) {
        if score(at) > best.0 {
            best = (score(at), at);
        }
    }
    // One part that two records know is little; four kanji are nearly always two and two.
    let at = if best.0 > 2.0 {
        best.1
    } else {
        fold::middle_of_four_kanji(whole)?
    };
    Some((whole[..at].to_owned(), whole[at..].to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_without_a_space_is_split_by_what_others_are_called() {
        let names = [
            ("石田", 0, 9),
            ("高橋", 0, 9),
            ("勇", 7, 0),
            ("蓮", 9, 0),
            ("林", 1, 5),
            ("さくら", 4, 0),
        ];
        let owned: Vec<(u64, Name)> = names
            .iter()
            .map(|(t, given, family)| {
                (
                    xxh3_64(t.as_bytes()),
                    Name {
                        given: *given,
                        family: *family,
                        ..Name::default()
                    },
                )
            })
            .collect();
        let known: HashMap<u64, &Name> = owned.iter().map(|(h, n)| (*h, n)).collect();
        for (whole, want) in [
            ("石田勇", Some(("石田", "勇"))),
            ("高橋蓮", Some(("高橋", "蓮"))),
            ("林蓮", Some(("林", "蓮"))),
            ("さくら", Some(("", "さくら"))),
            ("林", None),
            ("石田颯太郎", Some(("石田", "颯太郎"))),
            ("長曽我部元親", None),
            ("田中一郎", Some(("田中", "一郎"))),
            ("smith", None),
        ] {
            let found = part(whole, &known);
            let found = found.as_ref().map(|(f, g)| (f.as_str(), g.as_str()));
            assert_eq!(found, want, "{whole}");
        }
    }
}
