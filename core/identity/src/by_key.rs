//! Records by key.

use hashbrown::HashMap;

/// A key and a record in one number, so that sorting puts the records of a key side by side.
pub(crate) fn entry(key: u32, record: u32) -> u64 {
    u64::from(key) << 32 | u64::from(record)
}

/// Sorts entries by key; the records of a key are in order already (radix sort from the lowest digit, which keeps that
/// order).
pub(crate) fn sort_by_key(entries: &mut Vec<u64>) {
    const BITS: u32 = 11;
    const DIGITS: usize = 32usize.div_ceil(BITS as usize);
    const FEW: usize = 1 << 12;
    let digit =
        |entry: u64, n: usize| (entry >> (32 + BITS * n as u32)) as usize & ((1 << BITS) - 1);
    if entries.len() < FEW {
        entries.sort_by_key(|entry| entry >> 32);
        return;
    }
    let mut counts = vec![[0usize; 1 << BITS]; DIGITS];
    for entry in entries.iter() {
        for (n, counts) in counts.iter_mut().enumerate() {
            counts[digit(*entry, n)] += 1;
        }
    }
    let mut sorted = vec![0; entries.len()];
    for (n, places) in counts.iter_mut().enumerate() {
        let mut next = 0;
        for place in places.iter_mut() {
            next += std::mem::replace(place, next);
        }
        for entry in entries.iter() {
            let place = &mut places[digit(*entry, n)];
            sorted[*place] = *entry;
            *place += 1;
        }
        std::mem::swap(entries, &mut sorted);
    }
}

/// The records of each key: those known from the start, and those that came later.
pub(crate) struct ByKey {
    /// Entries, sorted.
    early: Vec<u64>,
    late: HashMap<u32, Vec<u32>>,
}

impl ByKey {
    /// From entries in order.
    pub(crate) fn new(early: Vec<u64>) -> Self {
        debug_assert!(early.is_sorted());
        Self {
            early,
            late: HashMap::new(),
        }
    }

    /// Adds a record that came later.
    pub(crate) fn add(&mut self, key: u32, record: u32) {
        self.late.entry(key).or_default().push(record);
    }

    /// The records of a key.
    pub(crate) fn having(&self, key: u32) -> impl Iterator<Item = u32> {
        let begin = self.early.partition_point(|e| *e < entry(key, 0));
        let early = self.early[begin..].iter();
        let early = early.take_while(move |e| **e <= entry(key, u32::MAX));
        let late = self.late.get(&key).into_iter().flatten();
        early.map(|e| *e as u32).chain(late.copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_sorted_by_key_and_keep_the_order_of_their_records() {
        for n in [0u32, 1, 100, 50_000] {
            let key = |record: u32| record.wrapping_mul(0x9E37_79B9) >> (record % 3 * 9);
            let mut entries: Vec<u64> = (0..n)
                .flat_map(|record| [entry(key(record), record), entry(key(record / 7), record)])
                .collect();
            let mut sorted = entries.clone();
            sorted.sort_unstable();
            sort_by_key(&mut entries);
            assert_eq!(entries, sorted);
        }
    }
}
