//! What customers did: sums over their orders; and what they consented to.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::{Context as _, Result};
use arrow::{
    array::{
        Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, Float64Array, RecordBatch,
        TimestampMicrosecondArray,
    },
    datatypes::{Decimal128Type, TimestampMicrosecondType},
};
use futures::TryStreamExt;
use hashbrown::HashMap;
use musubi_clean::schema::{PRECISION, SCALE};
use musubi_lake::{delta::DataFile, parquet};
use xxhash_rust::xxh3::xxh3_64;

use super::{Customers, batch, numbers, strings};
use crate::stage::{
    Context,
    facts::{self, Facts},
    records::parse_id,
    tables::CHANNELS,
};

/// An order of a customer, as far as its lines matter.
struct Order {
    customer: u32,
    /// The channel of an order that does not say its total: the amounts of its lines make it.
    untold: Option<u8>,
    /// Whether what was bought counts: not where it came back.
    bought: bool,
}

/// What one customer did.
#[derive(Clone, Default)]
struct Customer {
    first: Option<i64>,
    last: Option<i64>,
    orders: i64,
    returns: i64,
    /// Money by channel, in ten-thousandths: store, web, app, other.
    money: [i128; CHANNELS.len() + 1],
    channels: Counts,
    stores: Counts,
    categories: Counts,
}

/// Counts of names by their numbers: there are many customers, and each has few.
#[derive(Clone, Default)]
struct Counts(Vec<(u32, i64)>);

impl Counts {
    fn add(&mut self, name: u32, count: i64) {
        match self.0.iter_mut().find(|(n, _)| *n == name) {
            Some((_, sum)) => *sum += count,
            None => self.0.push((name, count)),
        }
    }

    /// The name with the largest count; of equals the first.
    fn favourite(&self, names: &Names) -> Option<String> {
        let name = |number: u32| &names.names[number as usize];
        let best = self
            .0
            .iter()
            .max_by(|(a, n), (b, m)| n.cmp(m).then_with(|| name(*b).cmp(name(*a))));
        best.map(|(number, _)| name(*number).clone())
    }

    /// All names, in order.
    fn joined(&self, names: &Names) -> String {
        let mut all: Vec<&str> = self
            .0
            .iter()
            .map(|(n, _)| names.names[*n as usize].as_str())
            .collect();
        all.sort_unstable();
        all.join("+")
    }
}

/// Names of channels, stores and categories, numbered.
#[derive(Default)]
struct Names {
    numbers: HashMap<String, u32>,
    names: Vec<String>,
}

impl Names {
    fn number(&mut self, name: &str) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let number = self.names.len() as u32;
        self.names.push(name.to_owned());
        self.numbers.insert(name.to_owned(), number);
        number
    }
}

/// Where the rows are.
pub(super) struct Sources<'a> {
    /// What is kept of facts.
    pub(super) facts: Vec<&'a Facts>,
    /// Files of the table of products.
    pub(super) products: Vec<&'a DataFile>,
}

impl Sources<'_> {
    /// Calls `each` with every batch of what is kept of a table of facts.
    async fn facts(
        &self,
        context: &Context,
        table: &str,
        mut each: impl FnMut(&RecordBatch) -> Result<()>,
    ) -> Result<()> {
        for path in facts::paths(&self.facts, table) {
            let mut stream = parquet::stream(&context.store, path, None).await?;
            while let Some(batch) = stream.try_next().await? {
                each(&batch)?;
            }
        }
        Ok(())
    }

    /// The category of each product that has one, by code.
    async fn categories(
        &self,
        context: &Context,
        names: &mut Names,
    ) -> Result<HashMap<String, u32>> {
        let mut categories = HashMap::new();
        for file in &self.products {
            let path = format!("curated/products/{}", file.path);
            let columns = Some(&["product_code", "category"][..]);
            let mut stream = parquet::stream(&context.store, &path, columns).await?;
            while let Some(batch) = stream.try_next().await? {
                let (codes, labels) = (text(&batch, "product_code")?, text(&batch, "category")?);
                for row in 0..batch.num_rows() {
                    if let (Some(code), Some(label)) = (at(codes, row), at(labels, row)) {
                        categories.insert(code.to_owned(), names.number(label));
                    }
                }
            }
        }
        Ok(categories)
    }
}

fn text<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a arrow::array::StringArray> {
    batch
        .column_by_name(name)
        .and_then(|c| c.as_string_opt::<i32>())
        .with_context(|| format!("column {name} is missing"))
}

fn at(column: &arrow::array::StringArray, row: usize) -> Option<&str> {
    column.is_valid(row).then(|| column.value(row))
}

pub(super) async fn features(
    context: &Context,
    sources: &Sources<'_>,
    group: &Customers,
) -> Result<RecordBatch> {
    let mut customers = vec![Customer::default(); group.ids.len()];
    let mut orders: HashMap<u64, Order> = HashMap::new();
    let mut names = Names::default();
    sources
        .facts(context, "orders", |batch| {
            let records = text(batch, "customer_record")?;
            let numbers = text(batch, "order_number")?;
            let (kinds, states) = (text(batch, "kind")?, text(batch, "status")?);
            let (channels, stores) = (text(batch, "channel")?, text(batch, "store_code")?);
            let times = batch
                .column_by_name("ordered_at")
                .and_then(|c| c.as_primitive_opt::<TimestampMicrosecondType>());
            let totals = batch
                .column_by_name("total")
                .and_then(|c| c.as_primitive_opt::<Decimal128Type>());
            for row in 0..batch.num_rows() {
                let Some(record) = at(records, row) else {
                    continue;
                };
                let Some(customer) = group.of.get(&parse_id(record)?) else {
                    continue;
                };
                let kind = at(kinds, row).unwrap_or("sale");
                if kind == "void" || at(states, row) == Some("cancelled") {
                    continue;
                }
                let one = &mut customers[*customer as usize];
                let channel = at(channels, row).unwrap_or("other");
                let place = CHANNELS
                    .iter()
                    .position(|c| *c == channel)
                    .unwrap_or(CHANNELS.len());
                let total = totals.filter(|t| t.is_valid(row)).map(|t| t.value(row));
                one.money[place] += total.unwrap_or_default();
                if let Some(number) = at(numbers, row) {
                    let order = Order {
                        customer: *customer,
                        untold: u8::try_from(place).ok().filter(|_| total.is_none()),
                        bought: kind != "return",
                    };
                    orders.insert(xxh3_64(number.as_bytes()), order);
                }
                if kind == "return" {
                    one.returns += 1;
                    continue;
                }
                one.orders += 1;
                one.channels.add(names.number(channel), 1);
                if let Some(store) = at(stores, row) {
                    one.stores.add(names.number(store), 1);
                }
                if let Some(time) = times.filter(|t| t.is_valid(row)).map(|t| t.value(row)) {
                    one.first = Some(one.first.map_or(time, |t| t.min(time)));
                    one.last = Some(one.last.map_or(time, |t| t.max(time)));
                }
            }
            Ok(())
        })
        .await?;
    lines(context, sources, &orders, &mut customers, &mut names).await?;
    to_batch(group, &customers, &names)
}

/// Counts what was bought, by category of product, and adds up the lines of orders that do not say their total.
async fn lines(
    context: &Context,
    sources: &Sources<'_>,
    orders: &HashMap<u64, Order>,
    customers: &mut [Customer],
    names: &mut Names,
) -> Result<()> {
    let category = sources.categories(context, names).await?;
    sources
        .facts(context, "order_lines", |batch| {
            let (numbers, codes) = (text(batch, "order_number")?, text(batch, "product_code")?);
            let decimals = |name: &str| {
                let column = batch.column_by_name(name);
                column.and_then(|c| c.as_primitive_opt::<Decimal128Type>())
            };
            let (quantities, amounts) = (decimals("quantity"), decimals("amount"));
            for row in 0..batch.num_rows() {
                let Some(order) = at(numbers, row).and_then(|n| orders.get(&xxh3_64(n.as_bytes())))
                else {
                    continue;
                };
                let customer = &mut customers[order.customer as usize];
                if let (Some(place), Some(amounts)) = (order.untold, amounts)
                    && amounts.is_valid(row)
                {
                    customer.money[usize::from(place)] += amounts.value(row);
                }
                if !order.bought {
                    continue;
                }
                let Some(name) = at(codes, row).and_then(|c| category.get(c)) else {
                    continue;
                };
                let quantity = quantities
                    .filter(|q| q.is_valid(row))
                    .map_or(10_000, |q| q.value(row));
                let quantity = i64::try_from(quantity).unwrap_or(i64::MAX);
                customer.categories.add(*name, quantity);
            }
            Ok(())
        })
        .await
}

fn instants(values: impl Iterator<Item = Option<i64>>) -> ArrayRef {
    Arc::new(
        values
            .collect::<TimestampMicrosecondArray>()
            .with_timezone("UTC"),
    )
}

fn money(values: impl Iterator<Item = i128>) -> Result<ArrayRef> {
    let values: Decimal128Array = values.map(Some).collect();
    Ok(Arc::new(values.with_precision_and_scale(PRECISION, SCALE)?))
}

#[expect(clippy::cast_precision_loss, reason = "a mean of days")]
fn mean_interval(customer: &Customer) -> Option<f64> {
    const DAY: f64 = 86_400_000_000.0;
    let (first, last) = (customer.first?, customer.last?);
    (customer.orders > 1).then(|| (last - first) as f64 / DAY / (customer.orders - 1) as f64)
}

fn to_batch(group: &Customers, customers: &[Customer], names: &Names) -> Result<RecordBatch> {
    let columns: Vec<ArrayRef> = vec![
        strings(group.ids.iter().cloned().map(Some)),
        instants(customers.iter().map(|c| c.first)),
        instants(customers.iter().map(|c| c.last)),
        numbers(customers.iter().map(|c| Some(c.orders))),
        numbers(customers.iter().map(|c| Some(c.returns))),
        money(customers.iter().map(|c| c.money.iter().sum()))?,
        money(customers.iter().map(|c| c.money[0]))?,
        money(customers.iter().map(|c| c.money[1]))?,
        money(customers.iter().map(|c| c.money[2]))?,
        money(customers.iter().map(|c| c.money[3]))?,
        strings(customers.iter().map(|c| Some(c.channels.joined(names)))),
        numbers(
            customers
                .iter()
                .map(|c| i64::try_from(c.channels.0.len()).ok()),
        ),
        strings(customers.iter().map(|c| c.stores.favourite(names))),
        strings(customers.iter().map(|c| c.categories.favourite(names))),
        Arc::new(
            customers
                .iter()
                .map(mean_interval)
                .collect::<Float64Array>(),
        ),
    ];
    batch("customer_features", columns)
}

/// The most restrictive consent: of each record its latest word on a purpose, of a customer's records any no.
/// Beside the rows, which are ordered by customer, the customer of each.
pub(super) async fn consents(
    context: &Context,
    sources: &Sources<'_>,
    group: &Customers,
) -> Result<(RecordBatch, Vec<u32>)> {
    let mut latest: BTreeMap<(u32, String, u128), (i64, bool)> = BTreeMap::new();
    sources
        .facts(context, "consents", |batch| {
            let (records, purposes) = (text(batch, "customer_record")?, text(batch, "purpose")?);
            let granted = batch
                .column_by_name("granted")
                .and_then(|c| c.as_boolean_opt())
                .context("column granted is missing")?;
            let times = batch
                .column_by_name("given_at")
                .and_then(|c| c.as_primitive_opt::<TimestampMicrosecondType>());
            for row in 0..batch.num_rows() {
                let (Some(record), Some(purpose)) = (at(records, row), at(purposes, row)) else {
                    continue;
                };
                let record = parse_id(record)?;
                let Some(customer) = group.of.get(&record) else {
                    continue;
                };
                let time = times
                    .filter(|t| t.is_valid(row))
                    .map_or(i64::MIN, |t| t.value(row));
                let yes = granted.is_valid(row) && granted.value(row);
                let entry = latest
                    .entry((*customer, purpose.to_owned(), record))
                    .or_insert((time, yes));
                if (time, !yes) > (entry.0, !entry.1) {
                    *entry = (time, yes);
                }
            }
            Ok(())
        })
        .await?;
    let mut consents: BTreeMap<(u32, &str), (bool, i64)> = BTreeMap::new();
    for ((customer, purpose, _), (time, yes)) in &latest {
        let entry = consents
            .entry((*customer, purpose))
            .or_insert((*yes, *time));
        *entry = (entry.0 && *yes, entry.1.max(*time));
    }
    let columns: Vec<ArrayRef> = vec![
        strings(
            consents
                .keys()
                .map(|(c, _)| Some(group.ids[*c as usize].clone())),
        ),
        strings(
            consents
                .keys()
                .map(|(_, purpose)| Some((*purpose).to_owned())),
        ),
        Arc::new(
            consents
                .values()
                .map(|(yes, _)| Some(*yes))
                .collect::<BooleanArray>(),
        ),
        instants(
            consents
                .values()
                .map(|(_, time)| (*time != i64::MIN).then_some(*time)),
        ),
    ];
    let rows = batch("customer_consents", columns)?;
    Ok((rows, consents.keys().map(|(c, _)| *c).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_equal_counts_the_first_name_is_the_favourite() {
        let (mut names, mut counts) = (Names::default(), Counts::default());
        for name in ["c", "b", "a", "b", "c"] {
            counts.add(names.number(name), 1);
        }
        assert_eq!(counts.favourite(&names).as_deref(), Some("b"));
        assert_eq!(counts.joined(&names), "a+b+c");
        assert_eq!(Counts::default().favourite(&names), None);
    }
}
