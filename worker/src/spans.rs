//! Spans of a shard's work, in the trace of its run.
//!
//! The operator makes one trace of each run and tells a pod its place in it by `TRACEPARENT`. A span has a name, and
//! counts: never a value of a person, never the key of an object. Built without the feature `traces`, nothing is sent.

#[cfg(not(feature = "traces"))]
mod off;
#[cfg(feature = "traces")]
mod otlp;

#[cfg(not(feature = "traces"))]
pub(crate) use off::{Spans, counted, failed, open};
#[cfg(feature = "traces")]
pub(crate) use otlp::{Spans, counted, failed, open};
