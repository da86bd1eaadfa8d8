//! match: makes candidate pairs, scores them, and keeps those worth a look. Under a model that stands, only
//! pairs with a changed record.

use anyhow::{Context as _, Result};
use musubi_api::run::Stage;
use musubi_identity::match_shard;
use musubi_lake::parquet;
use serde::{Deserialize, Serialize};

use super::{
    Context, Outcome,
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
    let trained: Trained = context
        .done(Stage::Train, 0)
        .await?
        .context("stage train is not complete")?;
    let features = train::read_features(context, &trained).await?;
    let model = train::read_model(context, &trained.model).await?;
    let policy = train::policy(&context.run.policy);
    let changed = if trained.fresh {
        None
    } else {
        Some(train::changed(context, &trained).await?)
    };
    let shards = plan.slot_shards;
    let (edges, batch) = tokio::task::spawn_blocking(move || {
        let edges = match_shard(&features, &model, &policy, shard, shards, changed.as_ref())?;
        let batch = edges.to_batch(&features)?;
        anyhow::Ok((edges, batch))
    })
    .await??;
    let path = context.attempt(Stage::Match, shard, "edges.parquet");
    parquet::write(
        &context.store,
        &path,
        batch.schema(),
        &Default::default(),
        &[batch],
    )
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
