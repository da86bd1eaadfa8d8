//! A pipeline: whether it is usable, when its next run is due, and which old runs go.

mod deletion;

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{
    Api, Resource as _, ResourceExt as _,
    api::{DeleteParams, ObjectMeta, Patch, PatchParams, PostParams},
    runtime::{controller::Action, events::EventType},
};
use musubi_api::{
    pipeline::{
        ConcurrencyPolicy, CustomerPipeline, CustomerPipelineRun, CustomerPipelineRunSpec, Schedule,
    },
    run::Stage,
    status::{CustomerPipelineStatus, PendingRun, StageState},
};
use serde_json::json;

use crate::{
    build::{MANAGER, PAUSED, PREFIX, credentials, names, paused},
    conditions::{self, Say},
    context::{Context, Error, stale},
    objects::sentence,
    peaks, schedule,
};

pub(crate) use deletion::let_go_with_namespaces;

/// What asks for a run now; its value is remembered, so that each value makes one run.
const RUN_NOW: &str = "musubi.dev/run-now";
/// Label of what Velero brought back.
const RESTORED: &str = "velero.io/restore-name";
/// A pipeline is looked at again after this time, although nothing seems to happen.
const SAFETY: Duration = Duration::from_secs(300);

/// Reconciles a pipeline.
pub(super) async fn reconcile(
    pipeline: Arc<CustomerPipeline>,
    context: Arc<Context>,
) -> Result<Action, Error> {
    let namespace = pipeline.namespace().unwrap_or_default();
    let runs = runs(&pipeline, &context);
    let mut work = Work {
        api: context.scope.within(&namespace),
        runs_api: context.scope.within(&namespace),
        status: pipeline.status.clone().unwrap_or_default(),
        pipeline: (*pipeline).clone(),
        runs,
        context,
    };
    if pipeline.meta().deletion_timestamp.is_some() {
        return work.go_away().await;
    }
    work.go().await
}

/// The runs of a pipeline, the oldest first.
fn runs(pipeline: &CustomerPipeline, context: &Context) -> Vec<Arc<CustomerPipelineRun>> {
    let (name, namespace) = (pipeline.name_any(), pipeline.namespace());
    let mut runs = context.objects.runs.state_filter(|run| {
        run.spec.pipeline == name
            && run.namespace() == namespace
            && run.meta().deletion_timestamp.is_none()
    });
    runs.sort_by_key(|run| (run.creation_timestamp().map(|t| t.0), run.name_any()));
    runs
}

struct Work {
    context: Arc<Context>,
    api: Api<CustomerPipeline>,
    runs_api: Api<CustomerPipelineRun>,
    pipeline: CustomerPipeline,
    status: CustomerPipelineStatus,
    runs: Vec<Arc<CustomerPipelineRun>>,
}

impl Work {
    async fn go(&mut self) -> Result<Action, Error> {
        self.hold().await?;
        let usable = self.judge();
        self.look_at_runs();
        let change = self.look_at_peaks().await?;
        if self.pause() {
            self.write().await?;
            return Ok(Action::requeue(change));
        }
        self.make_pending().await?;
        self.on_demand().await?;
        let mut wait = change;
        self.status.next_schedule_time = None;
        if let Some(schedule) = self.pipeline.spec.schedule.clone()
            && usable
            && !self.pipeline.spec.suspend
        {
            wait = self.by_schedule(&schedule).await?.min(change);
        }
        self.write().await?;
        self.forget().await?;
        Ok(Action::requeue(wait))
    }

    /// Says whether the spec is usable.
    fn judge(&mut self) -> bool {
        let (catalog, problems) = self.context.objects.closure(&self.pipeline);
        let lake = credentials::s3(self.pipeline.spec.lake.s3.as_ref());
        let mut wrong: Vec<String> = problems.iter().take(5).map(sentence).collect();
        let mut reason = "Invalid";
        if wrong.is_empty()
            && let Some(refusal) = self.context.settings.allowed.refuses(&lake)
        {
            reason = "SecretNotAllowed";
            wrong.push(refusal);
        }
        drop(catalog);
        let usable = wrong.is_empty();
        let message = if usable {
            "the spec is usable".to_owned()
        } else {
            wrong.join("\n")
        };
        let say = Say {
            kind: "Ready",
            holds: usable,
            reason: if usable { "Usable" } else { reason },
            message: &message,
            generation: self.pipeline.meta().generation,
        };
        conditions::set(&mut self.status.conditions, say);
        self.status.observed_generation = self.pipeline.meta().generation;
        usable
    }

    /// Whether the pipeline is paused, which a condition says.
    fn pause(&mut self) -> bool {
        if !paused(&self.pipeline) {
            conditions::clear(&mut self.status.conditions, "Paused");
            return false;
        }
        let message = format!("nothing new is made until the annotation {PAUSED} is removed");
        let say = Say {
            kind: "Paused",
            holds: true,
            reason: "Annotated",
            message: &message,
            generation: self.pipeline.meta().generation,
        };
        conditions::set(&mut self.status.conditions, say);
        self.status.next_schedule_time = None;
        true
    }

    /// Reads what became of runs.
    fn look_at_runs(&mut self) {
        let over = |run: &CustomerPipelineRun| run.status.as_ref().is_some_and(|s| s.is_over());
        let active = self.runs.iter().filter(|run| !over(run));
        self.status.active = active.take(20).map(|run| run.name_any()).collect();
        self.look_at_data();
        let mut ended: Vec<_> = self
            .runs
            .iter()
            .filter_map(|run| Some((run, run.status.as_ref().filter(|s| s.is_over())?)))
            .collect();
        ended.sort_by_key(|(_, status)| status.completion_time.as_ref().map(|t| t.0));
        for (_, status) in &ended {
            self.status.published_version =
                status.published_version.or(self.status.published_version);
        }
        let Some((run, status)) = ended.last() else {
            return;
        };
        let succeeded = status.phase.as_deref() == Some("Complete");
        let decided = status
            .conditions
            .iter()
            .find(|c| matches!(c.type_.as_str(), "Complete" | "Failed") && c.status == "True");
        let (reason, message) = decided.map_or(("Unknown", String::new()), |c| {
            (
                c.reason.as_str(),
                format!("run {}: {}", run.name_any(), c.message),
            )
        });
        let say = Say {
            kind: "LastRunSucceeded",
            holds: succeeded,
            reason,
            message: &message,
            generation: self.pipeline.meta().generation,
        };
        conditions::set(&mut self.status.conditions, say);
    }

    /// Reads what instants the published and the loaded data speak for.
    fn look_at_data(&mut self) {
        for status in self.runs.iter().filter_map(|run| run.status.as_ref()) {
            let Some(as_of) = status.snapshot.as_ref().map(|s| s.as_of.clone()) else {
                continue;
            };
            for stage in status
                .stages
                .iter()
                .filter(|s| s.state == StageState::Complete)
            {
                let newest = match stage.stage {
                    Stage::Publish => &mut self.status.published_as_of,
                    // Without a warehouse nothing is loaded.
                    Stage::Load if stage.shards > 0 => &mut self.status.loaded_as_of,
                    _ => continue,
                };
                if newest.as_ref().is_none_or(|newest| newest.0 < as_of.0) {
                    *newest = Some(as_of.clone());
                }
            }
        }
    }

    /// Says which peak counts, and which one will. Gives the time until that changes.
    async fn look_at_peaks(&mut self) -> Result<Duration, Error> {
        let now = Timestamp::now();
        let (active, next) = peaks::outlook(&self.pipeline.spec.peaks, now);
        let changes = [
            active
                .as_ref()
                .and_then(|peak| Some(peak.until.as_ref()?.0)),
            next.as_ref().map(|peak| peak.from.0),
        ];
        let before = self.status.active_peak.take().map(|peak| peak.name);
        let after = active.as_ref().map(|peak| peak.name.clone());
        let entered = active.as_ref().map(|peak| match &peak.until {
            Some(until) => format!("peak {} counts until {}", peak.name, until.0),
            None => format!("peak {} counts", peak.name),
        });
        (self.status.active_peak, self.status.next_peak) = (active, next);
        if before != after {
            // Who dies now has said nothing; who wrote it says it once.
            self.write().await?;
            if let Some(before) = before {
                let note = format!("peak {before} is over");
                self.tell(EventType::Normal, "PeakLeft", &note).await;
            }
            if let Some(note) = entered {
                self.tell(EventType::Normal, "PeakEntered", &note).await;
            }
        }
        let first = changes.into_iter().flatten().min();
        let wait = first.map_or(SAFETY, |at| {
            // A moment later it is over for sure.
            let until = at.duration_since(now) + jiff::SignedDuration::from_millis(50);
            Duration::try_from(until).unwrap_or_default()
        });
        Ok(wait.min(SAFETY))
    }

    /// Makes the run that the status speaks of.
    async fn make_pending(&mut self) -> Result<(), Error> {
        let Some(pending) = self.status.pending.clone() else {
            return Ok(());
        };
        let made = self.run(&pending);
        let params = PostParams {
            field_manager: Some(MANAGER.into()),
            ..PostParams::default()
        };
        match self.runs_api.create(&params, &made).await {
            Ok(_) => {
                let note = format!("run {} begins", pending.name);
                self.tell(EventType::Normal, "RunCreated", &note).await;
            }
            // It was made before, and nobody had time to say so.
            Err(kube::Error::Api(status)) if status.is_already_exists() => {}
            Err(error) => return Err(error.into()),
        }
        self.status.last_run = Some(pending.name.clone());
        if !self.status.active.contains(&pending.name) {
            self.status.active.push(pending.name);
        }
        self.status.pending = None;
        self.write().await
    }

    /// A run that was asked for with an annotation. Runs go one after another by themselves.
    async fn on_demand(&mut self) -> Result<(), Error> {
        let asked = self.pipeline.annotations().get(RUN_NOW).cloned();
        if self.pipeline.status.is_none() && self.pipeline.labels().contains_key(RESTORED) {
            // It was asked for before the backup.
            self.status.run_now.clone_from(&asked);
        }
        let Some(token) = asked.filter(|token| Some(token) != self.status.run_now.as_ref()) else {
            return Ok(());
        };
        let pending = PendingRun {
            name: names::on_demand(&self.pipeline.name_any(), &token),
            scheduled: None,
        };
        self.status.run_now = Some(token);
        self.intend(pending).await
    }

    /// A run that is due. Gives the time until the next.
    async fn by_schedule(&mut self, schedule: &Schedule) -> Result<Duration, Error> {
        let now = Timestamp::now();
        let since = self.status.last_schedule_time.as_ref().map(|t| t.0);
        let made = self.pipeline.creation_timestamp().map(|t| t.0);
        let since = since.or(made).unwrap_or(now);
        // What is wrong with it stands in `Ready`.
        let Ok(look) = schedule::look(schedule, &self.pipeline.spec.peaks, since, now) else {
            return Ok(SAFETY);
        };
        if let Some(due) = look.due {
            self.status.last_schedule_time = Some(Time(due));
            if look.too_late {
                let note = format!(
                    "the run that was due at {due} is passed over: its starting deadline is over"
                );
                self.tell(EventType::Warning, "MissedSchedule", &note).await;
            } else if self
                .stands_in_the_way(schedule.concurrency_policy, due)
                .await?
            {
                let note = format!(
                    "the run that was due at {due} is passed over, as concurrencyPolicy is {1:?}; runs that are not over: {0}",
                    self.status.active.join(", "),
                    schedule.concurrency_policy
                );
                self.tell(EventType::Warning, "RunSkipped", &note).await;
            } else {
                let pending = PendingRun {
                    name: names::scheduled(&self.pipeline.name_any(), due),
                    scheduled: Some(Time(due)),
                };
                self.intend(pending).await?;
            }
        }
        self.status.next_schedule_time = look.next.map(Time);
        let wait = look.next.map_or(SAFETY, |next| {
            Duration::try_from(next.duration_since(now)).unwrap_or_default()
        });
        Ok(wait.min(SAFETY))
    }

    /// Whether runs that are not over keep a new one from being made.
    async fn stands_in_the_way(
        &mut self,
        policy: ConcurrencyPolicy,
        due: Timestamp,
    ) -> Result<bool, Error> {
        if self.status.active.is_empty() {
            return Ok(false);
        }
        match policy {
            ConcurrencyPolicy::Forbid => Ok(true),
            // One that waits takes whatever is new: two would be one too many.
            ConcurrencyPolicy::Queue => Ok(self.status.active.len() > 1),
            ConcurrencyPolicy::Replace => {
                for name in self.status.active.clone() {
                    let cancel = json!({ "spec": { "cancel": true } });
                    let params = PatchParams::default();
                    match self
                        .runs_api
                        .patch(&name, &params, &Patch::Merge(&cancel))
                        .await
                    {
                        Err(kube::Error::Api(status)) if status.is_not_found() => {}
                        other => drop(other?),
                    }
                    let note = format!("run {name} is cancelled: another one was due at {due}");
                    self.tell(EventType::Normal, "RunReplaced", &note).await;
                }
                Ok(false)
            }
        }
    }

    /// Says which run will be made, then makes it.
    async fn intend(&mut self, pending: PendingRun) -> Result<(), Error> {
        self.status.pending = Some(pending);
        self.write().await?;
        self.make_pending().await
    }

    fn run(&self, pending: &PendingRun) -> CustomerPipelineRun {
        let name = self.pipeline.name_any();
        let mut run = CustomerPipelineRun::new(
            &pending.name,
            CustomerPipelineRunSpec {
                pipeline: name.clone(),
                as_of: pending.scheduled.as_ref().map(|t| t.0.to_string()),
                allow: Vec::new(),
                cancel: false,
            },
        );
        run.metadata = ObjectMeta {
            namespace: self.pipeline.namespace(),
            labels: Some([(format!("{PREFIX}/pipeline"), name)].into()),
            // It goes with its pipeline; what it published stays.
            owner_references: self.pipeline.controller_owner_ref(&()).map(|o| vec![o]),
            ..run.metadata
        };
        run
    }

    /// Writes the status when it changed, and nobody else wrote in between.
    async fn write(&mut self) -> Result<(), Error> {
        if self.pipeline.status.as_ref() == Some(&self.status) {
            return Ok(());
        }
        self.pipeline.status = Some(self.status.clone());
        let params = PostParams {
            field_manager: Some(MANAGER.into()),
            ..PostParams::default()
        };
        let name = self.pipeline.name_any();
        self.pipeline = self
            .api
            .replace_status(&name, &params, &self.pipeline)
            .await
            .map_err(stale)?;
        Ok(())
    }

    /// Deletes runs beyond the limits of the history, the oldest first.
    async fn forget(&self) -> Result<(), Error> {
        let history = &self.pipeline.spec.history;
        for (phase, kept) in [("Complete", history.complete), ("Failed", history.failed)] {
            let of_phase = |run: &&Arc<CustomerPipelineRun>| {
                let status = run.status.as_ref();
                status.is_some_and(|s| s.is_over() && s.phase.as_deref() == Some(phase))
            };
            let runs: Vec<_> = self.runs.iter().filter(of_phase).collect();
            for run in runs.iter().take(runs.len().saturating_sub(kept)) {
                self.delete_run(run).await?;
            }
        }
        Ok(())
    }

    async fn delete_run(&self, run: &CustomerPipelineRun) -> Result<(), Error> {
        let params = DeleteParams::background();
        match self.runs_api.delete(&run.name_any(), &params).await {
            Err(kube::Error::Api(status)) if status.is_not_found() => {}
            other => drop(other?),
        }
        Ok(())
    }

    async fn tell(&self, kind: EventType, reason: &str, note: &str) {
        let part = self.status.last_run.as_deref().unwrap_or("schedule");
        let context = &self.context;
        context
            .event(&self.pipeline, part, kind, reason, note)
            .await;
    }
}
