//! Record ids and sets of them.

use hashbrown::HashSet;

use crate::error::IdentityError;

/// A set of records, by id.
#[derive(Clone, Debug, Default)]
pub struct RecordSet(pub(crate) HashSet<u128>);

impl RecordSet {
    /// From record ids of 32 hexadecimal characters.
    ///
    /// # Errors
    /// When an id has another form.
    pub fn new<S: AsRef<str>>(ids: impl IntoIterator<Item = S>) -> Result<Self, IdentityError> {
        ids.into_iter()
            .enumerate()
            .map(|(row, id)| parse_id(id.as_ref()).ok_or(IdentityError::RecordId { row }))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// How many records.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether a record is in it.
    #[must_use]
    pub fn contains(&self, id: u128) -> bool {
        self.0.contains(&id)
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<u128> for RecordSet {
    fn from_iter<I: IntoIterator<Item = u128>>(ids: I) -> Self {
        Self(ids.into_iter().collect())
    }
}

pub(crate) fn parse_id(id: &str) -> Option<u128> {
    (id.len() == 32)
        .then(|| u128::from_str_radix(id, 16).ok())
        .flatten()
}
