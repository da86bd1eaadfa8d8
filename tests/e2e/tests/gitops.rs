//! What GitOps tools make of musubi's objects: the health that Argo CD works out, and values that Flux hands to the chart.

use std::path::{Path, PathBuf};

use mlua::{Lua, LuaSerdeExt as _};
use musubi_testing::Cluster;
use serde_json::{Value, json};

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy")
}

fn read(file: &str) -> String {
    let path = deploy().join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// What Argo CD would say: it hands the object to the script as `obj`, and takes what it returns.
fn health(script: &str, object: &Value) -> String {
    let lua = Lua::new();
    let object = lua.to_value(object).expect("a table");
    lua.globals().set("obj", object).expect("obj");
    let health: mlua::Value = lua.load(read(script)).eval().expect(script);
    let health: Value = lua.from_value(health).expect("a table");
    let text = |field: &str| health[field].as_str().unwrap_or_default().to_owned();
    format!("{}: {}", text("status"), text("message"))
}

fn condition(kind: &str, status: &str, reason: &str, message: &str) -> Value {
    json!({ "type": kind, "status": status, "reason": reason, "message": message })
}

#[test]
fn argo_cd_waits_for_a_run_and_says_why_it_failed() {
    let run = |status: Value| health("argocd/run.lua", &json!({ "status": status }));
    let conditions = |list: Value| run(json!({ "stage": "clean", "conditions": list }));
    assert_eq!(
        health("argocd/run.lua", &json!({ "spec": {} })),
        "Progressing: the operator has not looked at it yet"
    );
    assert_eq!(conditions(json!([])), "Progressing: stage clean");
    let stalled = condition("Stalled", "True", "Unschedulable", "shard 0 finds no node");
    assert_eq!(
        conditions(json!([stalled])),
        "Degraded: Unschedulable: shard 0 finds no node"
    );
    let failed = condition("Failed", "True", "ShardFailed", "stage clean, shard 5");
    assert_eq!(
        conditions(json!([failed])),
        "Degraded: ShardFailed: stage clean, shard 5"
    );
    let complete = condition("Complete", "True", "Complete", "version 3 is published");
    assert_eq!(
        conditions(json!([complete])),
        "Healthy: version 3 is published"
    );
}

#[test]
fn argo_cd_takes_a_pipeline_for_healthy_when_its_spec_is_usable() {
    let pipeline = |observed: i64, suspend: bool, conditions: Value| {
        let object = json!({
            "metadata": { "generation": 2 }, "spec": { "suspend": suspend },
            "status": { "observedGeneration": observed, "conditions": conditions },
        });
        health("argocd/ready.lua", &object)
    };
    let ready = condition("Ready", "True", "Usable", "the spec is usable");
    let failed = condition("LastRunSucceeded", "False", "ShardFailed", "last night");
    assert_eq!(
        pipeline(2, false, json!([ready, failed])),
        "Healthy: the spec is usable",
        "one bad night blocks no sync"
    );
    let wrong = condition("Ready", "False", "Invalid", "there is no Source pos");
    assert_eq!(
        pipeline(2, false, json!([wrong])),
        "Degraded: there is no Source pos"
    );
    assert!(pipeline(1, false, json!([ready])).starts_with("Progressing: "));
    assert!(pipeline(2, false, json!([])).starts_with("Progressing: "));
    assert_eq!(
        pipeline(2, true, json!([ready])),
        "Suspended: the schedule rests"
    );
}

#[test]
fn argo_cd_has_a_script_for_every_kind() {
    let component: Value =
        serde_saphyr::from_str(&read("argocd/kustomization.yaml")).expect("YAML");
    let files = component["configMapGenerator"][0]["files"].to_string();
    for kind in musubi_api::Kind::MUSUBI {
        let key = format!(
            "resource.customizations.health.musubi.dev_{}=",
            kind.as_str()
        );
        assert!(files.contains(&key), "{key}");
    }
}

#[test]
fn the_chart_takes_the_values_of_the_flux_example() {
    let Some(cluster) = Cluster::find() else {
        return;
    };
    let objects: Vec<Value> = serde_saphyr::from_multiple(&read("flux/musubi.yaml")).expect("YAML");
    let releases = objects.iter().filter(|o| o["kind"] == "HelmRelease");
    let folder = tempfile::tempdir().expect("a folder");
    for release in releases {
        let chart = release["spec"]["chart"]["spec"]["chart"].as_str();
        let values = folder.path().join("values.json");
        let given = match &release["spec"]["values"] {
            Value::Null => json!({}),
            given => given.clone(),
        };
        std::fs::write(&values, given.to_string()).expect("values");
        let values = format!("--values={}", values.display());
        let args = ["template", "musubi", chart.expect("a chart"), &values];
        let said = cluster.tool("helm", &args);
        said.unwrap_or_else(|e| panic!("{e}"));
    }
}
