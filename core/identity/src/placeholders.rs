//! Birth dates that stand for none: what a form fills in, and 1 January where a year alone was known. They are known by
//! the many people who have them.

use std::collections::BTreeMap;

use hashbrown::HashMap;

use crate::features::{Features, col};

/// How many people at least have a date that stands for none.
const PEOPLE: usize = 30;
/// How many times as many people as have a date on the average.
const TIMES: f64 = 10.0;

/// What dates stand for that too many people have: `YYYYMMDD` by `YYYY0000`, or by 0 for nothing.
pub(crate) type Placeholders = BTreeMap<u32, u32>;

/// Finds them among the records.
pub(crate) fn learn(features: &Features) -> Placeholders {
    let mut records: HashMap<u32, usize> = HashMap::new();
    for row in features.rows.iter().filter(|r| r[col::BIRTH] % 10_000 != 0) {
        *records.entry(row[col::BIRTH]).or_default() += 1;
    }
    let all: usize = records.values().sum();
    let mean = all as f64 / records.len().max(1) as f64;
    let many = |n: usize| n >= PEOPLE && n as f64 >= TIMES * mean;
    records.retain(|_, n| many(*n));
    // One person may have many records.
    let mut people: BTreeMap<u32, Vec<(u32, u32)>> = BTreeMap::new();
    for row in &features.rows {
        if records.contains_key(&row[col::BIRTH]) {
            let names = (row[col::GIVEN], row[col::FAMILY]);
            people.entry(row[col::BIRTH]).or_default().push(names);
        }
    }
    let people = people.into_iter().map(|(date, mut names)| {
        names.sort_unstable();
        names.dedup();
        (date, names.len())
    });
    let people: BTreeMap<u32, usize> = people.filter(|(_, n)| many(*n)).collect();
    let mut first: Vec<usize> = people
        .iter()
        .filter(|(date, _)| is_new_year(**date))
        .map(|(_, n)| *n)
        .collect();
    first.sort_unstable();
    // The year alone, where many years have their share of it.
    let usual = first.get(first.len() / 2).copied().unwrap_or(0) as f64;
    let years = first.len() >= 10;
    let stands_for = |date: u32, n: usize| {
        let year = years && is_new_year(date) && n as f64 <= TIMES * usual;
        if year { date / 10_000 * 10_000 } else { 0 }
    };
    people
        .into_iter()
        .map(|(date, n)| (date, stands_for(date, n)))
        .collect()
}

const fn is_new_year(date: u32) -> bool {
    date % 10_000 == 101
}
