//! Brings a cluster up.

use std::{
    fs,
    path::Path,
    process::{ChildStdin, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use super::{
    Place, image,
    place::recipe,
    programs::{done, inside, kill, start, wait, with_argument},
};

/// How long a cluster lasts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leash {
    /// Until `down`.
    None,
    /// Until the value that [`run`] gives is dropped, or this process ends however it ends.
    Held,
}

/// Starts the cluster of a checkout; what was left of an earlier one goes first.
pub(crate) fn run(place: &Place, programs: &Path, leash: Leash) -> Result<Option<ChildStdin>> {
    ensure!(
        place.holder().is_none(),
        "the cluster of this checkout is up already; cargo xtask cluster down ends it"
    );
    place.sweep()?;
    let held = hold(place, leash)?;
    let begun = Instant::now();
    let outcome = bring_up(place, programs);
    if outcome.is_err() && leash == Leash::None {
        // Its logs say why: they stay until the next `up` or `down`.
        if let Some(holder) = place.holder() {
            let kept = place.run.with_extension("logs");
            let _ = fs::remove_dir_all(&kept);
            let _ = fs::create_dir_all(&kept);
            for log in fs::read_dir(&place.run)?.flatten() {
                let _ = fs::copy(log.path(), kept.join(log.file_name()));
            }
            kill(holder)?;
        }
        place.sweep()?;
    }
    outcome?;
    println!("cluster: up in {:.0?}", begun.elapsed());
    Ok(held)
}

/// Makes the namespaces.
fn hold(place: &Place, leash: Leash) -> Result<Option<ChildStdin>> {
    fs::create_dir_all(&place.run)?;
    let mut command = Command::new("setsid");
    command
        .arg("sh")
        .arg(recipe("hold.sh"))
        .arg(if leash == Leash::Held {
            "leash"
        } else {
            "hold"
        })
        .arg(&place.run)
        .arg(&place.name)
        .stdout(Stdio::null())
        .stderr(fs::File::create(place.log("hold"))?)
        .stdin(if leash == Leash::Held {
            Stdio::piped()
        } else {
            Stdio::null()
        });
    let mut child = command.spawn().context("start hold.sh")?;
    let begun = Instant::now();
    while place.holder().is_none() {
        let ended = child.try_wait()?.is_some();
        ensure!(
            !ended && begun.elapsed() < Duration::from_secs(20),
            "this machine gives no namespaces: {}",
            fs::read_to_string(place.log("hold")).unwrap_or_default()
        );
        thread::sleep(Duration::from_millis(20));
    }
    Ok(child.stdin.take())
}

fn bring_up(place: &Place, programs: &Path) -> Result<()> {
    let holder = place.holder().context("the cluster's holder ended")?;
    network(place, holder)?;
    let run = &place.run;
    fs::create_dir_all(run.join("pki"))?;
    fs::create_dir_all(run.join("cni"))?;
    done(
        Command::new("sh")
            .arg(recipe("pki.sh"))
            .arg(run.join("pki"))
            .arg(&place.address),
    )?;
    fill(place, "kubeconfig.yaml", &place.kubeconfig(), &[])?;
    fill(place, "kube-proxy.yaml", &run.join("kube-proxy.yaml"), &[])?;
    fill(place, "pods.conflist", &run.join("cni/pods.conflist"), &[])?;
    let begin =
        |name: &str, args: &[String]| start(place, holder, name, &programs.join(name), args);
    let kubeconfig = format!("--kubeconfig={}", place.kubeconfig().display());

    begin("etcd", &etcd(place))?;
    start_api_server(place, programs, holder)?;
    let key = format!("{}/pki/sa.key", run.display());
    let manager = [
        kubeconfig.clone(),
        format!("--service-account-private-key-file={key}"),
        format!("--root-ca-file={}/pki/ca.crt", run.display()),
        "--use-service-account-credentials".into(),
        "--leader-elect=false".into(),
        "--bind-address=127.0.0.1".into(),
        // Made for many small Jobs at once; the defaults allow 20 calls a second.
        "--kube-api-qps=1000".into(),
        "--kube-api-burst=2000".into(),
        "--concurrent-job-syncs=20".into(),
    ];
    begin("kube-controller-manager", &manager)?;
    let scheduler = [
        kubeconfig,
        "--leader-elect=false".into(),
        "--bind-address=127.0.0.1".into(),
        "--kube-api-qps=1000".into(),
        "--kube-api-burst=2000".into(),
    ];
    begin("kube-scheduler", &scheduler)?;
    node(place, programs, holder, 1, None)?;
    let proxy = [format!("--config={}/kube-proxy.yaml", run.display())];
    begin("kube-proxy", &proxy)?;
    wait(place, "kube-controller-manager", || {
        kubectl(place, programs, &["get", "serviceaccount", "default"])
    })
}

/// A link between this machine and the cluster, and the bridge of its pods.
fn network(place: &Place, holder: u32) -> Result<()> {
    let taken = Command::new("ip").args(["-oneline", "address"]).output()?;
    ensure!(
        !String::from_utf8_lossy(&taken.stdout).contains(&format!(" {}/", place.host)),
        "{} is taken by another link of this machine; a checkout at another path gets another address",
        place.host
    );
    let link = place.name.as_str();
    let ip = |args: &str| done(Command::new("ip").args(args.split(' ')));
    ip(&format!(
        "link add {link} type veth peer name uplink netns {holder}"
    ))?;
    ip(&format!("address add {}/30 dev {link}", place.host))?;
    ip(&format!("link set {link} up"))?;
    let ip = |args: &str| done(inside(holder, "ip").args(args.split(' ')));
    ip(&format!("address add {}/30 dev uplink", place.address))?;
    ip("link set uplink up")?;
    ip("link add pods type bridge")?;
    ip("address add 10.244.0.1/24 dev pods")?;
    ip("link set pods up")?;
    // This machine knows no way to a pod: it sees the cluster's address.
    let rule = "add table ip musubi
        add chain ip musubi out { type nat hook postrouting priority srcnat; }
        add rule ip musubi out oifname uplink ip saddr 10.244.0.0/24 masquerade";
    done(inside(holder, "/usr/sbin/nft").arg(rule))
}

fn etcd(place: &Place) -> Vec<String> {
    vec![
        format!("--data-dir={}/etcd", place.run.display()),
        "--listen-client-urls=http://127.0.0.1:2379".into(),
        "--advertise-client-urls=http://127.0.0.1:2379".into(),
        "--listen-peer-urls=http://127.0.0.1:2380".into(),
        // Nothing of it has to survive this machine.
        "--unsafe-no-fsync".into(),
    ]
}

fn api_server(place: &Place) -> Vec<String> {
    let pki = place.run.join("pki");
    let file = |option: &str, file: &str| format!("--{option}={}/{file}", pki.display());
    vec![
        "--etcd-servers=http://127.0.0.1:2379".into(),
        "--bind-address=0.0.0.0".into(),
        format!("--advertise-address={}", place.address),
        file("tls-cert-file", "api.crt"),
        file("tls-private-key-file", "api.key"),
        file("client-ca-file", "ca.crt"),
        file("service-account-key-file", "sa.pub"),
        file("service-account-signing-key-file", "sa.key"),
        "--service-account-issuer=https://kubernetes.default.svc".into(),
        "--service-cluster-ip-range=10.96.0.0/24".into(),
        "--authorization-mode=Node,RBAC".into(),
        "--enable-admission-plugins=OwnerReferencesPermissionEnforcement".into(),
        "--allow-privileged".into(),
        "--kubelet-preferred-address-types=InternalIP".into(),
        format!("--cert-dir={}", pki.display()),
    ]
}

fn start_api_server(place: &Place, programs: &Path, holder: u32) -> Result<()> {
    let program = programs.join("kube-apiserver");
    start(
        place,
        holder,
        "kube-apiserver",
        &program,
        &api_server(place),
    )?;
    wait(place, "kube-apiserver", || {
        kubectl(place, programs, &["get", "--raw=/readyz"])
    })
}

/// Kills the API server, and starts it again.
pub(super) fn restart_api_server(place: &Place, programs: &Path, holder: u32) -> Result<()> {
    let address = format!("--advertise-address={}", place.address);
    kill_program("the API server", &address)?;
    start_api_server(place, programs, holder)
}

/// Kills what keeps a node together. What its pods run is left alone.
pub(super) fn lose(place: &Place, number: u8) -> Result<()> {
    let folder = place.node(number).display().to_string();
    for (program, file) in [
        ("kubelet", "kubelet.yaml"),
        ("containerd", "containerd.toml"),
    ] {
        let config = format!("--config={folder}/{file}");
        kill_program(&format!("the {program} of node-{number}"), &config)?;
    }
    Ok(())
}

/// Kills the program that was started with an argument, which no other one has.
fn kill_program(name: &str, argument: &str) -> Result<()> {
    let process = with_argument(argument).with_context(|| format!("{name} does not run"))?;
    kill(process)
}

/// Starts a node, with a taint of this key, and waits until it is ready.
pub(super) fn node(
    place: &Place,
    programs: &Path,
    holder: u32,
    number: u8,
    taint: Option<&str>,
) -> Result<()> {
    let begun = Instant::now();
    let folder = place.node(number);
    ensure!(
        !folder.exists(),
        "node-{number} was started already; cargo xtask cluster status lists the nodes"
    );
    fs::create_dir_all(&folder)?;
    control_groups(place, number)?;
    let text = folder.display().to_string();
    let taint = taint.map(|key| format!("{{ key: {key}, effect: NoSchedule }}"));
    let values = [
        ("{taints}", taint.as_deref().unwrap_or_default()),
        ("{node}", text.as_str()),
        ("{number}", &number.to_string()),
        ("{healthz}", &(10247 + u16::from(number)).to_string()),
    ];
    fill(
        place,
        "containerd.toml",
        &folder.join("containerd.toml"),
        &values,
    )?;
    fill(place, "kubelet.yaml", &folder.join("kubelet.yaml"), &values)?;
    if number > 1 {
        let address = format!("10.244.0.{number}/24");
        done(inside(holder, "ip").args(["address", "add", &address, "dev", "pods"]))?;
    }
    let containerd = format!("containerd-{number}");
    let config = format!("--config={text}/containerd.toml");
    start(
        place,
        holder,
        &containerd,
        &programs.join("containerd"),
        &[config],
    )?;
    let socket = folder.join("containerd.sock");
    wait(place, &containerd, || {
        let mut ctr = Command::new(programs.join("ctr"));
        ctr.arg("--address").arg(&socket).arg("version");
        ctr
    })?;
    image::load_all(place, programs, &socket)?;
    let args = [
        format!("--config={text}/kubelet.yaml"),
        format!("--kubeconfig={}", place.kubeconfig().display()),
        format!("--hostname-override=node-{number}"),
        format!("--node-ip=10.244.0.{number}"),
        format!("--root-dir={text}/kubelet"),
        format!("--cert-dir={text}/pki"),
    ];
    let kubelet = format!("kubelet-{number}");
    start(place, holder, &kubelet, &programs.join("kubelet"), &args)?;
    let name = format!("node/node-{number}");
    wait(place, &kubelet, || {
        let ready = ["wait", "--for=condition=Ready", &name, "--timeout=5s"];
        kubectl(place, programs, &ready)
    })?;
    println!(
        "cluster: node-{number} is ready after {:.1?}",
        begun.elapsed()
    );
    Ok(())
}

/// The groups that a kubelet makes those of its pods in.
fn control_groups(place: &Place, number: u8) -> Result<()> {
    let groups = Path::new("/sys/fs/cgroup");
    let (top, node) = (place.name.clone(), format!("{}/node-{number}", place.name));
    if groups.join("cgroup.controllers").exists() {
        let all = "+cpu +cpuset +memory +pids";
        fs::write(groups.join("cgroup.subtree_control"), all)?;
        fs::create_dir_all(groups.join(&node))?;
        fs::write(groups.join(&top).join("cgroup.subtree_control"), all)?;
        return Ok(());
    }
    for controller in fs::read_dir(groups)?.flatten() {
        let controller = controller.path();
        for group in [&top, &node] {
            // A new group of this controller is without processors and memory, and takes no process.
            let (above, group) = (controller.join(group).join(".."), controller.join(group));
            if group.exists() || fs::create_dir(&group).is_err() {
                continue;
            }
            for file in ["cpuset.cpus", "cpuset.mems"] {
                if let Ok(value) = fs::read_to_string(above.join(file)) {
                    fs::write(group.join(file), value)?;
                }
            }
        }
    }
    Ok(())
}

pub(super) fn kubectl(place: &Place, programs: &Path, args: &[&str]) -> Command {
    let mut kubectl = Command::new(programs.join("kubectl"));
    kubectl
        .arg("--kubeconfig")
        .arg(place.kubeconfig())
        .args(args);
    kubectl
}

/// Writes a file of the recipe with its `{values}` filled in.
fn fill(place: &Place, name: &str, to: &Path, values: &[(&str, &str)]) -> Result<()> {
    let path = recipe(name);
    let mut text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    let run = place.run.display().to_string();
    let own = [
        ("{run}", run.as_str()),
        ("{cgroup}", &place.name),
        ("{address}", &place.address),
    ];
    for (field, value) in own.iter().chain(values) {
        text = text.replace(field, value);
    }
    fs::write(to, text).with_context(|| format!("write {}", to.display()))
}
