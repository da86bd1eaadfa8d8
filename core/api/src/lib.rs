//! Resource types, validation, `run.yaml` and stage reports: what both planes of musubi share.
//!
//! No Kubernetes client, no I/O but reading the files that hold resources.

#![allow(
    clippy::duplicated_attributes,
    reason = "every printed column of a kind has a type of its own"
)]
// The schema derive makes public copies of the types inside functions.
#![allow(unreachable_pub)]

pub mod audience;
pub mod catalog;
pub mod conditions;
pub mod entity;
pub mod expr;
pub mod load;
pub mod node;
pub mod peaks;
pub mod pipeline;
pub mod pods;
pub mod policy;
pub mod problem;
pub mod reference;
pub mod resource;
pub mod run;
mod schema;
pub mod secrets;
pub mod shards;
pub mod source;
pub mod status;
mod validate;
pub mod warehouse;

pub use catalog::{Catalog, Document};
pub use load::{CLUSTER_FOLDER, load_and_validate, load_objects, load_paths, load_text};
pub use problem::{Problem, Problems};
pub use resource::{Kind, Resource};
pub use secrets::{SecretError, Secrets};
