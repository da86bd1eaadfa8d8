//! Evaluation of a partition against the truth. Labels are cluster numbers per record, in one order.

mod audit;
mod calibration;
mod curve;
mod interval;
mod tally;

use hashbrown::HashMap;
use rayon::prelude::*;
use serde::Serialize;

use crate::blocking::{self, Blocking};
use crate::score::Matcher;

pub use audit::{Audit, Estimate, Labelled, audit, strata};
pub use calibration::{Bin, Calibration, Forecast, calibration};
pub use curve::{Judged, Point, curve};
pub use interval::{Interval, Intervals, intervals};
pub use tally::{Judge, Tally};

/// Precision, recall and their harmonic mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Quality {
    /// Share of what was said that is true; 1 when nothing was said.
    pub precision: f64,
    /// Share of what is true that was said; 1 when there was nothing to say.
    pub recall: f64,
    /// Harmonic mean.
    pub f1: f64,
}

impl Quality {
    fn new(said: f64, truth: f64, right: f64) -> Self {
        let share = |of: f64| if of > 0.0 { right / of } else { 1.0 };
        Self::of(share(said), share(truth))
    }

    fn of(precision: f64, recall: f64) -> Self {
        Self {
            precision,
            recall,
            f1: harmonic(precision, recall),
        }
    }
}

fn harmonic(p: f64, r: f64) -> f64 {
    if p + r > 0.0 {
        2.0 * p * r / (p + r)
    } else {
        0.0
    }
}

fn sizes<K: std::hash::Hash + Eq>(keys: impl Iterator<Item = K>) -> HashMap<K, u64> {
    let mut out = HashMap::new();
    for key in keys {
        *out.entry(key).or_default() += 1;
    }
    out
}

/// Over pairs of records that are together.
#[must_use]
pub fn pairwise(predicted: &[u32], truth: &[u32]) -> Quality {
    let pairs = |counts: Vec<u64>| counts.into_iter().map(|n| (n * (n - 1) / 2) as f64).sum();
    Quality::new(
        pairs(sizes(predicted.iter()).into_values().collect()),
        pairs(sizes(truth.iter()).into_values().collect()),
        pairs(sizes(predicted.iter().zip(truth)).into_values().collect()),
    )
}

/// B-cubed: averaged over records (Bagga and Baldwin 1998).
#[must_use]
pub fn b_cubed(predicted: &[u32], truth: &[u32]) -> Quality {
    let (p, t) = (sizes(predicted.iter()), sizes(truth.iter()));
    let n = predicted.len().max(1) as f64;
    let (mut precision, mut recall) = (0.0, 0.0);
    for ((a, b), both) in sizes(predicted.iter().zip(truth)) {
        let both = both as f64;
        precision += both * both / p[a] as f64;
        recall += both * both / t[b] as f64;
    }
    let (precision, recall) = (precision / n, recall / n);
    Quality {
        precision,
        recall,
        f1: harmonic(precision, recall),
    }
}

/// Over whole clusters: those that are exactly right.
#[must_use]
pub fn exact_clusters(predicted: &[u32], truth: &[u32]) -> Quality {
    let (p, t) = (sizes(predicted.iter()), sizes(truth.iter()));
    let right = sizes(predicted.iter().zip(truth))
        .into_iter()
        .filter(|((a, b), n)| p[a] == *n && t[b] == *n)
        .count();
    Quality::new(p.len() as f64, t.len() as f64, right as f64)
}

/// Blocking recall: of the pairs of records that are one person, the share that any blocking rule makes.
#[must_use]
pub fn blocking_recall(matcher: &Matcher, truth: &[u32]) -> f64 {
    blocking::recall(&matcher.features, &matcher.hubs, truth, |_, _| true)
}

/// [`blocking_recall`] over pairs of records of different groups.
#[must_use]
pub fn blocking_recall_across(matcher: &Matcher, truth: &[u32], group: &[u32]) -> f64 {
    let across = |a: u32, b: u32| group[a as usize] != group[b as usize];
    blocking::recall(&matcher.features, &matcher.hubs, truth, across)
}

/// An estimate of blocking recall without truth, from pairs of one person: the more of them only one rule makes, the
/// more there are that no rule makes (the lower bound of Chao 1987 for what capture and recapture missed). Rules share
/// parts, so it is rather too high than too low.
#[must_use]
pub fn blocking_recall_estimate(
    matcher: &Matcher,
    links: impl IndexedParallelIterator<Item = (u32, u32)>,
) -> f64 {
    let blocking = Blocking::new(&matcher.features, &matcher.hubs);
    let (made, once, twice) = links
        .map(|(a, b)| match blocking.rules(a, b) {
            0 => (0u64, 0u64, 0u64),
            1 => (1, 1, 0),
            2 => (1, 0, 1),
            _ => (1, 0, 0),
        })
        .reduce(|| (0, 0, 0), |x, y| (x.0 + y.0, x.1 + y.1, x.2 + y.2));
    let (made, once, twice) = (made as f64, once as f64, twice as f64);
    // Bias-corrected, so that it holds where no pair is made twice.
    let missed = once * (once - 1.0).max(0.0) / (2.0 * (twice + 1.0));
    if made > 0.0 {
        made / (made + missed)
    } else {
        1.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_a_small_example() {
        let (truth, said) = ([0, 0, 0, 1, 1], [0, 0, 1, 2, 2]);
        let p = pairwise(&said, &truth);
        assert_eq!((p.precision, p.recall), (1.0, 0.5));
        let b = b_cubed(&said, &truth);
        assert!(
            (b.recall - (2.0 * 2.0 / 3.0 + 1.0 / 3.0 + 2.0) / 5.0).abs() < 1e-12
                && b.precision == 1.0
        );
        let e = exact_clusters(&said, &truth);
        assert_eq!((e.precision, e.recall), (1.0 / 3.0, 0.5));
    }
}
