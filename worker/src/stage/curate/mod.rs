//! curate: golden records, what customers did, what they are known by and what they consented to; a file a
//! table and slot group, written only where something changed.

mod features;
mod golden;
mod reuse;

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use anyhow::{Context as _, Result};
use arrow::{
    array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray},
    datatypes::{Int32Type, Int64Type},
    ipc::writer::StreamWriter,
};
use futures::TryStreamExt;
use hashbrown::HashMap;
use musubi_api::run::Stage;
use musubi_lake::{
    Store,
    delta::DataFile,
    parquet::{self, Sink},
};
use serde::{Deserialize, Serialize};
use tracing::{Instrument as _, info_span};
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use super::{
    Context, Outcome,
    accounts::Account,
    attach,
    attach::Attached,
    clean::{self, Active},
    gates::{self, Nulls},
    link::{self, Linked},
    plan::Plan,
    records::ids_of,
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

/// The customers of a shard, by slot group.
struct Customers {
    /// Customer ids, by group and sorted.
    ids: Vec<String>,
    /// Household of each customer.
    households: Vec<Option<String>>,
    /// Records by customer, then by id.
    members: Vec<Member>,
    /// Customer of each record.
    of: HashMap<u128, u32>,
    /// Number and customers of each group.
    groups: Vec<(u32, Range<usize>)>,
}

/// Some customers that follow each other, and their records.
#[derive(Clone, Copy)]
struct Part<'a> {
    first: u32,
    ids: &'a [String],
    households: &'a [Option<String>],
    members: &'a [Member],
}

impl Customers {
    fn part(&self, range: &Range<usize>) -> Part<'_> {
        let at = |customer: usize| {
            self.members
                .partition_point(|m| (m.customer as usize) < customer)
        };
        Part {
            first: range.start as u32,
            ids: &self.ids[range.clone()],
            households: &self.households[range.clone()],
            members: &self.members[at(range.start)..at(range.end)],
        }
    }
}

pub(super) async fn run(context: &Context, shard: u32) -> Result<Outcome> {
    if let Some(done) = context.done::<Curated>(Stage::Curate, shard).await? {
        return Ok(outcome(true, &done));
    }
    let plan = context.plan().await?;
    let present = clean::present(context, &plan).await?;
    let trained: Trained = context.complete(Stage::Train).await?;
    let linked: Linked = context.complete(Stage::Link).await?;
    let attached: Vec<Attached> = context.all(Stage::Attach, plan.slot_shards).await?;
    let sources = features::Sources {
        facts: attached.iter().map(|a| &a.facts).collect(),
        products: attached
            .iter()
            .filter_map(|a| a.tables.get("products"))
            .flatten()
            .collect(),
    };
    let customers = read_customers(context, &plan, &trained, &linked, shard)
        .instrument(info_span!("read"))
        .await?;
    let mut before = BTreeMap::new();
    for table in TABLES {
        before.insert(table, attach::reusable_files(context, &plan, table).await?);
    }
    let mut done = Curated {
        tables: BTreeMap::new(),
        customers: customers.ids.len() as u64,
        written: 0,
    };
    let features = features::features(context, &sources, &customers)
        .instrument(info_span!("features"))
        .await?;
    let (consents, consenting) = features::consents(context, &sources, &customers).await?;
    for (number, range) in &customers.groups {
        let mut writer = Writer {
            context,
            number: *number,
            before: &before,
            done: &mut done,
        };
        let part = customers.part(range);
        golden::write(&mut writer, &present.active, part).await?;
        let rows = features.slice(range.start, range.len());
        writer.write("customer_features", rows).await?;
        let at = |c: usize| consenting.partition_point(|consent| (*consent as usize) < c);
        let rows = consents.slice(at(range.start), at(range.end) - at(range.start));
        writer.write("customer_consents", rows).await?;
        writer.write("links", links(&present.active, part)?).await?;
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

/// Instead of the number of a customer that another shard has.
const OTHERS: u32 = u32::MAX;

/// The customers of a shard's groups, read in one pass over links and records.
async fn read_customers(
    context: &Context,
    plan: &Plan,
    trained: &Trained,
    linked: &Linked,
    shard: u32,
) -> Result<Customers> {
    let groups = u64::from(attach::groups(plan));
    let group = |customer: &str| (xxh3_64(customer.as_bytes()) % groups) as u32;
    let mut seen: HashMap<u128, u32> = HashMap::new();
    let mut found: Vec<(u32, String, Option<String>)> = Vec::new();
    let mut of: HashMap<u128, u32> = HashMap::new();
    link::people(context, linked, |record, customer, household| {
        let at = match seen.get(&customer.0) {
            Some(at) => *at,
            None => {
                let id = customer.to_string();
                let number = group(&id);
                let at = match number % plan.slot_shards == shard {
                    false => OTHERS,
                    true => found.len() as u32,
                };
                if at != OTHERS {
                    found.push((number, id, household.map(|h| h.to_string())));
                }
                seen.insert(customer.0, at);
                at
            }
        };
        if at != OTHERS {
            of.insert(record, at);
        }
    })
    .await?;
    drop(seen);
    let mut order: Vec<u32> = (0..found.len() as u32).collect();
    order.sort_unstable_by(|a, b| found[*a as usize].cmp(&found[*b as usize]));
    let mut place = vec![0_u32; found.len()];
    for (to, from) in (0..).zip(&order) {
        place[*from as usize] = to;
    }
    of.values_mut().for_each(|at| *at = place[*at as usize]);
    let (mut ids, mut households) = (Vec::new(), Vec::new());
    let mut groups: Vec<(u32, Range<usize>)> = Vec::new();
    for from in order {
        let (number, id, household) = std::mem::take(&mut found[from as usize]);
        match groups.last_mut() {
            Some((last, range)) if *last == number => range.end += 1,
            _ => groups.push((number, ids.len()..ids.len() + 1)),
        }
        ids.push(id);
        households.push(household);
    }
    Ok(Customers {
        ids,
        households,
        members: read_members(context, trained, &of).await?,
        of,
        groups,
    })
}

async fn read_members(
    context: &Context,
    trained: &Trained,
    of: &HashMap<u128, u32>,
) -> Result<Vec<Member>> {
    let mut members = Vec::with_capacity(of.len());
    let mut stream = parquet::stream(&context.store, &trained.records, None).await?;
    while let Some(batch) = stream.try_next().await? {
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
        for (row, record) in ids_of(&batch, "record_id")?.enumerate() {
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
    Ok(members)
}

fn links(active: &[Active], part: Part<'_>) -> Result<RecordBatch> {
    let members = || part.members.iter();
    let file = |m: &Member| &active[m.file as usize].file;
    let customer = |m: &Member| &part.ids[(m.customer - part.first) as usize];
    let columns: Vec<ArrayRef> = vec![
        strings(members().map(|m| Some(format!("{:032x}", m.record)))),
        texts(members().map(|m| file(m).source.as_str())),
        texts(members().map(|m| file(m).stream.as_str())),
        texts(members().map(|m| customer(m).as_str())),
    ];
    batch("links", columns)
}

fn texts<'a>(values: impl Iterator<Item = &'a str>) -> ArrayRef {
    std::sync::Arc::new(StringArray::from_iter_values(values))
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
    before: &'a BTreeMap<&'static str, attach::Files>,
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
        let digest = digest(&rows)?;
        if self.keep(table, &digest) {
            return Ok(());
        }
        let mut file = self.open(table, digest);
        file.write(&rows).await?;
        self.close(file).await
    }

    /// The file that the group has in the version before.
    fn of_group(&self, table: &str) -> Option<&DataFile> {
        let number = self.number.to_string();
        let mut files = self.before.get(table)?.values();
        files.find(|f| f.tags.get("group") == Some(&number))
    }

    /// Begins a file of a table.
    fn open(&self, table: &'static str, digest: String) -> TableFile {
        let name = format!("{}-{}.parquet", self.number, uuid::Uuid::new_v4().simple());
        TableFile {
            store: self.context.store.clone(),
            table,
            name,
            tags: BTreeMap::from([
                ("digest".to_owned(), digest),
                ("group".to_owned(), self.number.to_string()),
            ]),
            nulls: Nulls::default(),
            sink: None,
        }
    }

    /// Ends a file; one without rows is none.
    async fn close(&mut self, file: TableFile) -> Result<()> {
        let table = file.table;
        let files = self.done.tables.entry(table.to_owned()).or_default();
        if let Some(file) = file.finish().await? {
            self.done.written += file.rows;
            files.push(file);
        }
        Ok(())
    }
}

/// A hash of rows in their order.
fn digest(rows: &RecordBatch) -> Result<String> {
    let mut hash = Hashed(Xxh3::new());
    let mut ipc = StreamWriter::try_new(&mut hash, &rows.schema())?;
    ipc.write(rows)?;
    ipc.finish()?;
    drop(ipc);
    Ok(format!("{:032x}", hash.0.digest128()))
}

/// Hashes what is written to it.
struct Hashed(Xxh3);

impl std::io::Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A file of a curated table under way; it comes into being with its first row.
struct TableFile {
    store: Store,
    table: &'static str,
    name: String,
    tags: BTreeMap<String, String>,
    nulls: Nulls,
    sink: Option<Sink>,
}

impl TableFile {
    fn tag(&mut self, name: &str, value: String) {
        self.tags.insert(name.to_owned(), value);
    }

    async fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        if rows.num_rows() == 0 {
            return Ok(());
        }
        if self.sink.is_none() {
            let table = tables::all().into_iter().find(|t| t.name == self.table);
            let personal = table.map(|t| t.personal).unwrap_or_default();
            let path = format!("curated/{}/{}", self.table, self.name);
            self.sink = Some(Sink::create(&self.store, &path, rows.schema(), &personal)?);
        }
        if let Some(sink) = &mut self.sink {
            self.nulls.add(rows);
            sink.write(rows).await?;
        }
        Ok(())
    }

    async fn finish(mut self) -> Result<Option<DataFile>> {
        self.tag(gates::NULLS, self.nulls.text());
        let Some(sink) = self.sink else {
            return Ok(None);
        };
        let file = sink.finish().await?;
        Ok(Some(DataFile {
            path: self.name,
            size: file.size,
            rows: file.rows,
            range: BTreeMap::new(),
            tags: self.tags,
        }))
    }
}

/// The one file of a small table: the one of the version before, when that has these rows.
pub(super) async fn only_file(
    context: &Context,
    plan: &Plan,
    table: &str,
    rows: RecordBatch,
) -> Result<DataFile> {
    let digest = digest(&rows)?;
    let before = attach::published_files(context, plan, table).await?;
    let mut same = before.values();
    match same.find(|f| f.tags.get("digest") == Some(&digest)) {
        Some(file) => Ok(file.clone()),
        None => write_file(context, table, rows, digest).await,
    }
}

/// Writes one file of a curated table.
async fn write_file(
    context: &Context,
    table: &str,
    rows: RecordBatch,
    digest: String,
) -> Result<DataFile> {
    let name = format!("all-{}.parquet", uuid::Uuid::new_v4().simple());
    let personal = tables::all()
        .into_iter()
        .find(|t| t.name == table)
        .map(|t| t.personal)
        .unwrap_or_default();
    let path = format!("curated/{table}/{name}");
    let mut nulls = Nulls::default();
    nulls.add(&rows);
    let tags = BTreeMap::from([
        ("digest".to_owned(), digest),
        (gates::NULLS.to_owned(), nulls.text()),
    ]);
    let file = parquet::write(&context.store, &path, rows.schema(), &personal, &[rows]).await?;
    Ok(DataFile {
        path: name,
        size: file.size,
        rows: file.rows,
        range: BTreeMap::new(),
        tags,
    })
}

/// `quality`: what came in from each stream, and what became of its rows.
pub(super) async fn quality(
    context: &Context,
    plan: &Plan,
    accounts: &[Account],
) -> Result<DataFile> {
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
    only_file(context, plan, "quality", batch("quality", columns)?).await
}

/// Names of the sources in a list of files, sorted, once each.
fn sources<'a>(files: impl Iterator<Item = &'a str>) -> String {
    files
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect::<Vec<_>>()
        .join(",")
}
