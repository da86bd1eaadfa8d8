//! What a change can have reached: the records whose customers have to be put together anew.

use hashbrown::HashSet;

use crate::edge::Edge;
use crate::features::{Features, RecordSet};
use crate::identifiers::Holders;
use crate::link::Pins;
use crate::policy::Policy;
use crate::registry::Registry;
use crate::repair::Forest;
use crate::score::Matcher;

/// What is other than in the run before.
pub struct Change<'a> {
    /// Records that are new or read otherwise.
    pub changed: &'a RecordSet,
    /// The records that changed or are gone, as they were.
    pub before: &'a Features,
    /// Records that had an edge with one of those.
    pub loose: &'a [u32],
}

/// The records that a change can have reached, in order: whatever hangs together by edges, identifiers, pins or an
/// old customer with something that it touched.
pub(crate) fn affected(
    matcher: &Matcher,
    edges: &[Edge],
    previous: &Registry,
    policy: &Policy,
    change: &Change<'_>,
) -> Vec<u32> {
    let features = &matcher.features;
    let all = 0..features.len() as u32;
    let mut together = Forest::new(features.len());
    let mut touched: Vec<u32> = change.loose.to_vec();
    for edge in edges {
        together.union(edge.left, edge.right);
    }
    for (a, b) in &Pins::new(features, policy).always {
        together.union(*a, *b);
    }
    let left: HashSet<u32> = {
        let mut before = previous.walk();
        let was = change
            .before
            .ids
            .iter()
            .filter_map(|id| before.customer_of(*id));
        was.collect()
    };
    let mut first = vec![u32::MAX; previous.customers.len()];
    let mut before = previous.walk();
    for (record, id) in all.clone().zip(&features.ids) {
        let old = before.customer_of(*id);
        if old.is_none_or(|c| left.contains(&c)) || change.changed.contains(*id) {
            touched.push(record);
        }
        if let Some(old) = old {
            let first = &mut first[old as usize];
            *first = (*first).min(record);
            together.union(*first, record);
        }
    }
    for held in Holders::all(features, policy) {
        // Who is on a value decides what it proves: all who are on one that the change touched are reached.
        let news = features.ids.iter().zip(&features.rows);
        let news = news
            .filter(|(id, _)| change.changed.contains(**id))
            .map(|(_, row)| row);
        let mut values: HashSet<u32> = news
            .flat_map(|row| held.columns.iter().map(|c| row[*c]))
            .collect();
        values.extend(held.codes_of(features, change.before));
        values.remove(&0);
        let mut first: Vec<u32> = vec![u32::MAX; held.codes()];
        for record in all.clone() {
            let row = &features.rows[record as usize];
            if held.columns.iter().any(|c| values.contains(&row[*c])) {
                touched.push(record);
            }
            for value in held.values(features, record) {
                let first = &mut first[value as usize];
                *first = (*first).min(record);
                together.union(*first, record);
            }
        }
    }
    let mut reached = vec![false; features.len()];
    for record in touched {
        reached[together.find(record) as usize] = true;
    }
    all.filter(|r| reached[together.find(*r) as usize])
        .collect()
}
