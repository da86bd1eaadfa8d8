//! Tables and views in the words of a database.
//!
//! Money in SQLite: STRICT tables know INTEGER, REAL, TEXT, BLOB and ANY, and no decimal. A decimal column is
//! ANY with a check that it holds numbers: whole amounts (every amount in yen) are INTEGER, so that their
//! sums are exact in plain SQL; an amount with a fraction is the REAL that reads back as the same decimal.
//! The load verifies every sum to the last place. `total * 1.0 / n` divides without cutting off.

use std::fmt::Write as _;

use arrow::datatypes::DataType;

use super::Table;

/// The dialects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    Sqlite,
    Postgres,
}

/// Quotes a name.
pub(crate) fn name(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

/// Quotes a text.
pub(crate) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn column_type(dialect: Dialect, column: &str, kind: &DataType) -> String {
    let column = name(column);
    if dialect == Dialect::Postgres {
        return match kind {
            DataType::Int32 => "integer".into(),
            DataType::Int64 => "bigint".into(),
            DataType::Boolean => "boolean".into(),
            DataType::Date32 => "date".into(),
            DataType::Timestamp(..) => "timestamptz".into(),
            DataType::Decimal128(precision, scale) => format!("numeric({precision},{scale})"),
            DataType::Float64 => "double precision".into(),
            _ => "text".into(),
        };
    }
    match kind {
        DataType::Int32 | DataType::Int64 => "INTEGER".into(),
        DataType::Boolean => format!("INTEGER CHECK ({column} IN (0, 1))"),
        DataType::Float64 => "REAL".into(),
        DataType::Decimal128(..) => {
            format!("ANY CHECK (typeof({column}) IN ('integer', 'real', 'null'))")
        }
        _ => "TEXT".into(),
    }
}

/// What people read beside a column.
pub(super) fn comment(table: &Table, column: &str) -> Option<String> {
    let text = table.comments.get(column).map_or("", String::as_str);
    match (table.personal.contains(column), text) {
        (false, "") => None,
        (false, text) => Some(text.into()),
        (true, "") => Some("personal".into()),
        (true, text) => Some(format!("{text} (personal)")),
    }
}

/// The column that says which file a row came from.
pub(super) const FILE: &str = "_file";

/// The statement that makes a table. SQLite keeps the text, comments and all, for `.schema`.
pub(super) fn create(dialect: Dialect, table: &Table) -> String {
    let mut sql = format!("CREATE TABLE {} (", name(&table.name));
    let one_line = |text: &str| text.replace(['\n', '\r'], " ");
    if dialect == Dialect::Sqlite && !table.doc.is_empty() {
        let _ = write!(sql, " -- {}", one_line(&table.doc));
    }
    for field in table.schema.fields() {
        let kind = column_type(dialect, field.name(), field.data_type());
        let not_null = if table.key.contains(field.name()) {
            " NOT NULL"
        } else {
            ""
        };
        let _ = write!(sql, "\n  {} {kind}{not_null},", name(field.name()));
        if dialect == Dialect::Sqlite
            && let Some(comment) = comment(table, field.name())
        {
            let _ = write!(sql, " -- {}", one_line(&comment));
        }
    }
    let integer = if dialect == Dialect::Sqlite {
        "INTEGER"
    } else {
        "bigint"
    };
    let _ = write!(sql, "\n  {} {integer} NOT NULL", name(FILE));
    if !table.key.is_empty() {
        let key: Vec<_> = table.key.iter().map(|k| name(k)).collect();
        let _ = write!(sql, ",\n  PRIMARY KEY ({})", key.join(", "));
    }
    sql.push_str(if dialect == Dialect::Sqlite {
        "\n) STRICT"
    } else {
        "\n)"
    });
    sql
}

/// Columns that facts are looked up by, where a table has them.
const INDEXED: [&str; 5] = [
    "customer_id",
    "customer_record",
    "order_number",
    "business_date",
    FILE,
];

/// Indexes of a table.
pub(super) fn indexes(table: &Table) -> Vec<String> {
    let has = |c: &str| c == FILE || table.schema.field_with_name(c).is_ok();
    INDEXED
        .into_iter()
        .filter(|c| has(c) && table.key.first().map(String::as_str) != Some(c))
        .map(|c| {
            let index = format!("{}_{}", table.name, c.trim_start_matches('_'));
            format!(
                "CREATE INDEX {} ON {} ({})",
                name(&index),
                name(&table.name),
                name(c)
            )
        })
        .collect()
}

/// Names of the columns, quoted, with the number of the file at the end.
pub(super) fn columns(table: &Table) -> String {
    let mut columns: Vec<_> = table
        .schema
        .fields()
        .iter()
        .map(|f| name(f.name()))
        .collect();
    columns.push(name(FILE));
    columns.join(", ")
}

/// That two rows have the same key.
pub(super) fn same_key(table: &Table, left: &str, right: &str) -> String {
    let same = |key: &String| format!("{left}.{0} = {right}.{0}", name(key));
    table.key.iter().map(same).collect::<Vec<_>>().join(" AND ")
}

/// The rows of some files of a table.
pub(super) fn of_files(live: &str, files: &[i64]) -> String {
    let files: Vec<String> = files.iter().map(i64::to_string).collect();
    format!("{live} WHERE {} IN ({})", name(FILE), files.join(", "))
}

/// Views that join facts to customers: `v_orders` is `orders` with `customer_id`, and so on. Facts carry the
/// record that they belong to, and `links` says whose record it is, so that a merge rewrites no fact.
pub(super) fn views(tables: &[Table]) -> Vec<(String, String)> {
    let find = |n: &str| tables.iter().find(|t| t.name == n);
    if find("links").is_none() {
        return Vec::new();
    }
    let listed = |table: &Table, alias: &str| {
        let columns = table
            .schema
            .fields()
            .iter()
            .filter(|f| f.name() != "customer_id");
        let columns: Vec<_> = columns
            .map(|f| format!("{alias}.{}", name(f.name())))
            .collect();
        columns.join(", ")
    };
    let mut views = Vec::new();
    for table in tables {
        if table.schema.field_with_name("customer_record").is_err() {
            continue;
        }
        let view = format!("v_{}", table.name);
        let select = format!(
            "SELECT {}, l.customer_id FROM {} f LEFT JOIN links l ON l.record_id = f.customer_record",
            listed(table, "f"),
            name(&table.name)
        );
        views.push((view, select));
    }
    if let (Some(lines), Some(_)) = (find("order_lines"), find("orders")) {
        let select = format!(
            "SELECT {}, o.channel, o.kind, o.store_code, o.ordered_at, o.customer_record, l.customer_id \
             FROM order_lines f LEFT JOIN orders o ON o.order_number = f.order_number \
             LEFT JOIN links l ON l.record_id = o.customer_record",
            listed(lines, "f")
        );
        let has = |c: &str| find("orders").is_some_and(|t| t.schema.field_with_name(c).is_ok());
        if [
            "channel",
            "kind",
            "store_code",
            "ordered_at",
            "customer_record",
            "order_number",
        ]
        .into_iter()
        .all(has)
        {
            views.push(("v_order_lines".into(), select));
        }
    }
    views
}

/// Tables that keep the ledger.
pub(super) fn ledger(dialect: Dialect) -> String {
    let (integer, strict) = match dialect {
        Dialect::Sqlite => ("INTEGER", " STRICT"),
        Dialect::Postgres => ("bigint", ""),
    };
    let text = if dialect == Dialect::Sqlite {
        "TEXT"
    } else {
        "text"
    };
    format!(
        "CREATE TABLE IF NOT EXISTS musubi_loads (
           pipeline {text} NOT NULL, version {integer} NOT NULL, table_name {text} NOT NULL, run {text} NOT NULL,
           rows {integer} NOT NULL, digest {text} NOT NULL, shape {text} NOT NULL, loaded_at {text} NOT NULL,
           PRIMARY KEY (pipeline, version, table_name)
         ){strict};
         CREATE TABLE IF NOT EXISTS musubi_files (
           id {integer} NOT NULL PRIMARY KEY, table_name {text} NOT NULL, path {text} NOT NULL, sums {text} NOT NULL
         ){strict};"
    )
}
