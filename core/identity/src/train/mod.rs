//! Training without labels: expectation maximisation on counts of agreement patterns.
//!
//! m comes from pairs that blocking rules make, each rule a stratum with its own class shares and with the
//! comparisons it fixes left out (Fellegi and Sunter 1969; Enamorado, Fifield and Imai 2019 for counts).
//! u comes from random pairs, corrected for the matches among them. The household class has no free
//! emission of its own: it is a fixed mixture of m and u per comparison, so it cannot drift into matches.
//!
//! A birth date that is wrong altogether is at most as far from the right one as any other person's. Pairs that agree on
//! all else and were born a generation apart, beyond what that comes to, are parents and children of one name: they do
//! not teach that birth dates are often wrong.
//!
//! Where pairs are decided by people, these labels refine what came out ([`labels`]).

mod labels;
mod sample;

use crate::blocking::{GRAMS_KEYS, GRAMS_RULE, Room};
use crate::compare::{
    BIRTH, COMPARISON, COMPARISONS, EMAIL, FAMILY, GIVEN, LEVELS, Levels, PHONE, SWAPPED, elsewhere,
};
use crate::features::{Features, col};
use crate::fold::is_age;
use crate::frequency;
use crate::lexicon::Lexicon;
use crate::link::Pins;
use crate::model::{Diagnostic, Doubt, Level, MODEL_FORMAT, Model, Parameters, RuleStats};
use crate::policy::Policy;
use crate::score::Matcher;
pub use labels::Refined;
use sample::{SHARES, Sample};

/// Pairs that the belief from before the data counts for.
const BELIEF_M: f64 = 25.0;
const BELIEF_U: f64 = 1000.0;
/// Pairs a record that no rule needs to justify.
const FEW_PAIRS: usize = 2;
/// Pairs that a match is worth which no earlier rule finds.
const PAIRS_A_MATCH: f64 = 1000.0;
/// What a rare value may add to the odds that its kind of agreement has on average: a kind of pairs below the
/// probability at which pairs are kept still finds somebody when this lifts it.
const RARITY: f64 = 16.0;
/// What a pair costs that an earlier rule has made, next to one that is compared.
const PASSED_OVER: f64 = 0.2;
/// What is done in a moment needs no justification: so many pairs.
const MOMENT: f64 = 100_000.0;
const ROUNDS: usize = 4;
const ITERATIONS: usize = 25;

/// A comparison by which more than this share of the matches disagrees is not believed.
const MOSTLY: f64 = 0.5;
/// The same of given names, which tell the members of a household apart that share all else.
const OFTEN: f64 = 1.0 / 3.0;
/// Neither is one by which fewer matches agree fully than this share of what is believed.
const HARDLY_ANY: f64 = 0.1;

/// The level of birth dates that differ, and in training that of those which differ by a generation.
const DIFFERENT: usize = COMPARISON[BIRTH].levels.len();
const GENERATION: usize = DIFFERENT + 1;

/// Pairs of one household among all pairs below which they are lost.
const LOST: f64 = 10.0;

/// The level of e-mail addresses that agree before the @, and how often those of two people do at least: most are made
/// of a name that they have in common.
const LOCAL_PART: usize = 2;
const SAME_NAME: f64 = 0.001;

type Table = [[f64; LEVELS]; COMPARISONS];

/// Trains a model on the features, refined by the pairs that pins decide. Deterministic: same features, policy and seed, same
/// model.
#[must_use]
pub fn train(features: &Features, policy: &Policy, seed: u64) -> Model {
    let mut features = features.clone();
    train_within(Room::default(), &mut features, policy, seed)
}

/// [`train`] within some memory. The features come out as the model reads them, with names split and read.
#[must_use]
pub fn train_within(room: Room, features: &mut Features, policy: &Policy, seed: u64) -> Model {
    let lexicon = Lexicon::learn(features);
    *features = lexicon.resolve(std::mem::take(features));
    let mut model = unlabelled(room, features, lexicon, policy, seed);
    let pins = Pins::new(features, policy);
    if !pins.always.is_empty() || !pins.never.is_empty() {
        let matcher = Matcher::new(std::mem::take(features), &model);
        model.refined = labels::refine(&matcher, &mut model, &pins);
        *features = matcher.features;
    }
    model.rounded()
}

fn unlabelled(
    room: Room,
    features: &Features,
    lexicon: Lexicon,
    policy: &Policy,
    seed: u64,
) -> Model {
    let used = used(policy);
    let (mut rules, sample) = sample::draw(features, policy, seed, &used, room);
    let all_pairs = pairs_to_tell(features, policy).max(1.0);
    let ages = features.rows.iter().any(|row| is_age(row[col::BIRTH]));
    let mut fit = Fit::new(sample, all_pairs, ages);
    fit.converge();
    while fit.hold_implausible(&used) {
        fit.restart();
        fit.converge();
    }
    fit.join_generations();
    fit.temper();
    let diagnostics = fit.examine(&used);
    fit.judge(&mut rules, features.len(), policy.review_probability);
    Model {
        format: MODEL_FORMAT,
        records: features.len() as u64,
        seed,
        lambda_person: fit.lambda[0],
        lambda_household: fit.lambda[1],
        comparisons: (0..COMPARISONS)
            .map(|c| fit.parameters(features, c, used[c]))
            .collect(),
        lexicon,
        rules,
        diagnostics,
        refined: None,
    }
}

/// How many pairs there are that may be one person.
fn pairs_to_tell(features: &Features, policy: &Policy) -> f64 {
    let pairs = |n: f64| n * (n - 1.0) / 2.0;
    let all = pairs(features.len() as f64);
    if !policy.across_sources {
        return all;
    }
    let mut sizes = vec![0u64; features.sources.len()];
    for source in &features.source {
        sizes[usize::from(*source)] += 1;
    }
    all - sizes.iter().map(|n| pairs(*n as f64)).sum::<f64>()
}

fn used(policy: &Policy) -> [bool; COMPARISONS] {
    std::array::from_fn(|c| {
        let comparison = &COMPARISON[c];
        policy.compare.is_empty()
            || policy
                .compare
                .iter()
                .any(|w| w == comparison.name || comparison.fields.contains(&w.as_str()))
    })
}

struct Fit {
    sample: Sample,
    all_pairs: f64,
    m: Table,
    u: Table,
    lambda: [f64; 2],
    /// Expected matching pairs behind m, by comparison.
    evidence: [f64; COMPARISONS],
    /// Comparisons whose m stays at the belief from before the data.
    held: [bool; COMPARISONS],
    moved: f64,
    /// Whether people told their ages, and not when they were born: those of one person differ that were told years apart.
    ages: bool,
}

/// What is believed of each level, 0 of those that a comparison has not. Of birth dates that differ, half are a
/// generation apart.
fn believed(of: impl Fn(usize) -> &'static [f64]) -> Table {
    let mut table: Table = std::array::from_fn(|c| {
        let mut row = [0.0; LEVELS];
        row[1..=of(c).len()].copy_from_slice(of(c));
        row
    });
    let half = table[BIRTH][DIFFERENT] / 2.0;
    table[BIRTH][DIFFERENT] = half;
    table[BIRTH][GENERATION] = half;
    // As likely of anybody.
    for (row, c) in table.iter_mut().zip(0..) {
        if let Some(level) = elsewhere(c) {
            row[usize::from(level)] = 1.0;
        }
    }
    table
}

/// The level that a pair counts for: what differs elsewhere, differs.
fn counted(comparison: usize, level: u8) -> usize {
    usize::from(level) - usize::from(elsewhere(comparison) == Some(level))
}

/// How many levels of a comparison pairs teach, 0 among them.
fn taught(comparison: usize) -> usize {
    elsewhere(comparison).map_or(LEVELS, usize::from)
}

impl Fit {
    fn new(sample: Sample, all_pairs: f64, ages: bool) -> Self {
        let mut fit = Self {
            sample,
            all_pairs,
            m: believed(|c| COMPARISON[c].m),
            u: believed(|c| COMPARISON[c].u),
            lambda: [
                1.0 / all_pairs.sqrt().max(2.0),
                0.1 / all_pairs.sqrt().max(2.0),
            ],
            evidence: [0.0; COMPARISONS],
            held: [false; COMPARISONS],
            moved: 0.0,
            ages,
        };
        fit.settle();
        fit
    }

    /// Begins again from the beliefs, with what is held.
    fn restart(&mut self) {
        let mut sample = std::mem::take(&mut self.sample);
        for stratum in &mut sample.strata {
            stratum.share = SHARES;
        }
        let held = self.held;
        *self = Self::new(sample, self.all_pairs, self.ages);
        self.held = held;
    }

    fn converge(&mut self) {
        for _ in 0..ROUNDS {
            for _ in 0..ITERATIONS {
                self.step();
            }
            self.settle();
        }
    }

    /// Holds comparisons by which the pairs that were found are no persons: most of them differ in what a
    /// person keeps, or hardly any agree fully. Such a class (people of similar names, say) is as good a likelihood as
    /// any, so it is not the data that can rule it out. Tells whether anything was held that was not before.
    fn hold_implausible(&mut self, used: &[bool; COMPARISONS]) -> bool {
        let before = self.held;
        for (c, comparison) in COMPARISON.iter().enumerate().filter(|(c, _)| used[*c]) {
            let m = &self.m[c];
            let different: f64 = m[comparison.levels.len()..taught(c)].iter().sum();
            let never = m[1] < HARDLY_ANY * comparison.m[0] && !self.may_move_on(c);
            let at_most = if c == GIVEN { OFTEN } else { MOSTLY };
            self.held[c] |= different > at_most || never;
        }
        before != self.held
    }

    /// Whether a person may have two values of a comparison, each right at its time.
    fn may_move_on(&self, comparison: usize) -> bool {
        comparison == BIRTH && self.ages
    }

    fn posterior(&self, levels: &Levels, blocked: &[usize], share: [f64; 3]) -> [f64; 3] {
        let mut p = share;
        for (c, level) in levels.iter().enumerate() {
            if *level == 0 || blocked.contains(&c) {
                continue;
            }
            let (m, u, h) = (
                self.m[c][usize::from(*level)],
                self.u[c][usize::from(*level)],
                COMPARISON[c].household,
            );
            p[0] *= m;
            p[1] *= h * m + (1.0 - h) * u;
            p[2] *= u;
        }
        let sum: f64 = p.iter().sum();
        if sum > 0.0 {
            p.map(|x| x / sum)
        } else {
            [0.0, 0.0, 1.0]
        }
    }

    /// One expectation and maximisation over all strata.
    fn step(&mut self) {
        let mut counts = [[0.0; LEVELS]; COMPARISONS];
        let mut shares = Vec::new();
        for stratum in &self.sample.strata {
            // The shares start from a belief worth a few pairs, so that tiny strata do not fall to an edge.
            let mut classes = [2.0, 0.5, 2.5];
            for (levels, n) in &stratum.patterns {
                let p = self.posterior(levels, stratum.blocked, stratum.share);
                for (slot, p) in classes.iter_mut().zip(p) {
                    *slot += n * p;
                }
                for (c, level) in levels.iter().enumerate() {
                    if *level != 0 && !stratum.blocked.contains(&c) {
                        counts[c][counted(c, *level)] += n * p[0];
                    }
                }
            }
            let total: f64 = classes.iter().sum();
            shares.push(classes.map(|x| x / total));
        }
        for (stratum, share) in self.sample.strata.iter_mut().zip(shares) {
            stratum.share = share;
        }
        let (u, birth) = (&self.u[BIRTH], &mut counts[BIRTH]);
        let by_chance = birth[DIFFERENT] * u[GENERATION] / u[DIFFERENT];
        birth[GENERATION] = birth[GENERATION].min(by_chance);
        let believed = believed(|c| COMPARISON[c].m);
        self.moved = 0.0;
        for (c, row) in counts.iter().enumerate() {
            let total: f64 = row.iter().sum();
            self.evidence[c] = total;
            if self.held[c] {
                continue;
            }
            for (l, n) in row.iter().enumerate().take(taught(c)).skip(1) {
                let next = (n + BELIEF_M * believed[c][l]) / (total + BELIEF_M);
                self.moved = self.moved.max((next - self.m[c][l]).abs());
                self.m[c][l] = next;
            }
        }
    }

    /// Shares of the classes among all pairs, then u without the related pairs among the random ones.
    fn settle(&mut self) {
        for _ in 0..30 {
            let share = [
                self.lambda[0],
                self.lambda[1],
                1.0 - self.lambda[0] - self.lambda[1],
            ];
            let (mut person, mut household) = (0.1, 0.05);
            for (levels, n) in self.sample.candidates.iter().flatten() {
                let p = self.posterior(levels, &[], share);
                person += n * p[0];
                household += n * p[1];
            }
            self.lambda = [
                (person / self.all_pairs).min(0.5),
                (household / self.all_pairs).min(0.3),
            ];
        }
        if self.lambda[1] * self.all_pairs < LOST {
            self.lambda[1] = (self.households() / self.all_pairs).min(0.3);
        }
        let share = [
            self.lambda[0],
            self.lambda[1],
            1.0 - self.lambda[0] - self.lambda[1],
        ];
        let mut counts = [[0.0; LEVELS]; COMPARISONS];
        for (levels, n) in &self.sample.random {
            let p = self.posterior(levels, &[], share);
            for (c, level) in levels.iter().enumerate() {
                if *level != 0 {
                    counts[c][counted(c, *level)] += n * p[2];
                }
            }
        }
        let believed = believed(|c| COMPARISON[c].u);
        for (c, row) in counts.iter().enumerate() {
            let total: f64 = row.iter().sum();
            for (l, n) in row.iter().enumerate().take(taught(c)).skip(1) {
                self.u[c][l] = (n + BELIEF_U * believed[c][l]) / (total + BELIEF_U);
            }
        }
        // Of two people of one name some made the same address of it, at two providers.
        let local_part = &mut self.u[EMAIL][LOCAL_PART];
        *local_part = local_part.max(SAME_NAME);
    }

    /// Pairs of one household that share a phone, by the shares of the rule that pairs them. From the shares among all pairs
    /// they do not come back, once hardly any are left next to people whose given names differ.
    fn households(&self) -> f64 {
        let strata = self.sample.strata.iter();
        let telling = strata.filter(|stratum| stratum.blocked == [PHONE]);
        let pairs = telling.flat_map(|stratum| {
            let patterns = self.sample.candidates[stratum.rule].iter();
            patterns
                .map(|(levels, n)| n * self.posterior(levels, stratum.blocked, stratum.share)[1])
        });
        pairs.sum()
    }

    /// Makes one level again of birth dates that differ: the only one that pairs are scored by.
    fn join_generations(&mut self) {
        for table in [&mut self.m, &mut self.u] {
            let birth = &mut table[BIRTH];
            birth[DIFFERENT] += birth[GENERATION];
            birth[GENERATION] = birth[DIFFERENT];
        }
    }

    /// Bounds what names tell that changed places: no more than names that did not.
    fn temper(&mut self) {
        for c in [GIVEN, FAMILY] {
            let (m, u) = (&self.m[c], &mut self.u[c]);
            let swapped = usize::from(SWAPPED);
            u[swapped] = u[swapped].max(m[swapped] * u[1] / m[1]);
        }
    }

    /// Leaves out the rules that cost many pairs for the matches that no rule before them finds. Pairs too unlikely to
    /// be kept find nobody, however many they are and however many matches are somewhere among them.
    fn judge(&self, rules: &mut [RuleStats], records: usize, keep: f64) {
        let share = [
            self.lambda[0],
            self.lambda[1],
            1.0 - self.lambda[0] - self.lambda[1],
        ];
        for (r, (stats, patterns)) in rules.iter_mut().zip(&self.sample.candidates).enumerate() {
            let own: f64 = patterns.values().sum();
            // Other rules look at what is there anyway; grams are worked out for the one that looks at them.
            let keys = if r == GRAMS_RULE {
                GRAMS_KEYS * records
            } else {
                0
            };
            let cost = own + PASSED_OVER * (stats.pairs as f64 - own).max(0.0) + keys as f64;
            stats.matches = patterns
                .iter()
                .map(|(levels, n)| (n, self.posterior(levels, &[], share)[0]))
                .filter(|(_, p)| RARITY * p * (1.0 - keep) >= keep * (1.0 - p))
                .map(|(n, person)| n * person)
                .sum::<f64>()
                .max(0.0);
            let little = MOMENT.max((FEW_PAIRS * records) as f64);
            stats.idle = cost > little && cost > PAIRS_A_MATCH * stats.matches;
        }
    }

    /// Finds what should not be trusted, and puts the belief back where a parameter is implausible.
    fn examine(&mut self, used: &[bool; COMPARISONS]) -> Vec<Diagnostic> {
        let mut out = Vec::new();
        for (c, comparison) in COMPARISON.iter().enumerate().filter(|(c, _)| used[*c]) {
            let mut say = |kind, message: String| {
                out.push(Diagnostic {
                    kind,
                    parameter: comparison.name.to_owned(),
                    message,
                })
            };
            if self.evidence[c] < 30.0 {
                say(
                    Doubt::Starved,
                    format!(
                        "about {:.0} matching pairs tell of it; the belief from before the data weighs {BELIEF_M}",
                        self.evidence[c]
                    ),
                );
            }
            if self.held[c] {
                say(Doubt::Implausible, "the pairs that looked like one person mostly differed here, or hardly ever agreed fully; the belief from before the data is used".to_owned());
            }
            let last = comparison.levels.len();
            let against = self.m[c][1] <= self.u[c][1] && !self.may_move_on(c);
            if against || self.m[c][last] >= self.u[c][last] {
                say(Doubt::Implausible, "agreement spoke against a match, or disagreement for one; the belief from before the data is used".to_owned());
                for l in 1..=last {
                    self.m[c][l] = comparison.m[l - 1];
                    self.u[c][l] = comparison.u[l - 1];
                }
            }
        }
        if self.moved > 0.001 {
            out.push(Diagnostic {
                kind: Doubt::Unstable,
                parameter: "m".to_owned(),
                message: format!(
                    "a parameter still moved by {:.4} at the last iteration",
                    self.moved
                ),
            });
        }
        out
    }

    fn parameters(&self, features: &Features, c: usize, used: bool) -> Parameters {
        let comparison = &COMPARISON[c];
        let (frequencies, default_frequency) = frequency::of_values(features, c);
        Parameters {
            comparison: comparison.name.to_owned(),
            used,
            levels: comparison
                .levels
                .iter()
                .enumerate()
                .map(|(l, name)| Level {
                    level: (*name).to_owned(),
                    m: self.m[c][l + 1],
                    u: self.u[c][l + 1],
                })
                .collect(),
            household: comparison.household,
            frequencies,
            default_frequency,
        }
    }
}
