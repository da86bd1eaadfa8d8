//! Compiles programs from Go modules, once for all checkouts: those of the cluster, and Prometheus' tool.

use std::{
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use anyhow::{Context, Result, bail, ensure};
use musubi_testing::tools::cache;

use super::place::recipe;

/// Programs that are built together.
pub(crate) struct Set {
    name: &'static str,
    /// About how long it takes.
    takes: &'static str,
    /// Modules of the recipe.
    modules: &'static [&'static str],
    /// Module of the recipe, Go package, program.
    programs: &'static [(&'static str, &'static str, &'static str)],
    /// What is kept of a module's files: module of the recipe, Go module, folder in it, folder beside `bin`.
    folders: &'static [(&'static str, &'static str, &'static str, &'static str)],
}

/// What a cluster is made of.
pub(crate) const CLUSTER: Set = Set {
    name: "cluster",
    takes: "7 minutes",
    modules: &["kubernetes", "containerd", "helm"],
    programs: &PROGRAMS,
    folders: &[],
};

/// What alerts are tested with.
pub(crate) const PROMTOOL: Set = Set {
    name: "promtool",
    takes: "4 minutes",
    modules: &["prometheus"],
    programs: &[(
        "prometheus",
        "github.com/prometheus/prometheus/cmd/promtool",
        "promtool",
    )],
    folders: &[],
};

/// Whose queues Jobs wait in.
pub(crate) const KUEUE: Set = Set {
    name: "kueue",
    takes: "4 minutes",
    modules: &["kueue"],
    programs: &[("kueue", "sigs.k8s.io/kueue/cmd/kueue", "kueue")],
    folders: &[(
        "kueue",
        "sigs.k8s.io/kueue",
        "config/components/crd/bases",
        "definitions",
    )],
};

/// What plays nodes by the dozen.
pub(crate) const KWOK: Set = Set {
    name: "kwok",
    takes: "2 minutes",
    modules: &["kwok"],
    programs: &[("kwok", "sigs.k8s.io/kwok/cmd/kwok", "kwok")],
    folders: &[],
};

const PROGRAMS: [(&str, &str, &str); 11] = [
    ("kubernetes", "go.etcd.io/etcd/server/v3", "etcd"),
    (
        "kubernetes",
        "k8s.io/kubernetes/cmd/kube-apiserver",
        "kube-apiserver",
    ),
    (
        "kubernetes",
        "k8s.io/kubernetes/cmd/kube-controller-manager",
        "kube-controller-manager",
    ),
    (
        "kubernetes",
        "k8s.io/kubernetes/cmd/kube-scheduler",
        "kube-scheduler",
    ),
    ("kubernetes", "k8s.io/kubernetes/cmd/kubelet", "kubelet"),
    (
        "kubernetes",
        "k8s.io/kubernetes/cmd/kube-proxy",
        "kube-proxy",
    ),
    ("kubernetes", "k8s.io/kubernetes/cmd/kubectl", "kubectl"),
    (
        "containerd",
        "github.com/containerd/containerd/v2/cmd/containerd",
        "containerd",
    ),
    (
        "containerd",
        "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
        "containerd-shim-runc-v2",
    ),
    (
        "containerd",
        "github.com/containerd/containerd/v2/cmd/ctr",
        "ctr",
    ),
    ("helm", "helm.sh/helm/v4/cmd/helm", "helm"),
];

/// Written last: a build that was cut off lacks it, and goes on where it was.
const COMPLETE: &str = "complete";

impl Set {
    /// Where the programs are, built or not: a folder that is named for what they are built from.
    fn place(&self) -> Result<PathBuf> {
        let mut hash = DefaultHasher::new();
        self.programs.hash(&mut hash);
        for module in self.modules {
            for file in ["go.mod", "go.sum"] {
                let path = recipe(module).join(file);
                let text = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
                text.hash(&mut hash);
            }
        }
        Ok(cache().join(format!("{}-{:016x}", self.name, hash.finish())))
    }

    /// Whether the programs are built.
    pub(crate) fn is_done(&self) -> bool {
        self.place()
            .is_ok_and(|place| place.join(COMPLETE).is_file())
    }

    /// The folder with the programs.
    pub(crate) fn folder(&self) -> Result<PathBuf> {
        ensure!(
            self.is_done(),
            "the {}'s programs are not built: cargo xtask cluster build",
            self.name
        );
        Ok(self.place()?.join("bin"))
    }

    /// Builds what is not built, and gives the folder with the programs. Safe to call by several at once.
    pub(crate) fn run(&self) -> Result<PathBuf> {
        let place = self.place()?;
        let (bin, name) = (place.join("bin"), self.name);
        if self.is_done() {
            return Ok(bin);
        }
        fs::create_dir_all(&bin)?;
        let lock = fs::File::create(cache().join(format!("{name}.lock")))?;
        lock.lock()?;
        if self.is_done() {
            return Ok(bin);
        }
        println!(
            "{name}: building into {}, about {} on two cores",
            place.display(),
            self.takes
        );
        // What the compiler keeps takes gigabytes, and is of use until all is built.
        let scratch = cache().join(format!("{name}-go"));
        let mut flags = "-s -w".to_owned();
        if self.modules.contains(&"kubernetes") {
            flags += &version(&scratch)?;
        }
        for (module, package, program) in self.programs {
            if bin.join(program).is_file() {
                continue;
            }
            let begun = Instant::now();
            let fresh = bin.join(format!("{program}.new"));
            let status = go(&scratch, module)
                .args(["build", "-trimpath", "-ldflags", &flags, "-o"])
                .arg(&fresh)
                .arg(package)
                .status()
                .context("start go")?;
            ensure!(status.success(), "go build {package} failed");
            fs::rename(&fresh, bin.join(program))?;
            println!("{name}: {program}, {:.0?}", begun.elapsed());
        }
        for (module, of, folder, name) in self.folders {
            let from = module_folder(&scratch, module, of)?.join(folder);
            copy(&from, &place.join(name))?;
        }
        fs::write(place.join(COMPLETE), "")?;
        fs::remove_dir_all(&scratch)?;
        Ok(bin)
    }
}

/// Where the files of a Go module are.
fn module_folder(scratch: &Path, module: &str, of: &str) -> Result<PathBuf> {
    let status = go(scratch, module).args(["mod", "download", of]).status();
    ensure!(
        status.context("start go")?.success(),
        "go mod download {of} failed"
    );
    Ok(list(scratch, module, "{{.Dir}}", of)?.into())
}

/// Copies the files of a folder.
fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    let files = fs::read_dir(from).with_context(|| format!("read {}", from.display()))?;
    for file in files {
        let file = file?;
        fs::copy(file.path(), to.join(file.file_name()))?;
    }
    Ok(())
}

/// What `go list` says of a Go module.
fn list(scratch: &Path, module: &str, format: &str, of: &str) -> Result<String> {
    let out = go(scratch, module)
        .args(["list", "-m", "-f", format, of])
        .output()
        .context("start go")?;
    let said = String::from_utf8_lossy(&out.stderr);
    ensure!(out.status.success(), "go list: {}", said.trim());
    Ok(String::from_utf8_lossy(&out.stdout).trim().to_owned())
}

/// Linker flags. Without them the server calls itself v0.0.0, and clients misjudge it.
fn version(scratch: &Path) -> Result<String> {
    let version = list(scratch, "kubernetes", "{{.Version}}", "k8s.io/kubernetes")?;
    let mut parts = version.trim_start_matches('v').split('.');
    let (Some(major), Some(minor)) = (parts.next(), parts.next()) else {
        bail!("the recipe has Kubernetes {version}, which is no version");
    };
    let set = |name: &str, value: &str| format!(" -X k8s.io/component-base/version.{name}={value}");
    Ok(format!(
        "{}{}{}",
        set("gitVersion", &version),
        set("gitMajor", major),
        set("gitMinor", minor)
    ))
}

fn go(scratch: &Path, module: &str) -> Command {
    let mut go = Command::new("go");
    go.current_dir(recipe(module))
        .env("CGO_ENABLED", "0")
        // Files of a module are read-only by default, and could not be removed.
        .env("GOFLAGS", "-buildvcs=false -modcacherw")
        .env("GOMODCACHE", scratch.join("mod"))
        .env("GOCACHE", scratch.join("build"));
    go
}
