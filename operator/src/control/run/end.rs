//! The end of a run, and what may come after it.

use std::{collections::BTreeSet, sync::Arc};

use k8s_openapi::api::batch::v1::Job;
use kube::{
    ResourceExt as _,
    api::{DeleteParams, Patch, PatchParams},
    runtime::{controller::Action, reflector::ObjectRef},
};
use musubi_api::status::StageState;
use serde_json::json;

use super::{Next, RETRY, Work, now};
use crate::{
    conditions,
    context::{Error, lock},
    outcome::{self, Outcome},
};

impl Work {
    /// Every stage is complete.
    pub(super) async fn complete(&mut self) -> Result<Next, Error> {
        let message = match self.status.published_version {
            Some(version) => format!("version {version} is published, loaded and delivered"),
            None => "every stage is complete".to_owned(),
        };
        self.unstalled();
        self.say("Complete", "Complete", &message);
        self.status.phase = Some("Complete".into());
        self.status.completion_time = Some(now());
        self.write().await?;
        self.tell("Complete", &message).await;
        Ok(Next::Go)
    }

    /// The run cannot go on.
    pub(super) async fn fail(&mut self, reason: &str, message: &str) -> Result<(), Error> {
        self.unstalled();
        self.say("Failed", reason, message);
        self.status.phase = Some("Failed".into());
        self.status.completion_time = Some(now());
        self.write().await?;
        self.warn(reason, message).await;
        Ok(())
    }

    /// The run was told to stop. Its Job goes once that is written.
    pub(super) async fn cancel(&mut self) -> Result<Action, Error> {
        if let Some(last) = self.status.stages.last_mut()
            && last.state == StageState::Running
        {
            last.state = StageState::Failed;
            last.completion_time = Some(now());
        }
        self.fail("Cancelled", "the run was cancelled").await?;
        self.after().await
    }

    /// Whether a retry is asked for that was not dealt with.
    pub(super) fn wants_retry(&self) -> bool {
        let asked = self.run.annotations().get(RETRY);
        let failed = self.status.phase.as_deref() == Some("Failed");
        failed && !self.run.spec.cancel && asked.is_some() && asked != self.status.retry.as_ref()
    }

    /// The run goes on at the stage that failed, with the same snapshot. It is written with what it does first.
    pub(super) fn retry(&mut self) {
        self.status.retry = self.run.annotations().get(RETRY).cloned();
        conditions::clear(&mut self.status.conditions, "Failed");
        self.unstalled();
        self.status.completion_time = None;
        self.status.phase = Some("Running".into());
        if self
            .status
            .stages
            .last()
            .is_some_and(|s| s.state == StageState::Failed)
        {
            if let Some(last) = self.status.stages.last_mut() {
                last.killed = None;
            }
            self.another_attempt();
        }
    }

    /// What is left to do for a run that is over.
    pub(super) async fn after(&mut self) -> Result<Action, Error> {
        let uid = self.uid();
        lock(&self.context.pinned).remove(&uid);
        lock(&self.context.progress).remove(&uid);
        self.context.ahead.forget(&uid);
        for job in self.own_jobs() {
            if outcome::of(&job) == Outcome::Running {
                self.end(&job).await?;
            }
        }
        self.note().await?;
        Ok(Action::await_change())
    }

    /// Lets Jobs go after a while whose outcome stands in the status that was written.
    pub(super) async fn tidy(&mut self) -> Result<(), Error> {
        let written = self.run.status.iter().flat_map(|s| &s.stages);
        // A Job that the status has gone on from, to another attempt, is over as well.
        let runs: BTreeSet<String> = written
            .filter(|stage| stage.state == StageState::Running)
            .filter_map(|stage| stage.job.clone())
            .collect();
        let fresh: Vec<String> = self.recorded.drain(..).collect();
        let cached = self.own_jobs();
        let kept = |job: &&Arc<Job>| {
            job.spec
                .as_ref()
                .is_some_and(|s| s.ttl_seconds_after_finished.is_none())
                && outcome::of(job) != Outcome::Running
        };
        let left = cached.iter().filter(kept).map(|job| job.name_any());
        let names: BTreeSet<String> = left.chain(fresh).filter(|n| !runs.contains(n)).collect();
        let seconds = self.context.settings.job_seconds;
        let patch = json!({ "spec": { "ttlSecondsAfterFinished": seconds } });
        for name in names {
            let patched = self
                .jobs
                .patch(&name, &PatchParams::default(), &Patch::Merge(&patch))
                .await;
            match patched {
                Err(kube::Error::Api(status)) if status.is_not_found() => {}
                other => drop(other?),
            }
        }
        Ok(())
    }

    /// Ends a Job and its pods.
    async fn end(&self, job: &Job) -> Result<(), Error> {
        let name = job.name_any();
        match self.jobs.delete(&name, &DeleteParams::background()).await {
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
            Err(error) => Err(error.into()),
            Ok(_) => Ok(()),
        }
    }

    /// The Jobs that the status names, as the cache has them.
    fn own_jobs(&self) -> Vec<Arc<Job>> {
        let namespace = self.run.namespace().unwrap_or_default();
        let names = self.status.stages.iter().filter_map(|s| s.job.as_ref());
        names
            .filter_map(|name| {
                let cached = ObjectRef::new(name).within(&namespace);
                self.context.objects.jobs.get(&cached)
            })
            .filter(|job| self.owns(&**job))
            .collect()
    }
}
