//! Operators that die at each call, see late what happened, or work two at a time: the Jobs are those of an operator
//! that nothing happens to, each made once, and so are the tables.

#[path = "support/mod.rs"]
#[allow(dead_code, reason = "each test uses what it needs")]
mod support;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use kube::{
    Api, ResourceExt as _,
    api::DeleteParams,
    runtime::{WatchStreamExt as _, watcher},
};
use musubi::digest::{Ids, published};
use musubi_api::run::Stage;
use musubi_testing::Cluster;
use serde_json::json;
use support::{
    World,
    example::{Digests, Example, pipeline},
    gateway::{Gateway, Trick},
    operator::{Operator, kubeconfig},
};
use tokio::{
    sync::mpsc::{self, UnboundedReceiver},
    task::JoinHandle,
};

/// A run that can begin: whoever starts an operator, starts it.
struct Scene {
    world: World,
    expected: Digests,
    jobs: Jobs,
    operator: Operator,
    /// What operators say.
    said: UnboundedReceiver<String>,
}

impl Scene {
    async fn set(cluster: Cluster, name: &str) -> Self {
        let world = World::new(cluster, name).await;
        let example = Example::new(1);
        example.receive(0, &world).await;
        let mut resources = Example::resources(&world, None);
        pipeline(&mut resources)["sharding"] = json!({ "shards": 1 });
        for object in &resources {
            world.apply(object).await;
        }
        world.install_replicas(0);
        let as_of: Timestamp = "2026-11-25T04:30:00+09:00".parse().expect("an instant");
        world.begin("first", "bento", as_of).await;
        let expected = example.on_a_laptop(as_of).await;
        let (lines, said) = mpsc::unbounded_channel();
        let operator = Operator {
            image: world.cluster.image.clone(),
            kubeconfig: kubeconfig(&world.cluster, world.folder.path(), &world.namespace),
            namespace: world.namespace.clone(),
            lines,
        };
        let jobs = Jobs::watch(&world);
        Self {
            world,
            expected,
            jobs,
            operator,
            said,
        }
    }

    /// The run completes, with the tables that it would have had undisturbed. Gives attempts at stages.
    async fn ends_as_if_nothing_had_happened(&mut self) -> BTreeMap<Stage, i32> {
        let run = self.world.runs_to_end("first").await;
        let status = run.status.unwrap_or_default();
        let phase = status.phase.as_deref();
        if phase != Some("Complete") {
            let mut said = Vec::new();
            while let Ok(line) = self.said.try_recv() {
                said.push(line);
            }
            let last = said.len().saturating_sub(40);
            panic!(
                "{phase:?}: {:#?}\n{}",
                status.conditions,
                said[last..].join("\n")
            );
        }
        assert_eq!(status.published_version, Some(1));
        let digests = published(&self.world.store("lake"), Ids::Published).await;
        assert_eq!(digests.expect("digests"), self.expected);
        let ran = status.stages.iter().filter(|s| s.job.is_some());
        ran.map(|s| (s.stage, s.attempt)).collect()
    }
}

/// Every Job that there ever was: the API server's word, not the operator's.
struct Jobs {
    seen: Arc<Mutex<BTreeMap<String, BTreeSet<String>>>>,
    watch: JoinHandle<()>,
}

impl Jobs {
    fn watch(world: &World) -> Self {
        let seen: Arc<Mutex<BTreeMap<String, BTreeSet<String>>>> = Arc::default();
        let (api, into) = (jobs(world), seen.clone());
        let watch = tokio::spawn(async move {
            let mut jobs = watcher(api, watcher::Config::default())
                .default_backoff()
                .touched_objects()
                .boxed();
            while let Ok(Some(job)) = jobs.try_next().await {
                let mut seen = into.lock().unwrap_or_else(PoisonError::into_inner);
                let uids = seen.entry(job.name_any()).or_default();
                uids.insert(job.uid().unwrap_or_default());
            }
        });
        Self { seen, watch }
    }

    /// There was one Job for each attempt.
    fn one_for_each_attempt(&self, attempts: &BTreeMap<Stage, i32>) {
        assert!(!self.watch.is_finished(), "the watch broke off");
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let twice: Vec<_> = seen.iter().filter(|(_, uids)| uids.len() > 1).collect();
        assert!(twice.is_empty(), "{twice:#?}");
        let attempts: i32 = attempts.values().sum();
        assert_eq!(i32::try_from(seen.len()), Ok(attempts), "{seen:#?}");
    }
}

fn jobs(world: &World) -> Api<Job> {
    Api::namespaced(world.client.clone(), &world.namespace)
}

fn once_each() -> BTreeMap<Stage, i32> {
    // No warehouse and no audience: load and activate have no shard.
    let stages = Stage::ALL.into_iter();
    let stages = stages.filter(|s| !matches!(s, Stage::Load | Stage::Activate));
    stages.map(|stage| (stage, 1)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_dies_at_each_answer() {
    let Some(cluster) = Cluster::find() else {
        return;
    };
    let mut scene = Scene::set(cluster, "lost").await;
    let (gateway, mut lost) = Gateway::open(&scene.operator.kubeconfig, Trick::LoseAnswers).await;
    scene.operator.kubeconfig = gateway.kubeconfig.clone();
    let kill = async {
        for life in 0.. {
            // A lease of its own for each: the dead hold theirs for a while.
            let mut process = scene.operator.start(&format!("life-{life}"));
            lost.recv().await.expect("the gateway");
            process.kill().await.expect("kill the operator");
        }
    };
    let over = scene.world.runs_to_end("first");
    tokio::select! {
        () = kill => unreachable!("there is always a next life"),
        _ = over => {}
    }
    let attempts = scene.ends_as_if_nothing_had_happened().await;
    assert_eq!(attempts, once_each());
    scene.jobs.one_for_each_attempt(&attempts);
    let lost = gateway.lost();
    println!("answers that were lost: {lost:#?}");
    let stages = attempts.len();
    for (call, at_least) in [
        ("POST jobs", stages),
        ("PUT customerpipelineruns/status", 2 * stages),
        // That of the last Job may come when all is over.
        ("PATCH jobs", stages - 1),
        ("POST configmaps", 1),
    ] {
        let times = lost.get(call).copied().unwrap_or_default();
        assert!(times >= at_least, "{call}: {lost:#?}");
    }
    scene.world.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_sees_late_what_happened_to_jobs_that_vanish() {
    let Some(cluster) = Cluster::find() else {
        return;
    };
    let mut scene = Scene::set(cluster, "late").await;
    let late = Trick::HoldBack(Duration::from_secs(5));
    let (gateway, _) = Gateway::open(&scene.operator.kubeconfig, late).await;
    scene.operator.kubeconfig = gateway.kubeconfig.clone();
    let _operator = scene.operator.start("musubi");
    let gone = vanish(&scene.world).await;
    let attempts = scene.ends_as_if_nothing_had_happened().await;
    for (stage, expected) in once_each() {
        // The outcome of a Job that is gone cannot be known, unless it was asked for a moment before.
        let again = i32::from(gone.contains(&stage));
        let made = attempts.get(&stage).copied().unwrap_or_default();
        assert!(
            (expected..=expected + again).contains(&made),
            "{stage:?}: {made}"
        );
    }
    assert!(attempts.values().sum::<i32>() > i32::try_from(attempts.len()).unwrap_or(0));
    scene.jobs.one_for_each_attempt(&attempts);
    scene.world.remove().await;
}

/// Deletes the first Job of a stage as soon as it is complete, and gives the stages; until the run is over.
async fn vanish(world: &World) -> BTreeSet<Stage> {
    let chosen = [Stage::Plan, Stage::Clean, Stage::Curate, Stage::Publish];
    let mut gone = BTreeSet::new();
    let api = jobs(world);
    let mut seen = watcher(api.clone(), watcher::Config::default())
        .default_backoff()
        .applied_objects()
        .boxed();
    while gone.len() < chosen.len() {
        let job = seen.try_next().await.expect("watch").expect("no end");
        let stage = job.labels().get("musubi.dev/stage").cloned();
        let stage = stage.and_then(|s| Stage::ALL.into_iter().find(|stage| stage.as_str() == s));
        let complete = job
            .status
            .as_ref()
            .is_some_and(|s| s.completion_time.is_some());
        if let Some(stage) = stage.filter(|s| complete && chosen.contains(s) && !gone.contains(s)) {
            let deleted = api
                .delete(&job.name_any(), &DeleteParams::background())
                .await;
            deleted.expect("delete the Job");
            gone.insert(stage);
        }
    }
    gone
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_operators_work_at_once() {
    let Some(cluster) = Cluster::find() else {
        return;
    };
    let mut scene = Scene::set(cluster, "two").await;
    let _one = scene.operator.start("one");
    let _other = scene.operator.start("other");
    let attempts = scene.ends_as_if_nothing_had_happened().await;
    assert_eq!(attempts, once_each());
    scene.jobs.one_for_each_attempt(&attempts);
    scene.world.remove().await;
}
