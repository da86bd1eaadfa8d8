//! Decisions of stewards that stand in the lake, beside those of the policy: under `identity/pins/`, never changed and
//! never deleted; of several on one pair the last counts. A run is pinned to those there were when it was planned.

use std::collections::BTreeMap;

use anyhow::Result;
use musubi_api::{
    policy::{Pin, PinDecision},
    run::Run,
};
use musubi_identity::Policy;
use musubi_lake::{Error, Store, manifest};
use serde::{Deserialize, Serialize};

use super::{Context, RunRefused, plan::Plan, train};

const FOLDER: &str = "identity/pins";
const FORMAT: u32 = 1;

/// What somebody decided of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// One person, whatever the evidence.
    Always,
    /// Two persons, whatever the evidence.
    Never,
    /// Undecided again: the evidence counts.
    Open,
}

/// A decision on a pair of records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// Record id.
    pub left: String,
    /// Record id.
    pub right: String,
    /// What holds.
    pub decision: Verdict,
}

impl Decision {
    fn pair(&self) -> (String, String) {
        pair(&self.left, &self.right)
    }

    /// Whether just this holds already.
    pub(crate) fn stands(&self, standing: &[Pin]) -> bool {
        let own = self.pair();
        let known = standing
            .iter()
            .find(|p| pair(&p.left, &p.right) == own)
            .map(|p| p.decision);
        match self.decision {
            Verdict::Always => known == Some(PinDecision::Always),
            Verdict::Never => known == Some(PinDecision::Never),
            Verdict::Open => known.is_none(),
        }
    }
}

fn pair(left: &str, right: &str) -> (String, String) {
    (left.min(right).to_owned(), left.max(right).to_owned())
}

/// Decisions that were made at one time.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    format: u32,
    decisions: Vec<Decision>,
}

/// Keeps decisions; gives their path.
///
/// # Errors
/// Those of the storage.
pub(crate) async fn keep(store: &Store, decisions: Vec<Decision>) -> Result<String> {
    let kept = Kept {
        format: FORMAT,
        decisions,
    };
    // The number says which came last; whoever else takes it was not first.
    let mut number = store.list(FOLDER).await?.len() + 1;
    loop {
        let path = format!("{FOLDER}/{number:08}.json");
        match store.create(&path, manifest::encode(&path, &kept)?).await {
            Ok(()) => return Ok(path),
            Err(Error::AlreadyExists { .. }) => number += 1,
            Err(error) => return Err(error.into()),
        }
    }
}

/// The decisions that stand, by pair.
///
/// # Errors
/// Those of the storage, and when one was written by a newer version.
pub(crate) async fn standing(store: &Store) -> Result<Vec<Pin>> {
    let mut last: BTreeMap<(String, String), Verdict> = BTreeMap::new();
    for meta in store.list(FOLDER).await? {
        let bytes = store.get(&meta.path).await?;
        let kept: Kept = manifest::decode(&meta.path, "decisions on pairs", &bytes)?;
        if kept.format > FORMAT {
            let why = format!(
                "{}: a newer musubi wrote it (format {}; this one reads up to {FORMAT}): use that version",
                meta.path, kept.format
            );
            return Err(RunRefused(why).into());
        }
        last.extend(kept.decisions.iter().map(|d| (d.pair(), d.decision)));
    }
    let pins = last.into_iter().filter_map(|((left, right), verdict)| {
        let decision = match verdict {
            Verdict::Always => PinDecision::Always,
            Verdict::Never => PinDecision::Never,
            Verdict::Open => return None,
        };
        Some(Pin {
            left,
            right,
            decision,
        })
    });
    Ok(pins.collect())
}

/// The policy of a run with the decisions in the lake. What the policy itself says of a pair goes before.
pub(super) fn policy(run: &Run, in_lake: &[Pin]) -> Policy {
    with(&train::policy(&run.policy), in_lake)
}

/// A policy with further decisions, those that it says nothing of.
pub(crate) fn with(policy: &Policy, in_lake: &[Pin]) -> Policy {
    let mut policy = policy.clone();
    let said: Vec<(String, String)> = policy
        .pins
        .iter()
        .map(|p| pair(&p.left, &p.right))
        .collect();
    let new = in_lake.iter();
    let new = new.filter(|p| !said.contains(&pair(&p.left, &p.right)));
    policy.pins.extend(new.map(train::pin));
    policy
}

/// The same of a run that was planned.
pub(super) fn of_plan(context: &Context, plan: &Plan) -> Policy {
    policy(&context.run, &plan.pins)
}
