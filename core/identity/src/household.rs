//! Households: customers that live together. A result of its own; it never joins people.

use hashbrown::HashMap;
use xxhash_rust::xxh3::xxh3_128;

use crate::features::{Features, col};
use crate::link::number;
use crate::repair::Forest;

/// Households of customers.
#[derive(Clone, Debug, Default)]
pub struct Households {
    /// Household of each customer, as an index into `household_ids`.
    pub household: Vec<u32>,
    /// Id of each household.
    pub household_ids: Vec<String>,
}

/// Customers that share a full address and a family name or phone, or a phone and a family name. A value on more than twelve
/// customers is a building or a hub and makes no household.
#[must_use]
pub fn household_of(features: &Features, customer: &[u32], customer_ids: &[String]) -> Households {
    const LARGEST: usize = 12;
    let mut shared: HashMap<(u8, u64, u64), Vec<u32>> = HashMap::new();
    for (row, customer) in features.rows.iter().zip(customer) {
        if row[col::BUSINESS] == 2 {
            continue;
        }
        let h = |c: usize| features.hash(row, c);
        let phone = h(col::PHONE);
        let place = if row[col::TOWN] == 0 || row[col::BLOCK] == 0 {
            0
        } else {
            h(col::TOWN)
                ^ h(col::BLOCK).rotate_left(11)
                ^ h(col::CITY).rotate_left(23)
                ^ h(col::BUILDING).rotate_left(37)
        };
        let family = if row[col::FAMILY_READING] == 0 {
            h(col::FAMILY)
        } else {
            h(col::FAMILY_READING)
        };
        for key in [(0, place, family), (1, place, phone), (2, phone, family)] {
            if key.1 != 0 && key.2 != 0 {
                shared.entry(key).or_default().push(*customer);
            }
        }
    }
    let mut forest = Forest::new(customer_ids.len());
    for members in shared.values_mut() {
        members.sort_unstable();
        members.dedup();
        if members.len() <= LARGEST {
            for pair in members.windows(2) {
                forest.union(pair[0], pair[1]);
            }
        }
    }
    let household = number(&forest.roots());
    let mut household_ids = Vec::new();
    for (c, h) in household.iter().enumerate() {
        if *h as usize == household_ids.len() {
            household_ids.push(format!("h{:032x}", xxh3_128(customer_ids[c].as_bytes())));
        }
    }
    Households {
        household,
        household_ids,
    }
}
