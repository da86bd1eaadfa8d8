//! Operators whose clocks are two minutes off, one way and then the other.

#[path = "support/mod.rs"]
#[allow(dead_code, reason = "each test uses what it needs")]
mod support;

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use kube::{
    Api, ResourceExt as _,
    api::{ListParams, Patch, PatchParams},
};
use musubi_api::{
    pipeline::{CustomerPipeline, CustomerPipelineRun},
    run::Stage,
};
use musubi_testing::Cluster;
use serde_json::json;
use support::{
    World,
    gateway::{Gateway, Trick},
    object,
    operator::{Operator, kubeconfig},
    scene::{Scene, once_each},
    shop::shop,
};
use tokio::sync::mpsc;

/// Seconds by which a clock is off.
const OFF: i64 = 120;

/// Whether clocks can be turned here.
fn cluster() -> Option<Cluster> {
    let cluster = Cluster::find()?;
    if std::env::var_os("MUSUBI_FAKETIME").is_none() {
        eprintln!(
            "not tested: MUSUBI_FAKETIME is not set (`cargo xtask test` installs libfaketime)"
        );
        return None;
    }
    Some(cluster)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_is_the_same_whatever_the_time_is_said_to_be() {
    let Some(cluster) = cluster() else {
        return;
    };
    let mut scene = Scene::set(cluster, "clock").await;
    // Certificates of a minute ago are not valid two minutes ago: what is tested is the operator.
    let (gateway, _) = Gateway::open(&scene.operator.kubeconfig, Trick::None).await;
    scene.operator.kubeconfig = gateway.kubeconfig.clone();
    scene.operator.ahead = OFF;
    let mut ahead = scene.operator.start("ahead");
    scene.world.reaches("first", Stage::Match).await;
    ahead.kill().await.expect("kill the operator");
    scene.operator.ahead = -OFF;
    let _behind = scene.operator.start("behind");
    let attempts = scene.ends_as_if_nothing_had_happened().await;
    assert_eq!(attempts, once_each());
    scene.jobs.one_for_each_attempt(&attempts);
    scene.world.remove().await;
}

/// Every minute a run is due. Runs are cancelled as soon as they are there: it is their beginning that counts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_run_that_is_due_is_made_once_within_the_error_of_the_clock() {
    let Some(cluster) = cluster() else {
        return;
    };
    let world = World::new(cluster, "cron").await;
    world.install_replicas(0);
    shop(&world, 1, None).await;
    let known = kubeconfig(&world.cluster, world.folder.path(), &world.namespace);
    let (gateway, _) = Gateway::open(&known, Trick::None).await;
    let (lines, _said) = mpsc::unbounded_channel();
    let mut operator = Operator {
        image: world.cluster.image.clone(),
        kubeconfig: gateway.kubeconfig.clone(),
        namespace: world.namespace.clone(),
        ahead: OFF,
        lines,
    };
    let pipeline = json!({
        "sources": ["shop"], "lake": { "s3": world.s3("lake") }, "history": { "complete": 100, "failed": 100 },
        "schedule": { "cron": "* * * * *", "timeZone": "Asia/Tokyo", "concurrencyPolicy": "Queue" },
    });
    world
        .apply(&object("CustomerPipeline", "often", pipeline))
        .await;
    let mut made = Made::default();

    let mut ahead = operator.start("ahead");
    made.until(&world, 2).await;
    ahead.kill().await.expect("kill the operator");
    let before = made.look(&world).await;
    operator.ahead = -OFF;
    let mut behind = operator.start("behind");
    let pipelines: Api<CustomerPipeline> = Api::namespaced(world.client.clone(), &world.namespace);
    for _ in 0..35 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        // What is due in its future was dealt with by one who was there before.
        assert_eq!(made.look(&world).await, before);
    }
    let status = pipelines.get("often").await.expect("the pipeline").status;
    let status = status.expect("its status");
    let (last, next) = (status.last_schedule_time, status.next_schedule_time);
    assert!(
        next.clone().map(|t| t.0) > last.clone().map(|t| t.0),
        "{last:?}, {next:?}"
    );
    behind.kill().await.expect("kill the operator");
    operator.ahead = OFF;
    let _again = operator.start("ahead-again");
    made.until(&world, before + 1).await;
    made.on_time();
    world.remove().await;
}

/// Runs by the instant they were due, and when the API server saw them made, by a clock that is right.
#[derive(Default)]
struct Made(BTreeMap<Timestamp, Vec<(String, Timestamp)>>);

impl Made {
    /// Looks at the runs, cancels those that are new, and says how many there are.
    async fn look(&mut self, world: &World) -> usize {
        let runs = world
            .runs()
            .list(&ListParams::default())
            .await
            .expect("runs");
        for run in &runs.items {
            let (name, due) = (run.name_any(), due(run));
            let of_due = self.0.entry(due).or_default();
            if of_due.iter().all(|(known, _)| *known != name) {
                let made = run.creation_timestamp().expect("a run that was made").0;
                of_due.push((name.clone(), made));
                let cancel = Patch::Merge(json!({ "spec": { "cancel": true } }));
                let cancelled = world
                    .runs()
                    .patch(&name, &PatchParams::default(), &cancel)
                    .await;
                cancelled.expect("cancel the run");
            }
        }
        self.0.values().map(Vec::len).sum()
    }

    /// Waits until there are so many runs.
    async fn until(&mut self, world: &World, runs: usize) {
        for _ in 0..300 {
            if self.look(world).await >= runs {
                return;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        panic!("{:#?}", self.0);
    }

    /// Each is there once, and was made when it was due, as far as the clock is right.
    fn on_time(&self) {
        for (due, runs) in &self.0 {
            let [(name, made)] = runs.as_slice() else {
                panic!("two runs are due at {due}: {runs:?}");
            };
            let late = made.duration_since(*due).as_secs();
            // One that was missed is made up for within the minute in which the next one is due.
            assert!(
                (-OFF - 1..=OFF + 60).contains(&late),
                "{name} was made {late} s late"
            );
        }
    }
}

fn due(run: &CustomerPipelineRun) -> Timestamp {
    let as_of = run.spec.as_of.as_deref().unwrap_or_default();
    as_of.parse().expect("an instant")
}
