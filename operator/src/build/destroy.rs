//! The Job that deletes the lake of a pipeline, before the pipeline goes.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::{
        batch::v1::{Job, JobSpec},
        core::v1::{EnvVar, PodTemplateSpec},
    },
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference},
};
use musubi_api::{
    pipeline::CustomerPipelineSpec,
    run::{EXIT_RUN_FAILED, Stage},
    source::S3Connector,
};

use super::{MANAGER, PREFIX, credentials, pod};

/// How often it is tried again.
const RETRIES: i32 = 3;

/// Everything that the Job is made from.
pub(crate) struct Destroy<'a> {
    /// Name of the Job.
    pub(crate) name: &'a str,
    /// The pipeline.
    pub(crate) owner: OwnerReference,
    /// Its namespace.
    pub(crate) namespace: &'a str,
    /// What it says.
    pub(crate) spec: &'a CustomerPipelineSpec,
    /// Its lake.
    pub(crate) lake: &'a S3Connector,
    /// Image of the worker.
    pub(crate) image: &'a str,
}

/// The Job. It never goes to Kueue: a pipeline that is told to go shall not wait for a queue.
pub(crate) fn job(from: &Destroy<'_>) -> Job {
    let pods = &from.spec.pods;
    let share = pods.share(Stage::Publish);
    let prefix = from.lake.prefix.as_deref().unwrap_or_default();
    let place = format!("s3://{}/{}", from.lake.bucket, prefix.trim_matches('/'));
    let owner = format!("{}/{}", from.namespace, from.owner.name);
    let args = [
        "lake", "destroy", "--lake", &place, "--owner", &owner, "--yes",
    ];
    let worker = pod::container(from.image, &args, environment(from.lake), share);
    let labels = BTreeMap::from([
        ("app.kubernetes.io/managed-by".into(), MANAGER.into()),
        ("app.kubernetes.io/name".into(), "musubi".into()),
        (format!("{PREFIX}/pipeline"), from.owner.name.clone()),
    ]);
    Job {
        metadata: ObjectMeta {
            name: Some(from.name.into()),
            namespace: Some(from.namespace.into()),
            labels: Some(labels.clone()),
            owner_references: Some(vec![from.owner.clone()]),
            ..ObjectMeta::default()
        },
        spec: Some(JobSpec {
            backoff_limit: Some(RETRIES),
            active_deadline_seconds: Some(share.deadline_minutes * 60),
            // It belongs to another pipeline: that does not change.
            pod_failure_policy: Some(pod::failure_policy(&[(EXIT_RUN_FAILED, "FailJob")])),
            pod_replacement_policy: Some("Failed".into()),
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(pod::labels(pods, labels)),
                    annotations: Some(pod::annotations(pods)),
                    ..ObjectMeta::default()
                }),
                spec: Some(pod::spec(pods, share, worker, None)),
            },
            ..JobSpec::default()
        }),
        status: None,
    }
}

/// The variables by which every program of AWS is told where its bucket is.
fn environment(lake: &S3Connector) -> Vec<EnvVar> {
    let keys = credentials::s3(Some(lake)).into_iter();
    let keys = keys.map(|key| credentials::by_reference(key.1.clone(), &key));
    let plain = lake
        .endpoint
        .as_ref()
        .is_some_and(|e| e.starts_with("http://"));
    let said = [
        ("AWS_REGION", lake.region.clone()),
        ("AWS_ENDPOINT", lake.endpoint.clone()),
        ("AWS_ALLOW_HTTP", plain.then(|| "true".into())),
    ];
    let said = said.into_iter().filter_map(|(name, value)| {
        Some(EnvVar {
            name: name.into(),
            value: Some(value?),
            value_from: None,
        })
    });
    keys.chain(said).collect()
}

#[cfg(test)]
mod tests {
    use super::{Destroy, job};
    use crate::tests::{owner, run};

    #[test]
    fn the_job_that_deletes_a_lake() {
        let run = run();
        let Some(lake) = &run.spec.lake.s3 else {
            panic!("no bucket");
        };
        let mut owner = owner();
        (owner.kind, owner.name) = ("CustomerPipeline".into(), "bento".into());
        let job = job(&Destroy {
            name: "bento-destroy",
            owner,
            namespace: &run.namespace,
            spec: &run.spec,
            lake,
            image: "registry.example.com/musubi@sha256:00",
        });
        insta::assert_yaml_snapshot!(job);
    }
}
