//! The lake: storage, layout, shard commits, Delta tables and the published pointer.
//!
//! Everything that must happen once rests on two operations of [`Store`]: put-if-absent and
//! compare-and-swap. Both are real on folders and on S3.

pub mod delta;
mod durable;
mod error;
mod folder;
pub mod manifest;
pub mod parquet;
pub mod pointer;
mod store;

pub use error::{Error, Result};
pub use store::{Location, Meta, Patience, Scrap, Store, Tag};
