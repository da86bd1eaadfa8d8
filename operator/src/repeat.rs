//! Which shards of a stage are repeated by themselves, and with what.

use std::collections::BTreeMap;

use k8s_openapi::api::batch::v1::Job;
use musubi_api::{
    pods::{Share, bytes},
    shards::Shards,
    status::StageStatus,
};

use crate::{build::job::KILLED, ends::End};

/// Characters of a list of shards in the status and in a Job. A longer list is all of them: those that are
/// committed end at once.
const LIST: usize = 8000;

/// How the shards ended that failed for good.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Failures {
    /// They ran out of memory.
    pub(crate) memory: Shards,
    /// They were killed, or are gone, and nobody says why.
    pub(crate) killed: Shards,
    /// They failed by themselves.
    pub(crate) other: Shards,
}

/// Reads how the failed shards of a Job ended; `all` are the shards that it has.
pub(crate) fn failures<'a>(
    job: &Job,
    pods: impl IntoIterator<Item = &'a End>,
    all: &Shards,
) -> Failures {
    let status = job.status.as_ref();
    let failed = Shards::said(status.and_then(|s| s.failed_indexes.as_deref()));
    // The last pod of a shard decided it.
    let mut last = BTreeMap::new();
    for pod in pods {
        let (Some(place), end) = (pod.place, &pod.how) else {
            continue;
        };
        let at = end.finished_at.as_ref().map(|t| t.0);
        if last.get(&place).is_none_or(|(before, _)| *before <= at) {
            last.insert(place, (at, end));
        }
    }
    let ended = |holds: fn(Option<(i32, bool)>) -> bool| {
        let places = failed.iter().filter(|place| {
            let end = last.get(place).map(|(_, end)| end);
            holds(end.map(|e| (e.exit_code, e.reason.as_deref() == Some("OOMKilled"))))
        });
        all.pick(&places.collect())
    };
    Failures {
        memory: ended(|end| end.is_some_and(|(_, memory)| memory)),
        // A pod that was deleted by force may be gone before anybody reads how it ended.
        killed: ended(|end| end.is_none_or(|end| end == (KILLED, false))),
        other: ended(|end| end.is_some_and(|(code, memory)| code != KILLED && !memory)),
    }
}

/// What a stage has in its next attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FollowUp {
    /// Shards that were killed.
    pub(crate) killed: Shards,
    /// Memory of a pod, when it is not what the pipeline says.
    pub(crate) memory: Option<String>,
}

/// The attempt that repeats shards that were killed: once, and only when nothing else failed. With what ran
/// out of memory they get as much as the pipeline allows: there is no third time.
pub(crate) fn follow_up(
    failures: &Failures,
    stage: &StageStatus,
    share: Share<'_>,
) -> Option<FollowUp> {
    let killed = failures.memory.and(&failures.killed);
    if !failures.other.is_empty() || killed.is_empty() || stage.killed.is_some() {
        return None;
    }
    let memory = if failures.memory.is_empty() {
        stage.memory.clone()
    } else {
        Some(more(
            stage.memory.as_deref().unwrap_or(share.memory),
            share,
        )?)
    };
    Some(FollowUp { killed, memory })
}

/// As much memory as the pipeline allows, or else twice as much; nothing when that is no more than it had.
fn more(had: &str, share: Share<'_>) -> Option<String> {
    let most = match share.max_memory {
        Some(most) => most.to_owned(),
        None => quantity(bytes(share.memory)?.saturating_mul(2)),
    };
    (bytes(&most)? > bytes(had)?).then_some(most)
}

/// Bytes as a quantity.
fn quantity(bytes: u64) -> String {
    let units = [("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10)];
    let unit = units
        .into_iter()
        .find(|(_, size)| bytes.is_multiple_of(*size));
    unit.map_or_else(
        || bytes.to_string(),
        |(name, size)| format!("{}{name}", bytes / size),
    )
}

/// What is not done of a stage, as a list, when it is worth one.
pub(crate) fn missing(stage: &StageStatus) -> Option<String> {
    let done = Shards::said(stage.done.as_deref());
    let all = Shards::first(stage.shards.unsigned_abs());
    let missing = all.without(&done);
    let list = missing.text().filter(|text| text.len() <= LIST);
    list.filter(|_| !done.is_empty())
}

/// The shards of a stage's attempt.
pub(crate) fn shards(stage: &StageStatus) -> Shards {
    match &stage.repeats {
        Some(list) => Shards::said(Some(list)),
        None => Shards::first(stage.shards.unsigned_abs()),
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::batch::v1::Job;
    use musubi_api::{
        pods::PodSettings,
        run::Stage,
        shards::Shards,
        status::{StageState, StageStatus},
    };
    use serde_json::json;

    use super::{Failures, failures, follow_up, missing, shards};
    use crate::ends::End;

    fn list(text: &str) -> Shards {
        Shards::said(Some(text))
    }

    fn stage() -> StageStatus {
        StageStatus {
            shards: 10,
            ..StageStatus::begun(Stage::Clean)
        }
    }

    fn pod(place: u32, code: i32, reason: &str, second: i32) -> End {
        let at = format!("2026-11-25T00:00:{second:02}Z");
        let how = json!({ "exitCode": code, "reason": reason, "finishedAt": at });
        End {
            place: Some(place),
            how: serde_json::from_value(how).unwrap_or_else(|e| panic!("{e}")),
        }
    }

    #[test]
    fn the_last_pod_of_a_shard_says_how_it_failed() {
        let job: Job = serde_json::from_value(json!({
            "metadata": {}, "status": { "failedIndexes": "0,2-4" },
        }))
        .unwrap_or_default();
        let pods = [
            pod(0, 137, "OOMKilled", 9),
            pod(0, 1, "Error", 3),
            pod(1, 0, "Completed", 4),
            pod(2, 137, "Error", 5),
            pod(3, 42, "Error", 6),
        ];
        // The Job repeats some shards: its indexes are places in that list. Of place 4 no pod is left.
        let found = failures(&job, &pods, &list("5-9"));
        let expected = Failures {
            memory: list("5"),
            killed: list("7,9"),
            other: list("8"),
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn what_ran_out_of_memory_is_repeated_once_with_more() {
        let pods = |memory: &str, most: Option<&str>| PodSettings {
            memory: memory.into(),
            max_memory: most.map(Into::into),
            ..PodSettings::default()
        };
        let out = |memory: &str, killed: &str, other: &str| Failures {
            memory: list(memory),
            killed: list(killed),
            other: list(other),
        };
        let next = |pods: &PodSettings, found: &Failures, stage: &StageStatus| {
            let next = follow_up(found, stage, pods.share(stage.stage))?;
            let memory = next.memory.unwrap_or_else(|| "the same".into());
            Some(format!("{} with {memory}", next.killed))
        };
        let usual = pods("2Gi", None);
        let table = [
            (&usual, out("3", "", ""), Some("3 with 4Gi")),
            (
                &pods("1.5Gi", None),
                out("3", "7", ""),
                Some("3,7 with 3Gi"),
            ),
            (
                &pods("2Gi", Some("3Gi")),
                out("3", "", ""),
                Some("3 with 3Gi"),
            ),
            (
                &pods("2Gi", Some("16Gi")),
                out("3", "", ""),
                Some("3 with 16Gi"),
            ),
            (&pods("2Gi", Some("2Gi")), out("3", "", ""), None),
            (&usual, out("", "5", ""), Some("5 with the same")),
            (&usual, out("3", "", "4"), None),
            (&usual, out("", "", ""), None),
        ];
        for (pods, found, expected) in table {
            assert_eq!(
                next(pods, &found, &stage()).as_deref(),
                expected,
                "{found:?}"
            );
        }
        let mut again = stage();
        again.killed = Some("3".into());
        assert_eq!(next(&usual, &out("3", "", ""), &again), None);
        // Somebody asked for a retry: it had 4Gi, and may have no more than the limit.
        let mut retried = stage();
        retried.memory = Some("4Gi".into());
        assert_eq!(next(&usual, &out("3", "", ""), &retried), None);
        let wide = pods("2Gi", Some("6Gi"));
        assert_eq!(
            next(&wide, &out("3", "", ""), &retried).as_deref(),
            Some("3 with 6Gi")
        );
    }

    #[test]
    fn what_is_not_done_is_repeated() {
        let mut stage = stage();
        assert_eq!(missing(&stage), None, "all of them");
        stage.done = Some("0-4,6".into());
        assert_eq!(missing(&stage).as_deref(), Some("5,7-9"));
        stage.repeats = missing(&stage);
        assert_eq!(shards(&stage).len(), 4);
        stage.shards = 20_000;
        stage.done = (0..10_000).map(|n| n * 2).collect::<Shards>().text();
        assert_eq!(
            missing(&stage),
            None,
            "the list would be longer than it is worth"
        );
        assert_eq!(stage.state, StageState::Running);
    }
}
