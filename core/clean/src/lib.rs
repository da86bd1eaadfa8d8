//! Normalisers, contracts and mappings: from raw rows to clean entities.

pub mod raw;
pub mod schema;
