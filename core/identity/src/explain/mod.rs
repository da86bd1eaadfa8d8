//! Explanations: why a pair has its probability.

mod cluster;
mod graph;

use serde::Serialize;

use crate::blocking::{Blocking, RULES};
use crate::compare::COMPARISON;
use crate::error::IdentityError;
use crate::model::Model;
use crate::score::{Matcher, probability};

pub use cluster::{ClusterExplanation, Link, Member, Split, explain_customer};

/// Why two records have their probability. Weights are bits (log2).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation {
    /// Record id.
    pub left: String,
    /// Record id.
    pub right: String,
    /// First blocking rule that makes the pair; none when no rule does.
    pub rule: Option<&'static str>,
    /// Weight before any comparison.
    pub prior: f64,
    /// Every comparison that both records have values for.
    pub comparisons: Vec<Part>,
    /// What is taken back because the pair agrees as two members of one household would.
    pub household: f64,
    /// Sum: the match weight.
    pub weight: f64,
    /// Probability that it is one person.
    pub probability: f64,
}

/// One comparison's part.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Part {
    /// Comparison.
    pub comparison: &'static str,
    /// Level.
    pub level: &'static str,
    /// Probability of the level among pairs that are one person.
    pub m: f64,
    /// Probability of the level among unrelated pairs.
    pub u: f64,
    /// log2(m / u), without the frequency of the value.
    pub weight: f64,
    /// What the frequency of this very value adds.
    pub frequency: f64,
}

/// Explains a pair of record ids. `model` is the one of the matcher.
///
/// # Errors
/// When a record is not among the features.
pub fn explain(
    matcher: &Matcher,
    model: &Model,
    left: &str,
    right: &str,
) -> Result<Explanation, IdentityError> {
    let index = |id: &str| {
        matcher
            .features
            .index_of(id)
            .ok_or_else(|| IdentityError::UnknownRecord(id.to_owned()))
    };
    let (a, b) = (index(left)?, index(right)?);
    let rows = (matcher.row(a), matcher.row(b));
    let levels = matcher.levels(a.min(b), a.max(b));
    let parts = matcher.parts(rows.0, rows.1, &levels);
    let comparisons: Vec<Part> = levels
        .iter()
        .enumerate()
        .filter(|(c, level)| **level != 0 && model.comparisons[*c].used)
        .map(|(c, level)| {
            let stored = model.comparisons[c].levels.get(usize::from(*level) - 1);
            // Elsewhere is as likely of anybody.
            let (m, u) = stored.map_or((1.0, 1.0), |level| (level.m, level.u));
            let bits = matcher.bits(rows.0, rows.1, c, *level);
            let weight = (m / u).log2();
            Part {
                comparison: COMPARISON[c].name,
                level: COMPARISON[c].level(*level),
                m,
                u,
                weight,
                frequency: f64::from(bits.person - bits.unrelated) - weight,
            }
        })
        .collect();
    let unrelated = (1.0 - model.lambda_person - model.lambda_household).max(0.01);
    let prior = (model.lambda_person.max(1e-15) / unrelated).log2();
    let weight = f64::from(parts.weight());
    let sum: f64 = prior
        + comparisons
            .iter()
            .map(|p| p.weight + p.frequency)
            .sum::<f64>();
    Ok(Explanation {
        left: left.to_owned(),
        right: right.to_owned(),
        rule: Blocking::new(&matcher.features, &matcher.hubs)
            .first_rule(a, b)
            .map(|r| RULES[r].name),
        prior,
        comparisons,
        household: weight - sum,
        weight,
        probability: f64::from(probability(weight as f32)),
    })
}
