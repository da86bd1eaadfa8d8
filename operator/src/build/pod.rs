//! A worker's pod: what the pipeline wishes for it, and what it is never without.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::{
        batch::v1::{
            PodFailurePolicy, PodFailurePolicyOnExitCodesRequirement,
            PodFailurePolicyOnPodConditionsPattern, PodFailurePolicyRule,
        },
        core::v1::{
            Capabilities, Container, EmptyDirVolumeSource, EnvVar, LocalObjectReference,
            PodSecurityContext, PodSpec, ResourceRequirements, SeccompProfile, SecurityContext,
            Toleration, Volume, VolumeMount,
        },
    },
    apimachinery::pkg::api::resource::Quantity,
};
use musubi_api::pods::{PodSettings, Share, TolerationOperator};

/// Name of the worker's container.
pub(crate) const CONTAINER: &str = "worker";
/// Where a worker says what it did.
pub(crate) const REPORT: &str = "/dev/termination-log";

/// Labels of a pod: those of the pipeline, then ours.
pub(super) fn labels(
    pods: &PodSettings,
    ours: BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    pods.labels.clone().into_iter().chain(ours).collect()
}

/// Annotations of a pod. Autoscalers leave a worker where it is, unless the pipeline says otherwise.
pub(super) fn annotations(pods: &PodSettings) -> BTreeMap<String, String> {
    let ours = [
        ("cluster-autoscaler.kubernetes.io/safe-to-evict", "false"),
        ("karpenter.sh/do-not-disrupt", "true"),
    ];
    let ours = ours.map(|(key, value)| (key.to_owned(), value.to_owned()));
    ours.into_iter().chain(pods.annotations.clone()).collect()
}

/// What becomes of a pod that failed, by exit code. The first rule that fits counts. What the platform did to a pod is
/// no fault of its shard.
pub(super) fn failure_policy(exits: &[(i32, &str)]) -> PodFailurePolicy {
    let disruption = PodFailurePolicyRule {
        action: "Ignore".into(),
        on_exit_codes: None,
        on_pod_conditions: Some(vec![PodFailurePolicyOnPodConditionsPattern {
            status: "True".into(),
            type_: "DisruptionTarget".into(),
        }]),
    };
    let exits = exits.iter().map(|(code, action)| PodFailurePolicyRule {
        action: (*action).into(),
        on_exit_codes: Some(PodFailurePolicyOnExitCodesRequirement {
            container_name: Some(CONTAINER.into()),
            operator: "In".into(),
            values: vec![*code],
        }),
        on_pod_conditions: None,
    });
    PodFailurePolicy {
        rules: [disruption].into_iter().chain(exits).collect(),
    }
}

/// A pod with a worker, a scratch disk, and a volume that it reads at a path.
pub(super) fn spec(
    pods: &PodSettings,
    share: Share<'_>,
    mut worker: Container,
    reads: Option<(Volume, &str)>,
) -> PodSpec {
    let secrets = pods.image_pull_secrets.iter();
    let secrets: Vec<_> = secrets
        .map(|name| LocalObjectReference { name: name.clone() })
        .collect();
    let tolerations: Vec<_> = pods.tolerations.iter().map(toleration).collect();
    let mount = |name: &str, path: &str, read_only: bool| VolumeMount {
        name: name.into(),
        mount_path: path.into(),
        read_only: Some(read_only),
        ..VolumeMount::default()
    };
    let scratch = Volume {
        name: "scratch".into(),
        empty_dir: Some(EmptyDirVolumeSource {
            size_limit: Some(Quantity(share.scratch.into())),
            medium: None,
        }),
        ..Volume::default()
    };
    let mounts = reads
        .iter()
        .map(|(volume, path)| mount(&volume.name, path, true));
    let mounts = mounts.chain([mount("scratch", "/tmp", false)]).collect();
    worker.volume_mounts = Some(mounts);
    let volumes = reads.into_iter().map(|(volume, _)| volume);
    PodSpec {
        restart_policy: Some("Never".into()),
        automount_service_account_token: Some(false),
        service_account_name: pods.service_account.clone(),
        enable_service_links: Some(false),
        node_selector: some(pods.node_selector.clone()),
        tolerations: (!tolerations.is_empty()).then_some(tolerations),
        affinity: pods.affinity.clone(),
        priority_class_name: pods.priority_class_name.clone(),
        image_pull_secrets: (!secrets.is_empty()).then_some(secrets),
        security_context: Some(PodSecurityContext {
            run_as_non_root: Some(true),
            seccomp_profile: Some(SeccompProfile {
                type_: "RuntimeDefault".into(),
                localhost_profile: None,
            }),
            ..PodSecurityContext::default()
        }),
        containers: vec![worker],
        volumes: Some(volumes.chain([scratch]).collect()),
        ..PodSpec::default()
    }
}

/// A container that runs `musubi` with arguments.
pub(super) fn container(
    image: &str,
    args: &[&str],
    env: Vec<EnvVar>,
    share: Share<'_>,
) -> Container {
    let quantity = |text: &str| Quantity(text.to_owned());
    let requests = [("cpu", share.cpu), ("memory", share.memory)];
    Container {
        name: CONTAINER.into(),
        image: Some(image.into()),
        image_pull_policy: Some("IfNotPresent".into()),
        command: Some(vec!["musubi".into()]),
        args: Some(args.iter().copied().map(String::from).collect()),
        env: Some(env),
        resources: Some(ResourceRequirements {
            requests: Some(requests.map(|(k, v)| (k.to_owned(), quantity(v))).into()),
            limits: Some([("memory".to_owned(), quantity(share.memory))].into()),
            claims: None,
        }),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            read_only_root_filesystem: Some(true),
            capabilities: Some(Capabilities {
                add: None,
                drop: Some(vec!["ALL".into()]),
            }),
            ..SecurityContext::default()
        }),
        termination_message_path: Some(REPORT.into()),
        // A worker that could not write its report left its last words on standard error.
        termination_message_policy: Some("FallbackToLogsOnError".into()),
        ..Container::default()
    }
}

fn toleration(from: &musubi_api::pods::Toleration) -> Toleration {
    let operator = match from.operator {
        TolerationOperator::Equal => "Equal",
        TolerationOperator::Exists => "Exists",
    };
    Toleration {
        key: from.key.clone(),
        operator: Some(operator.into()),
        value: from.value.clone(),
        effect: from.effect.clone(),
        toleration_seconds: None,
    }
}

fn some(map: BTreeMap<String, String>) -> Option<BTreeMap<String, String>> {
    (!map.is_empty()).then_some(map)
}
