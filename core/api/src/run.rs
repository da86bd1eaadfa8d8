//! `run.yaml`: everything a worker must know, resolved and pinned; and the report that a stage gives back.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    audience::AudienceSpec, pipeline::CustomerPipelineSpec, policy::IdentityPolicySpec,
    source::SourceSpec, warehouse::WarehouseSpec,
};

/// Version of `run.yaml` that this build writes. It reads this one and the one before.
///
/// A field that may be left out, and is left out where nobody asked for it, needs no new version: an older worker reads
/// on. Anything else does.
pub const RUN_FORMAT: u32 = 1;
/// The oldest version that this build reads.
pub const OLDEST_FORMAT: u32 = 1;

/// A stage did its work.
pub const EXIT_DONE: i32 = 0;
/// This shard can never succeed: a retry is useless, other shards may go on.
pub const EXIT_SHARD_FAILED: i32 = 42;
/// The run can never succeed.
pub const EXIT_RUN_FAILED: i32 = 43;

/// One execution, pinned to its snapshot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Run {
    /// See [`RUN_FORMAT`].
    pub format: u32,
    /// Unique id: names the run's folder in the lake.
    pub uid: String,
    /// Name of the pipeline.
    pub pipeline: String,
    /// Namespace of the pipeline: part of the lake owner's identity.
    #[serde(default = "default_namespace")]
    pub namespace: String,
    /// The instant the run speaks for.
    pub as_of: jiff::Timestamp,
    /// The pipeline.
    pub spec: CustomerPipelineSpec,
    /// Its sources by name.
    pub sources: BTreeMap<String, SourceSpec>,
    /// Its identity policy.
    pub policy: IdentityPolicySpec,
    /// Its warehouses by name.
    #[serde(default)]
    pub warehouses: BTreeMap<String, WarehouseSpec>,
    /// Its audiences by name.
    #[serde(default)]
    pub audiences: BTreeMap<String, AudienceSpec>,
    /// Gates to pass over.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<String>,
    /// Whether the run rebuilds from what the lake has in its raw zone, and takes nothing from the sources.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay: Option<Replay>,
}

/// Why a text is no run that this build reads.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// It was written by a newer build.
    #[error("has format {0}, this {1} reads up to {RUN_FORMAT}; use a newer {1}")]
    Newer(u32, &'static str),
    /// It was written by a build before the one before this.
    #[error("has format {0}, this {1} reads {OLDEST_FORMAT} to {RUN_FORMAT}; start another run")]
    Older(u32, &'static str),
    /// It is none.
    #[error("is not a run: {0}")]
    Malformed(String),
}

/// The one field that every format has.
#[derive(Deserialize)]
struct Format {
    format: u32,
}

impl Run {
    /// Reads `run.yaml`; `reader` is what the reading program is called in errors. The format is looked at first: of
    /// a newer one nothing else may be readable.
    ///
    /// # Errors
    /// A format of another time, or no run at all.
    pub fn read(text: &str, reader: &'static str) -> Result<Self, ReadError> {
        let malformed = |e: serde_saphyr::Error| ReadError::Malformed(e.to_string());
        let Format { format } = serde_saphyr::from_str(text).map_err(malformed)?;
        match format {
            newer if newer > RUN_FORMAT => Err(ReadError::Newer(newer, reader)),
            older if older < OLDEST_FORMAT => Err(ReadError::Older(older, reader)),
            _ => serde_saphyr::from_str(text).map_err(malformed),
        }
    }
}

/// What a run does again from raw.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Replay {
    /// Only files whose date (from the name, else the day they arrived, UTC) is this one or later; all when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<jiff::civil::Date>,
}

fn default_namespace() -> String {
    "default".into()
}

/// The stages of a run, in order.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum Stage {
    Plan,
    Ingest,
    Clean,
    Train,
    Match,
    Link,
    Attach,
    Curate,
    Publish,
    Load,
    Activate,
}

impl Stage {
    /// Every stage, in order.
    pub const ALL: [Self; 11] = [
        Self::Plan,
        Self::Ingest,
        Self::Clean,
        Self::Train,
        Self::Match,
        Self::Link,
        Self::Attach,
        Self::Curate,
        Self::Publish,
        Self::Load,
        Self::Activate,
    ];

    /// Lower-case name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Ingest => "ingest",
            Self::Clean => "clean",
            Self::Train => "train",
            Self::Match => "match",
            Self::Link => "link",
            Self::Attach => "attach",
            Self::Curate => "curate",
            Self::Publish => "publish",
            Self::Load => "load",
            Self::Activate => "activate",
        }
    }
}

/// What a shard says when it is done: counts only, under 4 kB.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StageReport {
    /// Stage.
    pub stage: Stage,
    /// Shard.
    pub shard: u32,
    /// Whether the shard had been committed before.
    pub reused: bool,
    /// Counts by name: rows, bytes, files, …
    pub counts: BTreeMap<String, i64>,
    /// Wall-clock time in milliseconds.
    pub millis: u64,
    /// From plan alone: how many shards each stage has.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub shards: BTreeMap<Stage, u32>,
    /// From publish: of which instant the newest data of each source is, in seconds since 1970; as many as fit.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub bookmarks: BTreeMap<String, i64>,
    /// From plan, when its pod went on through all other stages: what they did.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<StageDone>,
}

/// A stage that the plan's pod went on through.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StageDone {
    /// Stage.
    pub stage: Stage,
    /// Shards.
    pub shards: u32,
    /// Sums of their counts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub counts: BTreeMap<String, i64>,
    /// Wall-clock time in milliseconds.
    pub millis: u64,
}

/// What a shard that failed says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FailureReport {
    /// Stage.
    pub stage: Stage,
    /// Shard.
    pub shard: u32,
    /// Why, and the way out.
    pub error: String,
}
