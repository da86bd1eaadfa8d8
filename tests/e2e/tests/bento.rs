//! `examples/bento` in a cluster: the same tables as on a laptop.

#[path = "support/mod.rs"]
mod support;

use std::{path::Path, sync::Arc};

use k8s_openapi::api::{
    batch::v1::Job,
    coordination::v1::Lease,
    core::v1::{ConfigMap, Pod},
};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, ListParams},
};
use musubi::{
    demo::{examples, world},
    digest::{Ids, published},
    stage::{
        Context,
        runner::{self, StageSummary, Watch},
    },
};
use musubi_api::{
    load_paths,
    run::{Stage, StageReport},
    status::StageState,
};
use musubi_testing::Cluster;
use serde_json::Value;
use support::World;

struct Nobody;

impl Watch for Nobody {
    fn stage(&self, _: Stage, _: u32) {}
    fn shard(&self, _: &StageReport) {}
    fn complete(&self, _: &StageSummary) {}
}

/// The run of a laptop: the digest of every table.
async fn on_a_laptop(
    folder: &Path,
    as_of: jiff::Timestamp,
) -> std::collections::BTreeMap<String, String> {
    let catalog = load_paths(&[folder.to_owned()]).unwrap_or_else(|p| panic!("{p}"));
    let run = catalog
        .resolve_run(Some("bento"), "laptop", as_of)
        .unwrap_or_else(|p| panic!("{p}"));
    let context = Context::open(run, catalog.secrets().clone()).expect("a lake");
    let done = runner::run(&context, 2, Arc::new(Nobody)).await;
    done.expect("a run");
    published(&context.store, Ids::Published)
        .await
        .expect("digests")
}

/// The example's resources, with files and lake in a bucket: a pod has no folder of this machine.
fn resources(world: &World) -> Vec<Value> {
    let mut all = Vec::new();
    for (_, text) in examples::FILES {
        let documents: Vec<Value> = serde_saphyr::from_multiple(text).expect("YAML");
        all.extend(documents);
    }
    // A file of this machine is no warehouse for pods, and no place for an audience.
    all.retain(|object| !matches!(object["kind"].as_str(), Some("Warehouse" | "Audience")));
    for object in &mut all {
        let spec = &mut object["spec"];
        if let Some(path) = spec["connector"]["folder"]["path"].as_str() {
            let prefix = path.trim_start_matches("./").to_owned();
            spec["connector"] = serde_json::json!({ "s3": world.s3(&prefix) });
        }
        if spec.get("lake").is_some() {
            spec["lake"] = serde_json::json!({ "s3": world.s3("lake") });
            spec["warehouses"] = Value::Array(Vec::new());
            spec["audiences"] = Value::Array(Vec::new());
            spec["pods"] = serde_json::json!({
                "memory": "1Gi", "cpu": "100m",
                // Cleaning runs out of memory, and is repeated with more.
                "stages": [{ "stage": "clean", "memory": "16Mi", "maxMemory": "1Gi" }],
            });
        }
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_in_the_cluster_gives_the_tables_of_a_laptop() {
    let Some(cluster) = Cluster::find() else {
        return;
    };
    let world = World::new(cluster, "bento").await;
    let folder = world.folder.path().join("world");
    examples::write(&folder).expect("the example");
    world::World::generate(300, 2, 7, &folder).expect("a world");
    let as_of: jiff::Timestamp = "2026-11-25T04:30:00+09:00".parse().expect("an instant");

    world.upload(&folder.join("data"), "data").await;
    for object in resources(&world) {
        world.apply(&object).await;
    }
    world.install();
    world.begin("first", "bento", as_of).await;
    // While it cleans, everybody who knows of it is gone, and so is what it is pinned to.
    let begun = world
        .until("first", |run| {
            let stage = run.status.as_ref().and_then(|s| s.stage.as_deref());
            stage == Some("clean")
        })
        .await;
    world.kill_operators();
    let snapshot = begun.status.and_then(|s| s.snapshot).expect("a snapshot");
    let config_maps: Api<ConfigMap> = Api::namespaced(world.client.clone(), &world.namespace);
    let params = DeleteParams::default();
    let gone = config_maps.delete(&snapshot.config_map, &params).await;
    gone.expect("delete the snapshot");
    let expected = on_a_laptop(&folder, as_of).await;
    let run = world.complete("first").await;
    let status = run.status.clone().unwrap_or_default();
    assert_eq!(status.published_version, Some(1));
    let done = |s: &musubi_api::status::StageStatus| s.state == StageState::Complete;
    assert_eq!(status.stages.len(), Stage::ALL.len());
    assert!(status.stages.iter().all(done), "{:#?}", status.stages);
    let clean = status.stages.iter().find(|s| s.stage == Stage::Clean);
    let clean = clean.expect("the stage");
    assert!(clean.killed.is_some(), "{clean:#?}");
    assert_eq!(clean.memory.as_deref(), Some("1Gi"));
    let again = config_maps.get(&snapshot.config_map).await;
    again.expect("the snapshot is made again");
    let digests = published(&world.store("lake"), Ids::Published).await;
    assert_eq!(digests.expect("digests"), expected);
    let attempts = status.stages.iter().filter(|s| s.job.is_some());
    let attempts = attempts.map(|s| s.attempt).sum();
    jobs_are_left_alone(&world, &run.uid().unwrap_or_default(), attempts).await;
    one_operator_leads_at_a_time(&world).await;
    world.remove().await;
}

/// Two replicas stand by; the lease changed hands when its holder was killed, and not otherwise.
async fn one_operator_leads_at_a_time(world: &World) {
    let leases: Api<Lease> = Api::namespaced(world.client.clone(), &world.namespace);
    let lease = leases.get("musubi").await.expect("the lease");
    let transitions = lease.spec.and_then(|s| s.lease_transitions);
    assert!(transitions.is_some_and(|n| n <= 2), "{transitions:?}");
}

/// One Job for each attempt at a stage that has shards; none was made twice, and each may go after a while.
async fn jobs_are_left_alone(world: &World, run: &str, attempts: i32) {
    let jobs: Api<Job> = Api::namespaced(world.client.clone(), &world.namespace);
    let label = format!("musubi.dev/run-uid={run}");
    let found = jobs.list(&ListParams::default().labels(&label)).await;
    let jobs = found.expect("Jobs").items;
    // No warehouse and no audience: load and activate have no shard. Cleaning was repeated once.
    assert_eq!(jobs.len(), Stage::ALL.len() - 2 + 1);
    assert_eq!(i32::try_from(jobs.len()), Ok(attempts));
    for job in &jobs {
        let spec = job.spec.as_ref().expect("a spec");
        assert_eq!(
            spec.ttl_seconds_after_finished,
            Some(3600),
            "{}",
            job.name_any()
        );
    }
    let pods: Api<Pod> = Api::namespaced(world.client.clone(), &world.namespace);
    let pods = pods.list(&ListParams::default().labels(&label)).await;
    for pod in pods.expect("pods").items {
        let spec = pod.spec.clone().unwrap_or_default();
        assert_eq!(spec.automount_service_account_token, Some(false));
        let mounted = spec.volumes.iter().flatten().any(|v| v.projected.is_some());
        assert!(!mounted, "{} has a token", pod.name_any());
    }
}
