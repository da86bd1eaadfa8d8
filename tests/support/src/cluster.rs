//! The cluster that tests run in, when there is one.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::StartError;

/// A real cluster: `cargo xtask test` brings it up, or `cargo xtask cluster up`.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// What an administrator connects with.
    pub kubeconfig: PathBuf,
    /// Address of this machine that pods reach.
    pub host: String,
    /// Image on every node with the programs under test, as `repository:tag` or `repository@digest`.
    pub image: String,
    /// Folder with `kubectl` and `helm`.
    tools: PathBuf,
    /// What brought the cluster up, when it is our own.
    xtask: Option<PathBuf>,
}

impl Cluster {
    /// The cluster that the environment names; says so when there is none.
    #[must_use]
    pub fn find() -> Option<Self> {
        let get = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let found = get("MUSUBI_KUBECONFIG").zip(get("MUSUBI_CLUSTER_HOST"));
        let Some(((kubeconfig, host), image)) = found.zip(get("MUSUBI_IMAGE")) else {
            eprintln!("not tested: there is no cluster (`cargo xtask test` brings one up as root)");
            return None;
        };
        Some(Self {
            kubeconfig: kubeconfig.into(),
            host,
            image,
            // Without it those on the PATH.
            tools: get("MUSUBI_CLUSTER_TOOLS").unwrap_or_default().into(),
            xtask: get("MUSUBI_CLUSTER_XTASK").map(PathBuf::from),
        })
    }

    /// Whether the cluster is this checkout's own, whose nodes may come and go.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        self.xtask.is_some()
    }

    /// Gives an order to this checkout's own cluster: `["node", "2"]` for `cargo xtask cluster node 2`.
    ///
    /// # Errors
    /// What it said when it failed, and when the cluster is not our own.
    pub fn order(&self, order: &[&str]) -> Result<String, StartError> {
        let Some(xtask) = &self.xtask else {
            return Err(StartError("the cluster is somebody else's".into()));
        };
        ran(Command::new(xtask).arg("cluster").args(order))
    }

    /// Folder with `kubectl` and `helm`; an empty path when those on the `PATH` are meant.
    #[must_use]
    pub fn tools(&self) -> &Path {
        &self.tools
    }

    /// Runs `kubectl` or `helm` to its end, and gives what it printed.
    ///
    /// # Errors
    /// What it said when it failed.
    pub fn tool(&self, name: &str, args: &[&str]) -> Result<String, StartError> {
        let mut command = Command::new(self.tools.join(name));
        command.arg("--kubeconfig").arg(&self.kubeconfig).args(args);
        ran(&mut command)
    }
}

/// Runs a command in the checkout to its end, and gives what it printed, or said when it failed.
fn ran(command: &mut Command) -> Result<String, StartError> {
    let out = command.current_dir(root()).stdin(Stdio::null()).output();
    let out = out.map_err(|e| StartError(format!("{command:?}: {e}")))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if out.status.success() {
        return Ok(text(&out.stdout));
    }
    Err(StartError(format!("{command:?}: {}", text(&out.stderr))))
}

/// Top folder of the checkout.
fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here)
}
