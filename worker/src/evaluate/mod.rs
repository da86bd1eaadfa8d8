//! `musubi evaluate`: how right customers are, against the truth, or by a sample that people label.

mod audit;
mod partition;
mod truth;

use std::{collections::BTreeMap, path::Path};

use anyhow::{Result, ensure};
use musubi_identity::evaluate::{
    self, Calibration, Forecast, Intervals, Judge, Judged, Point, Quality, Tally,
};
use serde::Serialize;

pub use self::{
    audit::{Audited, estimate, sample},
    partition::Partition,
};

/// How right customers are.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Evaluation {
    /// What was judged: a version, or a file.
    pub of: String,
    /// Records that were judged: those whose person is known.
    pub records: u64,
    /// Records whose person is not known; they are left out.
    pub unknown: u64,
    /// Lines of the truth that name no record.
    pub strangers: u64,
    /// People there are among them.
    pub people: u64,
    /// Customers among them.
    pub customers: u64,
    /// All of them.
    pub total: Figures,
    /// 95 % intervals of the F1s.
    pub intervals: Intervals,
    /// By source of the record.
    pub by_source: BTreeMap<String, Figures>,
    /// By how many records the person has.
    pub by_size: BTreeMap<String, Figures>,
    /// Scored pairs by threshold, before they were put together.
    pub curve: Vec<Point>,
    /// Whether the probabilities of the pairs that were kept mean what they say; nothing where only those are known that
    /// stand, which were chosen by more than their probability.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calibration: Option<Calibration>,
}

/// The three kinds of figures.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Figures {
    /// Records.
    pub records: u64,
    /// Over pairs of records that are together.
    pub pairwise: Quality,
    /// Averaged over records.
    pub b_cubed: Quality,
    /// Over whole clusters.
    pub exact_clusters: Quality,
}

impl From<Tally> for Figures {
    fn from(tally: Tally) -> Self {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a count"
        )]
        Self {
            records: tally.records.round() as u64,
            pairwise: tally.pairwise(),
            b_cubed: tally.b_cubed(),
            exact_clusters: tally.exact_clusters(),
        }
    }
}

/// Resamples for intervals.
const RESAMPLES: u64 = 500;
/// Points of a curve.
const POINTS: usize = 60;

/// Judges a partition by a file that says who each record is.
///
/// # Errors
/// When the file cannot be understood, or names none of the records.
pub fn judge(partition: &Partition, truth: &Path, column: Option<&str>) -> Result<Evaluation> {
    let truth = truth::read(truth, column, partition.keyed)?;
    let mut strangers = 0;
    let mut person: Vec<Option<u32>> = vec![None; partition.customer.len()];
    for (key, label) in &truth {
        match partition.position(*key) {
            Some(at) => person[at] = Some(*label),
            None => strangers += 1,
        }
    }
    let known: Vec<usize> = (0..person.len())
        .filter(|at| person[*at].is_some())
        .collect();
    ensure!(
        !known.is_empty(),
        "the truth names none of the {} records of {}; it names {}",
        person.len(),
        partition.of,
        partition.keyed.what()
    );
    let said: Vec<u32> = known.iter().map(|at| partition.customer[*at]).collect();
    let label: Vec<u32> = known.iter().filter_map(|at| person[*at]).collect();
    let judge = Judge::new(&said, &label);
    let total = judge.total();
    let pairs = || {
        partition.pairs.iter().filter_map(|p| {
            let (a, b) = (person[p.left as usize]?, person[p.right as usize]?);
            Some((p, a == b))
        })
    };
    let judged = pairs().map(|(p, same)| Judged {
        weight: p.weight,
        same,
    });
    let forecasts = pairs().map(|(p, same)| Forecast {
        probability: p.probability,
        same,
        pairs: 1.0,
    });
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a count"
    )]
    let all = (total.truth.round()) as u64;
    let figures = |of: BTreeMap<String, Tally>| {
        let each = of.into_iter().map(|(name, tally)| (name, tally.into()));
        each.collect::<BTreeMap<String, Figures>>()
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a count"
    )]
    Ok(Evaluation {
        of: partition.of.clone(),
        records: known.len() as u64,
        unknown: (person.len() - known.len()) as u64,
        strangers,
        people: total.people.round() as u64,
        customers: total.clusters.round() as u64,
        total: total.into(),
        intervals: evaluate::intervals(&judge, RESAMPLES, 1),
        by_source: figures(judge.segments(|at| partition.source(known[at]).to_owned())),
        by_size: figures(judge.segments(|at| size(judge.size_of_person(at)))),
        curve: evaluate::curve(judged.collect(), all, POINTS),
        calibration: partition
            .keeps_all()
            .then(|| evaluate::calibration(forecasts))
            .flatten(),
    })
}

/// The segment of a person with so many records.
fn size(records: u64) -> String {
    match records {
        1..=4 => records.to_string(),
        5..=9 => "5 to 9".into(),
        _ => "10 and more".into(),
    }
}
