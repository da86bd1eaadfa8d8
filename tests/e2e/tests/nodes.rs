//! Nodes are lost in the middle of a stage, and what runs on them wakes up when others have done its work: it does no
//! harm to the tables, the pointer, the log or the warehouse.

#[path = "support/mod.rs"]
#[allow(dead_code, reason = "each test uses what it needs")]
mod support;

use std::{fs, process::Command, time::Duration};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, Patch, PatchParams},
};
use musubi::digest::{Ids, published};
use musubi_api::run::Stage;
use musubi_testing::{Cluster, Postgres};
use serde_json::json;
use support::{World, example::Example};

/// The stages that lose their node, and its number.
const LOST: [(Stage, &str); 3] = [
    (Stage::Clean, "2"),
    (Stage::Publish, "3"),
    (Stage::Load, "4"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_wakes_up_on_a_lost_node_does_no_harm() {
    let Some(cluster) = Cluster::find() else {
        return;
    };
    if !cluster.is_ours() {
        eprintln!("not tested: nodes are lost in a cluster of this checkout alone");
        return;
    }
    let world = World::new(cluster, "nodes").await;
    let warehouse = Postgres::start_at(&world.cluster.host).unwrap_or_else(|e| panic!("{e}"));
    let example = Example::new(1);
    example.receive(0, &world).await;
    for object in &support::example::with_postgres(&world, &warehouse).await {
        world.apply(object).await;
    }
    world.install();
    prefer_other_nodes(&world).await;
    let as_of: Timestamp = "2026-11-25T04:30:00+09:00".parse().expect("an instant");
    world.begin("first", "bento", as_of).await;
    let expected = example.on_a_laptop(as_of).await;

    let mut sleepers = Vec::new();
    for (stage, number) in LOST {
        world.order(&["node", number]);
        let sleeper = fall_asleep(&world, stage, &format!("node-{number}")).await;
        world.order(&["lose-node", number]);
        let nodes: Api<Node> = Api::all(world.client.clone());
        let params = DeleteParams::default();
        let gone = nodes.delete(&format!("node-{number}"), &params).await;
        gone.expect("delete the node");
        if stage == Stage::Clean {
            // While others go on.
            world.reaches("first", Stage::Match).await;
            sleeper.wake().await;
        } else {
            sleepers.push(sleeper);
        }
    }
    let run = world.complete("first").await;
    assert_eq!(run.status.and_then(|s| s.published_version), Some(1));
    let before = everything(&world, &warehouse).await;
    for sleeper in sleepers {
        sleeper.wake().await;
    }
    let digests = published(&world.store("lake"), Ids::Published).await;
    assert_eq!(digests.expect("digests"), expected);
    assert_eq!(everything(&world, &warehouse).await, before);
    world.remove().await;
}

/// Pods go to the first node only when there is no other.
async fn prefer_other_nodes(world: &World) {
    let nodes: Api<Node> = Api::all(world.client.clone());
    let taint = json!([{ "key": "musubi.dev/test", "effect": "PreferNoSchedule" }]);
    let taint = Patch::Merge(json!({ "spec": { "taints": taint } }));
    let tainted = nodes.patch("node-1", &PatchParams::default(), &taint).await;
    tainted.expect("a taint");
}

/// A worker that was stopped in the middle.
struct Sleeper {
    process: u32,
}

/// Stops the worker of a stage in the middle of its work, on a node.
async fn fall_asleep(world: &World, stage: Stage, node: &str) -> Sleeper {
    let pod = world.pod_at_work(stage).await;
    let spec = pod.spec.clone().unwrap_or_default();
    assert_eq!(spec.node_name.as_deref(), Some(node), "{}", pod.name_any());
    let run = world.runs().get("first").await.expect("the run");
    let snapshot = run.status.and_then(|s| s.snapshot).expect("a snapshot");
    let sha256 = snapshot.sha256.expect("a digest");
    let process = worker(stage, &sha256).expect("the worker's process");
    signal("STOP", process);
    Sleeper { process }
}

/// The process of a stage's worker: its arguments name the stage and what the run is pinned to.
fn worker(stage: Stage, sha256: &str) -> Option<u32> {
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let mut numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers.find(|process| {
        let command = fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
        let has = |word: &str| command.split(|b| *b == 0).any(|w| w == word.as_bytes());
        has(stage.as_str()) && has(sha256)
    })
}

fn signal(name: &str, process: u32) {
    let mut kill = Command::new("kill");
    let sent = kill
        .arg(format!("-{name}"))
        .arg(process.to_string())
        .status();
    assert!(sent.expect("kill").success(), "{name} {process}");
}

impl Sleeper {
    /// Lets it go on, until it ends by itself.
    async fn wake(self) {
        signal("CONT", self.process);
        let ended = async {
            // A process that is no child of ours tells nobody of its end.
            while fs::read(format!("/proc/{}/cmdline", self.process)).is_ok_and(|c| !c.is_empty()) {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let ended = tokio::time::timeout(Duration::from_secs(120), ended).await;
        ended.expect("the worker ends");
    }
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
