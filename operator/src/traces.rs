//! One trace of each run: a span for the run, one for each attempt at a stage; what workers add are its children.
//!
//! Spans are made of what stands in the status, when it is written, and their ids follow from the run: an operator
//! that takes over goes on with the same trace. What one that died did not get to send is missing, nothing else.

use std::{
    env,
    time::{Duration, SystemTime},
};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::EnvVar;
use kube::ResourceExt as _;
use musubi_api::{
    pipeline::CustomerPipelineRun,
    run::Stage,
    status::{CustomerPipelineRunStatus, StageState, StageStatus},
};
use musubi_traces::{Error, Outbox};
use opentelemetry::{
    InstrumentationScope, KeyValue, SpanId, TraceFlags, TraceId,
    trace::{SpanContext, SpanKind, Status, TraceState},
};
use opentelemetry_sdk::trace::SpanData;
use sha2::{Digest as _, Sha256};

/// What workers are told of the operator's own settings. Headers are not among it: they may hold a key, and a Job is
/// read by many.
const PASSED_ON: [&str; 4] = [
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TIMEOUT",
    "OTEL_RESOURCE_ATTRIBUTES",
];

/// A status that was written over, and what was written.
type Statuses<'a> = (
    Option<&'a CustomerPipelineRunStatus>,
    &'a CustomerPipelineRunStatus,
);

/// Where spans go.
#[derive(Debug)]
pub(crate) struct Traces {
    outbox: Outbox,
}

impl Traces {
    /// Those that the environment asks for.
    ///
    /// # Errors
    /// Variables that cannot be used.
    pub(crate) fn open() -> Result<Option<Self>, Error> {
        let tls = rustls::crypto::ring::default_provider();
        let outbox = Outbox::open("musubi-operator", tls)?;
        Ok(outbox.map(|outbox| Self { outbox }))
    }

    /// What a status says that was written over the one before it. It has fractions of seconds, which the API server
    /// does not keep. `begun` says when a Job was made.
    pub(crate) fn written(
        &self,
        run: &CustomerPipelineRun,
        statuses: Statuses<'_>,
        begun: impl Fn(&str) -> Option<Timestamp>,
    ) {
        for span in spans(run, statuses, begun) {
            self.outbox.send(span);
        }
    }

    /// Sends what is left, and waits a moment for that. Blocks.
    pub(crate) fn close(&self) {
        if let Err(error) = self.outbox.close() {
            tracing::warn!(%error, "the collector of OTEL_EXPORTER_OTLP_… did not take all spans");
        }
    }
}

/// What a pod of a stage is told: its place in the trace, and where its spans go.
pub(crate) fn environment(uid: &str, stage: Stage, attempt: i32) -> Vec<EnvVar> {
    let (trace, span) = (trace_of(uid), stage_of(uid, stage, attempt));
    // W3C Trace Context, level 1: version, trace, parent, sampled.
    let parent = format!("00-{trace}-{span}-01");
    let passed_on = PASSED_ON.iter().filter_map(|name| {
        let value = env::var(name).ok().filter(|value| !value.is_empty());
        Some(((*name).to_owned(), value?))
    });
    [("TRACEPARENT".to_owned(), parent)]
        .into_iter()
        .chain(passed_on)
        .map(|(name, value)| EnvVar {
            name,
            value: Some(value),
            value_from: None,
        })
        .collect()
}

/// The run's UID: who knows the run finds its trace.
fn trace_of(uid: &str) -> TraceId {
    let hex: String = uid.chars().filter(|c| *c != '-').collect();
    TraceId::from_hex(&hex).unwrap_or(TraceId::INVALID)
}

fn id(parts: &[&str]) -> SpanId {
    let digest = Sha256::digest(parts.join("\n"));
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&digest[..8]);
    SpanId::from_bytes(bytes)
}

/// The run up to its end; after a retry it has another one.
fn run_of(uid: &str, retry: Option<&str>) -> SpanId {
    id(&[uid, "run", retry.unwrap_or_default()])
}

fn stage_of(uid: &str, stage: Stage, attempt: i32) -> SpanId {
    id(&[uid, stage.as_str(), &attempt.to_string()])
}

/// Spans that have ended in between.
fn spans(
    run: &CustomerPipelineRun,
    (before, now): Statuses<'_>,
    begun: impl Fn(&str) -> Option<Timestamp>,
) -> Vec<SpanData> {
    let uid = run.uid().unwrap_or_default();
    let parent = run_of(&uid, now.retry.as_deref());
    let mut found = Vec::new();
    for stage in &now.stages {
        let mut earlier = before.into_iter().flat_map(|status| &status.stages);
        let earlier = earlier.find(|s| s.stage == stage.stage);
        let of_attempt = |ended: &StageStatus, end: Option<Timestamp>| {
            let first = ended.attempt == 1;
            let made = ended.job.as_deref().filter(|_| !first).and_then(&begun);
            let start = made.or(ended.start_time.as_ref().map(|t| t.0));
            Some(SpanData {
                parent_span_id: parent,
                attributes: attributes_of(ended),
                status: match ended.state {
                    StageState::Complete => Status::Ok,
                    StageState::Failed => Status::error("the stage failed"),
                    StageState::Running => Status::error("it is repeated"),
                },
                ..span(
                    &uid,
                    stage_of(&uid, ended.stage, ended.attempt),
                    format!("stage {}", ended.stage.as_str()),
                    (start?, end?),
                )
            })
        };
        // One that was repeated ended when the next began.
        let left = earlier.filter(|e| e.state == StageState::Running && e.attempt < stage.attempt);
        found.extend(left.and_then(|left| of_attempt(left, Some(Timestamp::now()))));
        let known =
            earlier.is_some_and(|e| e.attempt == stage.attempt && e.state != StageState::Running);
        if stage.state != StageState::Running && !known {
            let end = stage.completion_time.as_ref().map(|t| t.0);
            found.extend(of_attempt(stage, end));
        }
    }
    if now.is_over() && !before.is_some_and(CustomerPipelineRunStatus::is_over) {
        found.extend(whole(run, now, parent));
    }
    found
}

/// The run as a whole.
fn whole(
    run: &CustomerPipelineRun,
    status: &CustomerPipelineRunStatus,
    id: SpanId,
) -> Option<SpanData> {
    let begun = status.start_time.as_ref().map(|t| t.0);
    let ended = status.completion_time.as_ref()?.0;
    let failed = status.conditions.iter().find(|c| c.type_ == "Failed");
    let mut attributes = vec![
        KeyValue::new("k8s.namespace.name", run.namespace().unwrap_or_default()),
        KeyValue::new("musubi.pipeline", run.spec.pipeline.clone()),
        KeyValue::new("musubi.run", run.name_any()),
    ];
    attributes.extend(
        status
            .published_version
            .map(|version| KeyValue::new("musubi.version", version)),
    );
    Some(SpanData {
        attributes,
        // The message may say more than a trace should; the reason is one of a list.
        status: failed.map_or(Status::Ok, |failed| Status::error(failed.reason.clone())),
        ..span(
            &run.uid().unwrap_or_default(),
            id,
            "run".into(),
            (begun.unwrap_or(ended), ended),
        )
    })
}

fn attributes_of(stage: &StageStatus) -> Vec<KeyValue> {
    let told = [
        KeyValue::new("musubi.stage", stage.stage.as_str()),
        KeyValue::new("musubi.attempt", i64::from(stage.attempt)),
        KeyValue::new("musubi.shards", i64::from(stage.shards)),
    ];
    let counts = stage.counts.iter();
    let counts = counts.map(|(name, n)| KeyValue::new(format!("count.{name}"), *n));
    told.into_iter().chain(counts).collect()
}

fn span(uid: &str, id: SpanId, name: String, (start, end): (Timestamp, Timestamp)) -> SpanData {
    let sampled = TraceFlags::SAMPLED;
    SpanData {
        span_context: SpanContext::new(trace_of(uid), id, sampled, false, TraceState::NONE),
        parent_span_id: SpanId::INVALID,
        parent_span_is_remote: false,
        span_kind: SpanKind::Internal,
        name: name.into(),
        start_time: system(start),
        end_time: system(end),
        attributes: Vec::new(),
        dropped_attributes_count: 0,
        events: Default::default(),
        links: Default::default(),
        status: Status::Unset,
        instrumentation_scope: InstrumentationScope::builder("musubi").build(),
    }
}

fn system(at: Timestamp) -> SystemTime {
    let since = u64::try_from(at.as_nanosecond()).unwrap_or_default();
    SystemTime::UNIX_EPOCH + Duration::from_nanos(since)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use musubi_api::{
        pipeline::CustomerPipelineRun, run::Stage, status::CustomerPipelineRunStatus,
    };
    use opentelemetry::{SpanId, trace::Status};
    use opentelemetry_sdk::trace::SpanData;
    use serde_json::{Value, json};

    use super::{environment, run_of, spans, stage_of};

    const UID: &str = "0192f0c4-1111-7000-8000-0123456789ab";

    fn at(second: i64) -> Timestamp {
        Timestamp::new(1_795_548_600 + second, 0).expect("an instant")
    }

    fn stage(state: &str, attempt: i32, end: Option<i64>) -> Value {
        json!({
            "stage": "clean", "state": state, "shards": 4, "attempt": attempt, "job": format!("job-{attempt}"),
            "counts": { "accepted": 90 }, "startTime": at(10).to_string(),
            "completionTime": end.map(|end| at(end).to_string()),
        })
    }

    fn status(stages: &[Value], ended: Option<&str>, retry: Option<&str>) -> Value {
        let ended = ended.map(|kind| {
            json!({
                "type": kind, "status": "True", "reason": "ShardFailed", "message": "Yamada is in the way",
                "lastTransitionTime": at(60).to_string(),
            })
        });
        json!({
            "startTime": at(0).to_string(), "completionTime": ended.as_ref().map(|_| at(60).to_string()),
            "stages": stages, "retry": retry, "conditions": ended.into_iter().collect::<Vec<_>>(),
        })
    }

    fn told(before: &Value, now: &Value) -> Vec<SpanData> {
        let run = json!({
            "metadata": { "name": "first", "namespace": "retail", "uid": UID },
            "spec": { "pipeline": "bento" },
        });
        let run: CustomerPipelineRun = serde_json::from_value(run).expect("a run");
        let status = |status: &Value| -> Option<CustomerPipelineRunStatus> {
            serde_json::from_value(status.clone()).expect("a status")
        };
        let (before, now) = (status(before), status(now).expect("a status"));
        spans(&run, (before.as_ref(), &now), |job| {
            (job == "job-2").then(|| at(30))
        })
    }

    fn seconds(span: &SpanData) -> (i64, i64) {
        let of = |t: std::time::SystemTime| Timestamp::try_from(t).expect("an instant") - at(0);
        (
            of(span.start_time).get_seconds(),
            of(span.end_time).get_seconds(),
        )
    }

    #[test]
    fn a_stage_that_ends_and_a_run_that_ends_are_told_once() {
        let running = status(&[stage("Running", 1, None)], None, None);
        let complete = status(&[stage("Complete", 1, Some(30))], None, None);
        let over = status(&[stage("Complete", 1, Some(30))], Some("Complete"), None);
        assert_eq!(told(&Value::Null, &running), []);
        let first = told(&running, &complete);
        assert_eq!(first.len(), 1);
        assert_eq!(
            first[0].span_context.trace_id().to_string(),
            UID.replace('-', "")
        );
        assert_eq!(
            first[0].span_context.span_id(),
            stage_of(UID, Stage::Clean, 1)
        );
        assert_eq!(first[0].parent_span_id, run_of(UID, None));
        assert_eq!(first[0].name, "stage clean");
        assert_eq!(seconds(&first[0]), (10, 30));
        assert_eq!(first[0].status, Status::Ok);
        let last = told(&complete, &over);
        assert_eq!(last.len(), 1);
        assert_eq!(last[0].span_context.span_id(), run_of(UID, None));
        assert_eq!(last[0].parent_span_id, SpanId::INVALID);
        assert_eq!(seconds(&last[0]), (0, 60));
        assert_eq!(told(&over, &over), []);
    }

    /// Whoever takes over between two writes says the same.
    #[test]
    fn attempts_have_spans_of_their_own_and_so_has_a_retry() {
        let first = status(&[stage("Running", 1, None)], None, None);
        let second = status(&[stage("Running", 2, None)], None, None);
        let failed = status(&[stage("Failed", 2, Some(60))], Some("Failed"), None);
        let again = status(&[stage("Running", 3, None)], None, Some("please"));
        let done = status(&[stage("Complete", 3, Some(80))], None, Some("please"));
        let repeated = told(&first, &second);
        assert_eq!(
            repeated[0].span_context.span_id(),
            stage_of(UID, Stage::Clean, 1)
        );
        assert!(matches!(repeated[0].status, Status::Error { .. }));
        let ends = told(&second, &failed);
        // It began when its Job was made.
        assert_eq!(seconds(&ends[0]), (30, 60));
        assert_eq!(ends[1].status, Status::error("ShardFailed"));
        assert_eq!(told(&failed, &again), []);
        let after = told(&again, &done);
        assert_eq!(
            after[0].span_context.span_id(),
            stage_of(UID, Stage::Clean, 3)
        );
        assert_eq!(after[0].parent_span_id, run_of(UID, Some("please")));
        assert_ne!(run_of(UID, Some("please")), run_of(UID, None));
        let all = [repeated, ends, after].concat();
        assert!(
            !format!("{all:?}").contains("Yamada"),
            "no message is in a trace"
        );
    }

    #[test]
    fn a_pod_is_told_its_place() {
        let environment = environment(UID, Stage::Clean, 2);
        let parent = environment[0].value.clone().unwrap_or_default();
        let (trace, span) = (UID.replace('-', ""), stage_of(UID, Stage::Clean, 2));
        assert_eq!(environment[0].name, "TRACEPARENT");
        assert_eq!(parent, format!("00-{trace}-{span}-01"));
    }
}
