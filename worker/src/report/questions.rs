//! The five questions of a retailer, asked of the warehouse.

use anyhow::{Context as _, Result};
use rusqlite::{Connection, types::ValueRef};

use super::{Answer, Cell};

struct Question {
    title: &'static str,
    sql: &'static str,
    shown: usize,
    sentence: fn(&[Vec<Cell>]) -> Option<String>,
}

const QUESTIONS: [Question; 5] = [
    Question {
        title: "Who are our most valuable omnichannel customers?",
        sql: include_str!("questions/1_value.sql"),
        shown: 4,
        sentence: |rows| {
            let best = rows.first()?;
            Some(format!(
                "Customers who buy through {} are worth most: {} each over {} customers, {} of them in the best tenth.",
                best[0], best[4], best[1], best[2]
            ))
        },
    },
    Question {
        title: "Which campaigns drive repeat purchases across online and offline?",
        sql: include_str!("questions/2_campaigns.sql"),
        shown: 5,
        sentence: |rows| {
            let best = rows.first()?;
            Some(format!(
                "{} brought {} % of the {} customers it reached to a second purchase within 30 days; {} bought both online and in a store.",
                best[0], best[5], best[1], best[4]
            ))
        },
    },
    Question {
        title: "How do behaviours differ by region, category and store cluster?",
        sql: include_str!("questions/3_regions.sql"),
        shown: 3,
        sentence: |rows| {
            let (best, last) = (rows.first()?, rows.last()?);
            Some(format!(
                "An order is worth {} in {} and {} in {}; there {} comes first with {} % of the revenue.",
                best[3], best[0], last[3], last[0], last[4], last[5]
            ))
        },
    },
    Question {
        title: "Where are data gaps that hurt personalisation or reporting?",
        sql: include_str!("questions/4_gaps.sql"),
        shown: 3,
        sentence: |rows| {
            let worst = rows.first()?;
            Some(format!(
                "The widest gap: {}, {} of {} ({} %).",
                worst[0], worst[1], worst[2], worst[3]
            ))
        },
    },
    Question {
        title: "Which operational patterns affect fulfilment and satisfaction?",
        sql: include_str!("questions/5_operations.sql"),
        shown: 2,
        sentence: |rows| {
            let worst = rows.first()?;
            Some(format!(
                "{} is late with {} % of {} deliveries and brings {} tickets per 100; those who wrote gave {} of 5.",
                worst[0], worst[2], worst[1], worst[4], worst[5]
            ))
        },
    },
];

/// Asks the five questions of a warehouse's SQLite tables.
///
/// # Errors
/// When a table is missing; load all tables, without `spec.tables`.
pub fn questions(warehouse: &Connection) -> Result<Vec<Answer>> {
    QUESTIONS
        .iter()
        .map(|q| ask(warehouse, q).with_context(|| q.title.to_owned()))
        .collect()
}

fn ask(warehouse: &Connection, question: &Question) -> Result<Answer> {
    let mut statement = warehouse.prepare(question.sql)?;
    let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let mut rows = Vec::new();
    let mut found = statement.query([])?;
    while let Some(row) = found.next()? {
        let cells = (0..columns.len()).map(|i| Ok(cell(row.get_ref(i)?)));
        rows.push(cells.collect::<Result<Vec<_>>>()?);
    }
    let sentence = (question.sentence)(&rows).unwrap_or_else(|| {
        "No rows answer this yet: the sources that it needs brought nothing.".into()
    });
    Ok(Answer {
        question: question.title.into(),
        sql: question.sql.trim().into(),
        columns,
        rows,
        shown: question.shown,
        sentence,
    })
}

fn cell(value: ValueRef<'_>) -> Cell {
    match value {
        #[expect(clippy::cast_precision_loss, reason = "shown to people")]
        ValueRef::Integer(n) => Cell::Number(n as f64),
        ValueRef::Real(n) => Cell::Number(n),
        ValueRef::Text(text) => Cell::Text(String::from_utf8_lossy(text).into_owned()),
        ValueRef::Null | ValueRef::Blob(_) => Cell::Empty,
    }
}
