//! The Job of one attempt at one stage.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::{
        batch::v1::{Job, JobSpec},
        core::v1::{
            ConfigMapVolumeSource, Container, EnvVar, PodSpec, PodTemplateSpec,
            TopologySpreadConstraint, Volume,
        },
    },
    apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta, OwnerReference},
};
use musubi_api::{
    pipeline::ShardingMode,
    pods::{PodSettings, Share},
    run::{EXIT_RUN_FAILED, EXIT_SHARD_FAILED, Run, Stage},
    shards::Shards,
};

use super::{MANAGER, PREFIX, RUN, credentials, pod, snapshot};

/// Where a pod finds its snapshot.
const SNAPSHOT: &str = "/etc/musubi";

/// Label of a Job: the LocalQueue in which it waits for Kueue to admit it.
pub(crate) const QUEUE: &str = "kueue.x-k8s.io/queue-name";

/// What a container ends with that was killed, by lack of memory for one.
pub(crate) const KILLED: i32 = 137;

/// Everything a Job is made from.
pub(crate) struct Attempt<'a> {
    /// Name of the Job.
    pub(crate) name: &'a str,
    /// The run that owns it.
    pub(crate) owner: OwnerReference,
    /// What the run is pinned to.
    pub(crate) run: &'a Run,
    /// ConfigMap that holds it.
    pub(crate) config_map: &'a str,
    /// Its digest.
    pub(crate) sha256: &'a str,
    /// Image of the worker.
    pub(crate) image: &'a str,
    /// The stage.
    pub(crate) stage: Stage,
    /// Its shards: how many there are.
    pub(crate) shards: i32,
    /// The shards to repeat, when it is not all of them.
    pub(crate) repeats: Option<&'a str>,
    /// Memory of a pod, when it is not what the pipeline says.
    pub(crate) memory: Option<&'a str>,
    /// Pods that run side by side, at most.
    pub(crate) parallelism: i32,
    /// Variables that say where its pods are in a trace.
    pub(crate) trace: Vec<EnvVar>,
}

/// The Job. Made by POST under its name, never applied: that would bring back a Job that was deleted.
pub(crate) fn job(attempt: &Attempt<'_>) -> Job {
    let pods = &attempt.run.spec.pods;
    let mut share = attempt.run.spec.share(attempt.stage);
    share.memory = attempt.memory.unwrap_or(share.memory);
    let pods_of_all = attempt.repeats.map_or(attempt.shards, |list| {
        i32::try_from(Shards::said(Some(list)).len()).unwrap_or(attempt.shards)
    });
    Job {
        metadata: ObjectMeta {
            name: Some(attempt.name.into()),
            namespace: Some(attempt.run.namespace.clone()),
            labels: Some(labels(attempt).into_iter().chain(queue(pods)).collect()),
            owner_references: Some(vec![attempt.owner.clone()]),
            ..ObjectMeta::default()
        },
        spec: Some(JobSpec {
            // Kueue lets it go; nobody else touches this field.
            suspend: pods.queue.is_some().then_some(true),
            completion_mode: Some("Indexed".into()),
            completions: Some(pods_of_all),
            parallelism: Some(pods_of_all.min(attempt.parallelism)),
            backoff_limit_per_index: Some(pods.retries),
            // A shard that was killed is repeated with more memory, and the others go on meanwhile. Whether
            // another failure ends them is said once there is one.
            max_failed_indexes: None,
            active_deadline_seconds: Some(share.deadline_minutes * 60),
            pod_failure_policy: Some(pod::failure_policy(&[
                (EXIT_SHARD_FAILED, "FailIndex"),
                (EXIT_RUN_FAILED, "FailJob"),
                // With the same memory it would be killed again: the operator repeats it with more.
                (KILLED, "FailIndex"),
            ])),
            // The only value that goes with a failure policy: never two pods of one shard by design.
            pod_replacement_policy: Some("Failed".into()),
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(pod::labels(pods, labels(attempt))),
                    annotations: Some(annotations(attempt, pods)),
                    ..ObjectMeta::default()
                }),
                spec: Some(pod(attempt, pods, share)),
            },
            ..JobSpec::default()
        }),
        status: None,
    }
}

fn labels(attempt: &Attempt<'_>) -> BTreeMap<String, String> {
    BTreeMap::from([
        ("app.kubernetes.io/managed-by".into(), MANAGER.into()),
        ("app.kubernetes.io/name".into(), "musubi".into()),
        (format!("{PREFIX}/pipeline"), attempt.run.pipeline.clone()),
        (format!("{PREFIX}/run-uid"), attempt.owner.uid.clone()),
        (format!("{PREFIX}/stage"), attempt.stage.as_str().into()),
    ])
}

fn queue(pods: &PodSettings) -> Option<(String, String)> {
    Some((QUEUE.to_owned(), pods.queue.clone()?))
}

fn annotations(attempt: &Attempt<'_>, pods: &PodSettings) -> BTreeMap<String, String> {
    let run = [(RUN.to_owned(), attempt.owner.name.clone())];
    pod::annotations(pods).into_iter().chain(run).collect()
}

/// What the pod of a stage mounts: what the run is pinned to, and scratch.
fn pod(attempt: &Attempt<'_>, pods: &PodSettings, share: Share<'_>) -> PodSpec {
    let run = Volume {
        name: "run".into(),
        config_map: Some(ConfigMapVolumeSource {
            name: attempt.config_map.into(),
            ..ConfigMapVolumeSource::default()
        }),
        ..Volume::default()
    };
    let spread = pods.topology_spread_constraints.iter();
    let spread: Vec<_> = spread
        .map(|constraint| spread_of(attempt, constraint))
        .collect();
    PodSpec {
        topology_spread_constraints: (!spread.is_empty()).then_some(spread),
        ..pod::spec(pods, share, worker(attempt, share), Some((run, SNAPSHOT)))
    }
}

fn worker(attempt: &Attempt<'_>, share: Share<'_>) -> Container {
    let run = format!("{SNAPSHOT}/{}", snapshot::FILE);
    let mut args = vec![
        "stage",
        attempt.stage.as_str(),
        "--run",
        &run,
        "--run-sha256",
        attempt.sha256,
        "--shard",
        "$(JOB_COMPLETION_INDEX)",
        "--report",
        pod::REPORT,
    ];
    if let Some(list) = attempt.repeats {
        args.extend(["--repeats", list]);
    }
    if may_go_on(attempt.run, attempt.stage) {
        args.push("--go-on-when-small");
    }
    let keys = credentials::needed(attempt.run, attempt.stage);
    let keys = credentials::environment(&keys).into_iter();
    let variables = keys.chain(attempt.trace.iter().cloned()).collect();
    pod::container(attempt.image, &args, variables, share)
}

/// Whether a stage's pod may go on through all other stages.
pub(crate) fn may_go_on(run: &Run, stage: Stage) -> bool {
    stage == Stage::Plan && run.spec.sharding.mode == ShardingMode::Auto
}

/// A constraint that says no pods means those of its stage: without a selector it would mean none.
fn spread_of(attempt: &Attempt<'_>, from: &TopologySpreadConstraint) -> TopologySpreadConstraint {
    let ours = labels(attempt).into_iter();
    let of_stage = ours.filter(|(key, _)| key.starts_with(PREFIX));
    let stage = || LabelSelector {
        match_labels: Some(of_stage.collect()),
        match_expressions: None,
    };
    TopologySpreadConstraint {
        label_selector: from.label_selector.clone().or_else(|| Some(stage())),
        ..from.clone()
    }
}

#[cfg(test)]
mod tests {
    use musubi_api::{
        pipeline::ShardingMode,
        pods::{StagePods, Toleration},
        run::{Run, Stage},
    };
    use serde_json::{Value, json};

    use super::{Attempt, job};
    use crate::tests::{owner, run};

    fn made(run: &Run, stage: Stage, shards: i32) -> Value {
        let job = job(&Attempt {
            name: "bento-1-clean-1",
            owner: owner(),
            run,
            config_map: "bento-1-run",
            sha256: "ab12",
            image: "registry.example.com/musubi@sha256:00",
            stage,
            shards,
            repeats: None,
            memory: None,
            parallelism: run.spec.pods.parallelism,
            trace: Vec::new(),
        });
        serde_json::to_value(job).unwrap_or_default()
    }

    #[test]
    fn warehouses_are_loaded_side_by_side_and_so_are_audiences_delivered() {
        for stage in [Stage::Load, Stage::Activate] {
            let job = made(&run(), stage, 3);
            assert_eq!(job["spec"]["completions"], 3);
            assert_eq!(job["spec"]["parallelism"], 3);
        }
    }

    #[test]
    fn a_pod_that_may_go_on_through_all_stages_has_what_they_need() {
        let mut run = run();
        run.spec.pods.stages = vec![StagePods {
            stage: Stage::Link,
            memory: Some("16Gi".into()),
            max_memory: None,
            cpu: None,
            scratch: None,
            deadline_minutes: None,
        }];
        let audience = json!({
            "warehouse": "reports", "filter": "true", "consent": "email_marketing",
            "destination": { "s3": { "bucket": "audiences", "credentials": { "secret": "musubi-audience" } } },
        });
        let audience = serde_json::from_value(audience).unwrap_or_else(|e| panic!("{e}"));
        run.audiences.insert("regulars".into(), audience);
        let worker = |run: &Run| {
            made(run, Stage::Plan, 1)["spec"]["template"]["spec"]["containers"][0].take()
        };
        let alone = worker(&run);
        run.spec.sharding.mode = ShardingMode::Auto;
        let auto = worker(&run);
        let texts = |list: &Value| {
            let items = list.as_array().into_iter().flatten();
            items.map(ToString::to_string).collect::<String>()
        };
        assert!(!texts(&alone["args"]).contains("--go-on-when-small"));
        assert!(texts(&auto["args"]).contains("--go-on-when-small"));
        assert_eq!(alone["resources"]["limits"]["memory"], "2Gi");
        assert_eq!(auto["resources"]["limits"]["memory"], "16Gi");
        for secret in ["WAREHOUSE", "AUDIENCE"] {
            assert!(!texts(&alone["env"]).contains(secret));
            assert!(texts(&auto["env"]).contains(secret), "{secret}");
        }
        let clean = made(&run, Stage::Clean, 1);
        assert!(
            !texts(&clean["spec"]["template"]["spec"]["containers"][0]["args"]).contains("--go-on")
        );
    }

    #[test]
    fn a_job_for_kueue_is_suspended_and_names_its_queue() {
        let mut run = run();
        let alone = made(&run, Stage::Clean, 7);
        assert_eq!(alone["spec"]["suspend"], Value::Null);
        run.spec.pods.queue = Some("batch".into());
        let queued = made(&run, Stage::Clean, 7);
        assert_eq!(queued["spec"]["suspend"], true);
        assert_eq!(
            queued["metadata"]["labels"]["kueue.x-k8s.io/queue-name"],
            "batch"
        );
        assert_eq!(queued["spec"]["template"], alone["spec"]["template"]);
    }

    #[test]
    fn pods_go_where_the_pipeline_wants_them() {
        let mut run = run();
        let zone = json!({ "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{ "matchExpressions": [
                { "key": "topology.kubernetes.io/zone", "operator": "In", "values": ["a", "b"] },
            ] }],
        } } });
        run.spec.pods.affinity = serde_json::from_value(zone.clone()).ok();
        let spread = |selector: Value| {
            let mut spread = json!({
                "maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway",
            });
            if !selector.is_null() {
                spread["labelSelector"] = selector;
            }
            spread
        };
        let own = json!({ "matchLabels": { "team": "data" } });
        let both = json!([spread(Value::Null), spread(own.clone())]);
        run.spec.pods.topology_spread_constraints =
            serde_json::from_value(both).unwrap_or_default();
        let job = made(&run, Stage::Clean, 7);
        let pod = &job["spec"]["template"]["spec"];
        assert_eq!(pod["affinity"], zone);
        let of_stage = json!({ "matchLabels": {
            "musubi.dev/pipeline": "bento", "musubi.dev/run-uid": owner().uid, "musubi.dev/stage": "clean",
        } });
        assert_eq!(
            pod["topologySpreadConstraints"],
            json!([spread(of_stage), spread(own)])
        );
    }

    #[test]
    fn the_job_of_a_stage() {
        insta::assert_yaml_snapshot!(made(&run(), Stage::Clean, 7));
    }

    #[test]
    fn what_the_platform_did_comes_before_what_the_worker_said() {
        let job = made(&run(), Stage::Match, 2);
        let rules = &job["spec"]["podFailurePolicy"]["rules"];
        assert_eq!(rules[0]["action"], "Ignore");
        assert_eq!(rules[0]["onPodConditions"][0]["type"], "DisruptionTarget");
        assert_eq!(rules[1]["onExitCodes"]["values"], json!([42]));
        assert_eq!(rules[1]["action"], "FailIndex");
        assert_eq!(rules[2]["onExitCodes"]["values"], json!([43]));
        assert_eq!(rules[2]["action"], "FailJob");
        assert_eq!(job["spec"]["podReplacementPolicy"], "Failed");
    }

    #[test]
    fn settings_of_a_stage_go_before_those_of_the_pipeline() {
        let mut run = run();
        run.spec.pods.parallelism = 3;
        run.spec.pods.node_selector = [("pool".into(), "batch".into())].into();
        run.spec.pods.tolerations = vec![Toleration {
            key: Some("batch".into()),
            ..Toleration::default()
        }];
        run.spec.pods.annotations = [("karpenter.sh/do-not-disrupt".into(), "false".into())].into();
        run.spec.pods.stages = vec![StagePods {
            stage: Stage::Link,
            memory: Some("16Gi".into()),
            max_memory: None,
            cpu: None,
            scratch: None,
            deadline_minutes: Some(30),
        }];
        let link = made(&run, Stage::Link, 1);
        let pod = &link["spec"]["template"]["spec"];
        assert_eq!(
            pod["containers"][0]["resources"]["limits"]["memory"],
            "16Gi"
        );
        assert_eq!(pod["nodeSelector"]["pool"], "batch");
        assert_eq!(pod["tolerations"][0]["operator"], "Equal");
        assert_eq!(link["spec"]["activeDeadlineSeconds"], 1800);
        let annotations = &link["spec"]["template"]["metadata"]["annotations"];
        assert_eq!(annotations["karpenter.sh/do-not-disrupt"], "false");
        let attach = made(&run, Stage::Attach, 64);
        assert_eq!(attach["spec"]["parallelism"], 3);
        assert_eq!(attach["spec"]["completions"], 64);
        let resources = &attach["spec"]["template"]["spec"]["containers"][0]["resources"];
        assert_eq!(resources["limits"]["memory"], "2Gi");
    }

    #[test]
    fn shards_to_repeat_are_all_that_a_job_has() {
        let run = run();
        let job = job(&Attempt {
            name: "bento-1-clean-2",
            owner: owner(),
            run: &run,
            config_map: "bento-1-run",
            sha256: "ab12",
            image: "registry.example.com/musubi@sha256:00",
            stage: Stage::Clean,
            shards: 40,
            repeats: Some("3,7-9"),
            memory: Some("4Gi"),
            parallelism: 20,
            trace: Vec::new(),
        });
        let job = serde_json::to_value(job).unwrap_or_default();
        assert_eq!(job["spec"]["completions"], 4);
        assert_eq!(job["spec"]["parallelism"], 4);
        let worker = &job["spec"]["template"]["spec"]["containers"][0];
        assert_eq!(worker["resources"]["limits"]["memory"], "4Gi");
        assert_eq!(worker["resources"]["requests"]["memory"], "4Gi");
        let args: Vec<&str> = worker["args"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        assert!(args.ends_with(&["--repeats", "3,7-9"]), "{args:?}");
    }

    #[test]
    fn labels_of_the_operator_cannot_be_set_by_a_pipeline() {
        let mut run = run();
        run.spec.pods.labels = [
            ("musubi.dev/run-uid".into(), "another".into()),
            ("team".into(), "data".into()),
        ]
        .into();
        let labels = made(&run, Stage::Plan, 1)["spec"]["template"]["metadata"]["labels"].take();
        assert_eq!(labels["musubi.dev/run-uid"], owner().uid);
        assert_eq!(labels["team"], "data");
    }
}
