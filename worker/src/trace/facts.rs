//! Facts: each value is copied from the row of the source that comes first and has one.

use std::collections::{HashMap, HashSet};

use anyhow::{Context as _, Result};
use arrow::array::RecordBatch;
use musubi_api::entity::Entity;
use musubi_clean::schema;
use xxhash_rust::xxh3::xxh3_128;

use super::{Column, Tracer, clean::CleanRows, value};
use crate::stage::{
    attach,
    records::{Version, parse_id},
};

/// The clean rows that tell of one thing, the source that comes first at the head; then those that do not count.
pub(super) struct Thing {
    standing: Vec<usize>,
    superseded: Vec<usize>,
}

/// Clean rows by thing.
pub(super) struct Things {
    pub(super) clean: CleanRows,
    by_id: HashMap<u128, Thing>,
}

/// What a curated row tells of.
fn thing(entity: Entity, row: &RecordBatch) -> Result<u128> {
    let key = match entity.shared_key() {
        Some(column) => value(row, column, 0)?,
        None => None,
    };
    match key {
        Some(key) => Ok(xxh3_128(key.as_bytes())),
        None => parse_id(&value(row, "record_id", 0)?.context("a fact has no record")?),
    }
}

impl Tracer<'_> {
    /// The clean rows that curated rows of an entity were made from.
    pub(super) async fn things(&self, entity: Entity, rows: &[RecordBatch]) -> Result<Things> {
        let wanted: HashSet<u128> = rows
            .iter()
            .map(|row| thing(entity, row))
            .collect::<Result<_>>()?;
        let wanted = |version: &Version| wanted.contains(&version.thing);
        let clean = CleanRows::read(self.view, entity, wanted).await?;
        let active = &self.view.present.active;
        let precedence = attach::precedence(&self.view.context, active);
        let mut by_id: HashMap<u128, Thing> = HashMap::new();
        for (at, row) in clean.rows.iter().enumerate() {
            let thing = by_id.entry(row.version.thing).or_insert_with(|| Thing {
                standing: Vec::new(),
                superseded: Vec::new(),
            });
            if row.stands {
                thing.standing.push(at);
            } else {
                thing.superseded.push(at);
            }
        }
        for thing in by_id.values_mut() {
            thing.standing.sort_by_key(|at| {
                let version = &clean.rows[*at].version;
                let file = version.file as usize;
                (
                    precedence[file],
                    active[file].file.source.clone(),
                    version.record,
                )
            });
        }
        Ok(Things { clean, by_id })
    }

    pub(super) async fn fact(&mut self, table: &str) -> Result<()> {
        let entity = attach::TABLES.into_iter().find(|e| e.table() == table);
        let entity = entity.with_context(|| format!("table {table} cannot be traced"))?;
        let row = self.row.clone();
        let things = self.things(entity, std::slice::from_ref(&row)).await?;
        for field in schema::curated_schema(entity).fields() {
            if value(&row, field.name(), 0)?.is_none() {
                continue;
            }
            let Some((won, lost)) = self.winner(&things, entity, &row, field.name())? else {
                self.date_of_order(field.name()).await?;
                continue;
            };
            let sources = lost.iter().filter(|at| !self.rows[**at].superseded).count();
            let rule = match sources {
                0 => "the only source".to_owned(),
                n => format!("the first of {} sources that has a value", n + 1),
            };
            self.columns.push(Column {
                column: field.name().clone(),
                value: None,
                personal: false,
                rule,
                field: Some(field.name().clone()),
                won: vec![won],
                lost,
            });
        }
        Ok(())
    }

    /// The row that gives a fact its value in a column, and those that had one and lost.
    pub(super) fn winner(
        &mut self,
        things: &Things,
        entity: Entity,
        row: &RecordBatch,
        column: &str,
    ) -> Result<Option<(usize, Vec<usize>)>> {
        let thing = things
            .by_id
            .get(&thing(entity, row)?)
            .context("the rows that a fact was made from do not stand")?;
        let clean = &things.clean;
        let mut having = thing.standing.iter().filter(|at| clean.has(**at, column));
        let Some(winner) = having.next() else {
            return Ok(None);
        };
        let superseded = thing.superseded.iter().filter(|at| clean.has(**at, column));
        let losers: Vec<usize> = having.chain(superseded).copied().collect();
        let won = self.origin(clean, *winner);
        let lost = losers
            .into_iter()
            .map(|at| self.origin(clean, at))
            .collect();
        Ok(Some((won, lost)))
    }

    /// A line has the business day of its order when it has none of its own.
    async fn date_of_order(&mut self, column: &str) -> Result<()> {
        let number = self.value("order_number")?;
        anyhow::ensure!(
            column == "business_date"
                && self.table == Entity::OrderLine.table()
                && number.is_some(),
            "no row of a source has the value of {column}; this is a defect of musubi"
        );
        let wanted =
            |batch: &RecordBatch, row: usize| Ok(value(batch, "order_number", row)? == number);
        let store = &self.view.context.store;
        let columns = ["order_number"];
        let orders =
            super::address::rows(store, self.published, "orders", &columns, wanted).await?;
        let things = self.things(Entity::Order, &orders).await?;
        for order in &orders {
            if let Some((won, lost)) = self.winner(&things, Entity::Order, order, column)? {
                self.columns.push(Column {
                    column: column.to_owned(),
                    value: None,
                    personal: false,
                    rule: "the day of its order".into(),
                    field: Some(column.to_owned()),
                    won: vec![won],
                    lost,
                });
            }
        }
        Ok(())
    }
}
