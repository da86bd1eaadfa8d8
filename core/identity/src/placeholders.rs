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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use anyhow::Result;
    use arrow::array::{ArrayRef, RecordBatch, StringArray};

    use super::*;

    /// Dates of what they stand for among 4,000 people, the first of whom have these, so many each.
    fn of(given: &[(String, u32)]) -> Result<Placeholders> {
        let given = given
            .iter()
            .flat_map(|(date, n)| (0..*n).map(move |_| date.clone()));
        let usual = (0..)
            .map(|n: u32| format!("{}-{:02}-{:02}", 1940 + n % 60, 2 + n % 11, 2 + n / 60 % 27));
        let dates: Vec<String> = given.chain(usual).take(4000).collect();
        let column = |of: &dyn Fn(usize) -> String| -> ArrayRef {
            Arc::new(StringArray::from_iter_values((0..dates.len()).map(of)))
        };
        let letters = |n: usize| -> String {
            let letter = |at: u32| char::from(b'a' + (n / 26usize.pow(at) % 26) as u8);
            (0..4).map(letter).collect()
        };
        let batch = RecordBatch::try_from_iter([
            ("record_id", column(&|n| format!("{n:032x}"))),
            ("source", column(&|_| "crm".to_owned())),
            ("family_name", column(&letters)),
            ("birth_date", column(&|n| dates[n].clone())),
        ])?;
        Ok(learn(&Features::build(&[batch])?))
    }

    #[test]
    fn a_date_that_too_many_people_have_stands_for_none() -> Result<()> {
        let few = of(&[("1970-01-01".to_owned(), 12)])?;
        assert!(few.is_empty(), "{few:?}");
        let many = of(&[
            ("1970-01-01".to_owned(), 300),
            ("1955-05-05".to_owned(), 90),
        ])?;
        assert_eq!(many, BTreeMap::from([(19_700_101, 0), (19_550_505, 0)]));
        Ok(())
    }

    #[test]
    fn new_year_of_many_years_stands_for_the_year() -> Result<()> {
        let years = (1950..1970).map(|year| (format!("{year}-01-01"), 40));
        let years: Vec<(String, u32)> = years.chain([("1990-01-01".to_owned(), 900)]).collect();
        let found = of(&years)?;
        assert_eq!(found.get(&19_550_101), Some(&19_550_000));
        assert_eq!(found.get(&19_900_101), Some(&0), "a form filled it in");
        assert_eq!(found.len(), 21);
        Ok(())
    }
}
