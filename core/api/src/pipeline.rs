//! `CustomerPipeline`: what runs, when, how wide; and `CustomerPipelineRun`: one execution.

use kube_derive::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    peaks::Peak,
    pods::{PodSettings, Share},
    run::Stage,
    source::S3Connector,
    status::{CustomerPipelineRunStatus, CustomerPipelineStatus},
};

/// A pipeline: which sources become customers by which policy, where the tables go, and when.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    crates(kube_core = "::kube_core"),
    group = "musubi.dev",
    version = "v1alpha1",
    kind = "CustomerPipeline",
    doc = "A pipeline: which sources become customers by which policy, where the tables go, and when.",
    plural = "customerpipelines",
    shortname = "cpl",
    category = "musubi",
    namespaced,
    status = "CustomerPipelineStatus",
    derive = "PartialEq",
    printcolumn(name = "Schedule", type_ = "string", json_path = ".spec.schedule.cron"),
    printcolumn(name = "Suspended", type_ = "boolean", json_path = ".spec.suspend"),
    printcolumn(
        name = "Next",
        type_ = "string",
        json_path = ".status.nextScheduleTime"
    ),
    printcolumn(name = "Last run", type_ = "string", json_path = ".status.lastRun"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(
        name = "Paused",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Paused\")].status",
        priority = 1
    ),
    printcolumn(
        name = "Peak",
        type_ = "string",
        json_path = ".status.activePeak.name",
        priority = 1
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    crates(kube_core = "::kube_core"),
    validation = ("!has(self.peaks) || self.peaks.all(a, self.peaks.exists_one(b, b.name == a.name))", "two peaks have the same name: rename one"),
    validation = ("!has(self.peaks) || has(self.schedule) || self.peaks.all(p, !has(p.schedule))", "a peak has a schedule and spec.schedule is missing: give it, since its time zone and policies count for the peak as well"),
    validation = ("!has(self.deletionPolicy) || self.deletionPolicy != 'Delete' || has(self.lake.s3)", "deletionPolicy Delete is for a lake in s3: a folder is deleted with `musubi lake destroy`")
)]
pub struct CustomerPipelineSpec {
    /// Names of the sources.
    #[schemars(length(min = 1, max = 100))]
    pub sources: Vec<String>,
    /// Name of the identity policy; the defaults when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity_policy: Option<String>,
    /// Where the lake is.
    pub lake: Lake,
    /// Names of warehouses to load.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub warehouses: Vec<String>,
    /// Names of audiences to deliver.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 200))]
    pub audiences: Vec<String>,
    /// When it runs. Without it, on demand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Schedule>,
    /// Times at which it runs wider, in finer shards, or more often. A laptop does not look at them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub peaks: Vec<Peak>,
    /// How wide stages run.
    #[serde(default)]
    pub sharding: Sharding,
    /// What must hold before a version is published.
    #[serde(default)]
    pub gates: Gates,
    /// How long old things are kept.
    #[serde(default)]
    pub retention: Retention,
    /// How many runs that are over are kept.
    #[serde(default)]
    pub history: History,
    /// How the pods of stages are made, in a cluster.
    #[serde(default)]
    pub pods: PodSettings,
    /// Whether the schedule rests.
    #[serde(default)]
    pub suspend: bool,
    /// What becomes of the lake when the pipeline is deleted. A namespace that is deleted as a whole keeps it.
    #[serde(default, skip_serializing_if = "DeletionPolicy::is_default")]
    pub deletion_policy: DeletionPolicy,
}

/// What becomes of the lake when its pipeline is deleted. On a laptop `musubi lake destroy` does it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    /// It stays as it is.
    #[default]
    Retain,
    /// Everything below its prefix is deleted, for good, before the pipeline goes.
    Delete,
}

impl DeletionPolicy {
    fn is_default(&self) -> bool {
        *self == Self::Retain
    }
}

/// Where a lake is. Exactly one field is set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    crates(kube_core = "::kube_core"),
    validation = ("[has(self.folder), has(self.s3)].exists_one(x, x)", "give exactly one of `folder` and `s3`")
)]
pub struct Lake {
    /// A folder; a relative path starts at the file that holds the resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub folder: Option<String>,
    /// A prefix in a bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s3: Option<S3Connector>,
}

/// When a pipeline runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Schedule {
    /// Cron expression of five fields: `0 4 * * *`.
    #[schemars(length(min = 1, max = 100))]
    pub cron: String,
    /// IANA time zone.
    #[serde(default = "default_zone")]
    pub time_zone: String,
    /// What happens when a run is due while one is running.
    #[serde(default)]
    pub concurrency_policy: ConcurrencyPolicy,
    /// Seconds after which a missed start is not made up for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starting_deadline_seconds: Option<i64>,
}

fn default_zone() -> String {
    "Asia/Tokyo".into()
}

/// What happens when a run is due while one is running.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ConcurrencyPolicy {
    /// The new run is skipped.
    #[default]
    Forbid,
    /// The old run is cancelled.
    Replace,
    /// The new run waits.
    Queue,
}

/// How wide stages run. Results do not depend on it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Sharding {
    /// Whether a small run goes on through all stages in the plan's own pod. A run is small when what is new fits
    /// one split (`splitMebibytes`), the lake holds 512 MiB of source bytes at most, and no table is read for the
    /// first time.
    #[serde(default, skip_serializing_if = "ShardingMode::is_default")]
    pub mode: ShardingMode,
    /// Source bytes for one ingest or clean shard, in MiB.
    #[serde(default = "default_split")]
    #[schemars(range(min = 1, max = 4096))]
    pub split_mebibytes: u32,
    /// Shards of match, attach and curate; chosen from the amount of data when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 4096))]
    pub shards: Option<u32>,
}

/// Where the stages of a small run are done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ShardingMode {
    /// Each stage in a Job of its own, whatever there is to do.
    #[default]
    Jobs,
    /// In the plan's pod when the run is small. It asks for what the largest of the stages asks for, and gets the
    /// credentials of all of them.
    Auto,
}

impl ShardingMode {
    fn is_default(&self) -> bool {
        *self == Self::Jobs
    }
}

impl CustomerPipelineSpec {
    /// What the pods of a stage get. The plan's pod that may go on through all stages gets what the largest asks
    /// for.
    #[must_use]
    pub fn share(&self, stage: Stage) -> Share<'_> {
        match (self.sharding.mode, stage) {
            (ShardingMode::Auto, Stage::Plan) => self.pods.largest(),
            _ => self.pods.share(stage),
        }
    }
}

impl Default for Sharding {
    fn default() -> Self {
        Self {
            mode: ShardingMode::Jobs,
            split_mebibytes: default_split(),
            shards: None,
        }
    }
}

fn default_split() -> u32 {
    64
}

/// What must hold before a version is published, compared with the version before. A run that a gate
/// refuses publishes nothing, says which limit it met, and can be let through by the gate's name. Shares of
/// fewer than 20 rows say nothing and are not compared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Gates {
    /// Gate `rows/<table>`: percent by which the rows of a table may fall.
    #[serde(default = "ten")]
    #[schemars(range(min = 0, max = 100))]
    pub max_row_drop_percent: f64,
    /// Gate `rows/<table>`: percent by which the rows of a table may rise; no limit when absent. A young
    /// lake doubles with its second day, so set it once the lake has some weeks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub max_row_rise_percent: Option<f64>,
    /// Gate `match-rate`: percent points by which the share of customer records that are linked to another
    /// may rise or fall.
    #[serde(default = "ten")]
    #[schemars(range(min = 0, max = 100))]
    pub max_match_rate_change: f64,
    /// Gate `merged-customers`: percent of the known customers that one run may merge into others.
    #[serde(default = "five")]
    #[schemars(range(min = 0, max = 100))]
    pub max_merged_percent: f64,
    /// Gate `nulls/<table>.<column>`: percent points by which the empty share of a column may rise.
    #[serde(default = "twenty")]
    #[schemars(range(min = 0, max = 100))]
    pub max_null_rise: f64,
}

impl Default for Gates {
    fn default() -> Self {
        Self {
            max_row_drop_percent: ten(),
            max_row_rise_percent: None,
            max_match_rate_change: ten(),
            max_merged_percent: five(),
            max_null_rise: twenty(),
        }
    }
}

fn five() -> f64 {
    5.0
}
fn ten() -> f64 {
    10.0
}
fn twenty() -> f64 {
    20.0
}

/// How long old things are kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Retention {
    /// Published versions that stay readable.
    #[serde(default = "default_versions")]
    #[schemars(range(min = 1))]
    pub versions: u32,
    /// Days for which superseded versions stay, even when there are more.
    #[serde(default = "default_days")]
    pub days: u32,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            versions: default_versions(),
            days: default_days(),
        }
    }
}

fn default_versions() -> u32 {
    10
}
fn default_days() -> u32 {
    7
}

/// How many runs that are over are kept. What they published stays.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct History {
    /// Complete runs.
    #[serde(default = "default_complete")]
    #[schemars(range(min = 1, max = 1000))]
    pub complete: usize,
    /// Failed runs.
    #[serde(default = "default_failed")]
    #[schemars(range(min = 1, max = 1000))]
    pub failed: usize,
}

impl Default for History {
    fn default() -> Self {
        Self {
            complete: default_complete(),
            failed: default_failed(),
        }
    }
}

fn default_complete() -> usize {
    10
}
fn default_failed() -> usize {
    5
}

/// One execution of a pipeline. Its spec never changes.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    crates(kube_core = "::kube_core"),
    group = "musubi.dev",
    version = "v1alpha1",
    kind = "CustomerPipelineRun",
    doc = "One execution of a pipeline. Its spec never changes.",
    plural = "customerpipelineruns",
    shortname = "cplr",
    category = "musubi",
    namespaced,
    status = "CustomerPipelineRunStatus",
    derive = "PartialEq",
    printcolumn(name = "Pipeline", type_ = "string", json_path = ".spec.pipeline"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Stage", type_ = "string", json_path = ".status.stage"),
    printcolumn(
        name = "Version",
        type_ = "integer",
        json_path = ".status.publishedVersion"
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    crates(kube_core = "::kube_core"),
    validation = ("self.pipeline == oldSelf.pipeline && has(self.asOf) == has(oldSelf.asOf) && (!has(self.asOf) || self.asOf == oldSelf.asOf)", "a run never changes: create another one")
)]
pub struct CustomerPipelineRunSpec {
    /// Name of the pipeline.
    #[schemars(length(min = 1, max = 63))]
    pub pipeline: String,
    /// The instant the run speaks for (RFC 3339); the moment of its creation when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 40))]
    pub as_of: Option<String>,
    /// Publish although a gate says no: the gates to pass over, by name (`rows/orders`) or kind (`rows`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub allow: Vec<String>,
    /// Whether the run shall stop.
    #[serde(default)]
    pub cancel: bool,
}
