//! Households: customers that live together. A result of its own; it never joins people.

use rayon::prelude::*;

use crate::by_key::entry;
use crate::features::{Features, Row, col, short};
use crate::link::number;
use crate::repair::Forest;

/// What customers of one household share.
#[derive(Clone, Copy)]
enum Shared {
    PlaceAndFamily,
    PlaceAndPhone,
    PhoneAndFamily,
}

/// A value on more customers is a building or a hub and makes no household.
const LARGEST: usize = 12;

/// Households of customers that share a full address and a family name or phone, or a phone and a family name: that of
/// each customer, numbered in the order of their first customer.
pub(crate) fn households(features: &Features, customer: &[u32], customers: usize) -> Vec<u32> {
    let mut forest = Forest::new(customers);
    let mut holders: Vec<(u64, u32)> = Vec::new();
    for kind in [
        Shared::PlaceAndFamily,
        Shared::PlaceAndPhone,
        Shared::PhoneAndFamily,
    ] {
        let key = |record: u32| kind.key(features, &features.rows[record as usize]);
        // By half of the key: the other half is made again for the few that share one.
        let mut records: Vec<u64> = (0..features.len() as u32)
            .filter_map(|record| Some(entry(short(key(record)?), record)))
            .collect();
        records.par_sort_unstable();
        let alike = records.chunk_by(|a, b| a >> 32 == b >> 32);
        for alike in alike.filter(|alike| alike.len() > 1) {
            holders.clear();
            let of = |record: u32| Some((key(record)?, customer[record as usize]));
            holders.extend(alike.iter().filter_map(|entry| of(*entry as u32)));
            holders.sort_unstable();
            holders.dedup();
            for members in holders.chunk_by(|a, b| a.0 == b.0) {
                if members.len() <= LARGEST {
                    for pair in members.windows(2) {
                        forest.union(pair[0].1, pair[1].1);
                    }
                }
            }
        }
    }
    number(&forest.roots())
}

impl Shared {
    /// Hash of the values; nothing where one is missing, and of a company.
    fn key(self, features: &Features, row: &Row) -> Option<u64> {
        let h = |c: usize| features.hash(row, c);
        let place = || {
            if row[col::TOWN] == 0 || row[col::BLOCK] == 0 {
                return 0;
            }
            h(col::TOWN)
                ^ h(col::BLOCK).rotate_left(11)
                ^ h(col::CITY).rotate_left(23)
                ^ h(col::BUILDING).rotate_left(37)
        };
        let family = || {
            if row[col::FAMILY_READING] == 0 {
                h(col::FAMILY)
            } else {
                h(col::FAMILY_READING)
            }
        };
        let phone = || h(col::PHONE);
        let [of_phone, of_place] = [col::PHONE, col::TOWN].map(|c| row[c] != 0);
        let (kind, a, b) = match self {
            _ if row[col::BUSINESS] == 2 => return None,
            Self::PlaceAndFamily if of_place => (1, place(), family()),
            Self::PlaceAndPhone if of_place && of_phone => (2, place(), phone()),
            Self::PhoneAndFamily if of_phone => (3, phone(), family()),
            _ => return None,
        };
        let mixed = (a.rotate_left(21) ^ b ^ kind).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (a != 0 && b != 0).then_some(mixed)
    }
}
