//! A real Kueue. Its manager runs beside the cluster. Its webhooks, which refuse and complete what people write, are
//! not asked.

use std::{
    path::{Path, PathBuf},
    process::{Command as Blocking, Stdio},
};

use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, Client,
    api::{ApiResource, DeleteParams, DynamicObject, Patch, PatchParams},
    core::GroupVersionKind,
};
use musubi_testing::{Cluster, free_port};
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use super::{World, held};

/// It looks for certificates below `/etc`, whatever its configuration says: gives it one of its own, and becomes it.
const ITS_ETC: &str = r#"
    cp -a /etc "$0/etc"
    mkdir -p "$0/etc/kueue/metrics"
    ln -s "$0" "$0/etc/kueue/metrics/certs"
    mount --bind "$0/etc" /etc
    exec "$@"
"#;

/// Kueue, as long as the value lives.
pub(crate) struct Kueue {
    _manager: Child,
}

impl Kueue {
    /// Starts it for a cluster, or says that there is none to start.
    pub(crate) fn start(world: &World) -> Option<Self> {
        let place = define(&world.cluster)?;
        let folder = world.folder.path();
        certify(folder);
        // Ports of its own choice: what it would tell there is not asked.
        let config = json!({
            "apiVersion": "config.kueue.x-k8s.io/v1beta2", "kind": "Configuration",
            "health": { "healthProbeBindAddress": "127.0.0.1:0" },
            "metrics": { "bindAddress": "0" },
            "webhook": { "host": "127.0.0.1", "port": free_port().expect("a port"), "certDir": folder },
            "leaderElection": { "leaderElect": false },
            "internalCertManagement": { "enable": false },
            "integrations": { "frameworks": ["batch/job"] },
        });
        let file = folder.join("kueue.json");
        std::fs::write(&file, config.to_string()).expect("its configuration");
        let log = std::fs::File::create(folder.join("kueue.log")).expect("a log");
        let manager = Command::new("unshare")
            .args(["--mount", "--propagation=private", "sh", "-ec", ITS_ETC])
            .arg(folder)
            .arg(place.join("bin/kueue"))
            .arg("--config")
            .arg(&file)
            .arg("--kubeconfig")
            .arg(&world.cluster.kubeconfig)
            .arg("--feature-gates=VisibilityOnDemand=false")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .expect("start Kueue");
        Some(Self { _manager: manager })
    }
}

/// Gives the API server Kueue's definitions, and says where Kueue lies; or that there is none.
pub(crate) fn define(cluster: &Cluster) -> Option<PathBuf> {
    let Some(place) = std::env::var_os("MUSUBI_KUEUE").map(PathBuf::from) else {
        eprintln!("not tested: there is no Kueue (`cargo xtask test` builds it)");
        return None;
    };
    let definitions = place.join("definitions").display().to_string();
    let apply = ["apply", "--server-side", "--filename", &definitions];
    let wait = [
        ["wait", "--for=condition=Established", "--timeout=1m"].as_slice(),
        &["--filename", &definitions],
    ];
    for args in [apply.as_slice(), &wait.concat()] {
        let done = cluster.tool("kubectl", args);
        done.unwrap_or_else(|e| panic!("{e}"));
    }
    Some(place)
}

/// Its webhooks serve, asked or not, and want a certificate.
fn certify(folder: &Path) {
    let made = Blocking::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days=1"])
        .args(["-subj=/CN=localhost", "-keyout=tls.key", "-out=tls.crt"])
        .current_dir(folder)
        .output()
        .expect("openssl");
    let said = String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success(), "{said}");
}

/// A queue of a namespace, with all that it stands on.
pub(crate) struct Queue {
    client: Client,
    /// Of the namespace, and of the ClusterQueue and all else that no namespace holds.
    name: String,
}

impl Queue {
    /// Makes LocalQueue `batch`, which holds back whoever asks it, with a quota.
    pub(crate) async fn holding(world: &World, quota: [(&str, &str); 2]) -> Self {
        let queue = Self {
            client: world.client.clone(),
            name: world.namespace.clone(),
        };
        queue.apply("ResourceFlavor", json!({})).await;
        let resources = quota.map(|(name, quota)| json!({ "name": name, "nominalQuota": quota }));
        let flavor = json!({ "name": queue.name, "resources": resources });
        let spec = json!({
            "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": world.namespace } },
            "resourceGroups": [{ "coveredResources": quota.map(|(name, _)| name), "flavors": [flavor] }],
            "preemption": { "withinClusterQueue": "LowerPriority" },
            "stopPolicy": "Hold",
        });
        queue.apply("ClusterQueue", spec).await;
        let local = json!({ "clusterQueue": queue.name });
        let local = object("LocalQueue", "batch", &json!({ "spec": local }));
        let api = Api::namespaced_with(
            world.client.clone(),
            &world.namespace,
            &resource("LocalQueue"),
        );
        patch(&api, "batch", &local).await;
        queue
    }

    /// Makes a priority that goes before those who have none.
    pub(crate) async fn priority(&self) -> &str {
        let urgent = json!({ "value": 1000 });
        let urgent = object("WorkloadPriorityClass", &self.name, &urgent);
        patch(
            &self.everywhere("WorkloadPriorityClass"),
            &self.name,
            &urgent,
        )
        .await;
        &self.name
    }

    /// Lets in what waits.
    pub(crate) async fn open(&self) {
        let api = self.everywhere("ClusterQueue");
        let open = Patch::Merge(json!({ "spec": { "stopPolicy": "None" } }));
        let done = api.patch(&self.name, &PatchParams::default(), &open).await;
        done.expect("open the queue");
        let active = |queue: Option<&DynamicObject>| {
            let conditions = queue.and_then(|q| q.data["status"]["conditions"].as_array());
            let mut conditions = conditions.into_iter().flatten();
            conditions.any(|c| c["type"] == "Active" && c["status"] == "True")
        };
        held(&api, &self.name, active).await;
    }

    fn everywhere(&self, kind: &str) -> Api<DynamicObject> {
        Api::all_with(self.client.clone(), &resource(kind))
    }

    async fn apply(&self, kind: &str, spec: Value) {
        let object = object(kind, &self.name, &json!({ "spec": spec }));
        patch(&self.everywhere(kind), &self.name, &object).await;
    }

    /// Takes away what no namespace holds, once the namespace is gone: what waits in a queue goes while Kueue is there.
    pub(crate) async fn remove(self) {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        held(&namespaces, &self.name, |namespace| namespace.is_none()).await;
        for kind in ["ClusterQueue", "ResourceFlavor", "WorkloadPriorityClass"] {
            let api = self.everywhere(kind);
            let gone = api.delete(&self.name, &DeleteParams::default()).await;
            gone.expect(kind);
        }
    }
}

fn resource(kind: &str) -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk("kueue.x-k8s.io", "v1beta2", kind))
}

fn object(kind: &str, name: &str, rest: &Value) -> Value {
    let mut object = json!({
        "apiVersion": "kueue.x-k8s.io/v1beta2", "kind": kind, "metadata": { "name": name },
    });
    for (field, value) in rest.as_object().into_iter().flatten() {
        object[field] = value.clone();
    }
    object
}

async fn patch(api: &Api<DynamicObject>, name: &str, object: &Value) {
    let params = PatchParams::apply("test");
    let applied = api.patch(name, &params, &Patch::Apply(object)).await;
    applied.unwrap_or_else(|e| panic!("{name}: {e}"));
}
