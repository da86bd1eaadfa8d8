//! What keeps a pod from its work, as a sentence with the way out.

use jiff::Timestamp;
use k8s_openapi::api::{batch::v1::Job, core::v1::Pod};
use kube::ResourceExt as _;
use musubi_api::shards::Shards;

use crate::{
    build::{job::QUEUE, pod::CONTAINER},
    outcome::{place, shard},
};

/// Seconds for which something is wrong before it is told: much of it passes by itself.
const GRACE: i64 = 10;
/// Seconds after which a pod that was told to end hangs.
const HANGS: i64 = 60;
/// Seconds after which a pod without its volumes is looked into.
const VOLUMES: i64 = 5;

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

/// Looks at a pod of a stage, whose Job has these shards.
pub(crate) fn of(pod: &Pod, stage: &str, all: &Shards, pipeline: &str, now: Timestamp) -> Finding {
    let Some((since, trouble)) = found(pod, stage, all, pipeline) else {
        return Finding::Fine;
    };
    let grace = match trouble.reason {
        "PodHangs" => HANGS,
        "ScratchFull" => 0,
        _ => GRACE,
    };
    let age = since.map_or(grace, |since| now.as_second() - since.as_second());
    if age < grace {
        Finding::Young(grace - age)
    } else {
        Finding::Trouble(trouble)
    }
}

/// Whether a Job has no pods at work because they ended: they are being counted, or it is at its own end.
pub(crate) fn is_ending(job: &Job) -> bool {
    let Some(status) = &job.status else {
        return false;
    };
    let uncounted = status.uncounted_terminated_pods.as_ref();
    let counts = |pods: &Option<Vec<String>>| pods.as_ref().is_some_and(|pods| !pods.is_empty());
    let counts = uncounted.is_some_and(|pods| counts(&pods.succeeded) || counts(&pods.failed));
    let decided = status.conditions.iter().flatten().any(|c| {
        matches!(c.type_.as_str(), "SuccessCriteriaMet" | "FailureTarget") && c.status == "True"
    });
    let all = job.spec.as_ref().and_then(|spec| spec.completions);
    counts || decided || all.is_some_and(|all| status.succeeded.unwrap_or_default() >= all)
}

/// Looks at a Job of a stage that has no pods: it may be suspended, and wait for Kueue.
pub(crate) fn suspended(job: &Job, stage: &str, now: Timestamp) -> Finding {
    if job.spec.as_ref().and_then(|s| s.suspend) != Some(true) {
        return Finding::Fine;
    }
    let conditions = job.status.iter().flat_map(|s| &s.conditions).flatten();
    let mut since = conditions.filter(|c| c.type_ == "Suspended" && c.status == "True");
    let since = since.find_map(|c| c.last_transition_time.clone());
    let since = since.or_else(|| job.creation_timestamp());
    let age = since.map_or(GRACE, |since| now.as_second() - since.0.as_second());
    if age < GRACE {
        return Finding::Young(GRACE - age);
    }
    let name = job.name_any();
    let (reason, message) = match job.labels().get(QUEUE) {
        Some(queue) => (
            "NotAdmitted",
            format!(
                "stage {stage} waits for Kueue: Job {name} is suspended until LocalQueue {queue} admits it. If that \
                 lasts, `kubectl describe workloads` says what it waits for; if there is no workload for it, Kueue is \
                 not installed, or has no LocalQueue {queue} in this namespace"
            ),
        ),
        None => (
            "JobSuspended",
            format!(
                "somebody suspended Job {name} of stage {stage}: kubectl patch job {name} --type=merge \
                 -p '{{\"spec\":{{\"suspend\":false}}}}' lets it go on"
            ),
        ),
    };
    Finding::Trouble(Trouble { reason, message })
}

/// Whether a pod has waited long enough for its volumes: the ConfigMap of its run, for one.
pub(crate) fn waits_for_volumes(pod: &Pod, now: Timestamp) -> bool {
    created(pod).is_some_and(|since| now.as_second() - since.as_second() >= VOLUMES)
}

/// Whether a pod waits for its volumes, and may go on waiting.
pub(crate) fn is_young(pod: &Pod, now: Timestamp) -> bool {
    created(pod).is_some() && !waits_for_volumes(pod, now)
}

/// Since when a pod's container is being made.
fn created(pod: &Pod) -> Option<Timestamp> {
    let status = pod.status.as_ref()?;
    let mut statuses = status.container_statuses.iter().flatten();
    let creating = statuses.any(|s| {
        let waiting = s.state.as_ref().and_then(|state| state.waiting.as_ref());
        waiting.is_some_and(|w| w.reason.as_deref() == Some("ContainerCreating"))
    });
    status.start_time.as_ref().map(|t| t.0).filter(|_| creating)
}

/// Whether a pod was evicted because it filled its scratch disk.
pub(crate) fn filled_its_disk(pod: &Pod) -> bool {
    pod.status.as_ref().is_some_and(|status| {
        let said = status.message.as_deref().unwrap_or_default();
        status.reason.as_deref() == Some("Evicted") && said.contains("EmptyDir volume \"scratch\"")
    })
}

fn found(
    pod: &Pod,
    stage: &str,
    all: &Shards,
    pipeline: &str,
) -> Option<(Option<Timestamp>, Trouble)> {
    let shard = shard(place(pod), all);
    let status = pod.status.as_ref()?;
    if filled_its_disk(pod) {
        let said = status.message.as_deref().unwrap_or_default();
        let message = format!(
            "shard {shard} of stage {stage} filled its scratch disk: {said} Raise scratch of stage {stage} in \
             spec.pods.stages of CustomerPipeline {pipeline}, and start another run"
        );
        let reason = "ScratchFull";
        return Some((None, Trouble { reason, message }));
    }
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
    use k8s_openapi::api::{batch::v1::Job, core::v1::Pod};
    use musubi_api::shards::Shards;
    use serde_json::{Value, json};

    use super::{Finding, is_ending, of, suspended};

    fn look(pod: Value, seconds: i64) -> String {
        let pod: Pod = serde_json::from_value(pod).unwrap_or_else(|e| panic!("{e}"));
        let now = "2026-11-25T00:00:00Z"
            .parse::<jiff::Timestamp>()
            .unwrap_or_default();
        let now = now + jiff::SignedDuration::from_secs(seconds);
        match of(&pod, "clean", &Shards::first(9), "bento", now) {
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
    fn a_job_whose_pods_ended_is_not_asked_why_it_has_none() {
        let ending = |status: Value| {
            let job = json!({ "spec": { "completions": 2, "template": {} }, "status": status });
            is_ending(&serde_json::from_value(job).unwrap_or_else(|e| panic!("{e}")))
        };
        let none = json!({ "startTime": "2026-11-24T00:00:00Z", "uncountedTerminatedPods": {} });
        assert!(!ending(json!(null)));
        assert!(!ending(none));
        assert!(!ending(json!({ "succeeded": 1 })));
        assert!(ending(json!({ "succeeded": 2 })));
        let counted = |how: &str| json!({ "uncountedTerminatedPods": { how: ["uid"] } });
        assert!(ending(counted("succeeded")));
        assert!(ending(counted("failed")));
        let target = json!({ "type": "FailureTarget", "status": "True" });
        assert!(ending(json!({ "conditions": [target] })));
    }

    #[test]
    fn a_job_that_kueue_does_not_admit_says_so() {
        let job = |suspend: bool, labels: Value| -> Job {
            let job = json!({
                "metadata": { "name": "j", "labels": labels, "creationTimestamp": "2026-11-24T00:00:00Z" },
                "spec": { "suspend": suspend, "template": {} },
                "status": { "conditions": [{
                    "type": "Suspended", "status": "True", "lastTransitionTime": "2026-11-25T00:00:00Z",
                }] },
            });
            serde_json::from_value(job).unwrap_or_else(|e| panic!("{e}"))
        };
        let found = |job: &Job, seconds: i64| {
            let now = "2026-11-25T00:00:00Z"
                .parse::<jiff::Timestamp>()
                .unwrap_or_default();
            suspended(job, "clean", now + jiff::SignedDuration::from_secs(seconds))
        };
        let queue = json!({ "kueue.x-k8s.io/queue-name": "batch" });
        assert_eq!(found(&job(false, queue.clone()), 60), Finding::Fine);
        assert_eq!(found(&job(true, queue.clone()), 4), Finding::Young(6));
        let Finding::Trouble(trouble) = found(&job(true, queue), 10) else {
            panic!("nothing is wrong");
        };
        assert_eq!(trouble.reason, "NotAdmitted");
        assert!(!trouble.message.contains("  "), "{}", trouble.message);
        assert!(
            trouble.message.contains("until LocalQueue batch admits it"),
            "{}",
            trouble.message
        );
        let Finding::Trouble(trouble) = found(&job(true, json!({})), 10) else {
            panic!("nothing is wrong");
        };
        assert!(
            trouble
                .message
                .contains(r#"-p '{"spec":{"suspend":false}}'"#),
            "{}",
            trouble.message
        );
    }

    #[test]
    fn a_full_disk_names_the_setting() {
        let full = json!({
            "metadata": { "annotations": { "batch.kubernetes.io/job-completion-index": "2" } },
            "status": {
                "phase": "Failed", "reason": "Evicted",
                "message": "Usage of EmptyDir volume \"scratch\" exceeds the limit \"1Mi\".",
            },
        });
        assert_eq!(
            look(full, 0),
            "ScratchFull: shard 2 of stage clean filled its scratch disk: Usage of EmptyDir volume \"scratch\" \
             exceeds the limit \"1Mi\". Raise scratch of stage clean in spec.pods.stages of CustomerPipeline \
             bento, and start another run"
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
