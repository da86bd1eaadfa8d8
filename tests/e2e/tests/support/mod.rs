//! What tests in the cluster have in common: a namespace of their own, a lake that pods reach, an operator.

pub(crate) mod example;
pub(crate) mod gateway;
pub(crate) mod kueue;
pub(crate) mod kustomize;
pub(crate) mod ledger;
pub(crate) mod load;
pub(crate) mod operator;
pub(crate) mod scene;
pub(crate) mod shop;
pub(crate) mod soak;
pub(crate) mod worker;

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::Once,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::{
    api::core::v1::{Namespace, Pod, Secret},
    apimachinery::pkg::apis::meta::v1::Condition,
};
use kube::{
    Api, Client, Config,
    api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
    core::{ApiResource, GroupVersionKind},
    runtime::{WatchStreamExt as _, wait::await_condition, watcher},
};
use musubi_api::{pipeline::CustomerPipelineRun, run::Stage};
use musubi_lake::{Location, Store};
use musubi_testing::{
    Cluster, SeaweedFs,
    proxy::{Hold, Proxy},
};
use serde_json::{Value, json};

/// How long a run may take on a machine with much else to do.
const PATIENCE: Duration = Duration::from_secs(900);
/// How long what follows soon may take.
const SOON: Duration = Duration::from_secs(120);
/// The bucket of data and lake.
pub(crate) const BUCKET: &str = "bento";

/// The operators of a namespace.
const OPERATORS: &str = "app.kubernetes.io/name=musubi-operator";

/// A namespace with an operator of its own, and an S3 server beside the cluster.
pub(crate) struct World {
    pub(crate) client: Client,
    pub(crate) namespace: String,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) cluster: Cluster,
    s3: SeaweedFs,
    /// What pods reach instead of the server, when there is one.
    proxy: Option<Proxy>,
}

impl World {
    /// Makes it, with the definitions that this build has.
    pub(crate) async fn new(cluster: Cluster, name: &str) -> Self {
        let client = connect(&cluster).await;
        define(&cluster);
        let namespace = namespace(&client, name).await;
        let s3 = SeaweedFs::start_at(&cluster.host, &[BUCKET]).unwrap_or_else(|e| panic!("{e}"));
        let world = Self {
            client,
            namespace,
            folder: tempfile::tempdir().expect("folder"),
            cluster,
            s3,
            proxy: None,
        };
        let (key, secret) = world.s3.keys();
        let keys = [
            ("AWS_ACCESS_KEY_ID", key),
            ("AWS_SECRET_ACCESS_KEY", secret),
        ];
        world.secret("musubi-s3", keys).await;
        world
    }

    /// Puts something before the S3 server that pods have to pass.
    pub(crate) fn put_proxy(&mut self) -> Proxy {
        let proxy = Proxy::start_at(&self.cluster.host, self.s3.port()).expect("a port");
        self.proxy.insert(proxy).clone()
    }

    /// Installs the operator as anybody would, and waits until it is there.
    pub(crate) fn install(&self) {
        self.install_replicas(2);
    }

    /// Installs so many replicas; with none there is but what an operator may do.
    pub(crate) fn install_replicas(&self, replicas: u8) {
        self.release("install", &[&format!("--set=replicas={replicas}")]);
    }

    /// Installs or upgrades the operator with more values than a test needs anyway.
    pub(crate) fn release(&self, order: &str, more: &[&str]) {
        let [repository, which] = image(&self.cluster.image);
        let release = [order, "musubi", "charts/musubi"];
        let args = [
            &release[..],
            &["--namespace", &self.namespace, "--wait", "--timeout=5m"],
            &["--set", &repository, "--set", &which],
            &["--set=lease.seconds=9"],
            more,
        ];
        self.tool("helm", &args.concat());
    }

    /// Kills every operator at once. Others take their places.
    pub(crate) fn kill_operators(&self) {
        let args = [
            ["delete", "pods", "--selector", OPERATORS].as_slice(),
            &[
                "--namespace",
                &self.namespace,
                "--grace-period=0",
                "--force",
            ],
        ];
        self.tool("kubectl", &args.concat());
    }

    /// Gives an order to this checkout's own cluster.
    pub(crate) fn order(&self, order: &[&str]) {
        let done = self.cluster.order(order);
        done.unwrap_or_else(|e| panic!("{e}"));
    }

    /// Runs `kubectl` or `helm`, and gives what it printed.
    pub(crate) fn tool(&self, name: &str, args: &[&str]) -> String {
        self.cluster
            .tool(name, args)
            .unwrap_or_else(|e| panic!("{e}"))
    }

    /// Runs `kubectl` in the namespace.
    pub(crate) fn kubectl(&self, args: &[&str]) -> String {
        self.tool(
            "kubectl",
            &[&["--namespace", &self.namespace], args].concat(),
        )
    }

    /// Where pods reach the S3 server.
    pub(crate) fn s3_endpoint(&self) -> String {
        let proxy = self.proxy.as_ref().map(Proxy::endpoint);
        proxy.unwrap_or_else(|| self.s3.endpoint())
    }

    /// Access key and secret key of the S3 server.
    pub(crate) fn s3_keys(&self) -> (&str, &str) {
        self.s3.keys()
    }

    /// The bucket, as a connector or lake names it.
    pub(crate) fn s3(&self, prefix: &str) -> Value {
        json!({
            "bucket": BUCKET, "prefix": prefix, "region": "us-east-1",
            "endpoint": self.s3_endpoint(), "credentials": { "secret": "musubi-s3" },
        })
    }

    /// A prefix of the bucket, as this machine reads it.
    pub(crate) fn store(&self, prefix: &str) -> Store {
        let (key, secret) = self.s3.keys();
        let location = Location::S3 {
            bucket: BUCKET.into(),
            prefix: prefix.into(),
            region: Some("us-east-1".into()),
            endpoint: Some(self.s3.endpoint()),
            keys: Some((key.into(), secret.into())),
        };
        Store::open(&location).expect("the bucket")
    }

    /// Makes a Secret.
    pub(crate) async fn secret(&self, name: &str, values: [(&str, &str); 2]) {
        let secret = Secret {
            metadata: kube::api::ObjectMeta {
                name: Some(name.into()),
                ..Default::default()
            },
            string_data: Some(values.map(|(k, v)| (k.into(), v.into())).into()),
            ..Secret::default()
        };
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace);
        let made = secrets.create(&PostParams::default(), &secret).await;
        made.expect("a Secret");
    }

    /// Puts a file into the bucket.
    pub(crate) async fn put(&self, path: &str, bytes: impl Into<Bytes>) {
        let put = self.store("").put(path, bytes.into()).await;
        put.expect("upload");
    }

    /// Applies a resource of ours.
    pub(crate) async fn apply(&self, object: &Value) {
        self.apply_as(object, PatchParams::apply("test")).await;
    }

    /// Asks the API server whether it would take a resource of ours.
    pub(crate) async fn dry_run(&self, object: &Value) {
        self.apply_as(object, PatchParams::apply("test").dry_run())
            .await;
    }

    async fn apply_as(&self, object: &Value, params: PatchParams) {
        let text = |field: &Value| field.as_str().unwrap_or_default().to_owned();
        let (kind, name) = (text(&object["kind"]), text(&object["metadata"]["name"]));
        let resource =
            ApiResource::from_gvk(&GroupVersionKind::gvk("musubi.dev", "v1alpha1", &kind));
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), &self.namespace, &resource);
        api.patch(&name, &params.validation_strict(), &Patch::Apply(object))
            .await
            .unwrap_or_else(|e| panic!("{kind}/{name}: {e}"));
    }

    /// Runs, as the cluster has them.
    pub(crate) fn runs(&self) -> Api<CustomerPipelineRun> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Begins a run of a pipeline.
    pub(crate) async fn begin(&self, name: &str, pipeline: &str, as_of: jiff::Timestamp) {
        let spec = json!({ "pipeline": pipeline, "asOf": as_of.to_string() });
        let run = object("CustomerPipelineRun", name, spec);
        self.apply(&run).await;
    }

    /// Waits until something holds for a run.
    pub(crate) async fn until(
        &self,
        name: &str,
        holds: impl Fn(&CustomerPipelineRun) -> bool,
    ) -> CustomerPipelineRun {
        let condition = |run: Option<&CustomerPipelineRun>| run.is_some_and(&holds);
        let runs = self.runs();
        match tokio::time::timeout(patience(), watched(&runs, name, condition)).await {
            Ok(run) => run.expect("the run is there"),
            Err(_) => {
                let run = self.runs().get(name).await.expect("the run");
                let status = serde_json::to_string_pretty(&run.status).unwrap_or_default();
                panic!("it took too long; the run says {status}\n{}", self.said());
            }
        }
    }

    /// Waits until a run is at a stage, or past it.
    pub(crate) async fn reaches(&self, name: &str, stage: Stage) -> CustomerPipelineRun {
        let there = |run: &CustomerPipelineRun| {
            let begun = run.status.iter().flat_map(|s| &s.stages);
            begun.into_iter().any(|s| s.stage == stage)
        };
        self.until(name, there).await
    }

    /// Lets the shards of a stage wait before they do anything, until what this gives is dropped: each looks first
    /// whether it is committed already.
    pub(crate) fn hold(&self, stage: Stage) -> Hold {
        let storage = self.proxy.as_ref().expect("a proxy");
        storage.hold("GET", &format!("/{}/0", stage.as_str()))
    }

    /// A pod of a run's stage that is at work.
    pub(crate) async fn pod_at_work(&self, stage: Stage) -> Pod {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &self.namespace);
        let label = format!("musubi.dev/stage={}", stage.as_str());
        let mut pods = watcher(pods, watcher::Config::default().labels(&label))
            .default_backoff()
            .applied_objects()
            .boxed();
        let waited = tokio::time::timeout(PATIENCE, async {
            loop {
                let pod = pods.try_next().await.expect("watch").expect("no end");
                let phase = pod.status.as_ref().and_then(|s| s.phase.as_deref());
                if phase == Some("Running") && pod.metadata.deletion_timestamp.is_none() {
                    return pod;
                }
            }
        });
        waited.await.expect("a pod of the stage")
    }

    /// Waits until a run is over, one way or the other.
    pub(crate) async fn runs_to_end(&self, name: &str) -> CustomerPipelineRun {
        let over = |run: &CustomerPipelineRun| run.status.as_ref().is_some_and(|s| s.is_over());
        self.until(name, over).await
    }

    /// Waits until a run is over, which has to be complete.
    pub(crate) async fn complete(&self, name: &str) -> CustomerPipelineRun {
        let run = self.runs_to_end(name).await;
        let status = run.status.clone().unwrap_or_default();
        assert_eq!(
            status.phase.as_deref(),
            Some("Complete"),
            "{:#?}\n{}",
            status.conditions,
            self.said()
        );
        run
    }

    /// What the operators said last.
    pub(crate) fn said(&self) -> String {
        let namespace = &self.namespace;
        let args = ["logs", "--namespace", namespace, "--selector", OPERATORS];
        let said = self.cluster.tool("kubectl", &args);
        said.unwrap_or_else(|e| e.to_string())
    }

    /// Removes the namespace. A test that fails leaves it, to be looked at.
    pub(crate) async fn remove(self) {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let params = DeleteParams::background();
        let gone = namespaces.delete(&self.namespace, &params).await;
        gone.expect("delete the namespace");
    }
}

/// Looks again and again until something is there that follows soon from what was seen: an event, a metric, the answer of
/// somebody who watches too.
pub(crate) async fn soon<T>(what: &str, look: impl AsyncFn() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(begun.elapsed() < SOON, "it took too long: {what}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Waits until something holds for an object, and gives it. What was watched may be too old for an API server that began
/// anew: then it is watched anew.
pub(crate) async fn held<K>(
    api: &Api<K>,
    name: &str,
    holds: impl Fn(Option<&K>) -> bool,
) -> Option<K>
where
    K: Clone + std::fmt::Debug + Send + serde::de::DeserializeOwned + kube::Resource + 'static,
{
    match tokio::time::timeout(patience(), watched(api, name, holds)).await {
        Ok(object) => object,
        Err(_) => panic!("it took too long: {name} is {:#?}", api.get_opt(name).await),
    }
}

/// The same, however long it takes.
async fn watched<K>(api: &Api<K>, name: &str, holds: impl Fn(Option<&K>) -> bool) -> Option<K>
where
    K: Clone + std::fmt::Debug + Send + serde::de::DeserializeOwned + kube::Resource + 'static,
{
    loop {
        match await_condition(api.clone(), name, &holds).await {
            Ok(object) => return object,
            Err(_) => tokio::time::sleep(Duration::from_secs(1)).await,
        }
    }
}

fn patience() -> Duration {
    soak::either(PATIENCE, 4 * PATIENCE)
}

/// Why a run does not get on, if it does not.
pub(crate) fn stalled(run: &CustomerPipelineRun) -> Option<&str> {
    reason(run.status.iter().flat_map(|s| &s.conditions), "Stalled")
}

/// The reason of a condition that holds.
pub(crate) fn reason<'a>(
    conditions: impl IntoIterator<Item = &'a Condition>,
    kind: &str,
) -> Option<&'a str> {
    let mut conditions = conditions.into_iter();
    let found = conditions.find(|c| c.type_ == kind && c.status == "True");
    found.map(|c| c.reason.as_str())
}

/// What the chart is told of an image: its repository, and its digest or tag.
pub(crate) fn image(name: &str) -> [String; 2] {
    let (repository, which) = match name.split_once('@') {
        Some((repository, digest)) => (repository, format!("image.digest={digest}")),
        None => {
            let (repository, tag) = name.rsplit_once(':').expect("an image with a tag");
            (repository, format!("image.tag={tag}"))
        }
    };
    [format!("image.repository={repository}"), which]
}

/// A resource of ours.
pub(crate) fn object(kind: &str, name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": "musubi.dev/v1alpha1", "kind": kind, "metadata": { "name": name }, "spec": spec,
    })
}

/// An administrator's client.
pub(crate) async fn connect(cluster: &Cluster) -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let kubeconfig = Kubeconfig::read_from(&cluster.kubeconfig).expect("kubeconfig");
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
    Client::try_from(config.expect("config")).expect("client")
}

/// Gives the API server the definitions of this build, once for all tests of a process.
pub(crate) fn define(cluster: &Cluster) {
    static DEFINED: Once = Once::new();
    DEFINED.call_once(|| {
        // Helm refuses a release that another process is at.
        let lock = Path::new(env!("CARGO_TARGET_TMPDIR")).join("definitions.lock");
        let lock = File::create(lock).expect("a lock");
        lock.lock().expect("the lock");
        let args = [
            ["upgrade", "--install", "musubi-crds", "charts/musubi-crds"].as_slice(),
            &["--namespace=kube-system", "--wait"],
        ];
        let done = cluster.tool("helm", &args.concat());
        done.unwrap_or_else(|e| panic!("{e}"));
    });
}

/// A namespace of this test alone, in which pods have to be restricted.
pub(crate) async fn namespace(client: &Client, name: &str) -> String {
    let api: Api<Namespace> = Api::all(client.clone());
    let namespace: Namespace = serde_json::from_value(json!({
        "metadata": {
            "generateName": format!("{name}-"),
            "labels": { "pod-security.kubernetes.io/enforce": "restricted" },
        },
    }))
    .expect("a namespace");
    let made = api.create(&PostParams::default(), &namespace).await;
    made.expect("a namespace").metadata.name.expect("its name")
}

/// All files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}
