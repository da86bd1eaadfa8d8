//! The segment, read from the warehouse in a transaction that cannot write.

use anyhow::{Context as _, Result, bail};
use rusqlite::{Connection, OpenFlags};

use super::{Activation, filter};
use crate::warehouse::{Credentials, SecretLookup, connect_postgres, told};

/// Who is to be delivered.
pub(super) struct Segment {
    /// Columns: `customer_id`, then those that were asked for.
    pub(super) columns: Vec<String>,
    /// Values as text, ordered by customer id.
    pub(super) rows: Vec<Vec<Option<String>>>,
    /// How many the filter chose, with and without consent.
    pub(super) segment: u64,
}

pub(super) async fn segment(
    activation: &Activation<'_>,
    secret: &SecretLookup<'_>,
) -> Result<Segment> {
    filter::check(&activation.audience.filter)?;
    match (&activation.warehouse.sqlite, &activation.warehouse.postgres) {
        (Some(sqlite), None) => from_sqlite(activation, &sqlite.path),
        (None, Some(server)) => {
            let credentials = Credentials {
                username: secret(&server.credentials, "username")?,
                password: secret(&server.credentials, "password")?,
            };
            let mut client = connect_postgres(server, &credentials).await?;
            from_postgres(activation, &mut client)
                .await
                .map_err(|error| told(error, server))
        }
        _ => bail!("a Warehouse needs exactly one of spec.sqlite and spec.postgres"),
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The columns to deliver, each with the table that has it. Only names that a table really has get into SQL.
fn columns(
    activation: &Activation<'_>,
    customers: &[String],
    features: &[String],
) -> Result<Vec<(String, String)>> {
    let mut chosen = vec![("customer_id".to_owned(), "c.\"customer_id\"".to_owned())];
    for column in &activation.audience.columns {
        if column == "customer_id" {
            continue;
        }
        let table = if customers.contains(column) {
            "c"
        } else if features.contains(column) {
            "f"
        } else {
            let mut known: Vec<_> = customers
                .iter()
                .chain(features)
                .filter(|c| !c.starts_with('_'))
                .cloned()
                .collect();
            known.sort();
            known.dedup();
            bail!(
                "spec.columns: neither customers nor customer_features has {column}; there are {}",
                known.join(", ")
            );
        };
        chosen.push((column.clone(), format!("{table}.{}", quoted(column))));
    }
    Ok(chosen)
}

fn statement(chosen: &[(String, String)], filter: &str, parameter: &str, yes: &str) -> String {
    let cells: Vec<_> = chosen
        .iter()
        .enumerate()
        .map(|(i, (_, column))| format!("CAST({column} AS TEXT) AS v{i}"))
        .collect();
    format!(
        "WITH segment AS (SELECT {} FROM customers c JOIN customer_features f ON f.customer_id = c.customer_id \
         WHERE ({filter}\n)) \
         SELECT s.*, CAST(EXISTS (SELECT 1 FROM customer_consents k WHERE k.customer_id = s.v0 \
         AND k.purpose = {parameter} AND k.granted = {yes}) AS INTEGER) AS consented \
         FROM segment s ORDER BY s.v0",
        cells.join(", ")
    )
}

fn from_sqlite(activation: &Activation<'_>, path: &str) -> Result<Segment> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)
        .with_context(|| format!("open the warehouse {path}"))?;
    connection.busy_timeout(std::time::Duration::from_secs(60))?;
    let names = |table: &str| -> Result<Vec<String>> {
        let mut names = connection.prepare("SELECT name FROM pragma_table_info(?)")?;
        let names = names
            .query_map([table], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        Ok(names)
    };
    let chosen = columns(
        activation,
        &names("customers")?,
        &names("customer_features")?,
    )?;
    let sql = statement(&chosen, &activation.audience.filter, "?1", "1");
    let mut statement = connection
        .prepare(&sql)
        .context("spec.filter is not understood by the warehouse")?;
    let mut found = Segment {
        columns: chosen.into_iter().map(|(c, _)| c).collect(),
        rows: Vec::new(),
        segment: 0,
    };
    let width = found.columns.len();
    let mut rows = statement.query([&activation.audience.consent])?;
    while let Some(row) = rows.next()? {
        found.segment += 1;
        if row.get::<_, i64>(width)? == 1 {
            found
                .rows
                .push((0..width).map(|i| row.get(i)).collect::<Result<_, _>>()?);
        }
    }
    Ok(found)
}

async fn from_postgres(
    activation: &Activation<'_>,
    client: &mut tokio_postgres::Client,
) -> Result<Segment> {
    let transaction = client.build_transaction().read_only(true).start().await?;
    let mut names = Vec::new();
    for table in ["customers", "customer_features"] {
        let sql = "SELECT column_name::text FROM information_schema.columns \
                   WHERE table_schema::text = current_schema()::text AND table_name::text = $1";
        let rows = transaction.query(sql, &[&table]).await?;
        names.push(
            rows.iter()
                .map(|r| r.get::<_, String>(0))
                .collect::<Vec<_>>(),
        );
    }
    let chosen = columns(activation, &names[0], &names[1])?;
    let sql = statement(&chosen, &activation.audience.filter, "$1", "true");
    let rows = transaction
        .query(&sql, &[&activation.audience.consent])
        .await
        .context("spec.filter is not understood by the warehouse")?;
    let mut found = Segment {
        columns: chosen.into_iter().map(|(c, _)| c).collect(),
        rows: Vec::new(),
        segment: 0,
    };
    let width = found.columns.len();
    for row in rows {
        found.segment += 1;
        if row.get::<_, i32>(width) == 1 {
            found.rows.push((0..width).map(|i| row.get(i)).collect());
        }
    }
    Ok(found)
}
