//! Labels: pairs of which somebody said whether they are one person. They refine a trained model.
//!
//! Labelled pairs were chosen, mostly where a score was unsure. How often they agree says nothing of all pairs, so they
//! must not be counted into m, u and λ. What does not depend on the choice is the probability of a label given how its
//! pair agrees. So m and λ are moved until the labels are likely under the scores (training by conditional likelihood:
//! Greiner, Su, Shen and Zhou 2005), and u, which random pairs tell well, stays. A normal penalty on the logarithms pulls
//! back to what was trained. How wide it is, is decided by cross-validation (Stone 1974) over groups of pairs that no record
//! connects: the narrowest that is within one standard error of the best (Breiman, Friedman, Olshen and Stone 1984). Where
//! none foretells labels better than the trained model by more than chance, that stays as it was.

use serde::{Deserialize, Serialize};

use crate::compare::{COMPARISONS, LEVELS, elsewhere};
use crate::link::Pins;
use crate::model::Model;
use crate::repair::Forest;
use crate::score::Matcher;

/// Labels of each kind below which nothing is learnt: with one kind alone, any model that says it always is right.
const FEW: u64 = 10;
/// Widths of the penalty that are tried: standard deviations of log m and log λ, in nats. With wider ones the model learns
/// how the pairs were chosen, where they were chosen by their answer.
const WIDTHS: [f64; 3] = [0.1, 0.25, 0.5];
/// Standard errors that chance alone explains (one-sided, 5 %).
const CHANCE: f64 = 1.645;
const FOLDS: u32 = 5;
const ITERATIONS: usize = 150;

/// What labels changed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Refined {
    /// Pairs that are one person.
    pub same: u64,
    /// Pairs that are two.
    pub different: u64,
    /// How far parameters were let move, as a standard deviation of their logarithms.
    pub width: f64,
    /// Mean log loss of the labels under the trained model, in bits.
    pub before: f64,
    /// The same under models refined by other labels than those that are foretold.
    pub after: f64,
}

/// A labelled pair with what its score is made of, in nats.
struct Label {
    same: bool,
    /// Pairs that share records, directly or over others, are in one group.
    group: u32,
    /// Level by comparison; 0 where nothing counts.
    levels: [usize; COMPARISONS],
    /// Logarithm of u by comparison, for the values at hand.
    unrelated: [f64; COMPARISONS],
}

/// Moves of the parameters, as differences of logarithms.
#[derive(Clone)]
struct Moves {
    m: [[f64; LEVELS]; COMPARISONS],
    lambda: f64,
}

/// What does not move.
struct Fixed {
    /// m by comparison and level; 0 past its levels.
    m: [[f64; LEVELS]; COMPARISONS],
    /// Logarithms of the household share and of its complement.
    share: [(f64, f64); COMPARISONS],
    /// Logarithms of the shares of the classes.
    prior: [f64; 3],
}

/// Refines a model by the pairs that the policy's pins decide; nothing where they are too few, or foretell no others.
/// `matcher` is the one of the model.
pub(super) fn refine(matcher: &Matcher, model: &mut Model, pins: &Pins) -> Option<Refined> {
    let labels = labels(matcher, model, pins);
    let count = |same| labels.iter().filter(|l| l.same == same).count() as u64;
    let (same, different) = (count(true), count(false));
    if same.min(different) < FEW {
        return None;
    }
    let fixed = Fixed::of(model);
    let all: Vec<&Label> = labels.iter().collect();
    let before = fixed.losses(&Moves::none(), &all);
    let foretold = WIDTHS.map(|width| (width, fixed.foretell(&all, width)));
    let best = foretold.iter().map(|(_, losses)| losses);
    let best = best.min_by(|a, b| mean(a).total_cmp(&mean(b)))?;
    if !is_better(&labels, &before, best, CHANCE) {
        return None;
    }
    // Of the widths that are about as good, the one that moves least.
    let mut foretold_as_well = foretold.iter();
    let as_well = |losses: &[f64]| !is_better(&labels, losses, best, 1.0);
    let (width, after) = foretold_as_well.find(|(_, losses)| as_well(losses))?;
    let moves = fixed.fit(&all, *width);
    let m = fixed.moved(&moves);
    let comparisons = model.comparisons.iter_mut().enumerate();
    for (c, parameters) in comparisons.filter(|(_, p)| p.used) {
        for (l, level) in parameters.levels.iter_mut().enumerate() {
            level.m = m[c][l + 1];
        }
    }
    let most = (1.0 - model.lambda_household) / 2.0;
    model.lambda_person = (model.lambda_person * moves.lambda.exp()).min(most);
    Some(Refined {
        same,
        different,
        width: *width,
        before: mean(&before),
        after: mean(after),
    })
}

/// The labelled pairs, in order.
fn labels(matcher: &Matcher, model: &Model, pins: &Pins) -> Vec<Label> {
    let always = pins.always.iter().map(|pair| (*pair, true));
    let never = pins.never.iter().map(|pair| (*pair, false));
    let mut pairs: Vec<((u32, u32), bool)> = always.chain(never).collect();
    pairs.sort_unstable();
    pairs.dedup_by_key(|(pair, _)| *pair);
    let mut records: Vec<u32> = pairs.iter().flat_map(|((a, b), _)| [*a, *b]).collect();
    records.sort_unstable();
    records.dedup();
    let place = |record: u32| records.binary_search(&record).unwrap_or(0) as u32;
    let mut groups = Forest::new(records.len());
    for ((a, b), _) in &pairs {
        groups.union(place(*a), place(*b));
    }
    let label = |((a, b), same): ((u32, u32), bool)| {
        let levels = matcher.levels(a, b);
        let (left, right) = (matcher.row(a), matcher.row(b));
        let says = |c: usize| levels[c] != 0 && elsewhere(c) != Some(levels[c]);
        let used = |c: usize| model.comparisons[c].used && says(c);
        Label {
            same,
            group: groups.find(place(a)),
            levels: std::array::from_fn(|c| if used(c) { usize::from(levels[c]) } else { 0 }),
            unrelated: std::array::from_fn(|c| match used(c) {
                true => nats(matcher.bits(left, right, c, levels[c]).unrelated),
                false => 0.0,
            }),
        }
    };
    pairs.into_iter().map(label).collect()
}

fn nats(bits: f32) -> f64 {
    f64::from(bits) * std::f64::consts::LN_2
}

/// Mean in bits.
fn mean(losses: &[f64]) -> f64 {
    losses.iter().sum::<f64>() / losses.len().max(1) as f64 / std::f64::consts::LN_2
}

/// Whether losses are lower by more than so many standard errors of the difference, groups being what is drawn.
fn is_better(labels: &[Label], before: &[f64], after: &[f64], errors: f64) -> bool {
    let mut by_group = std::collections::BTreeMap::<u32, f64>::new();
    for ((label, before), after) in labels.iter().zip(before).zip(after) {
        *by_group.entry(label.group).or_default() += before - after;
    }
    let n = by_group.len() as f64;
    let gain: f64 = by_group.values().sum();
    let squares: f64 = by_group.values().map(|g| (g - gain / n).powi(2)).sum();
    gain > errors * squares.sqrt()
}

/// The fold of a group, of those of all records.
fn fold(group: u32) -> u32 {
    let mixed = u64::from(group).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 33;
    (mixed % u64::from(FOLDS)) as u32
}

impl Moves {
    const fn none() -> Self {
        Self {
            m: [[0.0; LEVELS]; COMPARISONS],
            lambda: 0.0,
        }
    }

    /// Every move, λ's last.
    fn each(&self) -> impl Iterator<Item = &f64> {
        self.m.iter().flatten().chain([&self.lambda])
    }

    /// These and some way along others.
    fn plus(&self, way: f64, others: &Self) -> Self {
        let mut out = self.clone();
        for (out, other) in out.m.iter_mut().flatten().zip(others.m.iter().flatten()) {
            *out += way * other;
        }
        out.lambda += way * others.lambda;
        out
    }

    fn squared(&self) -> f64 {
        self.each().map(|x| x * x).sum()
    }
}

impl Fixed {
    fn of(model: &Model) -> Self {
        let unrelated = (1.0 - model.lambda_person - model.lambda_household).max(0.01);
        let prior = [model.lambda_person, model.lambda_household, unrelated];
        let mut m = model.table(|l| l.m);
        for (row, parameters) in m.iter_mut().zip(&model.comparisons) {
            row[parameters.levels.len() + 1..].fill(0.0);
        }
        Self {
            m,
            share: std::array::from_fn(|c| {
                let h = model.comparisons[c].household;
                (h.max(1e-9).ln(), (1.0 - h).max(1e-9).ln())
            }),
            prior: prior.map(|p| p.max(1e-15).ln()),
        }
    }

    /// m after some moves: a distribution again.
    fn moved(&self, moves: &Moves) -> [[f64; LEVELS]; COMPARISONS] {
        let mut m = self.m;
        for (row, moves) in m.iter_mut().zip(&moves.m) {
            let before: f64 = row[1..].iter().sum();
            row.iter_mut()
                .zip(moves)
                .skip(1)
                .for_each(|(m, x)| *m *= x.exp());
            let after: f64 = row[1..].iter().sum();
            row[1..].iter_mut().for_each(|m| *m *= before / after);
        }
        m
    }

    /// Loss of each label, in nats.
    fn losses(&self, moves: &Moves, labels: &[&Label]) -> Vec<f64> {
        let log_m = self.moved(moves).map(|row| row.map(|m| m.max(1e-9).ln()));
        let loss = |label: &&Label| self.slope(&log_m, moves.lambda, label).0;
        labels.iter().map(loss).collect()
    }

    /// Loss of a label, and how it changes with log λ and, by comparison, with log m.
    fn slope(
        &self,
        log_m: &[[f64; LEVELS]; COMPARISONS],
        lambda: f64,
        label: &Label,
    ) -> (f64, f64, [f64; COMPARISONS]) {
        let [mut person, mut household, mut unrelated] = self.prior;
        person += lambda;
        let mut as_person = [false; COMPARISONS];
        for (c, level) in label.levels.iter().enumerate().filter(|(_, l)| **l != 0) {
            let (m, u) = (log_m[c][*level], label.unrelated[c]);
            let (share, rest) = self.share[c];
            as_person[c] = share + m > rest + u;
            person += m;
            household += (share + m).max(rest + u);
            unrelated += u;
        }
        let two = log_sum(household, unrelated);
        let all = log_sum(person, two);
        let own = if label.same { person } else { two };
        let p = (person - all).exp();
        let h = (household - all).exp();
        let by_person = if label.same { p - 1.0 } else { p };
        let by_household = if label.same {
            h
        } else {
            h - (household - two).exp()
        };
        let by_m = std::array::from_fn(|c| match label.levels[c] {
            0 => 0.0,
            _ => by_person + if as_person[c] { by_household } else { 0.0 },
        });
        (all - own, by_person, by_m)
    }

    /// Penalised loss of all labels and its gradient, moves being counted in widths.
    fn gradient(&self, moves: &Moves, labels: &[&Label], width: f64) -> (f64, Moves) {
        let scaled = Moves::none().plus(width, moves);
        let m = self.moved(&scaled);
        let log_m = m.map(|row| row.map(|m| m.max(1e-9).ln()));
        let (mut loss, mut slope) = (moves.squared() / 2.0, Moves::none());
        for label in labels {
            let (own, by_lambda, by_m) = self.slope(&log_m, scaled.lambda, label);
            loss += own;
            slope.lambda += by_lambda;
            for (c, level) in label.levels.iter().enumerate() {
                slope.m[c][*level] += by_m[c];
            }
        }
        for (row, m) in slope.m.iter_mut().zip(&m) {
            row[0] = 0.0;
            // What one level gains, all of them pay for.
            let (sum, whole): (f64, f64) = (row.iter().sum(), m[1..].iter().sum());
            for (slope, m) in row.iter_mut().zip(m).skip(1) {
                *slope -= sum * m / whole;
            }
        }
        (loss, moves.plus(width, &slope))
    }

    /// The moves that make labels likely: descent along the gradient, each step as long as it pays (Armijo 1966).
    fn fit(&self, labels: &[&Label], width: f64) -> Moves {
        let (mut at, mut step) = (Moves::none(), 1.0);
        let (mut loss, mut slope) = self.gradient(&at, labels, width);
        for _ in 0..ITERATIONS {
            let steep = slope.squared();
            if steep < 1e-8 {
                break;
            }
            loop {
                let next = at.plus(-step, &slope);
                let (lower, next_slope) = self.gradient(&next, labels, width);
                if lower <= loss - step * steep / 2.0 {
                    (at, loss, slope) = (next, lower, next_slope);
                    step *= 1.5;
                    break;
                }
                step /= 2.0;
                if step < 1e-9 {
                    return Moves::none().plus(width, &at);
                }
            }
        }
        Moves::none().plus(width, &at)
    }

    /// The loss of each label under a model that was refined by the labels of other folds.
    fn foretell(&self, labels: &[&Label], width: f64) -> Vec<f64> {
        let mut out = vec![0.0; labels.len()];
        for part in 0..FOLDS {
            let (held, others): (Vec<usize>, Vec<usize>) =
                (0..labels.len()).partition(|at| fold(labels[*at].group) == part);
            let of = |places: &[usize]| places.iter().map(|at| labels[*at]).collect::<Vec<_>>();
            let moves = self.fit(&of(&others), width);
            for (at, loss) in held.iter().zip(self.losses(&moves, &of(&held))) {
                out[*at] = loss;
            }
        }
        out
    }
}

/// Logarithm of the sum of two numbers by their logarithms.
fn log_sum(a: f64, b: f64) -> f64 {
    a.max(b) + (-(a - b).abs()).exp().ln_1p()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A model of two comparisons with two levels each, one of which a household shares.
    fn fixed() -> Fixed {
        let mut m = [[1.0; LEVELS]; COMPARISONS];
        for row in &mut m[..2] {
            row[1..].fill(0.0);
            row[1..3].copy_from_slice(&[0.9, 0.1]);
        }
        let mut share = [(0.01f64.ln(), 0.99f64.ln()); COMPARISONS];
        share[1] = (0.8f64.ln(), 0.2f64.ln());
        Fixed {
            m,
            share,
            prior: [0.01f64.ln(), 0.02f64.ln(), 0.97f64.ln()],
        }
    }

    fn label(group: u32, first: usize, second: usize, same: bool) -> Label {
        let mut label = Label {
            same,
            group,
            levels: [0; COMPARISONS],
            unrelated: [0.0; COMPARISONS],
        };
        for (c, level) in [first, second].into_iter().enumerate() {
            label.levels[c] = level;
            label.unrelated[c] = [0.0, 0.02f64.ln(), 0.98f64.ln()][level];
        }
        label
    }

    /// Pairs that agree on the first comparison, of which so many in ten are one person.
    fn labels(same: u32) -> Vec<Label> {
        (0..200)
            .map(|n| label(n, 1, 1 + (n % 3 == 0) as usize, n % 10 < same))
            .collect()
    }

    #[test]
    fn the_gradient_is_that_of_the_loss() {
        let (fixed, labels) = (fixed(), labels(4));
        let labels: Vec<&Label> = labels.iter().collect();
        let mut at = Moves::none();
        at.lambda = 0.3;
        at.m[0][1] = -0.2;
        at.m[1][2] = 0.5;
        let (loss, slope) = fixed.gradient(&at, &labels, 0.7);
        let tiny = 1e-6;
        let check = |change: &dyn Fn(&mut Moves), slope: f64| {
            let mut next = at.clone();
            change(&mut next);
            let by_trying = (fixed.gradient(&next, &labels, 0.7).0 - loss) / tiny;
            assert!((by_trying - slope).abs() < 1e-2, "{by_trying} and {slope}");
        };
        check(&|x| x.lambda += tiny, slope.lambda);
        for (c, l) in [(0, 1), (0, 2), (1, 1), (1, 2)] {
            check(&|x| x.m[c][l] += tiny, slope.m[c][l]);
        }
    }

    #[test]
    fn a_model_that_says_too_much_learns_what_is_true() {
        let (fixed, labels) = (fixed(), labels(2));
        let all: Vec<&Label> = labels.iter().collect();
        let still = fixed.losses(&Moves::none(), &all);
        let foretold = fixed.foretell(&all, 1.0);
        assert!(is_better(&labels, &still, &foretold, CHANCE));
        assert!(mean(&foretold) < 0.8 * mean(&still));
        // Of the pairs that agree in all, two in ten are one person, and that is what comes out.
        let moves = fixed.fit(&all, 2.0);
        let one = [&label(0, 1, 1, true)];
        let said = (-fixed.losses(&moves, &one)[0]).exp();
        assert!((said - 0.2).abs() < 0.05, "{said}");
    }

    #[test]
    fn one_contradiction_after_another_is_no_better() {
        let labels: Vec<Label> = (0..40).map(|n| label(n, 1, 1, n % 2 == 0)).collect();
        let losses: Vec<f64> = vec![1.0; 40];
        let mut by_chance = losses.clone();
        by_chance[0] = 0.2;
        assert!(!is_better(&labels, &losses, &by_chance, CHANCE));
        let less: Vec<f64> = (0..40).map(|n| 0.9 + 0.01 * f64::from(n % 3)).collect();
        assert!(is_better(&labels, &losses, &less, CHANCE));
    }

    #[test]
    fn folds_keep_groups_whole_and_are_about_even() {
        let mut sizes = [0; FOLDS as usize];
        (0..1000).for_each(|group| sizes[fold(group) as usize] += 1);
        assert!(sizes.iter().all(|n| (150..250).contains(n)), "{sizes:?}");
    }
}
