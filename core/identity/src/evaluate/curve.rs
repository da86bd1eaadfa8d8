//! Precision and recall of scored pairs by threshold.

use serde::Serialize;

/// A scored pair and whether it is one person.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judged {
    /// Match weight in bits.
    pub weight: f32,
    /// Whether the two records are one person.
    pub same: bool,
}

/// What pairs from a threshold on come to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub struct Point {
    /// Match weight of the threshold, in bits.
    pub weight: f64,
    /// Match probability of the threshold.
    pub probability: f64,
    /// Pairs from the threshold on.
    pub pairs: u64,
    /// Share of them that are one person.
    pub precision: f64,
    /// Share of all pairs of one person that are among them.
    pub recall: f64,
}

/// The curve over thresholds, at most `points` of them, the highest threshold first. `all` is how many pairs of records
/// are one person, scored or not.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts of pairs")]
pub fn curve(mut pairs: Vec<Judged>, all: u64, points: usize) -> Vec<Point> {
    pairs.sort_unstable_by(|a, b| b.weight.total_cmp(&a.weight));
    let step = pairs.len().div_ceil(points.max(1)).max(1);
    let (mut right, mut out, mut due) = (0u64, Vec::new(), step);
    for (at, pair) in pairs.iter().enumerate() {
        right += u64::from(pair.same);
        let last = at + 1 == pairs.len();
        // Pairs of one weight stand or fall together.
        let tied = pairs
            .get(at + 1)
            .is_some_and(|next| next.weight == pair.weight);
        if (at + 1 < due && !last) || tied {
            continue;
        }
        due = at + 1 + step;
        let weight = f64::from(pair.weight);
        out.push(Point {
            weight,
            probability: 1.0 / (1.0 + (-weight).exp2()),
            pairs: at as u64 + 1,
            precision: right as f64 / (at + 1) as f64,
            recall: right as f64 / all.max(1) as f64,
        });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lower_threshold_takes_more_in() {
        let pair = |weight, same| Judged { weight, same };
        let pairs = vec![
            pair(9.0, true),
            pair(1.0, false),
            pair(5.0, true),
            pair(1.0, true),
        ];
        let points = curve(pairs, 4, 10);
        let shown: Vec<(f64, u64, f64, f64)> = points
            .iter()
            .map(|p| (p.weight, p.pairs, p.precision, p.recall))
            .collect();
        assert_eq!(
            shown,
            [
                (9.0, 1, 1.0, 0.25),
                (5.0, 2, 1.0, 0.5),
                (1.0, 4, 0.75, 0.75)
            ]
        );
    }
}
