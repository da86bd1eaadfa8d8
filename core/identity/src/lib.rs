//! Which records are one customer.
//!
//! The line is [`Features::build`] → [`train`] → [`match_shard`] → [`link`], then [`survivorship`] for golden
//! records. No function here does I/O: all take columns and give columns, so that a stage can keep what it
//! likes. Everything is deterministic, whatever the order of records, the number of shards or of threads.

mod blocking;
mod compare;
mod error;
pub mod evaluate;
mod explain;
mod features;
mod fold;
mod frequency;
mod guard;
mod household;
mod ids;
mod lexicon;
mod link;
mod model;
mod policy;
mod preview;
mod repair;
mod score;
pub mod survivorship;
mod train;

pub use blocking::KEY_SLOTS;
pub use compare::{COMPARISON, COMPARISONS, Comparison, LEVELS, Levels};
pub use error::IdentityError;
pub use explain::{Explanation, Part, explain};
pub use features::{Features, FeaturesBuilder, RecordSet};
pub use guard::Guard;
pub use household::{Households, household_of};
pub use ids::{IdEvent, Registry};
pub use lexicon::{Lexicon, Name};
pub use link::{Linked, link};
pub use model::{Diagnostic, Doubt, Level, MODEL_FORMAT, Model, Parameters, RuleStats};
pub use policy::{Decision, Identifier, Pin, Policy, Survivor};
pub use preview::Preview;
pub use score::{Edge, Edges, IDENTIFIER_RULE, PIN_RULE, match_shard, rule_name};
pub use train::train;
