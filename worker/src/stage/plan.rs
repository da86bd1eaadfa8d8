//! plan: lists what is new since the last published bookmarks, and fixes how wide the stages are.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use musubi_api::{policy::Pin, run::Stage, source::Stream};
use musubi_lake::pointer;
use serde::{Deserialize, Serialize};
use tracing::{Instrument as _, info_span};

use super::{
    Context, Outcome,
    edits::{self, EditSet},
    files::Files,
    intake, pins, publication, replay, view,
};
use crate::source::{self, SourceObject};

/// What a run starts from and what it has to take.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// Published version that the run starts from; 0 when there is none.
    pub base: u64,
    /// Version that it is to publish.
    pub next: u64,
    /// State of that version: bookmarks, model, registry, …
    pub state: BTreeMap<String, String>,
    /// What to take.
    pub splits: Vec<Split>,
    /// Corrections of quarantined rows, all that there are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub edits: Vec<EditSet>,
    /// Decisions on pairs that stand in the lake.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pins: Vec<Pin>,
    /// Shards of ingest and clean.
    pub source_shards: u32,
    /// Shards of match, attach and curate.
    pub slot_shards: u32,
}

impl Plan {
    /// The splits of one shard.
    pub fn splits_of(&self, shard: u32) -> impl Iterator<Item = &Split> {
        self.splits
            .iter()
            .enumerate()
            .filter(move |(i, _)| *i % self.source_shards as usize == shard as usize)
            .map(|(_, s)| s)
    }

    /// The files known to the version that the run starts from.
    ///
    /// # Errors
    /// Those of the storage.
    pub async fn files(&self, context: &Context) -> Result<Files> {
        match self.state.get("files") {
            Some(path) => Files::read(&context.store, path).await,
            None => Ok(Files::default()),
        }
    }

    /// The version that the run will publish.
    #[must_use]
    pub fn next_version(&self) -> u64 {
        self.next
    }
}

/// Something to take from a source.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Split {
    /// Source.
    pub source: String,
    /// Stream.
    pub stream: String,
    /// The object, or the read of a table.
    pub object: SourceObject,
    /// For tables: the bookmark to start from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bookmark: Option<String>,
}

pub(super) async fn run(context: &Context) -> Result<Outcome> {
    if let Some(plan) = context.done::<Plan>(Stage::Plan, 0).await? {
        return Ok(outcome(true, &plan));
    }
    let run = &context.run;
    pointer::claim(
        &context.store,
        &format!("{}/{}", run.namespace, run.pipeline),
    )
    .await?;
    let start = match &run.replay {
        Some(what) => replay::start(context, what).await?,
        None => start(context).await?,
    };
    let Start { base, next, state } = start;
    let mut plan = Plan {
        base,
        next,
        state,
        splits: Vec::new(),
        edits: edits::all(&context.store, run).await?,
        pins: pins::standing(&context.store).await?,
        source_shards: 1,
        slot_shards: 1,
    };
    let known = plan.files(context).await?;
    let sources = run.sources.iter().filter(|_| run.replay.is_none());
    for (name, source) in sources {
        for stream in &source.streams {
            let found = match (&stream.files, &stream.table) {
                _ if intake::is_ours(name, &stream.name, source) => {
                    intake::splits(&context.store, &known).await
                }
                (Some(_), _) => {
                    let list = new_objects(context, name, stream, &known);
                    list.instrument(info_span!("list")).await
                }
                (None, Some(_)) => Ok(vec![next_read(name, stream, &known)]),
                (None, None) => Ok(Vec::new()),
            };
            plan.splits
                .extend(found.with_context(|| format!("Source {name}, stream {}", stream.name))?);
        }
    }
    widen(context, &mut plan, &known);
    view::remember(context).await?;
    let plan = context.commit(Stage::Plan, 0, plan).await?;
    Ok(outcome(false, &plan))
}

/// Where a run starts.
pub(super) struct Start {
    /// Version whose tables it starts from.
    pub(super) base: u64,
    /// Version that it is to publish.
    pub(super) next: u64,
    /// What it starts with.
    pub(super) state: BTreeMap<String, String>,
}

/// The version that is published now.
async fn start(context: &Context) -> Result<Start> {
    publication::roll_forward(&context.store).await?;
    let (base, state) = match pointer::published(&context.store).await? {
        Some((published, _)) => (published.version, published.state),
        None => (0, BTreeMap::new()),
    };
    let next = base + 1;
    Ok(Start { base, next, state })
}

fn outcome(reused: bool, plan: &Plan) -> Outcome {
    let bytes = plan.splits.iter().map(|s| s.object.size).sum();
    Outcome::new(
        reused,
        [("files", plan.splits.len() as u64), ("bytes", bytes)],
    )
}

/// The objects of a stream that were not taken in this version before.
async fn new_objects(
    context: &Context,
    source: &str,
    stream: &Stream,
    known: &Files,
) -> Result<Vec<Split>> {
    let connector = &context.run.sources[source].connector;
    let mut taken: BTreeMap<&str, (&str, u64)> = BTreeMap::new();
    for file in known
        .0
        .iter()
        .filter(|f| f.source == source && f.stream == stream.name)
    {
        taken.insert(&file.path, (&file.tag, file.size));
    }
    let objects = source::list(connector, stream, &context.secrets).await?;
    let new = objects
        .into_iter()
        .filter(|o| taken.get(o.path.as_str()) != Some(&(o.tag.as_str(), o.size)));
    Ok(new
        .map(|object| Split {
            source: source.into(),
            stream: stream.name.clone(),
            object,
            bookmark: None,
        })
        .collect())
}

/// The next read of a table.
fn next_read(source: &str, stream: &Stream, known: &Files) -> Split {
    let reads: Vec<_> = known
        .0
        .iter()
        .filter(|f| f.source == source && f.stream == stream.name)
        .collect();
    let path = format!("table@{:08}", reads.len() + 1);
    let bookmark = reads.last().and_then(|f| f.bookmark.clone());
    let object = SourceObject {
        path,
        size: 0,
        tag: String::new(),
        date: None,
    };
    Split {
        source: source.into(),
        stream: stream.name.clone(),
        object,
        bookmark,
    }
}

/// Source bytes of a lake whose runs may be small.
const SMALL_LAKE: u64 = 512 << 20;

/// Whether a run is small: what is new fits one split, what the lake has is little, and no table is read for the
/// first time, of which nobody knows the size.
///
/// # Errors
/// Those of the storage.
pub async fn is_small(context: &Context) -> Result<bool> {
    let plan = context.plan().await?;
    let known = plan.files(context).await?;
    let new: u64 = plan.splits.iter().map(|s| s.object.size).sum();
    let all = new + known.active().map(|f| f.size).sum::<u64>();
    let split = u64::from(context.run.spec.sharding.split_mebibytes) << 20;
    let first_read = |split: &Split| {
        let stream = super::files::stream(&context.run, &split.source, &split.stream);
        split.bookmark.is_none() && stream.is_some_and(|s| s.table.is_some())
    };
    Ok(new <= split && all <= SMALL_LAKE && !plan.splits.iter().any(first_read))
}

/// Chooses shard counts from the amount of data. Results do not depend on them.
fn widen(context: &Context, plan: &mut Plan, known: &Files) {
    let sizes: Vec<u64> = match context.run.replay {
        Some(_) => known.active().map(|f| f.size).collect(),
        None => plan.splits.iter().map(|s| s.object.size).collect(),
    };
    let bytes: u64 = sizes.iter().sum();
    let split = u64::from(context.run.spec.sharding.split_mebibytes.max(1)) << 20;
    let by_bytes = bytes.div_ceil(split).clamp(1, 1024);
    let by_files = (sizes.len() as u64).clamp(1, 8);
    plan.source_shards = u32::try_from(by_bytes.max(by_files)).unwrap_or(1);
    let all: u64 = bytes + known.active().map(|f| f.size).sum::<u64>();
    // A shard holds the keys of what came from this many bytes, and every shard passes over the new files.
    let chosen = u32::try_from((all >> 28).clamp(2, 64)).unwrap_or(2);
    plan.slot_shards = context.run.spec.sharding.shards.unwrap_or(chosen).max(1);
}
