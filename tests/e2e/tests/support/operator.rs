//! An operator that runs beside the cluster, as the ServiceAccount of the chart.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use musubi_testing::Cluster;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    sync::mpsc,
};

/// How operators of a namespace are started.
pub(crate) struct Operator {
    pub(crate) kubeconfig: PathBuf,
    pub(crate) namespace: String,
    /// Where its log goes.
    pub(crate) lines: mpsc::UnboundedSender<String>,
}

impl Operator {
    /// Starts one, which leads as soon as it has the lease of this name. It ends with the value.
    pub(crate) fn start(&self, lease: &str) -> Child {
        // Tests lie in a folder below it.
        let here = std::env::current_exe().expect("this program");
        let program = here.ancestors().nth(2).expect("target");
        let mut child = Command::new(program.join("musubi-operator"))
            .args(["--worker-image=localhost/musubi:test", "--port=0"])
            .args(["--lease-seconds=5", "--identity=it", "--lease-name", lease])
            .env("KUBECONFIG", &self.kubeconfig)
            .env("MUSUBI_NAMESPACE", &self.namespace)
            .env("POD_NAMESPACE", &self.namespace)
            .env(
                "RUST_LOG",
                "info,musubi_operator=debug,kube_lease_manager=debug",
            )
            .env("RUST_BACKTRACE", "0")
            .stderr(Stdio::piped())
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("the operator: cargo build --workspace --bins");
        let stderr = child.stderr.take().expect("a pipe");
        let lines = self.lines.clone();
        tokio::spawn(async move {
            let mut said = BufReader::new(stderr).lines();
            while let Ok(Some(line)) = said.next_line().await {
                let _ = lines.send(line);
            }
        });
        child
    }
}

/// What an operator connects with: an administrator, who takes the part of its ServiceAccount.
pub(crate) fn kubeconfig(cluster: &Cluster, folder: &Path, namespace: &str) -> PathBuf {
    let text = std::fs::read_to_string(&cluster.kubeconfig).expect("kubeconfig");
    let mut config: Value = serde_saphyr::from_str(&text).expect("kubeconfig");
    for user in config["users"].as_array_mut().expect("users") {
        user["user"]["as"] = format!("system:serviceaccount:{namespace}:musubi").into();
        let groups = [
            "system:authenticated".to_owned(),
            "system:serviceaccounts".to_owned(),
            format!("system:serviceaccounts:{namespace}"),
        ];
        user["user"]["as-groups"] = json!(groups);
    }
    let file = folder.join("kubeconfig");
    std::fs::write(&file, config.to_string()).expect("kubeconfig");
    file
}
