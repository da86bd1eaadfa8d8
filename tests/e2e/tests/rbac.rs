//! The operator needs each verb of its Role, and no other. Each is taken away in turn from an operator with a namespace
//! of its own, and what it says then names what it lacks.

#[path = "support/mod.rs"]
#[allow(dead_code, reason = "each test uses what it needs")]
mod support;

use std::{collections::BTreeSet, fmt, time::Duration};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::batch::v1::Job;
use kube::{
    Api, Client, ResourceExt as _,
    api::{DeleteParams, DynamicObject, Patch, PatchParams},
    core::{ApiResource, GroupVersionKind},
    runtime::{WatchStreamExt as _, watcher},
};
use musubi_api::pipeline::{CustomerPipeline, CustomerPipelineRun};
use musubi_testing::Cluster;
use serde_json::{Value, json};
use support::{
    held, object,
    operator::{Operator, kubeconfig},
};
use tokio::{
    process::{Child, Command},
    sync::mpsc,
};

/// How long anything may take. The slowest waits for the next minute, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(240);
/// Operators at a time.
const AT_ONCE: usize = 20;

/// A verb on a resource.
#[derive(Clone, Debug)]
struct Permission {
    group: String,
    resource: String,
    verb: String,
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.verb, self.group, self.resource)
    }
}

impl Permission {
    /// The API server's words for its lack.
    fn refusal(&self) -> String {
        format!(
            "cannot {} resource \\\"{}\\\" in API group \\\"{}\\\"",
            self.verb, self.resource, self.group
        )
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_verb_of_the_role_is_needed() {
    let Some(cluster) = Cluster::find() else {
        return;
    };
    support::define(&cluster);
    let client = support::connect(&cluster).await;
    let role = role(&cluster);
    let permissions = permissions(&role);
    assert!(permissions.len() > 25, "{permissions:?}");
    for permission in &permissions {
        assert_ne!(permission.resource, "secrets");
        assert!(!permission.refusal().contains('*'), "{permission}");
    }
    let without: Vec<Option<Permission>> = permissions.into_iter().map(Some).collect();
    // With all of them, nothing is refused.
    let cases = [None].into_iter().chain(without);
    let wrong: Vec<String> = stream::iter(cases)
        .map(|without| {
            let stage = Stage {
                cluster: cluster.clone(),
                client: client.clone(),
                role: role.clone(),
                without,
            };
            tokio::spawn(stage.play())
        })
        .buffer_unordered(AT_ONCE)
        .filter_map(|outcome| async { outcome.expect("a task").err() })
        .collect()
        .await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What the chart lets the operator do.
fn role(cluster: &Cluster) -> Vec<Value> {
    let args = ["template", "musubi", "charts/musubi", "--skip-tests"];
    let text = cluster.tool("helm", &args);
    let text = text.unwrap_or_else(|e| panic!("{e}"));
    let objects: Vec<Value> = serde_saphyr::from_multiple(&text).expect("YAML");
    let kinds = ["ServiceAccount", "Role", "RoleBinding"];
    let of_role = |o: &Value| kinds.iter().any(|kind| o["kind"] == *kind);
    objects.into_iter().filter(of_role).collect()
}

fn texts(value: &Value) -> Vec<String> {
    let items = value.as_array().into_iter().flatten();
    let texts = items.map(|v| v.as_str().unwrap_or_default().to_owned());
    texts.collect()
}

/// Every verb on every resource.
fn permissions(objects: &[Value]) -> Vec<Permission> {
    let mut all = Vec::new();
    let rules = objects.iter().flat_map(|o| o["rules"].as_array()).flatten();
    for rule in rules {
        for group in texts(&rule["apiGroups"]) {
            for resource in texts(&rule["resources"]) {
                all.extend(texts(&rule["verbs"]).into_iter().map(|verb| Permission {
                    group: group.clone(),
                    resource: resource.clone(),
                    verb,
                }));
            }
        }
    }
    all
}

/// The same Role without a permission: each of its resources has a rule of its own.
fn take_away(objects: &mut [Value], without: &Permission) {
    for object in objects {
        let Some(rules) = object["rules"].as_array() else {
            continue;
        };
        let mut left = Vec::new();
        for rule in rules {
            for resource in texts(&rule["resources"]) {
                let same = resource == without.resource
                    && texts(&rule["apiGroups"]).contains(&without.group);
                let mut verbs = texts(&rule["verbs"]);
                verbs.retain(|verb| !(same && *verb == without.verb));
                if !verbs.is_empty() {
                    let groups = &rule["apiGroups"];
                    left.push(
                        json!({ "apiGroups": groups, "resources": [resource], "verbs": verbs }),
                    );
                }
            }
        }
        object["rules"] = left.into();
    }
}

/// A namespace in which an operator does all that it can do.
struct Stage {
    cluster: Cluster,
    client: Client,
    role: Vec<Value>,
    without: Option<Permission>,
}

impl Stage {
    async fn play(mut self) -> Result<(), String> {
        let namespace = support::namespace(&self.client, "rbac").await;
        let folder = tempfile::tempdir().expect("a folder");
        if let Some(without) = &self.without {
            take_away(&mut self.role, without);
        }
        for mut object in self.role.clone() {
            if let Some(subject) = object.pointer_mut("/subjects/0/namespace") {
                *subject = namespace.clone().into();
            }
            self.apply(&namespace, &object).await;
        }
        let kubeconfig = kubeconfig(&self.cluster, folder.path(), &namespace);
        let (lines, mut said) = mpsc::unbounded_channel();
        let operator = Operator {
            image: self.cluster.image.clone(),
            kubeconfig,
            namespace: namespace.clone(),
            ahead: 0,
            lines,
        };
        let mut heard = Vec::new();
        let outcome = {
            let listen = async {
                while let Some(line) = said.recv().await {
                    let refused = line.contains("in API group");
                    let expected = self.without.as_ref().map(Permission::refusal);
                    // Plain text has no escaped quotes.
                    let plain = expected.as_ref().map(|e| e.replace('\\', ""));
                    let named = |e: &Option<String>| e.as_ref().is_some_and(|e| line.contains(e));
                    if named(&expected) || named(&plain) {
                        return Ok(());
                    }
                    heard.push(line.clone());
                    if refused && expected.is_none() {
                        return Err(format!("with all permissions: {line}"));
                    }
                }
                Err("the operator is gone".into())
            };
            let act = async {
                let _process = self.act(&namespace, &operator).await;
                match self.without {
                    None => Ok(()),
                    // What it lacks may be told a moment later.
                    Some(_) => std::future::pending().await,
                }
            };
            tokio::select! {
                outcome = listen => outcome,
                outcome = act => outcome,
                () = tokio::time::sleep(PATIENCE) => Err("nothing is refused, or something hangs".to_owned()),
            }
        };
        // Nobody is left who would let it go.
        let released = json!({ "metadata": { "finalizers": null } });
        let pipelines: Api<CustomerPipeline> = Api::namespaced(self.client.clone(), &namespace);
        let params = PatchParams::default();
        let _ = pipelines
            .patch("goes", &params, &Patch::Merge(released))
            .await;
        let args = ["delete", "namespace", &namespace, "--wait=false"];
        let _ = self.cluster.tool("kubectl", &args);
        outcome.map_err(|why| {
            let last = heard.len().saturating_sub(12);
            let without = self.without.as_ref().map(ToString::to_string);
            let without = without.unwrap_or_else(|| "nothing".into());
            format!("without {without}: {why}\n  {}", heard[last..].join("\n  "))
        })
    }

    /// Everything that makes the operator use its permissions. Two runs of `ends` fail, and the first is forgotten. That
    /// of `every` never gets a pod, loses its Job twice, and is replaced by the next run that is due.
    async fn act(&self, namespace: &str, operator: &Operator) -> Child {
        // What is due next replaces `first`, which has to lose two Jobs before.
        let second = jiff::Timestamp::now().as_second().rem_euclid(60);
        if second > 15 {
            tokio::time::sleep(Duration::from_secs(60 - second.unsigned_abs())).await;
        }
        for object in resources() {
            self.apply(namespace, &object).await;
        }
        let mut process = operator.start("musubi");
        for (name, pipeline) in [("first", "every"), ("fails", "ends")] {
            let run = object("CustomerPipelineRun", name, json!({ "pipeline": pipeline }));
            self.apply(namespace, &run).await;
        }
        let pipelines: Api<CustomerPipeline> = Api::namespaced(self.client.clone(), namespace);
        let now = json!({ "metadata": { "annotations": { "musubi.dev/run-now": "1" } } });
        let (params, now) = (PatchParams::default(), Patch::Merge(now));
        let annotated = pipelines.patch("ends", &params, &now).await;
        annotated.expect("annotate");

        let jobs: Api<Job> = Api::namespaced(self.client.clone(), namespace);
        let mut seen = BTreeSet::new();
        for _ in 0..2 {
            let job = next_job(&jobs, &mut seen).await;
            let gone = jobs.delete(&job, &DeleteParams::background()).await;
            gone.expect("delete the Job");
        }
        next_job(&jobs, &mut seen).await;
        // It has to read again what the run is pinned to. At its end it looks whether the namespace goes.
        let pid = process.id().expect("it runs").to_string();
        let told = Command::new("kill").args(["-TERM", &pid]).status().await;
        assert!(told.expect("kill").success());
        process.wait().await.expect("the operator ends");
        let process = operator.start("musubi");
        let runs: Api<CustomerPipelineRun> = Api::namespaced(self.client.clone(), namespace);
        let over = |run: Option<&CustomerPipelineRun>| {
            run.and_then(|r| r.status.as_ref())
                .is_some_and(|s| s.is_over())
        };
        held(&runs, "first", over).await;
        held(&runs, "fails", |run| run.is_none()).await;
        process
    }

    async fn apply(&self, namespace: &str, object: &Value) {
        let text = |field: &Value| field.as_str().unwrap_or_default().to_owned();
        let api_version = text(&object["apiVersion"]);
        let (group, version) = api_version.split_once('/').unwrap_or(("", &api_version));
        let kind = GroupVersionKind::gvk(group, version, &text(&object["kind"]));
        let resource = ApiResource::from_gvk(&kind);
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), namespace, &resource);
        let name = text(&object["metadata"]["name"]);
        let mut object = object.clone();
        if let Some(metadata) = object["metadata"].as_object_mut() {
            metadata.remove("namespace");
        }
        let params = PatchParams::apply("test").force();
        api.patch(&name, &params, &Patch::Apply(object))
            .await
            .unwrap_or_else(|e| panic!("{name}: {e}"));
    }
}

/// The next Job of the run `first`.
async fn next_job(jobs: &Api<Job>, seen: &mut BTreeSet<String>) -> String {
    let mut jobs = watcher(jobs.clone(), watcher::Config::default())
        .default_backoff()
        .applied_objects()
        .boxed();
    while let Some(job) = jobs.try_next().await.expect("watch") {
        let owners = job.metadata.owner_references.iter().flatten();
        let of_first = owners.into_iter().any(|owner| owner.name == "first");
        if of_first && seen.insert(job.name_any()) {
            return job.name_any();
        }
    }
    unreachable!("a watch does not end")
}

/// One object of each kind.
fn resources() -> Vec<Value> {
    let credentials = json!({ "secret": "musubi-reports" });
    let pods = json!({ "retries": 0, "memory": "256Mi", "cpu": "10m" });
    let mut refused = pods.clone();
    refused["serviceAccount"] = "missing".into();
    vec![
        object(
            "Source",
            "shop",
            json!({
                "system": "pos", "connector": { "folder": { "path": "/nowhere" } },
                "streams": [{
                    "name": "customers", "files": { "path": "*.csv" }, "format": { "csv": {} },
                    "entities": [{
                        "entity": "customer", "key": ["id"], "fields": { "email": { "from": "email" } },
                    }],
                }],
            }),
        ),
        object("IdentityPolicy", "policy", json!({})),
        object(
            "Warehouse",
            "reports",
            json!({ "postgres": { "host": "h", "database": "d", "credentials": credentials } }),
        ),
        object(
            "Audience",
            "regulars",
            json!({
                "warehouse": "reports", "filter": "true", "consent": "email_marketing",
                "destination": { "file": { "path": "/nowhere" } },
            }),
        ),
        object(
            "CustomerPipeline",
            "ends",
            json!({
                "sources": ["shop"], "lake": { "folder": "/nowhere" }, "pods": pods,
                "history": { "failed": 1 },
            }),
        ),
        object(
            "CustomerPipeline",
            "goes",
            json!({
                "sources": ["shop"], "lake": { "s3": { "bucket": "none" } }, "deletionPolicy": "Delete",
            }),
        ),
        object(
            "CustomerPipeline",
            "every",
            json!({
                "sources": ["shop"], "lake": { "folder": "/nowhere" }, "pods": refused,
                "schedule": { "cron": "* * * * *", "concurrencyPolicy": "Replace" },
            }),
        ),
    ]
}
