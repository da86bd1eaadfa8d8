//! Shards that do not come to their end, beside others that do: what is missing is repeated, and nothing else, and the
//! tables are those of a run that nothing happened to.

#[path = "support/mod.rs"]
#[allow(dead_code, reason = "each test uses what it needs")]
mod support;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use kube::{Api, ResourceExt, api::ListParams};
use musubi::digest::{Ids, published};
use musubi_api::{
    pipeline::CustomerPipelineRun,
    run::Stage,
    shards::Shards,
    status::{StageState, StageStatus},
};
use musubi_testing::{
    Cluster,
    proxy::{Fault, Proxy},
};
use serde_json::json;
use support::{
    World,
    example::{Digests, Example, pipeline},
    reason,
    worker::Worker,
};

/// A file of the first day. One shard takes it.
const FILE: &str = "data/erp/products.csv";

/// The example with its first day and an operator, and what it comes to on a laptop. A shard that fails is not tried
/// again by its Job, and the others go on.
async fn scene(cluster: Cluster, name: &str) -> (World, Proxy, Timestamp, Digests) {
    let mut world = World::new(cluster, name).await;
    let storage = world.put_proxy();
    let example = Example::new(1);
    example.receive(0, &world).await;
    let mut resources = Example::resources(&world, None);
    let pods = &mut pipeline(&mut resources)["pods"];
    pods["retries"] = json!(0);
    pods["onFailure"] = json!("FinishTheRest");
    for object in &resources {
        world.apply(object).await;
    }
    world.install();
    let as_of: Timestamp = "2026-11-25T04:30:00+09:00".parse().expect("an instant");
    let expected = example.on_a_laptop(as_of).await;
    (world, storage, as_of, expected)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retry_repeats_what_is_missing() {
    let Some(cluster) = Cluster::find() else {
        return;
    };
    let (world, storage, as_of, expected) = scene(cluster, "retried").await;
    storage.fail("GET", FILE, Fault::Status(403), 1);
    world.begin("first", "bento", as_of).await;
    let run = world.runs_to_end("first").await;
    let ingest = stage(&run, Stage::Ingest);
    let conditions = &run.status.as_ref().expect("a status").conditions;
    assert_eq!(reason(conditions, "Failed"), Some("ShardFailed"));
    assert_eq!((ingest.state, ingest.attempt), (StageState::Failed, 1));
    let failed = Shards::said(ingest.failed.as_deref());
    assert_eq!(failed.len(), 1, "{ingest:#?}");
    let all = Shards::first(ingest.shards.unsigned_abs());
    assert!(all.len() > 2, "{ingest:#?}");
    let done = Shards::said(ingest.done.as_deref());
    assert_eq!(done, all.without(&failed), "the others went on");

    world.kubectl(&["annotate", "cplr", "first", "musubi.dev/retry=1"]);
    let asked = |run: &CustomerPipelineRun| run.status.as_ref().is_some_and(|s| s.retry.is_some());
    world.until("first", asked).await;
    let run = world.complete("first").await;
    only_these_again(&world, &run, Stage::Ingest, &failed).await;
    same_tables(world, &expected).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shard_that_is_killed_is_repeated_by_itself() {
    let Some(cluster) = Cluster::find() else {
        return;
    };
    if !cluster.is_ours() {
        eprintln!("not tested: workers are killed in a cluster of this checkout alone");
        return;
    }
    let (world, _, as_of, expected) = scene(cluster, "killed").await;
    let hold = world.hold(Stage::Clean);
    world.begin("first", "bento", as_of).await;
    let pod = world.pod_at_work(Stage::Clean).await;
    let worker = Worker::of(&world, "first", &pod).await;
    worker.signal("KILL");
    drop(hold);
    let run = world.complete("first").await;
    let clean = stage(&run, Stage::Clean);
    let killed = Shards::said(Some(&worker.shard));
    assert_eq!(clean.killed, killed.text(), "{clean:#?}");
    assert_eq!(clean.memory, None, "it was not lack of memory");
    only_these_again(&world, &run, Stage::Clean, &killed).await;
    same_tables(world, &expected).await;
}

fn stage(run: &CustomerPipelineRun, stage: Stage) -> StageStatus {
    let stages = run.status.iter().flat_map(|s| &s.stages);
    let found = stages.into_iter().find(|s| s.stage == stage);
    found.expect("the stage").clone()
}

/// A stage had two Jobs: one with all its shards, and one with these. Every other stage had one.
async fn only_these_again(world: &World, run: &CustomerPipelineRun, stage: Stage, shards: &Shards) {
    let jobs: Api<Job> = Api::namespaced(world.client.clone(), &world.namespace);
    let mut jobs = jobs.list(&ListParams::default()).await.expect("Jobs").items;
    for status in run.status.iter().flat_map(|s| &s.stages) {
        let expected = if status.stage == stage { 2 } else { 1 };
        let attempts = if status.job.is_some() {
            status.attempt
        } else {
            1
        };
        assert_eq!(attempts, expected, "{status:#?}");
        assert_eq!(status.state, StageState::Complete);
    }
    jobs.retain(|job| job.labels()["musubi.dev/stage"] == stage.as_str());
    jobs.sort_by_key(ResourceExt::name_any);
    let told: Vec<(Option<i32>, Option<String>)> = jobs.iter().map(told).collect();
    let status = self::stage(run, stage);
    let again = i32::try_from(shards.len()).ok();
    assert_eq!(told, [(Some(status.shards), None), (again, shards.text())]);
}

/// How many pods a Job has, and the shards that they are told to repeat.
fn told(job: &Job) -> (Option<i32>, Option<String>) {
    let spec = job.spec.clone().expect("a spec");
    let pod = spec.template.spec.expect("a pod");
    let mut args = pod.containers[0].args.iter().flatten();
    let repeats = args.any(|a| a == "--repeats").then(|| args.next().cloned());
    (spec.completions, repeats.flatten())
}

/// What is published is what a run publishes that nothing happens to.
async fn same_tables(world: World, expected: &Digests) {
    let digests = published(&world.store("lake"), Ids::Published).await;
    assert_eq!(digests.expect("digests"), *expected);
    world.remove().await;
}
