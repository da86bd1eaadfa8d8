//! What is done to a lake between runs: looking back, going back, clearing away, and the end.

pub mod destroy;
pub mod gc;
pub mod log;
pub mod rollback;
