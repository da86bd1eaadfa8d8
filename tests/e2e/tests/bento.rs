//! `examples/bento` in a cluster, with a bucket and a PostgreSQL: the same tables as on a laptop, the second day by cron.

#[path = "support/mod.rs"]
#[allow(dead_code, reason = "each test uses what it needs")]
mod support;

use jiff::{Timestamp, ToSpan as _, Zoned};
use k8s_openapi::api::{
    batch::v1::Job,
    coordination::v1::Lease,
    core::v1::{ConfigMap, Pod},
};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, ListParams, Patch, PatchParams},
};
use musubi::digest::{Ids, published};
use musubi_api::{
    pipeline::{CustomerPipeline, CustomerPipelineRun},
    run::Stage,
    status::{StageState, StageStatus},
};
use musubi_testing::{Cluster, Postgres};
use serde_json::json;
use support::{
    World,
    example::{Digests, Example, pipeline, with_postgres},
    held, soon,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_days_in_the_cluster_give_the_tables_of_a_laptop() {
    let Some(cluster) = Cluster::find() else {
        return;
    };
    let world = World::new(cluster, "bento").await;
    let warehouse = Postgres::start_at(&world.cluster.host).unwrap_or_else(|e| panic!("{e}"));
    let example = Example::new(2);
    example.receive(0, &world).await;
    let mut resources = with_postgres(&world, &warehouse).await;
    let bento = pipeline(&mut resources);
    // Cleaning runs out of memory, and is repeated with more.
    bento["pods"]["stages"] = json!([{ "stage": "clean", "memory": "16Mi", "maxMemory": "1Gi" }]);
    // The first day is asked for, whatever time it is.
    bento["schedule"] = json!(null);
    bento["peaks"] = json!([]);
    for object in &resources {
        world.apply(object).await;
    }
    world.install();

    let as_of: Timestamp = "2026-11-25T04:30:00+09:00".parse().expect("an instant");
    world.begin("first", "bento", as_of).await;
    everybody_forgets(&world).await;
    let expected = example.on_a_laptop(as_of).await;
    let first = world.complete("first").await;
    every_stage_is_complete(&first, 1);
    let clean = stage(&first, Stage::Clean);
    assert!(clean.killed.is_some(), "{clean:#?}");
    assert_eq!(clean.memory.as_deref(), Some("1Gi"));
    assert_eq!(published_in(&world).await, expected);
    same_rows(&warehouse, &example, &expected);
    same_audience(&world, &example, 1).await;
    jobs_are_left_alone(&world, &first).await;

    example.receive(1, &world).await;
    let second = by_cron(&world).await;
    let second = world.complete(&second).await;
    every_stage_is_complete(&second, 2);
    let snapshot = second.status.clone().and_then(|s| s.snapshot);
    let expected = example
        .on_a_laptop(snapshot.expect("a snapshot").as_of.0)
        .await;
    assert_eq!(published_in(&world).await, expected);
    same_rows(&warehouse, &example, &expected);
    same_audience(&world, &example, 2).await;
    one_operator_leads_at_a_time(&world).await;
    world.remove().await;
}

/// While it cleans, everybody who knows of the run is gone, and so is what it is pinned to.
async fn everybody_forgets(world: &World) {
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
    held(&config_maps, &snapshot.config_map, |map| {
        map.is_some_and(|map| map.metadata.deletion_timestamp.is_none())
    })
    .await;
}

/// The run that the schedule makes, which is due in a moment.
async fn by_cron(world: &World) -> String {
    let now: Zoned = Zoned::now().in_tz("Asia/Tokyo").expect("a time zone");
    // The schedule is there before its minute is.
    let ahead = if now.second() < 45 { 1 } else { 2 };
    let due = now + ahead.minutes();
    let cron = format!("{} {} * * *", due.minute(), due.hour());
    let pipelines: Api<CustomerPipeline> = Api::namespaced(world.client.clone(), &world.namespace);
    let schedule = json!({ "spec": { "schedule": { "cron": cron, "timeZone": "Asia/Tokyo" } } });
    let (params, schedule) = (PatchParams::default(), Patch::Merge(schedule));
    let patched = pipelines.patch("bento", &params, &schedule).await;
    patched.expect("a schedule");
    let last = |pipeline: Option<&CustomerPipeline>| {
        let last = pipeline?.status.as_ref()?.last_run.clone();
        last.filter(|name| name != "first")
    };
    let made = |pipeline: Option<&CustomerPipeline>| last(pipeline).is_some();
    let pipeline = held(&pipelines, "bento", made).await;
    last(pipeline.as_ref()).expect("a run")
}

fn stage(run: &CustomerPipelineRun, stage: Stage) -> StageStatus {
    let status = run.status.clone().unwrap_or_default();
    let found = status.stages.into_iter().find(|s| s.stage == stage);
    found.expect("the stage")
}

fn every_stage_is_complete(run: &CustomerPipelineRun, version: i64) {
    let status = run.status.clone().unwrap_or_default();
    assert_eq!(status.published_version, Some(version));
    assert_eq!(status.stages.len(), Stage::ALL.len());
    for stage in &status.stages {
        assert_eq!(stage.state, StageState::Complete, "{stage:#?}");
        assert!(stage.shards > 0, "{stage:#?}");
    }
}

async fn published_in(world: &World) -> Digests {
    let digests = published(&world.store("lake"), Ids::Published).await;
    digests.expect("digests")
}

/// Every table of PostgreSQL has as many rows as that of the laptop's file.
fn same_rows(warehouse: &Postgres, example: &Example, tables: &Digests) {
    let file = example.file("bento.sqlite");
    let laptop = rusqlite::Connection::open(file).expect("the laptop's warehouse");
    for table in tables.keys() {
        let count = format!("select count(*) from \"{table}\"");
        let expected: i64 = laptop
            .query_row(&count, [], |row| row.get(0))
            .expect("a count");
        let found = warehouse.sql(&format!("set search_path to musubi; {count}"));
        let found = found.unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(found, expected.to_string(), "{table}");
        let known = ["customers", "orders"].contains(&table.as_str());
        assert!(expected > 0 || !known, "{table} is empty");
    }
}

/// What was delivered is what the laptop delivered, byte by byte.
async fn same_audience(world: &World, example: &Example, version: u64) {
    let name = format!("loyal-online-v{version:06}.csv");
    let here = std::fs::read(example.file("audiences").join(&name)).expect("a file");
    let there = world
        .store("audiences")
        .get(&name)
        .await
        .expect("an object");
    assert!(here == there, "{name}");
}

/// Two replicas stand by; the lease changed hands when its holder was killed, and not otherwise.
async fn one_operator_leads_at_a_time(world: &World) {
    let leases: Api<Lease> = Api::namespaced(world.client.clone(), &world.namespace);
    let lease = leases.get("musubi").await.expect("the lease");
    let transitions = lease.spec.and_then(|s| s.lease_transitions);
    assert!(transitions.is_some_and(|n| n <= 2), "{transitions:?}");
}

/// One Job for each attempt at a stage; none was made twice, and each may go after a while.
async fn jobs_are_left_alone(world: &World, run: &CustomerPipelineRun) {
    let stages = run.status.clone().unwrap_or_default().stages;
    let attempts: i32 = stages.iter().map(|s| s.attempt).sum();
    // Cleaning was repeated once.
    assert_eq!(usize::try_from(attempts), Ok(Stage::ALL.len() + 1));
    let label = format!("musubi.dev/run-uid={}", run.uid().unwrap_or_default());
    let jobs: Api<Job> = Api::namespaced(world.client.clone(), &world.namespace);
    let of_run = ListParams::default().labels(&label);
    let left = async || {
        let jobs = jobs.list(&of_run).await.expect("Jobs").items;
        assert_eq!(i32::try_from(jobs.len()), Ok(attempts));
        let mut kept = jobs.iter().filter_map(|job| job.spec.as_ref());
        let hour = kept.all(|spec| spec.ttl_seconds_after_finished == Some(3600));
        hour.then_some(())
    };
    soon("every Job may go after an hour", left).await;
    let pods: Api<Pod> = Api::namespaced(world.client.clone(), &world.namespace);
    let pods = pods.list(&ListParams::default().labels(&label)).await;
    for pod in pods.expect("pods").items {
        let spec = pod.spec.clone().unwrap_or_default();
        assert_eq!(spec.automount_service_account_token, Some(false));
        let mounted = spec.volumes.iter().flatten().any(|v| v.projected.is_some());
        assert!(!mounted, "{} has a token", pod.name_any());
    }
}
