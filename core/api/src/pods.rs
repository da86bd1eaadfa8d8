//! How the pods of a pipeline's stages are made. A laptop does not look at it.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Affinity, TopologySpreadConstraint};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::run::Stage;

/// What is allowed of a quantity: `500m`, `2`, `1.5Gi`.
const QUANTITY: &str = r"^[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti)?$";

/// How the pods of a pipeline's stages are made. A laptop does not look at it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct PodSettings {
    /// Memory of a pod: what it asks for and what it may take.
    #[schemars(regex(pattern = QUANTITY), length(max = 20))]
    pub memory: String,
    /// Memory with which shards that ran out of it are repeated, once. Twice `memory` when absent; the same as
    /// `memory` when they shall not be repeated.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = QUANTITY), length(max = 20))]
    pub max_memory: Option<String>,
    /// Processors that a pod asks for. It may take what is idle.
    #[schemars(regex(pattern = QUANTITY), length(max = 20))]
    pub cpu: String,
    /// Disk for scratch files, emptied after each shard.
    #[schemars(regex(pattern = QUANTITY), length(max = 20))]
    pub scratch: String,
    /// Pods of a stage that run side by side, at most.
    #[schemars(range(min = 1, max = 10000))]
    pub parallelism: i32,
    /// How often a shard is tried again, beside evictions and lost nodes, which do not count.
    #[schemars(range(min = 0, max = 100))]
    pub retries: i32,
    /// Minutes after which a stage that is not complete has failed.
    #[schemars(range(min = 1, max = 10080))]
    pub deadline_minutes: i64,
    /// What happens to a stage's other shards when one has failed.
    pub on_failure: OnFailure,
    /// Stages whose pods differ.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 11))]
    pub stages: Vec<StagePods>,
    /// ServiceAccount, for workload identity. Its token is not given to pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub service_account: Option<String>,
    /// Labels that a node must have.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub node_selector: BTreeMap<String, String>,
    /// Taints that pods tolerate.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub tolerations: Vec<Toleration>,
    /// Which nodes and which other pods the pods go to and keep away from, as in a Pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("externalDocs" = { "url": "https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/#affinity-and-anti-affinity" }))]
    pub affinity: Option<Affinity>,
    /// How pods are spread over nodes and zones, as in a Pod. Without a `labelSelector` the pods of one stage of one
    /// run are meant.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10), extend("externalDocs" = { "url": "https://kubernetes.io/docs/concepts/scheduling-eviction/topology-spread-constraints/" }))]
    pub topology_spread_constraints: Vec<TopologySpreadConstraint>,
    /// Kueue's LocalQueue for the Jobs. They are made suspended, and run once Kueue admits them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"), length(max = 63))]
    pub queue: Option<String>,
    /// PriorityClass of pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub priority_class_name: Option<String>,
    /// Further labels of pods. Labels of `musubi.dev/` are the operator's.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Further annotations of pods. They go before the operator's own.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Secrets that images are pulled with.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub image_pull_secrets: Vec<String>,
}

impl Default for PodSettings {
    fn default() -> Self {
        Self {
            memory: "2Gi".into(),
            max_memory: None,
            cpu: "500m".into(),
            scratch: "10Gi".into(),
            parallelism: 20,
            retries: 3,
            deadline_minutes: 360,
            on_failure: OnFailure::default(),
            stages: Vec::new(),
            service_account: None,
            node_selector: BTreeMap::new(),
            tolerations: Vec::new(),
            affinity: None,
            topology_spread_constraints: Vec::new(),
            queue: None,
            priority_class_name: None,
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            image_pull_secrets: Vec::new(),
        }
    }
}

/// What happens to a stage's other shards when one has failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnFailure {
    /// They are ended: the run has failed.
    #[default]
    FailFast,
    /// They go on to their end, so that a retry has less to do.
    FinishTheRest,
}

/// A stage whose pods differ.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StagePods {
    /// The stage.
    pub stage: Stage,
    /// Memory of a pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = QUANTITY), length(max = 20))]
    pub memory: Option<String>,
    /// Memory with which shards that ran out of it are repeated, once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = QUANTITY), length(max = 20))]
    pub max_memory: Option<String>,
    /// Processors that a pod asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = QUANTITY), length(max = 20))]
    pub cpu: Option<String>,
    /// Disk for scratch files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = QUANTITY), length(max = 20))]
    pub scratch: Option<String>,
    /// Minutes after which the stage has failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10080))]
    pub deadline_minutes: Option<i64>,
}

/// A taint that pods tolerate.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Toleration {
    /// Key of the taint; any when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 317))]
    pub key: Option<String>,
    /// Whether the taint's value has to be `value`.
    #[serde(default)]
    pub operator: TolerationOperator,
    /// Value of the taint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub value: Option<String>,
    /// Effect of the taint; any when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 30))]
    pub effect: Option<String>,
}

/// Whether a taint's value counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TolerationOperator {
    /// It does.
    #[default]
    Equal,
    /// Any value.
    Exists,
}

/// The bytes of a quantity such as `1.5Gi`; none for what is not one.
#[must_use]
pub fn bytes(quantity: &str) -> Option<u64> {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    amount(quantity).map(|amount| amount as u64)
}

/// A quantity such as `500m` or `1.5Gi` as a number; none for what is not one.
fn amount(quantity: &str) -> Option<f64> {
    let end = quantity
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(quantity.len());
    let (number, unit) = quantity.split_at(end);
    let unit = match unit {
        "" => 1.0,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "Ki" => 1024.0,
        "Mi" => 1_048_576.0,
        "Gi" => 1_073_741_824.0,
        "Ti" => 1_099_511_627_776.0,
        _ => return None,
    };
    let number: f64 = number.parse().ok()?;
    Some(number * unit)
}

/// What the pods of one stage get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share<'a> {
    /// Memory.
    pub memory: &'a str,
    /// What a shard that ran out of it is repeated with; none is twice as much.
    pub max_memory: Option<&'a str>,
    /// Processors.
    pub cpu: &'a str,
    /// Scratch disk.
    pub scratch: &'a str,
    /// Deadline in minutes.
    pub deadline_minutes: i64,
}

impl PodSettings {
    /// What a pod gets that may do all stages: what the largest of them asks for.
    pub(crate) fn largest(&self) -> Share<'_> {
        let most = |a: &str, b: &str| amount(a) > amount(b);
        let stages = Stage::ALL.into_iter().map(|stage| self.share(stage));
        let largest = stages.reduce(|mut largest, share| {
            if most(share.memory, largest.memory) {
                (largest.memory, largest.max_memory) = (share.memory, share.max_memory);
            }
            if most(share.cpu, largest.cpu) {
                largest.cpu = share.cpu;
            }
            if most(share.scratch, largest.scratch) {
                largest.scratch = share.scratch;
            }
            largest.deadline_minutes = largest.deadline_minutes.max(share.deadline_minutes);
            largest
        });
        largest.unwrap_or_else(|| self.share(Stage::Plan))
    }

    /// What the pods of a stage get.
    #[must_use]
    pub fn share(&self, stage: Stage) -> Share<'_> {
        let own = self.stages.iter().find(|own| own.stage == stage);
        Share {
            memory: own
                .and_then(|o| o.memory.as_deref())
                .unwrap_or(&self.memory),
            max_memory: own.and_then(|o| o.max_memory.as_deref()).or_else(|| {
                // A limit for all says nothing of a stage with memory of its own.
                let general = own.is_none_or(|o| o.memory.is_none());
                self.max_memory.as_deref().filter(|_| general)
            }),
            cpu: own.and_then(|o| o.cpu.as_deref()).unwrap_or(&self.cpu),
            scratch: own
                .and_then(|o| o.scratch.as_deref())
                .unwrap_or(&self.scratch),
            deadline_minutes: own
                .and_then(|o| o.deadline_minutes)
                .unwrap_or(self.deadline_minutes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::PodSettings;

    #[test]
    fn a_pod_for_all_stages_gets_the_most_of_each() {
        let settings: PodSettings = serde_json::from_value(serde_json::json!({
            "memory": "2Gi", "cpu": "500m",
            "stages": [
                { "stage": "link", "memory": "3Gi", "maxMemory": "4Gi" },
                { "stage": "curate", "cpu": "1", "scratch": "20Gi", "deadlineMinutes": 600 },
                { "stage": "publish", "memory": "512Mi", "cpu": "100m" },
            ],
        }))
        .unwrap_or_else(|e| panic!("{e}"));
        let share = settings.largest();
        assert_eq!((share.memory, share.max_memory), ("3Gi", Some("4Gi")));
        assert_eq!(
            (share.cpu, share.scratch, share.deadline_minutes),
            ("1", "20Gi", 600)
        );
    }
}
