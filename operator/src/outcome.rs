//! What became of a stage: read from its Job, and from what its pods said at their end.

use std::collections::BTreeMap;

use k8s_openapi::api::{batch::v1::Job, core::v1::Pod};
use musubi_api::{
    pods::Share,
    run::{EXIT_RUN_FAILED, FailureReport, StageReport},
    shards::Shards,
    status::StageStatus,
};

use crate::{
    ends::{End, INDEX},
    repeat,
};

/// Characters of a pod's last words that are passed on.
pub(crate) const WORDS: usize = 600;

/// What became of a Job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is not at its end.
    Running,
    /// Every shard is committed.
    Complete,
    /// Shards failed for good, or the Job as a whole.
    Failed,
}

/// Reads a Job. Failed shards count, whatever its conditions say: a Job that lets the others finish may call
/// itself complete.
pub(crate) fn of(job: &Job) -> Outcome {
    let Some(status) = &job.status else {
        return Outcome::Running;
    };
    let is = |kind: &str| {
        let conditions = status.conditions.iter().flatten();
        conditions
            .into_iter()
            .any(|c| c.type_ == kind && c.status == "True")
    };
    let failed = status
        .failed_indexes
        .as_ref()
        .is_some_and(|f| !f.is_empty());
    match (is("Complete"), is("Failed")) {
        (false, false) => Outcome::Running,
        (true, false) if !failed => Outcome::Complete,
        _ => Outcome::Failed,
    }
}

/// Why a stage failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cause {
    /// A word of the documented list.
    pub(crate) reason: &'static str,
    /// A sentence, with the way out.
    pub(crate) message: String,
}

/// Why a Job failed: what its pods said, or else what Kubernetes says.
pub(crate) fn cause(
    job: &Job,
    pods: &[End],
    attempt: &StageStatus,
    share: Share<'_>,
    pipeline: &str,
) -> Cause {
    let stage = attempt.stage.as_str();
    let mut ends: Vec<_> = pods.iter().filter(|pod| pod.how.exit_code != 0).collect();
    // What failed last decided it.
    ends.sort_by_key(|pod| pod.how.finished_at.as_ref().map(|t| t.0));
    let told = status_condition(job);
    if told
        .as_ref()
        .is_some_and(|(reason, _)| reason == "DeadlineExceeded")
    {
        return Cause {
            reason: "DeadlineExceeded",
            message: format!(
                "stage {stage} took longer than its deadline: raise spec.pods.stages[stage={stage}].deadlineMinutes \
                 of CustomerPipeline {pipeline}, or see what its pods wait for"
            ),
        };
    }
    let Some(End { place, how: end }) = ends.pop() else {
        let message = told.map_or_else(String::new, |(_, message)| message);
        return Cause {
            reason: "JobFailed",
            message: format!("stage {stage}: {message}"),
        };
    };
    let shard = shard(*place, &repeat::shards(attempt));
    if end.reason.as_deref() == Some("OOMKilled") {
        let had = match &attempt.memory {
            Some(raised) => format!("it had {raised}, and {} before", share.memory),
            None => format!("it had {}", share.memory),
        };
        return Cause {
            reason: "OutOfMemory",
            message: format!(
                "shard {shard} of stage {stage} ran out of memory ({had}): raise memory or maxMemory of stage \
                 {stage} in spec.pods.stages of CustomerPipeline {pipeline}, and start another run"
            ),
        };
    }
    let words = end.message.as_deref().unwrap_or_default();
    let error = match serde_json::from_str::<FailureReport>(words) {
        // A worker says itself where it failed.
        Ok(report) if report.error.starts_with("stage ") => report.error,
        Ok(report) => format!("stage {stage}, shard {shard}: {}", report.error),
        Err(_) => format!(
            "stage {stage}, shard {shard}: its worker ended with code {} and said: {words}",
            end.exit_code
        ),
    };
    Cause {
        reason: if end.exit_code == EXIT_RUN_FAILED {
            "RunRefused"
        } else {
            "ShardFailed"
        },
        message: cut(&error, WORDS).to_owned(),
    }
}

/// Reason and message of the condition that ended a Job.
fn status_condition(job: &Job) -> Option<(String, String)> {
    let conditions = job.status.as_ref()?.conditions.as_ref()?;
    let failed = conditions
        .iter()
        .find(|c| c.type_ == "Failed" && c.status == "True")?;
    Some((
        failed.reason.clone().unwrap_or_default(),
        failed.message.clone().unwrap_or_default(),
    ))
}

/// The reports of shards that are done; one for each shard, where its pod is still there to give it.
pub(crate) fn reports(pods: &[End]) -> BTreeMap<u32, StageReport> {
    let ends = pods.iter().map(|pod| &pod.how).filter(|e| e.exit_code == 0);
    ends.filter_map(|end| serde_json::from_str::<StageReport>(end.message.as_deref()?).ok())
        .map(|report| (report.shard, report))
        .collect()
}

/// Sums of the counts of reports.
pub(crate) fn sums(reports: &BTreeMap<u32, StageReport>) -> BTreeMap<String, i64> {
    let mut sums = BTreeMap::new();
    for (name, n) in reports.values().flat_map(|r| &r.counts) {
        *sums.entry(name.clone()).or_default() += n;
    }
    sums
}

/// The place of a pod in its Job.
pub(crate) fn place(pod: &Pod) -> Option<u32> {
    let annotations = pod.metadata.annotations.as_ref()?;
    annotations.get(INDEX)?.parse().ok()
}

/// The shard of a pod at a place in its Job, which has these.
pub(crate) fn shard(place: Option<u32>, all: &Shards) -> String {
    let shard = place.and_then(|place| all.at(place));
    shard.map_or_else(|| "?".to_owned(), |shard| shard.to_string())
}

/// At most so many bytes of a text, ended at a character.
pub(crate) fn cut(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::{batch::v1::Job, core::v1::ContainerStateTerminated};
    use musubi_api::{pods::PodSettings, run::Stage, status::StageStatus};
    use serde_json::{Value, json};

    use super::{Outcome, cause, of, reports, sums};
    use crate::ends::End;

    fn job(status: Value) -> Job {
        serde_json::from_value(json!({ "metadata": {}, "status": status }))
            .unwrap_or_else(|e| panic!("{e}"))
    }

    fn pod(place: u32, code: i32, message: &str, reason: &str) -> End {
        End {
            place: Some(place),
            how: ContainerStateTerminated {
                exit_code: code,
                message: Some(message.into()),
                reason: Some(reason.into()),
                ..ContainerStateTerminated::default()
            },
        }
    }

    fn ended(kind: &str) -> Value {
        json!([{ "type": kind, "status": "True", "message": "Job has failed" }])
    }

    #[test]
    fn failed_shards_count_whatever_the_condition_says() {
        let table = [
            (json!(null), Outcome::Running),
            (
                json!({ "active": 3, "completedIndexes": "0-4" }),
                Outcome::Running,
            ),
            // Pods are still being ended: not yet.
            (
                json!({ "conditions": ended("FailureTarget") }),
                Outcome::Running,
            ),
            (
                json!({ "conditions": ended("Complete") }),
                Outcome::Complete,
            ),
            (
                json!({ "conditions": ended("Complete"), "failedIndexes": "" }),
                Outcome::Complete,
            ),
            (
                json!({ "conditions": ended("Complete"), "failedIndexes": "3" }),
                Outcome::Failed,
            ),
            (json!({ "conditions": ended("Failed") }), Outcome::Failed),
        ];
        for (status, outcome) in table {
            assert_eq!(of(&job(status.clone())), outcome, "{status}");
        }
    }

    #[test]
    fn a_cause_says_which_shard_and_what_to_do() {
        let failed = job(json!({ "conditions": ended("Failed") }));
        let settings = PodSettings::default();
        let mut attempt = StageStatus {
            shards: 10,
            ..StageStatus::begun(Stage::Clean)
        };
        let told = |pods: &[End], attempt: &StageStatus| {
            let cause = cause(
                &failed,
                pods,
                attempt,
                settings.share(Stage::Clean),
                "bento",
            );
            format!("{}: {}", cause.reason, cause.message)
        };
        let said = |pods: &[End]| told(pods, &attempt);
        let gate = r#"{"stage":"clean","shard":5,"error":"Source pos: column `qty` is missing"}"#;
        assert_eq!(
            said(&[pod(5, 42, gate, "Error")]),
            "ShardFailed: stage clean, shard 5: Source pos: column `qty` is missing"
        );
        assert_eq!(
            said(&[pod(0, 0, "", "Completed"), pod(7, 137, "", "OOMKilled")]),
            "OutOfMemory: shard 7 of stage clean ran out of memory (it had 2Gi): raise memory or maxMemory of \
             stage clean in spec.pods.stages of CustomerPipeline bento, and start another run"
        );
        assert!(
            said(&[pod(1, 101, "thread panicked", "Error")])
                .ends_with("its worker ended with code 101 and said: thread panicked")
        );
        assert_eq!(said(&[]), "JobFailed: stage clean: Job has failed");
        // The second pod of a Job that repeats shards 3 and 8, with more memory than the pipeline says.
        attempt.repeats = Some("3,8".into());
        attempt.memory = Some("4Gi".into());
        assert!(
            told(&[pod(1, 137, "", "OOMKilled")], &attempt).starts_with(
                "OutOfMemory: shard 8 of stage clean ran out of memory (it had 4Gi, and 2Gi before): raise"
            )
        );
    }

    #[test]
    fn counts_add_up_once_for_each_shard() {
        let report = |shard: u32, rows: i64| {
            let text = json!({
                "stage": "clean", "shard": shard, "reused": false, "counts": { "rows": rows }, "millis": 1,
            });
            pod(shard, 0, &text.to_string(), "Completed")
        };
        // Shard 1 ran twice: the second found it committed.
        let pods = [report(0, 10), report(1, 5), report(1, 5)];
        assert_eq!(sums(&reports(&pods))["rows"], 15);
    }
}
