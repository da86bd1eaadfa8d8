//! The life of a release: installed, upgraded while a run is in flight, tested, uninstalled; and what the chart renders.

#[path = "support/mod.rs"]
#[allow(dead_code, reason = "each test uses what it needs")]
mod support;

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use bytes::Bytes;
use k8s_openapi::{
    api::{batch::v1::Job, core::v1::Pod, rbac::v1::ClusterRole},
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, ListParams},
};
use musubi_api::run::Stage;
use musubi_testing::Cluster;
use serde_json::{Value, json};
use support::{World, soon};

/// Everything that can be switched on.
const EVERYTHING: [&str; 11] = [
    "--set=metrics.serviceMonitor.enabled=true",
    "--set=metrics.rules.enabled=true",
    "--set=metrics.dashboard.enabled=true",
    "--set=networkPolicy.enabled=true",
    "--set=traces.endpoint=http://collector.observability:4318",
    "--set=clusterWide=true",
    "--set=imagePullSecrets[0].name=registry",
    "--set=serviceAccount.annotations.team=data",
    "--set=nodeSelector.pool=system",
    "--set=priorityClassName=system-cluster-critical",
    "--set=extraEnv[0].name=RUST_LOG,extraEnv[0].value=debug",
];

#[test]
fn the_chart_is_clean_and_renders_what_it_says() {
    let Some(cluster) = Cluster::find() else {
        return;
    };
    let helm = |args: &[&str]| {
        let said = cluster.tool("helm", args);
        said.unwrap_or_else(|e| panic!("{e}"))
    };
    for chart in ["charts/musubi", "charts/musubi-crds"] {
        helm(&["lint", "--strict", chart]);
    }
    let template = ["template", "musubi", "charts/musubi", "--namespace=musubi"];
    // Alerts and dashboard have tests of their own.
    let mut all = objects(&helm(&[&template[..], &EVERYTHING].concat()));
    for object in &mut all {
        match object["kind"].as_str() {
            Some("PrometheusRule") => object["spec"] = "…".into(),
            Some("ConfigMap") => object["data"]["musubi.json"] = "…".into(),
            _ => {}
        }
    }
    taken(&cluster, &all);
    insta::assert_yaml_snapshot!("everything", all);

    let refused = cluster.tool("helm", &[&template[..], &["--set=metrics.prot=1"]].concat());
    let refused = refused.expect_err("a misspelt value").to_string();
    assert!(refused.contains("'prot' not allowed"), "{refused}");
}

#[test]
fn kustomize_makes_what_the_chart_makes() {
    let Some(cluster) = Cluster::find() else {
        return;
    };
    let tool = |name: &str, args: &[&str]| {
        let said = cluster.tool(name, args);
        said.unwrap_or_else(|e| panic!("{e}"))
    };
    let args = "template musubi charts/musubi --skip-tests";
    let args: Vec<&str> = args.split(' ').collect();
    let mut rendered = objects(&tool("helm", &args));
    let mut made = objects(&tool("kubectl", &["kustomize", "deploy/kustomize"]));
    for objects in [&mut rendered, &mut made] {
        for object in objects.iter_mut() {
            object["metadata"]["namespace"] = "musubi".into();
            if let Some(subject) = object.pointer_mut("/subjects/0/namespace") {
                *subject = "musubi".into();
            }
        }
        objects.sort_by_key(|o| format!("{} {}", o["kind"], o["metadata"]["name"]));
    }
    assert_eq!(
        made,
        rendered,
        "deploy/kustomize/musubi.yaml is stale: helm {} > deploy/kustomize/musubi.yaml",
        args.join(" ")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_lives_through_an_upgrade_and_leaves_its_resources_behind() {
    let Some(cluster) = Cluster::find() else {
        return;
    };
    let mut world = World::new(cluster.clone(), "chart").await;
    world.put_proxy();
    pipeline(&world).await;

    // What the commit before this one installed.
    let folder = world.folder.path().join("before");
    let before = previous(&folder).unwrap_or_else(|| "charts/musubi".into());
    let next = std::env::var("MUSUBI_IMAGE_NEXT").unwrap_or_else(|_| cluster.image.clone());
    helm(&world, "install", &before, &cluster.image, &[]);
    let as_of = "2026-11-25T04:30:00+09:00".parse().expect("an instant");
    // It is in flight until the upgrade is done.
    let hold = world.hold(Stage::Clean);
    world.begin("first", "shop", as_of).await;
    world.reaches("first", Stage::Clean).await;

    let now = Path::new("charts/musubi");
    helm(
        &world,
        "upgrade",
        now,
        &next,
        &["--set=networkPolicy.enabled=true"],
    );
    drop(hold);
    world.complete("first").await;
    workers_have_the_image_that_the_run_began_with(&world, &cluster.image).await;
    both_replicas_are_ready_and_one_leads(&world, &cluster).await;
    let tested = world.tool(
        "helm",
        &["test", "musubi", "--namespace", &world.namespace, "--logs"],
    );
    assert!(tested.contains("Succeeded"), "{tested}");

    // The next run has the next image, by its digest in a cluster of our own.
    world.begin("second", "shop", as_of).await;
    let second = world
        .until("second", |run| {
            run.status.as_ref().is_some_and(|s| s.snapshot.is_some())
        })
        .await;
    let snapshot = second.status.and_then(|s| s.snapshot).expect("a snapshot");
    assert_eq!(snapshot.image, next);
    let (runs, background) = (world.runs(), DeleteParams::background());
    let gone = runs.delete("second", &background).await;
    gone.expect("delete a run");

    for (release, namespace) in [
        ("musubi", world.namespace.as_str()),
        ("musubi-crds", "kube-system"),
    ] {
        world.tool(
            "helm",
            &["uninstall", release, "--namespace", namespace, "--wait"],
        );
    }
    let definitions: Api<CustomResourceDefinition> = Api::all(world.client.clone());
    let kept = definitions.get_opt("customerpipelineruns.musubi.dev").await;
    assert!(kept.expect("an answer").is_some(), "the definitions stay");
    let first = world.runs().get_opt("first").await;
    assert!(first.expect("an answer").is_some(), "and so do the runs");
    support::define(&cluster);
    one_operator_looks_at_every_namespace(&world, &cluster).await;
    world.remove().await;
}

/// Installed or upgraded as anybody would.
fn helm(world: &World, order: &str, chart: &Path, image: &str, more: &[&str]) {
    let [repository, which] = support::image(image);
    let chart = chart.to_string_lossy();
    let release = [order, "musubi", &chart, "--namespace", &world.namespace];
    let wait = ["--wait", "--timeout=5m", "--set=lease.seconds=9"];
    let image = ["--set", &repository, "--set", &which];
    let args = [&release[..], &wait, &image, more];
    world.tool("helm", &args.concat());
}

/// The chart as it was one commit ago; none without a history.
fn previous(folder: &Path) -> Option<PathBuf> {
    std::fs::create_dir_all(folder).ok()?;
    let archive = folder.join("charts.tar");
    let git = Command::new("git")
        .args(["archive", "HEAD^", "charts/musubi", "--output"])
        .arg(&archive)
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
        .status()
        .ok()?;
    let tar = Command::new("tar")
        .arg("--extract")
        .arg("--file")
        .arg(&archive)
        .arg("--directory")
        .arg(folder)
        .status()
        .ok()?;
    if !git.success() || !tar.success() {
        eprintln!("not tested: an upgrade from the commit before this one, which is not here");
        return None;
    }
    Some(folder.join("charts/musubi"))
}

/// A shop with three customers.
async fn pipeline(world: &World) {
    let rows = "id,email,name\n1,a@example.com,A\n2,b@example.com,B\n3,c@example.com,C\n";
    let store = world.store("data");
    let put = store
        .put("customers.csv", Bytes::from_static(rows.as_bytes()))
        .await;
    put.expect("upload");
    let source = json!({
        "apiVersion": "musubi.dev/v1alpha1", "kind": "Source", "metadata": { "name": "shop" },
        "spec": {
            "system": "ecommerce", "connector": { "s3": world.s3("data") }, "freshness": "26h",
            "streams": [{
                "name": "customers", "files": { "path": "*.csv" }, "format": { "csv": {} },
                "entities": [{
                    "entity": "customer", "key": ["id"],
                    "fields": { "email": { "from": "email" }, "name": { "from": "name" } },
                }],
            }],
        },
    });
    let pipeline = json!({
        "apiVersion": "musubi.dev/v1alpha1", "kind": "CustomerPipeline", "metadata": { "name": "shop" },
        "spec": {
            "sources": ["shop"], "lake": { "s3": world.s3("lake") },
            "pods": { "memory": "512Mi", "cpu": "100m" },
        },
    });
    for object in [source, pipeline] {
        world.apply(&object).await;
    }
}

async fn workers_have_the_image_that_the_run_began_with(world: &World, image: &str) {
    let jobs: Api<Job> = Api::namespaced(world.client.clone(), &world.namespace);
    let jobs = jobs.list(&ListParams::default()).await.expect("Jobs").items;
    assert!(jobs.len() > 5, "{} Jobs", jobs.len());
    for job in jobs {
        let template = job.spec.clone().expect("a spec").template;
        let containers = template.spec.expect("a pod").containers;
        assert_eq!(
            containers[0].image.as_deref(),
            Some(image),
            "{}",
            job.name_any()
        );
    }
}

/// What the metrics of each operator say.
async fn metrics(world: &World, cluster: &Cluster) -> Vec<String> {
    let pods: Api<Pod> = Api::namespaced(world.client.clone(), &world.namespace);
    let operators = ListParams::default().labels("app.kubernetes.io/name=musubi-operator");
    let pods = pods.list(&operators).await.expect("pods").items;
    let alive = pods
        .iter()
        .filter(|pod| pod.metadata.deletion_timestamp.is_none());
    let metrics = alive.map(|pod| {
        let path = format!(
            "/api/v1/namespaces/{}/pods/{}:8080/proxy/metrics",
            world.namespace,
            pod.name_any()
        );
        let said = cluster.tool("kubectl", &["get", "--raw", &path]);
        said.unwrap_or_else(|e| panic!("{e}"))
    });
    metrics.collect()
}

async fn both_replicas_are_ready_and_one_leads(world: &World, cluster: &Cluster) {
    let of = format!("{{namespace=\"{}\",pipeline=\"shop\"}}", world.namespace);
    let expected = [
        "musubi_runs_ended_total{outcome=\"complete\",reason=\"Complete\"} 1".to_owned(),
        format!("musubi_pipeline_last_run_succeeded{of} 1.0"),
        format!("musubi_pipeline_published_timestamp_seconds{of} 1795548600.0"),
        format!("musubi_pipeline_freshness_objective_seconds{of} 93600.0"),
    ];
    // What is told of a pipeline follows its run.
    let told = async || {
        let metrics = metrics(world, cluster).await;
        assert_eq!(metrics.len(), 2);
        let leads = |text: &&String| text.contains("\nmusubi_operator_leader 1\n");
        let leaders: Vec<&String> = metrics.iter().filter(leads).collect();
        assert!(leaders.len() < 2, "one leads: {metrics:?}");
        let said: Vec<&str> = leaders.first()?.lines().collect();
        let missing = expected.iter().find(|line| !said.contains(&line.as_str()));
        if let Some(missing) = missing {
            eprintln!("not told yet: {missing}");
        }
        missing.is_none().then_some(())
    };
    soon("the leader tells of the run", told).await;
}

/// A release that looks everywhere, from a namespace of its own.
async fn one_operator_looks_at_every_namespace(world: &World, cluster: &Cluster) {
    let [repository, which] = support::image(&cluster.image);
    let args = [
        ["upgrade", "--install", "musubi-wide", "charts/musubi"].as_slice(),
        &["--namespace=musubi-wide", "--create-namespace", "--wait"],
        &["--timeout=5m", "--set=clusterWide=true", "--set=replicas=1"],
        &["--set", &repository, "--set", &which],
    ];
    world.tool("helm", &args.concat());
    let as_of = "2026-11-26T04:30:00+09:00".parse().expect("an instant");
    world.begin("third", "shop", as_of).await;
    world
        .until("third", |run| {
            let stages = run.status.iter().flat_map(|s| &s.stages);
            stages.into_iter().any(|stage| stage.job_uid.is_some())
        })
        .await;
    let args = [
        "uninstall",
        "musubi-wide",
        "--namespace=musubi-wide",
        "--wait",
    ];
    world.tool("helm", &args);
    world.tool(
        "kubectl",
        &["delete", "namespace", "musubi-wide", "--wait=false"],
    );
    let roles: Api<ClusterRole> = Api::all(world.client.clone());
    assert!(
        roles
            .get_opt("musubi-wide")
            .await
            .expect("an answer")
            .is_none()
    );
}

/// The objects of a text.
fn objects(text: &str) -> Vec<Value> {
    let objects: Vec<Value> = serde_saphyr::from_multiple(text).expect("YAML");
    objects
        .into_iter()
        .filter(|object| !object.is_null())
        .collect()
}

/// Asks the API server whether it would take them, but those whose kinds only a Prometheus operator defines.
fn taken(cluster: &Cluster, objects: &[Value]) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("objects.json");
    let known = |o: &&Value| o["apiVersion"] != "monitoring.coreos.com/v1";
    let list = json!({
        "apiVersion": "v1", "kind": "List", "items": objects.iter().filter(known).collect::<Vec<_>>(),
    });
    std::fs::write(
        &file,
        list.to_string()
            .replace("\"namespace\":\"musubi\"", "\"namespace\":\"default\""),
    )
    .expect("a file");
    let file = format!("--filename={}", file.display());
    let args = ["create", "--dry-run=server", "--validate=strict", &file];
    let said = cluster.tool("kubectl", &args);
    said.unwrap_or_else(|e| panic!("{e}"));
}
