//! What the operator counts, as Prometheus reads it.
//!
//! Labels are words of fixed sets. Namespaces and pipelines label only what is read from the caches when it is
//! asked for: what is deleted is not told any more. Runs, shards, pods and texts are no labels.

#[cfg(test)]
mod alerts;
mod pipelines;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use musubi_api::status::{CustomerPipelineRunStatus, StageState, StageStatus};
use prometheus_client::{
    encoding::{EncodeLabelSet, text},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram, info::Info},
    registry::Registry,
};

use crate::{context::lock, objects::Objects};

/// Seconds of a reconcile.
const QUICK: [f64; 9] = [0.001, 0.005, 0.02, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0];
/// Seconds of a stage.
const LONG: [f64; 10] = [
    5.0, 15.0, 60.0, 180.0, 600.0, 1800.0, 3600.0, 7200.0, 14400.0, 28800.0,
];

/// A controller, by the kind that it reconciles.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Of {
    controller: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reconciled {
    controller: String,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    outcome: String,
    reason: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StageEnded {
    stage: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Rows {
    outcome: &'static str,
}

/// Everything that is counted.
pub(crate) struct Metrics {
    registry: Registry,
    leads: Gauge,
    reconciliations: Family<Reconciled, Counter>,
    durations: Family<Of, Histogram, fn() -> Histogram>,
    waiting: Family<Of, Gauge>,
    at_work: Family<Of, Gauge>,
    runs: Family<Ended, Counter>,
    stages: Family<StageEnded, Histogram, fn() -> Histogram>,
    rows: Family<Rows, Counter>,
    /// The caches of the operator that leads.
    objects: Arc<Mutex<Option<Objects>>>,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("musubi"),
            leads: Gauge::default(),
            reconciliations: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(QUICK)),
            waiting: Family::default(),
            at_work: Family::default(),
            runs: Family::default(),
            stages: Family::new_with_constructor(|| Histogram::new(LONG)),
            rows: Family::default(),
            objects: Arc::default(),
        };
        metrics.register();
        metrics
    }

    fn register(&mut self) {
        let built = [("version", env!("CARGO_PKG_VERSION"))];
        let all = &mut self.registry;
        all.register("build", "Version of the operator", Info::new(built));
        let operator = all.sub_registry_with_prefix("operator");
        operator.register(
            "leader",
            "1 for the operator that is at work, 0 for those that stand by",
            self.leads.clone(),
        );
        operator.register(
            "reconciliations",
            "Reconciliations by outcome: success, error, stale (the object changed in between)",
            self.reconciliations.clone(),
        );
        operator.register(
            "reconciliation_duration_seconds",
            "How long reconciliations took",
            self.durations.clone(),
        );
        operator.register(
            "queue_depth",
            "Objects that wait to be reconciled",
            self.waiting.clone(),
        );
        operator.register(
            "reconciliations_in_progress",
            "Objects that are being reconciled",
            self.at_work.clone(),
        );
        all.register(
            "runs_ended",
            "Runs that came to their end, by outcome and by reason of their condition",
            self.runs.clone(),
        );
        all.register(
            "stage_duration_seconds",
            "How long stages of runs took, from intent to outcome",
            self.stages.clone(),
        );
        all.register(
            "rows",
            "Rows that were cleaned: accepted or quarantined",
            self.rows.clone(),
        );
        all.register_collector(Box::new(pipelines::Pipelines(self.objects.clone())));
    }

    /// This operator leads, with these caches; or it does not.
    pub(crate) fn leads(&self, objects: Option<Objects>) {
        self.leads.set(objects.is_some().into());
        *lock(&self.objects) = objects;
    }

    /// An object waits to be reconciled: until the value is dropped.
    pub(crate) fn waits(&self, controller: &str) -> Held {
        Held::new(&self.waiting, controller)
    }

    /// An object is being reconciled: until the value is dropped.
    pub(crate) fn works(&self, controller: &str) -> Held {
        Held::new(&self.at_work, controller)
    }

    /// An object was reconciled.
    pub(crate) fn reconciled(&self, controller: &str, outcome: &'static str, took: Duration) {
        let controller = controller.to_owned();
        let of = Of {
            controller: controller.clone(),
        };
        self.durations
            .get_or_create(&of)
            .observe(took.as_secs_f64());
        let of = Reconciled {
            controller,
            outcome,
        };
        self.reconciliations.get_or_create(&of).inc();
    }

    /// What a status says that was written, and the one before it did not.
    pub(crate) fn written(
        &self,
        before: Option<&CustomerPipelineRunStatus>,
        now: &CustomerPipelineRunStatus,
    ) {
        let ended = |stage: &StageStatus| stage.state != StageState::Running;
        let known = |stage: &StageStatus| {
            let stages = before.into_iter().flat_map(|status| &status.stages);
            stages
                .filter(|s| ended(s))
                .any(|s| (s.stage, s.attempt) == (stage.stage, stage.attempt))
        };
        for stage in now.stages.iter().filter(|s| ended(s) && !known(s)) {
            self.stage(stage);
        }
        if now.is_over() && !before.is_some_and(CustomerPipelineRunStatus::is_over) {
            let decided = |kind: &str| matches!(kind, "Complete" | "Failed");
            let condition = now
                .conditions
                .iter()
                .find(|c| decided(&c.type_) && c.status == "True");
            if let Some(condition) = condition {
                let ended = Ended {
                    outcome: condition.type_.to_lowercase(),
                    reason: condition.reason.clone(),
                };
                self.runs.get_or_create(&ended).inc();
            }
        }
    }

    fn stage(&self, stage: &StageStatus) {
        // One without shards took no time.
        if let (Some(begun), Some(ended), Some(_)) =
            (&stage.start_time, &stage.completion_time, &stage.job)
        {
            let of = StageEnded {
                stage: stage.stage.as_str(),
                outcome: match stage.state {
                    StageState::Complete => "complete",
                    _ => "failed",
                },
            };
            let took = ended.0.duration_since(begun.0).as_secs_f64();
            self.stages.get_or_create(&of).observe(took);
        }
        if stage.stage == musubi_api::run::Stage::Clean {
            for outcome in ["accepted", "quarantined"] {
                let n = stage.counts.get(outcome).copied().unwrap_or_default();
                let rows = self.rows.get_or_create(&Rows { outcome });
                rows.inc_by(u64::try_from(n).unwrap_or_default());
            }
        }
    }

    /// The text that is scraped.
    pub(crate) fn text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

/// One more in a gauge, as long as it lives.
pub(crate) struct Held(Gauge);

impl Held {
    fn new(family: &Family<Of, Gauge>, controller: &str) -> Self {
        let of = Of {
            controller: controller.to_owned(),
        };
        let gauge = family.get_or_create(&of).clone();
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use musubi_api::status::CustomerPipelineRunStatus;
    use serde_json::{Value, json};

    use super::Metrics;

    fn status(text: Value) -> CustomerPipelineRunStatus {
        serde_json::from_value(text).unwrap_or_else(|e| panic!("{e}"))
    }

    fn clean(state: &str) -> Value {
        json!({
            "stage": "clean", "state": state, "shards": 3, "attempt": 1, "job": "j",
            "counts": { "accepted": 90, "quarantined": 10 },
            "startTime": "2026-11-25T00:00:00Z", "completionTime": "2026-11-25T00:00:20Z",
        })
    }

    /// Of a run that failed after `clean`.
    pub(super) fn over() -> CustomerPipelineRunStatus {
        let failed = json!({
            "type": "Failed", "status": "True", "reason": "ShardFailed", "message": "Yamada",
            "lastTransitionTime": "2026-11-25T00:00:20Z",
        });
        status(json!({ "stages": [clean("Complete")], "conditions": [failed] }))
    }

    #[test]
    fn what_a_status_says_twice_is_counted_once() {
        let metrics = Metrics::new();
        let running = status(json!({ "stages": [clean("Running")] }));
        let over = over();
        metrics.written(None, &running);
        metrics.written(Some(&running), &over);
        metrics.written(Some(&over), &over);
        let text = metrics.text().unwrap_or_default();
        for line in [
            "musubi_rows_total{outcome=\"accepted\"} 90",
            "musubi_rows_total{outcome=\"quarantined\"} 10",
            "musubi_stage_duration_seconds_sum{stage=\"clean\",outcome=\"complete\"} 20.0",
            "musubi_runs_ended_total{outcome=\"failed\",reason=\"ShardFailed\"} 1",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is not in {text}");
        }
        assert!(!text.contains("Yamada"), "a message is no label");
    }

    #[test]
    fn gauges_fall_when_what_they_count_ends() {
        let metrics = Metrics::new();
        let waits = metrics.waits("Source");
        let depth = |n: u8| format!("musubi_operator_queue_depth{{controller=\"Source\"}} {n}\n");
        assert!(metrics.text().unwrap_or_default().contains(&depth(1)));
        drop(waits);
        assert!(metrics.text().unwrap_or_default().contains(&depth(0)));
    }

    /// Ten times the runs, not one series more.
    #[test]
    fn series_do_not_grow_with_runs() {
        let metrics = Metrics::new();
        let count = || metrics.text().unwrap_or_default().lines().count();
        let mut first = 0;
        for n in 0..100 {
            let job = format!("job-{n}");
            let mut stage = clean("Complete");
            stage["job"] = job.into();
            metrics.written(None, &status(json!({ "stages": [stage] })));
            metrics.reconciled("Source", "success", Duration::from_millis(n));
            if n == 9 {
                first = count();
            }
        }
        assert_eq!(count(), first);
    }
}
