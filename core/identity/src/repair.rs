//! Union-find and repair. Clusters whose shape or evidence is suspect are put together again link by link,
//! strongest first, and two parts join only when they agree as wholes.

use std::collections::BTreeMap;

use hashbrown::{HashMap, HashSet};
use rayon::prelude::*;

use crate::by_key::entry;
use crate::compare::{AREA, BIRTH, BUILDING, COMPARISONS, EMAIL, GIVEN, PHONE, STREET, SUFFIX};
use crate::copies::{SURE, standing_for};
use crate::edge::{Edge, IDENTIFIER_RULE, PIN_RULE};
use crate::features::col;
use crate::guard::{Guard, differ, other_age};
use crate::identifiers::identifier_columns;
use crate::link::Pins;
use crate::policy::Policy;
use crate::pool::Pool;
use crate::score::{Matcher, Parts};

/// What a number is worth that one person has, when two clusters share it: the odds, in bits, that they are one
/// person, before anything else is looked at. How many strangers there are, the prior, has no part in it: a number is
/// no rarer for a person among more of them.
const IDENTIFIER: f32 = 3.0;

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

    /// Puts a member of a set below another root; the other members have to be put somewhere too.
    fn put(&mut self, member: u32, root: u32) {
        self.0[member as usize] = root;
    }

    /// The root of each.
    pub(crate) fn roots(mut self) -> Vec<u32> {
        (0..self.0.len() as u32).map(|i| self.find(i)).collect()
    }
}

/// The clusters of some records, a tree each. Edges are links unless they are refused, or too weak to be links on their
/// own, by their places in the pool, which edges of copies are added to.
pub(crate) fn partition(
    matcher: &Matcher,
    records: &[u32],
    pool: &mut Pool<'_>,
    [mut accepted, mut weak]: [Vec<u32>; 2],
    pins: &Pins,
    policy: &Policy,
    guards: &mut BTreeMap<Guard, u64>,
) -> Forest {
    // Copies say nothing that the record which stands for them does not say: it alone is looked at.
    let links = accepted.iter().map(|place| pool.at(*place));
    let standing = standing_for(matcher, links, pins, policy);
    let stands = |record: u32| standing[record as usize] == record;
    for places in [&mut accepted, &mut weak] {
        places.retain_mut(|place| match moved(pool.at(*place), &standing) {
            Moved::Not => true,
            Moved::To(edge) => {
                *place = pool.add(edge);
                true
            }
            Moved::Away => false,
        });
    }
    let pool = &*pool;
    let mut forest = Forest::new(matcher.features.len());
    for e in accepted.iter().map(|place| pool.at(*place)) {
        forest.union(e.left, e.right);
    }
    let mut never: HashSet<u32> = HashSet::new();
    for (a, b) in &pins.never {
        let root = forest.find(*a);
        if root == forest.find(*b) {
            never.insert(root);
        }
    }
    let by_root = accepted.into_iter();
    let mut by_root: Vec<u64> = by_root
        .map(|place| entry(forest.find(pool.at(place).left), place))
        .collect();
    by_root.par_sort_unstable();
    let repair = Repair {
        matcher,
        pins,
        policy,
    };
    let repaired = by_root
        .par_chunk_by(|a, b| a >> 32 == b >> 32)
        .filter_map(|links| {
            let edges = once_each_of(links.iter().map(|link| pool.at(*link as u32)));
            let mut members: Vec<u32> = edges.iter().flat_map(|e| [e.left, e.right]).collect();
            members.sort_unstable();
            members.dedup();
            let root = (links[0] >> 32) as u32;
            let suspect = never.contains(&root) || suspect(matcher, &members, &edges, policy);
            suspect.then(|| repair.run(members, edges))
        });
    let repaired: Vec<Repaired> = repaired.collect();
    drop(by_root);
    for Repaired { roots, refused } in repaired {
        roots
            .iter()
            .for_each(|(member, root)| forest.put(*member, *root));
        refused
            .iter()
            .for_each(|guard| *guards.entry(*guard).or_default() += 1);
    }
    weak.retain(|place| {
        let e = pool.at(*place);
        forest.find(e.left) != forest.find(e.right)
    });
    let weak = once_each_of(weak.iter().map(|place| pool.at(*place)));
    let records: Vec<u32> = records.iter().copied().filter(|r| stands(*r)).collect();
    reconsider(&repair, &records, weak, &mut forest);
    join_copies(matcher, &standing, policy, &mut forest);
    forest
}

/// Puts copies with the record that stands for them; where only pairs across files count, when it is with one of another
/// file.
fn join_copies(matcher: &Matcher, standing: &[u32], policy: &Policy, result: &mut Forest) {
    let root: Vec<u32> = standing.iter().map(|s| result.find(*s)).collect();
    let source = &matcher.features.source;
    let mut mixed = vec![!policy.across_sources; root.len()];
    for (record, root) in root.iter().enumerate() {
        mixed[*root as usize] |= source[record] != source[*root as usize];
    }
    for ((record, standing), root) in (0..).zip(standing).zip(root) {
        if mixed[root as usize] {
            result.union(record, *standing);
        }
    }
}

/// An edge of copies, as one of the records that stand for them.
enum Moved {
    /// Both ends stand for themselves.
    Not,
    To(Edge),
    /// Both are copies of one.
    Away,
}

fn moved(e: &Edge, standing: &[u32]) -> Moved {
    let (a, b) = (standing[e.left as usize], standing[e.right as usize]);
    if a == b {
        Moved::Away
    } else if (a, b) == (e.left, e.right) {
        Moved::Not
    } else {
        Moved::To(Edge {
            left: a.min(b),
            right: a.max(b),
            ..*e
        })
    }
}

/// Edges ordered by records, of each pair the strongest.
fn once_each_of<'a>(edges: impl Iterator<Item = &'a Edge>) -> Vec<&'a Edge> {
    let mut edges: Vec<&Edge> = edges.collect();
    edges.sort_unstable_by(|x, y| once_each(x, y));
    edges.dedup_by_key(|e| (e.left, e.right));
    edges
}

/// The edges of a pair side by side, first the strongest, which a proof is before a score.
pub(crate) fn once_each(x: &Edge, y: &Edge) -> std::cmp::Ordering {
    (x.left, x.right)
        .cmp(&(y.left, y.right))
        .then(y.weight.total_cmp(&x.weight))
        .then(y.rule.cmp(&x.rule))
}

pub(crate) fn strongest_first(x: &Edge, y: &Edge) -> std::cmp::Ordering {
    y.weight
        .total_cmp(&x.weight)
        .then((x.left, x.right).cmp(&(y.left, y.right)))
}

/// Pairs that alone were not enough: the records around them may decide. They join clusters whose whole
/// evidence reaches the match probability.
fn reconsider(repair: &Repair<'_>, records: &[u32], mut weak: Vec<&Edge>, result: &mut Forest) {
    let p = repair.policy.match_probability.clamp(0.5, 0.999_999);
    let at_least = (p / (1.0 - p)).log2() as f32;
    weak.sort_unstable_by(|x, y| strongest_first(x, y));
    let ends = weak.iter().flat_map(|e| [e.left, e.right]);
    let mut parts: HashMap<u32, Vec<u32>> = ends.map(|r| (result.find(r), Vec::new())).collect();
    for record in records {
        if let Some(part) = parts.get_mut(&result.find(*record)) {
            part.push(*record);
        }
    }
    for e in weak {
        let (a, b) = (result.find(e.left), result.find(e.right));
        if a != b
            && repair
                .refuse(&parts[&a], &parts[&b], false, at_least)
                .is_none()
        {
            result.union(a, b);
            let taken = parts.remove(&a.max(b)).unwrap_or_default();
            parts.entry(a.min(b)).or_default().extend(taken);
        }
    }
}

fn suspect(matcher: &Matcher, members: &[u32], edges: &[&Edge], policy: &Policy) -> bool {
    let k = members.len();
    let bridged = policy.cut_bridges && edges.len() < k * (k - 1) / 2;
    let conflict = edges
        .iter()
        .any(|e| other_age(&e.levels) || e.levels[GIVEN] == 7);
    bridged
        || conflict
        || k > policy.max_cluster_size as usize
        || over_limit(matcher, members, policy)
}

/// Whether records together have more values of an identifier than one customer may have.
fn over_limit(matcher: &Matcher, members: &[u32], policy: &Policy) -> bool {
    policy.identifiers.iter().any(|identifier| {
        let mut values: Vec<u32> = identifier_columns(&identifier.field)
            .into_iter()
            .flat_map(|c| {
                members
                    .iter()
                    .map(move |m| matcher.features.rows[*m as usize][c])
            })
            .filter(|v| *v != 0)
            .collect();
        values.sort_unstable();
        values.dedup();
        values.len() > identifier.max_per_customer as usize
    })
}

struct Repair<'a> {
    matcher: &'a Matcher,
    pins: &'a Pins,
    policy: &'a Policy,
}

/// What became of a cluster.
struct Repaired {
    /// Its members, each with the smallest of its part.
    roots: Vec<(u32, u32)>,
    /// Why links were refused.
    refused: Vec<Guard>,
}

impl Repair<'_> {
    /// Puts a cluster together again, strongest link first. `members` are in order, and no pair of them has two edges.
    fn run(&self, members: Vec<u32>, mut edges: Vec<&Edge>) -> Repaired {
        edges.sort_unstable_by(|x, y| strongest_first(x, y));
        let place = |record: u32| members.binary_search(&record).unwrap_or_default() as u32;
        let ends = edges.iter().map(|e| (place(e.left), place(e.right)));
        let ends: Vec<(u32, u32)> = ends.collect();
        let mut forest = Forest::new(members.len());
        let mut parts: Vec<Vec<u32>> = members.iter().map(|m| vec![*m]).collect();
        let mut refused = Vec::new();
        // A second pass takes links up again that were refused while their clusters were still small.
        for pass in 0..2 {
            for (e, (left, right)) in edges.iter().zip(&ends) {
                let (a, b) = (forest.find(*left), forest.find(*right));
                if a == b {
                    continue;
                }
                let refusal = if e.rule == PIN_RULE {
                    None
                } else {
                    let proven = e.rule == IDENTIFIER_RULE;
                    self.refuse(&parts[a as usize], &parts[b as usize], proven, 0.0)
                };
                match refusal {
                    Some(guard) if pass == 1 => refused.push(guard),
                    Some(_) => {}
                    None => {
                        forest.union(a, b);
                        let taken = std::mem::take(&mut parts[a.max(b) as usize]);
                        parts[a.min(b) as usize].extend(taken);
                    }
                }
            }
        }
        let roots = forest
            .roots()
            .into_iter()
            .map(|root| members[root as usize]);
        Repaired {
            roots: members.iter().copied().zip(roots).collect(),
            refused,
        }
    }

    /// Why two clusters are not one person; nothing when they are, by the evidence of all their records.
    fn refuse(&self, a: &[u32], b: &[u32], proven: bool, at_least: f32) -> Option<Guard> {
        if !self.pins.never.is_empty()
            && a.iter().any(|x| {
                b.iter()
                    .any(|y| self.pins.never.contains(&(*x.min(y), *x.max(y))))
            })
        {
            return Some(Guard::Pin);
        }
        let all: Vec<u32> = a.iter().chain(b).copied().collect();
        if over_limit(self.matcher, &all, self.policy) {
            return Some(Guard::IdentifierLimit);
        }
        let evidence = Evidence::between(self.matcher, a, b, self.policy.birth_date_conflict);
        let large = all.len() > self.policy.max_cluster_size as usize;
        let mut weight = evidence.weight;
        if evidence.identifier {
            weight += IDENTIFIER - self.matcher.prior.weight();
        } else if proven {
            weight += 8.0;
        }
        if weight > if large { at_least.max(SURE) } else { at_least } {
            return None;
        }
        Some(match evidence {
            Evidence { business: true, .. } => Guard::Business,
            Evidence { twins: true, .. } => Guard::Twins,
            Evidence { ages: true, .. } => Guard::ParentAndChild,
            _ if large => Guard::Size,
            _ => Guard::Bridge,
        })
    }
}

/// Comparisons of contacts: a person has several, and one in common is enough.
const CONTACTS: [usize; 5] = [EMAIL, PHONE, AREA, STREET, BUILDING];

/// What two clusters as wholes have in common. Of names, birth date and gender the mean over their records
/// counts, of contacts the best agreement; records that say nothing on a comparison have no voice in it.
struct Evidence {
    /// Match weight.
    weight: f32,
    /// Whether they share a number that one person has.
    identifier: bool,
    twins: bool,
    ages: bool,
    business: bool,
}

impl Evidence {
    fn between(matcher: &Matcher, a: &[u32], b: &[u32], birth_date_conflict: bool) -> Self {
        /// Members of a cluster that speak for it.
        const VOICES: usize = 12;
        let mut sums = [(Parts::default(), 0.0f32); COMPARISONS];
        let (mut conflicts, mut born, mut pairs) = (0.0, 0.0f32, 0.0f32);
        let (mut twins, mut businesses) = (0.0, 0.0);
        let mut identifier = false;
        for x in a.iter().take(VOICES) {
            for y in b.iter().take(VOICES) {
                let (x, y) = (*x.min(y), *x.max(y));
                let levels = matcher.levels(x, y);
                let (rx, ry) = (
                    &matcher.features.rows[x as usize],
                    &matcher.features.rows[y as usize],
                );
                identifier |= [col::LOYALTY, col::APP_USER, col::EXTERNAL]
                    .into_iter()
                    .any(|c| rx[c] != 0 && rx[c] == ry[c]);
                pairs += 1.0;
                let guard = differ(rx, ry, &levels, birth_date_conflict);
                businesses += f32::from(u8::from(guard == Some(Guard::Business)));
                twins += f32::from(u8::from(guard == Some(Guard::Twins)));
                if levels[BIRTH] != 0 || levels[SUFFIX] != 0 {
                    born += 1.0;
                    let conflict = birth_date_conflict && other_age(&levels);
                    conflicts += f32::from(u8::from(conflict));
                }
                for (c, level) in levels.iter().enumerate().filter(|l| *l.1 != 0) {
                    let parts = matcher.bits(rx, ry, c, *level);
                    let (sum, n) = &mut sums[c];
                    if !CONTACTS.contains(&c) {
                        *sum += parts;
                        *n += 1.0;
                    } else if *n == 0.0
                        || parts.person - parts.unrelated > sum.person - sum.unrelated
                    {
                        (*sum, *n) = (parts, 1.0);
                    }
                }
            }
        }
        let mut total = matcher.prior;
        for (sum, n) in sums.into_iter().filter(|s| s.1 > 0.0) {
            total += sum * (1.0 / n);
        }
        let business = businesses > pairs / 2.0;
        let ages = conflicts > born / 2.0;
        Self {
            weight: total.weight()
                - matcher.birth_conflict * conflicts / born.max(1.0)
                - if business { 30.0 } else { 0.0 },
            identifier,
            twins: twins > 0.0,
            ages,
            business,
        }
    }
}
