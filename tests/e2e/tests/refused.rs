//! What is wrong with an object is said when it is applied, by the API server itself: nothing else has to run.

#[path = "support/mod.rs"]
#[allow(dead_code, reason = "each test uses what it needs")]
mod support;

use std::path::Path;

use musubi::demo::examples;
use musubi_testing::Cluster;
use serde_json::{Value, json};

/// What the API server says of an object that is not kept.
fn said(cluster: &Cluster, folder: &Path, object: &Value) -> Result<(), String> {
    let file = folder.join("object.json");
    std::fs::write(&file, object.to_string()).expect("a file");
    let file = format!("--filename={}", file.display());
    let args = ["create", "--dry-run=server", "--validate=strict", &file];
    let outcome = cluster.tool("kubectl", &args);
    outcome.map(|_| ()).map_err(|error| error.to_string())
}

#[test]
fn wrong_objects_are_refused_with_what_is_wrong_and_the_examples_are_taken() {
    let Some(cluster) = Cluster::find() else {
        return;
    };
    support::define(&cluster);
    let folder = tempfile::tempdir().expect("a folder");
    let cases: Vec<Value> =
        serde_saphyr::from_str(include_str!("refused.yaml")).expect("refused.yaml");
    assert!(cases.len() >= 40);
    let mut wrong = Vec::new();
    for case in &cases {
        let object = json!({
            "apiVersion": "musubi.dev/v1alpha1", "kind": case["kind"],
            "metadata": { "name": "it" }, "spec": case["spec"],
        });
        let says = case["says"].as_str().expect("what it says");
        match said(&cluster, folder.path(), &object) {
            Err(message) if message.contains(says) => {}
            other => wrong.push(format!("{}: {other:?}, not {says}", case["name"])),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));

    for (name, text) in examples::FILES {
        let documents: Vec<Value> = serde_saphyr::from_multiple(text).expect("YAML");
        for object in documents {
            let taken = said(&cluster, folder.path(), &object);
            assert_eq!(taken, Ok(()), "{name}");
        }
    }
}
