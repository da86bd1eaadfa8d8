//! Resource types, validation, `run.yaml` and stage reports: what both planes of musubi share.
//!
//! No Kubernetes client, no I/O but reading the files that hold resources.

pub mod audience;
pub mod conditions;
pub mod entity;
pub mod expr;
pub mod pipeline;
pub mod policy;
pub mod run;
pub mod source;
pub mod warehouse;
