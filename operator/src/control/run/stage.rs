//! One stage of a run: its Job, from intent to outcome.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use kube::{
    ResourceExt as _,
    api::{Patch, PatchParams, PostParams},
    runtime::{controller::Action, reflector::ObjectRef},
};
use musubi_api::{
    run::{Run, Stage},
    status::{StageState, StageStatus},
};
use serde_json::json;

use super::{Next, SAFETY, Work, ended::note_shards, now, pin::Stands};
use crate::{
    build::{MANAGER, job, names},
    context::{Error, lock},
    outcome::{self, Outcome},
    peaks, repeat, traces,
};

/// Progress is written no more often than this.
const PROGRESS: Duration = Duration::from_secs(10);
/// Jobs of a stage, when somebody keeps deleting them.
const ATTEMPTS: i32 = 10;

impl Work {
    /// Begins a stage: says so in the status. What the status says is what will be made.
    pub(super) async fn begin(&mut self, stage: Stage) -> Result<Next, Error> {
        let shards = match stage {
            Stage::Plan => 1,
            _ => self.status.shards.get(stage.as_str()).copied().unwrap_or(1),
        };
        let mut begun = StageStatus {
            shards,
            start_time: Some(now()),
            ..StageStatus::begun(stage)
        };
        self.status.phase = Some("Running".into());
        self.status.stage = Some(stage.as_str().into());
        if shards == 0 {
            // No warehouse, no audience: it is written with the next stage.
            begun.state = StageState::Complete;
            begun.completion_time = Some(now());
            self.status.stages.push(begun);
            return Ok(Next::Go);
        }
        let job = self.job_name(stage, 1);
        begun.job = Some(job.clone());
        self.status.stages.push(begun);
        self.write().await?;
        self.begun = Some(job);
        Ok(Next::Go)
    }

    /// Looks at the stage that runs.
    pub(super) async fn look(&mut self, pinned: &Arc<Run>) -> Result<Next, Error> {
        let Some(stage) = self.status.stages.last().cloned() else {
            return Ok(Next::Go);
        };
        let Some(name) = stage.job.clone() else {
            return Ok(Next::Go);
        };
        let cached = ObjectRef::<Job>::new(&name).within(&self.run.namespace().unwrap_or_default());
        let job = match self.context.objects.jobs.get(&cached) {
            Some(job) if self.owns(&*job) => (*job).clone(),
            // The cache may be behind. Of what was begun just now there is none, or the API server says so.
            _ => match self.made_before(&name).await? {
                Some(job) if self.owns(&job) => job,
                Some(_) => {
                    let message = format!("Job {name} belongs to somebody else: delete it");
                    self.stalled("JobTaken", &message).await?;
                    return Ok(Next::Wait(self.waiting()?));
                }
                None if stage.job_uid.is_some() => return self.lost(&stage).await,
                None => {
                    if self.paused() {
                        self.hold_still().await?;
                        return Ok(Next::Wait(self.waiting()?));
                    }
                    let stood = std::mem::take(&mut self.stood);
                    if !stood && self.stands(pinned).await? == Stands::Foreign {
                        return Ok(Next::Wait(self.waiting()?));
                    }
                    match self.create(pinned, &stage).await? {
                        Some(job) => job,
                        None => return Ok(Next::Wait(self.waiting()?)),
                    }
                }
            },
        };
        match outcome::of(&job) {
            Outcome::Running => self.progress(pinned, &job).await,
            Outcome::Complete => self.shards_done(&job).await,
            Outcome::Failed => self.shards_failed(pinned, &job).await,
        }
    }

    /// The Job of this name, unless this reconcile has just decided that there shall be one.
    async fn made_before(&mut self, name: &str) -> Result<Option<Job>, Error> {
        if self.begun.take().is_some_and(|begun| begun == name) {
            return Ok(None);
        }
        Ok(self.jobs.get_opt(name).await?)
    }

    /// Makes the Job that the status speaks of; nothing when the API server refuses it.
    async fn create(
        &mut self,
        pinned: &Arc<Run>,
        stage: &StageStatus,
    ) -> Result<Option<Job>, Error> {
        let (Some(name), Some(snapshot)) = (&stage.job, self.status.snapshot.clone()) else {
            return Ok(None);
        };
        let made = job::job(&job::Attempt {
            name,
            owner: self.owner(),
            run: pinned,
            config_map: &snapshot.config_map,
            sha256: snapshot.sha256.as_deref().unwrap_or_default(),
            image: &snapshot.image,
            stage: stage.stage,
            shards: stage.shards,
            repeats: stage.repeats.as_deref(),
            memory: stage.memory.as_deref(),
            parallelism: peaks::parallelism(&pinned.spec, Timestamp::now())
                .unwrap_or(pinned.spec.pods.parallelism),
            trace: self.context.traces.as_ref().map_or_else(Vec::new, |_| {
                traces::environment(&self.uid(), stage.stage, stage.attempt)
            }),
        });
        let params = PostParams {
            field_manager: Some(MANAGER.into()),
            ..PostParams::default()
        };
        // A status from before the Job came and went would have it made twice: the API server takes the newest alone.
        if !self.written {
            self.write().await?;
        }
        match self.jobs.create(&params, &made).await {
            Ok(job) => Ok(Some(job)),
            Err(kube::Error::Api(status)) if status.is_already_exists() => {
                // It was made a moment ago: by us, before we died, or by one who leads no more.
                Err(Error::Stale)
            }
            Err(kube::Error::Api(status)) if status.is_forbidden() || status.is_invalid() => {
                let message = format!("the API server refuses Job {name}: {}", status.message);
                self.stalled("JobRefused", &message).await?;
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// A Job that was seen and is gone, and whose outcome nobody recorded: somebody deleted it. Its shards may
    /// run again; those that are committed end at once.
    pub(super) async fn lost(&mut self, stage: &StageStatus) -> Result<Next, Error> {
        let name = stage.job.clone().unwrap_or_default();
        if stage.attempt >= ATTEMPTS {
            let message = format!(
                "Jobs of stage {} are deleted again and again",
                stage.stage.as_str()
            );
            self.fail("JobLost", &message).await?;
            return Ok(Next::Go);
        }
        self.another_attempt();
        self.write().await?;
        let message = format!("Job {name} was deleted before its end; another one is made");
        self.warn("JobLost", &message).await;
        Ok(Next::Go)
    }

    /// The last stage begins again with what is missing of it, with a Job of another name.
    pub(super) fn another_attempt(&mut self) {
        let Some(last) = self.status.stages.last() else {
            return;
        };
        let (stage, attempt) = (last.stage, last.attempt + 1);
        let job = self.job_name(stage, attempt);
        if let Some(last) = self.status.stages.last_mut() {
            last.state = StageState::Running;
            last.attempt = attempt;
            last.job = Some(job);
            last.job_uid = None;
            last.repeats = repeat::missing(last);
            last.failed = None;
            last.completion_time = None;
        }
    }

    /// Writes how far a stage is: at once what the next step rests on, and what keeps it from going on; the
    /// rest now and then.
    async fn progress(&mut self, pinned: &Arc<Run>, job: &Job) -> Result<Next, Error> {
        if self.fail_fast(pinned, job).await? {
            return Ok(Next::Wait(Action::await_change()));
        }
        let wide = self.widen(pinned, job).await?;
        let (trouble, wait) = self.trouble(pinned, job).await?;
        let wait = wait.min(wide);
        let full = trouble.as_ref().filter(|t| t.reason == "ScratchFull");
        let full = full.filter(|_| self.scratch_is_full_again(job));
        let Some(last) = self.status.stages.last_mut() else {
            return Ok(Next::Go);
        };
        if let Some(full) = full {
            last.state = StageState::Failed;
            last.completion_time = Some(now());
            self.fail(full.reason, &full.message).await?;
            return Ok(Next::Go);
        }
        let first_seen = last.job_uid.is_none();
        if first_seen {
            last.job_uid = job.uid();
        }
        let before = (last.done.clone(), last.failed.clone());
        note_shards(last, job);
        let moved = before != (last.done.clone(), last.failed.clone());
        let changed = match &trouble {
            Some(trouble) => self.say("Stalled", trouble.reason, &trouble.message),
            None => self.unstalled(),
        };
        if changed || first_seen {
            self.write().await?;
            if let Some(trouble) = trouble.filter(|_| changed) {
                self.warn(trouble.reason, &trouble.message).await;
            }
        } else if moved {
            let uid = self.uid();
            let since = lock(&self.context.progress).get(&uid).map(Instant::elapsed);
            if let Some(since) = since.filter(|since| *since < PROGRESS) {
                return Ok(Next::Wait(Action::requeue(wait.min(PROGRESS - since))));
            }
            lock(&self.context.progress).insert(uid, Instant::now());
            self.write().await?;
        }
        Ok(Next::Wait(Action::requeue(wait)))
    }

    /// In a peak more pods work side by side, also for a Job that has begun. Gives the time until that may change.
    async fn widen(&self, pinned: &Arc<Run>, job: &Job) -> Result<Duration, Error> {
        let now = Timestamp::now();
        let until = peaks::change_within(&pinned.spec.peaks, now, SAFETY);
        let Some((narrow, wide)) = peaks::wider(&pinned.spec, job, now) else {
            return Ok(until);
        };
        let (name, params) = (job.name_any(), PatchParams::default());
        let patch = json!({ "spec": { "parallelism": wide } });
        match self.jobs.patch(&name, &params, &Patch::Merge(&patch)).await {
            Err(kube::Error::Api(status)) if status.is_not_found() => {}
            other => drop(other?),
        }
        let note =
            format!("a peak has begun: Job {name} runs {wide} pods at a time instead of {narrow}");
        self.tell("StageWidened", &note).await;
        Ok(until)
    }

    fn job_name(&self, stage: Stage, attempt: i32) -> String {
        names::job(&self.run.name_any(), &self.uid(), stage, attempt)
    }
}
