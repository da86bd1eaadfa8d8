//! The registry: which record belongs to which customer, and what became of ids that are gone. It is kept in
//! parts: all records of one run, then what later runs changed.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, FixedSizeBinaryArray, RecordBatch, StringArray, UInt64Array,
};
use arrow::buffer::NullBuffer;
use arrow::datatypes::UInt64Type;
use hashbrown::HashMap;
use rayon::prelude::*;

use crate::error::IdentityError;
use crate::features::parse_id;
use crate::ids::{CustomerId, HouseholdId};

/// Rows of one batch.
const BATCH: usize = 64 << 10;

/// A customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Customer {
    /// Its id.
    pub id: CustomerId,
    /// Order in which customers were created.
    pub created: u64,
    /// Its household.
    pub household: Option<HouseholdId>,
}

/// Which record belongs to which customer, and what became of ids that are gone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Registry {
    /// Records, ordered.
    pub records: Vec<u128>,
    /// Customer of each record, as an index.
    pub customer: Vec<u32>,
    /// Customers.
    pub customers: Vec<Customer>,
    /// Id to use instead of one that is gone.
    pub aliases: BTreeMap<CustomerId, CustomerId>,
}

/// A row of a part: a record and its customer, or nothing when it is gone.
pub type Row = Result<(u128, Option<Customer>), IdentityError>;

/// Looks records up that come in ascending order.
pub(crate) struct Walk<'a> {
    registry: &'a Registry,
    at: usize,
}

impl Walk<'_> {
    pub(crate) fn customer_of(&mut self, record: u128) -> Option<u32> {
        let records = &self.registry.records;
        while records.get(self.at).is_some_and(|r| *r < record) {
            self.at += 1;
        }
        (records.get(self.at) == Some(&record)).then(|| self.registry.customer[self.at])
    }
}

impl Registry {
    /// Customer of a record.
    #[must_use]
    pub fn customer(&self, record_id: &str) -> Option<CustomerId> {
        let at = self.records.binary_search(&parse_id(record_id)?).ok()?;
        Some(self.customers[self.customer[at] as usize].id)
    }

    /// The id that stands for an id today, through any number of merges.
    #[must_use]
    pub fn resolve(&self, id: CustomerId) -> CustomerId {
        let mut current = id;
        for _ in 0..self.aliases.len() {
            match self.aliases.get(&current) {
                Some(next) => current = *next,
                None => break,
            }
        }
        current
    }

    pub(crate) fn walk(&self) -> Walk<'_> {
        Walk {
            registry: self,
            at: 0,
        }
    }

    /// What is other than before, record by record; nothing instead of a customer when the record is gone.
    fn changes<'a>(&'a self, before: &'a Self) -> impl Iterator<Item = (u128, Option<Customer>)> {
        let (mut at, mut old) = (0, 0);
        let entry = |r: &Self, at: usize| {
            let record = r.records.get(at)?;
            Some((*record, r.customers[r.customer[at] as usize]))
        };
        std::iter::from_fn(move || {
            loop {
                match (entry(self, at), entry(before, old)) {
                    (None, None) => return None,
                    (Some((record, _)), Some((gone, _))) if gone < record => {
                        old += 1;
                        return Some((gone, None));
                    }
                    (None, Some((gone, _))) => {
                        old += 1;
                        return Some((gone, None));
                    }
                    (Some((record, customer)), other) => {
                        at += 1;
                        let same = other.filter(|(r, _)| *r == record);
                        old += usize::from(same.is_some());
                        if same.is_none_or(|(_, c)| c != customer) {
                            return Some((record, Some(customer)));
                        }
                    }
                }
            }
        })
    }

    /// The part that leads from another registry to this one, in batches: `record_id` and `customer_id` of 16 bytes,
    /// `created`, `household_id`; a record that is gone has no customer. From an empty registry, all of it.
    pub fn part<'a>(
        &'a self,
        before: &'a Self,
    ) -> impl Iterator<Item = Result<RecordBatch, IdentityError>> + 'a {
        let mut changes = self.changes(before).peekable();
        std::iter::from_fn(move || {
            changes.peek()?;
            let rows: Vec<(u128, Option<Customer>)> = changes.by_ref().take(BATCH).collect();
            Some(rows_to_batch(&rows))
        })
    }

    /// A part without records.
    ///
    /// # Errors
    /// Only when Arrow refuses it.
    pub fn empty_part() -> Result<RecordBatch, IdentityError> {
        rows_to_batch(&[])
    }

    /// Reads a batch of a part: records with their customers, or with nothing when they are gone.
    ///
    /// # Errors
    /// When a column is absent or of another type; a row's, when it has no record id.
    pub fn rows(batch: &RecordBatch) -> Result<impl Iterator<Item = Row>, IdentityError> {
        let created = batch
            .column_by_name("created")
            .and_then(|c| c.as_primitive_opt::<UInt64Type>())
            .ok_or(IdentityError::MissingColumn("created"))?;
        let rows = ids_of(batch, "record_id")?
            .zip(ids_of(batch, "customer_id")?)
            .zip(ids_of(batch, "household_id")?);
        Ok(rows
            .enumerate()
            .map(|(row, ((record, customer), household))| {
                let record = record.ok_or(IdentityError::RecordId { row })?;
                let customer = customer.map(|id| Customer {
                    id: CustomerId(id),
                    created: created.value(row),
                    household: household.map(HouseholdId),
                });
                Ok((record, customer))
            }))
    }

    /// Whether it knows no record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The aliases as a batch: `old`, `new`.
    ///
    /// # Errors
    /// Only when Arrow refuses it.
    pub fn aliases_to_batch(&self) -> Result<RecordBatch, IdentityError> {
        let text = |ids: &mut dyn Iterator<Item = &CustomerId>| -> ArrayRef {
            Arc::new(StringArray::from_iter_values(ids.map(ToString::to_string)))
        };
        Ok(RecordBatch::try_from_iter([
            ("old", text(&mut self.aliases.keys())),
            ("new", text(&mut self.aliases.values())),
        ])?)
    }

    /// Reads batches of [`Registry::aliases_to_batch`].
    ///
    /// # Errors
    /// When a column is absent or malformed.
    pub fn read_aliases(&mut self, batches: &[RecordBatch]) -> Result<(), IdentityError> {
        let id = |batch: &RecordBatch, name, row| {
            let column = batch
                .column_by_name(name)
                .and_then(|c| c.as_string_opt::<i32>());
            let text = column.ok_or(IdentityError::MissingColumn(name))?.value(row);
            text.parse().map_err(|()| IdentityError::CustomerId { row })
        };
        for batch in batches {
            for row in 0..batch.num_rows() {
                let (old, new) = (id(batch, "old", row)?, id(batch, "new", row)?);
                self.aliases.insert(old, new);
            }
        }
        Ok(())
    }
}

/// Ids as a column of 16 bytes each.
pub(crate) fn id_column(
    ids: impl Iterator<Item = Option<u128>>,
) -> Result<ArrayRef, IdentityError> {
    let (mut bytes, mut valid) = (Vec::new(), Vec::new());
    for id in ids {
        bytes.extend_from_slice(&id.unwrap_or(0).to_be_bytes());
        valid.push(id.is_some());
    }
    let nulls = NullBuffer::from(valid);
    let nulls = (nulls.null_count() > 0).then_some(nulls);
    Ok(Arc::new(FixedSizeBinaryArray::try_new(
        16,
        bytes.into(),
        nulls,
    )?))
}

/// The ids of a column of 16 bytes each.
pub(crate) fn ids_of<'a>(
    batch: &'a RecordBatch,
    name: &'static str,
) -> Result<impl ExactSizeIterator<Item = Option<u128>> + 'a, IdentityError> {
    let column = batch
        .column_by_name(name)
        .and_then(|c| c.as_fixed_size_binary_opt());
    let column = column
        .filter(|c| c.value_length() == 16)
        .ok_or(IdentityError::MissingColumn(name))?;
    let (ids, _) = column.value_data().as_chunks::<16>();
    let ids = ids.iter().enumerate();
    Ok(ids.map(|(row, id)| column.is_valid(row).then(|| u128::from_be_bytes(*id))))
}

fn rows_to_batch(rows: &[(u128, Option<Customer>)]) -> Result<RecordBatch, IdentityError> {
    let customers = || rows.iter().map(|r| r.1);
    let created = customers().map(|c| c.map_or(0, |c| c.created));
    let household = |c: Option<Customer>| c.and_then(|c| c.household).map(|h| h.0);
    let columns: [(&str, ArrayRef); 4] = [
        ("record_id", id_column(rows.iter().map(|r| Some(r.0)))?),
        (
            "customer_id",
            id_column(customers().map(|c| c.map(|c| c.id.0)))?,
        ),
        ("created", Arc::new(UInt64Array::from_iter_values(created))),
        ("household_id", id_column(customers().map(household))?),
    ];
    let nullable = columns.map(|(name, column)| (name, column, true));
    Ok(RecordBatch::try_from_iter_with_nullable(nullable)?)
}

/// Reads a registry part by part, the oldest first.
#[derive(Default)]
pub struct RegistryReader {
    /// Records as they came, each with the number of its customer: the last of a record stands.
    records: Vec<(u128, u32, u32)>,
    number: HashMap<CustomerId, u32>,
    customers: Vec<Customer>,
}

/// Instead of a customer's number, for a record that is gone.
const GONE: u32 = u32::MAX;

impl RegistryReader {
    /// Adds a batch of a part.
    ///
    /// # Errors
    /// When a column is absent or of another type.
    pub fn push(&mut self, batch: &RecordBatch) -> Result<(), IdentityError> {
        for row in Registry::rows(batch)? {
            let (record, customer) = row?;
            let number = match customer {
                None => GONE,
                Some(customer) => {
                    let next = self.customers.len() as u32;
                    let number = *self.number.entry(customer.id).or_insert(next);
                    match self.customers.get_mut(number as usize) {
                        Some(known) => *known = customer,
                        None => self.customers.push(customer),
                    }
                    number
                }
            };
            self.records
                .push((record, self.records.len() as u32, number));
        }
        Ok(())
    }

    /// The registry, without aliases.
    #[must_use]
    pub fn finish(self) -> Registry {
        drop(self.number);
        let mut rows = self.records;
        rows.par_sort_unstable();
        let mut registry = Registry::default();
        // Customers without a record are left out.
        let mut number = vec![GONE; self.customers.len()];
        for versions in rows.chunk_by(|a, b| a.0 == b.0) {
            let Some((record, _, customer)) = versions.last() else {
                continue;
            };
            if *customer == GONE {
                continue;
            }
            let number = &mut number[*customer as usize];
            if *number == GONE {
                *number = registry.customers.len() as u32;
                registry.customers.push(self.customers[*customer as usize]);
            }
            registry.records.push(*record);
            registry.customer.push(*number);
        }
        registry
    }
}
