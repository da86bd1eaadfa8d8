//! A file that says who each record is.

use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use hashbrown::HashMap;
use musubi_api::entity::Entity;
use musubi_clean::cleaner::record_id;

use super::partition::Keyed;
use crate::sheet::Sheet;

/// Columns that name the person, the likelier first.
const PEOPLE: [&str; 8] = [
    "person",
    "truth",
    "cluster",
    "entity",
    "person_id",
    "cluster_id",
    "entity_id",
    "label",
];

/// How a line names its record.
enum Named {
    /// In one column.
    Key(usize),
    /// By source, stream and key; parts of a key are parted by `|`.
    Parts([usize; 3]),
}

/// Names of records with their persons, numbered. Lines without a person are left out.
pub(super) fn read(path: &Path, column: Option<&str>, keyed: Keyed) -> Result<Vec<(u128, u32)>> {
    let mut sheet = Sheet::open(path, "the truth")?;
    let (shown, columns) = (sheet.shown.clone(), sheet.header.join(", "));
    let at = |name: &str| sheet.at(name);
    let named = match (at(keyed.column()), at("source"), at("stream"), at("key")) {
        (Some(key), ..) => Named::Key(key),
        (None, Some(source), Some(stream), Some(key)) if keyed == Keyed::Records => {
            Named::Parts([source, stream, key])
        }
        _ => bail!(
            "{shown} does not say which record each line is about: it must name {}; its columns are {columns}",
            keyed.what(),
        ),
    };
    let person = match column {
        Some(name) => at(name).with_context(|| {
            format!(
                "{shown} has no column {name:?}; its columns are {columns}"
            )
        })?,
        None => PEOPLE.iter().find_map(|name| at(name)).with_context(|| {
            format!(
                "{shown} has no column with the person; name it with --column; its columns are {columns}"
            )
        })?,
    };
    let mut numbers: HashMap<String, u32> = HashMap::new();
    let mut out = Vec::new();
    for line in sheet.lines() {
        let (line, record) = line?;
        let cell = |at: usize| record.get(at).unwrap_or_default();
        let label = cell(person);
        if label.is_empty() {
            continue;
        }
        let key = match &named {
            Named::Key(at) => parse(cell(*at), keyed),
            Named::Parts([source, stream, key]) => {
                let parts: Vec<&str> = cell(*key).split('|').collect();
                let id = record_id(cell(*source), cell(*stream), Entity::Customer, &parts);
                parse(&id, keyed)
            }
        };
        let Some(key) = key else {
            bail!(
                "{shown} line {line}: column {} must hold {}",
                keyed.column(),
                match keyed {
                    Keyed::Records => "a record id of 32 hexadecimal digits",
                    Keyed::Rows => "the number of a row, from 0",
                }
            );
        };
        let next = numbers.len() as u32;
        out.push((key, *numbers.entry(label.to_owned()).or_insert(next)));
    }
    ensure!(!out.is_empty(), "{shown} has no line with a person");
    Ok(out)
}

/// The number behind a record's name.
pub(super) fn parse(name: &str, keyed: Keyed) -> Option<u128> {
    match keyed {
        Keyed::Records => (name.len() == 32)
            .then(|| u128::from_str_radix(name, 16).ok())
            .flatten(),
        Keyed::Rows => name.parse::<u64>().ok().map(u128::from),
    }
}
