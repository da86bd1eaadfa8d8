//! What tests in the cluster have in common: a namespace of their own, a lake that pods reach, an operator.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::OnceLock,
    time::Duration,
};

use bytes::Bytes;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::{
    Api, Client, Config,
    api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
    core::{ApiResource, GroupVersionKind},
    runtime::wait::await_condition,
};
use musubi_api::pipeline::CustomerPipelineRun;
use musubi_lake::{Location, Store};
use musubi_testing::{Cluster, SeaweedFs};
use serde_json::{Value, json};

/// How long a run may take on a machine with much else to do.
const PATIENCE: Duration = Duration::from_secs(900);
/// The bucket of data and lake.
pub(crate) const BUCKET: &str = "bento";

/// The operators of a namespace.
const OPERATORS: &str = "app.kubernetes.io/name=musubi-operator";

/// A namespace with an operator of its own, and an S3 server beside the cluster.
pub(crate) struct World {
    pub(crate) client: Client,
    pub(crate) namespace: String,
    pub(crate) folder: tempfile::TempDir,
    cluster: Cluster,
    s3: SeaweedFs,
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
        };
        world.keys().await;
        world
    }

    /// Installs the operator as anybody would, and waits until it is there.
    pub(crate) fn install(&self) {
        let (repository, tag) = self
            .cluster
            .image
            .rsplit_once(':')
            .expect("an image with a tag");
        let repository = format!("image.repository={repository}");
        let tag = format!("image.tag={tag}");
        let args = [
            ["install", "musubi", "charts/musubi"].as_slice(),
            &["--namespace", &self.namespace, "--wait", "--timeout=5m"],
            &["--set", &repository, "--set", &tag, "--set=lease.seconds=9"],
        ];
        self.tool("helm", &args.concat());
    }

    /// An operator for this namespace that is not in it. It ends with what is given back.
    #[allow(dead_code, reason = "each test uses what it needs")]
    pub(crate) fn operate_from_outside(&self) -> tokio::process::Child {
        // Tests lie in a folder below it.
        let here = std::env::current_exe().expect("this program");
        let program = here.ancestors().nth(2).expect("target");
        let log = std::fs::File::create(self.folder.path().join("operator.log")).expect("a log");
        tokio::process::Command::new(program.join("musubi-operator"))
            .args(["--worker-image", &self.cluster.image, "--port=0"])
            .args(["--lease-name", &self.namespace, "--lease-namespace=default"])
            .env("KUBECONFIG", &self.cluster.kubeconfig)
            .env("MUSUBI_NAMESPACE", &self.namespace)
            .stderr(log)
            .stdin(std::process::Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("the operator: cargo build --workspace --bins")
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

    /// Runs `kubectl` or `helm`, and gives what it printed.
    pub(crate) fn tool(&self, name: &str, args: &[&str]) -> String {
        self.cluster
            .tool(name, args)
            .unwrap_or_else(|e| panic!("{e}"))
    }

    /// The bucket, as a connector or lake names it.
    pub(crate) fn s3(&self, prefix: &str) -> Value {
        json!({
            "bucket": BUCKET, "prefix": prefix, "region": "us-east-1",
            "endpoint": self.s3.endpoint(), "credentials": { "secret": "musubi-s3" },
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

    async fn keys(&self) {
        let (key, secret) = self.s3.keys();
        let secret = Secret {
            metadata: kube::api::ObjectMeta {
                name: Some("musubi-s3".into()),
                ..Default::default()
            },
            string_data: Some(BTreeMap::from([
                ("AWS_ACCESS_KEY_ID".into(), key.into()),
                ("AWS_SECRET_ACCESS_KEY".into(), secret.into()),
            ])),
            ..Secret::default()
        };
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace);
        let made = secrets.create(&PostParams::default(), &secret).await;
        made.expect("a Secret");
    }

    /// Copies a folder into the bucket.
    pub(crate) async fn upload(&self, folder: &Path, prefix: &str) {
        let store = self.store(prefix);
        for file in files(folder) {
            let path = file.strip_prefix(folder).expect("below").to_string_lossy();
            let bytes = Bytes::from(std::fs::read(&file).expect("read"));
            store.put(&path, bytes).await.expect("upload");
        }
    }

    /// Applies a resource of ours.
    pub(crate) async fn apply(&self, object: &Value) {
        let text = |field: &Value| field.as_str().unwrap_or_default().to_owned();
        let (kind, name) = (text(&object["kind"]), text(&object["metadata"]["name"]));
        let resource =
            ApiResource::from_gvk(&GroupVersionKind::gvk("musubi.dev", "v1alpha1", &kind));
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), &self.namespace, &resource);
        let params = PatchParams::apply("test").validation_strict();
        api.patch(&name, &params, &Patch::Apply(object))
            .await
            .unwrap_or_else(|e| panic!("{kind}/{name}: {e}"));
    }

    /// Runs, as the cluster has them.
    pub(crate) fn runs(&self) -> Api<CustomerPipelineRun> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Begins a run of a pipeline.
    pub(crate) async fn begin(&self, name: &str, pipeline: &str, as_of: jiff::Timestamp) {
        let run = json!({
            "apiVersion": "musubi.dev/v1alpha1", "kind": "CustomerPipelineRun",
            "metadata": { "name": name },
            "spec": { "pipeline": pipeline, "asOf": as_of.to_string() },
        });
        self.apply(&run).await;
    }

    /// Waits until something holds for a run.
    pub(crate) async fn until(
        &self,
        name: &str,
        holds: impl Fn(&CustomerPipelineRun) -> bool,
    ) -> CustomerPipelineRun {
        let condition = |run: Option<&CustomerPipelineRun>| run.is_some_and(&holds);
        let waited = tokio::time::timeout(PATIENCE, await_condition(self.runs(), name, condition));
        match waited.await {
            Ok(run) => run.expect("watch").expect("the run is there"),
            Err(_) => {
                let run = self.runs().get(name).await.expect("the run");
                let status = serde_json::to_string_pretty(&run.status).unwrap_or_default();
                panic!("it took too long; the run says {status}\n{}", self.said());
            }
        }
    }

    /// Waits until a run is over, which has to be complete.
    pub(crate) async fn complete(&self, name: &str) -> CustomerPipelineRun {
        let over = |run: &CustomerPipelineRun| run.status.as_ref().is_some_and(|s| s.is_over());
        let run = self.until(name, over).await;
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

/// An administrator's client.
pub(crate) async fn connect(cluster: &Cluster) -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let kubeconfig = Kubeconfig::read_from(&cluster.kubeconfig).expect("kubeconfig");
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
    Client::try_from(config.expect("config")).expect("client")
}

/// Gives the API server the definitions of this build, once: two that do it at the same time are in each other's way.
pub(crate) fn define(cluster: &Cluster) {
    static DEFINED: OnceLock<()> = OnceLock::new();
    DEFINED.get_or_init(|| install_definitions(cluster));
}

fn install_definitions(cluster: &Cluster) {
    let args = [
        ["upgrade", "--install", "musubi-crds", "charts/musubi-crds"].as_slice(),
        &["--namespace=kube-system", "--wait"],
    ];
    let done = cluster.tool("helm", &args.concat());
    done.unwrap_or_else(|e| panic!("{e}"));
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
