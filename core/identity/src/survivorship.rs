//! Golden records: which record gives a customer its value, per field and with the rule that decided.
//! Columnar over all customers at once; values are compared as Arrow rows, so any type will do.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use arrow::array::{Array, ArrayRef, BooleanArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use arrow::row::{RowConverter, SortField};
use hashbrown::HashMap;

use crate::error::IdentityError;
use crate::policy::Survivor;

/// What all fields of one set of records share.
#[derive(Clone, Copy, Debug)]
pub struct Records<'a> {
    /// Customer of each row.
    pub customer: &'a [u32],
    /// How many customers there are.
    pub customers: usize,
    /// Rank of each row's source, 0 the most trusted; see [`ranks`].
    pub rank: &'a [u32],
    /// When each row was last changed, in any unit; `i64::MIN` when unknown.
    pub changed: &'a [i64],
    /// Order that settles what no rule does: the smallest wins (the record id's position).
    pub order: &'a [u32],
}

/// Winners of one field, by customer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Winners {
    /// Row that gives the value; none when no record has one.
    pub row: Vec<Option<u32>>,
    /// Rule that decided; none when there was one value only, or none of the rules told them apart.
    pub rule: Vec<Option<Survivor>>,
    /// Distinct values there were, the winner included.
    pub distinct: Vec<u32>,
}

/// Rules of a field that names none.
pub const DEFAULT_RULES: [Survivor; 4] = [
    Survivor::VerifiedFirst,
    Survivor::SourcePriority,
    Survivor::MostRecent,
    Survivor::MostFrequent,
];

/// Rank of each source: its place in the priority, or after all of them.
#[must_use]
pub fn ranks(sources: &StringArray, priority: &[String]) -> Vec<u32> {
    let place: HashMap<&str, u32> = priority
        .iter()
        .enumerate()
        .map(|(i, s)| (s.as_str(), i as u32))
        .collect();
    (0..sources.len())
        .map(|i| {
            if sources.is_null(i) {
                u32::MAX
            } else {
                place
                    .get(sources.value(i))
                    .copied()
                    .unwrap_or(priority.len() as u32)
            }
        })
        .collect()
}

/// Chooses a field's value for every customer. Rules decide in turn, each among the values that the ones
/// before left equal. `valid` says which rows hold a verified value, where the field has such a flag.
///
/// # Errors
/// When Arrow cannot compare values of the column's type.
pub fn golden(
    records: Records<'_>,
    values: &ArrayRef,
    valid: Option<&BooleanArray>,
    rules: &[Survivor],
) -> Result<Winners, IdentityError> {
    let converter = RowConverter::new(vec![SortField::new(values.data_type().clone())])?;
    let rows = converter.convert_columns(std::slice::from_ref(values))?;
    let text = cast(values, &DataType::Utf8)?;
    let text = text.as_any().downcast_ref::<StringArray>();
    let mut of: Vec<Vec<u32>> = vec![Vec::new(); records.customers];
    for row in 0..values.len() {
        if !values.is_null(row) {
            of[records.customer[row] as usize].push(row as u32);
        }
    }
    let mut out = Winners::default();
    for mut candidates in of {
        let mut counts: BTreeMap<&[u8], u32> = BTreeMap::new();
        for c in &candidates {
            *counts.entry(rows.row(*c as usize).data()).or_default() += 1;
        }
        out.distinct.push(counts.len() as u32);
        let same = |list: &[u32]| {
            list.windows(2)
                .all(|w| rows.row(w[0] as usize) == rows.row(w[1] as usize))
        };
        let mut decided = None;
        for rule in rules {
            if same(&candidates) {
                break;
            }
            let score = |c: u32| -> (i64, i64) {
                let i = c as usize;
                match rule {
                    Survivor::SourcePriority => (-i64::from(records.rank[i]), 0),
                    Survivor::MostRecent => (records.changed[i], 0),
                    Survivor::MostFrequent => (i64::from(counts[rows.row(i).data()]), 0),
                    Survivor::MostComplete => {
                        (text.map_or(0, |t| t.value(i).chars().count() as i64), 0)
                    }
                    Survivor::VerifiedFirst => (
                        i64::from(valid.is_some_and(|v| !v.is_null(i) && v.value(i))),
                        0,
                    ),
                }
            };
            let best = candidates.iter().map(|c| score(*c)).max();
            let before = candidates.len();
            candidates.retain(|c| Some(score(*c)) == best);
            if candidates.len() < before {
                decided = Some(*rule);
            }
        }
        out.rule.push(decided);
        let best = |c: &u32| {
            (
                Reverse(records.changed[*c as usize]),
                records.rank[*c as usize],
                records.order[*c as usize],
            )
        };
        out.row.push(candidates.into_iter().min_by_key(best));
    }
    Ok(out)
}

/// One purpose's consent of one customer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consent {
    /// Customer.
    pub customer: u32,
    /// Purpose.
    pub purpose: String,
    /// Whether every system's latest word is yes.
    pub granted: bool,
    /// Row that decided: the latest refusal, or the latest grant when there is none.
    pub row: u32,
}

/// Merges consents to the most restrictive: of each source the latest word counts, and one no is a no.
/// All slices have one entry per row; an unknown time counts as the earliest. Ties of time go to the refusal.
#[must_use]
pub fn consents(
    customer: &[u32],
    purpose: &[&str],
    source: &[&str],
    granted: &[bool],
    given_at: &[i64],
) -> Vec<Consent> {
    let mut latest: BTreeMap<(u32, &str, &str), u32> = BTreeMap::new();
    let key = |row: u32| {
        (
            given_at[row as usize],
            Reverse(granted[row as usize]),
            Reverse(row),
        )
    };
    for row in 0..customer.len() {
        let slot = latest
            .entry((customer[row], purpose[row], source[row]))
            .or_insert(row as u32);
        if key(row as u32) > key(*slot) {
            *slot = row as u32;
        }
    }
    let mut out: BTreeMap<(u32, &str), u32> = BTreeMap::new();
    for ((customer, purpose, _), row) in latest {
        let rank = |r: u32| (!granted[r as usize], given_at[r as usize], Reverse(r));
        let slot = out.entry((customer, purpose)).or_insert(row);
        if rank(row) > rank(*slot) {
            *slot = row;
        }
    }
    out.into_iter()
        .map(|((customer, purpose), row)| Consent {
            customer,
            purpose: purpose.to_owned(),
            granted: granted[row as usize],
            row,
        })
        .collect()
}
