//! Evaluates an audience over a warehouse, enforces consent, delivers it.
//!
//! Consent is not part of the filter: the segment is cut first, and only those of it who granted the purpose
//! (table `customer_consents`, most restrictive) are delivered. Whoever withdraws leaves with the next
//! delivery of differences.

mod destination;
mod filter;
mod query;

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use musubi_api::{
    audience::{AudienceSpec, Delivery},
    warehouse::WarehouseSpec,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

pub use filter::check as check_filter;

use crate::warehouse::SecretLookup;

/// What was delivered before: a hash for each customer, no value. The caller keeps it, one for each version
/// that was delivered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// Version that was delivered.
    pub version: u64,
    /// Hash of what was delivered, by customer id.
    pub customers: BTreeMap<String, String>,
}

/// What a delivery was, in counts: holds no value of a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Receipt {
    /// Audience.
    pub audience: String,
    /// Version of the curated tables.
    pub version: u64,
    /// Purpose that all consented to.
    pub consent: String,
    /// Where the file is.
    pub file: String,
    /// SHA-256 of the file, hex.
    pub sha256: String,
    /// Customers that the filter chose.
    pub segment: u64,
    /// Those of them without consent: not delivered.
    pub without_consent: u64,
    /// Rows in the file.
    pub rows: u64,
    /// Customers that were not in the last delivery.
    pub entered: u64,
    /// Customers that were in the last delivery and are not in this one.
    pub left: u64,
    /// Customers in both, with other values.
    pub changed: u64,
}

impl Receipt {
    /// Of a delivery that a later one made needless.
    #[must_use]
    pub fn of_nothing(audience: &str, version: u64, consent: &str) -> Self {
        Self {
            audience: audience.into(),
            version,
            consent: consent.into(),
            file: String::new(),
            sha256: String::new(),
            segment: 0,
            without_consent: 0,
            rows: 0,
            entered: 0,
            left: 0,
            changed: 0,
        }
    }
}

/// An audience and what it is evaluated over.
pub struct Activation<'a> {
    /// Name of the audience.
    pub name: &'a str,
    /// The audience.
    pub audience: &'a AudienceSpec,
    /// The warehouse that it names, loaded with `version`.
    pub warehouse: &'a WarehouseSpec,
    /// Version of the curated tables.
    pub version: u64,
    /// State of the newest delivery of a version before this one.
    pub previous: Option<State>,
}

/// Evaluates and delivers. The same version gives the same file under the same name, byte by byte, however
/// often it is tried.
///
/// # Errors
/// When the filter is not one condition, a column is unknown, or the warehouse or the destination refuses.
pub async fn deliver(
    activation: &Activation<'_>,
    secret: &SecretLookup<'_>,
) -> Result<(Receipt, State)> {
    let name = activation.name;
    let found = query::segment(activation, secret)
        .await
        .with_context(|| format!("Audience {name}"))?;
    let before = activation.previous.clone().unwrap_or_default();
    if before.version >= activation.version {
        bail!(
            "Audience {name}: the last delivery was of version {}, not before {}",
            before.version,
            activation.version
        );
    }
    let mut state = State {
        version: activation.version,
        customers: BTreeMap::new(),
    };
    let mut rows = Vec::new();
    let (mut entered, mut changed) = (0, 0);
    for row in &found.rows {
        let hash = fingerprint(row);
        let id = row.first().cloned().flatten().unwrap_or_default();
        let change = match before.customers.get(&id) {
            None => Some("entered"),
            Some(known) if *known != hash => Some("changed"),
            Some(_) => None,
        };
        entered += u64::from(change == Some("entered"));
        changed += u64::from(change == Some("changed"));
        rows.push((change, row.clone()));
        state.customers.insert(id, hash);
    }
    let gone: Vec<_> = before
        .customers
        .keys()
        .filter(|id| !state.customers.contains_key(*id))
        .collect();
    let difference = activation.audience.deliver == Delivery::Difference;
    if difference {
        rows.retain(|(change, _)| change.is_some());
        for id in &gone {
            let mut row = vec![None; found.columns.len()];
            row[0] = Some((*id).clone());
            rows.push((Some("left"), row));
        }
    }
    let bytes = csv(&found.columns, &rows, difference)?;
    let sha256 = hex::encode(Sha256::digest(&bytes));
    let file = format!("{name}-v{:06}.csv", activation.version);
    let file = destination::write(&activation.audience.destination, &file, bytes, secret)
        .await
        .with_context(|| format!("Audience {name}: write {file}"))?;
    let receipt = Receipt {
        audience: name.into(),
        version: activation.version,
        consent: activation.audience.consent.clone(),
        file,
        sha256,
        segment: found.segment,
        without_consent: found.segment - found.rows.len() as u64,
        rows: rows.len() as u64,
        entered,
        left: gone.len() as u64,
        changed,
    };
    Ok((receipt, state))
}

fn fingerprint(row: &[Option<String>]) -> String {
    let mut hash = Sha256::new();
    for cell in row {
        match cell {
            Some(text) => {
                hash.update((text.len() as u64 + 1).to_le_bytes());
                hash.update(text);
            }
            None => hash.update(0_u64.to_le_bytes()),
        }
    }
    hex::encode(&hash.finalize()[..16])
}

type Row = (Option<&'static str>, Vec<Option<String>>);

/// A text that a spreadsheet would run as a formula gets an apostrophe in front; phone numbers (`+81…`) and
/// negative numbers stay as they are.
fn harmless(text: &str) -> String {
    let formula = match text.as_bytes().first() {
        Some(b'=' | b'@' | b'\t' | b'\r') => true,
        Some(b'+' | b'-') => !text[1..].bytes().all(|b| b.is_ascii_digit() || b == b'.'),
        _ => false,
    };
    if formula {
        format!("'{text}")
    } else {
        text.to_owned()
    }
}

fn csv(columns: &[String], rows: &[Row], difference: bool) -> Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let change = difference.then_some("change");
    writer.write_record(columns.iter().map(String::as_str).chain(change))?;
    for (change, row) in rows {
        let cells = row
            .iter()
            .map(|c| harmless(c.as_deref().unwrap_or_default()));
        let last = difference.then(|| change.unwrap_or_default().to_owned());
        writer.write_record(cells.chain(last))?;
    }
    Ok(writer.into_inner()?)
}

#[cfg(test)]
mod tests {
    use super::harmless;

    #[test]
    fn spreadsheets_run_nothing() {
        let cases = [
            ("=1+1", "'=1+1"),
            ("@x", "'@x"),
            ("+819012345678", "+819012345678"),
            ("-12.5", "-12.5"),
            ("+cmd", "'+cmd"),
            ("東京都", "東京都"),
            ("", ""),
        ];
        for (text, safe) in cases {
            assert_eq!(harmless(text), safe);
        }
    }
}
