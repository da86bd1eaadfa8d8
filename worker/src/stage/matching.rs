//! match: makes candidate pairs, scores them, and keeps those worth a look. Under a model that stands, only
//! pairs with a changed record.

use anyhow::Result;
use musubi_api::run::Stage;
use musubi_identity::edges_to_batches;
use serde::{Deserialize, Serialize};
use tracing::{Instrument as _, info_span};

use super::{
    Context, Outcome, batches, pins,
    train::{self, Trained},
};

/// What a shard matched.
#[derive(Debug, Serialize, Deserialize)]
pub struct Matched {
    /// Path of the edges.
    pub edges: String,
    /// Edges that were kept.
    pub kept: u64,
    /// Pairs that were scored.
    pub pairs: u64,
    /// Records of the largest block.
    pub largest_block: u64,
}

pub(super) async fn run(context: &Context, shard: u32) -> Result<Outcome> {
    if let Some(done) = context.done::<Matched>(Stage::Match, shard).await? {
        return Ok(outcome(true, &done));
    }
    let plan = context.plan().await?;
    let trained: Trained = context.complete(Stage::Train).await?;
    let matcher = train::matcher(context, &trained)
        .instrument(info_span!("read"))
        .await?;
    let policy = pins::of_plan(context, &plan);
    let changed = if trained.fresh {
        None
    } else {
        Some(train::changed(context, &trained).await?)
    };
    let shards = plan.slot_shards;
    let work = tokio::task::spawn_blocking(move || {
        let edges = matcher.shard(&policy, shard, shards, changed.as_ref());
        edges.map(|edges| (matcher, edges))
    });
    let (matcher, edges) = work.instrument(info_span!("score")).await??;
    let path = context.attempt(Stage::Match, shard, "edges.parquet");
    let rows = edges_to_batches(&edges.edges, matcher.features());
    batches::write(context, &path, &Default::default(), rows)
        .instrument(info_span!("write"))
        .await?;
    let done = Matched {
        edges: path,
        kept: edges.edges.len() as u64,
        pairs: edges.pairs,
        largest_block: edges.largest_block,
    };
    let done = context.commit(Stage::Match, shard, done).await?;
    Ok(outcome(false, &done))
}

fn outcome(reused: bool, done: &Matched) -> Outcome {
    Outcome::new(reused, [("pairs", done.pairs), ("edges", done.kept)])
}
