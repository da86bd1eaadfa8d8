//! Ids of entity rows.

use musubi_api::entity::Entity;
use xxhash_rust::xxh3::xxh3_128;

/// The id of an entity row: 32 hexadecimal digits, XXH3-128 of source, stream, entity and the parts of its
/// key (trimmed), each followed by a zero byte.
#[must_use]
pub fn record_id<S: AsRef<str>>(source: &str, stream: &str, entity: Entity, key: &[S]) -> String {
    let mut bytes = prefix(source, stream, entity);
    for part in key {
        push(&mut bytes, part.as_ref().trim());
    }
    RecordId::of(&bytes).as_str().to_owned()
}

/// What ids of a stream's entity have in common, as bytes to be hashed.
pub(crate) fn prefix(source: &str, stream: &str, entity: Entity) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in [source, stream, entity.as_str()] {
        push(&mut bytes, part);
    }
    bytes
}

/// Adds a part of a key.
pub(crate) fn push(bytes: &mut Vec<u8>, part: &str) {
    bytes.extend_from_slice(part.as_bytes());
    bytes.push(0);
}

/// An id in its text form.
#[derive(Clone, Copy)]
pub(crate) struct RecordId([u8; Self::LENGTH]);

impl RecordId {
    /// Bytes of the text form.
    pub(crate) const LENGTH: usize = 32;

    /// The id of a key whose parts were put together with [`prefix`] and [`push`].
    pub(crate) fn of(bytes: &[u8]) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [0; Self::LENGTH];
        for (pair, byte) in text.chunks_exact_mut(2).zip(xxh3_128(bytes).to_be_bytes()) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        Self(text)
    }

    pub(crate) const fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn as_str(&self) -> &str {
        // hexadecimal digits are text
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}
