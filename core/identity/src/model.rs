//! The model: everything that a score depends on besides the two records. A small JSON file that a
//! person can read; values of fields appear in it as hashes only.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

use crate::blocking::{Hubs, RULES};
use crate::compare::{COMPARISON, COMPARISONS, Comparison, LEVELS};
use crate::error::IdentityError;
use crate::lexicon::Lexicon;
use crate::train::Refined;

/// Format of the model that this version reads and writes.
pub const MODEL_FORMAT: u32 = 3;

/// A trained model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// Format; see [`MODEL_FORMAT`].
    pub format: u32,
    /// Records that it was trained on.
    pub records: u64,
    /// Seed of the samples.
    pub seed: u64,
    /// Share of all pairs that are one person.
    pub lambda_person: f64,
    /// Share of all pairs that are two members of one household.
    pub lambda_household: f64,
    /// What the records taught about names.
    pub lexicon: Lexicon,
    /// Parameters by comparison.
    pub comparisons: Vec<Parameters>,
    /// Rules with what they make.
    pub rules: Vec<RuleStats>,
    /// What a person should know before trusting it.
    pub diagnostics: Vec<Diagnostic>,
    /// What labels changed; nothing where they did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refined: Option<Refined>,
}

/// Parameters of one comparison.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Parameters {
    /// Comparison.
    pub comparison: String,
    /// Whether it takes part; one without data does not.
    pub used: bool,
    /// Per level.
    pub levels: Vec<Level>,
    /// How far members of one household agree as one person does.
    pub household: f64,
    /// Frequency of the values, by hash of the value: the most frequent ones.
    pub frequencies: BTreeMap<String, f64>,
    /// Frequency of any other value; 0 when frequencies do not apply.
    pub default_frequency: f64,
}

impl Parameters {
    /// Of a comparison that takes no part.
    fn left_out(comparison: &Comparison) -> Self {
        let shares = comparison.m.iter().zip(comparison.u);
        let levels = comparison.levels.iter().zip(shares);
        let level = |(level, (m, u)): (&&str, (&f64, &f64))| Level {
            level: (*level).to_owned(),
            m: *m,
            u: *u,
        };
        Self {
            comparison: comparison.name.to_owned(),
            used: false,
            levels: levels.map(level).collect(),
            household: comparison.household,
            frequencies: BTreeMap::new(),
            default_frequency: 0.0,
        }
    }
}

/// One level.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Level {
    /// Name.
    pub level: String,
    /// Probability among pairs that are one person.
    pub m: f64,
    /// Probability among unrelated pairs.
    pub u: f64,
}

/// What a blocking rule makes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RuleStats {
    /// Rule.
    pub rule: String,
    /// Blocks of two and more records.
    pub blocks: u64,
    /// Records of the largest block.
    pub largest: u64,
    /// Pairs at most, after refinement; a pair counts in every rule that makes it.
    pub pairs: u64,
    /// Pairs of one person, as expected, that this rule makes and none before it, among those likely enough to be kept.
    pub matches: f64,
    /// Whether it is left out: it makes many pairs for the matches that it alone would find.
    pub idle: bool,
    /// Keys of the blocks that are refined, and of their parts that are refined once more.
    pub hubs: Vec<u32>,
}

impl RuleStats {
    /// Of a rule that has made nothing yet.
    pub(crate) fn of(rule: &str) -> Self {
        Self {
            rule: rule.to_owned(),
            blocks: 0,
            largest: 0,
            pairs: 0,
            matches: 0.0,
            idle: false,
            hubs: Vec::new(),
        }
    }
}

/// Something to know about a parameter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    /// What kind.
    pub kind: Doubt,
    /// Comparison, and level where it is about one.
    pub parameter: String,
    /// In a sentence.
    pub message: String,
}

/// Kinds of doubt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Doubt {
    /// Too few pairs: the belief from before the data decides.
    Starved,
    /// It still moved when training ended.
    Unstable,
    /// It says the opposite of what it should; what was believed before the data is used instead.
    Implausible,
}

impl Model {
    /// Version: a hash of the content.
    #[must_use]
    pub fn version(&self) -> String {
        let json = serde_json::to_string(self).unwrap_or_default();
        format!("m{:016x}", xxh3_128(json.as_bytes()) as u64)
    }

    /// As JSON that a person can read.
    ///
    /// # Errors
    /// Only when a parameter is no number.
    pub fn to_json(&self) -> Result<String, IdentityError> {
        serde_json::to_string_pretty(self).map_err(|e| IdentityError::Model(e.to_string()))
    }

    /// From JSON.
    ///
    /// # Errors
    /// When it is no model, or one of another format.
    pub fn from_json(json: &str) -> Result<Self, IdentityError> {
        let mut model: Self =
            serde_json::from_str(json).map_err(|e| IdentityError::Model(e.to_string()))?;
        // One from before a comparison was known leaves it out.
        let later = COMPARISON.iter().skip(model.comparisons.len());
        model.comparisons.extend(later.map(Parameters::left_out));
        let shaped = model.comparisons.len() == COMPARISONS
            && model
                .comparisons
                .iter()
                .zip(&COMPARISON)
                .all(|(p, c)| p.comparison == c.name && p.levels.len() == c.levels.len());
        if model.format != MODEL_FORMAT || !shaped || model.rules.len() > RULES.len() {
            return Err(IdentityError::Model(format!(
                "its format is {}, this version reads {MODEL_FORMAT}",
                model.format
            )));
        }
        Ok(model)
    }

    /// Numbers to six digits: what a person can read, and what JSON gives back exactly.
    pub(crate) fn rounded(mut self) -> Self {
        let round = |x: &mut f64| *x = format!("{:.5e}", *x).parse().unwrap_or(*x);
        round(&mut self.lambda_person);
        round(&mut self.lambda_household);
        for p in &mut self.comparisons {
            for level in &mut p.levels {
                round(&mut level.m);
                round(&mut level.u);
            }
            p.frequencies.values_mut().for_each(round);
            round(&mut p.default_frequency);
        }
        if let Some(refined) = &mut self.refined {
            round(&mut refined.before);
            round(&mut refined.after);
        }
        self.rules.iter_mut().for_each(|r| round(&mut r.matches));
        self
    }

    pub(crate) fn hubs(&self) -> Hubs {
        // A model from before a rule was known leaves it out, so that what was found by it stays as it is.
        let mut hubs = Hubs {
            idle: [true; RULES.len()],
            ..Hubs::default()
        };
        for (r, stats) in self.rules.iter().enumerate() {
            hubs.idle[r] = stats.idle;
            hubs.keys.extend(stats.hubs.iter().map(|k| (r as u8, *k)));
        }
        hubs
    }

    /// m or u by comparison and level; level 0 is 1.
    pub(crate) fn table(&self, of: impl Fn(&Level) -> f64) -> [[f64; LEVELS]; COMPARISONS] {
        let mut out = [[1.0; LEVELS]; COMPARISONS];
        for (row, p) in out.iter_mut().zip(&self.comparisons) {
            if p.used {
                for (slot, level) in row[1..].iter_mut().zip(&p.levels) {
                    *slot = of(level);
                }
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_from_before_a_rule_was_known_leaves_it_out() {
        let mut model = Model {
            format: MODEL_FORMAT,
            records: 0,
            seed: 1,
            lambda_person: 0.1,
            lambda_household: 0.1,
            lexicon: Lexicon::default(),
            comparisons: Vec::new(),
            rules: RULES.iter().map(|r| RuleStats::of(r.name)).collect(),
            diagnostics: Vec::new(),
            refined: None,
        };
        assert!(!model.hubs().idle.contains(&true));
        model.rules.pop();
        let mut want = [false; RULES.len()];
        want[RULES.len() - 1] = true;
        assert_eq!(model.hubs().idle, want);
    }
}
