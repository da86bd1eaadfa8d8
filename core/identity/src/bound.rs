//! Bounds: most candidate pairs are strangers, and codes alone show that whatever their letters say, they
//! cannot reach the probability that is asked for. What is left out here would not have been kept.

use crate::compare::{
    AREA, BIRTH, BUILDING, COMPARISON, COMPARISONS, Comparing, EMAIL, FAMILY, GENDER, GIVEN,
    Glance, LEVELS, Levels, Likely, MIDDLE, PHONE, STREET, SUFFIX, columns,
};
use crate::features::{Row, col};
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
const ORDER: [usize; COMPARISONS] = [
    BIRTH, GENDER, SUFFIX, GIVEN, FAMILY, AREA, STREET, PHONE, EMAIL, BUILDING, MIDDLE,
];

/// The comparisons that some records can be told apart by: what none of them has is passed over.
pub(crate) struct Course {
    compares: [bool; COMPARISONS],
    /// The columns that some record has something in.
    pub(crate) in_use: [bool; col::WIDTH],
    /// The most that a pair gains by all of them.
    most: Gain,
    /// The match weight that is asked for.
    at_least: f32,
}

/// A pair on its way to a match weight.
struct Way<'a> {
    matcher: &'a Matcher,
    course: &'a Course,
    rows: [&'a Row; 2],
    comparing: Comparing<'a>,
    /// The most that it gains, as far as is known.
    total: Gain,
}

impl Way<'_> {
    fn gain(&self, comparison: usize, likely: Likely) -> Gain {
        let gains = &self.matcher.gains;
        match likely {
            Likely::Level(1) => {
                let [a, b] = self.rows;
                Gain::of(self.matcher.bits(a, b, comparison, 1))
            }
            Likely::Level(level) => gains.at[comparison][usize::from(level)],
            Likely::From(level) => gains.from[comparison][usize::from(level)],
        }
    }

    /// Whether the match weight may be what is asked for.
    fn is_open(&self) -> bool {
        let (total, at_least) = (self.total, self.course.at_least);
        total.unrelated >= at_least && total.household >= at_least
    }

    /// Whether it is open still, after a look at a comparison.
    #[inline(always)]
    fn look(&mut self, comparison: usize) -> bool {
        if !self.course.compares[comparison] {
            return true;
        }
        let likely = self.comparing.look(comparison);
        let most = self.matcher.gains.from[comparison][0];
        self.total += self.gain(comparison, likely) - most;
        self.is_open()
    }

    /// The same after its letters were looked at.
    fn compare(&mut self, comparison: usize) -> bool {
        if !self.course.compares[comparison] {
            return true;
        }
        let likely = self.comparing.likely(comparison);
        if let Likely::From(_) = likely {
            let level = Likely::Level(self.comparing.level(comparison));
            self.total += self.gain(comparison, level) - self.gain(comparison, likely);
        }
        self.is_open()
    }
}

impl Matcher {
    /// To a probability, over records that have something in these columns: see `Features::columns_in_use`.
    pub(crate) fn course(&self, in_use: &[bool; col::WIDTH], probability: f32) -> Course {
        // Sums in another order differ by less; no probability above one in a million below certainty is told apart.
        const SLACK: f32 = 0.01;
        let p = probability.clamp(0.0, 0.999_999);
        let is_used = |c| columns(c).iter().any(|column| in_use[*column]);
        let compares = std::array::from_fn(is_used);
        let mut most = self.gains.prior;
        for c in (0..COMPARISONS).filter(|c| compares[*c]) {
            most += self.gains.from[c][0];
        }
        Course {
            compares,
            in_use: *in_use,
            most,
            at_least: (p / (1.0 - p)).log2() - SLACK,
        }
    }

    /// The levels of a pair, unless its probability is certainly below the one that the course asks for. With glances at
    /// both records, that is known of most pairs before their letters are looked at, and of many before all comparisons are.
    pub(crate) fn levels_reaching(
        &self,
        course: &Course,
        rows: [&Row; 2],
        glances: Option<[&Glance; 2]>,
    ) -> Option<Levels> {
        let mut way = Way {
            matcher: self,
            course,
            rows,
            comparing: Comparing::at_a_glance(&self.features, rows, glances),
            total: course.most,
        };
        // First what tells strangers apart at little cost. Written out: each is compiled on its own.
        let open = way.look(BIRTH)
            && way.look(GENDER)
            && way.look(SUFFIX)
            && way.look(AREA)
            && way.look(STREET)
            && way.look(GIVEN)
            && way.look(FAMILY)
            && way.look(PHONE)
            && way.look(EMAIL)
            && way.look(BUILDING)
            && way.look(MIDDLE);
        let likely = open && ORDER.into_iter().all(|c| way.compare(c));
        likely.then(|| way.comparing.levels())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::made_features;
    use crate::policy::Policy;
    use crate::score::probability;
    use crate::train;

    #[test]
    fn what_is_left_out_would_not_have_been_kept() {
        let features = made_features(300);
        let in_use = features.columns_in_use();
        assert!(in_use[col::PHONE] && !in_use[col::GENDER] && !in_use[col::MIDDLE]);
        let model = train(&features, &Policy::default(), 1);
        let matcher = Matcher::new(features, &model);
        let rows = &matcher.features.rows;
        let references: Vec<&Row> = rows.iter().collect();
        let glances = Glance::of_all(&matcher.features, &references, &in_use);
        let (mut left_out, mut kept) = (0, 0);
        for keep in [0.05, 0.5, 0.95] {
            let course = matcher.course(&in_use, keep);
            assert!(!course.compares[GENDER] && !course.compares[MIDDLE] && course.compares[AREA]);
            let places = 0..rows.len();
            let pairs = places.flat_map(|b| (0..b).map(move |a| (a, b)));
            for (a, b) in pairs {
                let levels = matcher.levels(a as u32, b as u32);
                let weight = matcher.parts(&rows[a], &rows[b], &levels).weight();
                for glances in [None, Some([&glances[a], &glances[b]])] {
                    let pair = [&rows[a], &rows[b]];
                    match matcher.levels_reaching(&course, pair, glances) {
                        Some(found) => assert_eq!(found, levels),
                        None => assert!(probability(weight) < keep, "{levels:?} {weight}"),
                    }
                }
                left_out += u32::from(probability(weight) < keep);
                kept += u32::from(probability(weight) >= keep);
            }
        }
        assert!(left_out > 1000 && kept > 100, "{left_out} {kept}");
    }
}
