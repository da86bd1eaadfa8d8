//! A run to which everything happens that happens to runs: its tables are those of a run that nothing happened to.

#[path = "support/mod.rs"]
#[allow(dead_code, reason = "each test uses what it needs")]
mod support;

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{ConfigMap, Pod},
};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, PostParams},
};
use musubi::digest::{Ids, published};
use musubi_api::{pipeline::CustomerPipelineRun, run::Stage};
use musubi_testing::{
    Cluster,
    proxy::{Fault, Hold, Proxy},
};
use rand::Rng as _;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng as _};
use support::{World, example::Example, held, soak};

/// The example with its first day, an operator, and storage that fails when it is told to.
async fn scene(cluster: Cluster, name: &str) -> (World, Proxy, Example, Timestamp) {
    let mut world = World::new(cluster, name).await;
    let storage = world.put_proxy();
    let example = Example::new(1);
    example.receive(0, &world).await;
    for object in &Example::resources(&world, None) {
        world.apply(object).await;
    }
    world.install();
    let as_of = "2026-11-25T04:30:00+09:00".parse().expect("an instant");
    (world, storage, example, as_of)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_goes_through_whatever_happens() {
    let Some(cluster) = Cluster::find() else {
        return;
    };
    let (world, storage, example, as_of) = scene(cluster, "chaos").await;
    let expected = example.on_a_laptop(as_of).await;
    // Nobody is done before something happens to it.
    let [clean, matching, link, attach] =
        [Stage::Clean, Stage::Match, Stage::Link, Stage::Attach].map(|stage| world.hold(stage));
    world.begin("first", "bento", as_of).await;

    // The storage has no answers for half a minute, and is slow then.
    world.reaches("first", Stage::Ingest).await;
    storage.all(Fault::Status(503));
    tokio::time::sleep(Duration::from_secs(30)).await;
    storage.all(Fault::Late(Duration::from_millis(100)));

    kill_a_pod(&world, Stage::Clean).await;
    drop(clean);
    delete_a_job(&world, Stage::Match).await;
    drop(matching);
    replace_the_snapshot(&world, Stage::Link, link).await;
    storage.mend();
    kill_a_pod(&world, Stage::Attach).await;
    drop(attach);
    world.reaches("first", Stage::Curate).await;
    if world.cluster.is_ours() {
        world.order(&["restart-api-server"]);
    }

    let run = world.complete("first").await;
    let status = run.status.unwrap_or_default();
    assert_eq!(status.published_version, Some(1));
    let matched = status.stages.iter().find(|s| s.stage == Stage::Match);
    assert_eq!(matched.map(|s| s.attempt), Some(2));
    let digests = published(&world.store("lake"), Ids::Published).await;
    assert_eq!(digests.expect("digests"), expected);
    world.remove().await;
}

/// What happens to a run, drawn from a seed.
#[derive(Clone, Copy, Debug)]
enum Mishap {
    KillPods,
    DeleteJobs,
    KillOperators,
    RestartApiServer,
    LoseStorage,
    SlowStorage,
}

const MISHAPS: [Mishap; 6] = [
    Mishap::KillPods,
    Mishap::DeleteJobs,
    Mishap::KillOperators,
    Mishap::RestartApiServer,
    Mishap::LoseStorage,
    Mishap::SlowStorage,
];

/// As many as a run goes through for sure: a stage whose Jobs are deleted again and again fails some day.
const MOST: usize = 12;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a longer series: cargo xtask soak"]
async fn a_run_goes_through_what_a_seed_draws() {
    let Some(cluster) = Cluster::find() else {
        return;
    };
    let mut chance = ChaCha8Rng::seed_from_u64(soak::seed().unwrap_or(1));
    let (world, storage, example, as_of) = scene(cluster, "seed").await;
    let expected = example.on_a_laptop(as_of).await;
    world.begin("first", "bento", as_of).await;
    let mishaps = async {
        for _ in 0..MOST {
            tokio::time::sleep(Duration::from_secs(chance.random_range(5..25))).await;
            let mishap = MISHAPS[chance.random_range(0..MISHAPS.len())];
            println!("chaos: {mishap:?}");
            happen(mishap, &world, &storage).await;
        }
        std::future::pending::<()>().await;
    };
    let run = tokio::select! {
        run = world.runs_to_end("first") => run,
        () = mishaps => unreachable!("it waits for the run"),
    };
    let status = run.status.unwrap_or_default();
    assert_eq!(
        status.phase.as_deref(),
        Some("Complete"),
        "{:#?}",
        status.conditions
    );
    assert_eq!(status.published_version, Some(1));
    let digests = published(&world.store("lake"), Ids::Published).await;
    assert_eq!(digests.expect("digests"), expected);
    world.remove().await;
}

async fn happen(mishap: Mishap, world: &World, storage: &Proxy) {
    match mishap {
        Mishap::KillPods => {
            let args = [
                "delete",
                "pods",
                "--selector=musubi.dev/stage",
                "--grace-period=0",
                "--force",
            ];
            world.tool(
                "kubectl",
                &[&args[..], &["--namespace", &world.namespace]].concat(),
            );
        }
        Mishap::DeleteJobs => {
            let args = [
                "delete",
                "jobs",
                "--selector=musubi.dev/stage",
                "--wait=false",
            ];
            // Those whose end was seen stay deleted as well: their stages are over.
            world.tool(
                "kubectl",
                &[&args[..], &["--namespace", &world.namespace]].concat(),
            );
        }
        Mishap::KillOperators => world.kill_operators(),
        Mishap::RestartApiServer if world.cluster.is_ours() => world.order(&["restart-api-server"]),
        Mishap::RestartApiServer => {}
        Mishap::LoseStorage | Mishap::SlowStorage => {
            storage.all(match mishap {
                Mishap::LoseStorage => Fault::Status(503),
                _ => Fault::Late(Duration::from_millis(100)),
            });
            tokio::time::sleep(Duration::from_secs(10)).await;
            storage.mend();
        }
    }
}

/// Kills a pod at work, without a word.
async fn kill_a_pod(world: &World, stage: Stage) {
    let pod = world.pod_at_work(stage).await;
    let pods: Api<Pod> = Api::namespaced(world.client.clone(), &world.namespace);
    let at_once = DeleteParams::default().grace_period(0);
    let killed = pods.delete(&pod.name_any(), &at_once).await;
    killed.expect("kill the pod");
}

/// Deletes the Job of a stage while its pods are at work.
async fn delete_a_job(world: &World, stage: Stage) {
    let pod = world.pod_at_work(stage).await;
    let owner = pod.metadata.owner_references.iter().flatten().next();
    let jobs: Api<Job> = Api::namespaced(world.client.clone(), &world.namespace);
    let deleted = jobs
        .delete(&owner.expect("a Job").name, &DeleteParams::background())
        .await;
    deleted.expect("delete the Job");
}

/// Makes another snapshot in the place of the run's, while the pods of a stage are at work, which are held so long;
/// deletes it as soon as the run says that it will have nothing to do with it.
async fn replace_the_snapshot(world: &World, stage: Stage, hold: Hold) {
    world.pod_at_work(stage).await;
    let run = world.runs().get("first").await.expect("the run");
    let name = run.status.and_then(|s| s.snapshot).expect("a snapshot");
    let name = name.config_map;
    let api: Api<ConfigMap> = Api::namespaced(world.client.clone(), &world.namespace);
    let mut other = api.get(&name).await.expect("the snapshot");
    let delete = async |what: &str| {
        let uid = api.get(&name).await.expect(what).uid().unwrap_or_default();
        let gone = api.delete(&name, &DeleteParams::default()).await;
        gone.expect(what);
        held(&api, &name, |map| {
            map.is_none_or(|map| map.uid().as_ref() != Some(&uid))
        })
        .await;
    };
    delete("the run's").await;
    other.metadata.resource_version = None;
    other.metadata.uid = None;
    for text in other.data.iter_mut().flat_map(|data| data.values_mut()) {
        *text = text.replace("maxPerCustomer: 6", "maxPerCustomer: 60");
    }
    let made = api.create(&PostParams::default(), &other).await;
    made.expect("another snapshot");
    drop(hold);
    let refuses = |run: &CustomerPipelineRun| {
        let conditions = run.status.iter().flat_map(|s| &s.conditions);
        conditions
            .into_iter()
            .any(|c| c.reason == "SnapshotChanged")
    };
    world.until("first", refuses).await;
    delete("the other one").await;
}
