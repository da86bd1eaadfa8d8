//! Stable customer ids. A customer keeps the id with which it shares most records; among equals the
//! oldest id wins. New ids derive from a record id, never from a personal value. What happens to ids is
//! told in events to be appended, and old ids stay resolvable as aliases.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use hashbrown::{HashMap, HashSet};
use xxhash_rust::xxh3::xxh3_128;

use crate::features::parse_id;
use crate::registry::{Customer, Registry};

/// A number as 32 digits. The formatting of the standard library takes several times as long, and there are two a record.
pub(crate) fn hexadecimal(number: u128, digits: &mut [u8; 32]) -> &str {
    let bytes = number.to_be_bytes();
    for (pair, byte) in digits.chunks_exact_mut(2).zip(bytes) {
        pair[0] = b"0123456789abcdef"[usize::from(byte >> 4)];
        pair[1] = b"0123456789abcdef"[usize::from(byte & 15)];
    }
    std::str::from_utf8(digits).unwrap_or_default()
}

macro_rules! id {
    ($name:ident, $letter:literal, $what:literal) => {
        #[doc = $what]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u128);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!($letter))?;
                f.write_str(hexadecimal(self.0, &mut [0; 32]))
            }
        }

        impl FromStr for $name {
            type Err = ();

            fn from_str(text: &str) -> Result<Self, ()> {
                let digits = text.strip_prefix($letter).ok_or(())?;
                parse_id(digits).map(Self).ok_or(())
            }
        }
    };
}

id!(
    CustomerId,
    'c',
    "Id of a customer: `c` and 32 hexadecimal characters."
);
id!(
    HouseholdId,
    'h',
    "Id of a household: `h` and 32 hexadecimal characters."
);

impl HouseholdId {
    /// The id of the household that a customer is the first of.
    pub(crate) fn of(first: CustomerId) -> Self {
        Self(xxh3_128(first.to_string().as_bytes()))
    }
}

/// Something that happened to a customer id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdEvent {
    /// A customer that was not there before.
    Created {
        /// Its id.
        id: CustomerId,
    },
    /// An id is gone; its records are now with another.
    Merged {
        /// The id that is gone; from now an alias.
        old: CustomerId,
        /// The id to use.
        new: CustomerId,
    },
    /// Some records of a customer are now another customer.
    Split {
        /// The customer that was split.
        old: CustomerId,
        /// The customer that left it.
        new: CustomerId,
    },
    /// An id that had been merged away stands again.
    Unmerged {
        /// The id that is back.
        id: CustomerId,
        /// The id that had stood for it.
        from: CustomerId,
    },
    /// The last record of a customer was deleted.
    Removed {
        /// The id.
        id: CustomerId,
    },
}

/// The ids that a customer may get of a record: the first that nobody has.
pub(crate) fn ids_of_record(record: u128) -> impl Iterator<Item = CustomerId> {
    (0..=u8::MAX).map(move |salt| {
        let mut bytes = record.to_be_bytes().to_vec();
        if salt > 0 {
            bytes.push(salt);
        }
        CustomerId(xxh3_128(&bytes))
    })
}

fn fresh(record: u128, taken: impl Fn(CustomerId) -> bool) -> CustomerId {
    let mut ids = ids_of_record(record);
    let free = ids.find(|id| !taken(*id));
    // All 256 were never seen taken.
    free.unwrap_or(CustomerId(xxh3_128(&record.to_be_bytes())))
}

/// The ids of customers and households in a first run, made when they are asked for: that of a customer comes from its
/// first record, that of a household from its first customer.
pub struct FirstIds<'a> {
    records: &'a [u128],
    household: &'a [u32],
    /// First record of each customer.
    record: Vec<u32>,
    /// First customer of each household.
    customer: Vec<u32>,
}

impl<'a> FirstIds<'a> {
    /// Of the customer of each record and the household of each customer, both numbered in the order of their first.
    pub(crate) fn new(records: &'a [u128], customer: &[u32], household: &'a [u32]) -> Self {
        Self {
            records,
            household,
            record: firsts(customer),
            customer: firsts(household),
        }
    }

    /// Id of a customer.
    #[must_use]
    pub fn customer(&self, customer: u32) -> CustomerId {
        let first = self.record[customer as usize];
        fresh(self.records[first as usize], |_| false)
    }

    /// Id of the household of a customer.
    #[must_use]
    pub fn household_of(&self, customer: u32) -> HouseholdId {
        let household = self.household[customer as usize];
        HouseholdId::of(self.customer(self.customer[household as usize]))
    }
}

/// The first member of each group; groups are numbered in the order of these.
fn firsts(group: &[u32]) -> Vec<u32> {
    let mut firsts = Vec::new();
    for (member, group) in (0..).zip(group) {
        if *group as usize == firsts.len() {
            firsts.push(member);
        }
    }
    firsts
}

/// What became of the ids.
pub(crate) struct Assigned {
    /// By customer.
    pub(crate) customers: Vec<Customer>,
    pub(crate) aliases: BTreeMap<CustomerId, CustomerId>,
    pub(crate) events: Vec<IdEvent>,
}

/// Gives every customer its id. Records are ordered by id, and customers numbered by their smallest record.
pub(crate) fn assign(records: &[u128], customer: &[u32], previous: &Registry) -> Assigned {
    let customers = customer.iter().max().map_or(0, |m| *m as usize + 1);
    // What a customer shares with one of before, by number. Nearly always that is all there is to say.
    let mut overlap: HashMap<(u32, u32), u64> = HashMap::new();
    let mut first = vec![u128::MAX; customers];
    let mut before = previous.walk();
    for (record, c) in records.iter().zip(customer) {
        first[*c as usize] = first[*c as usize].min(*record);
        if let Some(old) = before.customer_of(*record) {
            *overlap.entry((*c, old)).or_default() += 1;
        }
    }
    let old = |number: u32| &previous.customers[number as usize];
    let mut claims: Vec<(u32, u32, u64)> =
        overlap.into_iter().map(|((c, o), n)| (c, o, n)).collect();
    claims
        .sort_unstable_by_key(|(c, o, n)| (std::cmp::Reverse(*n), old(*o).created, old(*o).id, *c));
    let mut given: Vec<Option<Customer>> = vec![None; customers];
    let mut kept = vec![false; previous.customers.len()];
    let mut from: HashMap<u32, u32> = HashMap::new();
    for (c, o, _) in &claims {
        from.entry(*c).or_insert(*o);
        if given[*c as usize].is_none() && !kept[*o as usize] {
            kept[*o as usize] = true;
            given[*c as usize] = Some(*old(*o));
        }
    }
    let mut aliases = previous.aliases.clone();
    let next = previous.customers.iter().map(|c| c.created + 1);
    let next = next.max().unwrap_or(0);
    let mut events = Vec::new();
    let mut known: Option<HashSet<CustomerId>> = None;
    let without = given.iter_mut().enumerate().filter(|g| g.1.is_none());
    for (created, (c, slot)) in (next..).zip(without) {
        let known = known.get_or_insert_with(|| previous.customers.iter().map(|c| c.id).collect());
        let id = fresh(first[c], |id| known.contains(&id));
        known.insert(id);
        events.push(match (aliases.remove(&id), from.get(&(c as u32))) {
            (Some(from), _) => IdEvent::Unmerged { id, from },
            (None, Some(o)) => IdEvent::Split {
                old: old(*o).id,
                new: id,
            },
            (None, None) => IdEvent::Created { id },
        });
        *slot = Some(Customer {
            id,
            created,
            household: None,
        });
    }
    let customers: Vec<Customer> = given.into_iter().flatten().collect();
    let mut gone: Vec<u32> = (0..)
        .zip(&kept)
        .filter(|(_, kept)| !**kept)
        .map(|(o, _)| o)
        .collect();
    gone.sort_unstable_by_key(|o| old(*o).id);
    // Of an id that is gone, the customer that has most of its records.
    let mut heirs: HashMap<u32, (u64, u32)> = HashMap::new();
    for (c, o, n) in claims.iter().filter(|(_, o, _)| !kept[*o as usize]) {
        let heir = heirs.entry(*o).or_insert((*n, *c));
        if *n > heir.0 {
            *heir = (*n, *c);
        }
    }
    for o in gone {
        let old = old(o).id;
        events.push(match heirs.get(&o) {
            Some((_, c)) => {
                let new = customers[*c as usize].id;
                aliases.insert(old, new);
                IdEvent::Merged { old, new }
            }
            None => IdEvent::Removed { id: old },
        });
    }
    Assigned {
        customers,
        aliases,
        events,
    }
}
