//! Names of what the operator makes: the same for the same run, and short enough.

use jiff::Timestamp;
use musubi_api::run::Stage;
use sha2::{Digest as _, Sha256};

/// Characters of a Job's name. The host name of a pod is the Job's name and its index, and has 63.
const JOB: usize = 52;
/// Characters of a label's value, and of most names.
const LABEL: usize = 63;

/// The Job of a stage. The run's uid counts, so that a run made again under its name meets no Job of the first.
pub(crate) fn job(run: &str, uid: &str, stage: Stage, attempt: i32) -> String {
    let end = format!("-{}-{}-{attempt}", short(uid), stage.as_str());
    fit(run, &end, JOB)
}

/// The ConfigMap that a run is pinned to.
pub(crate) fn snapshot(run: &str, uid: &str) -> String {
    fit(run, &format!("-{}-run", short(uid)), LABEL)
}

/// The Job that deletes the lake of a pipeline.
pub(crate) fn destroy(pipeline: &str, uid: &str) -> String {
    fit(pipeline, &format!("-{}-destroy", short(uid)), JOB)
}

/// The run of a pipeline that was due at an instant.
pub(crate) fn scheduled(pipeline: &str, due: Timestamp) -> String {
    fit(
        pipeline,
        &format!("-{}", due.as_second().div_euclid(60)),
        LABEL,
    )
}

/// The run of a pipeline that was asked for with a token.
pub(crate) fn on_demand(pipeline: &str, token: &str) -> String {
    fit(pipeline, &format!("-now-{}", short(token)), LABEL)
}

/// Eight hexadecimal digits for a text.
fn short(text: &str) -> String {
    hex::encode(&Sha256::digest(text)[..4])
}

/// As much of a name as fits before an ending.
fn fit(name: &str, end: &str, most: usize) -> String {
    let label: String = name
        .chars()
        .map(|c| if c == '.' { '-' } else { c })
        .take(most.saturating_sub(end.len()))
        .collect();
    format!("{}{end}", label.trim_end_matches('-'))
}

#[cfg(test)]
mod tests {
    use musubi_api::run::Stage;

    use super::{job, on_demand, scheduled, snapshot};

    const UID: &str = "6f1f4e0c-9d0e-4d3f-8a55-1f2f3c4d5e6f";

    #[test]
    fn names_say_what_they_are_of() {
        assert_eq!(
            job("bento-29900000", UID, Stage::Clean, 2),
            "bento-29900000-7a1e4c06-clean-2".replace("7a1e4c06", &super::short(UID))
        );
        let due = "2026-11-25T19:30:00Z".parse().unwrap_or_default();
        assert_eq!(scheduled("bento", due), "bento-29927250");
        assert!(on_demand("bento", "2026-11-25").starts_with("bento-now-"));
    }

    #[test]
    fn the_longest_names_fit() {
        let long = "a".repeat(253);
        for stage in Stage::ALL {
            let name = job(&long, UID, stage, 99);
            assert!(name.len() <= 52, "{name} has {} characters", name.len());
            // A pod's host name: the Job's name and the index of 100 000 shards.
            assert!(format!("{name}-99999").len() <= 63);
        }
        assert!(snapshot(&long, UID).len() <= 63);
        assert!(on_demand(&long, "token").len() <= 63);
    }

    #[test]
    fn a_run_made_again_under_its_name_has_other_names() {
        let again = "00000000-0000-4000-8000-000000000000";
        assert_ne!(
            job("r", UID, Stage::Plan, 1),
            job("r", again, Stage::Plan, 1)
        );
        assert_ne!(snapshot("r", UID), snapshot("r", again));
    }

    #[test]
    fn a_cut_name_is_a_label() {
        // Cut within the hyphens; and a run's own name may have dots.
        let name = job(
            &format!("{}---------", "x".repeat(25)),
            UID,
            Stage::Activate,
            1,
        );
        assert!(!name.contains("--"), "{name}");
        assert!(!job("v1.2", UID, Stage::Plan, 1).contains('.'));
    }
}
