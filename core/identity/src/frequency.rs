//! How frequent values are: agreement on a rare name tells more than on a common one.

use std::collections::BTreeMap;

use hashbrown::HashMap;

use crate::compare::{self, COMPARISON};
use crate::features::{Features, dict_of};
use crate::score::columns_of;

/// Records that the believed frequency counts for.
const BELIEF_FREQUENCY: f64 = 500.0;
const TOP_FREQUENCIES: usize = 2000;

/// Frequencies of the values of a comparison by hash, and the one of any other value (0 where they do not apply).
pub(crate) fn of_values(features: &Features, comparison: usize) -> (BTreeMap<String, f64>, f64) {
    if SHARED.contains(&comparison) {
        return (shared_values(features, comparison), 0.0);
    }
    frequencies(features, comparison)
}

/// Comparisons whose values belong to people: what counts is how many people a value has, not how many records.
const SHARED: [usize; 3] = [compare::EMAIL, compare::PHONE, compare::STREET];

/// Values that several people use, by hash, with the share of records that are another person's: the chance that a
/// record of somebody else has the value too. People are told apart by given name.
fn shared_values(features: &Features, comparison: usize) -> BTreeMap<String, f64> {
    let mut holders: Vec<(u64, u64)> = Vec::new();
    let mut total = 0u64;
    for row in &features.rows {
        let term = compare::term(features, row, comparison);
        total += u64::from(term != 0);
        let given = compare::term(features, row, compare::GIVEN);
        if term != 0 && given != 0 {
            holders.push((term, given));
        }
    }
    holders.sort_unstable();
    holders.dedup();
    let mut shared: Vec<(u64, u64)> = holders
        .chunk_by(|a, b| a.0 == b.0)
        .filter(|people| people.len() > 1)
        .map(|people| (people[0].0, people.len() as u64 - 1))
        .collect();
    shared.sort_unstable_by_key(|(hash, n)| (std::cmp::Reverse(*n), *hash));
    shared.truncate(TOP_FREQUENCIES);
    shared
        .into_iter()
        .map(|(hash, n)| (format!("{hash:016x}"), n as f64 / total.max(1) as f64))
        .collect()
}

/// Records by value behind full agreement, by hash.
fn counts(features: &Features, comparison: usize) -> HashMap<u64, u64> {
    let mut by_value: HashMap<u64, u64> = HashMap::new();
    let columns = columns_of(comparison);
    if columns.is_empty() {
        for row in &features.rows {
            match compare::term(features, row, comparison) {
                0 => {}
                term => *by_value.entry(term).or_default() += 1,
            }
        }
        return by_value;
    }
    let dict = |column: usize| &features.dicts[dict_of(column)].hash;
    let mut by_code: Vec<Vec<u64>> = columns.iter().map(|c| vec![0; dict(*c).len()]).collect();
    for row in &features.rows {
        let given = columns.iter().position(|c| row[*c] != 0);
        if let Some(n) = given {
            by_code[n][row[columns[n]] as usize] += 1;
        }
    }
    for (column, by_code) in columns.iter().zip(by_code) {
        for (hash, n) in dict(*column).iter().zip(by_code).filter(|(_, n)| *n > 0) {
            *by_value.entry(*hash).or_default() += n;
        }
    }
    by_value
}

/// Frequencies of the values behind full agreement, by hash: the most frequent ones, and one for the rest.
fn frequencies(features: &Features, comparison: usize) -> (BTreeMap<String, f64>, f64) {
    let counts = counts(features, comparison);
    if counts.is_empty() {
        return (BTreeMap::new(), 0.0);
    }
    let total: u64 = counts.values().sum();
    let belief = COMPARISON[comparison].u[0] * BELIEF_FREQUENCY;
    let share = |n: f64| (n + belief) / (total as f64 + BELIEF_FREQUENCY);
    let mut top: Vec<(u64, u64)> = counts.into_iter().collect();
    top.sort_unstable_by_key(|(hash, n)| (std::cmp::Reverse(*n), *hash));
    let rest = top.split_off(
        top.iter()
            .take(TOP_FREQUENCIES)
            .take_while(|t| t.1 > 2)
            .count(),
    );
    let mean = if rest.is_empty() {
        1.0
    } else {
        rest.iter().map(|r| r.1).sum::<u64>() as f64 / rest.len() as f64
    };
    (
        top.into_iter()
            .map(|(hash, n)| (format!("{hash:016x}"), share(n as f64)))
            .collect(),
        share(mean),
    )
}
