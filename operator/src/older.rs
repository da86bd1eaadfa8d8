//! What an older release left in a cluster, as it was recorded there: it is read, and would be written the same.

use std::path::Path;

use k8s_openapi::api::{batch::v1::Job, core::v1::Container};
use kube::{Resource as _, ResourceExt as _};
use musubi_api::{
    run::{ReadError, Run, Stage},
    status::{CustomerPipelineRunStatus, StageState},
};

use crate::build::{job, snapshot};

fn read(file: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/release");
    std::fs::read_to_string(folder.join(file)).unwrap_or_else(|e| panic!("{file}: {e}"))
}

fn run() -> Run {
    Run::read(&read("run.yaml"), "operator").unwrap_or_else(|e| panic!("{e}"))
}

fn status() -> CustomerPipelineRunStatus {
    serde_saphyr::from_str(&read("status.yaml")).unwrap_or_else(|e| panic!("{e}"))
}

/// So it can be made again when it is deleted, and an older worker could read what is written today.
#[test]
fn its_snapshot_is_pinned_byte_by_byte_as_it_was() {
    let (text, recorded) = (read("run.yaml"), status().snapshot);
    let pinned = snapshot::pin(&run()).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(pinned.yaml, text);
    assert_eq!(recorded.and_then(|s| s.sha256), Some(pinned.sha256));
}

/// Workers keep the image that the run began with: a Job of today tells them what a Job of then did.
#[test]
fn its_workers_are_told_what_they_know() {
    let recorded: Job = serde_saphyr::from_str(&read("job.yaml")).unwrap_or_else(|e| panic!("{e}"));
    let status = status();
    let snapshot = status
        .snapshot
        .clone()
        .unwrap_or_else(|| panic!("a snapshot"));
    let stage = &status.stages[0];
    assert_eq!(
        (stage.stage, stage.state),
        (Stage::Plan, StageState::Running)
    );
    let run = run();
    let made = job::job(&job::Attempt {
        name: &recorded.name_any(),
        owner: recorded.owner_references()[0].clone(),
        run: &run,
        config_map: &snapshot.config_map,
        sha256: snapshot.sha256.as_deref().unwrap_or_default(),
        image: &snapshot.image,
        stage: stage.stage,
        shards: stage.shards,
        repeats: None,
        memory: None,
        parallelism: run.spec.pods.parallelism,
        trace: Vec::new(),
    });
    assert_eq!(made.meta().name, stage.job);
    let pod = |job: &Job| job.spec.clone().and_then(|s| s.template.spec);
    let (made, recorded) = (pod(&made), pod(&recorded));
    let (made, recorded) = (made.unwrap_or_default(), recorded.unwrap_or_default());
    let (new, old) = (&made.containers[0], &recorded.containers[0]);
    assert_eq!((&new.command, &new.args), (&old.command, &old.args));
    assert_eq!(new.env, old.env);
    // What is false is not kept by the API server.
    let places = |worker: &Container| -> Vec<(String, String)> {
        let mounts = worker.volume_mounts.iter().flatten();
        let mounts = mounts.map(|m| (m.name.clone(), m.mount_path.clone()));
        mounts.collect()
    };
    assert_eq!(places(new), places(old));
    assert_eq!(new.termination_message_path, old.termination_message_path);
}

#[test]
fn a_newer_snapshot_is_told_from_a_broken_one() {
    let text = read("run.yaml");
    let newer = text.replacen("format: 1\n", "format: 2\nplanet: mars\n", 1);
    let refused = Run::read(&newer, "operator");
    assert_eq!(refused, Err(ReadError::Newer(2, "operator")));
    let unknown = text.replacen("format: 1\n", "format: 1\nplanet: mars\n", 1);
    assert!(matches!(
        Run::read(&unknown, "operator"),
        Err(ReadError::Malformed(_))
    ));
    assert!(matches!(
        Run::read(&text.replacen("format: 1\n", "format: 0\n", 1), "operator"),
        Err(ReadError::Older(0, _))
    ));
}
