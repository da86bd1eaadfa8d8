//! How many different values a column has, in bounded memory.

use std::collections::HashMap;

/// Hashes that are kept.
const ROOM: usize = 1 << 15;

/// A sample of the different values: those whose hash ends in `level` zero bits, with how often they came.
/// Up to [`ROOM`] different values all figures are exact.
#[derive(Debug, Default)]
pub(super) struct Distinct {
    level: u32,
    seen: HashMap<u64, u64>,
}

impl Distinct {
    pub(super) fn add(&mut self, hash: u64) {
        if hash.trailing_zeros() < self.level {
            return;
        }
        *self.seen.entry(hash).or_default() += 1;
        while self.seen.len() > ROOM {
            self.level += 1;
            let level = self.level;
            self.seen.retain(|hash, _| hash.trailing_zeros() >= level);
        }
    }

    /// Different values.
    pub(super) fn count(&self) -> u64 {
        (self.seen.len() as u64) << self.level
    }

    /// Whether the figure is exact.
    pub(super) const fn is_exact(&self) -> bool {
        self.level == 0
    }
}

#[cfg(test)]
mod tests {
    use xxhash_rust::xxh3::xxh3_64;

    use super::Distinct;

    fn of(values: impl Iterator<Item = u64>) -> Distinct {
        let mut distinct = Distinct::default();
        values.for_each(|v| distinct.add(xxh3_64(&v.to_le_bytes())));
        distinct
    }

    #[test]
    fn few_values_are_counted_exactly() {
        let distinct = of((0..20_000).map(|v| v % 777));
        assert_eq!((distinct.count(), distinct.is_exact()), (777, true));
    }

    #[test]
    fn many_values_are_estimated_within_three_percent() {
        let distinct = of((0..1_000_000).map(|v| v % 400_000));
        let off = distinct.count().abs_diff(400_000);
        assert!(off < 12_000 && !distinct.is_exact(), "{off}");
    }
}
