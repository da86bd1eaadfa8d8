//! Households: customers that live together. A result of its own; it never joins people.

use rayon::prelude::*;

use crate::features::{Features, Row, col};
use crate::ids::HouseholdId;
use crate::link::number;
use crate::registry::Customer;
use crate::repair::Forest;

/// Households of customers.
#[derive(Clone, Debug, Default)]
pub struct Households {
    /// Household of each customer, as an index into `household_ids`.
    pub household: Vec<u32>,
    /// Id of each household.
    pub household_ids: Vec<HouseholdId>,
}

/// Customers that share a full address and a family name or phone, or a phone and a family name. A value on more than twelve
/// customers is a building or a hub and makes no household.
#[must_use]
pub fn household_of(features: &Features, customer: &[u32], customers: &[Customer]) -> Households {
    const LARGEST: usize = 12;
    let keys = |(row, customer): (&Row, &u32)| {
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
        let person = row[col::BUSINESS] != 2;
        let kinds = [(1, place, family), (2, place, phone), (3, phone, family)];
        let shared = kinds
            .into_iter()
            .filter(move |k| person && k.1 != 0 && k.2 != 0);
        let mixed = |(kind, a, b): (u64, u64, u64)| {
            (a.rotate_left(21) ^ b ^ kind).wrapping_mul(0x9E37_79B9_7F4A_7C15)
        };
        let customer = *customer;
        shared.map(move |k| (mixed(k), customer))
    };
    let mut shared: Vec<(u64, u32)> = features.rows.iter().zip(customer).flat_map(keys).collect();
    shared.par_sort_unstable();
    shared.dedup();
    let mut forest = Forest::new(customers.len());
    for members in shared.chunk_by(|a, b| a.0 == b.0) {
        if members.len() <= LARGEST {
            for pair in members.windows(2) {
                forest.union(pair[0].1, pair[1].1);
            }
        }
    }
    drop(shared);
    let household = number(&forest.roots());
    let mut household_ids = Vec::new();
    for (c, h) in household.iter().enumerate() {
        if *h as usize == household_ids.len() {
            household_ids.push(HouseholdId::of(customers[c].id));
        }
    }
    Households {
        household,
        household_ids,
    }
}
