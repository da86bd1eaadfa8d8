//! What each record adds to the figures of a partition. Sums of tallies give the figures of any set of records: of
//! all, of one source, of one size of cluster, or of a resample.

use hashbrown::HashMap;

use super::{Quality, sizes};

/// Parts of the figures that a record, or a set of records, stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tally {
    /// Records.
    pub records: f64,
    /// Half of the pairs with this record that are together in both partitions.
    pub right: f64,
    /// Half of the pairs that are together.
    pub said: f64,
    /// Half of the pairs that belong together.
    pub truth: f64,
    /// B-cubed precision, summed.
    pub precision: f64,
    /// B-cubed recall, summed.
    pub recall: f64,
    /// Share of clusters that are exactly right.
    pub exact: f64,
    /// Share of clusters.
    pub clusters: f64,
    /// Share of people.
    pub people: f64,
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.records += other.records;
        self.right += other.right;
        self.said += other.said;
        self.truth += other.truth;
        self.precision += other.precision;
        self.recall += other.recall;
        self.exact += other.exact;
        self.clusters += other.clusters;
        self.people += other.people;
    }
}

impl std::iter::Sum for Tally {
    fn sum<I: Iterator<Item = Self>>(tallies: I) -> Self {
        tallies.fold(Self::default(), |mut sum, tally| {
            sum += tally;
            sum
        })
    }
}

impl Tally {
    /// Over pairs of records that are together.
    #[must_use]
    pub fn pairwise(&self) -> Quality {
        Quality::new(self.said, self.truth, self.right)
    }

    /// B-cubed: averaged over records (Bagga and Baldwin 1998).
    #[must_use]
    pub fn b_cubed(&self) -> Quality {
        let records = self.records.max(1.0);
        Quality::of(self.precision / records, self.recall / records)
    }

    /// Over whole clusters: those that are exactly right.
    #[must_use]
    pub fn exact_clusters(&self) -> Quality {
        Quality::new(self.clusters, self.people, self.exact)
    }
}

/// A partition beside the truth.
pub struct Judge<'a> {
    predicted: &'a [u32],
    truth: &'a [u32],
    clusters: HashMap<u32, u64>,
    people: HashMap<u32, u64>,
    both: HashMap<(u32, u32), u64>,
    groups: Option<Groups<'a>>,
}

/// Groups between which pairs count, and none within them.
struct Groups<'a> {
    of: &'a [u32],
    clusters: HashMap<(u32, u32), u64>,
    people: HashMap<(u32, u32), u64>,
    both: HashMap<(u32, u32, u32), u64>,
}

impl<'a> Judge<'a> {
    /// Of a cluster and a person for each record, in one order.
    #[must_use]
    pub fn new(predicted: &'a [u32], truth: &'a [u32]) -> Self {
        let both = predicted.iter().copied().zip(truth.iter().copied());
        Self {
            predicted,
            truth,
            clusters: sizes(predicted.iter().copied()),
            people: sizes(truth.iter().copied()),
            both: sizes(both),
            groups: None,
        }
    }

    /// The same where only pairs of records of different groups count, such as files that are linked. Records and clusters
    /// count as ever.
    #[must_use]
    pub fn across(predicted: &'a [u32], truth: &'a [u32], group: &'a [u32]) -> Self {
        let records = || predicted.iter().zip(truth).zip(group);
        Self {
            groups: Some(Groups {
                of: group,
                clusters: sizes(records().map(|((p, _), g)| (*p, *g))),
                people: sizes(records().map(|((_, t), g)| (*t, *g))),
                both: sizes(records().map(|((p, t), g)| (*p, *t, *g))),
            }),
            ..Self::new(predicted, truth)
        }
    }

    /// Records.
    #[must_use]
    pub fn len(&self) -> usize {
        self.predicted.len().min(self.truth.len())
    }

    /// Whether there is no record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What a record adds.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "sizes of clusters")]
    pub fn tally(&self, record: usize) -> Tally {
        let (cluster, person) = (self.predicted[record], self.truth[record]);
        let count = |n: Option<&u64>| n.copied().unwrap_or(1) as f64;
        let said = count(self.clusters.get(&cluster));
        let truth = count(self.people.get(&person));
        let right = count(self.both.get(&(cluster, person)));
        let exact = said == right && truth == right;
        // The records that it makes no pair with: itself, or all of its group.
        let [not_said, not_truth, not_right] = match &self.groups {
            None => [1.0; 3],
            Some(groups) => {
                let group = groups.of[record];
                [
                    count(groups.clusters.get(&(cluster, group))),
                    count(groups.people.get(&(person, group))),
                    count(groups.both.get(&(cluster, person, group))),
                ]
            }
        };
        Tally {
            records: 1.0,
            right: (right - not_right) / 2.0,
            said: (said - not_said) / 2.0,
            truth: (truth - not_truth) / 2.0,
            precision: right / said,
            recall: right / truth,
            exact: if exact { 1.0 / truth } else { 0.0 },
            clusters: 1.0 / said,
            people: 1.0 / truth,
        }
    }

    /// Over all records.
    #[must_use]
    pub fn total(&self) -> Tally {
        (0..self.len()).map(|record| self.tally(record)).sum()
    }

    /// Over segments: `of` says of a record which one it is in.
    #[must_use]
    pub fn segments<K: Ord>(
        &self,
        of: impl Fn(usize) -> K,
    ) -> std::collections::BTreeMap<K, Tally> {
        let mut out = std::collections::BTreeMap::new();
        for record in 0..self.len() {
            let tally: &mut Tally = out.entry(of(record)).or_default();
            *tally += self.tally(record);
        }
        out
    }

    /// Records of the person that a record is of.
    #[must_use]
    pub fn size_of_person(&self, record: usize) -> u64 {
        self.people.get(&self.truth[record]).copied().unwrap_or(1)
    }

    /// What each person adds, in the order of their first record.
    pub(super) fn by_person(&self) -> Vec<Tally> {
        let mut at: HashMap<u32, usize> = HashMap::new();
        let mut out: Vec<Tally> = Vec::new();
        for record in 0..self.len() {
            let place = *at.entry(self.truth[record]).or_insert_with(|| {
                out.push(Tally::default());
                out.len() - 1
            });
            out[place] += self.tally(record);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::super::{b_cubed, exact_clusters, pairwise};
    use super::*;

    #[test]
    fn sums_of_tallies_are_the_figures() {
        let (truth, said) = ([0, 0, 0, 1, 1, 2, 3], [0, 0, 1, 2, 2, 2, 3]);
        let total = Judge::new(&said, &truth).total();
        let close = |a: Quality, b: Quality| {
            let d = |x: f64, y: f64| (x - y).abs() < 1e-12;
            d(a.precision, b.precision) && d(a.recall, b.recall) && d(a.f1, b.f1)
        };
        assert!(close(total.pairwise(), pairwise(&said, &truth)));
        assert!(close(total.b_cubed(), b_cubed(&said, &truth)));
        assert!(close(total.exact_clusters(), exact_clusters(&said, &truth)));
    }

    #[test]
    fn pairs_within_a_file_do_not_count_where_files_are_linked() {
        // Two files; one person has two records in the first file and one in the second.
        let (truth, said, file) = ([0, 0, 0, 1], [0, 1, 0, 1], [0, 0, 1, 1]);
        let total = Judge::across(&said, &truth, &file).total();
        let across = total.pairwise();
        assert_eq!((across.precision, across.recall), (0.5, 0.5));
        // Records and clusters are judged as ever.
        assert_eq!(total.b_cubed(), Judge::new(&said, &truth).total().b_cubed());
        assert_eq!(total.exact_clusters(), exact_clusters(&said, &truth));
    }
}
