//! Nodes that kwok plays: as many pods as a test wants, none of which runs anything.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};
use serde_json::json;

use super::{
    Place,
    place::recipe,
    programs::{done, start, with_argument},
    up::kubectl,
};

/// Label and taint of played nodes: no pod comes to one by chance.
const MARK: &str = "kwok.x-k8s.io/node";

/// Adds so many played nodes, `played-1` and on. Those that are there already stay.
pub(super) fn run(
    place: &Place,
    programs: &Path,
    kwok: &Path,
    holder: u32,
    nodes: u16,
) -> Result<()> {
    // Two tests may ask at once.
    let lock = fs::File::create(place.run.join("play.lock"))?;
    lock.lock()?;
    let config = format!("--config={}", recipe("kwok.yaml").display());
    if with_argument(&config).is_none() {
        let args = [
            config,
            format!("--kubeconfig={}", place.kubeconfig().display()),
            "--manage-all-nodes=false".into(),
            format!("--manage-nodes-with-label-selector={MARK}=fake"),
            "--node-lease-duration-seconds=40".into(),
            "--cidr=10.200.0.0/16".into(),
        ];
        start(place, holder, "kwok", &kwok.join("kwok"), &args)?;
    }
    let nodes: Vec<_> = (1..=nodes)
        .map(|number| {
            json!({
                "apiVersion": "v1", "kind": "Node",
                "metadata": { "name": format!("played-{number}"), "labels": { MARK: "fake" } },
                "spec": { "taints": [{ "key": MARK, "value": "fake", "effect": "NoSchedule" }] },
            })
        })
        .collect();
    let file = place.run.join("played.json");
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": nodes });
    fs::write(&file, list.to_string())?;
    let path = file.display().to_string();
    done(&mut kubectl(
        place,
        programs,
        &["apply", "--filename", &path],
    ))?;
    let marked = format!("--selector={MARK}");
    let ready = [
        "wait",
        "node",
        &marked,
        "--for=condition=Ready",
        "--timeout=90s",
    ];
    done(&mut kubectl(place, programs, &ready))
        .with_context(|| format!("the log of kwok is {}", place.log("kwok").display()))
}
