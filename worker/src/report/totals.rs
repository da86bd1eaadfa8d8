//! What each source says it sold, added up from its clean rows: another way to the same sum as the table of
//! orders, so that the two can be held against each other.

use std::collections::HashMap;

use anyhow::{Context as _, Result};
use arrow::{
    array::{Array as _, AsArray as _},
    datatypes::{Decimal128Type, Int64Type},
};
use futures::TryStreamExt as _;
use musubi_api::entity::Entity;
use serde::{Deserialize, Serialize};

use crate::stage::{Context, clean::Active};

/// What a source says it sold. Amounts are in 1/10,000 of the currency.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceTotal {
    /// Source.
    pub source: String,
    /// Orders that it tells of.
    pub orders: u64,
    /// What they add up to.
    pub total: i64,
    /// Those of them whose total another source tells with precedence.
    pub told_orders: u64,
    /// What those add up to, as this source tells it.
    pub told_total: i64,
}

impl SourceTotal {
    /// Orders that count from this source.
    #[must_use]
    pub fn counted_orders(&self) -> u64 {
        self.orders - self.told_orders
    }

    /// What counts from this source.
    #[must_use]
    pub fn counted(&self) -> i64 {
        self.total - self.told_total
    }
}

/// An order as one source tells it: the newest version of its row.
struct Told {
    source: usize,
    newest: (i64, usize, u64),
    deleted: bool,
    order: Option<String>,
    total: Option<i128>,
}

/// Totals of each source over the clean rows of the active files. An order that several sources tell counts
/// from the first of them in `priority` (then by name) that gives its total.
///
/// # Errors
/// Those of the storage.
pub(super) async fn source_totals(
    context: &Context,
    active: &[Active],
) -> Result<Vec<SourceTotal>> {
    let mut sources: Vec<&str> = active.iter().map(|a| a.file.source.as_str()).collect();
    let priority = &context.run.policy.source_priority;
    sources.sort_unstable();
    sources.dedup();
    sources.sort_by_key(|s| priority.iter().position(|p| p == s).unwrap_or(usize::MAX));
    let mut rows: HashMap<String, Told> = HashMap::new();
    for (file, one) in active.iter().enumerate() {
        let Some(part) = one.cleaned.entities.get(Entity::Order.as_str()) else {
            continue;
        };
        let source = sources.iter().position(|s| *s == one.file.source);
        let source = source.context("a source is gone")?;
        read(context, &part.path, file, source, &mut rows).await?;
    }
    Ok(add_up(&sources, rows))
}

async fn read(
    context: &Context,
    path: &str,
    file: usize,
    source: usize,
    rows: &mut HashMap<String, Told>,
) -> Result<()> {
    let columns = ["record_id", "version", "deleted", "order_number", "total"];
    let mut stream = musubi_lake::parquet::stream(&context.store, path, Some(&columns)).await?;
    let mut at = 0;
    while let Some(batch) = stream.try_next().await? {
        let column = |name: &str| {
            batch
                .column_by_name(name)
                .with_context(|| format!("{path} has no column {name}"))
        };
        let ids = column("record_id")?.as_string::<i32>();
        let versions = column("version")?.as_primitive::<Int64Type>();
        let deleted = column("deleted")?.as_boolean();
        let orders = column("order_number")?.as_string::<i32>();
        let totals = column("total")?.as_primitive::<Decimal128Type>();
        for i in 0..batch.num_rows() {
            at += 1;
            let version = if versions.is_valid(i) {
                versions.value(i)
            } else {
                i64::MIN
            };
            let newest = (version, file, at);
            let id = ids.value(i);
            if rows.get(id).is_some_and(|known| known.newest > newest) {
                continue;
            }
            let told = Told {
                source,
                newest,
                deleted: deleted.value(i),
                order: orders.is_valid(i).then(|| orders.value(i).to_owned()),
                total: totals.is_valid(i).then(|| totals.value(i)),
            };
            rows.insert(id.to_owned(), told);
        }
    }
    Ok(())
}

fn add_up(sources: &[&str], rows: HashMap<String, Told>) -> Vec<SourceTotal> {
    let standing: Vec<Told> = rows.into_values().filter(|t| !t.deleted).collect();
    let mut first: HashMap<&str, usize> = HashMap::new();
    for told in standing.iter().filter(|t| t.total.is_some()) {
        if let Some(order) = &told.order {
            let best = first.entry(order).or_insert(told.source);
            *best = (*best).min(told.source);
        }
    }
    let mut totals: Vec<SourceTotal> = sources
        .iter()
        .map(|s| SourceTotal {
            source: (*s).to_owned(),
            ..SourceTotal::default()
        })
        .collect();
    for told in &standing {
        let amount = i64::try_from(told.total.unwrap_or(0)).unwrap_or(i64::MAX);
        let entry = &mut totals[told.source];
        entry.orders += 1;
        entry.total += amount;
        let winner = told.order.as_deref().and_then(|o| first.get(o));
        if winner.is_some_and(|w| *w != told.source) {
            entry.told_orders += 1;
            entry.told_total += amount;
        }
    }
    totals.retain(|t| t.orders > 0);
    totals
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(source: usize, order: &str, total: Option<i128>, deleted: bool) -> Told {
        Told {
            source,
            newest: (0, 0, 0),
            deleted,
            order: Some(order.to_owned()),
            total,
        }
    }

    #[test]
    fn an_order_that_two_sources_tell_counts_once() {
        let rows = [
            ("a", told(0, "1", Some(500), false)),
            ("b", told(1, "1", Some(510), false)),
            ("c", told(1, "2", Some(70), false)),
            ("d", told(0, "3", None, false)),
            ("e", told(1, "3", Some(9), false)),
            ("f", told(0, "4", Some(1_000), true)),
        ];
        let rows = rows.map(|(id, told)| (id.to_owned(), told)).into();
        let totals = add_up(&["shop", "oms"], rows);
        let [shop, oms] = &totals[..] else {
            panic!("two sources, not {totals:?}");
        };
        assert_eq!(
            (shop.orders, shop.counted_orders(), shop.counted()),
            (2, 1, 500)
        );
        assert_eq!((oms.orders, oms.told_orders, oms.counted()), (3, 1, 79));
    }
}
