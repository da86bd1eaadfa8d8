//! PostgreSQL. Rows come in by COPY into temporary tables; one transaction, under an advisory lock, checks the
//! ledger again and changes tables, comments, views and ledger together. Readers see either version, whole.

use anyhow::{Context as _, Result, bail};
use arrow::{array::RecordBatch, datatypes::DataType};
use bytes::Bytes;
use futures::{SinkExt as _, TryStreamExt as _};
use musubi_api::warehouse::{LoadMode, PostgresWarehouse};
use musubi_lake::Store;
use tokio_postgres::{Client, GenericClient, error::SqlState};

use super::{
    LoadReport, Outcome, Table, TableLoad, Tables, cells,
    difference::difference,
    ledger::{Change, Ledger, Staged},
    sql::{self, Dialect, literal, name},
    sqlite::arrange,
    sums::{Sums, parse_exact, scale},
};

mod connection;

pub(crate) use connection::told;
pub use connection::{Credentials, connect};

const ATTEMPTS: usize = 5;
/// How many bytes of rows go to the server at once.
const CHUNK: usize = 256 * 1024;

pub(super) async fn load(
    server: &PostgresWarehouse,
    credentials: &Credentials,
    mode: LoadMode,
    store: &Store,
    tables: &Tables,
) -> Result<LoadReport> {
    let mut client = connect(server, credentials).await?;
    load_over(&mut client, server, mode, store, tables)
        .await
        .map_err(|error| told(error, server))
}

async fn load_over(
    client: &mut Client,
    server: &PostgresWarehouse,
    mode: LoadMode,
    store: &Store,
    tables: &Tables,
) -> Result<LoadReport> {
    let lock = format!(
        "SELECT pg_advisory_xact_lock(hashtext({}))",
        literal(&format!("musubi {}", server.schema))
    );
    {
        let transaction = client.transaction().await?;
        transaction.batch_execute(&lock).await?;
        let exists = transaction
            .query_opt(
                "SELECT 1 FROM information_schema.schemata WHERE schema_name::text = $1",
                &[&server.schema],
            )
            .await?;
        if exists.is_none() {
            transaction
                .batch_execute(&format!("CREATE SCHEMA {}", name(&server.schema)))
                .await?;
        }
        transaction
            .batch_execute(&sql::ledger(Dialect::Postgres))
            .await?;
        transaction.commit().await?;
    }
    for _ in 0..ATTEMPTS {
        let ledger = read_ledger(client).await?;
        if let Some(report) = ledger.settled(tables)? {
            return Ok(report);
        }
        if let Some(report) = attempt(client, &lock, mode, store, tables, &ledger).await? {
            return Ok(report);
        }
    }
    bail!("other loads were faster {ATTEMPTS} times; try again when they are done")
}

async fn attempt(
    client: &mut Client,
    lock: &str,
    mode: LoadMode,
    store: &Store,
    tables: &Tables,
    ledger: &Ledger,
) -> Result<Option<LoadReport>> {
    let mut next_id = ledger.last_id;
    let mut changes = Vec::new();
    for table in &tables.tables {
        let change = ledger.change(table, mode);
        let staged = stage(client, store, table, &change, &mut next_id)
            .await
            .with_context(|| format!("stage table {}", table.name))?;
        changes.push((table, change, staged));
    }
    let transaction = client.transaction().await?;
    transaction.batch_execute(lock).await?;
    if read_ledger(&transaction).await? != *ledger {
        return Ok(None);
    }
    let views = sql::views(&tables.tables);
    if changes.iter().any(|(_, change, _)| change.anew) {
        for (view, _) in &views {
            transaction
                .batch_execute(&format!("DROP VIEW IF EXISTS {}", name(view)))
                .await?;
        }
    }
    let mut report = LoadReport {
        outcome: Outcome::Loaded,
        version: tables.version,
        tables: Default::default(),
    };
    for (table, change, staged) in &changes {
        let done = swap(&transaction, tables, table, change, staged)
            .await
            .with_context(|| format!("swap table {}", table.name))?;
        report.tables.insert(table.name.clone(), done);
    }
    for (view, select) in &views {
        transaction
            .batch_execute(&format!(
                "CREATE OR REPLACE VIEW {} AS {select}",
                name(view)
            ))
            .await?;
    }
    transaction.commit().await?;
    Ok(Some(report))
}

async fn read_ledger(client: &impl GenericClient) -> Result<Ledger> {
    let mut ledger = Ledger::default();
    let loads =
        "SELECT pipeline, version, table_name, digest, shape FROM musubi_loads ORDER BY version";
    for row in client.query(loads, &[]).await? {
        ledger.saw_load(row.get(0), row.get(1), row.get(2), row.get(3), row.get(4));
    }
    let files = "SELECT id, table_name, path, sums FROM musubi_files ORDER BY id";
    for row in client.query(files, &[]).await? {
        ledger.saw_file(row.get(0), row.get(1), row.get(2), row.get(3))?;
    }
    Ok(ledger)
}

fn staging(table: &Table) -> String {
    format!("pg_temp.{}", name(&format!("staged_{}", table.name)))
}

/// The keys of rows that go while others of their file stay.
fn leaving(table: &Table) -> String {
    format!("pg_temp.{}", name(&format!("leaving_{}", table.name)))
}

async fn stage(
    client: &mut Client,
    store: &Store,
    table: &Table,
    change: &Change<'_>,
    next_id: &mut i64,
) -> Result<Vec<Staged>> {
    for field in table.schema.fields() {
        cells::check(field.name(), field.data_type())?;
    }
    let (temp, gone) = (staging(table), leaving(table));
    let transaction = client.transaction().await?;
    let create = sql::create(Dialect::Postgres, table);
    let bare = create.split_once('(').map_or("", |(_, columns)| columns);
    let keys = table.key.iter().map(String::as_str).chain([sql::FILE]);
    let keys: Vec<_> = keys.map(name).collect();
    let keys = keys.join(", ");
    transaction
        .batch_execute(&format!(
            "DROP TABLE IF EXISTS {temp}; CREATE TABLE {temp} ({bare};
             DROP TABLE IF EXISTS {gone}; CREATE TABLE {gone} AS SELECT {keys} FROM {temp} WITH NO DATA"
        ))
        .await?;
    let copy = format!("COPY {temp} ({}) FROM STDIN", sql::columns(table));
    let sink = transaction.copy_in(&copy).await?;
    futures::pin_mut!(sink);
    let mut staged = Vec::new();
    let mut leaving = Vec::new();
    let mut total = Sums::zero(&table.schema);
    let mut rows = Rows::new(table);
    for (file, before) in &change.add {
        let difference = match before {
            Some(before) => difference(store, table, &before.path, file).await?,
            None => None,
        };
        if let (Some(before), Some(difference)) = (before, difference) {
            let (part, sums) = difference.staged(before, file)?;
            for batch in &difference.changed {
                for part in rows.text(batch, before.id) {
                    sink.send(part).await?;
                }
            }
            total.add(&sums);
            staged.push(part);
            leaving.extend(difference.gone.into_iter().map(|keys| (before.id, keys)));
            continue;
        }
        *next_id += 1;
        let mut sums = Sums::zero(&table.schema);
        let mut stream = musubi_lake::parquet::stream(store, &file.path, None).await?;
        while let Some(batch) = stream.try_next().await? {
            let batch = arrange(table, &batch)?;
            sums.count(&batch);
            for part in rows.text(&batch, *next_id) {
                sink.send(part).await?;
            }
        }
        total.add(&sums);
        staged.push(Staged::whole(*next_id, file, sums)?);
    }
    sink.send(rows.rest()).await?;
    sink.finish().await?;
    if !leaving.is_empty() {
        let sink = transaction
            .copy_in(&format!("COPY {gone} FROM STDIN"))
            .await?;
        futures::pin_mut!(sink);
        for (file, batch) in &leaving {
            for part in rows.text(batch, *file) {
                sink.send(part).await?;
            }
        }
        sink.send(rows.rest()).await?;
        sink.finish().await?;
    }
    total.verify(&table.name, &measure(&transaction, table, &temp).await?)?;
    transaction.commit().await?;
    Ok(staged)
}

/// Rows as COPY wants them, with the number of their file in the last column.
struct Rows<'a> {
    table: &'a Table,
    text: String,
}

impl<'a> Rows<'a> {
    fn new(table: &'a Table) -> Self {
        Self {
            table,
            text: String::new(),
        }
    }

    /// The parts that are full with the rows of a batch.
    fn text(&mut self, batch: &RecordBatch, file: i64) -> Vec<Bytes> {
        let (file, mut full) = (format!("\t{file}\n"), Vec::new());
        let fields = batch.schema_ref().fields().iter();
        let keys: Vec<bool> = fields.map(|f| self.table.key.contains(f.name())).collect();
        for row in 0..batch.num_rows() {
            cells::copy_row(batch, &keys, row, &mut self.text);
            self.text.push_str(&file);
            if self.text.len() >= CHUNK {
                full.push(self.rest());
            }
        }
        full
    }

    /// What is left.
    fn rest(&mut self) -> Bytes {
        Bytes::from(std::mem::take(&mut self.text))
    }
}

/// Rows and sums as the server sees them.
async fn measure(client: &impl GenericClient, table: &Table, from: &str) -> Result<Sums> {
    let mut parts = vec!["count(*)".to_owned()];
    for field in table.schema.fields() {
        let numeric = scale(field.data_type()).is_some() || *field.data_type() == DataType::Float64;
        if numeric {
            parts.push(format!("coalesce(sum({}), 0)::text", name(field.name())));
        }
    }
    let row = client
        .query_one(&format!("SELECT {} FROM {from}", parts.join(", ")), &[])
        .await?;
    let mut sums = Sums::zero(&table.schema);
    sums.rows = row.get::<_, i64>(0).cast_unsigned();
    let mut at = 1;
    for field in table.schema.fields() {
        if let Some(scale) = scale(field.data_type()) {
            sums.exact
                .insert(field.name().clone(), parse_exact(row.get(at), scale)?);
        } else if *field.data_type() == DataType::Float64 {
            sums.float
                .insert(field.name().clone(), row.get::<_, &str>(at).parse()?);
        } else {
            continue;
        }
        at += 1;
    }
    Ok(sums)
}

async fn swap(
    transaction: &impl GenericClient,
    tables: &Tables,
    table: &Table,
    change: &Change<'_>,
    staged: &[Staged],
) -> Result<TableLoad> {
    let (live, temp, gone) = (name(&table.name), staging(table), leaving(table));
    let expected = change.expected(staged);
    let mut deleted = 0;
    if change.anew {
        let drop = format!("DROP TABLE IF EXISTS {live}");
        if let Err(error) = transaction.batch_execute(&drop).await {
            let read = error.code() == Some(&SqlState::DEPENDENT_OBJECTS_STILL_EXIST);
            let error = anyhow::Error::from(error);
            return Err(if read {
                error.context("it is made anew; drop the views of your own that read it first")
            } else {
                error
            });
        }
        transaction
            .batch_execute(&sql::create(Dialect::Postgres, table))
            .await?;
        comments(transaction, table).await?;
    } else if expected.touched.is_none() {
        deleted = transaction
            .execute(&format!("DELETE FROM {live}"), &[])
            .await?;
    } else {
        let delete = format!("DELETE FROM {live} WHERE {} = ANY($1)", name(sql::FILE));
        deleted = transaction.execute(&delete, &[&expected.remove]).await?;
        if staged
            .iter()
            .any(|s| s.instead.is_some_and(|(_, gone)| gone > 0))
        {
            let same = sql::same_key(table, "l", "g");
            let delete = format!("DELETE FROM {live} l USING {gone} g WHERE {same}");
            deleted += transaction.execute(&delete, &[]).await?;
        }
    }
    let columns = sql::columns(table);
    let insert = format!("INSERT INTO {live} ({columns}) SELECT {columns} FROM {temp}");
    let inserted = transaction.execute(&insert, &[]).await?;
    if change.anew {
        for index in sql::indexes(table) {
            transaction.batch_execute(&index).await?;
        }
    }
    transaction
        .batch_execute(&format!("DROP TABLE {temp}; DROP TABLE {gone}"))
        .await?;
    if let Some((files, sums)) = &expected.touched {
        expected.verify(&table.name, deleted, inserted)?;
        let count = format!("SELECT count(*) FROM {live}");
        let rows: i64 = transaction.query_one(&count, &[]).await?.get(0);
        expected
            .whole
            .verify_rows(&table.name, rows.cast_unsigned())?;
        if !files.is_empty() {
            let of_files = sql::of_files(&live, files);
            sums.verify(&table.name, &measure(transaction, table, &of_files).await?)?;
        }
    } else {
        let whole = measure(transaction, table, &live).await?;
        expected.whole.verify(&table.name, &whole)?;
    }
    transaction
        .execute(
            "DELETE FROM musubi_files WHERE id = ANY($1)",
            &[&change.remove],
        )
        .await?;
    for Staged { held, .. } in staged {
        let sums = serde_json::to_string(&held.sums)?;
        transaction
            .execute(
                "INSERT INTO musubi_files (id, table_name, path, sums) VALUES ($1, $2, $3, $4)",
                &[&held.id, &table.name, &held.path, &sums],
            )
            .await?;
    }
    transaction
        .execute(
            "INSERT INTO musubi_loads (pipeline, version, table_name, run, rows, digest, shape, loaded_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
             ON CONFLICT (pipeline, version, table_name) DO UPDATE SET run = excluded.run, rows = excluded.rows,
               digest = excluded.digest, shape = excluded.shape, loaded_at = excluded.loaded_at",
            &[
                &tables.pipeline,
                &tables.version.cast_signed(),
                &table.name,
                &tables.run,
                &expected.whole.rows.cast_signed(),
                &table.digest(),
                &table.shape(),
                &jiff::Timestamp::now().to_string(),
            ],
        )
        .await?;
    Ok(TableLoad {
        rows: expected.whole.rows,
        inserted,
        deleted,
    })
}

async fn comments(transaction: &impl GenericClient, table: &Table) -> Result<()> {
    let live = name(&table.name);
    let mut sql = format!("COMMENT ON TABLE {live} IS {};", literal(&table.doc));
    for field in table.schema.fields() {
        if let Some(comment) = sql::comment(table, field.name()) {
            sql.push_str(&format!(
                "COMMENT ON COLUMN {live}.{} IS {};",
                name(field.name()),
                literal(&comment)
            ));
        }
    }
    transaction.batch_execute(&sql).await?;
    Ok(())
}
