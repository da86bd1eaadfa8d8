//! Stable customer ids. A customer keeps the id with which it shares most records; among equals the
//! oldest id wins. New ids derive from a record id, never from a personal value. What happens to ids is
//! told in events to be appended, and old ids stay resolvable as aliases.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray, UInt64Array};
use hashbrown::{HashMap, HashSet};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

use crate::error::IdentityError;
use crate::features::{Features, parse_id};

/// Which record belonged to which customer, and what became of ids that are gone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Registry {
    /// Customer id by record.
    pub(crate) records: BTreeMap<u128, Arc<str>>,
    /// Order in which customers were created.
    pub(crate) created: BTreeMap<Arc<str>, u64>,
    /// Id to use instead of one that is gone.
    pub aliases: BTreeMap<String, String>,
}

/// Something that happened to a customer id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "event")]
pub enum IdEvent {
    /// A customer that was not there before.
    Created {
        /// Its id.
        id: String,
    },
    /// An id is gone; its records are now with another.
    Merged {
        /// The id that is gone; from now an alias.
        old: String,
        /// The id to use.
        new: String,
    },
    /// Some records of a customer are now another customer.
    Split {
        /// The customer that was split.
        old: String,
        /// The customer that left it.
        new: String,
    },
    /// An id that had been merged away stands again.
    Unmerged {
        /// The id that is back.
        id: String,
        /// The id that had stood for it.
        from: String,
    },
    /// The last record of a customer was deleted.
    Removed {
        /// The id.
        id: String,
    },
}

impl Registry {
    /// Customer of a record.
    #[must_use]
    pub fn customer(&self, record_id: &str) -> Option<&str> {
        self.records.get(&parse_id(record_id)?).map(|c| &**c)
    }

    /// The id that stands for an id today, through any number of merges.
    #[must_use]
    pub fn resolve<'a>(&'a self, id: &'a str) -> &'a str {
        let mut current = id;
        for _ in 0..self.aliases.len() {
            match self.aliases.get(current) {
                Some(next) => current = next,
                None => break,
            }
        }
        current
    }

    /// As two batches: `record_id`, `customer_id`, `created`; and `old`, `new` of the aliases.
    ///
    /// # Errors
    /// Only when Arrow refuses a batch.
    pub fn to_batches(&self) -> Result<[RecordBatch; 2], IdentityError> {
        let text = |it: &mut dyn Iterator<Item = &str>| -> ArrayRef {
            Arc::new(StringArray::from_iter_values(it))
        };
        let ids: Vec<String> = self.records.keys().map(|id| format!("{id:032x}")).collect();
        let records = RecordBatch::try_from_iter([
            ("record_id", text(&mut ids.iter().map(String::as_str))),
            (
                "customer_id",
                text(&mut self.records.values().map(|c| &**c)),
            ),
            (
                "created",
                Arc::new(UInt64Array::from_iter_values(
                    self.records
                        .values()
                        .map(|c| self.created.get(c).copied().unwrap_or(0)),
                )) as ArrayRef,
            ),
        ])?;
        let aliases = RecordBatch::try_from_iter([
            ("old", text(&mut self.aliases.keys().map(String::as_str))),
            ("new", text(&mut self.aliases.values().map(String::as_str))),
        ])?;
        Ok([records, aliases])
    }

    /// From batches of [`Registry::to_batches`]: those of records, and those of aliases.
    ///
    /// # Errors
    /// When a column is absent or malformed.
    pub fn from_batches(
        records: &[RecordBatch],
        aliases: &[RecordBatch],
    ) -> Result<Self, IdentityError> {
        fn column<'a, T: 'static>(
            batch: &'a RecordBatch,
            name: &'static str,
        ) -> Result<&'a T, IdentityError> {
            batch
                .column_by_name(name)
                .and_then(|c| c.as_any().downcast_ref())
                .ok_or(IdentityError::MissingColumn(name))
        }
        let mut out = Self::default();
        for batch in records {
            let (record, customer) = (
                column::<StringArray>(batch, "record_id")?,
                column::<StringArray>(batch, "customer_id")?,
            );
            let created = column::<UInt64Array>(batch, "created")?;
            for row in 0..batch.num_rows() {
                let id = parse_id(record.value(row)).ok_or(IdentityError::RecordId { row })?;
                let name: Arc<str> = match out.created.get_key_value(customer.value(row)) {
                    Some((known, _)) => known.clone(),
                    None => customer.value(row).into(),
                };
                out.created.insert(name.clone(), created.value(row));
                out.records.insert(id, name);
            }
        }
        for batch in aliases {
            let (old, new) = (
                column::<StringArray>(batch, "old")?,
                column::<StringArray>(batch, "new")?,
            );
            out.aliases.extend(
                (0..batch.num_rows()).map(|r| (old.value(r).to_owned(), new.value(r).to_owned())),
            );
        }
        Ok(out)
    }
}

fn fresh(record: u128, taken: &HashSet<Arc<str>>) -> Arc<str> {
    let mut salt = 0u8;
    loop {
        let mut bytes = record.to_be_bytes().to_vec();
        if salt > 0 {
            bytes.push(salt);
        }
        let id: Arc<str> = format!("c{:032x}", xxh3_128(&bytes)).into();
        if !taken.contains(&id) || salt == u8::MAX {
            return id;
        }
        salt += 1;
    }
}

/// Gives every customer its id. Customers are numbered by their smallest record.
pub(crate) fn assign(
    features: &Features,
    customer: &[u32],
    previous: Option<&Registry>,
) -> (Vec<String>, Registry, Vec<IdEvent>) {
    let empty = Registry::default();
    let previous = previous.unwrap_or(&empty);
    let customers = customer.iter().max().map_or(0, |m| *m as usize + 1);
    let mut overlap: HashMap<(u32, &Arc<str>), u64> = HashMap::new();
    let mut first = vec![u128::MAX; customers];
    for (id, c) in features.ids.iter().zip(customer) {
        first[*c as usize] = first[*c as usize].min(*id);
        if let Some(old) = previous.records.get(id) {
            *overlap.entry((*c, old)).or_default() += 1;
        }
    }
    let age = |id: &Arc<str>| previous.created.get(id).copied().unwrap_or(u64::MAX);
    let mut claims: Vec<(u32, &Arc<str>, u64)> =
        overlap.into_iter().map(|((c, id), n)| (c, id, n)).collect();
    claims.sort_unstable_by_key(|(c, id, n)| (std::cmp::Reverse(*n), age(id), (*id).clone(), *c));
    let mut given: Vec<Option<Arc<str>>> = vec![None; customers];
    let mut taken: HashSet<Arc<str>> = HashSet::new();
    for (c, id, _) in &claims {
        if given[*c as usize].is_none() && taken.insert((*id).clone()) {
            given[*c as usize] = Some((*id).clone());
        }
    }
    taken.extend(previous.created.keys().cloned());
    let mut registry = Registry {
        aliases: previous.aliases.clone(),
        ..Registry::default()
    };
    let mut next = previous.created.values().max().map_or(0, |n| n + 1);
    let mut events = Vec::new();
    let mut from: HashMap<u32, &Arc<str>> = HashMap::new();
    for (c, id, _) in &claims {
        from.entry(*c).or_insert(id);
    }
    for (c, slot) in given.iter_mut().enumerate() {
        if slot.is_some() {
            continue;
        }
        let id = fresh(first[c], &taken);
        taken.insert(id.clone());
        let name = id.to_string();
        events.push(
            match (registry.aliases.remove(&name), from.get(&(c as u32))) {
                (Some(stood), _) => IdEvent::Unmerged {
                    id: name,
                    from: stood,
                },
                (None, Some(old)) => IdEvent::Split {
                    old: old.to_string(),
                    new: name,
                },
                (None, None) => IdEvent::Created { id: name },
            },
        );
        registry.created.insert(id.clone(), next);
        next += 1;
        *slot = Some(id);
    }
    let ids: Vec<Arc<str>> = given.into_iter().flatten().collect();
    for (record, c) in features.ids.iter().zip(customer) {
        registry.records.insert(*record, ids[*c as usize].clone());
    }
    for id in &ids {
        registry
            .created
            .entry(id.clone())
            .or_insert_with(|| age(id));
    }
    let mut heirs: BTreeMap<&Arc<str>, (u64, u32)> = BTreeMap::new();
    for (c, id, n) in &claims {
        let heir = heirs.entry(id).or_insert((*n, *c));
        if *n > heir.0 {
            *heir = (*n, *c);
        }
    }
    for old in previous
        .created
        .keys()
        .filter(|id| !registry.created.contains_key(*id))
    {
        events.push(match heirs.get(old) {
            Some((_, c)) => {
                let new = ids[*c as usize].to_string();
                registry.aliases.insert(old.to_string(), new.clone());
                IdEvent::Merged {
                    old: old.to_string(),
                    new,
                }
            }
            None => IdEvent::Removed {
                id: old.to_string(),
            },
        });
    }
    (
        ids.iter().map(ToString::to_string).collect(),
        registry,
        events,
    )
}
