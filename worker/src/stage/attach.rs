//! attach: puts facts together. Of each row the version that stands; of each thing that several sources
//! tell (an order), one row, field by field in the order of the sources' precedence; a file a business
//! date and slot group, written only where something changed.

use std::{
    collections::{BTreeMap, HashSet},
    ops::Range,
    sync::Arc,
};

use anyhow::{Context as _, Result};
use arrow::{
    array::{Array, ArrayRef, Date32Array, RecordBatch, UInt64Array},
    compute,
    datatypes::SchemaRef,
};
use musubi_api::{entity::Entity, run::Stage};
use musubi_clean::schema;
use musubi_lake::{
    Store,
    delta::{self, DataFile},
    parquet::Sink,
    pointer,
};
use serde::{Deserialize, Serialize};
use tracing::{Instrument as _, info_span};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use super::{
    Context, Outcome,
    clean::{self, Active},
    facts::{self, Facts},
    gates::{self, Nulls},
    gather::{self, Place},
    losses::Losses,
    plan::Plan,
    records::{self, Fate, Reduced, Version},
    train::Trained,
    versions::{self, Kept, Share},
};

/// What a shard attached.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Attached {
    /// The files of each table, unchanged ones with them.
    pub tables: BTreeMap<String, Vec<DataFile>>,
    /// Rows that were written.
    pub written: u64,
    /// Clean rows that were repetitions.
    pub duplicate: u64,
    /// Clean rows that are older versions, or older tellings of one thing.
    pub superseded: u64,
    /// Rows that a later version deleted.
    pub deleted: u64,
    /// Clean rows that stand.
    pub current: u64,
    /// Path of the versions that do not stand, when there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) losses: Option<String>,
    /// What is kept of the versions for the next run.
    #[serde(default)]
    pub(super) versions: versions::Parts,
    /// What features of customers are made from.
    #[serde(default)]
    pub(super) facts: Facts,
}

/// Facts and reference tables, in the order in which they are attached.
pub const TABLES: [Entity; 11] = [
    Entity::Order,
    Entity::OrderLine,
    Entity::Event,
    Entity::Consent,
    Entity::Product,
    Entity::Store,
    Entity::Campaign,
    Entity::CampaignTouch,
    Entity::Ticket,
    Entity::Delivery,
    Entity::Inventory,
];

pub(super) async fn run(context: &Context, shard: u32) -> Result<Outcome> {
    if let Some(done) = context.done::<Attached>(Stage::Attach, shard).await? {
        return Ok(outcome(true, &done));
    }
    let plan = context.plan().await?;
    let present = clean::present(context, &plan).await?;
    let precedence = precedence(context, &present.active);
    let stamps = stamps(&present.active);
    let share = Share {
        groups: groups(&plan),
        shards: plan.slot_shards,
        shard,
    };
    let trained: Trained = context.complete(Stage::Train).await?;
    let kept = Kept::read(context, &plan, &present.active).await?;
    let mut done = Attached::default();
    let (mut losses, mut order_dates) = (Losses::default(), OrderDates::new());
    for entity in TABLES {
        let attach = Attach {
            context,
            active: &present.active,
            precedence: &precedence,
            stamps: &stamps,
            entity,
        };
        let parts = &mut done.versions;
        let only_added = records::only_added(&context.run, &present.active);
        let by_group = versions::versions(context, &kept, &present.active, entity, share, parts)
            .instrument(info_span!("read"))
            .await?;
        let before = reusable_files(context, &plan, entity.table()).await?;
        let overruled = trained.overruled.get(entity.as_str()).into_iter().flatten();
        let overruled: HashSet<&Place> = overruled.collect();
        for (group, mut versions) in by_group {
            versions.retain(|v| {
                let stays = !overruled.contains(&(v.file, v.at));
                if !stays {
                    done.superseded += 1;
                    losses.add(entity, (v.file, v.at), Fate::Superseded);
                }
                stays
            });
            let (mut rows, reduced) = records::reduce(versions, &only_added, |v, fate| {
                losses.add(entity, (v.file, v.at), fate);
            });
            done.count(reduced);
            if entity == Entity::OrderLine {
                attach.one_source_an_order(&mut rows, &mut done);
            }
            let things = attach.things(&mut rows, &mut order_dates);
            let known = known(&before, group);
            let files = attach.write(group, &rows, &things, &known).await?;
            let new = files.iter().filter(|f| !before.contains_key(&f.path));
            done.written += new.map(|f| f.rows).sum::<u64>();
            let table = done.tables.entry(entity.table().to_owned()).or_default();
            table.extend(files);
        }
        done.tables.entry(entity.table().to_owned()).or_default();
    }
    for group in (0..share.groups).filter(|g| share.takes(*g)) {
        let facts = facts::keep(context, group, &done.tables, &kept.facts).await?;
        done.facts.extend(facts);
    }
    done.losses = losses.write(context, Stage::Attach, shard).await?;
    let done = context.commit(Stage::Attach, shard, done).await?;
    Ok(outcome(false, &done))
}

fn outcome(reused: bool, done: &Attached) -> Outcome {
    let files = done.tables.values().map(|f| f.len() as u64).sum();
    Outcome::new(
        reused,
        [
            ("rows", done.written),
            ("files", files),
            ("duplicate", done.duplicate),
        ],
    )
}

/// Slot groups of fact tables: fixed with the first version of a lake, so that unchanged files stay.
pub(super) fn groups(plan: &Plan) -> u32 {
    plan.state
        .get("groups")
        .and_then(|g| g.parse().ok())
        .unwrap_or(plan.slot_shards)
}

/// The files of which a run may keep those in which nothing changed: none where everything is built anew.
pub(super) async fn reusable_files(context: &Context, plan: &Plan, table: &str) -> Result<Files> {
    match &context.run.replay {
        Some(replay) if replay.from.is_none() => Ok(Files::default()),
        _ => published_files(context, plan, table).await,
    }
}

/// Files of a table, by path.
pub(super) type Files = Arc<BTreeMap<String, DataFile>>;

/// The files that a table has in the version that the run starts from; read once in a process.
pub(super) async fn published_files(context: &Context, plan: &Plan, table: &str) -> Result<Files> {
    let mut known = context.base.lock().await;
    if let Some(files) = known.get(table) {
        return Ok(files.clone());
    }
    let files = Files::new(read_files(context, plan, table).await?);
    known.insert(table.to_owned(), files.clone());
    Ok(files)
}

async fn read_files(
    context: &Context,
    plan: &Plan,
    table: &str,
) -> Result<BTreeMap<String, DataFile>> {
    if plan.base == 0 {
        return Ok(BTreeMap::new());
    }
    let base = pointer::version(&context.store, plan.base)
        .await?
        .context("the base version is gone")?;
    let Some(version) = base.tables.get(table) else {
        return Ok(BTreeMap::new());
    };
    let path = format!("curated/{table}");
    let snapshot = delta::snapshot(&context.store, &path, Some(version.delta_version)).await?;
    Ok(snapshot.map(|s| s.files).unwrap_or_default())
}

/// The files of a group in the version before, by digest.
fn known(before: &BTreeMap<String, DataFile>, group: u32) -> BTreeMap<&str, &DataFile> {
    let group = group.to_string();
    before
        .values()
        .filter(|f| f.tags.get("group") == Some(&group))
        .filter_map(|f| Some((f.tags.get("digest")?.as_str(), f)))
        .collect()
}

/// Precedence of each active file's source: smaller wins.
pub(crate) fn precedence(context: &Context, active: &[Active]) -> Vec<u32> {
    let order = &context.run.policy.source_priority;
    let rank = |source: &str| {
        order
            .iter()
            .position(|s| s == source)
            .unwrap_or(order.len())
    };
    active
        .iter()
        .map(|a| u32::try_from(rank(&a.file.source)).unwrap_or(u32::MAX))
        .collect()
}

/// A hash of each active file's bytes.
pub(super) fn stamps(active: &[Active]) -> Vec<u64> {
    let stamp = |a: &Active| xxh3_64(a.file.sha256.as_bytes());
    active.iter().map(stamp).collect()
}

/// The business date of each order that has one, by hash of its number.
type OrderDates = hashbrown::HashMap<u64, i32>;

/// One thing: the rows that tell of it, best source first.
struct Thing {
    date: Option<i32>,
    rows: Range<u32>,
}

impl Thing {
    fn of<'a>(&self, rows: &'a [Version]) -> &'a [Version] {
        &rows[self.rows.start as usize..self.rows.end as usize]
    }
}

struct Attach<'a> {
    context: &'a Context,
    active: &'a [Active],
    precedence: &'a [u32],
    stamps: &'a [u64],
    entity: Entity,
}

impl Attach<'_> {
    /// The things that rows tell of, by date. Brings the rows of each into the order of the sources.
    fn things(&self, rows: &mut [Version], order_dates: &mut OrderDates) -> Vec<Thing> {
        let mut by_date: BTreeMap<Option<i32>, Vec<Thing>> = BTreeMap::new();
        if self.entity == Entity::Order {
            order_dates.reserve(rows.len());
        }
        let mut end = 0;
        for rows in rows.chunk_by_mut(|a, b| a.thing == b.thing) {
            if rows.len() > 1 {
                rows.sort_unstable_by_key(|v| (self.rank(v), v.record));
            }
            let mut date = rows.iter().find_map(|r| r.date);
            match (self.entity, date) {
                (Entity::Order, Some(date)) => {
                    order_dates.insert(rows[0].order, date);
                }
                (Entity::OrderLine, None) => date = order_dates.get(&rows[0].order).copied(),
                _ => {}
            }
            let begin = end;
            end += rows.len() as u32;
            by_date.entry(date).or_default().push(Thing {
                date,
                rows: begin..end,
            });
        }
        by_date.into_values().flatten().collect()
    }

    fn rank(&self, version: &Version) -> (u32, &str) {
        let file = version.file as usize;
        (self.precedence[file], &self.active[file].file.source)
    }

    /// The lines of an order come from one source only: two systems number them differently. The lines of an
    /// order follow each other.
    fn one_source_an_order(&self, rows: &mut Vec<Version>, counts: &mut Attached) {
        let (before, mut begin, mut stay) = (rows.len(), 0, 0);
        while begin < before {
            let order = rows[begin].order;
            let lines = rows[begin..].iter();
            let many = lines.take_while(|l| l.order == order && order != 0).count();
            let end = begin + many.max(1);
            let best = rows[begin..end].iter().map(|l| self.rank(l)).min();
            for at in begin..end {
                if Some(self.rank(&rows[at])) == best {
                    rows[stay] = rows[at];
                    stay += 1;
                }
            }
            begin = end;
        }
        rows.truncate(stay);
        counts.superseded += (before - stay) as u64;
        counts.current -= (before - stay) as u64;
    }

    /// The files of a group, a file a date: those that are known already, and new ones.
    async fn write(
        &self,
        group: u32,
        rows: &[Version],
        things: &[Thing],
        known: &BTreeMap<&str, &DataFile>,
    ) -> Result<Vec<DataFile>> {
        let mut output = Output::new(self, group);
        let mut changed: Vec<(usize, &Thing)> = Vec::new();
        for part in things.chunk_by(|a, b| a.date == b.date) {
            let digest = self.digest(part, rows);
            if let Some(file) = known.get(digest.as_str()) {
                output.files.push((*file).clone());
                continue;
            }
            let number = output.parts.len();
            changed.extend(part.iter().map(|thing| (number, thing)));
            output.parts.push((part[0].date, digest));
        }
        let places: Vec<Place> = changed
            .iter()
            .flat_map(|(_, t)| t.of(rows))
            .map(|r| (r.file, r.at))
            .collect();
        let ends = gather::ends(gather::CHUNK, changed.iter().map(|(_, t)| t.rows.len()));
        let (context, schema) = (self.context, &output.schema);
        let mut gathered =
            gather::gather(context, self.active, self.entity, schema, &places, &ends).await?;
        let (mut rest, mut row) = (changed.as_slice(), 0);
        for (chunk, end) in ends.iter().enumerate() {
            let mut many = 0;
            while row < *end {
                row += rest[many].1.rows.len();
                many += 1;
            }
            let (here, later) = rest.split_at(many);
            rest = later;
            let batch = merge(&output.schema, here, &gathered.take(chunk)?)?;
            let mut begin = 0;
            for part in here.chunk_by(|a, b| a.0 == b.0) {
                output
                    .write(part[0].0, &batch.slice(begin, part.len()))
                    .await?;
                begin += part.len();
            }
        }
        output.finish().await
    }

    /// What the rows of one file say, whatever files they stand in now.
    fn digest(&self, things: &[Thing], rows: &[Version]) -> String {
        let mut said = schema::curated_schema(self.entity).to_string().into_bytes();
        let told: usize = things.iter().map(|t| t.rows.len()).sum();
        said.reserve(things.len() * 20 + told * 32);
        for thing in things {
            let rows = thing.of(rows);
            said.extend_from_slice(&rows[0].thing.to_le_bytes());
            said.extend_from_slice(&thing.date.unwrap_or(i32::MIN).to_le_bytes());
            for row in rows {
                said.extend_from_slice(&row.record.to_le_bytes());
                said.extend_from_slice(&row.content.to_le_bytes());
                said.extend_from_slice(&self.stamps[row.file as usize].to_le_bytes());
            }
        }
        format!("{:032x}", xxh3_128(&said))
    }
}

fn day(days: i32) -> String {
    (jiff::civil::date(1970, 1, 1) + jiff::Span::new().days(days)).to_string()
}

/// One row for each thing: per field the first source that has a value. `rows` are the rows of the things.
fn merge(
    schema: &SchemaRef,
    things: &[(usize, &Thing)],
    rows: &RecordBatch,
) -> Result<RecordBatch> {
    let mut columns: Vec<ArrayRef> = Vec::new();
    for field in schema.fields() {
        if field.name() == "business_date" {
            columns.push(Arc::new(Date32Array::from_iter(
                things.iter().map(|(_, t)| t.date),
            )));
            continue;
        }
        let column = rows
            .column_by_name(field.name())
            .context("a clean file lacks a column")?;
        if things.len() == rows.num_rows() {
            columns.push(column.clone());
            continue;
        }
        let mut end = 0;
        let chosen: UInt64Array = things
            .iter()
            .map(|(_, thing)| {
                let first = end;
                end += thing.rows.len();
                (first..end).find(|r| column.is_valid(*r)).unwrap_or(first) as u64
            })
            .collect();
        columns.push(compute::take(column, &chosen, None)?);
    }
    Ok(RecordBatch::try_new(schema.clone(), columns)?)
}

/// Writes the changed files of a group, one after another.
struct Output<'a> {
    store: &'a Store,
    entity: Entity,
    schema: SchemaRef,
    group: u32,
    /// Date and digest of each file that is to be written.
    parts: Vec<(Option<i32>, String)>,
    /// The part that is under way, the name of its file, and the file.
    open: Option<(usize, String, Sink)>,
    /// Absent values of the part that is under way.
    nulls: Nulls,
    files: Vec<DataFile>,
}

impl<'a> Output<'a> {
    fn new(attach: &Attach<'a>, group: u32) -> Self {
        Self {
            store: &attach.context.store,
            entity: attach.entity,
            schema: schema::curated_schema(attach.entity),
            group,
            parts: Vec::new(),
            open: None,
            nulls: Nulls::default(),
            files: Vec::new(),
        }
    }

    async fn write(&mut self, part: usize, rows: &RecordBatch) -> Result<()> {
        if self.open.as_ref().is_some_and(|(open, ..)| *open != part) {
            self.close().await?;
        }
        if self.open.is_none() {
            let folder = self.parts[part].0.map_or_else(|| "all".to_owned(), day);
            let unique = uuid::Uuid::new_v4().simple();
            let name = format!("{folder}/{}-{unique}.parquet", self.group);
            let path = format!("curated/{}/{name}", self.entity.table());
            let personal = schema::personal_columns(self.entity);
            let sink = Sink::create(self.store, &path, self.schema.clone(), &personal)?;
            self.open = Some((part, name, sink));
        }
        if let Some((.., sink)) = &mut self.open {
            self.nulls.add(rows);
            sink.write(rows).await?;
        }
        Ok(())
    }

    async fn close(&mut self) -> Result<()> {
        let Some((part, path, sink)) = self.open.take() else {
            return Ok(());
        };
        let file = sink.finish().await?;
        let dates = self.parts[part].0.map(|date| {
            let day = day(date);
            ("business_date".to_owned(), (day.clone(), day))
        });
        let tags = [
            ("group", self.group.to_string()),
            ("digest", self.parts[part].1.clone()),
            (gates::NULLS, std::mem::take(&mut self.nulls).text()),
        ];
        self.files.push(DataFile {
            path,
            size: file.size,
            rows: file.rows,
            range: dates.into_iter().collect(),
            tags: tags.into_iter().map(|(k, v)| (k.to_owned(), v)).collect(),
        });
        Ok(())
    }

    /// All files of the group.
    async fn finish(mut self) -> Result<Vec<DataFile>> {
        self.close().await?;
        Ok(self.files)
    }
}

impl Attached {
    fn count(&mut self, reduced: Reduced) {
        self.current += reduced.current;
        self.duplicate += reduced.duplicate;
        self.superseded += reduced.superseded;
        self.deleted += reduced.deleted;
    }
}
