//! A run that can begin, whatever happens to its operators, and the Jobs that there ever were.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};

use futures::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use kube::{
    Api, ResourceExt as _,
    runtime::{WatchStreamExt as _, watcher},
};
use musubi::digest::{Ids, published};
use musubi_api::run::Stage;
use musubi_testing::Cluster;
use serde_json::json;
use tokio::{
    sync::mpsc::{self, UnboundedReceiver},
    task::JoinHandle,
};

use super::{
    World,
    example::{Digests, Example, pipeline},
    operator::{Operator, kubeconfig},
};

/// A run that can begin: whoever starts an operator, starts it.
pub(crate) struct Scene {
    pub(crate) world: World,
    expected: Digests,
    pub(crate) jobs: Jobs,
    pub(crate) operator: Operator,
    /// What operators say.
    said: UnboundedReceiver<String>,
}

impl Scene {
    /// Sets it: the example, as the world of a test has it, and what it comes to on a laptop.
    pub(crate) async fn set(cluster: Cluster, name: &str) -> Self {
        let world = World::new(cluster, name).await;
        let example = Example::new(1);
        example.receive(0, &world).await;
        let mut resources = Example::resources(&world, None);
        pipeline(&mut resources)["sharding"] = json!({ "shards": 1 });
        for object in &resources {
            world.apply(object).await;
        }
        world.install_replicas(0);
        let as_of: Timestamp = "2026-11-25T04:30:00+09:00".parse().expect("an instant");
        world.begin("first", "bento", as_of).await;
        let expected = example.on_a_laptop(as_of).await;
        let (lines, said) = mpsc::unbounded_channel();
        let operator = Operator {
            image: world.cluster.image.clone(),
            kubeconfig: kubeconfig(&world.cluster, world.folder.path(), &world.namespace),
            namespace: world.namespace.clone(),
            ahead: 0,
            lines,
        };
        let jobs = Jobs::watch(&world);
        Self {
            world,
            expected,
            jobs,
            operator,
            said,
        }
    }

    /// The run completes, with the tables that it would have had undisturbed. Gives attempts at stages.
    pub(crate) async fn ends_as_if_nothing_had_happened(&mut self) -> BTreeMap<Stage, i32> {
        let run = self.world.runs_to_end("first").await;
        let status = run.status.unwrap_or_default();
        let phase = status.phase.as_deref();
        if phase != Some("Complete") {
            let mut said = Vec::new();
            while let Ok(line) = self.said.try_recv() {
                said.push(line);
            }
            let last = said.len().saturating_sub(40);
            panic!(
                "{phase:?}: {:#?}\n{}",
                status.conditions,
                said[last..].join("\n")
            );
        }
        assert_eq!(status.published_version, Some(1));
        let digests = published(&self.world.store("lake"), Ids::Published).await;
        assert_eq!(digests.expect("digests"), self.expected);
        let ran = status.stages.iter().filter(|s| s.job.is_some());
        ran.map(|s| (s.stage, s.attempt)).collect()
    }
}

/// Every Job that there ever was: the API server's word, not the operator's.
pub(crate) struct Jobs {
    seen: Arc<Mutex<BTreeMap<String, BTreeSet<String>>>>,
    watch: JoinHandle<()>,
}

impl Jobs {
    pub(crate) fn watch(world: &World) -> Self {
        let seen: Arc<Mutex<BTreeMap<String, BTreeSet<String>>>> = Arc::default();
        let (api, into) = (jobs(world), seen.clone());
        let watch = tokio::spawn(async move {
            let mut jobs = watcher(api, watcher::Config::default())
                .default_backoff()
                .touched_objects()
                .boxed();
            while let Ok(Some(job)) = jobs.try_next().await {
                let mut seen = into.lock().unwrap_or_else(PoisonError::into_inner);
                let uids = seen.entry(job.name_any()).or_default();
                uids.insert(job.uid().unwrap_or_default());
            }
        });
        Self { seen, watch }
    }

    /// There was one Job for each attempt.
    pub(crate) fn one_for_each_attempt(&self, attempts: &BTreeMap<Stage, i32>) {
        assert!(!self.watch.is_finished(), "the watch broke off");
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let twice: Vec<_> = seen.iter().filter(|(_, uids)| uids.len() > 1).collect();
        assert!(twice.is_empty(), "{twice:#?}");
        let attempts: i32 = attempts.values().sum();
        assert_eq!(i32::try_from(seen.len()), Ok(attempts), "{seen:#?}");
    }
}

/// The Jobs of a world.
pub(crate) fn jobs(world: &World) -> Api<Job> {
    Api::namespaced(world.client.clone(), &world.namespace)
}

/// What attempts there are at stages when nothing happens.
pub(crate) fn once_each() -> BTreeMap<Stage, i32> {
    // No warehouse and no audience: load and activate have no shard.
    let stages = Stage::ALL.into_iter();
    let stages = stages.filter(|s| !matches!(s, Stage::Load | Stage::Activate));
    stages.map(|stage| (stage, 1)).collect()
}
