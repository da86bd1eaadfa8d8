//! What the operator makes, as pure functions: names, the pinned snapshot, Jobs. None of them touches the
//! Kubernetes API.

pub(crate) mod credentials;
pub(crate) mod job;
pub(crate) mod names;
pub(crate) mod snapshot;

/// Group of the project's labels and annotations.
pub(crate) const PREFIX: &str = "musubi.dev";

/// Annotation of a pod: the run that it works for.
pub(crate) const RUN: &str = "musubi.dev/run";

/// Who made an object.
pub(crate) const MANAGER: &str = "musubi-operator";
