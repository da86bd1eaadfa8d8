//! Golden records, and what else tells of the records of a customer.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use anyhow::{Context as _, Result};
use arrow::array::RecordBatch;
use musubi_api::entity::Entity;
use serde::Deserialize;

use super::{Column, Tracer, address, clean::CleanRows, value};
use crate::stage::records::parse_id;

/// The fields of a golden record that one record won by one rule, each with the number of values there were.
#[derive(Deserialize)]
struct Won {
    record: String,
    rule: String,
    fields: BTreeMap<String, u64>,
}

/// Columns of `customers` that are no field of a golden record.
const OWN: [&str; 5] = [
    "customer_id",
    "household_id",
    "record_count",
    "sources",
    "provenance",
];

impl Tracer<'_> {
    /// The records of some customers.
    pub(super) async fn members(&self, customers: &BTreeSet<String>) -> Result<HashSet<u128>> {
        let wanted = |batch: &RecordBatch, row: usize| {
            Ok(value(batch, "customer_id", row)?.is_some_and(|c| customers.contains(&c)))
        };
        let store = &self.view.context.store;
        let columns = ["customer_id"];
        let rows = address::rows(store, self.published, "links", &columns, wanted).await?;
        let mut records = HashSet::new();
        for row in rows {
            let record = value(&row, "record_id", 0)?.context("a link has no record")?;
            records.insert(parse_id(&record)?);
        }
        Ok(records)
    }

    /// The clean rows of the customer that the row's `customer_id` names.
    pub(super) async fn own_records(&self) -> Result<CleanRows> {
        let customer = self
            .value("customer_id")?
            .context("the row has no customer")?;
        let records = self.members(&BTreeSet::from([customer])).await?;
        CleanRows::customers(self.view, &records).await
    }

    /// All that stand, in the list of rows.
    pub(super) fn all_of(&mut self, clean: &CleanRows) -> Vec<usize> {
        let rows: Vec<usize> = clean.standing().collect();
        rows.into_iter()
            .map(|row| self.origin(clean, row))
            .collect()
    }

    pub(super) async fn customer(&mut self) -> Result<()> {
        let clean = self.own_records().await?;
        let everyone = self.all_of(&clean);
        let told = self.value("provenance")?.unwrap_or_default();
        let told: Vec<Won> =
            serde_json::from_str(&told).context("the provenance of a customer is malformed")?;
        self.derived(&OWN[..1], "the records that were linked", &everyone);
        self.derived(
            &OWN[1..2],
            "the records of a customer of the household",
            &everyone,
        );
        self.derived(&OWN[2..], "all records of the customer", &everyone);
        let by_record = clean.by_record();
        for field in Entity::Customer.fields() {
            let told = told
                .iter()
                .find_map(|w| Some((w, w.fields.get(field.name)?)));
            let Some((Won { record, rule, .. }, values)) = told else {
                continue;
            };
            let winner = by_record
                .get(&parse_id(record)?)
                .with_context(|| format!("record {record} does not stand"))?;
            let won = self.origin(&clean, *winner);
            let mut lost = Vec::new();
            for row in 0..clean.rows.len() {
                if row != *winner && clean.has(row, field.name) {
                    lost.push(self.origin(&clean, row));
                }
            }
            let rule = match values {
                1 if lost.is_empty() => "the only one".to_owned(),
                1 => "all say the same".to_owned(),
                n => format!("{rule} of {n} values"),
            };
            self.columns.push(Column {
                column: field.name.to_owned(),
                value: None,
                personal: field.personal,
                rule,
                field: Some(field.name.to_owned()),
                won: vec![won],
                lost,
            });
        }
        self.in_order();
        Ok(())
    }

    /// Puts the columns in the order of the table.
    pub(super) fn in_order(&mut self) {
        let schema = self.row.schema();
        self.columns
            .sort_by_key(|c| schema.index_of(&c.column).unwrap_or(usize::MAX));
    }

    pub(super) async fn link(&mut self) -> Result<()> {
        let record = parse_id(&self.value("record_id")?.context("a link has no record")?)?;
        let clean = self.own_records().await?;
        let everyone = self.all_of(&clean);
        let by_record = clean.by_record();
        let own = by_record
            .get(&record)
            .context("the record does not stand")?;
        let own = self.origin(&clean, *own);
        self.derived(&["record_id", "source", "stream"], "the record", &[own]);
        self.derived(&["customer_id"], "the records that were linked", &everyone);
        Ok(())
    }

    pub(super) async fn identifier(&mut self) -> Result<()> {
        let kind = self.value("kind")?.unwrap_or_default();
        let wanted = self.value("value")?;
        let clean = self.own_records().await?;
        let second = format!("{kind}2");
        let standing: Vec<usize> = clean.standing().collect();
        let mut won = Vec::new();
        for row in standing {
            let fields = [kind.as_str(), second.as_str()];
            if fields
                .iter()
                .any(|f| clean.text(row, f) == wanted.as_deref())
            {
                won.push(self.origin(&clean, row));
            }
        }
        let all = ["customer_id", "kind", "value", "records"];
        self.derived(&all, "the records that have the identifier", &won);
        Ok(())
    }

    pub(super) async fn household(&mut self) -> Result<()> {
        let household = self.value("household_id")?;
        let wanted =
            |batch: &RecordBatch, row: usize| Ok(value(batch, "household_id", row)? == household);
        let store = &self.view.context.store;
        let columns = ["household_id"];
        let rows = address::rows(store, self.published, "customers", &columns, wanted).await?;
        let mut customers = BTreeSet::new();
        for row in rows {
            customers.extend(value(&row, "customer_id", 0)?);
        }
        let records = self.members(&customers).await?;
        let clean = CleanRows::customers(self.view, &records).await?;
        let everyone = self.all_of(&clean);
        let all = ["household_id", "customers"];
        self.derived(&all, "the records of its customers", &everyone);
        Ok(())
    }

    pub(super) async fn id_change(&mut self) -> Result<()> {
        let mut customers = BTreeSet::new();
        for column in ["old_id", "new_id"] {
            if let Some(id) = self.value(column)? {
                let now = super::current_id(self.view, self.published, &id).await?;
                customers.insert(now.unwrap_or(id));
            }
        }
        let records = self.members(&customers).await?;
        let clean = CleanRows::customers(self.view, &records).await?;
        let everyone = self.all_of(&clean);
        let all = ["version", "change", "old_id", "new_id"];
        self.derived(&all, "the records that the ids stand for now", &everyone);
        Ok(())
    }

    pub(super) async fn review(&mut self) -> Result<()> {
        let mut records = HashSet::new();
        for column in ["left_record", "right_record"] {
            let record = self.value(column)?.context("a pair lacks a record")?;
            records.insert(parse_id(&record)?);
        }
        let clean = CleanRows::customers(self.view, &records).await?;
        let pair = self.all_of(&clean);
        let all = ["left_record", "right_record", "probability", "rule"];
        self.derived(&all, "the two records", &pair);
        Ok(())
    }

    pub(super) fn quality(&mut self) -> Result<()> {
        let (source, stream) = (self.value("source")?, self.value("stream")?);
        let active = &self.view.present.active;
        let mut files = Vec::new();
        for (at, active) in (0..).zip(active) {
            let file = &active.file;
            if Some(&file.source) == source.as_ref() && Some(&file.stream) == stream.as_ref() {
                files.push(at);
            }
        }
        let first = self.rows.len();
        let objects: Vec<_> = files.into_iter().map(|at| self.object(at)).collect();
        self.rows.extend(objects);
        let won: Vec<usize> = (first..self.rows.len()).collect();
        let columns = self.filled();
        let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
        self.derived(&columns, "counts over all rows of the files", &won);
        Ok(())
    }
}
