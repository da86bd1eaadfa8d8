//! What is remembered of the values of a batch.

use bumpalo::Bump;
use hashbrown::HashMap;

use crate::mapping::Slot;
use crate::moments::Clock;
use crate::normalised::Normalised;
use crate::{address, name};

/// A name and its parts.
#[derive(Clone, Copy)]
pub(crate) struct Name<'a> {
    pub(crate) full: &'a str,
    pub(crate) family: &'a str,
    pub(crate) given: &'a str,
}

/// Postal code, prefecture, city, town, block, building.
pub(crate) type Address<'a> = [&'a str; 6];

/// Values of a batch that were normalised already: streets and families come again. Kinds whose normalising
/// costs no more than to remember are not kept.
pub(crate) struct Memo<'a> {
    arena: &'a Bump,
    pub(crate) clock: Clock<'a>,
    names: HashMap<&'a str, Normalised<Name<'a>>>,
    name_parts: HashMap<&'a str, Normalised<&'a str>>,
    /// By country and text.
    addresses: HashMap<(&'a str, &'a str), Normalised<Address<'a>>>,
}

impl<'a> Memo<'a> {
    pub(crate) fn new(arena: &'a Bump, clock: Clock<'a>) -> Self {
        Self {
            arena,
            clock,
            names: HashMap::new(),
            name_parts: HashMap::new(),
            addresses: HashMap::new(),
        }
    }

    pub(crate) fn name_part(&mut self, value: &'a str) -> Normalised<&'a str> {
        let arena = self.arena;
        *self
            .name_parts
            .entry(value)
            .or_insert_with(|| kept(arena, name::part(value)))
    }

    pub(crate) fn name(&mut self, value: &'a str) -> Normalised<Name<'a>> {
        let arena = self.arena;
        *self.names.entry(value).or_insert_with(|| {
            name::split(value).map(|name| Name {
                full: arena.alloc_str(&name.full),
                family: arena.alloc_str(name.family.as_deref().unwrap_or_default()),
                given: arena.alloc_str(name.given.as_deref().unwrap_or_default()),
            })
        })
    }

    pub(crate) fn address(&mut self, value: &'a str, country: &'a str) -> Normalised<Address<'a>> {
        let arena = self.arena;
        *self.addresses.entry((country, value)).or_insert_with(|| {
            address::normalise(value, country).map(|a| {
                [
                    a.postal_code,
                    a.prefecture,
                    a.city,
                    a.town,
                    a.block,
                    a.building,
                ]
                .map(|part| &*arena.alloc_str(&part))
            })
        })
    }
}

/// The text that a field was last made from, and what became of it.
#[derive(Clone, Copy)]
pub(crate) struct Repeat<'a> {
    pub(crate) from: &'a str,
    pub(crate) slot: Slot<'a>,
}

impl<'a> Repeat<'a> {
    /// What becomes of a text, when it is the same as last.
    pub(crate) fn of(&self, text: &str) -> Option<Slot<'a>> {
        let same = std::ptr::eq(self.from, text) || self.from == text;
        same.then_some(self.slot)
    }
}

pub(crate) fn kept(arena: &Bump, found: Normalised<String>) -> Normalised<&str> {
    found.map(|text| &*arena.alloc_str(&text))
}
