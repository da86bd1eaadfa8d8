//! An operator with much to do, whose pods are played, and what it costs.

use std::{
    collections::BTreeMap,
    fs,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::batch::v1::Job;
use kube::{
    Api, ResourceExt as _,
    runtime::{WatchStreamExt as _, watcher},
};
use musubi_api::run::Stage;
use musubi_testing::Cluster;
use serde_json::{Value, json};
use tokio::{
    process::Child,
    sync::mpsc::{self, UnboundedReceiver},
    task::JoinHandle,
};

use super::{
    World,
    gateway::{Gateway, Trick},
    ledger::Calls,
    object,
    operator::{Operator, kubeconfig},
    soak,
};

/// Nodes that are played.
const NODES: &str = "10";
/// How long Jobs may take, also very many.
const PATIENCE: Duration = Duration::from_secs(3600);
/// The operator has nothing to do when it asked for nothing for so long.
const QUIET: Duration = Duration::from_secs(5);

/// A world in which pods are played, and an operator beside the cluster whose calls are counted.
pub(crate) struct Load {
    pub(crate) world: World,
    pub(crate) gateway: Gateway,
    pub(crate) jobs: Timeline,
    process: Child,
    /// What the operator says.
    _said: UnboundedReceiver<String>,
}

impl Load {
    pub(crate) async fn new(cluster: Cluster, name: &str) -> Self {
        let world = World::new(cluster, name).await;
        world.order(&["play", NODES]);
        world.install_replicas(0);
        let known = kubeconfig(&world.cluster, world.folder.path(), &world.namespace);
        let (gateway, _) = Gateway::open(&known, Trick::None).await;
        let (lines, said) = mpsc::unbounded_channel();
        let operator = Operator {
            image: world.cluster.image.clone(),
            kubeconfig: gateway.kubeconfig.clone(),
            namespace: world.namespace.clone(),
            ahead: 0,
            lines,
        };
        let process = operator.start("musubi");
        let jobs = Timeline::watch(&world);
        Self {
            world,
            gateway,
            jobs,
            process,
            _said: said,
        }
    }

    /// Applies a Source and a CustomerPipeline of this name, whose stages have so many shards.
    pub(crate) async fn pipeline(&self, name: &str, shards: usize) {
        let world = &self.world;
        let source = json!({
            "system": "loyalty", "connector": { "s3": world.s3("files") },
            "streams": [{
                "name": "members", "files": { "path": "*.csv" }, "format": { "csv": {} },
                "entities": [{ "entity": "customer", "key": ["id"], "fields": { "email": { "from": "email" } } }],
            }],
        });
        let pipeline = json!({
            "sources": [name], "lake": { "s3": world.s3(&format!("lakes/{name}")) },
            "schedule": { "cron": "30 4 * * *", "timeZone": "Asia/Tokyo" },
            "pods": {
                "memory": "512Mi", "cpu": "100m", "parallelism": 500, "nodeSelector": { "kwok.x-k8s.io/node": "fake" },
                "tolerations": [{ "key": "kwok.x-k8s.io/node", "operator": "Exists", "effect": "NoSchedule" }],
                "annotations": {
                    // Between the two, by chance.
                    "pod-complete.stage.kwok.x-k8s.io/delay": soak::either("1s", "10s"),
                    "pod-complete.stage.kwok.x-k8s.io/jitter-delay": soak::either("2s", "40s"),
                    "played/shards": shards.to_string(),
                },
            },
        });
        world.apply(&object("Source", name, source)).await;
        world
            .apply(&object("CustomerPipeline", name, pipeline))
            .await;
    }

    /// Applies so many pipelines of one shard, and gives their names.
    pub(crate) async fn pipelines(&self, n: usize) -> Vec<String> {
        let names: Vec<String> = (0..n).map(|n| format!("narrow-{n}")).collect();
        let applied = stream::iter(&names).map(|name| self.pipeline(name, 1));
        applied.buffer_unordered(8).collect::<()>().await;
        names
    }

    /// Begins a run of a pipeline, under its name.
    pub(crate) async fn begin(&self, pipeline: &str) {
        let spec = json!({ "pipeline": pipeline });
        let run = object("CustomerPipelineRun", pipeline, spec);
        self.world.apply(&run).await;
    }

    /// Waits until so many Jobs are complete.
    pub(crate) async fn complete(&self, jobs: usize) {
        let begun = Instant::now();
        while self.jobs.complete() < jobs {
            assert!(
                begun.elapsed() < PATIENCE,
                "{} of {jobs} Jobs are complete",
                self.jobs.complete()
            );
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// Waits until the operator has nothing more to do.
    pub(crate) async fn settled(&self) {
        let calls = || {
            let all = self.gateway.calls_since(&Calls::default());
            all.of_stages().values().sum::<usize>()
        };
        let mut before = calls();
        loop {
            tokio::time::sleep(QUIET).await;
            let now = calls();
            if now == before && now > 0 {
                return;
            }
            before = now;
        }
    }

    /// What the operator takes now: memory, the most it took so far, and the processor's time so far.
    pub(crate) fn cost(&self) -> Cost {
        let process = self.process.id().expect("the operator ended");
        let status =
            fs::read_to_string(format!("/proc/{process}/status")).expect("the operator ended");
        let mib = |field: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(field));
            let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
            kib.unwrap_or_default() / 1024
        };
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).expect("the operator ended");
        let fields = stat
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .split_whitespace();
        // utime and stime, in ticks of a hundredth of a second.
        let ticks = fields
            .skip(11)
            .take(2)
            .filter_map(|n| n.parse::<u64>().ok())
            .sum::<u64>();
        Cost {
            memory: mib("VmRSS"),
            most: mib("VmHWM"),
            processor: Duration::from_millis(ticks * 10),
        }
    }
}

/// What an operator takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    /// Resident, in MiB.
    pub(crate) memory: u64,
    /// The most that was resident so far, in MiB.
    pub(crate) most: u64,
    /// Time of a processor so far.
    pub(crate) processor: Duration,
}

/// How much the processors of this machine did until some time, in ticks: all, and of these nothing.
pub(crate) struct Busy(u64, u64);

impl Busy {
    pub(crate) fn now() -> Self {
        let stat = fs::read_to_string("/proc/stat").expect("/proc/stat");
        let all = stat.lines().next().unwrap_or_default();
        let ticks = all.split_whitespace().skip(1);
        // user, nice, system, idle, iowait, irq, softirq, steal.
        let ticks: Vec<u64> = ticks.take(8).filter_map(|n| n.parse().ok()).collect();
        Self(ticks.iter().sum(), ticks.iter().skip(3).take(2).sum())
    }

    /// How much of the time since then they were busy, in percent.
    pub(crate) fn since(&self) -> f64 {
        let Self(all, idle) = Self::now();
        let (all, idle) = (all - self.0, idle.saturating_sub(self.1));
        100.0 * (1.0 - idle as f64 / all.max(1) as f64)
    }
}

/// When Jobs were seen to begin and to be complete.
pub(crate) struct Timeline {
    seen: Arc<Mutex<BTreeMap<(String, Stage), Seen>>>,
    watch: JoinHandle<()>,
}

#[derive(Clone, Copy)]
struct Seen {
    made: Instant,
    complete: Option<Instant>,
}

impl Timeline {
    fn watch(world: &World) -> Self {
        let seen: Arc<Mutex<BTreeMap<(String, Stage), Seen>>> = Arc::default();
        let api: Api<Job> = Api::namespaced(world.client.clone(), &world.namespace);
        let into = seen.clone();
        let watch = tokio::spawn(async move {
            let mut jobs = watcher(api, watcher::Config::default())
                .default_backoff()
                .applied_objects()
                .boxed();
            while let Ok(Some(job)) = jobs.try_next().await {
                let now = Instant::now();
                let label = |name: &str| job.labels().get(name).cloned().unwrap_or_default();
                let stage = Value::from(label("musubi.dev/stage"));
                let stage = serde_json::from_value(stage).expect("a stage");
                let mut seen = into.lock().unwrap_or_else(PoisonError::into_inner);
                let job_seen = seen
                    .entry((label("musubi.dev/pipeline"), stage))
                    .or_insert(Seen {
                        made: now,
                        complete: None,
                    });
                let conditions = job.status.iter().flat_map(|s| &s.conditions).flatten();
                let mut complete =
                    conditions.filter(|c| c.type_ == "Complete" && c.status == "True");
                if complete.next().is_some() {
                    job_seen.complete.get_or_insert(now);
                }
            }
        });
        Self { seen, watch }
    }

    fn all(&self) -> BTreeMap<(String, Stage), Seen> {
        assert!(!self.watch.is_finished(), "the watch broke off");
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// How many there were.
    pub(crate) fn count(&self) -> usize {
        self.all().len()
    }

    /// How many of them are complete.
    pub(crate) fn complete(&self) -> usize {
        self.all()
            .values()
            .filter(|job| job.complete.is_some())
            .count()
    }

    /// When the first Job of a pipeline was seen.
    pub(crate) async fn first(&self, pipeline: &str) -> Instant {
        let key = (pipeline.to_owned(), Stage::Plan);
        loop {
            if let Some(seen) = self.all().get(&key) {
                return seen.made;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// From a Job's end to the beginning of the next, of each run; sorted.
    pub(crate) fn pauses(&self) -> Vec<Duration> {
        let all = self.all();
        let mut pauses = Vec::new();
        for ((pipeline, stage), seen) in &all {
            let at = Stage::ALL
                .iter()
                .position(|s| s == stage)
                .unwrap_or_default();
            let next = Stage::ALL.get(at + 1);
            let next = next.and_then(|next| all.get(&(pipeline.clone(), *next)));
            if let Some((next, complete)) = next.zip(seen.complete) {
                pauses.push(next.made.saturating_duration_since(complete));
            }
        }
        pauses.sort();
        pauses
    }
}

/// The value below which so many of a hundred lie.
pub(crate) fn percentile(sorted: &[Duration], hundredth: usize) -> Duration {
    let at = (sorted.len() * hundredth).div_ceil(100).saturating_sub(1);
    sorted.get(at).copied().unwrap_or_default()
}
