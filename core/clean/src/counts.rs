//! What became of raw rows, in numbers.

use std::collections::BTreeMap;

/// Counts and wrapping sums of row hashes: `rows` = `accepted` + `quarantined`, and so for the sums.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// Raw rows that came in.
    pub rows: u64,
    /// Rows that were accepted.
    pub accepted: u64,
    /// Rows that were quarantined.
    pub quarantined: u64,
    /// Sum of the hashes of all rows.
    pub hash_rows: u64,
    /// Sum of the hashes of accepted rows.
    pub hash_accepted: u64,
    /// Sum of the hashes of quarantined rows.
    pub hash_quarantined: u64,
    /// Entity rows made, by entity (`order_line`).
    pub entities: BTreeMap<String, u64>,
    /// Quarantined rows by reason code.
    pub reasons: BTreeMap<String, u64>,
}

impl Counts {
    /// Adds another batch.
    pub fn merge(&mut self, other: &Self) {
        self.rows += other.rows;
        self.accepted += other.accepted;
        self.quarantined += other.quarantined;
        self.hash_rows = self.hash_rows.wrapping_add(other.hash_rows);
        self.hash_accepted = self.hash_accepted.wrapping_add(other.hash_accepted);
        self.hash_quarantined = self.hash_quarantined.wrapping_add(other.hash_quarantined);
        for (name, count) in &other.entities {
            *self.entities.entry(name.clone()).or_default() += count;
        }
        for (code, count) in &other.reasons {
            *self.reasons.entry(code.clone()).or_default() += count;
        }
    }

    pub(crate) fn accept(&mut self, hash: u64) {
        self.accepted += 1;
        self.hash_accepted = self.hash_accepted.wrapping_add(hash);
    }

    pub(crate) fn quarantine(&mut self, hash: u64, code: &str) {
        self.quarantined += 1;
        self.hash_quarantined = self.hash_quarantined.wrapping_add(hash);
        match self.reasons.get_mut(code) {
            Some(count) => *count += 1,
            None => {
                self.reasons.insert(code.to_owned(), 1);
            }
        }
    }

    pub(crate) fn arrive(&mut self, hash: u64) {
        self.rows += 1;
        self.hash_rows = self.hash_rows.wrapping_add(hash);
    }
}
