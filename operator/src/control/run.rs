//! A run: from its pinned snapshot, stage after stage, one Job each.
//!
//! Intent stands in the status before a child exists, and every write of the status carries the version it
//! was made from: an operator that dies between any two calls, or sees an old cache, goes on without doubling.

mod end;
mod ended;
mod hindrance;
mod pin;
mod restored;
mod stage;

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use k8s_openapi::{
    api::batch::v1::Job,
    apimachinery::pkg::apis::meta::v1::{OwnerReference, Time},
};
use kube::{
    Api, Resource as _, ResourceExt as _,
    api::PostParams,
    runtime::{controller::Action, events::EventType, reflector::ObjectRef},
};
use musubi_api::{
    pipeline::CustomerPipelineRun,
    run::Stage,
    status::{CustomerPipelineRunStatus, StageState},
};

use crate::{
    build::MANAGER,
    conditions::{self, Say},
    context::{Context, Error, stale},
};

/// What asks for a retry; its value is remembered, so that each value retries once.
const RETRY: &str = "musubi.dev/retry";

/// Looks at a run again after this time, although nothing seems to happen.
const SAFETY: Duration = Duration::from_secs(60);

/// Reconciles a run.
pub(super) async fn reconcile(
    run: Arc<CustomerPipelineRun>,
    context: Arc<Context>,
) -> Result<Action, Error> {
    let run = context.ahead.newest(run);
    if run.meta().deletion_timestamp.is_some() {
        // Everything that the run made is owned by it, and goes with it.
        return Ok(Action::await_change());
    }
    let mut work = Work {
        api: context.scope.within(&run.namespace().unwrap_or_default()),
        jobs: context.scope.within(&run.namespace().unwrap_or_default()),
        status: run.status.clone().unwrap_or_default(),
        run: (*run).clone(),
        context,
        written: false,
        begun: None,
        stood: false,
        recorded: Vec::new(),
        news: Vec::new(),
    };
    let outcome = work.go().await;
    work.afterwards(outcome).await
}

/// One reconcile at work.
struct Work {
    context: Arc<Context>,
    api: Api<CustomerPipelineRun>,
    jobs: Api<Job>,
    /// The run as it was read or written last.
    run: CustomerPipelineRun,
    /// Its status as it shall be.
    status: CustomerPipelineRunStatus,
    /// Whether it was written since it was read from the cache, which may be behind.
    written: bool,
    /// The Job whose intent this reconcile wrote first: nobody of ours made it before.
    begun: Option<String>,
    /// Whether the snapshot was seen to stand as it was pinned, since the Job before was seen to be done.
    stood: bool,
    /// Jobs whose outcome stands in the status that is written next.
    recorded: Vec<String>,
    /// What is told once that is done which others wait for: stage, reason, note.
    news: Vec<(String, &'static str, String)>,
}

/// How one step of a reconcile ended.
enum Next {
    /// There is more to do at once.
    Go,
    /// Something else has to happen first.
    Wait(Action),
}

impl Work {
    async fn go(&mut self) -> Result<Action, Error> {
        if self.brought_back().await? || (self.status.is_over() && !self.wants_retry()) {
            return self.after().await;
        }
        if self.run.spec.cancel {
            return self.cancel().await;
        }
        if self.status.snapshot.is_none() && self.paused() {
            self.hold_still().await?;
            return self.waiting();
        }
        if self.wants_retry() {
            if let Some(first) = self.runs_before() {
                let message = format!("run {first} of the same pipeline goes first");
                self.held_up("Waiting", &message).await?;
                return self.waiting();
            }
            self.retry();
        }
        self.tidy().await?;
        let Some(pinned) = self.pin().await? else {
            return self.waiting();
        };
        loop {
            if self.status.is_over() {
                return self.after().await;
            }
            let next = match self.status.stages.last() {
                None => self.begin(Stage::Plan).await?,
                Some(last) => match last.state {
                    StageState::Running => self.look(&pinned).await?,
                    StageState::Complete => match after(last.stage) {
                        Some(stage) => self.begin(stage).await?,
                        None => self.complete().await?,
                    },
                    StageState::Failed => Next::Wait(Action::await_change()),
                },
            };
            if let Next::Wait(action) = next {
                return Ok(action);
            }
        }
    }

    /// Writes the status, if nobody wrote the run in between.
    async fn write(&mut self) -> Result<(), Error> {
        self.status.observed_generation = self.run.meta().generation;
        let before = self.run.status.replace(self.status.clone());
        let over = self.run.resource_version();
        let params = PostParams {
            field_manager: Some(MANAGER.into()),
            ..PostParams::default()
        };
        self.run = self
            .api
            .replace_status(&self.run.name_any(), &params, &self.run)
            .await
            .map_err(stale)?;
        self.written = true;
        self.context.ahead.wrote(over, &self.run);
        let metrics = &self.context.metrics;
        metrics.written(before.as_ref(), &self.status);
        if let Some(traces) = &self.context.traces {
            let statuses = (before.as_ref(), &self.status);
            traces.written(&self.run, statuses, |job| self.made(job));
        }
        self.note().await
    }

    /// What nobody waits for: the next Job is made before it.
    async fn afterwards(&mut self, outcome: Result<Action, Error>) -> Result<Action, Error> {
        // What was not written has not happened.
        if self.written {
            for (stage, reason, note) in std::mem::take(&mut self.news) {
                let kind = EventType::Normal;
                let context = &self.context;
                context.event(&self.run, &stage, kind, reason, &note).await;
            }
        }
        let action = outcome?;
        self.tidy().await?;
        Ok(action)
    }

    /// Sets a condition; says whether anything changed.
    fn say(&mut self, kind: &str, reason: &str, message: &str) -> bool {
        let say = Say {
            kind,
            holds: true,
            reason,
            message,
            generation: self.run.meta().generation,
        };
        conditions::set(&mut self.status.conditions, say)
    }

    /// Something outside of the run keeps it from going on: says so, and looks again.
    async fn stalled(&mut self, reason: &str, message: &str) -> Result<(), Error> {
        if self.say("Stalled", reason, message) {
            self.status.phase.get_or_insert_with(|| "Pending".into());
            self.write().await?;
            self.warn(reason, message).await;
        }
        Ok(())
    }

    /// Something of ours has to happen first: says so, and looks again.
    async fn held_up(&mut self, reason: &str, message: &str) -> Result<(), Error> {
        if self.say("Reconciling", reason, message) {
            self.status.phase.get_or_insert_with(|| "Pending".into());
            self.write().await?;
        }
        Ok(())
    }

    /// Nothing keeps the run from going on. Says whether anything did.
    fn unstalled(&mut self) -> bool {
        let stalled = conditions::clear(&mut self.status.conditions, "Stalled");
        conditions::clear(&mut self.status.conditions, "Reconciling") || stalled
    }

    async fn tell(&self, reason: &str, note: &str) {
        self.event(EventType::Normal, reason, note).await;
    }

    async fn warn(&self, reason: &str, note: &str) {
        self.event(EventType::Warning, reason, note).await;
    }

    async fn event(&self, kind: EventType, reason: &str, note: &str) {
        let part = self.status.stage.as_deref().unwrap_or("run");
        let context = &self.context;
        context.event(&self.run, part, kind, reason, note).await;
    }

    /// When a Job was made, as the cache has it.
    fn made(&self, job: &str) -> Option<Timestamp> {
        let cached = ObjectRef::new(job).within(&self.run.namespace()?);
        let job = self.context.objects.jobs.get(&cached)?;
        Some(job.creation_timestamp()?.0)
    }

    /// Whether a stage with shards comes after the last that the status has.
    fn goes_on(&self) -> bool {
        let last = self.status.stages.last().map(|last| last.stage);
        let mut later = std::iter::successors(last, |stage| after(*stage)).skip(1);
        let widths = &self.status.shards;
        later.any(|stage| widths.get(stage.as_str()).is_none_or(|shards| *shards > 0))
    }

    fn uid(&self) -> String {
        self.run.uid().unwrap_or_default()
    }

    /// What makes a child go when its run goes.
    fn owner(&self) -> OwnerReference {
        self.run.controller_owner_ref(&()).unwrap_or_default()
    }

    fn waiting(&self) -> Result<Action, Error> {
        Ok(Action::requeue(Duration::from_secs(5)))
    }
}

/// The stage after a stage.
fn after(stage: Stage) -> Option<Stage> {
    let at = Stage::ALL.iter().position(|s| *s == stage)?;
    Stage::ALL.get(at + 1).copied()
}

fn now() -> Time {
    Time(Timestamp::now())
}
