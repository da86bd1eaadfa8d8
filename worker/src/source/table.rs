//! Tables of PostgreSQL, read as JSON lines: numerics as text, so that no digit is lost, times in UTC.
//!
//! One read-only transaction sees one state of the table. With a cursor, a read starts the overlap before the last
//! bookmark, so that rows committed late are seen; keys make rows that come twice one.

use std::io::Write;

use anyhow::{Context as _, Result, bail};
use musubi_api::{
    secrets::Secrets,
    source::{PostgresConnector, Table},
    warehouse::PostgresWarehouse,
};
use tokio_postgres::{Client, IsolationLevel, types::Type};

use crate::warehouse::{Credentials, connect_postgres as connect, told};

/// Rows that come at once.
const PORTION: i32 = 8192;

/// Writes the rows of a table as JSON lines; returns the largest cursor seen, or the bookmark when nothing is new.
/// What the server says of a value that it cannot read is not repeated.
pub(super) async fn read(
    server: &PostgresConnector,
    table: &Table,
    bookmark: Option<&str>,
    secrets: &Secrets,
    out: &mut impl Write,
) -> Result<Option<String>> {
    let place = PostgresWarehouse {
        host: server.host.clone(),
        port: server.port,
        database: server.database.clone(),
        schema: "public".into(),
        credentials: server.credentials.clone(),
        tls: server.tls,
    };
    let credentials = Credentials {
        username: secrets.get(&server.credentials, "username")?,
        password: secrets.get(&server.credentials, "password")?,
    };
    let mut client = connect(&place, &credentials).await?;
    read_rows(&mut client, table, bookmark, out)
        .await
        .map_err(|error| told(error, &place))
}

async fn read_rows(
    client: &mut Client,
    table: &Table,
    bookmark: Option<&str>,
    out: &mut impl Write,
) -> Result<Option<String>> {
    let transaction = client
        .build_transaction()
        .isolation_level(IsolationLevel::RepeatableRead)
        .read_only(true)
        .start()
        .await?;
    let from = table
        .name
        .split('.')
        .map(quoted)
        .collect::<Vec<_>>()
        .join(".");
    let columns = transaction
        .prepare(&format!("SELECT * FROM {from} LIMIT 0"))
        .await?;
    let query = query(table, &from, bookmark, columns.columns())?;
    let portal = transaction.bind(&query, &[]).await?;
    let mut last = bookmark.map(str::to_owned);
    loop {
        let rows = transaction.query_portal(&portal, PORTION).await?;
        for row in &rows {
            out.write_all(row.try_get::<_, &str>(0)?.as_bytes())?;
            out.write_all(b"\n")?;
            if let Some(cursor) = row.try_get::<_, Option<String>>(1)? {
                last = Some(cursor);
            }
        }
        if rows.len() < PORTION as usize {
            break;
        }
    }
    transaction.commit().await?;
    Ok(last)
}

/// The statement: a row as JSON, and its cursor as text.
fn query(
    table: &Table,
    from: &str,
    bookmark: Option<&str>,
    columns: &[tokio_postgres::Column],
) -> Result<String> {
    let known = |name: &str| columns.iter().find(|c| c.name() == name);
    let wanted: Vec<&str> = match table.columns.as_slice() {
        [] => columns.iter().map(tokio_postgres::Column::name).collect(),
        names => names.iter().map(String::as_str).collect(),
    };
    let mut selected = Vec::new();
    for name in wanted {
        let column = known(name)
            .with_context(|| format!("the table has no column {name:?}; correct table.columns"))?;
        let name = quoted(name);
        selected.push(match *column.type_() {
            Type::NUMERIC | Type::MONEY => format!("t.{name}::numeric::text AS {name}"),
            Type::BYTEA => format!("encode(t.{name}, 'hex') AS {name}"),
            _ => format!("t.{name}"),
        });
    }
    let mut order: Vec<String> = table
        .key
        .iter()
        .map(|k| format!("t.{}", quoted(k)))
        .collect();
    let (mut position, mut since) = ("NULL::text".to_owned(), String::new());
    if let Some(cursor) = &table.cursor {
        let column = known(cursor)
            .with_context(|| format!("the table has no column {cursor:?}; correct table.cursor"))?;
        let name = format!("t.{}", quoted(cursor));
        position = format!("{name}::text");
        order.insert(0, format!("{name} NULLS FIRST"));
        if let Some(bookmark) = bookmark {
            let start = start(column.type_(), bookmark, table.overlap.as_deref())?;
            since = format!("WHERE {name} >= {start} OR {name} IS NULL");
        }
    }
    let order = if order.is_empty() {
        String::new()
    } else {
        format!("ORDER BY {}", order.join(", "))
    };
    let selected = selected.join(", ");
    Ok(format!(
        "SELECT (SELECT row_to_json(r)::text FROM (SELECT {selected}) r), {position} FROM {from} t {since} {order}"
    ))
}

/// Where a read starts: the overlap before the bookmark.
fn start(cursor: &Type, bookmark: &str, overlap: Option<&str>) -> Result<String> {
    let bookmark = format!("'{}'", bookmark.replace('\'', "''"));
    let overlap = overlap.unwrap_or("0").trim();
    match *cursor {
        Type::INT2 | Type::INT4 | Type::INT8 | Type::NUMERIC => {
            let units: u64 = overlap
                .parse()
                .context("table.overlap: the cursor is a number, so give a number")?;
            Ok(format!("{bookmark}::numeric - {units}"))
        }
        Type::TIMESTAMP | Type::TIMESTAMPTZ | Type::DATE => {
            let seconds = seconds(overlap)?;
            let kind = if *cursor == Type::TIMESTAMPTZ {
                "timestamptz"
            } else {
                "timestamp"
            };
            Ok(format!("{bookmark}::{kind} - interval '{seconds} seconds'"))
        }
        _ if overlap == "0" => Ok(format!("{bookmark}::{}", cursor.name())),
        _ => {
            bail!("table.overlap: the cursor is neither a number nor a time; leave the overlap out")
        }
    }
}

fn seconds(overlap: &str) -> Result<u64> {
    let digits = overlap.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &overlap[digits.len()..] {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86400,
        _ => bail!("table.overlap: give a whole number with s, m, h or d, like 10m"),
    };
    let count: u64 = digits
        .parse()
        .context("table.overlap: give a whole number with s, m, h or d, like 10m")?;
    count.checked_mul(unit).context("table.overlap: too long")
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
