//! Which records are one customer.
//!
//! The line is [`Features::build`] → [`train`] → [`Matcher::shard`] → [`link`], then [`survivorship`] for golden
//! records. No function here does I/O: all take columns and give columns, so that a stage can keep what it
//! likes. Everything is deterministic, whatever the order of records, the number of shards or of threads.

mod affected;
mod blocking;
mod bound;
mod by_key;
mod compare;
mod copies;
mod edge;
mod error;
pub mod evaluate;
mod explain;
mod features;
mod fold;
mod frequency;
mod group;
mod guard;
mod household;
mod identifiers;
mod ids;
mod lexicon;
mod link;
mod matching;
mod model;
mod nicknames;
mod placeholders;
mod policy;
mod pool;
mod preview;
mod registry;
mod repair;
mod review;
mod score;
mod serve;
pub mod survivorship;
mod train;

pub use affected::Change;
pub use blocking::{KEY_SLOTS, Room};
pub use compare::{COMPARISON, COMPARISONS, Comparison, LEVELS, Levels};
pub use edge::{
    Edge, Edges, EdgesReader, IDENTIFIER_RULE, PIN_RULE, edges_to_batches, rule_name,
    voids_to_batch,
};
pub use error::IdentityError;
pub use explain::{
    ClusterExplanation, Explanation, Link, Member, Part, Split, explain, explain_customer,
};
pub use features::{Features, FeaturesBuilder, RecordSet};
pub use fold::tells_generation;
pub use group::{Grouped, group};
pub use guard::Guard;
pub use ids::{CustomerId, FirstIds, HouseholdId, IdEvent};
pub use lexicon::{Lexicon, Name};
pub use link::{Linked, link, relink};
pub use model::{Diagnostic, Doubt, Level, MODEL_FORMAT, Model, Parameters, RuleStats};
pub use policy::{Decision, Identifier, Pin, Policy, Survivor};
pub use preview::Preview;
pub use registry::{Customer, Registry, RegistryReader, Row as RegistryRow};
pub use review::{Question, review};
pub use score::Matcher;
pub use serve::{Answer, Candidate, Index};
pub use train::{Refined, train, train_within};
