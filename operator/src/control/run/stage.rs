//! One stage of a run: its Job, from intent to outcome.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{Event, Pod},
};
use kube::{
    Api, Resource as _, ResourceExt as _,
    api::{ListParams, PostParams},
    runtime::{controller::Action, reflector::ObjectRef},
};
use musubi_api::{
    run::{Run, Stage},
    status::{StageState, StageStatus},
};

use super::{Next, SAFETY, Work, now};
use crate::{
    build::{MANAGER, job, names},
    context::{Error, lock},
    outcome::{self, Outcome},
    trouble::{self, Finding, Trouble},
};

/// Progress is written no more often than this.
const PROGRESS: Duration = Duration::from_secs(10);
/// Seconds after which a Job without pods is asked why.
const REFUSED: i64 = 10;
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
            stage,
            state: StageState::Running,
            shards,
            attempt: 1,
            job: None,
            job_uid: None,
            done: None,
            failed: None,
            counts: Default::default(),
            start_time: Some(now()),
            completion_time: None,
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
        begun.job = Some(self.job_name(stage, 1));
        self.status.stages.push(begun);
        self.write().await?;
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
            // The cache may be behind.
            _ => match self.jobs.get_opt(&name).await? {
                Some(job) if self.owns(&job) => job,
                Some(_) => {
                    let message = format!("Job {name} belongs to somebody else: delete it");
                    self.stalled("JobTaken", &message).await?;
                    return Ok(Next::Wait(self.waiting()?));
                }
                None if stage.job_uid.is_some() => return self.lost(&stage).await,
                None => match self.create(pinned, &stage).await? {
                    Some(job) => job,
                    None => return Ok(Next::Wait(self.waiting()?)),
                },
            },
        };
        match outcome::of(&job) {
            Outcome::Running => self.progress(pinned, &job).await,
            Outcome::Complete => self.shards_done(&job).await,
            Outcome::Failed => self.shards_failed(pinned, &job).await,
        }
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
        });
        let params = PostParams {
            field_manager: Some(MANAGER.into()),
            ..PostParams::default()
        };
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
    async fn lost(&mut self, stage: &StageStatus) -> Result<Next, Error> {
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

    /// The last stage begins again, with a Job of another name.
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
            last.done = None;
            last.failed = None;
            last.completion_time = None;
        }
    }

    /// Writes how far a stage is: at once what the next step rests on, and what keeps it from going on; the
    /// rest now and then.
    async fn progress(&mut self, pinned: &Arc<Run>, job: &Job) -> Result<Next, Error> {
        let (trouble, wait) = self.trouble(pinned, job).await?;
        let Some(last) = self.status.stages.last_mut() else {
            return Ok(Next::Go);
        };
        let first_seen = last.job_uid.is_none();
        if first_seen {
            last.job_uid = job.uid();
        }
        let status = job.status.clone().unwrap_or_default();
        let full = |text: Option<String>| text.filter(|t| !t.is_empty());
        let before = (last.done.clone(), last.failed.clone());
        last.done = full(status.completed_indexes);
        last.failed = full(status.failed_indexes);
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

    /// What keeps a Job's pods from their work, and when to look again.
    async fn trouble(
        &self,
        pinned: &Arc<Run>,
        job: &Job,
    ) -> Result<(Option<Trouble>, Duration), Error> {
        let stage = self.status.stage.as_deref().unwrap_or_default();
        let pods = self
            .context
            .objects
            .pods
            .state_filter(|pod| owned_by(pod, job));
        let mut wait = SAFETY;
        for pod in &pods {
            match trouble::of(pod, stage, &pinned.pipeline, Timestamp::now()) {
                Finding::Fine => {}
                Finding::Young(seconds) => {
                    wait = wait.min(Duration::from_secs(seconds.unsigned_abs()));
                }
                Finding::Trouble(trouble) => return Ok((Some(trouble), SAFETY)),
            }
        }
        if !pods.is_empty() {
            return Ok((None, wait));
        }
        // A Job without pods is as young as this look, or may have none.
        let made = job
            .creation_timestamp()
            .map_or_else(Timestamp::now, |t| t.0);
        let age = Timestamp::now().as_second() - made.as_second();
        if age < REFUSED {
            let more = Duration::from_secs((REFUSED - age).unsigned_abs());
            return Ok((None, wait.min(more)));
        }
        let refused = self.refusal(job).await?.map(|why| Trouble {
            reason: "PodsRefused",
            message: format!("the API server refuses the pods of stage {stage}: {why}"),
        });
        Ok((refused, Duration::from_secs(15)))
    }

    /// Why a Job gets no pods: a quota, an admission policy. Kubernetes says it in events alone.
    async fn refusal(&self, job: &Job) -> Result<Option<String>, Error> {
        let namespace = self.run.namespace().unwrap_or_default();
        let events: Api<Event> = self.context.scope.within(&namespace);
        let of_job = format!(
            "involvedObject.uid={},reason=FailedCreate",
            job.uid().unwrap_or_default()
        );
        let found = events.list(&ListParams::default().fields(&of_job)).await?;
        Ok(found.items.into_iter().next_back().and_then(|e| e.message))
    }

    /// Every shard is committed. It is written with what comes next.
    async fn shards_done(&mut self, job: &Job) -> Result<Next, Error> {
        let reports = outcome::reports(&self.pods(job).await?);
        let Some(last) = self.status.stages.last().cloned() else {
            return Ok(Next::Go);
        };
        if last.stage == Stage::Plan {
            let Some(plan) = reports.get(&0) else {
                // Its pod is gone with its report. The plan stands in the lake: another pod says it again.
                return self.lost(&last).await;
            };
            let widths = plan.shards.iter();
            self.status.shards = widths
                .map(|(stage, n)| {
                    (
                        stage.as_str().to_owned(),
                        i32::try_from(*n).unwrap_or(i32::MAX),
                    )
                })
                .collect();
        }
        let counts = outcome::sums(&reports);
        if last.stage == Stage::Publish {
            self.status.published_version = counts.get("version").copied();
        }
        let note = format!(
            "stage {} is complete: {} shards",
            last.stage.as_str(),
            last.shards
        );
        if let Some(last) = self.status.stages.last_mut() {
            last.state = StageState::Complete;
            last.job_uid = job.uid();
            last.done = None;
            last.counts = counts;
            last.completion_time = Some(now());
        }
        self.recorded.push(job.name_any());
        self.tell("StageComplete", &note).await;
        Ok(Next::Go)
    }

    /// A shard failed for good.
    async fn shards_failed(&mut self, pinned: &Arc<Run>, job: &Job) -> Result<Next, Error> {
        let pods = self.pods(job).await?;
        let Some(last) = self.status.stages.last_mut() else {
            return Ok(Next::Go);
        };
        let share = pinned.spec.pods.share(last.stage);
        let stage = last.stage.as_str();
        let cause = outcome::cause(job, &pods, stage, share.memory, &pinned.pipeline);
        let status = job.status.clone().unwrap_or_default();
        last.state = StageState::Failed;
        last.job_uid = job.uid();
        last.done = status.completed_indexes.filter(|t| !t.is_empty());
        last.failed = status.failed_indexes.filter(|t| !t.is_empty());
        last.completion_time = Some(now());
        self.recorded.push(job.name_any());
        self.fail(cause.reason, &cause.message).await?;
        Ok(Next::Go)
    }

    async fn pods(&self, job: &Job) -> Result<Vec<Pod>, Error> {
        let namespace = self.run.namespace().unwrap_or_default();
        let pods: Api<Pod> = self.context.scope.within(&namespace);
        let label = format!("batch.kubernetes.io/job-name={}", job.name_any());
        let found = pods.list(&ListParams::default().labels(&label)).await?;
        let pods = found.items.into_iter();
        Ok(pods.filter(|pod| owned_by(pod, job)).collect())
    }

    fn job_name(&self, stage: Stage, attempt: i32) -> String {
        names::job(&self.run.name_any(), &self.uid(), stage, attempt)
    }
}

/// Whether a pod is of this Job, and not of one that had its name before.
fn owned_by(pod: &Pod, job: &Job) -> bool {
    let owners = pod.meta().owner_references.iter().flatten();
    let uid = job.metadata.uid.as_ref();
    uid.is_some() && owners.into_iter().any(|owner| Some(&owner.uid) == uid)
}
