//! Intervals of the figures, by resampling people.
//!
//! Pairs of one person are not independent of each other, people are: so whole people are drawn with replacement,
//! with all that their records add (the cluster bootstrap: Field and Welsh 2007; for entity resolution Binette,
//! York, Hickerson and others 2022), and the 2.5th and 97.5th percentile are taken (Efron and Tibshirani 1993).

use rayon::prelude::*;
use serde::Serialize;

use super::tally::{Judge, Tally};

/// Where a figure lies with 95 % confidence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// Intervals of the F1 of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Intervals {
    /// Over pairs.
    pub pairwise: Interval,
    /// Averaged over records.
    pub b_cubed: Interval,
    /// Over whole clusters.
    pub exact_clusters: Interval,
}

/// Steps of a seeded generator (SplitMix64: Steele, Lea and Flood 2014).
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        ((u128::from(z) * u128::from(sides)) >> 64) as u64
    }
}

/// 95 % intervals of the F1s over so many resamples. Deterministic by seed.
#[must_use]
pub fn intervals(judge: &Judge<'_>, resamples: u64, seed: u64) -> Intervals {
    let people = judge.by_person();
    if people.len() < 2 || resamples < 2 {
        return Intervals::default();
    }
    let figures: Vec<[f64; 3]> = (0..resamples)
        .into_par_iter()
        .map(|n| {
            let mut dice = Dice(seed ^ n.wrapping_mul(0xD1B5_4A32_D192_ED03));
            let drawn = (0..people.len()).map(|_| people[dice.below(people.len() as u64) as usize]);
            let sum: Tally = drawn.sum();
            [sum.pairwise().f1, sum.b_cubed().f1, sum.exact_clusters().f1]
        })
        .collect();
    let of = |kind: usize| {
        let mut sorted: Vec<f64> = figures.iter().map(|f| f[kind]).collect();
        sorted.sort_unstable_by(f64::total_cmp);
        let at = |share: f64| sorted[((sorted.len() - 1) as f64 * share).round() as usize];
        Interval {
            low: at(0.025),
            high: at(0.975),
        }
    };
    Intervals {
        pairwise: of(0),
        b_cubed: of(1),
        exact_clusters: of(2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_holds_its_figure_and_narrows_with_people() {
        let set = |people: u32| -> (Vec<u32>, Vec<u32>) {
            // Every fifth person falls apart.
            let truth = (0..people).flat_map(|p| [p, p]);
            let said =
                (0..people).flat_map(|p| [2 * p, if p % 5 == 0 { 2 * p + 1 } else { 2 * p }]);
            (truth.collect(), said.collect())
        };
        let mut widths = Vec::new();
        for people in [50, 5000] {
            let (truth, said) = set(people);
            let judge = Judge::new(&said, &truth);
            let (found, at) = (intervals(&judge, 200, 1), judge.total().pairwise().f1);
            assert!(
                found.pairwise.low < at && at < found.pairwise.high,
                "{found:?}"
            );
            assert_eq!(found, intervals(&judge, 200, 1));
            widths.push(found.pairwise.high - found.pairwise.low);
        }
        assert!(widths[1] < widths[0] / 5.0, "{widths:?}");
    }

    #[test]
    fn an_interval_across_files_is_of_the_pairs_across() {
        // Everybody is in both files, twice in the first: those two are always together, and every third person is
        // not found in the other file.
        let people = 0..600u32;
        let truth: Vec<u32> = people.clone().flat_map(|p| [p, p, p]).collect();
        let file: Vec<u32> = people.clone().flat_map(|_| [0, 0, 1]).collect();
        let found = |p: u32| if p.is_multiple_of(3) { 1000 + p } else { p };
        let said: Vec<u32> = people.flat_map(|p| [p, p, found(p)]).collect();
        let judge = Judge::across(&said, &truth, &file);
        let (across, f1) = (
            intervals(&judge, 200, 1).pairwise,
            judge.total().pairwise().f1,
        );
        assert!((f1 - 0.8).abs() < 1e-9, "{f1}");
        assert!(across.low < f1 && f1 < across.high, "{across:?}");
        // All pairs, those within a file among them, are a higher figure that the interval does not hold.
        let all = Judge::new(&said, &truth).total().pairwise().f1;
        assert!(across.high < all, "{across:?}, {all}");
    }
}
