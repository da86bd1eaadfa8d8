//! The seeded world of a bento retailer, its run and its score.
//!
//! [`examples`] holds the resources that a user copies; [`world`] writes the exports of ten disagreeing
//! systems and, aside, the truth about them; [`score`] holds a run's result against that truth.

pub mod catalog;
pub mod examples;
pub mod names;
pub mod outcome;
pub mod person;
pub mod places;
pub mod score;
pub mod sink;
pub mod spell;
pub mod truth;
pub mod world;
