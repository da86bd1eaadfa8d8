//! What the operator makes, as pure functions: names, the pinned snapshot, Jobs. None of them touches the
//! Kubernetes API.

pub(crate) mod credentials;
pub(crate) mod destroy;
pub(crate) mod job;
pub(crate) mod names;
pub(crate) mod pod;
pub(crate) mod snapshot;

/// Group of the project's labels and annotations.
pub(crate) const PREFIX: &str = "musubi.dev";

/// Annotation of a pod: the run that it works for.
pub(crate) const RUN: &str = "musubi.dev/run";

/// Who made an object.
pub(crate) const MANAGER: &str = "musubi-operator";

/// Finalizer of a pipeline whose lake goes with it.
pub(crate) const LAKE: &str = "musubi.dev/lake";

/// Annotation of a run that is over: `Complete` or `Failed`.
pub(crate) const ENDED: &str = "musubi.dev/ended";

/// Annotation of a run: the version that it published.
pub(crate) const PUBLISHED: &str = "musubi.dev/published";

/// Annotation of a pipeline for which nothing new is made: `true`.
pub(crate) const PAUSED: &str = "musubi.dev/paused";

/// Whether a pipeline is paused.
pub(crate) fn paused(pipeline: &impl kube::Resource) -> bool {
    let annotations = pipeline.meta().annotations.as_ref();
    annotations
        .and_then(|all| all.get(PAUSED))
        .is_some_and(|said| said == "true")
}
