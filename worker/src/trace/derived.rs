//! What a customer did and consented to: derived from facts, all of which are named.

use std::collections::HashSet;

use anyhow::{Context as _, Result};
use arrow::array::RecordBatch;
use musubi_api::entity::Entity;

use super::{Tracer, address, value};
use crate::stage::{records::parse_id, tables::CHANNELS};

impl Tracer<'_> {
    /// The rows of a fact table that belong to some records.
    async fn facts_of(&self, table: &str, records: &HashSet<u128>) -> Result<Vec<RecordBatch>> {
        let wanted = |batch: &RecordBatch, row: usize| {
            Ok(match value(batch, "customer_record", row)? {
                Some(record) => records.contains(&parse_id(&record)?),
                None => false,
            })
        };
        let store = &self.view.context.store;
        address::rows(store, self.published, table, &["customer_record"], wanted).await
    }

    async fn own_ids(&self) -> Result<HashSet<u128>> {
        let customer = self
            .value("customer_id")?
            .context("the row has no customer")?;
        self.members(&[customer].into()).await
    }

    pub(super) async fn consents(&mut self) -> Result<()> {
        let records = self.own_ids().await?;
        let purpose = self.value("purpose")?;
        let mut given = Vec::new();
        for row in self.facts_of("consents", &records).await? {
            if value(&row, "purpose", 0)? == purpose {
                given.push(row);
            }
        }
        let things = self.things(Entity::Consent, &given).await?;
        let mut won = Vec::new();
        for row in &given {
            won.extend(
                self.winner(&things, Entity::Consent, row, "purpose")?
                    .map(|w| w.0),
            );
        }
        let all = ["customer_id", "purpose", "granted", "given_at"];
        let rule = "of each record the latest word, of all records any no";
        self.derived(&all, rule, &won);
        Ok(())
    }

    pub(super) async fn features(&mut self) -> Result<()> {
        let clean = self.own_records().await?;
        let everyone = self.all_of(&clean);
        let records: HashSet<u128> = clean.by_record().into_keys().collect();
        let orders = self.facts_of("orders", &records).await?;
        let things = self.things(Entity::Order, &orders).await?;
        let mut counted = Vec::new();
        for order in orders {
            let text = |column| value(&order, column, 0);
            let kind = text("kind")?.unwrap_or_else(|| "sale".into());
            if kind == "void" || text("status")?.as_deref() == Some("cancelled") {
                continue;
            }
            let (channel, at) = (text("channel")?, text("ordered_at")?);
            counted.push((order, kind == "return", channel, at));
        }
        self.derived(&["customer_id"], "the records that were linked", &everyone);
        let own =
            |channel: &Option<String>| CHANNELS.contains(&channel.as_deref().unwrap_or_default());
        let (first, last) = (self.value("first_order_at")?, self.value("last_order_at")?);
        for name in self.filled() {
            let mut won = Vec::new();
            let (column, rule) = match name.as_str() {
                "customer_id" | "favourite_category" => continue,
                "first_order_at" | "last_order_at" => ("ordered_at", "the order of that time"),
                "return_count" => ("record_id", "counted over the returns"),
                "channels" | "channel_count" => ("channel", "over the orders"),
                "favourite_store" => ("store_code", "the store of most orders"),
                "mean_interval_days" => ("ordered_at", "over the orders"),
                "order_count" => ("record_id", "counted over the orders"),
                _ => ("total", "summed over the orders and returns"),
            };
            for (order, is_return, channel, at) in &counted {
                let belongs = match name.as_str() {
                    "first_order_at" => !is_return && *at == first,
                    "last_order_at" => !is_return && *at == last,
                    "return_count" => *is_return,
                    "monetary" => true,
                    "monetary_other" => !own(channel),
                    name => match name.strip_prefix("monetary_") {
                        Some(wanted) => channel.as_deref() == Some(wanted),
                        None => !is_return,
                    },
                };
                if belongs {
                    let found = self.winner(&things, Entity::Order, order, column)?;
                    won.extend(found.map(|w| w.0));
                }
            }
            if won.is_empty() {
                self.derived(&[&name], "no order: the records of the customer", &everyone);
            } else {
                self.derived(&[&name], rule, &won);
            }
        }
        let sales = counted.into_iter().filter(|o| !o.1).map(|o| o.0);
        self.favourite_category(sales.collect()).await?;
        self.in_order();
        Ok(())
    }

    /// The lines that bought of the category, and the products that say so.
    async fn favourite_category(&mut self, orders: Vec<RecordBatch>) -> Result<()> {
        let Some(category) = self.value("favourite_category")? else {
            return Ok(());
        };
        let store = &self.view.context.store;
        let of_category = |batch: &RecordBatch, row: usize| {
            Ok(value(batch, "category", row)?.as_deref() == Some(&category))
        };
        let products = address::rows(
            store,
            self.published,
            "products",
            &["category"],
            of_category,
        )
        .await?;
        let mut codes = HashSet::new();
        for product in &products {
            codes.extend(value(product, "product_code", 0)?);
        }
        let mut numbers = HashSet::new();
        for order in &orders {
            numbers.extend(value(order, "order_number", 0)?);
        }
        let bought = |batch: &RecordBatch, row: usize| {
            let text = |column| value(batch, column, row);
            Ok(text("order_number")?.is_some_and(|n| numbers.contains(&n))
                && text("product_code")?.is_some_and(|c| codes.contains(&c)))
        };
        let columns = ["order_number", "product_code"];
        let lines = address::rows(store, self.published, "order_lines", &columns, bought).await?;
        let mut sold = HashSet::new();
        for line in &lines {
            sold.extend(value(line, "product_code", 0)?);
        }
        let mut won = Vec::new();
        let things = self.things(Entity::OrderLine, &lines).await?;
        for line in &lines {
            let found = self.winner(&things, Entity::OrderLine, line, "product_code")?;
            won.extend(found.map(|w| w.0));
        }
        let things = self.things(Entity::Product, &products).await?;
        for product in &products {
            if value(product, "product_code", 0)?.is_some_and(|c| sold.contains(&c)) {
                let found = self.winner(&things, Entity::Product, product, "category")?;
                won.extend(found.map(|w| w.0));
            }
        }
        let rule = "the category of most that was bought: the lines and the products";
        self.derived(&["favourite_category"], rule, &won);
        Ok(())
    }
}
