//! Where a reader of the document sits: a folder, a context, and a cluster.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use kube::{ResourceExt as _, api::ListParams};
use musubi_api::pipeline::CustomerPipelineRun;
use musubi_testing::{Cluster, Postgres};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::{
    checkout,
    support::{self, BUCKET, World, kustomize, stalled},
    values::Site,
};

/// How long what a command sets going may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// A reader's desk.
pub(crate) struct Desk {
    pub(crate) world: World,
    pub(crate) warehouse: Postgres,
    pub(crate) site: Site,
    /// The namespace of what is installed without Helm.
    pub(crate) other: String,
    folder: PathBuf,
    runtime: Runtime,
    /// Runs that were seen.
    known: BTreeSet<String>,
}

impl Desk {
    /// Sits down: charts, definitions and a copy of `deploy/kustomize` lie in the folder, and nothing is installed.
    pub(crate) fn new(cluster: Cluster) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let world = runtime.block_on(World::new(cluster, "manual"));
        let other = runtime.block_on(support::namespace(&world.client, "manual-kustomize"));
        let warehouse = Postgres::start_at(&world.cluster.host).unwrap_or_else(|e| panic!("{e}"));
        // The document installs the definitions; others of this process may have done so.
        let args = [
            "uninstall",
            "musubi-crds",
            "--namespace=kube-system",
            "--wait",
        ];
        world.tool("helm", &args);

        let folder = world.folder.path().join("desk");
        std::fs::create_dir_all(folder.join("deploy")).expect("a folder");
        for part in ["charts", "crds"] {
            std::os::unix::fs::symlink(checkout().join(part), folder.join(part)).expect(part);
        }
        kustomize::copy(&world.cluster, &other, &folder.join("deploy/kustomize"));
        std::fs::copy(&world.cluster.kubeconfig, folder.join("kubeconfig")).expect("kubeconfig");

        let image = world.cluster.image.clone();
        let next = std::env::var("MUSUBI_IMAGE_NEXT").unwrap_or_else(|_| image.clone());
        let (key, secret) = world.s3_keys();
        let (user, password) = warehouse.keys();
        let site = Site {
            namespace: world.namespace.clone(),
            images: [image, next],
            bucket: BUCKET.into(),
            endpoint: world.s3_endpoint(),
            keys: [key, secret].map(str::to_owned),
            host: world.cluster.host.clone(),
            port: warehouse.port(),
            login: [user, password].map(str::to_owned),
            xtask: programs().join("xtask").display().to_string(),
            pipeline: "shop".into(),
            run: "none-yet".into(),
        };
        Self {
            world,
            warehouse,
            site,
            other,
            folder,
            runtime,
            known: BTreeSet::new(),
        }
    }

    /// Runs a command of the document as a reader would, and gives what it printed.
    pub(crate) fn run(&self, command: &str) -> String {
        let filled = self.site.fill(command).unwrap_or_else(|e| panic!("{e}"));
        // What `cargo` does, it does in the checkout.
        let chore = command.starts_with("cargo");
        let mut path = vec![self.world.cluster.tools().to_owned(), programs()];
        path.extend(std::env::split_paths(
            &std::env::var_os("PATH").unwrap_or_default(),
        ));
        let out = Command::new("bash")
            .args(["-euo", "pipefail", "-c", &filled])
            .current_dir(if chore {
                checkout()
            } else {
                self.folder.clone()
            })
            .env("PATH", std::env::join_paths(path).expect("folders"))
            .env("KUBECONFIG", self.folder.join("kubeconfig"))
            .output()
            .expect("bash");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (printed, said) = (text(&out.stdout), text(&out.stderr));
        assert!(
            out.status.success(),
            "{filled}\n{printed}{said}\n{}",
            self.world.said()
        );
        printed
    }

    /// A file of the reader's.
    pub(crate) fn file(&self, path: &str) -> PathBuf {
        self.folder.join(path)
    }

    /// Writes a file of the document.
    pub(crate) fn write(&self, path: &str, text: &str) {
        let (file, text) = (self.file(path), self.site.fill(text));
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
        std::fs::write(file, text.unwrap_or_else(|e| panic!("{e}"))).expect(path);
    }

    /// Puts an object into the bucket.
    pub(crate) fn put(&self, path: &str, text: &str) {
        self.runtime.block_on(self.world.put(path, text.to_owned()));
    }

    /// Runs `kubectl` in the namespace, behind the reader's back.
    pub(crate) fn kubectl(&self, args: &[&str]) -> String {
        self.world.kubectl(args)
    }

    /// Makes an object behind the reader's back.
    pub(crate) fn create(&self, object: &Value) {
        let file = self.file("behind.json");
        std::fs::write(&file, object.to_string()).expect("a file");
        self.kubectl(&["create", "--filename", &file.display().to_string()]);
    }

    /// What a JSON path finds in an object.
    pub(crate) fn get(&self, object: &str, path: &str) -> String {
        self.kubectl(&["get", object, &format!("--output=jsonpath={path}")])
    }

    /// Changes the spec of the pipeline, and waits until the operator has seen it.
    pub(crate) fn change(&self, spec: &Value) {
        let patch = format!("--patch={}", json!({ "spec": spec }));
        self.kubectl(&["patch", "cpl", "shop", "--type=merge", &patch]);
        self.until("the operator sees a change", |desk| {
            let seen = desk.get(
                "cpl/shop",
                "{.metadata.generation} {.status.observedGeneration}",
            );
            seen.split_once(' ').is_some_and(|(is, seen)| is == seen)
        });
    }

    /// Waits until something holds.
    pub(crate) fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !holds(self) {
            let waits = begun.elapsed() < PATIENCE;
            assert!(waits, "it took too long: {what}\n{}", self.world.said());
            thread::sleep(Duration::from_millis(200));
        }
    }

    /// How many customers the warehouse has.
    pub(crate) fn customers(&self) -> String {
        let counted = self.warehouse.sql("select count(*) from musubi.customers");
        counted.unwrap_or_else(|e| panic!("{e}"))
    }

    /// Pods of the pipeline find no node, or they do again.
    pub(crate) fn hold(&self, held: bool) {
        let nowhere = held.then_some(json!({ "disk": "none" }));
        self.change(&json!({ "pods": { "nodeSelector": nowhere } }));
    }

    /// Changes a key of a Secret.
    pub(crate) fn secret(&self, name: &str, key: &str, value: &str) {
        let patch = format!("--patch={}", json!({ "stringData": { key: value } }));
        self.kubectl(&["patch", "secret", name, "--type=merge", &patch]);
    }

    /// Takes what is run next for a run that was not there before, and gives its name.
    pub(crate) fn fresh(&mut self) -> String {
        let begun = Instant::now();
        loop {
            let names = self.runs();
            if let Some(name) = names.into_iter().find(|name| !self.known.contains(name)) {
                self.known.insert(name.clone());
                self.site.run.clone_from(&name);
                return name;
            }
            assert!(begun.elapsed() < PATIENCE, "no run\n{}", self.world.said());
            thread::sleep(Duration::from_millis(200));
        }
    }

    /// Begins a run that finds no node, and says when it stands still.
    pub(crate) fn stuck(&mut self) {
        self.hold(true);
        self.begin();
        let run = self.site.run.clone();
        let still = |run: &CustomerPipelineRun| stalled(run) == Some("Unschedulable");
        self.runtime.block_on(self.world.until(&run, still));
    }

    /// Begins a run, whatever became of the others.
    pub(crate) fn begin(&mut self) -> String {
        let name = format!("behind-{}", self.known.len());
        let begun = self.world.begin(&name, "shop", jiff::Timestamp::now());
        self.runtime.block_on(begun);
        self.fresh()
    }

    /// Waits until the newest run is over, and gives why.
    pub(crate) fn ends(&self) -> CustomerPipelineRun {
        self.runtime
            .block_on(self.world.runs_to_end(&self.site.run))
    }

    /// Waits until the newest run is complete.
    pub(crate) fn completes(&self) {
        self.runtime.block_on(self.world.complete(&self.site.run));
    }

    /// Waits until something holds for the newest run.
    pub(crate) fn run_is(
        &self,
        holds: impl Fn(&CustomerPipelineRun) -> bool,
    ) -> CustomerPipelineRun {
        self.runtime
            .block_on(self.world.until(&self.site.run, holds))
    }

    /// All runs, the oldest first.
    pub(crate) fn runs(&self) -> Vec<String> {
        let listed = self
            .runtime
            .block_on(async { self.world.runs().list(&ListParams::default()).await });
        let mut runs = listed.expect("runs").items;
        runs.sort_by_key(|run| run.creation_timestamp().map(|at| at.0));
        runs.into_iter().map(|run| run.name_any()).collect()
    }

    /// Gets up, and leaves nothing.
    pub(crate) fn leave(self) {
        self.runtime.block_on(self.world.remove());
    }
}

/// Where the programs of this build lie: tests lie in a folder below.
fn programs() -> PathBuf {
    let here = std::env::current_exe().expect("this program");
    here.ancestors().nth(2).expect("target").to_owned()
}
