//! Runs every stage of a run in one process: the shards of a stage side by side, the stages one after
//! another. What is committed is not done again, so a run that was interrupted goes on where it was.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use anyhow::Result;
use musubi_api::run::{Stage, StageReport};
use tokio::{sync::Semaphore, task::JoinSet};
use tracing::Instrument as _;

use super::{Context, run_shard, shards};

/// What a stage came to, over its shards.
#[derive(Clone, Debug, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StageSummary {
    /// Stage.
    pub stage: Stage,
    /// Shards.
    pub shards: u32,
    /// Shards that had been committed before.
    pub reused: u32,
    /// Sums of the shards' counts.
    pub counts: BTreeMap<String, i64>,
    /// Wall-clock time in milliseconds.
    pub millis: u64,
}

/// Who watches a run.
pub trait Watch: Send + Sync {
    /// A stage begins.
    fn stage(&self, stage: Stage, shards: u32);
    /// One of its shards is committed.
    fn shard(&self, report: &StageReport);
    /// The stage is complete.
    fn complete(&self, summary: &StageSummary);
}

/// Nobody watches.
impl Watch for () {
    fn stage(&self, _: Stage, _: u32) {}
    fn shard(&self, _: &StageReport) {}
    fn complete(&self, _: &StageSummary) {}
}

/// Runs all stages.
///
/// # Errors
/// The first error of a shard; the other shards of the stage are ended.
pub async fn run(
    context: &Context,
    threads: usize,
    watch: Arc<dyn Watch>,
) -> Result<Vec<StageSummary>> {
    let mut summaries = Vec::new();
    for stage in Stage::ALL {
        let width = shards(context, stage).await?;
        watch.stage(stage, width);
        let span = tracing::info_span!("stage", stage = stage.as_str(), shards = width);
        let work = run_stage(context, stage, width, threads, &watch);
        let summary = work.instrument(span).await?;
        watch.complete(&summary);
        summaries.push(summary);
    }
    Ok(summaries)
}

async fn run_stage(
    context: &Context,
    stage: Stage,
    width: u32,
    threads: usize,
    watch: &Arc<dyn Watch>,
) -> Result<StageSummary> {
    let begun = Instant::now();
    let places = Arc::new(Semaphore::new(threads.max(1)));
    let mut running = JoinSet::new();
    for shard in 0..width {
        let (context, places) = (context.clone(), places.clone());
        let work = async move {
            let _place = places.acquire_owned().await?;
            run_shard(&context, stage, shard).await
        };
        running.spawn(work.in_current_span());
    }
    let mut counts: BTreeMap<String, i64> = BTreeMap::new();
    let mut reused = 0;
    while let Some(report) = running.join_next().await {
        let report = report??;
        watch.shard(&report);
        reused += u32::from(report.reused);
        for (name, n) in report.counts {
            *counts.entry(name).or_default() += n;
        }
    }
    let millis = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(StageSummary {
        stage,
        shards: width,
        reused,
        counts,
        millis,
    })
}
