//! What is done to a lake between runs: looking back, going back, and clearing away.

pub mod gc;
pub mod log;
pub mod rollback;
