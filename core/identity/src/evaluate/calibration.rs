//! Whether probabilities mean what they say: of the pairs that are given a probability of p, a share of p should be
//! one person (reliability diagrams: DeGroot and Fienberg 1983).

use serde::Serialize;

use super::Estimate;

/// Lower ends of the bins of probability, ascending; the last one ends at 1.
const ENDS: [f64; 11] = [0.0, 0.01, 0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99, 0.999];

/// A probability that was given to a pair of which the truth is known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Forecast {
    /// Match probability.
    pub probability: f32,
    /// Whether the two records are one person.
    pub same: bool,
    /// Pairs that it stands for: 1, or more where it comes from a sample.
    pub pairs: f64,
}

/// What was said and what is true of the pairs of one bin of probability.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub struct Bin {
    /// Lowest probability.
    pub from: f64,
    /// Probability that it ends before; the last bin ends with 1.
    pub to: f64,
    /// Scored pairs; where they come from a sample, those that the sample stands for.
    pub pairs: u64,
    /// Those of which the truth was looked at.
    pub labelled: u64,
    /// Mean of the probabilities.
    pub predicted: f64,
    /// Share that is one person, with its 95 % interval (Wilson 1927). Pairs are taken as independent; those of one large cluster
    /// are not, so it is rather too narrow than too wide.
    pub observed: Estimate,
}

impl Bin {
    /// Whether what was said lies outside the interval of what is true.
    #[must_use]
    pub fn is_off(&self) -> bool {
        !(self.observed.low..=self.observed.high).contains(&self.predicted)
    }
}

/// The reliability table.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub struct Calibration {
    /// The bins that hold a pair, by probability.
    pub bins: Vec<Bin>,
    /// Expected calibration error: the mean distance between what was said and what is true, over pairs (Naeini, Cooper
    /// and Hauskrecht 2015). Pairs of the lowest bin, which are strangers and many, would hide it and are left out.
    pub error: f64,
}

impl Calibration {
    /// The bin that is furthest off, pairs counted: the one that adds most to the error.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts of pairs")]
    pub fn worst(&self) -> Option<&Bin> {
        let adds = |bin: &Bin| (bin.predicted - bin.observed.value).abs() * bin.pairs as f64;
        let bins = self.bins.iter().filter(|b| b.from > 0.0);
        bins.max_by(|a, b| adds(a).total_cmp(&adds(b)))
    }
}

/// Sums over the pairs of a bin.
#[derive(Clone, Copy, Default)]
struct Sum {
    labelled: u64,
    pairs: f64,
    predicted: f64,
    same: f64,
}

/// The reliability table of some pairs; nothing without any.
#[must_use]
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts of pairs"
)]
pub fn calibration(forecasts: impl IntoIterator<Item = Forecast>) -> Option<Calibration> {
    let mut sums = [Sum::default(); ENDS.len()];
    for f in forecasts {
        let p = f64::from(f.probability);
        let sum = &mut sums[ENDS.iter().rposition(|low| p >= *low).unwrap_or(0)];
        sum.labelled += 1;
        sum.pairs += f.pairs;
        sum.predicted += f.pairs * p;
        sum.same += if f.same { f.pairs } else { 0.0 };
    }
    let (mut bins, mut away, mut all) = (Vec::new(), 0.0, 0.0);
    for (at, sum) in sums.iter().enumerate().filter(|(_, s)| s.pairs > 0.0) {
        let (predicted, share) = (sum.predicted / sum.pairs, sum.same / sum.pairs);
        if at > 0 {
            away += (predicted - share).abs() * sum.pairs;
            all += sum.pairs;
        }
        bins.push(Bin {
            from: ENDS[at],
            to: ENDS.get(at + 1).copied().unwrap_or(1.0),
            pairs: sum.pairs.round() as u64,
            labelled: sum.labelled,
            predicted,
            observed: wilson(share, sum.labelled as f64),
        });
    }
    (!bins.is_empty()).then(|| Calibration {
        bins,
        error: if all > 0.0 { away / all } else { 0.0 },
    })
}

/// A share of n with its 95 % interval (Wilson 1927).
fn wilson(share: f64, n: f64) -> Estimate {
    const Z: f64 = 1.959_964;
    let z2 = Z * Z / n;
    let middle = (share + z2 / 2.0) / (1.0 + z2);
    let half = Z / (1.0 + z2) * (share * (1.0 - share) / n + z2 / (4.0 * n)).sqrt();
    Estimate {
        value: share,
        low: (middle - half).clamp(0.0, share),
        high: (middle + half).clamp(share, 1.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forecast(probability: f32, same: bool, pairs: f64) -> Forecast {
        Forecast {
            probability,
            same,
            pairs,
        }
    }

    /// So many pairs of one probability, some of them one person.
    fn said(probability: f32, all: u32, same: u32) -> impl Iterator<Item = Forecast> {
        (0..all).map(move |n| forecast(probability, n < same, 1.0))
    }

    #[test]
    fn pairs_that_stand_for_none_say_nothing() {
        assert!(calibration([forecast(0.2, false, 0.0)]).is_none());
    }

    #[test]
    fn what_is_said_stands_beside_what_is_true() {
        let pairs = said(0.85, 200, 170).chain(said(0.6, 100, 20));
        let found = calibration(pairs).expect("pairs");
        let [low, high] = found.bins[..] else {
            panic!("two bins: {found:?}")
        };
        assert_eq!((low.from, low.to, low.pairs), (0.5, 0.7, 100));
        assert!((low.observed.value - 0.2).abs() < 1e-9 && low.is_off());
        assert!((high.observed.value - 0.85).abs() < 1e-9 && !high.is_off());
        // 100 of 300 pairs are off by .4.
        assert!((found.error - 0.4 / 3.0).abs() < 1e-6, "{found:?}");
        assert_eq!(found.worst(), Some(&low));
    }

    #[test]
    fn strangers_are_shown_and_do_not_hide_the_error() {
        let strangers = std::iter::once(forecast(0.0001, false, 1e6));
        let found = calibration(said(0.6, 10, 10).chain(strangers)).expect("pairs");
        assert_eq!(
            (found.bins[0].pairs, found.bins[0].labelled),
            (1_000_000, 1)
        );
        assert!((found.error - 0.4).abs() < 1e-6, "{found:?}");
        assert!(calibration([]).is_none());
    }

    #[test]
    fn a_pair_of_a_sample_counts_for_those_that_it_stands_for() {
        // One in ten was looked at below .5 and every pair above it.
        let pairs = [forecast(0.2, true, 10.0), forecast(0.2, false, 30.0)];
        let found = calibration(pairs).expect("pairs");
        assert!((found.bins[0].observed.value - 0.25).abs() < 1e-9);
        assert_eq!((found.bins[0].pairs, found.bins[0].labelled), (40, 2));
    }

    #[test]
    fn intervals_hold_their_share_and_stay_within_bounds() {
        for (share, n) in [(0.0, 1.0), (1.0, 3.0), (0.5, 100.0), (0.999, 1e6)] {
            let e = wilson(share, n);
            assert!(
                0.0 <= e.low && e.low <= share && share <= e.high && e.high <= 1.0,
                "{e:?}"
            );
        }
        // Of 10 of 10, the Wilson interval begins at 10 / (10 + z^2).
        assert!((wilson(1.0, 10.0).low - 0.7225).abs() < 1e-4);
    }
}
