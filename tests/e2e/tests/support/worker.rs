//! A worker's process, as this machine sees it: the nodes of this checkout's own cluster are processes of it.

use std::{fs, process::Command};

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;

use super::World;

/// The worker of a pod.
pub(crate) struct Worker {
    /// Its place in its Job: the shard, unless the Job repeats some.
    pub(crate) shard: String,
    process: u32,
}

impl Worker {
    /// Finds the worker of a run's pod that is at work.
    pub(crate) async fn of(world: &World, run: &str, pod: &Pod) -> Self {
        let run = world.runs().get(run).await.expect("the run");
        let snapshot = run.status.and_then(|s| s.snapshot).expect("a snapshot");
        let stage = &pod.labels()["musubi.dev/stage"];
        let shard = &pod.annotations()["batch.kubernetes.io/job-completion-index"];
        let sha256 = snapshot.sha256.expect("a digest");
        let process = process(&[stage, "--run-sha256", &sha256, "--shard", shard]);
        Self {
            shard: shard.clone(),
            process: process.expect("the worker's process"),
        }
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, name: &str) {
        let mut kill = Command::new("kill");
        let kill = kill.arg(format!("-{name}")).arg(self.process.to_string());
        let sent = kill.status().expect("kill");
        assert!(sent.success(), "{name} {}", self.process);
    }

    /// Whether it has ended. A process that is no child of ours tells nobody of its end.
    pub(crate) fn has_ended(&self) -> bool {
        let command = fs::read(format!("/proc/{}/cmdline", self.process));
        command.map_or(true, |command| command.is_empty())
    }
}

/// The process that has these arguments, in this order, whatever is between them.
fn process(arguments: &[&str]) -> Option<u32> {
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let mut numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers.find(|process| {
        let command = fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
        let mut words = command.split(|b| *b == 0);
        arguments
            .iter()
            .all(|argument| words.any(|word| word == argument.as_bytes()))
    })
}
