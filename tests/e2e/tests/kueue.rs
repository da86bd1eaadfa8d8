//! Jobs of a run in a queue of a real Kueue.

#[path = "support/mod.rs"]
#[allow(dead_code, reason = "each test uses what it needs")]
mod support;

use std::collections::BTreeSet;

use k8s_openapi::api::batch::v1::Job;
use kube::{
    Api,
    api::{DeleteParams, ListParams, PostParams},
};
use musubi_api::run::Stage;
use musubi_testing::Cluster;
use serde_json::json;
use support::{World, held, kueue, object, shop::shop, stalled};

/// The Job of somebody more important, which needs all that the queue has.
fn urgent(world: &World, priority: &str) -> Job {
    let container = json!({
        "name": "sleeps", "image": "localhost/pause:1", "imagePullPolicy": "Never",
        "resources": { "requests": { "cpu": "200m", "memory": "16Mi" } },
        "securityContext": {
            "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] }, "runAsUser": 1000,
        },
    });
    let job = json!({
        "metadata": {
            "name": "urgent", "namespace": world.namespace,
            "labels": { "kueue.x-k8s.io/queue-name": "batch", "kueue.x-k8s.io/priority-class": priority },
        },
        "spec": {
            "suspend": true,
            "template": { "spec": {
                "restartPolicy": "Never", "terminationGracePeriodSeconds": 0, "containers": [container],
                "securityContext": { "runAsNonRoot": true, "seccompProfile": { "type": "RuntimeDefault" } },
            } },
        },
    });
    serde_json::from_value(job).expect("a Job")
}

fn is_suspended(job: &Job) -> bool {
    job.spec.as_ref().and_then(|s| s.suspend) == Some(true)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_waits_for_its_queue_and_goes_on_after_somebody_more_important() {
    let Some(cluster) = Cluster::find() else {
        return;
    };
    let mut world = World::new(cluster, "kueue").await;
    let Some(_kueue) = kueue::Kueue::start(&world) else {
        return world.remove().await;
    };
    world.put_proxy();
    let queue = kueue::Queue::holding(&world, [("cpu", "200m"), ("memory", "2Gi")]).await;
    // Four files: the first stages have four shards.
    shop(&world, 4, None).await;
    let pipeline = json!({
        "sources": ["shop"], "lake": { "s3": world.s3("lake") },
        "pods": { "queue": "batch", "memory": "512Mi", "cpu": "50m", "parallelism": 2 },
        // Every minute is a peak, which changes nothing of what is in a queue.
        "peaks": [{
            "name": "always", "parallelism": 3, "when": { "cron": { "start": "* * * * *", "lasts": "2m" } },
        }],
    });
    world
        .apply(&object("CustomerPipeline", "queued", pipeline))
        .await;
    world.install();
    let hold = world.hold(Stage::Ingest);
    world.begin("first", "queued", jiff::Timestamp::now()).await;
    world
        .until("first", |run| stalled(run) == Some("NotAdmitted"))
        .await;
    queue.open().await;

    // Somebody more important comes while the files are taken.
    let pod = world.pod_at_work(Stage::Ingest).await;
    let name = &pod.metadata.owner_references.expect("an owner")[0].name;
    let jobs: Api<Job> = Api::namespaced(world.client.clone(), &world.namespace);
    let before = jobs.get(name).await.expect("the Job");
    let job = urgent(&world, queue.priority().await);
    let made = jobs.create(&PostParams::default(), &job).await;
    made.expect("a Job");
    let evicted = |job: Option<&Job>| job.is_some_and(is_suspended);
    held(&jobs, name, evicted).await;
    let at_work = |job: Option<&Job>| {
        let status = job.and_then(|job| job.status.as_ref());
        status.is_some_and(|s| s.active == Some(1))
    };
    held(&jobs, "urgent", at_work).await;
    drop(hold);
    world
        .until("first", |run| stalled(run) == Some("NotAdmitted"))
        .await;
    let gone = jobs.delete("urgent", &DeleteParams::background()).await;
    gone.expect("delete the Job");

    // It goes on where it was, by the same Jobs, as wide as they were admitted.
    let run = world.complete("first").await;
    let status = run.status.unwrap_or_default();
    assert_eq!(status.published_version, Some(1));
    let all = jobs.list(&ListParams::default()).await.expect("Jobs").items;
    let ingest = all
        .iter()
        .find(|job| job.metadata.name.as_ref() == Some(name));
    let ingest = ingest.expect("the Job of the stage");
    assert_eq!(ingest.metadata.uid, before.metadata.uid);
    let width = |job: &Job| job.spec.as_ref().and_then(|s| s.parallelism);
    assert_eq!(width(ingest), width(&before));
    assert!(status.stages.iter().all(|s| s.attempt == 1), "{status:#?}");
    let stages: BTreeSet<_> = status.stages.iter().filter_map(|s| s.job.clone()).collect();
    assert_eq!(all.len(), stages.len(), "a Job a stage");
    world.remove().await;
    queue.remove().await;
}
