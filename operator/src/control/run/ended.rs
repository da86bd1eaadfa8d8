//! What a Job came to: its shards are done, or repeated, or the run has failed.

use std::{collections::BTreeMap, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{api::batch::v1::Job, apimachinery::pkg::apis::meta::v1::Time};
use kube::{
    ResourceExt as _,
    api::{Patch, PatchParams},
};
use musubi_api::{
    pods::{OnFailure, Share},
    run::{Run, Stage, StageReport},
    shards::Shards,
    status::{StageState, StageStatus},
};
use serde_json::json;

use super::{Next, Work, now, pin::Stands};
use crate::{
    context::Error,
    ends::End,
    outcome,
    repeat::{self, FollowUp},
};

impl Work {
    /// Every shard is committed. It is written with what comes next.
    pub(super) async fn shards_done(&mut self, job: &Job) -> Result<Next, Error> {
        // What the next Job rests on is asked for at once.
        let (ends, stood) = futures::join!(self.ends(job), self.is_as_pinned());
        let reports = outcome::reports(&ends?);
        self.stood = stood?;
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
        let mut counts = outcome::sums(&reports);
        // An attempt that repeats some shards says nothing of the others.
        if last.repeats.is_some() {
            add(&mut counts, &last.counts);
        }
        if last.stage == Stage::Publish {
            self.published(&counts, reports.values().next());
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
        let stage = last.stage.as_str().to_owned();
        self.news.push((stage, "StageComplete", note));
        let went_on = reports.get(&0).filter(|plan| !plan.stages.is_empty());
        if let Some(plan) = went_on.filter(|_| last.stage == Stage::Plan) {
            self.went_on(plan);
            let note = "the run is small: the plan's pod went on through all stages";
            self.tell("StagesComplete", note).await;
        }
        Ok(Next::Go)
    }

    /// Notes what was published.
    fn published(&mut self, counts: &BTreeMap<String, i64>, report: Option<&StageReport>) {
        self.status.published_version = counts.get("version").copied();
        let bookmarks = report.into_iter().flat_map(|report| &report.bookmarks);
        self.status.bookmarks = bookmarks
            .filter_map(|(source, second)| {
                Some((source.clone(), Time(Timestamp::from_second(*second).ok()?)))
            })
            .collect();
    }

    /// The plan's pod went on through all stages: they stand in the status as if each had had its Job. It ends the
    /// last one now, and each took as long as it says.
    fn went_on(&mut self, plan: &StageReport) {
        let mut ends = Timestamp::now();
        let mut stages = Vec::new();
        for done in plan.stages.iter().rev() {
            let millis = i64::try_from(done.millis).unwrap_or_default();
            let begins = ends - SignedDuration::from_millis(millis);
            stages.push(StageStatus {
                state: StageState::Complete,
                shards: i32::try_from(done.shards).unwrap_or(i32::MAX),
                counts: done.counts.clone(),
                start_time: Some(Time(begins)),
                completion_time: Some(Time(ends)),
                ..StageStatus::begun(done.stage)
            });
            ends = begins;
        }
        stages.reverse();
        if let Some(publish) = stages.iter().find(|s| s.stage == Stage::Publish) {
            self.published(&publish.counts, Some(plan));
        }
        self.status.stage = stages.last().map(|s| s.stage.as_str().to_owned());
        self.status.stages.extend(stages);
    }

    /// Shards failed for good. Those that were killed are repeated once.
    pub(super) async fn shards_failed(
        &mut self,
        pinned: &Arc<Run>,
        job: &Job,
    ) -> Result<Next, Error> {
        match self.stands(pinned).await? {
            Stands::AsPinned => {}
            Stands::Foreign => return Ok(Next::Wait(self.waiting()?)),
            // They may have met another one, and refused it.
            Stands::MadeAgain => {
                self.recorded.push(job.name_any());
                self.another_attempt();
                self.write().await?;
                return Ok(Next::Go);
            }
        }
        let pods = self.ends(job).await?;
        let Some(last) = self.status.stages.last_mut() else {
            return Ok(Next::Go);
        };
        let share = pinned.spec.share(last.stage);
        let failures = repeat::failures(job, &pods, &repeat::shards(last));
        let cause = outcome::cause(job, &pods, last, share, &pinned.pipeline);
        last.job_uid = job.uid();
        note_shards(last, job);
        let mut counts = outcome::sums(&outcome::reports(&pods));
        if last.repeats.is_some() {
            add(&mut counts, &last.counts);
        }
        last.counts = counts;
        self.recorded.push(job.name_any());
        // What ended the Job as a whole ends the run.
        let whole = matches!(cause.reason, "DeadlineExceeded" | "RunRefused");
        let next = repeat::follow_up(&failures, last, share).filter(|_| !whole);
        if let Some(next) = next {
            return self.follow_up(&next, share).await;
        }
        last.state = StageState::Failed;
        last.completion_time = Some(now());
        self.fail(cause.reason, &cause.message).await?;
        Ok(Next::Go)
    }

    /// Repeats shards that were killed.
    async fn follow_up(&mut self, next: &FollowUp, share: Share<'_>) -> Result<Next, Error> {
        let Some(last) = self.status.stages.last_mut() else {
            return Ok(Next::Go);
        };
        let had = last.memory.as_deref().unwrap_or(share.memory).to_owned();
        let has = next.memory.as_deref().unwrap_or(share.memory);
        let note = format!(
            "stage {}: shards {} were killed (memory: {had}) and are repeated with {has}",
            last.stage.as_str(),
            next.killed
        );
        last.memory.clone_from(&next.memory);
        last.killed = next.killed.text();
        self.another_attempt();
        self.write().await?;
        self.warn("ShardsRepeated", &note).await;
        Ok(Next::Go)
    }

    /// Ends the other shards of a Job once one has failed by itself, when that is wished. Says whether it did.
    pub(super) async fn fail_fast(&mut self, pinned: &Arc<Run>, job: &Job) -> Result<bool, Error> {
        let failed = job
            .status
            .as_ref()
            .and_then(|s| s.failed_indexes.as_deref());
        let told = job
            .spec
            .as_ref()
            .is_some_and(|s| s.max_failed_indexes.is_some());
        let fast = pinned.spec.pods.on_failure == OnFailure::FailFast;
        let some = failed.is_some_and(|failed| !failed.is_empty());
        let Some(last) = self.status.stages.last().filter(|_| fast && some && !told) else {
            return Ok(false);
        };
        let failures = repeat::failures(job, &self.ends(job).await?, &repeat::shards(last));
        if failures.other.is_empty() {
            return Ok(false);
        }
        let patch = json!({ "spec": { "maxFailedIndexes": 0 } });
        let (name, params) = (job.name_any(), PatchParams::default());
        self.jobs
            .patch(&name, &params, &Patch::Merge(&patch))
            .await?;
        Ok(true)
    }

    async fn ends(&self, job: &Job) -> Result<Vec<End>, Error> {
        Ok(self.context.scope.ends_of(job).await?)
    }
}

/// Notes which shards are done and which failed, of all attempts: what is committed stays so.
pub(super) fn note_shards(stage: &mut StageStatus, job: &Job) {
    let all = repeat::shards(stage);
    let status = job.status.clone().unwrap_or_default();
    let of_this = |places: Option<String>| all.pick(&Shards::said(places.as_deref()));
    let done = Shards::said(stage.done.as_deref());
    stage.done = done.and(&of_this(status.completed_indexes)).text();
    stage.failed = of_this(status.failed_indexes).text();
}

fn add(counts: &mut BTreeMap<String, i64>, more: &BTreeMap<String, i64>) {
    for (name, n) in more {
        *counts.entry(name.clone()).or_default() += n;
    }
}
