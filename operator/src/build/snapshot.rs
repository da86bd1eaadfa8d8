//! The snapshot that a run is pinned to: one immutable ConfigMap with `run.yaml`.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::ConfigMap,
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference},
};
use musubi_api::run::Run;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::{MANAGER, PREFIX};

/// Bytes that `run.yaml` may have. A ConfigMap takes 1 MiB with all that belongs to it.
pub(crate) const LIMIT: usize = 900 << 10;
/// Key of the ConfigMap, and name of the file.
pub(crate) const FILE: &str = "run.yaml";

/// `run.yaml`, and its digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pinned {
    /// The text.
    pub(crate) yaml: String,
    /// Its SHA-256, hex.
    pub(crate) sha256: String,
}

/// Why a run cannot be pinned.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SnapshotError {
    /// It does not fit.
    #[error(
        "the resources of this run take {size} KiB, and a ConfigMap holds {} KiB: split pipeline \
         {pipeline} into several that have fewer sources each; the largest are {largest}",
        LIMIT >> 10
    )]
    TooLarge {
        /// Pipeline.
        pipeline: String,
        /// Size in KiB.
        size: usize,
        /// The largest resources, with their sizes.
        largest: String,
    },
    /// It cannot be written.
    #[error("run.yaml cannot be written: {0}")]
    Write(String),
}

/// Writes `run.yaml`.
pub(crate) fn pin(run: &Run) -> Result<Pinned, SnapshotError> {
    let yaml = text(run)?;
    if yaml.len() > LIMIT {
        return Err(SnapshotError::TooLarge {
            pipeline: run.pipeline.clone(),
            size: yaml.len() >> 10,
            largest: largest(run)?,
        });
    }
    Ok(Pinned::of(yaml))
}

impl Pinned {
    /// A text that is `run.yaml`.
    pub(crate) fn of(yaml: String) -> Self {
        let sha256 = hex::encode(Sha256::digest(&yaml));
        Self { yaml, sha256 }
    }
}

fn text(value: &impl Serialize) -> Result<String, SnapshotError> {
    serde_saphyr::to_string(value).map_err(|e| SnapshotError::Write(e.to_string()))
}

/// The three largest sources.
fn largest(run: &Run) -> Result<String, SnapshotError> {
    let mut sizes = Vec::new();
    for (name, source) in &run.sources {
        sizes.push((text(source)?.len() >> 10, name));
    }
    sizes.sort_by(|a, b| b.cmp(a));
    let named = sizes.iter().take(3);
    let named: Vec<String> = named
        .map(|(size, name)| format!("Source {name} ({size} KiB)"))
        .collect();
    Ok(named.join(", "))
}

/// The ConfigMap that a run is pinned to. It cannot be changed, and goes with its run.
pub(crate) fn config_map(
    name: &str,
    namespace: &str,
    owner: OwnerReference,
    pipeline: &str,
    pinned: &Pinned,
) -> ConfigMap {
    let labels = BTreeMap::from([
        ("app.kubernetes.io/managed-by".into(), MANAGER.into()),
        (format!("{PREFIX}/pipeline"), pipeline.into()),
        (format!("{PREFIX}/run-uid"), owner.uid.clone()),
    ]);
    ConfigMap {
        metadata: ObjectMeta {
            name: Some(name.into()),
            namespace: Some(namespace.into()),
            labels: Some(labels),
            owner_references: Some(vec![owner]),
            ..ObjectMeta::default()
        },
        immutable: Some(true),
        data: Some(BTreeMap::from([(FILE.into(), pinned.yaml.clone())])),
        ..ConfigMap::default()
    }
}

#[cfg(test)]
mod tests {
    use musubi_api::run::Run;

    use super::{LIMIT, pin};
    use crate::tests::run;

    #[test]
    fn a_worker_reads_what_was_pinned() {
        let run = run();
        let pinned = pin(&run)
            .map_err(|e| e.to_string())
            .unwrap_or_else(|e| panic!("{e}"));
        let read: Result<Run, _> = serde_saphyr::from_str(&pinned.yaml);
        assert_eq!(read.ok(), Some(run.clone()));
        assert_eq!(pin(&run).map(|p| p.sha256).ok(), Some(pinned.sha256));
    }

    #[test]
    fn what_does_not_fit_says_what_to_split() {
        let mut run = run();
        let source = run.sources["shop"].clone();
        for n in 0..2000 {
            run.sources.insert(format!("shop-{n:04}"), source.clone());
        }
        let mut wide = source;
        wide.owner = Some("x".repeat(LIMIT));
        run.sources.insert("wide".into(), wide);
        let message = pin(&run).err().map(|e| e.to_string()).unwrap_or_default();
        assert!(message.contains("a ConfigMap holds 900 KiB"), "{message}");
        assert!(message.contains("split pipeline bento"), "{message}");
        assert!(
            message.contains("the largest are Source wide (900 KiB), "),
            "{message}"
        );
    }
}
