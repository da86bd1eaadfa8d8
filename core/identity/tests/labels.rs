//! Labels refine a model where they foretell others, and leave it alone where they do not.

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use common::Labelled;
use musubi_identity::evaluate::{self, Forecast};
use musubi_identity::{Decision, Features, Matcher, Model, Pin, Policy, train};

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/data/identity")
        .join(name)
}

fn fake() -> Result<Labelled> {
    common::load_fake(&data("fake_1000.csv"))
}

/// A pair that was scored, with the truth.
struct Pair {
    left: String,
    right: String,
    same: bool,
}

/// Names and birth dates alone: of many pairs they leave a doubt.
fn doubtful() -> Policy {
    Policy {
        compare: ["given", "family", "birth"].map(str::to_owned).to_vec(),
        ..Policy::default()
    }
}

/// All scored pairs of a set from a probability of 2 % on, in an order that has nothing to do with their scores.
fn pairs(set: &Labelled, policy: &Policy) -> Result<Vec<Pair>> {
    let features = Features::build(&set.batches)?;
    let policy = Policy {
        review_probability: 0.02,
        ..policy.clone()
    };
    let model = train(&features, &policy, 1);
    let matcher = Matcher::new(features, &model);
    let person = |id: &str| &set.truth[id].0;
    let mut out = BTreeMap::new();
    for edge in matcher.shard(&policy, 0, 1, None)?.edges {
        let [left, right] = [edge.left, edge.right].map(|r| matcher.features().record_id(r));
        let same = person(&left) == person(&right);
        // Record ids are hashes.
        let order = format!("{}{}", &right[8..], &left[8..]);
        out.insert(order, Pair { left, right, same });
    }
    Ok(out.into_values().collect())
}

/// A policy with labels.
fn labelled<'a>(policy: Policy, pairs: impl IntoIterator<Item = &'a Pair>) -> Policy {
    let pin = |pair: &'a Pair| Pin {
        left: pair.left.clone(),
        right: pair.right.clone(),
        decision: match pair.same {
            true => Decision::Always,
            false => Decision::Never,
        },
    };
    Policy {
        pins: pairs.into_iter().map(pin).collect(),
        ..policy
    }
}

/// Mean log loss of pairs under a model, in bits, and how far its probabilities are off.
fn judged(set: &Labelled, model: &Model, pairs: &[Pair]) -> Result<(f64, f64)> {
    let matcher = Matcher::new(Features::build(&set.batches)?, model);
    let of: Vec<(f64, bool)> = pairs
        .iter()
        .map(|pair| {
            let found = musubi_identity::explain(&matcher, model, &pair.left, &pair.right)?;
            Ok((found.probability.clamp(1e-7, 1.0 - 1e-7), pair.same))
        })
        .collect::<Result<_>>()?;
    let loss = of
        .iter()
        .map(|(p, same)| -(if *same { *p } else { 1.0 - p }).log2());
    let forecasts = of.iter().map(|(p, same)| Forecast {
        probability: *p as f32,
        same: *same,
        pairs: 1.0,
    });
    let found = evaluate::calibration(forecasts).context("pairs")?;
    Ok((loss.sum::<f64>() / of.len() as f64, found.error))
}

#[test]
fn labels_of_some_pairs_foretell_others() -> Result<()> {
    let set = fake()?;
    let mut all = pairs(&set, &doubtful())?;
    let others = all.split_off(all.len() / 2);
    let features = Features::build(&set.batches)?;
    let before = train(&features, &doubtful(), 1);
    let policy = labelled(doubtful(), &all);
    let after = train(&features, &policy, 1);
    let refined = after.refined.context("the labels foretell")?;
    assert_eq!(refined.same + refined.different, all.len() as u64);
    let (loss, error) = judged(&set, &before, &others)?;
    let (less, better) = judged(&set, &after, &others)?;
    println!("log loss {loss:.4} to {less:.4} bits, off by {error:.4} to {better:.4}");
    assert!(less < 0.8 * loss, "{loss} to {less}");
    assert!(better < 0.7 * error, "{error} to {better}");
    // What the labels foretold of each other is what they foretell of others.
    let foretold = refined.after / refined.before;
    assert!((foretold - less / loss).abs() < 0.2, "{refined:?}");
    // m is a distribution still, and the order of the labels makes no difference.
    for c in &after.comparisons {
        let [m, was] = [&after, &before].map(|model| {
            let of = model
                .comparisons
                .iter()
                .find(|x| x.comparison == c.comparison);
            of.map_or(0.0, |c| c.levels.iter().map(|l| l.m).sum::<f64>())
        });
        assert!((m - was).abs() < 1e-4, "{}: {m}", c.comparison);
    }
    let backwards = Policy {
        pins: policy.pins.into_iter().rev().collect(),
        ..doubtful()
    };
    assert_eq!(train(&features, &backwards, 1), after);
    assert_eq!(Model::from_json(&after.to_json()?)?, after);
    Ok(())
}

#[test]
fn labels_that_foretell_nothing_change_nothing() -> Result<()> {
    let set = fake()?;
    let features = Features::build(&set.batches)?;
    let before = train(&features, &Policy::default(), 1);
    let all = pairs(&set, &Policy::default())?;
    let same: Vec<&Pair> = all.iter().filter(|p| p.same).take(200).collect();
    for (what, policy) in [
        ("one kind alone", labelled(Policy::default(), same)),
        ("a handful", labelled(Policy::default(), &all[..12])),
    ] {
        assert_eq!(train(&features, &policy, 1), before, "{what}");
    }
    Ok(())
}
