//! Estimates where nobody knows the truth: a sample of pairs by stratum of probability, labelled by people.
//!
//! The estimators are those of stratified sampling without replacement (Cochran 1977, chapter 5).

use serde::Serialize;

/// Lower ends of strata of match probability, ascending; the last one ends at 1. The threshold is one of them.
#[must_use]
pub fn strata(threshold: f64) -> Vec<f64> {
    let mut ends = vec![0.0, 0.1, 0.5, 0.8, 0.9, 0.99, 0.999, 0.999_99, threshold];
    ends.sort_unstable_by(f64::total_cmp);
    ends.dedup();
    ends
}

/// A stratum and what people said of a sample of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Labelled {
    /// Lowest probability of the stratum.
    pub from: f64,
    /// Pairs of the stratum.
    pub pairs: u64,
    /// Pairs that were labelled.
    pub labelled: u64,
    /// Those that are one person.
    pub same: u64,
}

/// A share with its 95 % interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Estimate {
    /// The share.
    pub value: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// What a labelled sample tells of a threshold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Audit {
    /// Of the pairs from the threshold on, the share that is one person.
    pub precision: Estimate,
    /// Of the pairs of one person that were kept at all, the share from the threshold on. What no blocking rule made, or what
    /// scored too low to be kept, is not known here; nothing where no pair below the threshold was kept.
    pub recall: Option<Estimate>,
}

/// Share and variance of the pairs of one person in a stratum. A stratum nobody labelled is as likely as not, and
/// as uncertain as can be.
#[expect(clippy::cast_precision_loss, reason = "counts of pairs")]
fn share(stratum: &Labelled) -> (f64, f64) {
    let n = stratum.labelled as f64;
    if n == 0.0 {
        return (0.5, 0.25);
    }
    let p = stratum.same as f64 / n;
    // Agresti and Coull 1998: of a sample that agrees, the variance is not zero.
    let smoothed = (stratum.same as f64 + 2.0) / (n + 4.0);
    let finite = (1.0 - n / (stratum.pairs as f64).max(n)).max(0.0);
    (p, finite * smoothed * (1.0 - smoothed) / (n + 4.0 - 1.0))
}

/// Estimates of a threshold from labelled strata; a stratum counts as above when it begins at the threshold or later.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts of pairs")]
pub fn audit(strata: &[Labelled], threshold: f64) -> Audit {
    let (mut above, mut same_above, mut var_above) = (0.0, 0.0, 0.0);
    let (mut same_below, mut var_below) = (0.0, 0.0);
    for stratum in strata.iter().filter(|s| s.pairs > 0) {
        let n = stratum.pairs as f64;
        let (p, variance) = share(stratum);
        if stratum.from + 1e-12 >= threshold {
            above += n;
            same_above += n * p;
            var_above += n * n * variance;
        } else {
            same_below += n * p;
            var_below += n * n * variance;
        }
    }
    let estimate = |value: f64, variance: f64| {
        let half = 1.96 * variance.max(0.0).sqrt();
        Estimate {
            value,
            low: (value - half).max(0.0),
            high: (value + half).min(1.0),
        }
    };
    if above == 0.0 {
        return Audit::default();
    }
    let precision = estimate(same_above / above, var_above / (above * above));
    let total: f64 = same_above + same_below;
    let below = strata
        .iter()
        .any(|s| s.pairs > 0 && s.from + 1e-12 < threshold);
    let recall = (below && total > 0.0).then(|| {
        // Of a share a / (a + b), by its derivatives.
        let variance = (same_below * same_below * var_above + same_above * same_above * var_below)
            / total.powi(4);
        estimate(same_above / total, variance)
    });
    Audit { precision, recall }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strata_weigh_by_their_pairs() {
        let strata = [
            Labelled {
                from: 0.5,
                pairs: 100,
                labelled: 50,
                same: 25,
            },
            Labelled {
                from: 0.95,
                pairs: 900,
                labelled: 50,
                same: 50,
            },
            Labelled {
                from: 0.99,
                pairs: 100,
                labelled: 100,
                same: 90,
            },
        ];
        let found = audit(&strata, 0.95);
        assert!((found.precision.value - 0.99).abs() < 1e-9, "{found:?}");
        let recall = found.recall.expect("pairs below the threshold");
        assert!((recall.value - 990.0 / 1040.0).abs() < 1e-9, "{found:?}");
        for e in [found.precision, recall] {
            assert!(
                e.low < e.value && e.value <= e.high && e.high - e.low < 0.12,
                "{found:?}"
            );
        }
    }

    #[test]
    fn what_nobody_labelled_is_uncertain() {
        let strata = [Labelled {
            from: 0.95,
            pairs: 10,
            labelled: 0,
            same: 0,
        }];
        let found = audit(&strata, 0.95);
        assert!(
            found.precision.low == 0.0 && found.precision.high == 1.0,
            "{found:?}"
        );
        assert!(found.recall.is_none());
    }

    #[test]
    fn the_threshold_parts_strata() {
        assert_eq!(
            strata(0.95),
            [0.0, 0.1, 0.5, 0.8, 0.9, 0.95, 0.99, 0.999, 0.999_99]
        );
        assert_eq!(strata(0.9).len(), 8);
    }
}
