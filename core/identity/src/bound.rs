//! Bounds: most candidate pairs are strangers, and codes alone show that whatever their letters say, they
//! cannot reach the probability that is asked for. What is left out here would not have been kept.

use crate::compare::{COMPARISON, COMPARISONS, Comparing, Glance, LEVELS, Levels, Likely};
use crate::features::Row;
use crate::score::{Matcher, Parts};

/// What a level of a comparison adds to the odds of one person, in bits: against strangers, and against two
/// members of one household.
#[derive(Clone, Copy, Debug, Default)]
struct Gain {
    unrelated: f32,
    household: f32,
}

impl Gain {
    fn of(parts: Parts) -> Self {
        Self {
            unrelated: parts.person - parts.unrelated,
            household: parts.person - parts.household,
        }
    }

    fn most(self, other: Self) -> Self {
        Self {
            unrelated: self.unrelated.max(other.unrelated),
            household: self.household.max(other.household),
        }
    }

    /// An upper bound of the match weight.
    fn bound(self) -> f32 {
        self.unrelated.min(self.household)
    }
}

impl std::ops::AddAssign for Gain {
    fn add_assign(&mut self, other: Self) {
        self.unrelated += other.unrelated;
        self.household += other.household;
    }
}

impl std::ops::Sub for Gain {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self {
            unrelated: self.unrelated - other.unrelated,
            household: self.household - other.household,
        }
    }
}

/// Gains by comparison and level, those of full agreement on the rarest value.
#[derive(Clone, Default)]
pub(crate) struct Gains {
    prior: Gain,
    at: [[Gain; LEVELS]; COMPARISONS],
    /// The most that a level from this one on gains.
    from: [[Gain; LEVELS]; COMPARISONS],
}

impl Gains {
    pub(crate) fn new(matcher: &Matcher) -> Self {
        let mut gains = Self {
            prior: Gain::of(matcher.prior),
            ..Self::default()
        };
        for (c, comparison) in COMPARISON.iter().enumerate() {
            for level in 1..=comparison.levels.len() {
                gains.at[c][level] = Gain::of(matcher.most_bits(c, level as u8));
            }
            // Level 0 gains nothing: a comparison may turn out not to be one.
            let mut most = Gain::default();
            for level in (0..=comparison.levels.len()).rev() {
                most = most.most(gains.at[c][level]);
                gains.from[c][level] = most;
            }
        }
        gains
    }
}

/// The order in which comparisons are made: first what tells strangers apart at little cost.
const ORDER: [usize; COMPARISONS] = {
    use crate::compare::{
        AREA, BIRTH, BUILDING, EMAIL, FAMILY, GENDER, GIVEN, MIDDLE, PHONE, STREET, SUFFIX,
    };
    [
        BIRTH, GENDER, SUFFIX, GIVEN, FAMILY, AREA, STREET, PHONE, EMAIL, BUILDING, MIDDLE,
    ]
};

impl Matcher {
    /// The levels of a pair, unless its probability is certainly below the one asked for. With glances at both records,
    /// that is known of most pairs before their letters are looked at.
    pub(crate) fn levels_reaching(
        &self,
        [a, b]: [&Row; 2],
        glances: Option<[&Glance; 2]>,
        probability: f32,
    ) -> Option<Levels> {
        // Sums in another order differ by less; no probability above one in a million below certainty is told apart.
        const SLACK: f32 = 0.01;
        let p = probability.clamp(0.0, 0.999_999);
        let at_least = (p / (1.0 - p)).log2() - SLACK;
        let mut comparing = Comparing::at_a_glance(&self.features, [a, b], glances);
        let mut total = self.gains.prior;
        let mut likely = [Gain::default(); COMPARISONS];
        for (c, likely) in likely.iter_mut().enumerate() {
            *likely = match comparing.likely(c) {
                Likely::Level(1) => Gain::of(self.bits(a, b, c, 1)),
                Likely::Level(level) => self.gains.at[c][usize::from(level)],
                Likely::From(level) => self.gains.from[c][usize::from(level)],
            };
            total += *likely;
        }
        if total.bound() < at_least {
            return None;
        }
        for c in ORDER {
            if let Likely::From(_) = comparing.likely(c) {
                let level = comparing.level(c);
                let gain = match level {
                    1 => Gain::of(self.bits(a, b, c, 1)),
                    level => self.gains.at[c][usize::from(level)],
                };
                total += gain - likely[c];
                if total.bound() < at_least {
                    return None;
                }
            }
        }
        Some(comparing.levels())
    }
}
