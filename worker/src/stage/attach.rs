//! attach: puts facts together. Of each row the version that stands; of each thing that several sources
//! tell (an order), one row, field by field in the order of the sources' precedence; a file a business
//! date and slot group, written only where something changed.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context as _, Result};
use arrow::{
    array::{Array, ArrayRef, Date32Array, RecordBatch, UInt64Array},
    compute,
    datatypes::SchemaRef,
};
use musubi_api::{entity::Entity, run::Stage};
use musubi_clean::schema;
use musubi_lake::{
    delta::{self, DataFile},
    parquet, pointer,
};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

use super::{
    Context, Outcome,
    clean::{self, Active},
    gates,
    plan::Plan,
    records::{self, Reduced, Version},
};

/// What a shard attached.
#[derive(Debug, Serialize, Deserialize)]
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
    let mut done = Attached {
        tables: BTreeMap::new(),
        written: 0,
        duplicate: 0,
        superseded: 0,
        deleted: 0,
        current: 0,
    };
    let precedence = precedence(context, &present.active);
    let groups = groups(&plan);
    for group in (0..groups).filter(|g| g % plan.slot_shards == shard) {
        let mut order_dates = HashMap::new();
        for entity in TABLES {
            let attach = Attach {
                context,
                active: &present.active,
                entity,
                group,
                precedence: &precedence,
            };
            let before = published_files(context, &plan, entity.table()).await?;
            let things = attach.things(groups, &mut order_dates, &mut done).await?;
            let files = attach
                .write(shard, things, &before, &mut done.written)
                .await?;
            done.tables
                .entry(entity.table().to_owned())
                .or_default()
                .extend(files);
        }
    }
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

/// The files that a table has in the version that the run starts from.
pub(super) async fn published_files(
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

/// Precedence of each active file's source: smaller wins.
fn precedence(context: &Context, active: &[Active]) -> Vec<u32> {
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

/// One thing: the rows that tell of it, best source first.
struct Thing {
    id: u128,
    date: Option<i32>,
    rows: Vec<Version>,
}

struct Attach<'a> {
    context: &'a Context,
    active: &'a [Active],
    entity: Entity,
    group: u32,
    precedence: &'a [u32],
}

impl Attach<'_> {
    async fn things(
        &self,
        groups: u32,
        order_dates: &mut HashMap<u64, i32>,
        counts: &mut Attached,
    ) -> Result<Vec<Thing>> {
        let keep = |slot: u128| slot % u128::from(groups) == u128::from(self.group);
        let versions = records::versions(self.context, self.active, self.entity, keep).await?;
        let (mut rows, reduced) = records::latest(versions);
        count(counts, reduced);
        if self.entity == Entity::OrderLine {
            self.one_source_an_order(&mut rows, counts);
        }
        rows.sort_unstable_by_key(|v| (v.thing, self.rank(v), v.record));
        let mut things = Vec::new();
        for rows in rows.chunk_by(|a, b| a.thing == b.thing) {
            let mut date = rows.iter().find_map(|r| r.date);
            if self.entity == Entity::Order
                && let Some(date) = date
            {
                order_dates.insert(rows[0].order, date);
            }
            if self.entity == Entity::OrderLine {
                date = date.or_else(|| order_dates.get(&rows[0].order).copied());
            }
            things.push(Thing {
                id: rows[0].thing,
                date,
                rows: rows.to_vec(),
            });
        }
        things.sort_unstable_by_key(|t| (t.date, t.id));
        Ok(things)
    }

    fn rank(&self, version: &Version) -> (u32, &str) {
        let file = version.file as usize;
        (self.precedence[file], &self.active[file].file.source)
    }

    /// The lines of an order come from one source only: two systems number them differently.
    fn one_source_an_order(&self, rows: &mut Vec<Version>, counts: &mut Attached) {
        let mut best: HashMap<u64, (u32, &str)> = HashMap::new();
        for row in rows.iter().filter(|r| r.order != 0) {
            let rank = self.rank(row);
            best.entry(row.order)
                .and_modify(|b| *b = (*b).min(rank))
                .or_insert(rank);
        }
        let before = rows.len();
        rows.retain(|r| best.get(&r.order).is_none_or(|b| *b == self.rank(r)));
        counts.superseded += (before - rows.len()) as u64;
        counts.current -= (before - rows.len()) as u64;
    }

    async fn write(
        &self,
        shard: u32,
        things: Vec<Thing>,
        before: &BTreeMap<String, DataFile>,
        written: &mut u64,
    ) -> Result<Vec<DataFile>> {
        let group = self.group.to_string();
        let known: BTreeMap<&str, &DataFile> = before
            .values()
            .filter(|f| f.tags.get("group") == Some(&group))
            .filter_map(|f| Some((f.tags.get("digest")?.as_str(), f)))
            .collect();
        let mut files = Vec::new();
        for part in things.chunk_by(|a, b| a.date == b.date) {
            let digest = self.digest(part);
            if let Some(file) = known.get(digest.as_str()) {
                files.push((*file).clone());
                continue;
            }
            let batch = self.merge(part).await?;
            let day = part[0]
                .date
                .map(|d| jiff::civil::date(1970, 1, 1) + jiff::Span::new().days(d));
            let folder = day.map_or_else(|| "all".to_owned(), |d| d.to_string());
            let name = format!("{folder}/{group}-{}.parquet", uuid::Uuid::new_v4().simple());
            let path = format!("curated/{}/{name}", self.entity.table());
            let personal = schema::personal_columns(self.entity);
            let nulls = gates::nulls(&batch);
            let file = parquet::write(
                &self.context.store,
                &path,
                batch.schema(),
                &personal,
                &[batch],
            )
            .await
            .with_context(|| format!("write shard {shard} of {}", self.entity.table()))?;
            *written += file.rows;
            let tags = [
                ("group", group.clone()),
                ("digest", digest),
                (gates::NULLS, nulls),
            ];
            files.push(DataFile {
                path: name,
                size: file.size,
                rows: file.rows,
                partition: BTreeMap::new(),
                tags: tags.into_iter().map(|(k, v)| (k.to_owned(), v)).collect(),
            });
        }
        Ok(files)
    }

    /// What the rows of one file say, whatever files they stand in now.
    fn digest(&self, things: &[Thing]) -> String {
        let mut text = Vec::with_capacity(things.len() * 48);
        text.extend(schema::curated_schema(self.entity).to_string().bytes());
        for thing in things {
            text.extend(thing.id.to_le_bytes());
            text.extend(thing.date.unwrap_or(i32::MIN).to_le_bytes());
            for row in &thing.rows {
                text.extend(row.record.to_le_bytes());
                text.extend(row.content.to_le_bytes());
                text.extend(self.active[row.file as usize].file.sha256.bytes());
            }
        }
        format!("{:032x}", xxh3_128(&text))
    }

    /// One row for each thing: per field the first source that has a value.
    async fn merge(&self, things: &[Thing]) -> Result<RecordBatch> {
        let schema: SchemaRef = schema::curated_schema(self.entity);
        let places: Vec<(u32, u32)> = things
            .iter()
            .flat_map(|t| &t.rows)
            .map(|r| (r.file, r.at))
            .collect();
        let rows =
            records::gather(self.context, self.active, self.entity, &schema, &places).await?;
        let mut columns: Vec<ArrayRef> = Vec::new();
        for field in schema.fields() {
            if field.name() == "business_date" {
                columns.push(std::sync::Arc::new(Date32Array::from_iter(
                    things.iter().map(|t| t.date),
                )));
                continue;
            }
            let column = rows
                .column_by_name(field.name())
                .context("a clean file lacks a column")?;
            let mut begin = 0_usize;
            let chosen: UInt64Array = things
                .iter()
                .map(|thing| {
                    let range = begin..begin + thing.rows.len();
                    begin = range.end;
                    let first = range.start;
                    range.clone().find(|r| column.is_valid(*r)).unwrap_or(first) as u64
                })
                .collect();
            columns.push(compute::take(column, &chosen, None)?);
        }
        Ok(RecordBatch::try_new(schema, columns)?)
    }
}

fn count(counts: &mut Attached, reduced: Reduced) {
    counts.current += reduced.current;
    counts.duplicate += reduced.duplicate;
    counts.superseded += reduced.superseded;
    counts.deleted += reduced.deleted;
}
