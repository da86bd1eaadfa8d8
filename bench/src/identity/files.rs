//! Public sets of records with their truth, as the tests have them: FEBRL 3, FEBRL 4 and fake_1000. National ids
//! and numbers that say who is who are left out.

use std::{collections::HashMap, path::Path};

use anyhow::{Context as _, Result};

use super::{Row, Set};

/// Columns of FEBRL.
pub(super) const FEBRL: [&str; 9] = [
    "given_name",
    "surname",
    "street_number",
    "address_1",
    "address_2",
    "suburb",
    "postcode",
    "state",
    "date_of_birth",
];
/// Columns of fake_1000.
pub(super) const FAKE: [&str; 5] = ["first_name", "surname", "dob", "city", "email"];

/// The records of a file with their people.
type Records = Vec<(u32, Row)>;

/// The files of a set.
pub(super) fn read(set: Set) -> Result<Vec<Records>> {
    let names: &[&str] = match set {
        Set::Febrl3 => &["dataset3.csv"],
        Set::Febrl4 => &["dataset4a.csv", "dataset4b.csv"],
        _ => &["fake_1000.csv"],
    };
    let mut people = HashMap::new();
    names
        .iter()
        .map(|name| file(name, &set.columns(), &mut people))
        .collect()
}

fn file(name: &str, columns: &[&str], people: &mut HashMap<String, u32>) -> Result<Records> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/identity");
    let path = Path::new(folder).join(name);
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_path(&path)
        .with_context(|| format!("open {}", path.display()))?;
    let header: Vec<String> = reader.headers()?.iter().map(str::to_owned).collect();
    let at = |name: &str| header.iter().position(|c| c == name);
    let wanted = columns
        .iter()
        .map(|name| at(name).with_context(|| format!("{} has no column {name}", path.display())))
        .collect::<Result<Vec<usize>>>()?;
    let mut records = Records::new();
    for record in reader.records() {
        let record = record?;
        let cell = |at: usize| record.get(at).unwrap_or_default();
        let label = match (at("cluster"), at("rec_id")) {
            (Some(cluster), _) => cell(cluster).to_owned(),
            // The person of `rec-1496-dup-3` is 1496.
            (None, Some(id)) => cell(id).split('-').nth(1).unwrap_or_default().to_owned(),
            (None, None) => anyhow::bail!("{} says nobody's person", path.display()),
        };
        let next = u32::try_from(people.len())?;
        let person = *people.entry(label).or_insert(next);
        let value = |at: &usize| Some(cell(*at).to_owned()).filter(|v| !v.is_empty());
        records.push((person, wanted.iter().map(value).collect()));
    }
    Ok(records)
}
