//! Nodes are lost in the middle of a stage, and what runs on them wakes up when others have done its work: it does no
//! harm to the tables, the pointer, the log or the warehouse.

#[path = "support/mod.rs"]
#[allow(dead_code, reason = "each test uses what it needs")]
mod support;

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use kube::{Api, ResourceExt as _, api::DeleteParams};
use musubi::digest::{Ids, published};
use musubi_api::run::Stage;
use musubi_testing::{
    Cluster, Postgres,
    proxy::{Fault, Hold, Proxy},
};
use serde_json::{Value, json};
use support::{
    World,
    example::{Example, pipeline, with_postgres},
    worker::Worker,
};

/// The stages that lose their node, and its number.
const LOST: [(Stage, &str); 3] = [
    (Stage::Clean, "2"),
    (Stage::Publish, "3"),
    (Stage::Load, "4"),
];

/// Keeps away from nodes that are lost whoever does not know of it.
const TAINT: &str = "musubi.dev/lost";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_wakes_up_on_a_lost_node_does_no_harm() {
    let Some(cluster) = Cluster::find() else {
        return;
    };
    if !cluster.is_ours() {
        eprintln!("not tested: nodes are lost in a cluster of this checkout alone");
        return;
    }
    let mut world = World::new(cluster, "nodes").await;
    let storage = world.put_proxy();
    let warehouse = Postgres::start_at(&world.cluster.host).unwrap_or_else(|e| panic!("{e}"));
    let example = Example::new(1);
    example.receive(0, &world).await;
    let mut resources = with_postgres(&world, &warehouse).await;
    prefer_other_nodes(&mut pipeline(&mut resources)["pods"]);
    for object in &resources {
        world.apply(object).await;
    }
    world.install();
    let as_of: Timestamp = "2026-11-25T04:30:00+09:00".parse().expect("an instant");
    let expected = example.on_a_laptop(as_of).await;

    let mut lost = LOST.into_iter();
    let mut prepare = || lost.next().map(|lost| (lost, prepare(&world, lost)));
    let mut next = prepare();
    world.begin("first", "bento", as_of).await;
    let mut sleepers = Vec::new();
    while let Some(((stage, number), held)) = next {
        let node = format!("node-{number}");
        let sleeper = fall_asleep(&world, &storage, stage, &node, held).await;
        // Nobody gets there before it is ready.
        next = prepare();
        world.order(&["lose-node", number]);
        let nodes: Api<Node> = Api::all(world.client.clone());
        let params = DeleteParams::default();
        let gone = nodes.delete(&node, &params).await;
        gone.expect("delete the node");
        if stage == Stage::Clean {
            // While others go on.
            world.reaches("first", Stage::Match).await;
            wake(sleeper).await;
        } else {
            sleepers.push(sleeper);
        }
    }
    let run = world.complete("first").await;
    assert_eq!(run.status.and_then(|s| s.published_version), Some(1));
    let before = everything(&world, &warehouse).await;
    for sleeper in sleepers {
        wake(sleeper).await;
    }
    let digests = published(&world.store("lake"), Ids::Published).await;
    assert_eq!(digests.expect("digests"), expected);
    assert_eq!(everything(&world, &warehouse).await, before);
    world.remove().await;
}

/// The run's pods go to the first node only when there is no other. Those of other tests never go to one that is lost.
fn prefer_other_nodes(pods: &mut Value) {
    let other =
        json!({ "key": "kubernetes.io/hostname", "operator": "NotIn", "values": ["node-1"] });
    let other = json!({ "weight": 100, "preference": { "matchExpressions": [other] } });
    pods["affinity"] =
        json!({ "nodeAffinity": { "preferredDuringSchedulingIgnoredDuringExecution": [other] } });
    pods["tolerations"] = json!([{ "key": TAINT, "operator": "Exists" }]);
}

/// Makes the node that will be lost, and lets the stage wait that will be met there.
fn prepare(world: &World, (stage, number): (Stage, &str)) -> Hold {
    world.order(&["node", number, "--taint", TAINT]);
    world.hold(stage)
}

/// Stops the worker of a stage in the middle of its work, on a node: it knows by then that nobody did it before.
async fn fall_asleep(
    world: &World,
    storage: &Proxy,
    stage: Stage,
    node: &str,
    held: Hold,
) -> Worker {
    let pod = world.pod_at_work(stage).await;
    let spec = pod.spec.clone().unwrap_or_default();
    assert_eq!(spec.node_name.as_deref(), Some(node), "{}", pod.name_any());
    let worker = Worker::of(world, "first", &pod).await;
    storage.all(Fault::Late(Duration::from_millis(500)));
    drop(held);
    tokio::time::sleep(Duration::from_millis(700)).await;
    worker.signal("STOP");
    storage.mend();
    worker
}

/// Lets a worker go on, until it ends by itself.
async fn wake(worker: Worker) {
    worker.signal("CONT");
    let ended = async {
        while !worker.has_ended() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let ended = tokio::time::timeout(Duration::from_secs(120), ended).await;
    ended.expect("the worker ends");
}

/// What nobody may change any more: pointer and logs of the tables, and what the warehouse says of loads. A file that no
/// log speaks of may come: nobody reads it.
async fn everything(world: &World, warehouse: &Postgres) -> (Vec<(String, String)>, String) {
    let listed = world.store("lake").list("").await.expect("a listing");
    let objects = listed.into_iter().map(|meta| (meta.path, meta.tag));
    let seen = |path: &str| path.starts_with("published") || path.contains("/_delta_log/");
    let mut objects: Vec<_> = objects.filter(|(path, _)| seen(path)).collect();
    objects.sort();
    assert!(objects.len() > 20, "{objects:#?}");
    let ledger = warehouse.sql("select l::text from musubi.musubi_loads l order by 1");
    (objects, ledger.unwrap_or_else(|e| panic!("{e}")))
}
