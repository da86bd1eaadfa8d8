//! SQLite, the embedded warehouse: one file, read by anything.
//!
//! Staging happens in temporary tables, which lock nobody. The write lock is held for the swap alone.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, bail};
use arrow::{array::RecordBatch, datatypes::DataType};
use futures::TryStreamExt as _;
use musubi_api::warehouse::LoadMode;
use musubi_lake::Store;
use rusqlite::{Connection, Statement, TransactionBehavior, params};
use tokio::runtime::Handle;

use super::{
    LoadReport, Outcome, Table, TableFile, TableLoad, Tables, cells,
    difference::{self, Difference},
    ledger::{Change, Ledger, Staged},
    sql::{self, Dialect, name},
    sums::{Sums, scale},
};

/// How often a load begins again because another one was faster.
const ATTEMPTS: usize = 5;

pub(super) async fn load(
    path: &str,
    mode: LoadMode,
    store: &Store,
    tables: Tables,
) -> Result<LoadReport> {
    let (path, store) = (path.to_owned(), store.clone());
    let handle = Handle::current();
    tokio::task::spawn_blocking(move || {
        let shown = path.clone();
        blocking(&path, mode, &Files { store, handle }, &tables)
            .with_context(|| format!("load version {} into {shown}", tables.version))
    })
    .await?
}

/// Reads files of the lake from a thread that may block.
struct Files {
    store: Store,
    handle: Handle,
}

impl Files {
    fn each(&self, path: &str, row_group: &mut dyn FnMut(RecordBatch) -> Result<()>) -> Result<()> {
        let mut stream =
            self.handle
                .block_on(musubi_lake::parquet::stream(&self.store, path, None))?;
        while let Some(batch) = self.handle.block_on(stream.try_next())? {
            row_group(batch)?;
        }
        Ok(())
    }

    fn difference(
        &self,
        table: &Table,
        before: &str,
        file: &TableFile,
    ) -> Result<Option<Difference>> {
        let difference = difference::difference(&self.store, table, before, file);
        self.handle.block_on(difference)
    }
}

fn blocking(path: &str, mode: LoadMode, files: &Files, tables: &Tables) -> Result<LoadReport> {
    if let Some(folder) = Path::new(path)
        .parent()
        .filter(|f| !f.as_os_str().is_empty())
    {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("make the folder {}", folder.display()))?;
    }
    let mut connection = Connection::open(path)?;
    connection.busy_timeout(Duration::from_secs(60))?;
    // Keys arrive in no order, so their indexes have to stay in memory while they grow. In KiB.
    connection.pragma_update(None, "cache_size", -200_000)?;
    connection.execute_batch(&sql::ledger(Dialect::Sqlite))?;
    for _ in 0..ATTEMPTS {
        let ledger = read_ledger(&connection)?;
        if let Some(report) = ledger.settled(tables)? {
            return Ok(report);
        }
        if let Some(report) = attempt(&mut connection, mode, files, tables, &ledger)? {
            return Ok(report);
        }
    }
    bail!("other loads were faster {ATTEMPTS} times; try again when they are done")
}

/// Stages and swaps; `None` when the ledger has changed meanwhile.
fn attempt(
    connection: &mut Connection,
    mode: LoadMode,
    files: &Files,
    tables: &Tables,
    ledger: &Ledger,
) -> Result<Option<LoadReport>> {
    let mut next_id = ledger.last_id;
    let mut changes = Vec::new();
    for table in &tables.tables {
        let change = ledger.change(table, mode);
        let staged = stage(connection, files, table, &change, &mut next_id)
            .with_context(|| format!("stage table {}", table.name))?;
        changes.push((table, change, staged));
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if read_ledger(&transaction)? != *ledger {
        return Ok(None);
    }
    let views = sql::views(&tables.tables);
    for (view, _) in &views {
        transaction.execute_batch(&format!("DROP VIEW IF EXISTS {}", name(view)))?;
    }
    let mut report = LoadReport {
        outcome: Outcome::Loaded,
        version: tables.version,
        tables: Default::default(),
    };
    for (table, change, staged) in &changes {
        let done = swap(&transaction, tables, table, change, staged)
            .with_context(|| format!("swap table {}", table.name))?;
        report.tables.insert(table.name.clone(), done);
    }
    for (view, select) in &views {
        transaction.execute_batch(&format!("CREATE VIEW {} AS {select}", name(view)))?;
    }
    transaction.commit()?;
    Ok(Some(report))
}

fn read_ledger(connection: &Connection) -> Result<Ledger> {
    let mut ledger = Ledger::default();
    let mut loads = connection.prepare(
        "SELECT pipeline, version, table_name, digest, shape FROM musubi_loads ORDER BY version",
    )?;
    let mut rows = loads.query([])?;
    while let Some(row) = rows.next()? {
        ledger.saw_load(
            row.get(0)?,
            row.get(1)?,
            row.get(2)?,
            row.get(3)?,
            row.get(4)?,
        );
    }
    let mut files =
        connection.prepare("SELECT id, table_name, path, sums FROM musubi_files ORDER BY id")?;
    let mut rows = files.query([])?;
    while let Some(row) = rows.next()? {
        let sums: String = row.get(3)?;
        ledger.saw_file(row.get(0)?, row.get(1)?, row.get(2)?, &sums)?;
    }
    Ok(ledger)
}

fn staging(table: &Table) -> String {
    name(&format!("staged_{}", table.name))
}

/// The keys of rows that go while others of their file stay.
fn leaving(table: &Table) -> String {
    name(&format!("leaving_{}", table.name))
}

/// Brings the rows of the new files into a temporary table, and verifies them there.
fn stage(
    connection: &mut Connection,
    files: &Files,
    table: &Table,
    change: &Change<'_>,
    next_id: &mut i64,
) -> Result<Vec<Staged>> {
    for field in table.schema.fields() {
        cells::check(field.name(), field.data_type())?;
    }
    let (temp, gone) = (staging(table), leaving(table));
    let fields = table.schema.fields().iter();
    let untyped: Vec<_> = fields.map(|f| name(f.name())).collect();
    let keys: Vec<_> = table.key.iter().map(|k| name(k)).collect();
    let transaction = connection.transaction()?;
    transaction.execute_batch(&format!(
        "DROP TABLE IF EXISTS temp.{temp}; CREATE TEMP TABLE {temp} ({0}, {1});
         DROP TABLE IF EXISTS temp.{gone}; CREATE TEMP TABLE {gone} ({2} {1});",
        untyped.join(", "),
        name(sql::FILE),
        keys.iter().map(|k| format!("{k}, ")).collect::<String>(),
    ))?;
    let mut staged = Vec::new();
    let mut total = Sums::zero(&table.schema);
    {
        let mut rows = Insert::new(&transaction, table, &temp, untyped.len())?;
        let mut left = Insert::new(&transaction, table, &gone, keys.len())?;
        for (file, before) in &change.add {
            let difference = match before {
                Some(before) => files.difference(table, &before.path, file)?,
                None => None,
            };
            if let (Some(before), Some(difference)) = (before, difference) {
                let (part, sums) = difference.staged(before, file)?;
                for batch in &difference.changed {
                    rows.push(batch, before.id)?;
                }
                for batch in &difference.gone {
                    left.push(batch, before.id)?;
                }
                total.add(&sums);
                staged.push(part);
                continue;
            }
            *next_id += 1;
            let id = *next_id;
            let mut sums = Sums::zero(&table.schema);
            files.each(&file.path, &mut |batch| {
                let batch = arrange(table, &batch)?;
                sums.count(&batch);
                rows.push(&batch, id)
            })?;
            total.add(&sums);
            staged.push(Staged::whole(id, file, sums)?);
        }
    }
    total.verify(
        &table.name,
        &measure(&transaction, table, &format!("temp.{temp}"))?,
    )?;
    transaction.commit()?;
    Ok(staged)
}

/// Puts rows into a temporary table, with the number of their file in the last column.
struct Insert<'a> {
    statement: Statement<'a>,
    table: &'a Table,
}

impl<'a> Insert<'a> {
    fn new(
        connection: &'a Connection,
        table: &'a Table,
        temp: &str,
        columns: usize,
    ) -> Result<Self> {
        let places = vec!["?"; columns + 1].join(", ");
        let statement =
            connection.prepare(&format!("INSERT INTO temp.{temp} VALUES ({places})"))?;
        Ok(Self { statement, table })
    }

    fn push(&mut self, batch: &RecordBatch, file: i64) -> Result<()> {
        let schema = batch.schema_ref();
        let fields = schema.fields().iter();
        let keys: Vec<bool> = fields.map(|f| self.table.key.contains(f.name())).collect();
        for row in 0..batch.num_rows() {
            for (at, column) in batch.columns().iter().enumerate() {
                let absent_key =
                    keys[at] && column.is_null(row) && *column.data_type() == DataType::Utf8;
                if absent_key {
                    self.statement.raw_bind_parameter(at + 1, "")?;
                } else {
                    let cell = cells::sqlite(column.as_ref(), row)
                        .with_context(|| format!("column {}", schema.field(at).name()))?;
                    self.statement.raw_bind_parameter(at + 1, cell)?;
                }
            }
            self.statement
                .raw_bind_parameter(batch.num_columns() + 1, file)?;
            self.statement.raw_execute()?;
        }
        Ok(())
    }
}

/// The columns of a batch in the order of the table.
pub(super) fn arrange(table: &Table, batch: &RecordBatch) -> Result<RecordBatch> {
    let mut columns = Vec::with_capacity(table.schema.fields().len());
    for field in table.schema.fields() {
        let column = batch.column_by_name(field.name()).with_context(|| {
            format!(
                "table {}: a file lacks the column {}",
                table.name,
                field.name()
            )
        })?;
        columns.push(if column.data_type() == field.data_type() {
            Arc::clone(column)
        } else {
            arrow::compute::cast(column, field.data_type())?
        });
    }
    let schema = arrow::datatypes::Schema::new(
        table
            .schema
            .fields()
            .iter()
            .map(|f| f.as_ref().clone().with_nullable(true))
            .collect::<Vec<_>>(),
    );
    Ok(RecordBatch::try_new(Arc::new(schema), columns)?)
}

/// Rows and sums as SQLite sees them. Sums are taken in two halves, so that none overflows.
fn measure(connection: &Connection, table: &Table, from: &str) -> Result<Sums> {
    let mut parts = vec!["count(*)".to_owned()];
    let mut sums = Sums::zero(&table.schema);
    for field in table.schema.fields() {
        let column = name(field.name());
        if let Some(scale) = scale(field.data_type()) {
            let one = 10_i64.pow(scale);
            let units = if scale == 0 {
                column
            } else {
                format!(
                    "(CASE typeof({column}) WHEN 'integer' THEN {column} * {one} \
                     ELSE CAST(round({column} * {one}) AS INTEGER) END)"
                )
            };
            parts.push(format!("coalesce(sum({units} / 1000000000), 0)"));
            parts.push(format!("coalesce(sum({units} % 1000000000), 0)"));
        } else if *field.data_type() == DataType::Float64 {
            parts.push(format!("coalesce(sum({column}), 0.0)"));
        }
    }
    connection.query_row(
        &format!("SELECT {} FROM {from}", parts.join(", ")),
        [],
        |row| {
            let mut at = 1;
            sums.rows = row.get::<_, i64>(0)?.cast_unsigned();
            for field in table.schema.fields() {
                if let Some(sum) = sums.exact.get_mut(field.name()) {
                    let (high, low): (i64, i64) = (row.get(at)?, row.get(at + 1)?);
                    *sum = i128::from(high) * 1_000_000_000 + i128::from(low);
                    at += 2;
                } else if let Some(sum) = sums.float.get_mut(field.name()) {
                    *sum = row.get(at)?;
                    at += 1;
                }
            }
            Ok(())
        },
    )?;
    Ok(sums)
}

/// Changes one table inside the transaction, verifies it whole, and writes the ledger.
fn swap(
    transaction: &Connection,
    tables: &Tables,
    table: &Table,
    change: &Change<'_>,
    staged: &[Staged],
) -> Result<TableLoad> {
    let (live, temp, gone) = (name(&table.name), staging(table), leaving(table));
    let expected = change.expected(staged);
    let mut deleted = 0;
    if change.anew {
        let create = sql::create(Dialect::Sqlite, table);
        transaction.execute_batch(&format!("DROP TABLE IF EXISTS main.{live}; {create};"))?;
    } else if expected.touched.is_none() {
        deleted = transaction.execute(&format!("DELETE FROM main.{live}"), [])?;
    } else {
        let file = name(sql::FILE);
        let mut delete =
            transaction.prepare(&format!("DELETE FROM main.{live} WHERE {file} = ?"))?;
        for id in &expected.remove {
            deleted += delete.execute([id])?;
        }
        deleted += transaction.execute(
            &format!(
                "DELETE FROM main.{live} WHERE rowid IN
                 (SELECT l.rowid FROM temp.{gone} g CROSS JOIN main.{live} l ON {})",
                sql::same_key(table, "l", "g")
            ),
            [],
        )?;
    }
    let columns = sql::columns(table);
    // A new table is filled in the order of its key: keys in no order would touch its index all over.
    let keys: Vec<_> = table.key.iter().map(|k| name(k)).collect();
    let order = match keys.as_slice() {
        [] => String::new(),
        keys if change.anew => format!(" ORDER BY {}", keys.join(", ")),
        _ => String::new(),
    };
    let inserted = transaction.execute(
        &format!("INSERT INTO main.{live} ({columns}) SELECT {columns} FROM temp.{temp}{order}"),
        [],
    )?;
    if change.anew {
        for index in sql::indexes(table) {
            transaction.execute_batch(&index)?;
        }
    }
    transaction.execute_batch(&format!("DROP TABLE temp.{temp}; DROP TABLE temp.{gone}"))?;
    let (deleted, inserted) = (deleted as u64, inserted as u64);
    if expected.touched.is_some() {
        expected.verify(&table.name, deleted, inserted)?;
    }
    match expected
        .touched
        .as_ref()
        .filter(|_| !change.keep.is_empty())
    {
        Some((files, sums)) => {
            let count = format!("SELECT count(*) FROM main.{live}");
            let rows: i64 = transaction.query_row(&count, [], |row| row.get(0))?;
            let rows = rows.cast_unsigned();
            expected.whole.verify_rows(&table.name, rows)?;
            if !files.is_empty() {
                let of_files = sql::of_files(&format!("main.{live}"), files);
                sums.verify(&table.name, &measure(transaction, table, &of_files)?)?;
            }
        }
        // One pass over a table costs less than looking up each of its rows.
        None => {
            let whole = measure(transaction, table, &format!("main.{live}"))?;
            expected.whole.verify(&table.name, &whole)?;
        }
    }
    for id in &change.remove {
        transaction.execute("DELETE FROM musubi_files WHERE id = ?", [id])?;
    }
    for Staged { held, .. } in staged {
        transaction.execute(
            "INSERT INTO musubi_files (id, table_name, path, sums) VALUES (?, ?, ?, ?)",
            params![
                held.id,
                table.name,
                held.path,
                serde_json::to_string(&held.sums)?
            ],
        )?;
    }
    transaction.execute(
        "INSERT OR REPLACE INTO musubi_loads (pipeline, version, table_name, run, rows, digest, shape, loaded_at)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        params![
            tables.pipeline,
            tables.version.cast_signed(),
            table.name,
            tables.run,
            expected.whole.rows.cast_signed(),
            table.digest(),
            table.shape(),
            jiff::Timestamp::now().to_string()
        ],
    )?;
    Ok(TableLoad {
        rows: expected.whole.rows,
        inserted,
        deleted,
    })
}
