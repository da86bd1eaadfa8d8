//! What a trace is asked for: `table/key/column`, and the row that it names.

use anyhow::{Context as _, Result, bail};
use arrow::{
    array::{Array, RecordBatch},
    util::display::{ArrayFormatter, FormatOptions},
};
use futures::{StreamExt, TryStreamExt};
use musubi_api::problem::nearest;
use musubi_lake::{Store, delta, delta::DataFile, parquet, pointer::Published};

use crate::stage::tables::{self, Table};

/// Files that are looked through side by side.
pub(super) const TOGETHER: usize = 16;

/// A value, or a row, of a curated table.
pub struct Address {
    /// The table.
    pub table: Table,
    /// Values of the table's key, in its order.
    pub key: Vec<String>,
    /// The column; all when absent.
    pub column: Option<String>,
}

impl Address {
    /// Reads `table/key/column`. A table with a key of several columns has a part for each; `%2F` stands for a slash
    /// in a part, an empty part for no value.
    ///
    /// # Errors
    /// When there is no such table or column, or the key has too few or too many parts.
    pub fn parse(text: &str) -> Result<Self> {
        let mut parts = text.split('/').map(unescape);
        let name = parts.next().unwrap_or_default();
        let all = tables::all();
        let names: Vec<&'static str> = all.iter().map(|t| t.name).collect();
        let Some(table) = all.into_iter().find(|t| t.name == name) else {
            match nearest(&name, names.iter().copied()) {
                Some(near) => bail!("there is no table {name}; did you mean {near}?"),
                None => bail!(
                    "there is no table {name}; the tables are {}",
                    names.join(", ")
                ),
            }
        };
        let mut key: Vec<String> = parts.collect();
        let wanted = table.key.len();
        let column = (key.len() == wanted + 1).then(|| key.pop()).flatten();
        if key.len() != wanted {
            let parts: Vec<String> = table.key.iter().map(|k| format!("<{k}>")).collect();
            bail!(
                "a row of {name} is named by {} part{}: {name}/{}, with /<column> for one value (write %2F for a slash within a part)",
                wanted,
                if wanted == 1 { "" } else { "s" },
                parts.join("/")
            );
        }
        if let Some(column) = &column
            && table.schema.field_with_name(column).is_err()
        {
            let columns = table.schema.fields().iter().map(|f| f.name().as_str());
            match nearest(column, columns.clone()) {
                Some(near) => bail!("{name} has no column {column}; did you mean {near}?"),
                None => bail!(
                    "{name} has no column {column}; its columns are {}",
                    columns.collect::<Vec<_>>().join(", ")
                ),
            }
        }
        Ok(Self { table, key, column })
    }

    /// The key for people: without values that say something about a person.
    #[must_use]
    pub fn shown_key(&self) -> String {
        let parts = self.table.key.iter().zip(&self.key);
        let parts = parts.map(|(column, value)| {
            if self.table.personal.contains(*column) {
                format!("<{column}>")
            } else {
                value.clone()
            }
        });
        parts.collect::<Vec<_>>().join("/")
    }
}

fn unescape(part: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = part.as_bytes();
    while let [first, tail @ ..] = rest {
        let code = match (first, tail) {
            (b'%', [a, b, ..]) => hex::decode([*a, *b]).ok(),
            _ => None,
        };
        rest = match code {
            Some(code) => {
                bytes.extend(code);
                &tail[2..]
            }
            None => {
                bytes.push(*first);
                tail
            }
        };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The text of a value, by which keys are compared; nothing for null.
///
/// # Errors
/// When Arrow cannot write values of the column's type.
pub fn value(batch: &RecordBatch, column: &str, row: usize) -> Result<Option<String>> {
    let values = batch
        .column_by_name(column)
        .with_context(|| format!("column {column} is missing"))?;
    if values.is_null(row) {
        return Ok(None);
    }
    let options = FormatOptions::default();
    Ok(Some(
        ArrayFormatter::try_new(values, &options)?
            .value(row)
            .to_string(),
    ))
}

/// The files of a table in a published version.
pub(super) async fn files(
    store: &Store,
    published: &Published,
    table: &str,
) -> Result<Vec<DataFile>> {
    let Some(at) = published.tables.get(table) else {
        return Ok(Vec::new());
    };
    let folder = format!("curated/{table}");
    let snapshot = delta::snapshot(store, &folder, Some(at.delta_version)).await?;
    Ok(snapshot
        .map(|s| s.files.into_values().collect())
        .unwrap_or_default())
}

/// The rows of a table for which `wanted` holds, looking at `columns` only; whole rows.
pub(super) async fn rows(
    store: &Store,
    published: &Published,
    table: &str,
    columns: &[&str],
    wanted: impl Fn(&RecordBatch, usize) -> Result<bool> + Sync,
) -> Result<Vec<RecordBatch>> {
    let files = files(store, published, table).await?;
    let wanted = &wanted;
    let mut parts: Vec<(usize, Vec<RecordBatch>)> =
        futures::stream::iter(files.into_iter().enumerate())
            .map(|(at, file)| async move {
                let path = format!("curated/{table}/{}", file.path);
                let mut hits = Vec::new();
                let mut begin = 0;
                let mut stream = parquet::stream(store, &path, Some(columns)).await?;
                while let Some(batch) = stream.try_next().await? {
                    for row in 0..batch.num_rows() {
                        if wanted(&batch, row)? {
                            hits.push(begin + row);
                        }
                    }
                    begin += batch.num_rows();
                }
                anyhow::Ok((at, pick(store, &path, &hits).await?))
            })
            .buffer_unordered(TOGETHER)
            .try_collect()
            .await?;
    parts.sort_by_key(|(at, _)| *at);
    Ok(parts.into_iter().flat_map(|(_, rows)| rows).collect())
}

/// Rows of a file by position, ascending.
async fn pick(store: &Store, path: &str, rows: &[usize]) -> Result<Vec<RecordBatch>> {
    let mut picked = Vec::new();
    let Some(last) = rows.last() else {
        return Ok(picked);
    };
    let mut begin = 0;
    let mut stream = parquet::stream(store, path, None).await?;
    while begin <= *last
        && let Some(batch) = stream.try_next().await?
    {
        let end = begin + batch.num_rows();
        for row in rows.iter().filter(|r| (begin..end).contains(*r)) {
            picked.push(batch.slice(row - begin, 1));
        }
        begin = end;
    }
    Ok(picked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_read_or_refused_with_the_way_out() {
        let address =
            Address::parse("identifiers/c1/email/a%2Fb@example.com/value").expect("an address");
        assert_eq!(address.key, ["c1", "email", "a/b@example.com"]);
        assert_eq!(address.column.as_deref(), Some("value"));
        assert_eq!(address.shown_key(), "c1/email/<value>");
        let refused = [
            ("customer/c1", "did you mean customers?"),
            ("nothing/c1", "the tables are customers, "),
            ("customers", "customers/<customer_id>"),
            ("customers/c1/emial", "did you mean email?"),
            ("identifiers/c1", "identifiers/<customer_id>/<kind>/<value>"),
        ];
        for (text, part) in refused {
            let error = Address::parse(text)
                .err()
                .map(|e| e.to_string())
                .unwrap_or_default();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
