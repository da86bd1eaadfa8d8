//! What people do to pipelines and runs while they are there: they pause one, bring them back from a backup, and make a
//! run again under its name.

#[path = "support/mod.rs"]
#[allow(dead_code, reason = "each test uses what it needs")]
mod support;

use std::collections::BTreeSet;

use jiff::Timestamp;
use k8s_openapi::api::{batch::v1::Job, core::v1::ConfigMap};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, DynamicObject, ListParams, PostParams},
    core::{ApiResource, GroupVersionKind},
};
use musubi_api::{
    pipeline::{CustomerPipeline, CustomerPipelineRun},
    run::Stage,
    status::StageState,
};
use musubi_testing::Cluster;
use serde_json::json;
use support::{World, held, object, reason, shop::shop, soon};

/// Makes a pipeline over the shop's files, which is due at night.
async fn pipeline(world: &World, name: &str, mode: &str) {
    let spec = json!({
        "sources": ["shop"], "lake": { "s3": world.s3(name) }, "sharding": { "mode": mode },
        "schedule": { "cron": "30 4 * * *", "timeZone": "Asia/Tokyo" },
        "pods": { "memory": "512Mi", "cpu": "50m" },
    });
    world.apply(&object("CustomerPipeline", name, spec)).await;
}

/// Waits until something holds for a pipeline.
async fn until(
    world: &World,
    name: &str,
    holds: impl Fn(&CustomerPipeline) -> bool,
) -> CustomerPipeline {
    let pipelines = Api::namespaced(world.client.clone(), &world.namespace);
    let holds = |pipeline: Option<&CustomerPipeline>| pipeline.is_some_and(&holds);
    held(&pipelines, name, holds).await.expect("the pipeline")
}

fn paused(pipeline: &CustomerPipeline) -> bool {
    let conditions = pipeline.status.iter().flat_map(|s| &s.conditions);
    reason(conditions, "Paused") == Some("Annotated")
}

fn says(run: &CustomerPipelineRun, condition: &str, expected: &str) -> bool {
    let conditions = run.status.iter().flat_map(|s| &s.conditions);
    reason(conditions, condition) == Some(expected)
}

/// The Jobs that there ever were of a pipeline's runs: those that are done stay for an hour, unless their run goes.
async fn jobs(world: &World, pipeline: &str) -> Vec<Job> {
    let of_pipeline = ListParams::default().labels(&format!("musubi.dev/pipeline={pipeline}"));
    let jobs: Api<Job> = Api::namespaced(world.client.clone(), &world.namespace);
    jobs.list(&of_pipeline).await.expect("Jobs").items
}

/// The stages of a pipeline that had a Job.
async fn stages(world: &World, pipeline: &str) -> BTreeSet<String> {
    let stage = |job: &Job| job.labels()["musubi.dev/stage"].clone();
    jobs(world, pipeline).await.iter().map(stage).collect()
}

async fn names(world: &World, pipeline: &str) -> Vec<String> {
    let runs = world.runs().list(&ListParams::default()).await;
    let mut runs = runs.expect("runs").items;
    runs.retain(|run| run.spec.pipeline == pipeline);
    runs.iter().map(ResourceExt::name_any).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_pipeline_ends_what_runs_and_begins_nothing() {
    let Some(cluster) = Cluster::find() else {
        return;
    };
    let mut world = World::new(cluster, "paused").await;
    world.put_proxy();
    shop(&world, 2, None).await;
    pipeline(&world, "held", "jobs").await;
    pipeline(&world, "beside", "auto").await;
    world.install();
    let due = |pipeline: &CustomerPipeline| {
        let status = pipeline.status.as_ref();
        status.is_some_and(|s| s.next_schedule_time.is_some())
    };
    until(&world, "held", due).await;

    let hold = world.hold(Stage::Ingest);
    world.begin("first", "held", Timestamp::now()).await;
    world.pod_at_work(Stage::Ingest).await;
    world.kubectl(&["annotate", "cpl", "held", "musubi.dev/paused=true"]);
    let pipeline = until(&world, "held", paused).await;
    let status = pipeline.status.unwrap_or_default();
    assert_eq!(status.next_schedule_time, None, "nothing is due");
    let state = |run: &CustomerPipelineRun, stage: Stage| {
        let stages = run.status.iter().flat_map(|s| &s.stages);
        let found = stages.into_iter().find(|s| s.stage == stage);
        found.map(|s| (s.state, s.attempt))
    };
    world
        .until("first", |run| {
            state(run, Stage::Ingest) == Some((StageState::Running, 1))
        })
        .await;

    // Its Job goes on to its end; the next is not made.
    drop(hold);
    let ended = |run: &CustomerPipelineRun| {
        state(run, Stage::Ingest) == Some((StageState::Complete, 1))
            && says(run, "Reconciling", "Paused")
    };
    let over = |run: &CustomerPipelineRun| run.status.as_ref().is_some_and(|s| s.is_over());
    let run = world.until("first", |run| ended(run) || over(run)).await;
    assert!(ended(&run), "{run:#?}");
    let made = BTreeSet::from(["ingest".to_owned(), "plan".to_owned()]);
    assert_eq!(stages(&world, "held").await, made);

    // Nor is what people ask for, while another pipeline goes about its work.
    world.kubectl(&["annotate", "cpl", "held", "musubi.dev/run-now=1"]);
    world.begin("second", "held", Timestamp::now()).await;
    world.begin("beside", "beside", Timestamp::now()).await;
    world.complete("beside").await;
    let second = |run: &CustomerPipelineRun| says(run, "Reconciling", "Paused");
    let second = world.until("second", second).await;
    assert_eq!(second.status.and_then(|s| s.snapshot), None);
    assert_eq!(names(&world, "held").await, ["first", "second"]);
    assert_eq!(stages(&world, "held").await, made);
    let maps: Api<ConfigMap> = Api::namespaced(world.client.clone(), &world.namespace);
    let of_held = ListParams::default().labels("musubi.dev/pipeline=held");
    assert_eq!(maps.list(&of_held).await.expect("snapshots").items.len(), 1);

    // It goes on where it was, and what was asked for is made.
    world.kubectl(&["annotate", "cpl", "held", "musubi.dev/paused-"]);
    let first = world.complete("first").await;
    let status = first.status.unwrap_or_default();
    assert_eq!(status.published_version, Some(1));
    assert!(status.stages.iter().all(|s| s.attempt == 1), "{status:#?}");
    let asked = |pipeline: &CustomerPipeline| {
        let status = pipeline.status.as_ref();
        status.is_some_and(|s| s.run_now.is_some())
    };
    let held = until(&world, "held", |p| asked(p) && due(p)).await;
    assert!(!paused(&held), "{held:#?}");
    let third = async || (names(&world, "held").await.len() == 3).then_some(());
    soon("the run that was asked for", third).await;
    world.remove().await;
}

/// What a backup holds, in the order of the restore: runs are there before their pipeline.
const KINDS: [&str; 3] = ["CustomerPipelineRun", "CustomerPipeline", "Source"];

fn objects(world: &World, kind: &str) -> Api<DynamicObject> {
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("musubi.dev", "v1alpha1", kind));
    Api::namespaced_with(world.client.clone(), &world.namespace, &kind)
}

/// Everything as Velero brings it back: names, labels, annotations and specs, and whose restore it was.
async fn back_up(world: &World) -> Vec<DynamicObject> {
    let mut all = Vec::new();
    for kind in KINDS {
        let list = objects(world, kind).list(&ListParams::default()).await;
        for mut object in list.expect(kind).items {
            let was = std::mem::take(&mut object.metadata);
            object.metadata.name = was.name;
            object.metadata.annotations = was.annotations;
            object.metadata.labels = was.labels;
            object
                .labels_mut()
                .insert("velero.io/restore-name".into(), "it".into());
            object
                .data
                .as_object_mut()
                .expect("an object")
                .remove("status");
            object.types = Some(kube::core::TypeMeta {
                api_version: "musubi.dev/v1alpha1".into(),
                kind: kind.into(),
            });
            all.push(object);
        }
    }
    all
}

/// Deletes an object, and waits until it is gone.
async fn delete(world: &World, kind: &str, name: &str) {
    let api = objects(world, kind);
    let deleted = api.delete(name, &DeleteParams::background()).await;
    deleted.expect(kind);
    held(&api, name, |object| object.is_none()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_backup_brings_back_does_nothing_again_and_a_run_made_anew_does_all() {
    let Some(cluster) = Cluster::find() else {
        return;
    };
    let world = World::new(cluster, "restored").await;
    shop(&world, 2, None).await;
    pipeline(&world, "shop", "auto").await;
    world.install();
    world.kubectl(&["annotate", "cpl", "shop", "musubi.dev/run-now=1"]);
    let asked = until(&world, "shop", |p| {
        p.status.as_ref().is_some_and(|s| s.last_run.is_some())
    });
    let first = asked.await.status.and_then(|s| s.last_run);
    let first = first.expect("a run");
    world.complete(&first).await;
    let cancelled = json!({ "pipeline": "shop", "cancel": true });
    world
        .apply(&object("CustomerPipelineRun", "cancelled", cancelled))
        .await;
    world
        .until("cancelled", |run| says(run, "Failed", "Cancelled"))
        .await;

    let backup = back_up(&world).await;
    for object in &backup {
        let kind = &object.types.as_ref().expect("its kind").kind;
        delete(&world, kind, &object.name_any()).await;
    }
    for object in &backup {
        let kind = &object.types.as_ref().expect("its kind").kind;
        let (api, params) = (objects(&world, kind), PostParams::default());
        api.create(&params, object).await.expect("restore");
    }
    let run = world.runs_to_end(&first).await;
    assert!(says(&run, "Complete", "Restored"), "{run:#?}");
    let mut brought_back = vec![run.uid().unwrap_or_default()];
    assert_eq!(run.status.and_then(|s| s.published_version), Some(1));
    let run = world.runs_to_end("cancelled").await;
    assert!(says(&run, "Failed", "Restored"), "{run:#?}");
    brought_back.extend(run.uid());
    let known = until(&world, "shop", |pipeline| {
        let status = pipeline.status.as_ref();
        status.is_some_and(|s| s.run_now.is_some() && s.published_version == Some(1))
    });
    let status = known.await.status.unwrap_or_default();
    assert_eq!(status.last_run, None, "what was asked for was made before");

    // The next run goes on from there: it takes what is new since. No Job was made but its own.
    let more = "id,email\n2,person2@example.com\n";
    world.put("files/members_2.csv", more).await;
    let next = again(&world, "next").await;
    assert_eq!(did(&next), (Some(2), 1, 3));
    for job in jobs(&world, "shop").await {
        let uid = &job.labels()["musubi.dev/run-uid"];
        assert!(!brought_back.contains(uid), "{}", job.name_any());
    }

    // A run that is made again under its name begins anew.
    delete(&world, "CustomerPipelineRun", "next").await;
    let other = again(&world, "next").await;
    assert_ne!(other.uid(), next.uid());
    assert!(says(&other, "Complete", "Complete"), "{other:#?}");
    assert_eq!(did(&other), (Some(3), 0, 3));
    world.remove().await;
}

/// The version that a run published, the files that it took, and the customers that there are.
fn did(run: &CustomerPipelineRun) -> (Option<i64>, i64, i64) {
    let status = run.status.as_ref().expect("a status");
    let count = |stage: Stage, name: &str| {
        let found = status.stages.iter().find(|s| s.stage == stage);
        found.expect("the stage").counts[name]
    };
    let (files, customers) = (
        count(Stage::Ingest, "files"),
        count(Stage::Curate, "customers"),
    );
    (status.published_version, files, customers)
}

/// Begins a run, which is complete in the end.
async fn again(world: &World, name: &str) -> CustomerPipelineRun {
    world.begin(name, "shop", Timestamp::now()).await;
    world.complete(name).await
}
