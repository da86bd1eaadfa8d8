//! What becomes of a lake when its pipeline is deleted, and whether the source's data is fresh.

#[path = "support/mod.rs"]
#[allow(dead_code, reason = "each test uses what it needs")]
mod support;

use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, Patch, PatchParams},
};
use musubi_api::{pipeline::CustomerPipeline, source::Source};
use musubi_testing::Cluster;
use serde_json::{Value, json};
use support::{World, held, object, operator::from_outside, shop::shop};

/// A pipeline over one file of today's, with what else it says.
async fn pipeline(world: &World, name: &str, more: Value) {
    let mut spec = json!({
        "sources": ["shop"], "lake": { "s3": world.s3(name) }, "sharding": { "mode": "auto" },
        "pods": { "memory": "512Mi", "cpu": "50m" },
    });
    for (key, value) in more.as_object().into_iter().flatten() {
        spec[key] = value.clone();
    }
    world.apply(&object("CustomerPipeline", name, spec)).await;
}

fn fresh(source: Option<&Source>) -> Option<(String, String)> {
    let conditions = &source?.status.as_ref()?.conditions;
    let fresh = conditions.iter().find(|c| c.type_ == "Fresh")?;
    Some((fresh.status.clone(), fresh.reason.clone()))
}

async fn objects(world: &World, prefix: &str) -> usize {
    world.store(prefix).list("").await.expect("list").len()
}

async fn gone(pipelines: &Api<CustomerPipeline>, name: &str) {
    let deleted = pipelines.delete(name, &DeleteParams::default()).await;
    deleted.expect("delete");
    held(pipelines, name, |pipeline| pipeline.is_none()).await;
}

async fn the_namespace_goes_and_the_lake_stays(world: &World) {
    let kept = objects(world, "held").await;
    let namespaces: Api<Namespace> = Api::all(world.client.clone());
    let params = DeleteParams::background();
    let deleted = namespaces.delete(&world.namespace, &params).await;
    deleted.expect("delete the namespace");
    held(&namespaces, &world.namespace, |n| n.is_none()).await;
    assert_eq!(objects(world, "held").await, kept);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lake_goes_with_its_pipeline_when_that_is_wished_and_never_with_its_namespace() {
    let Some(cluster) = Cluster::find() else {
        return;
    };
    let world = World::new(cluster, "deletion").await;
    shop(&world, 1, Some("26h")).await;
    let delete = || json!({ "deletionPolicy": "Delete" });
    pipeline(&world, "goes", delete()).await;
    pipeline(&world, "stays", json!({})).await;
    pipeline(&world, "held", delete()).await;
    // It claims the lake of another one, and may not have it.
    let thief = json!({ "deletionPolicy": "Delete", "lake": { "s3": world.s3("stays") } });
    pipeline(&world, "thief", thief).await;
    world.install();

    let sources: Api<Source> = Api::namespaced(world.client.clone(), &world.namespace);
    let says = |reason: &'static str| {
        move |source: Option<&Source>| fresh(source).is_some_and(|(_, said)| said == reason)
    };
    held(&sources, "shop", says("NoData")).await;
    // What it speaks for was a week ago.
    let week_ago = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(7 * 24);
    world.begin("goes-1", "goes", week_ago).await;
    world.complete("goes-1").await;
    held(&sources, "shop", says("Stale")).await;
    for name in ["stays", "held"] {
        let run = format!("{name}-1");
        world.begin(&run, name, jiff::Timestamp::now()).await;
        world.complete(&run).await;
    }
    let within = held(&sources, "shop", says("WithinObjective")).await;
    let source = within.expect("the source");
    assert_eq!(
        fresh(Some(&source)).map(|(status, _)| status).as_deref(),
        Some("True")
    );
    let bookmark = source.status.and_then(|s| s.bookmark).expect("a bookmark");
    assert!(
        bookmark.run == "stays-1" || bookmark.run == "held-1",
        "{bookmark:?}"
    );

    let pipelines: Api<CustomerPipeline> = Api::namespaced(world.client.clone(), &world.namespace);
    let finalizers = |name: &'static str| {
        let pipelines = pipelines.clone();
        async move {
            pipelines
                .get(name)
                .await
                .expect("the pipeline")
                .finalizers()
                .to_vec()
        }
    };
    assert_eq!(finalizers("goes").await, ["musubi.dev/lake"]);
    assert!(finalizers("stays").await.is_empty());
    assert!(objects(&world, "goes").await > 10);
    gone(&pipelines, "goes").await;
    assert_eq!(objects(&world, "goes").await, 0, "nothing is left of it");
    let kept = objects(&world, "stays").await;
    gone(&pipelines, "thief").await;
    gone(&pipelines, "stays").await;
    assert_eq!(objects(&world, "stays").await, kept, "it is retained");

    // With its namespace goes the operator itself. Nothing hangs, and the lake stays.
    the_namespace_goes_and_the_lake_stays(&world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_that_goes_without_its_operator_keeps_the_lake_too() {
    let Some(cluster) = Cluster::find() else {
        return;
    };
    let world = World::new(cluster, "elsewhere").await;
    shop(&world, 1, Some("26h")).await;
    pipeline(&world, "held", json!({ "deletionPolicy": "Delete" })).await;
    let _operator = from_outside(&world);
    world.begin("held-1", "held", jiff::Timestamp::now()).await;
    world.complete("held-1").await;
    the_namespace_goes_and_the_lake_stays(&world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lake_that_cannot_be_deleted_says_why_and_can_be_left() {
    let Some(cluster) = Cluster::find() else {
        return;
    };
    let world = World::new(cluster, "undeleted").await;
    shop(&world, 1, Some("26h")).await;
    let mut lake = world.s3("lake");
    lake["credentials"] = json!({ "secret": "others-key" });
    let more = json!({ "deletionPolicy": "Delete", "lake": { "s3": lake } });
    pipeline(&world, "held", more).await;
    world.install();
    let pipelines: Api<CustomerPipeline> = Api::namespaced(world.client.clone(), &world.namespace);
    let holds = |p: Option<&CustomerPipeline>| p.is_some_and(|p| !p.finalizers().is_empty());
    held(&pipelines, "held", holds).await;
    let deleted = pipelines.delete("held", &DeleteParams::default()).await;
    deleted.expect("delete");
    let said = |p: Option<&CustomerPipeline>| {
        let conditions = p.and_then(|p| p.status.as_ref()).map(|s| &s.conditions);
        let mut conditions = conditions.into_iter().flatten();
        conditions.any(|c| c.type_ == "Stalled" && c.reason == "SecretNotAllowed")
    };
    held(&pipelines, "held", said).await;
    let retain = Patch::Merge(json!({ "spec": { "deletionPolicy": "Retain" } }));
    let patched = pipelines
        .patch("held", &PatchParams::default(), &retain)
        .await;
    patched.expect("retain");
    held(&pipelines, "held", |pipeline| pipeline.is_none()).await;
    world.remove().await;
}
