//! What keeps a pod from its work, as a sentence with the way out.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;

use crate::{build::job::CONTAINER, outcome::shard};

/// Seconds for which something is wrong before it is told: much of it passes by itself.
const GRACE: i64 = 10;
/// Seconds after which a pod that was told to end hangs.
const HANGS: i64 = 60;

/// What keeps a pod from its work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trouble {
    /// A word of the documented list.
    pub(crate) reason: &'static str,
    /// A sentence.
    pub(crate) message: String,
}

/// What is found of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    /// Nothing is wrong.
    Fine,
    /// Something is, and may pass: look again after so many seconds.
    Young(i64),
    /// Something is, for a while.
    Trouble(Trouble),
}

/// Looks at a pod of a stage.
pub(crate) fn of(pod: &Pod, stage: &str, pipeline: &str, now: Timestamp) -> Finding {
    let Some((since, trouble)) = found(pod, stage, pipeline) else {
        return Finding::Fine;
    };
    let grace = if trouble.reason == "PodHangs" {
        HANGS
    } else {
        GRACE
    };
    let age = since.map_or(grace, |since| now.as_second() - since.as_second());
    if age < grace {
        Finding::Young(grace - age)
    } else {
        Finding::Trouble(trouble)
    }
}

fn found(pod: &Pod, stage: &str, pipeline: &str) -> Option<(Option<Timestamp>, Trouble)> {
    let shard = shard(pod);
    let status = pod.status.as_ref()?;
    if let Some(told) = &pod.metadata.deletion_timestamp {
        let node = pod
            .spec
            .as_ref()
            .and_then(|s| s.node_name.as_deref())
            .unwrap_or("?");
        let name = pod.name_any();
        let message = format!(
            "pod {name} (shard {shard} of stage {stage}) was told to end and does not: node {node} may be lost. \
             If it is, delete it: kubectl delete node {node}"
        );
        let reason = "PodHangs";
        return Some((Some(told.0), Trouble { reason, message }));
    }
    let conditions = status.conditions.iter().flatten();
    for condition in conditions {
        if condition.type_ == "PodScheduled" && condition.status == "False" {
            let why = condition.message.as_deref().unwrap_or_default();
            let message = format!(
                "shard {shard} of stage {stage} finds no node: {why} Ask for less (spec.pods of CustomerPipeline \
                 {pipeline}: memory, cpu, nodeSelector, tolerations), or add a node"
            );
            let since = condition.last_transition_time.as_ref().map(|t| t.0);
            let reason = "Unschedulable";
            return Some((since, Trouble { reason, message }));
        }
    }
    let started = status.start_time.as_ref().map(|t| t.0);
    let statuses = status.container_statuses.iter().flatten();
    let worker = statuses.into_iter().find(|s| s.name == CONTAINER)?;
    let waiting = worker.state.as_ref()?.waiting.as_ref()?;
    let why = waiting.message.as_deref().unwrap_or_default();
    let (reason, message) = match waiting.reason.as_deref()? {
        "ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" | "ErrImageNeverPull" => (
            "ImageNotPulled",
            format!(
                "the workers' image cannot be pulled: {why}. Correct --worker-image of the operator, or name \
                 the Secret that opens the registry in spec.pods.imagePullSecrets of CustomerPipeline {pipeline}"
            ),
        ),
        "CreateContainerConfigError" => (
            "ConfigMissing",
            format!(
                "shard {shard} of stage {stage} cannot start: {why}. Make what is missing, with the keys that are \
                 asked for; the run goes on by itself"
            ),
        ),
        "CreateContainerError" | "RunContainerError" => (
            "ContainerNotStarted",
            format!("shard {shard} of stage {stage} cannot start: {why}"),
        ),
        _ => return None,
    };
    Some((started, Trouble { reason, message }))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Pod;
    use serde_json::{Value, json};

    use super::{Finding, of};

    fn look(pod: Value, seconds: i64) -> String {
        let pod: Pod = serde_json::from_value(pod).unwrap_or_else(|e| panic!("{e}"));
        let now = "2026-11-25T00:00:00Z"
            .parse::<jiff::Timestamp>()
            .unwrap_or_default();
        let now = now + jiff::SignedDuration::from_secs(seconds);
        match of(&pod, "clean", "bento", now) {
            Finding::Fine => "fine".into(),
            Finding::Young(more) => format!("look again after {more} s"),
            Finding::Trouble(trouble) => format!("{}: {}", trouble.reason, trouble.message),
        }
    }

    fn waiting(reason: &str, message: &str) -> Value {
        json!({
            "metadata": { "annotations": { "batch.kubernetes.io/job-completion-index": "3" } },
            "status": {
                "startTime": "2026-11-25T00:00:00Z",
                "containerStatuses": [{
                    "name": "worker", "image": "", "imageID": "", "ready": false, "restartCount": 0,
                    "state": { "waiting": { "reason": reason, "message": message } },
                }],
            },
        })
    }

    #[test]
    fn what_passes_by_itself_is_not_told() {
        assert_eq!(look(waiting("ContainerCreating", ""), 100), "fine");
        assert_eq!(
            look(waiting("ErrImagePull", "no such host"), 4),
            "look again after 6 s"
        );
    }

    #[test]
    fn the_platforms_problems_are_sentences() {
        assert_eq!(
            look(
                waiting(
                    "CreateContainerConfigError",
                    "secret \"musubi-s3\" not found"
                ),
                10
            ),
            "ConfigMissing: shard 3 of stage clean cannot start: secret \"musubi-s3\" not found. Make what is \
             missing, with the keys that are asked for; the run goes on by itself"
        );
        assert!(
            look(waiting("ImagePullBackOff", "not found"), 10).starts_with(
                "ImageNotPulled: the workers' image cannot be pulled: not found. Correct"
            )
        );
        let nowhere = json!({
            "metadata": { "annotations": { "batch.kubernetes.io/job-completion-index": "0" } },
            "status": { "conditions": [{
                "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
                "message": "0/1 nodes are available: 1 Insufficient memory.",
                "lastTransitionTime": "2026-11-25T00:00:00Z",
            }] },
        });
        assert_eq!(
            look(nowhere, 11),
            "Unschedulable: shard 0 of stage clean finds no node: 0/1 nodes are available: 1 Insufficient memory. \
             Ask for less (spec.pods of CustomerPipeline bento: memory, cpu, nodeSelector, tolerations), or add a node"
        );
    }

    #[test]
    fn a_pod_that_does_not_end_names_its_node() {
        let hangs = json!({
            "metadata": { "name": "p", "deletionTimestamp": "2026-11-25T00:00:00Z" },
            "spec": { "containers": [], "nodeName": "node-2" },
            "status": {},
        });
        assert_eq!(look(hangs.clone(), 30), "look again after 30 s");
        assert!(look(hangs, 60).ends_with("kubectl delete node node-2"));
    }
}
