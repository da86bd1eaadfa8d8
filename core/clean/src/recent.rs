//! Values that were read lately: most come again within a few rows, or are asked for twice of one row.

use xxhash_rust::xxh3::xxh3_64;

/// How many values are kept; so few that looking one up costs less than reading it anew.
const KEPT: usize = 64;

/// What became of texts, for those met last. A new one takes the place of an older one.
pub(crate) struct Recent<'a, T>([Option<(&'a str, T)>; KEPT]);

impl<'a, T: Copy> Recent<'a, T> {
    pub(crate) const fn new() -> Self {
        Self([None; KEPT])
    }

    /// What becomes of a text; `read` is asked when it is not known.
    pub(crate) fn get(&mut self, text: &'a str, read: impl FnOnce(&'a str) -> T) -> T {
        let place = xxh3_64(text.as_bytes()) as usize % KEPT;
        match self.0[place] {
            Some((known, value)) if known == text => value,
            _ => {
                let value = read(text);
                self.0[place] = Some((text, value));
                value
            }
        }
    }
}
