//! The worker: the stages of a run, what they read from and write to, and the command line around them.

pub mod activate;
pub mod cli;
pub mod dedupe;
pub mod demo;
pub mod digest;
pub mod evaluate;
pub mod lookup;
mod memory;
pub mod profile;
pub mod quarantine;
pub mod report;
pub mod review;
mod sheet;
pub mod source;
mod spans;
pub mod stage;
pub mod trace;
pub mod upkeep;
pub mod warehouse;
