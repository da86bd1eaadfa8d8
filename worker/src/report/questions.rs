//! The five questions of a retailer, asked of the warehouse.

use anyhow::{Context as _, Result};
use rusqlite::{Connection, types::ValueRef};

use super::{Answer, Cell, Unit};

/// What the rows of an answer say, in a sentence; the function writes amounts.
type Sentence = fn(&[Vec<Cell>], &dyn Fn(&Cell) -> String) -> Option<String>;

struct Question {
    title: &'static str,
    sql: &'static str,
    shown: usize,
    unit: Unit,
    sentence: Sentence,
}

const QUESTIONS: [Question; 5] = [
    Question {
        title: "Who are our most valuable omnichannel customers?",
        sql: include_str!("questions/1_value.sql"),
        shown: 4,
        unit: Unit::Money,
        sentence: |rows, money| {
            let best = rows.first()?;
            let sum = |column: usize, several: bool| -> f64 {
                let wanted = rows.iter().filter(|r| {
                    !several || matches!(&r[0], Cell::Text(text) if text.contains(" + "))
                });
                wanted.filter_map(|r| r[column].number()).sum()
            };
            let share = |column: usize| 100.0 * sum(column, true) / sum(column, false).max(1.0);
            Some(format!(
                "Customers of several channels are {:.0} % of the buyers and bring {:.0} % of their revenue; worth most are those who buy through {}: {} each, {} of {} in the best tenth.",
                share(1).abs(),
                share(3).abs(),
                best[0],
                money(&best[4]),
                best[2],
                best[1]
            ))
        },
    },
    Question {
        title: "Which campaigns drive repeat purchases across online and offline?",
        sql: include_str!("questions/2_campaigns.sql"),
        shown: 5,
        unit: Unit::Percent,
        sentence: |rows, _| {
            let best = rows.first()?;
            Some(format!(
                "{} works best: {} % of the {} customers it reached bought at least twice within 30 days, and {} of them both online and in a store.",
                best[0], best[5], best[1], best[4]
            ))
        },
    },
    Question {
        title: "How do behaviours differ by region, category and store cluster?",
        sql: include_str!("questions/3_regions.sql"),
        shown: 3,
        unit: Unit::Money,
        sentence: |rows, money| {
            let (best, last) = (rows.first()?, rows.last()?);
            Some(format!(
                "An order is worth {} in {} and {} in {}; there, {} comes first with {} % of the revenue.",
                money(&best[3]),
                best[0],
                money(&last[3]),
                last[0],
                last[4],
                last[5]
            ))
        },
    },
    Question {
        title: "Where are data gaps that hurt personalisation or reporting?",
        sql: include_str!("questions/4_gaps.sql"),
        shown: 3,
        unit: Unit::Percent,
        sentence: |rows, _| {
            let worst = rows.first()?;
            let reach = rows
                .iter()
                .find(|r| matches!(&r[0], Cell::Text(text) if text.contains("any way to reach")));
            let reach = reach.map_or_else(String::new, |r| {
                format!(" {} % of the customers cannot be reached at all.", r[3])
            });
            Some(format!(
                "The widest gap is {}: {} of {} ({} %).{reach}",
                worst[0], worst[1], worst[2], worst[3]
            ))
        },
    },
    Question {
        title: "Which operational patterns affect fulfilment and satisfaction?",
        sql: include_str!("questions/5_operations.sql"),
        shown: 2,
        unit: Unit::Percent,
        sentence: |rows, _| {
            let (worst, best) = (rows.first()?, rows.last()?);
            Some(format!(
                "{} comes more than 10 minutes late with {} % of its deliveries, {} with {} %; per 100 deliveries they bring {} and {} tickets, with {} and {} of 5 for satisfaction.",
                worst[0], worst[2], best[0], best[2], worst[4], best[4], worst[5], best[5]
            ))
        },
    },
];

/// Asks the five questions of a warehouse's SQLite tables. `money` writes an amount with its currency.
///
/// # Errors
/// When a table is missing; load all tables, without `spec.tables`.
pub fn questions(warehouse: &Connection, money: &dyn Fn(&Cell) -> String) -> Result<Vec<Answer>> {
    QUESTIONS
        .iter()
        .map(|q| ask(warehouse, q, money).with_context(|| q.title.to_owned()))
        .collect()
}

fn ask(
    warehouse: &Connection,
    question: &Question,
    money: &dyn Fn(&Cell) -> String,
) -> Result<Answer> {
    let mut statement = warehouse.prepare(question.sql)?;
    let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let mut rows = Vec::new();
    let mut found = statement.query([])?;
    while let Some(row) = found.next()? {
        let cells = (0..columns.len()).map(|i| Ok(cell(row.get_ref(i)?)));
        rows.push(cells.collect::<Result<Vec<_>>>()?);
    }
    let sentence = (question.sentence)(&rows, money).unwrap_or_else(|| {
        "No rows answer this yet: the sources that it needs brought nothing.".into()
    });
    Ok(Answer {
        question: question.title.into(),
        sql: question.sql.trim().into(),
        columns,
        rows,
        shown: question.shown,
        unit: question.unit,
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
