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

use super::World;

/// An operator for a namespace: the one that the environment names, or that which lies beside the tests.
fn program(image: &str, kubeconfig: &Path, namespace: &str) -> Command {
    // Tests lie in a folder below it.
    let here = std::env::current_exe().expect("this program");
    let folder = here.ancestors().nth(2).expect("target");
    let named = std::env::var_os("MUSUBI_OPERATOR").map(PathBuf::from);
    let mut program = Command::new(named.unwrap_or_else(|| folder.join("musubi-operator")));
    program
        .args(["--worker-image", image, "--port=0"])
        .env("KUBECONFIG", kubeconfig)
        .env("MUSUBI_NAMESPACE", namespace)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    program
}

fn started(mut program: Command) -> Child {
    program
        .spawn()
        .expect("the operator: cargo build --workspace --bins")
}

/// Starts an operator that outlives its namespace: its lease is in another one. It ends with the value.
pub(crate) fn from_outside(world: &World) -> Child {
    let log = std::fs::File::create(world.folder.path().join("operator.log")).expect("a log");
    let cluster = &world.cluster;
    let mut operator = program(&cluster.image, &cluster.kubeconfig, &world.namespace);
    operator
        .args([
            "--lease-name",
            &world.namespace,
            "--lease-namespace=default",
        ])
        .stderr(log);
    started(operator)
}

/// How operators of a namespace are started.
pub(crate) struct Operator {
    /// Image of their workers.
    pub(crate) image: String,
    pub(crate) kubeconfig: PathBuf,
    pub(crate) namespace: String,
    /// Seconds by which their clocks are ahead of this machine's.
    pub(crate) ahead: i64,
    /// Where its log goes.
    pub(crate) lines: mpsc::UnboundedSender<String>,
}

impl Operator {
    /// Starts one, which leads as soon as it has the lease of this name. It ends with the value.
    pub(crate) fn start(&self, lease: &str) -> Child {
        let mut operator = program(&self.image, &self.kubeconfig, &self.namespace);
        operator
            .args(["--lease-seconds=5", "--identity=it", "--lease-name", lease])
            .env("POD_NAMESPACE", &self.namespace)
            .env(
                "RUST_LOG",
                "info,musubi_operator=debug,kube_lease_manager=debug",
            )
            .env("RUST_BACKTRACE", "0")
            .stderr(Stdio::piped());
        if self.ahead != 0 {
            let library =
                std::env::var_os("MUSUBI_FAKETIME").expect("MUSUBI_FAKETIME: libfaketimeMT.so.1");
            operator
                .env("LD_PRELOAD", library)
                .env("FAKETIME", format!("{:+}", self.ahead))
                // What is measured with it takes as long as it takes.
                .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        }
        let mut child = started(operator);
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
