//! What controllers say of pipelines and runs.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::run::Stage;

/// What a pipeline's controller last saw and did.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CustomerPipelineStatus {
    /// Conditions: `Ready` (the spec is usable), `LastRunSucceeded`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// Generation that the conditions speak of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// When the next run is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_schedule_time: Option<Time>,
    /// The last due time that was dealt with: a run was made for it, or it was passed over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_schedule_time: Option<Time>,
    /// The run that is to be made next. It stands here before it is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<PendingRun>,
    /// The last request for a run now that was dealt with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_now: Option<String>,
    /// Name of the run that was made last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_run: Option<String>,
    /// Version that was published last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published_version: Option<i64>,
    /// The instant that published data speak for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published_as_of: Option<Time>,
    /// The instant that data in every warehouse speak for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loaded_as_of: Option<Time>,
    /// Runs that are not at their end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub active: Vec<String>,
    /// The peak that counts now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active_peak: Option<ActivePeak>,
    /// The peak that counts next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_peak: Option<NextPeak>,
}

/// A peak that counts now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ActivePeak {
    /// Its name.
    pub name: String,
    /// When it is over, or another one counts; left out when that is more than a year away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
}

/// The peak that counts next.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NextPeak {
    /// Its name.
    pub name: String,
    /// When it begins.
    pub from: Time,
}

/// A run that is to be made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PendingRun {
    /// Its name.
    pub name: String,
    /// When it was due; absent when it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduled: Option<Time>,
}

/// What a run has done so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CustomerPipelineRunStatus {
    /// Pending, Running, Complete or Failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// Stage that runs, or that the run ended with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// Generation that the conditions speak of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// When the run was pinned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// When it was complete or failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<Time>,
    /// What the run is pinned to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<Snapshot>,
    /// Stages that were begun, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<StageStatus>,
    /// Shards of stages, as plan fixed them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub shards: BTreeMap<String, i32>,
    /// Of which instant the newest data of each source is, in what the run published.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub bookmarks: BTreeMap<String, Time>,
    /// The last request for a retry that was dealt with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<String>,
    /// Version that the run published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published_version: Option<i64>,
    /// Conditions: `Complete`, `Failed`; `Stalled` while something outside of the run keeps it from going on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

/// What a run is pinned to. A later edit of any resource does not touch it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    /// ConfigMap that holds `run.yaml`.
    pub config_map: String,
    /// SHA-256 of `run.yaml`. A worker refuses another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Image of the workers.
    pub image: String,
    /// The instant the run speaks for.
    pub as_of: Time,
}

/// How far a stage is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum StageState {
    /// Its Job is to be made, or runs.
    #[default]
    Running,
    /// Every shard is committed.
    Complete,
    /// A shard failed for good.
    Failed,
}

/// A stage that was begun. It stands here before its Job is made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StageStatus {
    /// The stage.
    pub stage: Stage,
    /// How far it is.
    pub state: StageState,
    /// Shards.
    pub shards: i32,
    /// Attempt, from 1. Each has a Job of its own.
    pub attempt: i32,
    /// Name of the Job of this attempt; none for a stage without shards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// Uid of that Job, once it was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_uid: Option<String>,
    /// Shards that this attempt repeats, as in `3,7-9`; all when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeats: Option<String>,
    /// Memory of this attempt's pods, when it is more than the pipeline says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<String>,
    /// Shards that were killed, for one by lack of memory, and were repeated by themselves for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub killed: Option<String>,
    /// Shards that are done, of a stage that is not complete: `0-41,43`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done: Option<String>,
    /// Shards that failed for good: `42`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
    /// Counts that its shards reported, where their pods were still there to say so.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub counts: BTreeMap<String, i64>,
    /// When it was begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<Time>,
}

impl StageStatus {
    /// A stage of one shard that begins.
    #[must_use]
    pub fn begun(stage: Stage) -> Self {
        Self {
            stage,
            state: StageState::Running,
            shards: 1,
            attempt: 1,
            job: None,
            job_uid: None,
            repeats: None,
            memory: None,
            killed: None,
            done: None,
            failed: None,
            counts: BTreeMap::new(),
            start_time: None,
            completion_time: None,
        }
    }
}

impl CustomerPipelineRunStatus {
    /// Whether the run is at its end.
    #[must_use]
    pub fn is_over(&self) -> bool {
        let over = |c: &Condition| matches!(c.type_.as_str(), "Complete" | "Failed");
        self.conditions
            .iter()
            .any(|c| over(c) && c.status == "True")
    }
}
