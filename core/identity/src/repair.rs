//! Union-find and repair. Clusters whose shape or evidence is suspect are put together again link by link,
//! strongest first, and two parts join only when they agree as wholes.

use std::collections::BTreeMap;

use hashbrown::{HashMap, HashSet};

use crate::compare::{BIRTH, GIVEN};
use crate::features::col;
use crate::guard::Guard;
use crate::link::{Pins, identifier_columns};
use crate::policy::Policy;
use crate::score::{Edge, IDENTIFIER_RULE, PIN_RULE, Scorer};

/// Union-find with path halving; the root of a set is its smallest member.
pub(crate) struct Forest(Vec<u32>);

impl Forest {
    pub(crate) fn new(n: usize) -> Self {
        Self((0..n as u32).collect())
    }

    pub(crate) fn find(&mut self, mut x: u32) -> u32 {
        while self.0[x as usize] != x {
            self.0[x as usize] = self.0[self.0[x as usize] as usize];
            x = self.0[x as usize];
        }
        x
    }

    pub(crate) fn union(&mut self, a: u32, b: u32) -> bool {
        let (a, b) = (self.find(a), self.find(b));
        self.0[a.max(b) as usize] = a.min(b);
        a != b
    }

    pub(crate) fn roots(mut self) -> Vec<u32> {
        (0..self.0.len() as u32).map(|i| self.find(i)).collect()
    }
}

/// The root of each record's cluster.
pub(crate) fn partition(
    scorer: &Scorer<'_>,
    accepted: &[Edge],
    pins: &Pins,
    policy: &Policy,
    guards: &mut BTreeMap<Guard, u64>,
) -> Vec<u32> {
    let n = scorer.features.len();
    let mut forest = Forest::new(n);
    for e in accepted {
        forest.union(e.left, e.right);
    }
    let mut by_root: BTreeMap<u32, Vec<Edge>> = BTreeMap::new();
    for e in accepted {
        by_root.entry(forest.find(e.left)).or_default().push(*e);
    }
    let mut never: HashSet<u32> = HashSet::new();
    for (a, b) in &pins.never {
        let root = forest.find(*a);
        if root == forest.find(*b) {
            never.insert(root);
        }
    }
    let mut result = Forest::new(n);
    for (root, edges) in by_root {
        let mut members: Vec<u32> = edges.iter().flat_map(|e| [e.left, e.right]).collect();
        members.sort_unstable();
        members.dedup();
        if never.contains(&root) || suspect(scorer, &members, &edges, policy) {
            Repair {
                scorer,
                pins,
                policy,
            }
            .run(edges, &mut result, guards);
        } else {
            for e in edges {
                result.union(e.left, e.right);
            }
        }
    }
    result.roots()
}

fn suspect(scorer: &Scorer<'_>, members: &[u32], edges: &[Edge], policy: &Policy) -> bool {
    let k = members.len();
    let bridged = policy.cut_bridges && edges.len() < k * (k - 1) / 2;
    let conflict = edges
        .iter()
        .any(|e| e.levels[BIRTH] >= 4 || e.levels[GIVEN] == 7);
    bridged
        || conflict
        || k > policy.max_cluster_size as usize
        || over_limit(scorer, members, policy)
}

/// Whether records together have more values of an identifier than one customer may have.
fn over_limit(scorer: &Scorer<'_>, members: &[u32], policy: &Policy) -> bool {
    policy.identifiers.iter().any(|identifier| {
        let mut values: Vec<u32> = identifier_columns(&identifier.field)
            .into_iter()
            .flat_map(|c| {
                members
                    .iter()
                    .map(move |m| scorer.features.rows[*m as usize][c])
            })
            .filter(|v| *v != 0)
            .collect();
        values.sort_unstable();
        values.dedup();
        values.len() > identifier.max_per_customer as usize
    })
}

struct Repair<'a> {
    scorer: &'a Scorer<'a>,
    pins: &'a Pins,
    policy: &'a Policy,
}

impl Repair<'_> {
    fn run(&self, mut edges: Vec<Edge>, result: &mut Forest, guards: &mut BTreeMap<Guard, u64>) {
        edges.sort_by(|x, y| {
            y.weight
                .total_cmp(&x.weight)
                .then((x.left, x.right).cmp(&(y.left, y.right)))
        });
        let proven: HashSet<(u32, u32)> = edges
            .iter()
            .filter(|e| e.rule == IDENTIFIER_RULE)
            .map(|e| (e.left, e.right))
            .collect();
        let mut parts: HashMap<u32, Vec<u32>> = HashMap::new();
        for e in &edges {
            parts.entry(e.left).or_insert_with(|| vec![e.left]);
            parts.entry(e.right).or_insert_with(|| vec![e.right]);
        }
        // A second pass takes links up again that were refused while their clusters were still small.
        for pass in 0..2 {
            for e in &edges {
                let (a, b) = (result.find(e.left), result.find(e.right));
                if a == b {
                    continue;
                }
                let refusal = if e.rule == PIN_RULE {
                    None
                } else {
                    self.refuse(&parts[&a], &parts[&b], &proven)
                };
                match refusal {
                    Some(guard) if pass == 1 => *guards.entry(guard).or_default() += 1,
                    Some(_) => {}
                    None => {
                        result.union(a, b);
                        let taken = parts.remove(&a.max(b)).unwrap_or_default();
                        parts.entry(a.min(b)).or_default().extend(taken);
                    }
                }
            }
        }
    }

    fn refuse(&self, a: &[u32], b: &[u32], proven: &HashSet<(u32, u32)>) -> Option<Guard> {
        /// Members of a cluster that speak for it.
        const VOICES: usize = 12;
        if !self.pins.never.is_empty()
            && a.iter().any(|x| {
                b.iter()
                    .any(|y| self.pins.never.contains(&(*x.min(y), *x.max(y))))
            })
        {
            return Some(Guard::Pin);
        }
        let rows = &self.scorer.features.rows;
        let business = |m: &[u32]| m.iter().any(|i| rows[*i as usize][col::BUSINESS] == 2);
        if business(a) != business(b) {
            return Some(Guard::Business);
        }
        let all: Vec<u32> = a.iter().chain(b).copied().collect();
        if over_limit(self.scorer, &all, self.policy) {
            return Some(Guard::IdentifierLimit);
        }
        let (mut sum, mut count, mut twins, mut ages) = (0.0, 0.0, 0, 0);
        for x in a.iter().take(VOICES) {
            for y in b.iter().take(VOICES) {
                let (x, y) = (*x.min(y), *x.max(y));
                let edge = self.scorer.edge(x, y, 0);
                let mut weight = edge.weight.clamp(-10.0, 20.0);
                if proven.contains(&(x, y)) {
                    weight = weight.max(10.0);
                }
                if self.policy.birth_date_conflict && edge.levels[BIRTH] >= 4 {
                    weight -= 10.0;
                    ages += 1;
                }
                twins += i32::from(edge.levels[BIRTH] == 1 && edge.levels[GIVEN] == 7);
                sum += weight;
                count += 1.0;
            }
        }
        let large = all.len() > self.policy.max_cluster_size as usize;
        if sum / count > if large { 6.0 } else { 0.0 } {
            return None;
        }
        Some(match (twins, ages) {
            (0, 0) if large => Guard::Size,
            (0, 0) => Guard::Bridge,
            (0, _) => Guard::ParentAndChild,
            _ => Guard::Twins,
        })
    }
}
