//! What the page shows of the warehouse's tables.

use std::collections::BTreeMap;

use anyhow::Result;
use rusqlite::Connection;

use super::{ReportData, RunSummary, Sale, SourceTotal, questions};

/// Fills a page from a run's summary and its tables in SQLite. `weights` are pairs by match weight,
/// `source_totals` what the sources say they sold.
///
/// # Errors
/// When a table is missing.
pub fn collect(
    warehouse: &Connection,
    summary: RunSummary,
    as_of: String,
    weights: Vec<(f64, u64)>,
    source_totals: Vec<SourceTotal>,
) -> Result<ReportData> {
    let currency =
        "SELECT coalesce(currency, 'jpy') FROM orders GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 1";
    let currency = list(warehouse, currency, |r| r.get::<_, String>(0))?
        .pop()
        .unwrap_or_else(|| "jpy".into());
    let mut channels: BTreeMap<Vec<String>, u64> = BTreeMap::new();
    let combinations =
        "SELECT channels, count(*) FROM customer_features WHERE order_count > 0 GROUP BY 1";
    for (text, customers) in list(warehouse, combinations, |r| {
        Ok((r.get::<_, Option<String>>(0)?, r.get::<_, i64>(1)?))
    })? {
        let mut set: Vec<String> = text
            .unwrap_or_default()
            .split([',', '+', ';', '|', ' '])
            .filter(|c| !c.is_empty())
            .map(str::to_owned)
            .collect();
        set.sort();
        set.dedup();
        *channels.entry(set).or_default() += customers.unsigned_abs();
    }
    let mut channels: Vec<_> = channels.into_iter().collect();
    channels.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    let units = "coalesce(sum(CAST(round(total * 10000) AS INTEGER)), 0)";
    let sales = format!(
        "SELECT coalesce(CAST(business_date AS TEXT), '?'), coalesce(channel, '?'), {units} FROM orders GROUP BY 1, 2, total < 0 ORDER BY 1, 2, 3 DESC"
    );
    let sales = list(warehouse, &sales, |r| {
        Ok(Sale {
            date: r.get(0)?,
            channel: r.get(1)?,
            amount: r.get(2)?,
        })
    })?;
    let sizes = "SELECT size, count(*) FROM (SELECT count(*) AS size FROM links GROUP BY customer_id) GROUP BY 1 ORDER BY 1";
    let clusters = list(warehouse, sizes, |r| {
        Ok((
            r.get::<_, i64>(0)?.unsigned_abs(),
            r.get::<_, i64>(1)?.unsigned_abs(),
        ))
    })?;
    let answers = questions(warehouse, &|cell| amount(&currency, cell))?;
    Ok(ReportData {
        summary,
        as_of,
        currency,
        channels,
        sales,
        source_totals,
        weights,
        clusters,
        answers,
    })
}

/// A cell that is an amount.
pub(super) fn amount(currency: &str, cell: &super::Cell) -> String {
    #[expect(clippy::cast_possible_truncation, reason = "a rounded amount")]
    cell.number().map_or_else(
        || cell.to_string(),
        |n| super::money(currency, (n * 10_000.0).round() as i64),
    )
}

fn list<T>(
    warehouse: &Connection,
    sql: &str,
    read: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>> {
    let mut statement = warehouse.prepare(sql)?;
    let rows = statement.query_map([], read)?.collect::<Result<_, _>>()?;
    Ok(rows)
}
