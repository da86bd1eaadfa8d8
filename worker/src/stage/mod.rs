//! The stages of a run, one file each. A stage is a function of (run, shard); what it did stands in the
//! lake as a manifest, so a stage that is called again finds its work done.

pub mod accounts;
pub mod attach;
mod batches;
mod bookmarks;
pub mod clean;
pub mod curate;
pub mod edits;
mod facts;
pub mod files;
mod gates;
mod gather;
pub mod ingest;
pub mod intake;
pub mod link;
pub mod load;
mod losses;
pub mod matching;
mod movers;
pub mod pins;
pub mod plan;
pub mod preview;
pub(crate) mod publication;
pub mod publish;
pub mod records;
mod replay;
pub mod resolved;
pub mod runner;
pub mod tables;
pub mod train;
mod versions;
pub mod view;

use std::{collections::BTreeMap, sync::Arc};

use anyhow::{Context as _, Result};
use musubi_api::run::{Run, Stage, StageReport};
use musubi_lake::{Location, Store, manifest};
use serde::{Serialize, de::DeserializeOwned};
use tracing::{Instrument as _, info_span};

use musubi_api::secrets::Secrets;

use crate::spans;

/// What every stage needs: the run, its lake, and the secrets that it refers to.
#[derive(Clone)]
pub struct Context {
    /// The run, pinned to its snapshot.
    pub run: Arc<Run>,
    /// The lake.
    pub store: Store,
    /// Where credentials come from.
    pub secrets: Arc<Secrets>,
    /// What identity has at hand in this process, so that no stage and no shard makes it again.
    identity: Arc<tokio::sync::Mutex<Option<train::Held>>>,
    /// Files of the tables in the version that the run starts from.
    base: Arc<tokio::sync::Mutex<BTreeMap<String, attach::Files>>>,
    /// What is true once clean is complete.
    present: Arc<tokio::sync::OnceCell<Arc<clean::Present>>>,
}

impl Context {
    /// Opens the lake of a run.
    ///
    /// # Errors
    /// When the lake cannot be opened or a credential is missing.
    pub fn open(mut run: Run, secrets: Secrets) -> Result<Self> {
        intake::join(&mut run)?;
        let location = match (&run.spec.lake.folder, &run.spec.lake.s3) {
            (Some(folder), None) => Location::Folder(folder.into()),
            (None, Some(s3)) => crate::source::s3_location(s3, |s, k| secrets.get(s, k))?,
            _ => anyhow::bail!(
                "pipeline {}: spec.lake needs exactly one of folder and s3",
                run.pipeline
            ),
        };
        let store = Store::open(&location).context("open the lake")?;
        Ok(Self {
            run: Arc::new(run),
            store,
            secrets: Arc::new(secrets),
            identity: Arc::default(),
            base: Arc::default(),
            present: Arc::default(),
        })
    }

    /// The same lake, seen as another run.
    fn as_run(&self, run: Run) -> Self {
        Self {
            run: Arc::new(run),
            identity: Arc::default(),
            base: Arc::default(),
            present: Arc::default(),
            ..self.clone()
        }
    }

    /// The manifest of a shard that is committed.
    async fn done<T: DeserializeOwned>(&self, stage: Stage, shard: u32) -> Result<Option<T>> {
        Ok(manifest::find(&self.store, &self.run.uid, stage.as_str(), shard).await?)
    }

    /// Commits a shard, and gives what stands: ours, or that of a faster attempt.
    async fn commit<T: Serialize + DeserializeOwned>(
        &self,
        stage: Stage,
        shard: u32,
        value: T,
    ) -> Result<T> {
        let committed = manifest::commit(&self.store, &self.run.uid, stage.as_str(), shard, value);
        Ok(committed.instrument(info_span!("commit")).await?.manifest)
    }

    /// The manifests of all shards of a stage.
    pub(crate) async fn all<T: DeserializeOwned>(
        &self,
        stage: Stage,
        shards: u32,
    ) -> Result<Vec<T>> {
        manifest::all(&self.store, &self.run.uid, stage.as_str(), shards)
            .await
            .with_context(|| format!("stage {} is not complete", stage.as_str()))
    }

    /// What a stage of one shard did, once it is complete.
    async fn complete<T: DeserializeOwned>(&self, stage: Stage) -> Result<T> {
        let done = self.done(stage, 0).await?;
        done.with_context(|| format!("stage {} is not complete", stage.as_str()))
    }

    /// The plan, once it is made.
    pub(crate) async fn plan(&self) -> Result<plan::Plan> {
        self.done(Stage::Plan, 0)
            .await?
            .context("the run has no plan yet: run stage plan first")
    }

    /// A name for a file of this attempt.
    fn attempt(&self, stage: Stage, shard: u32, name: &str) -> String {
        manifest::attempt_path(&self.run.uid, stage.as_str(), shard, name)
    }
}

/// How wide a stage is in this run.
///
/// # Errors
/// When there is no plan yet.
pub async fn shards(context: &Context, stage: Stage) -> Result<u32> {
    if stage == Stage::Plan {
        return Ok(1);
    }
    let plan = context.plan().await?;
    Ok(match stage {
        Stage::Plan | Stage::Train | Stage::Link | Stage::Publish => 1,
        Stage::Ingest | Stage::Clean => plan.source_shards,
        Stage::Match | Stage::Attach | Stage::Curate => plan.slot_shards,
        Stage::Load => u32::try_from(context.run.warehouses.len())?,
        Stage::Activate => u32::try_from(context.run.audiences.len())?,
    })
}

/// How wide every stage is.
async fn widths(context: &Context) -> Result<BTreeMap<Stage, u32>> {
    let mut widths = BTreeMap::new();
    for stage in Stage::ALL {
        widths.insert(stage, shards(context, stage).await?);
    }
    Ok(widths)
}

/// Runs one shard of a stage. A shard that is committed already gives its report at once.
///
/// # Errors
/// Whatever kept the shard from its commit.
pub async fn run_shard(context: &Context, stage: Stage, shard: u32) -> Result<StageReport> {
    let span = info_span!("shard", run = %context.run.uid, stage = stage.as_str(), shard);
    let report = work(context, stage, shard).instrument(span.clone()).await;
    let report = report.inspect_err(|_| spans::failed(&span))?;
    spans::counted(&span, &report);
    let _here = span.enter();
    let counts = serde_json::to_string(&report.counts).unwrap_or_default();
    tracing::info!(
        reused = report.reused,
        millis = report.millis,
        counts,
        "done"
    );
    Ok(report)
}

async fn work(context: &Context, stage: Stage, shard: u32) -> Result<StageReport> {
    let begun = std::time::Instant::now();
    let outcome = match stage {
        Stage::Plan => plan::run(context).await,
        Stage::Ingest => ingest::run(context, shard).await,
        Stage::Clean => clean::run(context, shard).await,
        Stage::Train => train::run(context).await,
        Stage::Match => matching::run(context, shard).await,
        Stage::Link => link::run(context).await,
        Stage::Attach => attach::run(context, shard).await,
        Stage::Curate => curate::run(context, shard).await,
        Stage::Publish => publish::run(context).await,
        Stage::Load => load::run(context, shard).await,
        Stage::Activate => load::activate(context, shard).await,
    };
    let Outcome {
        reused,
        counts,
        bookmarks,
    } = outcome.with_context(|| format!("stage {}, shard {shard}", stage.as_str()))?;
    let counts = counts
        .into_iter()
        .map(|(name, n)| (name.to_owned(), n))
        .collect();
    let millis = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    let shards = match stage {
        Stage::Plan => widths(context).await?,
        _ => BTreeMap::new(),
    };
    Ok(StageReport {
        stage,
        shard,
        reused,
        counts,
        millis,
        shards,
        bookmarks,
        stages: Vec::new(),
    })
}

/// What a shard did, in counts.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Whether it was committed before.
    pub reused: bool,
    /// Counts by name.
    pub counts: BTreeMap<&'static str, i64>,
    /// From publish: of which instant the newest data of each source is, in seconds since 1970.
    pub bookmarks: BTreeMap<String, i64>,
}

impl Outcome {
    fn new<const N: usize>(reused: bool, counts: [(&'static str, u64); N]) -> Self {
        let counts = counts
            .into_iter()
            .map(|(name, n)| (name, i64::try_from(n).unwrap_or(i64::MAX)))
            .collect();
        Self {
            reused,
            counts,
            bookmarks: BTreeMap::new(),
        }
    }
}

/// A run that can never succeed as it stands: retries are useless.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct RunRefused(pub String);
