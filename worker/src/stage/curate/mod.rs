//! curate: golden records, what customers did, what they are known by and what they consented to; a file a
//! table and slot group, written only where something changed.

mod features;
mod golden;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use anyhow::{Context as _, Result};
use arrow::{
    array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, StringArray},
    datatypes::{Int32Type, Int64Type},
    ipc::writer::StreamWriter,
};
use futures::TryStreamExt;
use musubi_api::run::Stage;
use musubi_lake::{delta::DataFile, parquet};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use super::{
    Context, Outcome,
    accounts::Account,
    attach,
    attach::Attached,
    clean::{self, Active},
    gates,
    link::Linked,
    records::parse_id,
    tables,
    train::Trained,
};

/// What a shard curated.
#[derive(Debug, Serialize, Deserialize)]
pub struct Curated {
    /// The files of each table, unchanged ones with them.
    pub tables: BTreeMap<String, Vec<DataFile>>,
    /// Customers in the shard's groups.
    pub customers: u64,
    /// Rows that were written.
    pub written: u64,
}

/// A record and the customer that it belongs to.
#[derive(Clone, Debug)]
struct Member {
    customer: u32,
    record: u128,
    file: u32,
    at: u32,
    content: i64,
}

/// The customers of one slot group.
struct Group {
    /// Customer ids, sorted.
    ids: Vec<String>,
    /// Household of each customer.
    households: Vec<Option<String>>,
    /// Records by customer, then by id.
    members: Vec<Member>,
    /// Customer of each record.
    of: HashMap<u128, u32>,
}

pub(super) async fn run(context: &Context, shard: u32) -> Result<Outcome> {
    if let Some(done) = context.done::<Curated>(Stage::Curate, shard).await? {
        return Ok(outcome(true, &done));
    }
    let plan = context.plan().await?;
    let present = clean::present(context, &plan).await?;
    let trained: Trained = context
        .done(Stage::Train, 0)
        .await?
        .context("stage train is not complete")?;
    let linked: Linked = context
        .done(Stage::Link, 0)
        .await?
        .context("stage link is not complete")?;
    let attached: Vec<Attached> = context.all(Stage::Attach, plan.slot_shards).await?;
    let groups = attach::groups(&plan);
    let mut done = Curated {
        tables: BTreeMap::new(),
        customers: 0,
        written: 0,
    };
    let mut before = BTreeMap::new();
    for table in TABLES {
        before.insert(table, attach::published_files(context, &plan, table).await?);
    }
    for number in (0..groups).filter(|g| g % plan.slot_shards == shard) {
        let group = read_group(context, &trained, &linked, number, groups).await?;
        done.customers += group.ids.len() as u64;
        let files = files_of(&attached);
        let mut writer = Writer {
            context,
            number,
            before: &before,
            done: &mut done,
        };
        golden::write(&mut writer, &present.active, &group).await?;
        writer
            .write(
                "customer_features",
                features::features(context, &files, &group).await?,
            )
            .await?;
        writer
            .write(
                "customer_consents",
                features::consents(context, &files, &group).await?,
            )
            .await?;
        writer
            .write("links", links(&present.active, &group)?)
            .await?;
    }
    let done = context.commit(Stage::Curate, shard, done).await?;
    Ok(outcome(false, &done))
}

const TABLES: [&str; 5] = [
    "customers",
    "customer_features",
    "customer_consents",
    "links",
    "identifiers",
];

fn outcome(reused: bool, done: &Curated) -> Outcome {
    Outcome::new(
        reused,
        [("customers", done.customers), ("rows", done.written)],
    )
}

/// Every file of every fact table, by table.
fn files_of(attached: &[Attached]) -> BTreeMap<&str, Vec<&DataFile>> {
    let mut files: BTreeMap<&str, Vec<&DataFile>> = BTreeMap::new();
    for (table, parts) in attached.iter().flat_map(|a| &a.tables) {
        files.entry(table).or_default().extend(parts);
    }
    files
}

async fn read_group(
    context: &Context,
    trained: &Trained,
    linked: &Linked,
    number: u32,
    groups: u32,
) -> Result<Group> {
    let mut customer_of: HashMap<u128, String> = HashMap::new();
    let mut household_of: BTreeMap<String, Option<String>> = BTreeMap::new();
    let mut stream = parquet::stream(&context.store, &linked.links, None).await?;
    while let Some(batch) = stream.try_next().await? {
        let column = |name| {
            batch
                .column_by_name(name)
                .and_then(|c| c.as_string_opt::<i32>())
                .context("links are malformed")
        };
        let (records, customers, households) = (
            column("record_id")?,
            column("customer_id")?,
            column("household_id")?,
        );
        for row in 0..batch.num_rows() {
            let customer = customers.value(row);
            if xxh3_64(customer.as_bytes()) % u64::from(groups) == u64::from(number) {
                customer_of.insert(parse_id(records.value(row))?, customer.to_owned());
                let household = households
                    .is_valid(row)
                    .then(|| households.value(row).to_owned());
                household_of.insert(customer.to_owned(), household);
            }
        }
    }
    let ids: Vec<String> = household_of.keys().cloned().collect();
    let index: HashMap<&str, u32> = ids
        .iter()
        .zip(0..)
        .map(|(id, at)| (id.as_str(), at))
        .collect();
    let of: HashMap<u128, u32> = customer_of
        .iter()
        .map(|(r, c)| (*r, index[c.as_str()]))
        .collect();
    let mut members = Vec::new();
    let mut stream = parquet::stream(&context.store, &trained.records, None).await?;
    while let Some(batch) = stream.try_next().await? {
        let ids = batch
            .column_by_name("record_id")
            .and_then(|c| c.as_string_opt::<i32>())
            .context("records are malformed")?;
        let small = |name| {
            batch
                .column_by_name(name)
                .and_then(|c| c.as_primitive_opt::<Int32Type>())
                .context("records are malformed")
        };
        let (files, places) = (small("file")?, small("at")?);
        let contents = batch
            .column_by_name("content")
            .and_then(|c| c.as_primitive_opt::<Int64Type>())
            .context("records are malformed")?;
        for row in 0..batch.num_rows() {
            let record = parse_id(ids.value(row))?;
            if let Some(customer) = of.get(&record) {
                members.push(Member {
                    customer: *customer,
                    record,
                    file: files.value(row).cast_unsigned(),
                    at: places.value(row).cast_unsigned(),
                    content: contents.value(row),
                });
            }
        }
    }
    members.sort_unstable_by_key(|m| (m.customer, m.record));
    Ok(Group {
        households: household_of.into_values().collect(),
        ids,
        members,
        of,
    })
}

fn links(active: &[Active], group: &Group) -> Result<RecordBatch> {
    let file = |m: &Member| &active[m.file as usize].file;
    let columns: Vec<ArrayRef> = vec![
        strings(
            group
                .members
                .iter()
                .map(|m| Some(format!("{:032x}", m.record))),
        ),
        strings(group.members.iter().map(|m| Some(file(m).source.clone()))),
        strings(group.members.iter().map(|m| Some(file(m).stream.clone()))),
        strings(
            group
                .members
                .iter()
                .map(|m| Some(group.ids[m.customer as usize].clone())),
        ),
    ];
    batch("links", columns)
}

fn strings(values: impl Iterator<Item = Option<String>>) -> ArrayRef {
    std::sync::Arc::new(values.collect::<StringArray>())
}

fn numbers(values: impl Iterator<Item = Option<i64>>) -> ArrayRef {
    std::sync::Arc::new(values.collect::<Int64Array>())
}

fn batch(table: &str, columns: Vec<ArrayRef>) -> Result<RecordBatch> {
    let schema = tables::schema(table).with_context(|| format!("table {table} is unknown"))?;
    Ok(RecordBatch::try_new(schema, columns)?)
}

/// Writes the files of one slot group, or keeps those of the version before.
struct Writer<'a> {
    context: &'a Context,
    number: u32,
    before: &'a BTreeMap<&'static str, BTreeMap<String, DataFile>>,
    done: &'a mut Curated,
}

impl Writer<'_> {
    /// Keeps the file of the version before if it has this digest.
    fn keep(&mut self, table: &str, digest: &str) -> bool {
        let same = |f: &&DataFile| f.tags.get("digest").is_some_and(|d| d == digest);
        let Some(file) = self
            .before
            .get(table)
            .and_then(|files| files.values().find(same))
        else {
            return false;
        };
        self.done
            .tables
            .entry(table.to_owned())
            .or_default()
            .push(file.clone());
        true
    }

    /// Writes a table's rows, unless the version before has them.
    async fn write(&mut self, table: &'static str, rows: RecordBatch) -> Result<()> {
        let mut bytes = Vec::new();
        let mut ipc = StreamWriter::try_new(&mut bytes, &rows.schema())?;
        ipc.write(&rows)?;
        ipc.finish()?;
        let digest = format!("{:032x}", xxh3_128(&bytes));
        if self.keep(table, &digest) {
            return Ok(());
        }
        self.write_as(table, rows, digest).await
    }

    async fn write_as(&mut self, table: &str, rows: RecordBatch, digest: String) -> Result<()> {
        let tables = self.done.tables.entry(table.to_owned()).or_default();
        if rows.num_rows() == 0 {
            return Ok(());
        }
        let file = write_file(
            self.context,
            table,
            &format!("{}", self.number),
            rows,
            digest,
        )
        .await?;
        self.done.written += file.rows;
        tables.push(file);
        Ok(())
    }
}

/// Writes one file of a curated table.
pub(super) async fn write_file(
    context: &Context,
    table: &str,
    part: &str,
    rows: RecordBatch,
    digest: String,
) -> Result<DataFile> {
    let name = format!("{part}-{}.parquet", uuid::Uuid::new_v4().simple());
    let personal = tables::all()
        .into_iter()
        .find(|t| t.name == table)
        .map(|t| t.personal)
        .unwrap_or_default();
    let path = format!("curated/{table}/{name}");
    let tags = BTreeMap::from([
        ("digest".to_owned(), digest),
        (gates::NULLS.to_owned(), gates::nulls(&rows)),
    ]);
    let file = parquet::write(&context.store, &path, rows.schema(), &personal, &[rows]).await?;
    Ok(DataFile {
        path: name,
        size: file.size,
        rows: file.rows,
        partition: BTreeMap::new(),
        tags,
    })
}

/// `quality`: what came in from each stream, and what became of its rows.
pub(super) async fn quality(context: &Context, accounts: &[Account]) -> Result<DataFile> {
    let texts = |of: fn(&Account) -> String| strings(accounts.iter().map(|a| Some(of(a))));
    let counts =
        |of: fn(&Account) -> u64| numbers(accounts.iter().map(|a| i64::try_from(of(a)).ok()));
    let columns = vec![
        texts(|a| a.source.clone()),
        texts(|a| a.stream.clone()),
        counts(|a| a.files),
        counts(|a| a.replaced),
        counts(|a| a.rows),
        counts(|a| a.accepted),
        counts(|a| a.duplicate),
        counts(|a| a.superseded),
        counts(|a| a.structural),
        counts(|a| a.quarantined),
        texts(|a| serde_json::to_string(&a.reasons).unwrap_or_default()),
    ];
    let rows = batch("quality", columns)?;
    write_file(context, "quality", "all", rows, String::new()).await
}

/// Names of the sources in a list of files, sorted, once each.
fn sources<'a>(files: impl Iterator<Item = &'a str>) -> String {
    files
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect::<Vec<_>>()
        .join(",")
}
