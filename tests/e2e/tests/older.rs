//! What an older release left in a cluster is kept: its definitions are upgraded under the objects, and its run in flight
//! goes on.

#[path = "support/mod.rs"]
#[allow(dead_code, reason = "each test uses what it needs")]
mod support;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use k8s_openapi::{
    api::core::v1::ConfigMap,
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Resource as _, ResourceExt as _,
    api::{DynamicObject, PostParams},
    core::{ApiResource, GroupVersionKind},
};
use musubi_api::{
    pipeline::CustomerPipelineRun,
    run::Stage,
    status::{CustomerPipelineRunStatus, StageState},
};
use musubi_testing::Cluster;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use support::{World, held};

/// The S3 server of what was recorded.
const RECORDED: &str = "http://10.0.0.9:8333";
/// Kinds, and the plural of each.
const KINDS: [(&str, &str); 6] = [
    ("Source", "sources"),
    ("IdentityPolicy", "identitypolicies"),
    ("Warehouse", "warehouses"),
    ("Audience", "audiences"),
    ("CustomerPipeline", "customerpipelines"),
    ("CustomerPipelineRun", "customerpipelineruns"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn definitions_are_upgraded_under_objects_and_a_run_in_flight_goes_on() {
    let Some(cluster) = Cluster::find() else {
        return;
    };
    let world = World::new(cluster.clone(), "older").await;
    let older = chart_of_older_definitions(&world);
    definitions(&world, &older);
    assert!(
        !known(&world, "customerpipelines", "peaks").await,
        "the older ones know no peaks"
    );

    for n in 0..2 {
        let member = format!("id,email\n{n},person{n}@example.com\n");
        world.put(&format!("files/members_{n}.csv"), member).await;
    }
    let resources = resources(&world);
    for object in &resources {
        world.apply(object).await;
    }
    in_flight(&world).await;
    let before = stored(&world).await;
    assert_eq!(before.len(), KINDS.len());

    definitions(&world, Path::new("charts/musubi-crds"));
    assert!(known(&world, "customerpipelines", "peaks").await);
    for (_, plural) in KINDS {
        let definition = definition(&world, plural).await;
        let versions = definition.status.and_then(|s| s.stored_versions);
        assert_eq!(versions, Some(vec!["v1alpha1".to_owned()]), "{plural}");
    }
    assert_eq!(stored(&world).await, before, "every object is as it was");
    // Whole objects are looked at when they are made, not only what changes.
    for object in &resources {
        let mut copy = object.clone();
        copy["metadata"]["name"] = "copy".into();
        world.dry_run(&copy).await;
    }

    world.install();
    let run = world.complete("first").await;
    let status = run.status.unwrap_or_default();
    assert_eq!(status.published_version, Some(1));
    let was = recorded_status();
    assert_eq!(
        status.start_time, was.start_time,
        "it goes on, and does not begin anew"
    );
    assert_eq!(status.stages[0].start_time, was.stages[0].start_time);
    for stage in &status.stages {
        assert_eq!(stage.state, StageState::Complete, "{stage:#?}");
    }
    for (kind, _) in &KINDS[..5] {
        ready(&world, kind).await;
    }
    world.remove().await;
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/release")
}

fn read(file: &str) -> String {
    let path = folder().join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn recorded_status() -> CustomerPipelineRunStatus {
    serde_saphyr::from_str(&read("status.yaml")).expect("a status")
}

/// The chart of the definitions, with the older ones in it.
fn chart_of_older_definitions(world: &World) -> PathBuf {
    let (from, to) = (
        Path::new("../../charts/musubi-crds"),
        world.folder.path().join("definitions"),
    );
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join(from);
    for folder in ["templates", "files"] {
        std::fs::create_dir_all(to.join(folder)).expect("a folder");
    }
    for file in ["Chart.yaml", "templates/definitions.yaml"] {
        std::fs::copy(from.join(file), to.join(file)).expect(file);
    }
    for (_, plural) in KINDS {
        let text = read(&format!("definitions/{plural}.yaml"));
        std::fs::write(to.join(format!("files/{plural}.yaml")), text).expect(plural);
    }
    to
}

/// Upgrades the definitions as anybody would. Tests before this one may have applied them without Helm.
fn definitions(world: &World, chart: &Path) {
    let chart = chart.display().to_string();
    let args = [
        "upgrade",
        "--install",
        "musubi-crds",
        &chart,
        "--namespace=kube-system",
        "--wait",
    ];
    world.tool("helm", &[&args[..], &["--force-conflicts"]].concat());
}

async fn definition(world: &World, plural: &str) -> CustomResourceDefinition {
    let definitions: Api<CustomResourceDefinition> = Api::all(world.client.clone());
    let found = definitions.get(&format!("{plural}.musubi.dev")).await;
    found.expect(plural)
}

/// Whether a definition knows a field of a spec.
async fn known(world: &World, plural: &str, field: &str) -> bool {
    let definition = serde_json::to_value(definition(world, plural).await).expect("JSON");
    let spec = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties";
    definition.pointer(&format!("{spec}/{field}")).is_some()
}

fn resources(world: &World) -> Vec<Value> {
    let text = read("resources.yaml").replace(RECORDED, &world.s3_endpoint());
    serde_saphyr::from_multiple(&text).expect("YAML")
}

/// Brings the run to where it was recorded: what it is pinned to, and its status. Its uid is another one here.
async fn in_flight(world: &World) {
    let run = world.runs().get("first").await.expect("the run");
    let uid = run.uid().expect("a uid");
    let mut status = recorded_status();
    let snapshot = status.snapshot.as_mut().expect("a snapshot");
    let recorded: Value = serde_saphyr::from_str(&read("run.yaml")).expect("a run");
    let yaml = read("run.yaml")
        .replace(RECORDED, &world.s3_endpoint())
        .replace(recorded["uid"].as_str().expect("a uid"), &uid)
        .replace(
            "namespace: older\n",
            &format!("namespace: {}\n", world.namespace),
        );
    let digest = Sha256::digest(&yaml);
    snapshot.sha256 = Some(digest.iter().map(|b| format!("{b:02x}")).collect());
    snapshot.image.clone_from(&world.cluster.image);
    let map: ConfigMap = serde_json::from_value(json!({
        "metadata": {
            "name": snapshot.config_map, "ownerReferences": [run.controller_owner_ref(&())],
        },
        "immutable": true, "data": { "run.yaml": yaml },
    }))
    .expect("a ConfigMap");
    let maps: Api<ConfigMap> = Api::namespaced(world.client.clone(), &world.namespace);
    let params = PostParams::default();
    maps.create(&params, &map).await.expect("the snapshot");
    let run = CustomerPipelineRun {
        status: Some(status),
        ..run
    };
    let written = world.runs().replace_status("first", &params, &run).await;
    let stages = written.expect("a status").status.unwrap_or_default().stages;
    assert_eq!(
        (stages[0].stage, stages[0].state),
        (Stage::Plan, StageState::Running)
    );
}

/// What the API server has of each kind: uid, spec and status of each object.
async fn stored(world: &World) -> BTreeMap<String, [Value; 3]> {
    let mut found = BTreeMap::new();
    for (kind, _) in KINDS {
        let list = objects(world, kind).list(&Default::default()).await;
        for object in list.expect(kind).items {
            let uid = object.uid().into();
            let part = |name: &str| object.data[name].clone();
            let name = format!("{kind} {}", object.name_any());
            found.insert(name, [uid, part("spec"), part("status")]);
        }
    }
    found
}

fn objects(world: &World, kind: &str) -> Api<DynamicObject> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("musubi.dev", "v1alpha1", kind));
    Api::namespaced_with(world.client.clone(), &world.namespace, &resource)
}

/// Waits until the operator has looked at the object of a kind, and takes it for usable.
async fn ready(world: &World, kind: &str) {
    let api = objects(world, kind);
    let list = api.list(&Default::default()).await.expect(kind).items;
    let name = list[0].name_any();
    let says = |object: Option<&DynamicObject>| {
        let conditions = object.and_then(|o| o.data["status"]["conditions"].as_array());
        let found = conditions.into_iter().flatten();
        found
            .into_iter()
            .any(|c| c["type"] == "Ready" && c["status"] == "True")
    };
    held(&api, &name, says).await;
}
