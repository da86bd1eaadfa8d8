//! Scores: the probability that a pair is one person rather than two members of one household or two
//! strangers (Fellegi and Sunter 1969, with a third class).

use std::sync::{Arc, Mutex};

use hashbrown::HashMap;

use crate::blocking::{Hubs, Room, Sketches};
use crate::bound::Gains;
use crate::compare::{self, COMPARISONS, Comparing, LEVELS, Levels};
use crate::edge::Edge;
use crate::features::{Features, Row, col, dict_of};
use crate::model::Model;

/// Parts of a score, in bits (log2).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Parts {
    pub(crate) person: f32,
    pub(crate) household: f32,
    pub(crate) unrelated: f32,
}

impl Parts {
    pub(crate) fn weight(self) -> f32 {
        let (high, low) = (
            self.household.max(self.unrelated),
            self.household.min(self.unrelated),
        );
        self.person - high - (1.0 + (low - high).exp2()).log2()
    }
}

impl std::ops::AddAssign for Parts {
    fn add_assign(&mut self, other: Self) {
        self.person += other.person;
        self.household += other.household;
        self.unrelated += other.unrelated;
    }
}

impl std::ops::Mul<f32> for Parts {
    type Output = Self;

    fn mul(self, by: f32) -> Self {
        Self {
            person: self.person * by,
            household: self.household * by,
            unrelated: self.unrelated * by,
        }
    }
}

pub(crate) fn probability(weight: f32) -> f32 {
    1.0 / (1.0 + (-weight).exp2())
}

/// log2 of the frequencies of the values of a comparison.
struct Frequencies {
    /// By hash of the value.
    known: HashMap<u64, f32>,
    /// Of any other; NaN where frequencies do not apply.
    rest: f32,
    /// The same by code, for the columns that hold the value alone.
    by_code: [Vec<f32>; 2],
}

/// The columns that a comparison's value is taken from: the second where the first is missing. Those of the street
/// are looked at together.
pub(crate) fn columns_of(comparison: usize) -> &'static [usize] {
    match comparison {
        compare::GIVEN => &[col::GIVEN, col::GIVEN_READING],
        compare::FAMILY => &[col::FAMILY, col::FAMILY_READING],
        compare::EMAIL => &[col::EMAIL],
        compare::PHONE => &[col::PHONE],
        compare::AREA => &[col::POSTAL, col::CITY],
        compare::BUILDING => &[col::BUILDING],
        compare::MIDDLE => &[col::MIDDLE],
        _ => &[],
    }
}

impl Frequencies {
    fn new(features: &Features, model: &Model, comparison: usize) -> Self {
        let parameters = &model.comparisons[comparison];
        let known: HashMap<u64, f32> = parameters
            .frequencies
            .iter()
            .filter_map(|(k, v)| Some((u64::from_str_radix(k, 16).ok()?, v.log2() as f32)))
            .collect();
        let rest = if parameters.used && parameters.default_frequency > 0.0 {
            parameters.default_frequency.log2() as f32
        } else {
            f32::NAN
        };
        let mut by_code = [Vec::new(), Vec::new()];
        for (codes, column) in by_code.iter_mut().zip(columns_of(comparison)) {
            let hashes = features.dicts[dict_of(*column)].hash.iter();
            *codes = hashes
                .map(|h| known.get(h).copied().unwrap_or(rest))
                .collect();
        }
        Self {
            known,
            rest,
            by_code,
        }
    }

    /// Of a record's value; NaN where it does not apply.
    fn of(&self, features: &Features, row: &Row, comparison: usize) -> f32 {
        if comparison == compare::STREET {
            return match compare::term(features, row, comparison) {
                0 => f32::NAN,
                term => self.known.get(&term).copied().unwrap_or(self.rest),
            };
        }
        let columns = columns_of(comparison).iter().zip(&self.by_code);
        let mut values = columns.filter(|(column, _)| row[**column] != 0);
        let Some((column, codes)) = values.next() else {
            return f32::NAN;
        };
        let known = codes.get(row[*column] as usize).copied();
        // The value of a record that came later has no code yet that was looked up.
        let late = || self.known.get(&features.hash(row, *column)).copied();
        known.or_else(late).unwrap_or(self.rest)
    }

    /// Of the rarest value.
    fn least(&self) -> f32 {
        self.known.values().copied().fold(self.rest, f32::min)
    }
}

/// Whether the values agree in full, but for the places that they have.
const fn is_swapped(comparison: usize, level: u8) -> bool {
    matches!(comparison, compare::GIVEN | compare::FAMILY) && level == compare::SWAPPED
}

/// The records of a run as a model reads them, ready to be matched and linked. Made once, it serves every shard.
pub struct Matcher {
    pub(crate) features: Features,
    pub(crate) hubs: Arc<Hubs>,
    pub(crate) room: Room,
    pub(crate) sketches: Mutex<Option<Arc<Sketches>>>,
    pub(crate) prior: Parts,
    /// Bits that a conflict of birth dates weighs beyond its own: people have one. Where the data's birth dates are
    /// often wrong it weighs nothing more.
    pub(crate) birth_conflict: f32,
    m: [[f32; LEVELS]; COMPARISONS],
    u: [[f32; LEVELS]; COMPARISONS],
    /// log2 of the household share and of its complement.
    share: [(f32, f32); COMPARISONS],
    frequencies: Arc<Vec<Frequencies>>,
    pub(crate) gains: Gains,
}

impl Matcher {
    /// Brings the features of a run and a model together.
    #[must_use]
    pub fn new(features: Features, model: &Model) -> Self {
        let features = model.lexicon.resolve(features);
        let bits =
            |t: [[f64; LEVELS]; COMPARISONS]| t.map(|row| row.map(|p| p.max(1e-9).log2() as f32));
        let frequencies = (0..COMPARISONS).map(|c| Frequencies::new(&features, model, c));
        let unrelated = (1.0 - model.lambda_person - model.lambda_household).max(0.01);
        let mut matcher = Self {
            frequencies: Arc::new(frequencies.collect()),
            features,
            hubs: Arc::new(model.hubs()),
            room: Room::default(),
            sketches: Mutex::default(),
            prior: Parts {
                person: model.lambda_person.max(1e-15).log2() as f32,
                household: model.lambda_household.max(1e-15).log2() as f32,
                unrelated: unrelated.log2() as f32,
            },
            birth_conflict: {
                let levels = &model.comparisons[compare::BIRTH].levels;
                let wrong: f64 = levels[3..].iter().map(|l| l.m).sum();
                (10.0 * (1.0 - wrong / 0.05)).max(0.0) as f32
            },
            m: bits(model.table(|l| l.m)),
            u: bits(model.table(|l| l.u)),
            share: std::array::from_fn(|c| {
                let h = model.comparisons[c].household as f32;
                (h.max(1e-9).log2(), (1.0 - h).max(1e-9).log2())
            }),
            gains: Gains::default(),
        };
        matcher.gains = Gains::new(&matcher);
        matcher
    }

    /// The same model over other records, whose values have the same codes.
    pub(crate) fn over(&self, features: Features) -> Self {
        Self {
            features,
            hubs: self.hubs.clone(),
            room: self.room,
            sketches: Mutex::default(),
            prior: self.prior,
            birth_conflict: self.birth_conflict,
            m: self.m,
            u: self.u,
            share: self.share,
            frequencies: self.frequencies.clone(),
            gains: self.gains.clone(),
        }
    }

    /// The records; names are split and read as the model knows them.
    #[must_use]
    pub fn features(&self) -> &Features {
        &self.features
    }

    pub(crate) fn row(&self, record: u32) -> &Row {
        &self.features.rows[record as usize]
    }

    /// m, u and household bits of one comparison of a pair.
    pub(crate) fn bits(&self, a: &Row, b: &Row, comparison: usize, level: u8) -> Parts {
        let frequency = if level == 1 || is_swapped(comparison, level) {
            let of = |row: &Row| self.frequencies[comparison].of(&self.features, row, comparison);
            of(a).max(of(b))
        } else {
            f32::NAN
        };
        self.bits_at(comparison, level, frequency)
    }

    /// The same with full agreement on the rarest value.
    pub(crate) fn most_bits(&self, comparison: usize, level: u8) -> Parts {
        let least = self.frequencies[comparison].least();
        let (m, u) = (&self.m[comparison], &self.u[comparison]);
        let at = usize::from(level);
        let frequency = match level {
            1 => least.min(u[1]),
            level if is_swapped(comparison, level) => least.min(u[1]).min(u[at] + m[1] - m[at]),
            _ => f32::NAN,
        };
        self.bits_at(comparison, level, frequency)
    }

    /// The same with a frequency (log2) of the value; NaN for none.
    fn bits_at(&self, comparison: usize, level: u8, frequency: f32) -> Parts {
        let l = usize::from(level);
        let (m, mut u) = (self.m[comparison][l], self.u[comparison][l]);
        if m < 0.0 && !frequency.is_nan() {
            u = match level {
                1 => frequency,
                // Names that changed places tell what the same names do that did not.
                _ => frequency + m - self.m[comparison][1],
            };
        }
        if compare::elsewhere(comparison) == Some(level) {
            return Parts::default();
        }
        let (share, rest) = self.share[comparison];
        Parts {
            person: m,
            household: (share + m).max(rest + u),
            unrelated: u,
        }
    }

    pub(crate) fn parts(&self, a: &Row, b: &Row, levels: &Levels) -> Parts {
        let mut total = self.prior;
        for (c, level) in levels.iter().enumerate() {
            if *level != 0 {
                total += self.bits(a, b, c, *level);
            }
        }
        total
    }

    pub(crate) fn levels(&self, a: u32, b: u32) -> Levels {
        Comparing::new(&self.features, self.row(a), self.row(b)).levels()
    }

    pub(crate) fn edge(&self, a: u32, b: u32, rule: u8) -> Edge {
        let (left, right) = (a.min(b), a.max(b));
        let levels = self.levels(left, right);
        let weight = self
            .parts(self.row(left), self.row(right), &levels)
            .weight();
        Edge {
            left,
            right,
            weight,
            probability: probability(weight),
            rule,
            levels,
        }
    }
}
