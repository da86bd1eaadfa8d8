//! What it came to, in figures.

use std::{collections::BTreeMap, path::PathBuf};

use musubi_identity::{
    Decision, Diagnostic, Edge, Guard, Policy, Refined,
    evaluate::{self, Calibration, Forecast, Intervals, Judge, Judged, Point, Quality},
    group,
};
use rayon::prelude::*;
use serde::Serialize;

use super::{
    Found, Input, Settings,
    clock::{Clock, Phase},
    judged,
    records::{Records, UNKNOWN},
    table::BadRow,
};
use crate::memory;

/// All figures; what `stats.json` holds.
#[derive(Clone, Debug, Serialize)]
pub struct Stats {
    /// Version of musubi.
    pub musubi: &'static str,
    /// `dedupe`, or `link` when only pairs across files count.
    pub mode: &'static str,
    /// Where the files are.
    pub out: String,
    /// The files, and what their columns were used as.
    pub inputs: Vec<Input>,
    /// Country of what does not say its own; `zz` for none.
    pub country: String,
    /// Match probability from which two records are one person.
    pub threshold: f64,
    /// Threads.
    pub threads: usize,
    /// Parts that matching was cut into.
    pub shards: u32,
    /// Memory to stay within.
    pub memory_limit_bytes: u64,
    /// Rows of all files.
    pub records: u64,
    /// Rows that could not be read; each is a cluster of its own.
    pub bad_rows: u64,
    /// The first of them.
    pub bad: Vec<BadRow>,
    /// For each field that was used: values given, and values that could be understood.
    pub understood: BTreeMap<&'static str, Understood>,
    /// What phases took, in their order.
    pub phases: Vec<Phase>,
    /// Processor seconds of all that was needed, that is without `judge`.
    pub cpu_seconds: f64,
    /// Seconds by the clock, without `judge`.
    pub wall_seconds: f64,
    /// The most memory that was used.
    pub peak_memory_bytes: u64,
    /// Pairs that were scored.
    pub pairs: u64,
    /// Pairs by the processor seconds of matching.
    pub pairs_per_core_second: f64,
    /// Pairs that were kept as worth a look.
    pub edges: u64,
    /// Links that stand.
    pub links: u64,
    /// Clusters: people.
    pub clusters: u64,
    /// Households.
    pub households: u64,
    /// Clusters by their number of records.
    pub cluster_sizes: BTreeMap<u64, u64>,
    /// Links that were refused, by guard.
    pub guards: BTreeMap<Guard, u64>,
    /// Version of the model.
    pub model: String,
    /// What is to be known of the model.
    pub diagnostics: Vec<Diagnostic>,
    /// Pairs that somebody labelled; nothing without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<Labelled>,
    /// Share of the pairs of one person that any blocking rule makes.
    pub blocking_recall: Recall,
    /// How right it is; nothing without truth.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<Accuracy>,
}

/// Pairs that somebody labelled, and what came of them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Labelled {
    /// Their file, from the root.
    pub path: PathBuf,
    /// Pairs that are one person.
    pub same: u64,
    /// Pairs that are two.
    pub different: u64,
    /// Lines without a label.
    pub open: u64,
    /// What they changed of the model; nothing where they foretell no others, or are too few.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refined: Option<Refined>,
}

impl Labelled {
    pub(super) fn of(settings: &Settings, found: &Found, open: u64) -> Self {
        let decided = |decision| {
            let pins = found.policy.pins.iter();
            pins.filter(|p| p.decision == decision).count() as u64
        };
        let given = settings.labels.clone().unwrap_or_default();
        Self {
            path: std::fs::canonicalize(&given).unwrap_or(given),
            same: decided(Decision::Always),
            different: decided(Decision::Never),
            open,
            refined: found.model.refined,
        }
    }
}

/// How many values of a field could be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Understood {
    /// Values given.
    pub given: u64,
    /// Those of which the normaliser made something.
    pub understood: u64,
}

/// Blocking recall.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Recall {
    /// The share.
    pub value: f64,
    /// Whether it is an estimate: there is no truth to count by.
    pub estimated: bool,
}

/// Figures against the truth.
#[derive(Clone, Debug, Serialize)]
pub struct Accuracy {
    /// Rows whose person is known.
    pub records: u64,
    /// People there are.
    pub people: u64,
    /// Over pairs of records that are together; across files where files are linked.
    pub pairwise: Quality,
    /// Averaged over records.
    pub b_cubed: Quality,
    /// Over whole clusters.
    pub exact_clusters: Quality,
    /// 95 % intervals of the F1s, by resampling people.
    pub intervals: Intervals,
    /// Of the pairs that are together, the share that is two members of one household.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub within_household: Option<f64>,
    /// Whether probabilities mean what they say; nothing where no pair was scored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calibration: Option<Calibration>,
    /// Scored pairs by threshold, before they were put together.
    pub curve: Vec<Point>,
    /// What other thresholds would come to, after being put together; nothing for large sets.
    pub thresholds: Vec<Threshold>,
}

/// What a threshold would come to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Threshold {
    /// Match probability.
    pub threshold: f64,
    /// Over pairs of records that are together.
    pub pairwise: Quality,
}

/// Links from which the estimate of blocking recall is made.
const SAMPLE: usize = 200_000;
/// Pairs, of those that were not kept, whose probabilities are looked at; about as many where there are more.
const NOT_KEPT: u64 = 1_000_000;
/// Seconds of linking up to which other thresholds are tried.
const QUICK: f64 = 1.0;
const RESAMPLES: u64 = 200;
const POINTS: usize = 120;

#[expect(clippy::cast_precision_loss, reason = "counts for people")]
pub(super) fn judge(
    settings: &Settings,
    inputs: Vec<Input>,
    records: &Records,
    found: &Found,
    clock: &mut Clock,
) -> Stats {
    let seconds = |clock: &Clock, phase: &str| {
        let phase = clock.phases.iter().find(|p| p.phase == phase);
        phase.map_or(0.0, |p| p.cpu_seconds)
    };
    let cpu_seconds = clock.phases.iter().map(|p| p.cpu_seconds).sum();
    let linking = seconds(clock, "link");
    let accuracy = clock.time("judge", || {
        let truth = records.truth.as_ref()?;
        Some(accuracy(records, truth, found, linking, settings.link))
    });
    let links = found.links().count();
    let blocking_recall = clock.time("judge", || recall(records, found, links, settings.link));
    let grouped = &found.grouped;
    let mut sizes = vec![0u64; grouped.customers()];
    let customers = found.customer().iter();
    customers.for_each(|c| sizes[*c as usize] += 1);
    let mut cluster_sizes = BTreeMap::new();
    sizes
        .iter()
        .for_each(|n| *cluster_sizes.entry(*n).or_default() += 1);
    let matching = seconds(clock, "match").max(0.01);
    Stats {
        musubi: env!("CARGO_PKG_VERSION"),
        mode: if settings.link { "link" } else { "dedupe" },
        out: settings.out.display().to_string(),
        inputs,
        country: String::new(),
        threshold: found.policy.match_probability,
        threads: rayon::current_num_threads(),
        shards: found.shards,
        memory_limit_bytes: 0,
        records: records.source.len() as u64,
        bad_rows: records.bad_rows,
        bad: records.bad.clone(),
        understood: records
            .understood
            .iter()
            .map(|(field, (given, understood))| {
                (
                    *field,
                    Understood {
                        given: *given,
                        understood: *understood,
                    },
                )
            })
            .collect(),
        phases: clock.phases.clone(),
        cpu_seconds,
        wall_seconds: 0.0,
        peak_memory_bytes: memory::peak(),
        pairs: found.pairs,
        pairs_per_core_second: found.pairs as f64 / matching,
        edges: found.edges.len() as u64,
        links: links as u64,
        clusters: grouped.customers() as u64,
        households: grouped.households() as u64,
        cluster_sizes,
        guards: grouped.guards.clone(),
        model: found.model.version(),
        diagnostics: found.doubts(records).cloned().collect(),
        labels: None,
        blocking_recall,
        accuracy,
    }
}

/// Persons by row; a row whose person is not known is a person of its own.
fn persons(truth: &[u32]) -> Vec<u32> {
    let known = truth.iter().filter(|t| **t != UNKNOWN).max();
    let mut next = known.map_or(0, |n| n + 1);
    truth
        .iter()
        .map(|t| {
            if *t != UNKNOWN {
                return *t;
            }
            next += 1;
            next - 1
        })
        .collect()
}

fn recall(records: &Records, found: &Found, links: usize, across: bool) -> Recall {
    if let Some(truth) = &records.truth {
        let persons = persons(truth);
        let value = if across {
            evaluate::blocking_recall_across(&found.matcher, &persons, &records.source)
        } else {
            evaluate::blocking_recall(&found.matcher, &persons)
        };
        return Recall {
            value,
            estimated: false,
        };
    }
    let step = links.div_ceil(SAMPLE).max(1);
    let sample: Vec<(u32, u32)> = found
        .links()
        .step_by(step)
        .map(|e| (e.left, e.right))
        .collect();
    Recall {
        value: evaluate::blocking_recall_estimate(&found.matcher, sample.into_par_iter()),
        estimated: true,
    }
}

/// The labelled rows of a partition, beside their labels.
struct Sides {
    said: Vec<u32>,
    truth: Vec<u32>,
    source: Vec<u32>,
}

impl Sides {
    fn new(records: &Records, truth: &[u32], customer: &[u32]) -> Self {
        let rows: Vec<usize> = judged(truth).collect();
        let of = |values: &[u32]| rows.iter().map(|r| values[*r]).collect();
        Self {
            said: of(customer),
            truth: of(truth),
            source: of(&records.source),
        }
    }

    fn judge(&self, across: bool) -> Judge<'_> {
        if across {
            Judge::across(&self.said, &self.truth, &self.source)
        } else {
            Judge::new(&self.said, &self.truth)
        }
    }

    fn pairwise(&self, across: bool) -> Quality {
        self.judge(across).total().pairwise()
    }
}

fn accuracy(
    records: &Records,
    truth: &[u32],
    found: &Found,
    linking: f64,
    across: bool,
) -> Accuracy {
    let sides = Sides::new(records, truth, found.customer());
    let judge = sides.judge(across);
    let total = judge.total();
    let all = sides.pairs_of_one_person(across);
    let pairs: Vec<Judged> = found
        .edges
        .iter()
        .filter_map(|e| {
            let (a, b) = (truth[e.left as usize], truth[e.right as usize]);
            (a != UNKNOWN && b != UNKNOWN).then_some(Judged {
                weight: e.weight,
                same: a == b,
            })
        })
        .collect();
    let thresholds = if linking <= QUICK {
        others(records, truth, found, across)
    } else {
        Vec::new()
    };
    Accuracy {
        records: sides.said.len() as u64,
        people: total.people.round() as u64,
        pairwise: total.pairwise(),
        b_cubed: total.b_cubed(),
        exact_clusters: total.exact_clusters(),
        intervals: evaluate::intervals(&judge, RESAMPLES, 1),
        within_household: records.household.as_ref().map(|homes| {
            within_household(&sides, &judged(truth).map(|r| homes[r]).collect::<Vec<_>>())
        }),
        calibration: calibration(truth, found),
        curve: evaluate::curve(pairs, all, POINTS),
        thresholds,
    }
}

/// What probabilities come to: of all pairs that were kept, and of a sample of the others.
#[expect(clippy::cast_precision_loss, reason = "counts of pairs")]
fn calibration(truth: &[u32], found: &Found) -> Option<Calibration> {
    let forecast = |edge: &Edge, pairs| {
        let (a, b) = (truth[edge.left as usize], truth[edge.right as usize]);
        (a != UNKNOWN && b != UNKNOWN).then_some(Forecast {
            probability: edge.probability,
            same: a == b,
            pairs,
        })
    };
    let shards = found.pairs.div_ceil(NOT_KEPT).clamp(1, 4096);
    let policy = Policy {
        review_probability: 0.0,
        ..found.policy.clone()
    };
    let others = found.matcher.sample_without_copies(&policy, shards as u32);
    let was_kept = |e: &Edge| f64::from(e.probability) >= found.policy.review_probability;
    let others: Vec<&Edge> = others.edges.iter().filter(|e| !was_kept(e)).collect();
    let all = found.pairs.saturating_sub(found.edges.len() as u64);
    let each = all as f64 / others.len().max(1) as f64;
    let kept = found.edges.iter().filter_map(|e| forecast(e, 1.0));
    let others = others.into_iter().filter_map(|e| forecast(e, each));
    evaluate::calibration(kept.chain(others))
}

impl Sides {
    fn pairs_of_one_person(&self, across: bool) -> u64 {
        let pairs = |keys: &mut dyn Iterator<Item = (u32, u32)>| -> u64 {
            let mut sizes: hashbrown::HashMap<(u32, u32), u64> = hashbrown::HashMap::new();
            keys.for_each(|k| *sizes.entry(k).or_default() += 1);
            sizes.values().map(|n| n * (n - 1) / 2).sum()
        };
        let all = pairs(&mut self.truth.iter().map(|t| (*t, 0)));
        let within = if across {
            pairs(&mut self.truth.iter().copied().zip(self.source.iter().copied()))
        } else {
            0
        };
        all - within
    }
}

/// Of the pairs that are together, the share that is two members of one household.
#[expect(clippy::cast_precision_loss, reason = "counts of pairs")]
fn within_household(sides: &Sides, home: &[u32]) -> f64 {
    let pairs = |of: &dyn Fn(usize) -> Option<(u32, u32)>| -> f64 {
        let mut sizes: hashbrown::HashMap<(u32, u32), u64> = hashbrown::HashMap::new();
        let keys = (0..home.len()).filter_map(of);
        keys.for_each(|k| *sizes.entry(k).or_default() += 1);
        sizes.values().map(|n| n * (n - 1) / 2).sum::<u64>() as f64
    };
    let known = |row: usize| home[row] != UNKNOWN;
    let at_home = pairs(&|r| known(r).then(|| (sides.said[r], home[r])));
    let one = pairs(&|r| known(r).then(|| (sides.said[r], sides.truth[r])));
    let all = pairs(&|r| Some((sides.said[r], 0)));
    ((at_home - one) / all.max(1.0)).max(0.0)
}

/// What other thresholds would come to.
fn others(records: &Records, truth: &[u32], found: &Found, across: bool) -> Vec<Threshold> {
    let own = found.policy.match_probability;
    let tried = [0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.999, 0.9999];
    let tried = tried.into_iter().filter(|t| (t - own).abs() > 1e-9);
    let mut out: Vec<Threshold> = tried
        .filter(|t| *t >= found.policy.review_probability)
        .map(|threshold| {
            let mut policy = found.policy.clone();
            policy.match_probability = threshold;
            let grouped = group(&found.matcher, &found.edges, &policy);
            let sides = Sides::new(records, truth, &grouped.customer);
            Threshold {
                threshold,
                pairwise: sides.pairwise(across),
            }
        })
        .collect();
    out.push(Threshold {
        threshold: own,
        pairwise: Sides::new(records, truth, found.customer()).pairwise(across),
    });
    out.sort_by(|a, b| a.threshold.total_cmp(&b.threshold));
    out
}

impl Accuracy {
    /// A threshold that would be better by at least a thousandth.
    #[must_use]
    pub fn better(&self) -> Option<Threshold> {
        let best = self.thresholds.iter().copied();
        let best = best.max_by(|a, b| a.pairwise.f1.total_cmp(&b.pairwise.f1))?;
        (best.pairwise.f1 > self.pairwise.f1 + 0.001).then_some(best)
    }
}
