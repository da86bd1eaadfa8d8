//! Peaks and queues, as the API server and its controllers see them.

#[path = "support/mod.rs"]
#[allow(dead_code, reason = "each test uses what it needs")]
mod support;

use k8s_openapi::api::{batch::v1::Job, events::v1::Event};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, ListParams, Patch, PatchParams},
};
use musubi_api::{
    pipeline::{CustomerPipeline, CustomerPipelineRun},
    run::Stage,
};
use musubi_testing::Cluster;
use serde_json::json;
use support::{World, held, object, shop::shop, soon, stalled};

fn stage_job(run: &CustomerPipelineRun, stage: Stage) -> Option<String> {
    let stages = run.status.as_ref()?.stages.iter();
    let of_stage = stages.rev().find(|s| s.stage == stage)?;
    of_stage.job_uid.as_ref().and(of_stage.job.clone())
}

async fn suspend(jobs: &Api<Job>, name: &str, suspended: bool) {
    let patch = Patch::Merge(json!({ "spec": { "suspend": suspended } }));
    let done = jobs.patch(name, &PatchParams::default(), &patch).await;
    done.expect("suspend, or let go");
}

/// Waits until an event has been told: it follows what the status says.
async fn told(world: &World, reason: &str) {
    let events: Api<Event> = Api::namespaced(world.client.clone(), &world.namespace);
    let found = async || {
        let events = events.list(&ListParams::default()).await.expect("events");
        let mut reasons = events.items.iter().filter_map(|e| e.reason.as_deref());
        reasons.any(|r| r == reason).then_some(())
    };
    soon(reason, found).await;
}

/// Every second minute is a peak. The Job is held while it waits for one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peak_raises_what_runs_and_what_begins_in_it() {
    let Some(cluster) = Cluster::find() else {
        return;
    };
    let world = World::new(cluster, "peaks").await;
    // Four files: the first stages have four shards.
    shop(&world, 4, None).await;
    let pipeline = json!({
        "sources": ["shop"], "lake": { "s3": world.s3("lake") },
        "pods": { "parallelism": 1, "memory": "512Mi", "cpu": "50m" },
        "peaks": [{
            "name": "even", "parallelism": 3, "shards": 5,
            "when": { "cron": { "start": "*/2 * * * *", "lasts": "1m" } },
        }],
    });
    world
        .apply(&object("CustomerPipeline", "even", pipeline))
        .await;
    world.install();
    let pipelines: Api<CustomerPipeline> = Api::namespaced(world.client.clone(), &world.namespace);
    let peak = |active: bool| {
        move |pipeline: Option<&CustomerPipeline>| {
            let status = pipeline.and_then(|p| p.status.as_ref());
            status.is_some_and(|s| s.next_peak.is_some() && s.active_peak.is_some() == active)
        }
    };
    held(&pipelines, "even", peak(true)).await;
    told(&world, "PeakEntered").await;
    if jiff::Timestamp::now().as_second() % 60 > 30 {
        // It would be over before the run has begun.
        held(&pipelines, "even", peak(false)).await;
        held(&pipelines, "even", peak(true)).await;
    }
    world.begin("wide", "even", jiff::Timestamp::now()).await;

    let jobs: Api<Job> = Api::namespaced(world.client.clone(), &world.namespace);
    let name = loop {
        let run = world
            .until("wide", |run| stage_job(run, Stage::Ingest).is_some())
            .await;
        let name = stage_job(&run, Stage::Ingest).expect("a Job");
        suspend(&jobs, &name, true).await;
        let job = jobs.get(&name).await.expect("the Job");
        let spec = job.spec.expect("its spec");
        assert_eq!(spec.completions, Some(4));
        if spec.parallelism == Some(1) {
            break name;
        }
        // It was made, or raised, within the peak. Another one is made after it.
        assert_eq!(spec.parallelism, Some(3));
        held(&pipelines, "even", peak(false)).await;
        let gone = jobs.delete(&name, &DeleteParams::background()).await;
        gone.expect("delete the Job");
        let next = |run: &CustomerPipelineRun| {
            stage_job(run, Stage::Ingest).is_some_and(|next| next != name)
        };
        world.until("wide", next).await;
    };
    world
        .until("wide", |run| stalled(run) == Some("JobSuspended"))
        .await;
    let raised = |job: Option<&Job>| {
        let spec = job.and_then(|job| job.spec.as_ref());
        spec.is_some_and(|spec| spec.parallelism == Some(3))
    };
    held(&jobs, &name, raised).await;
    // When it is over, the Job stays as it is.
    held(&pipelines, "even", peak(false)).await;
    told(&world, "PeakLeft").await;
    suspend(&jobs, &name, false).await;
    let run = world.complete("wide").await;
    let job = jobs.get(&name).await.expect("the Job");
    assert_eq!(job.spec.and_then(|s| s.parallelism), Some(3));
    told(&world, "StageWidened").await;
    // The run began in the peak, and is as finely cut as that says.
    let status = run.status.clone().unwrap_or_default();
    assert_eq!(status.shards["curate"], 5, "{:#?}", run.name_any());
    world.remove().await;
}

/// There is no Kueue here: the test admits in its place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_waits_for_its_queue_and_a_small_run_needs_one_alone() {
    let Some(cluster) = Cluster::find() else {
        return;
    };
    let world = World::new(cluster, "queue").await;
    // Four files: the first stages have four shards.
    shop(&world, 4, None).await;
    let pipeline = json!({
        "sources": ["shop"], "lake": { "s3": world.s3("lake") }, "sharding": { "mode": "auto" },
        "pods": { "queue": "batch", "memory": "512Mi", "cpu": "50m" },
        // Every minute is a peak, which changes nothing of what is in a queue.
        "peaks": [{
            "name": "always", "parallelism": 9, "when": { "cron": { "start": "* * * * *", "lasts": "2m" } },
        }],
    });
    world
        .apply(&object("CustomerPipeline", "queued", pipeline))
        .await;
    world.install();
    world.begin("first", "queued", jiff::Timestamp::now()).await;
    let run = world
        .until("first", |run| stalled(run) == Some("NotAdmitted"))
        .await;
    let name = stage_job(&run, Stage::Plan).expect("a Job");
    let jobs: Api<Job> = Api::namespaced(world.client.clone(), &world.namespace);
    let job = jobs.get(&name).await.expect("the Job");
    assert_eq!(job.labels()["kueue.x-k8s.io/queue-name"], "batch");
    assert_eq!(job.spec.and_then(|s| s.suspend), Some(true));
    suspend(&jobs, &name, false).await;
    let run = world.complete("first").await;
    let status = run.status.clone().unwrap_or_default();
    // One Job did all stages, and the status has them all.
    let all = jobs.list(&ListParams::default()).await.expect("Jobs");
    assert_eq!(all.items.len(), 1);
    let stages: Vec<Stage> = status.stages.iter().map(|s| s.stage).collect();
    assert_eq!(stages, Stage::ALL);
    assert_eq!(status.published_version, Some(1));
    assert!(
        status.bookmarks.contains_key("shop"),
        "{:#?}",
        status.bookmarks
    );
    world.remove().await;
}
