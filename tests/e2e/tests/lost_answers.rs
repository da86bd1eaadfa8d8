//! Operators that die at each call, see late what happened, or work two at a time: the Jobs are those of an operator
//! that nothing happens to, each made once, and so are the tables.

#[path = "support/mod.rs"]
#[allow(dead_code, reason = "each test uses what it needs")]
mod support;

use std::{collections::BTreeSet, time::Duration};

use futures::{StreamExt as _, TryStreamExt as _};
use kube::{
    ResourceExt as _,
    api::DeleteParams,
    runtime::{WatchStreamExt as _, watcher},
};
use musubi_api::{pipeline::CustomerPipelineRun, run::Stage};
use musubi_testing::Cluster;
use support::{
    World,
    gateway::{Gateway, Trick},
    scene::{Scene, jobs, once_each},
    soak, stalled,
};

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
    let late = Trick::HoldBack(Duration::from_secs(soak::either(5, 30)));
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

/// What it takes for missing, a run would be stalled for, or fail.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_does_nothing_before_it_knows_what_there_is() {
    let Some(cluster) = Cluster::find() else {
        return;
    };
    let mut scene = Scene::set(cluster, "part").await;
    let late = Trick::ListLate("sources", Duration::from_secs(5));
    let (gateway, _) = Gateway::open(&scene.operator.kubeconfig, late).await;
    scene.operator.kubeconfig = gateway.kubeconfig.clone();
    let _operator = scene.operator.start("musubi");
    let begun = |run: &CustomerPipelineRun| run.status.is_some();
    let run = scene.world.until("first", begun).await;
    assert_eq!(stalled(&run), None, "{run:#?}");
    scene.world.remove().await;
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
