//! What keeps the pods of a stage from their work.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::Timestamp;
use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{Event, Pod},
};
use kube::{Api, ResourceExt as _, api::ListParams};
use musubi_api::run::Run;

use super::{SAFETY, Work, pin::Stands};
use crate::{
    context::Error,
    objects::is_owned,
    outcome::place,
    repeat,
    trouble::{self, Finding, Trouble},
};

/// Seconds after which a Job without pods is asked why.
const REFUSED: i64 = 10;
/// Evictions for a full scratch disk, of one shard, after which the run has failed.
const FULL: usize = 3;

impl Work {
    /// What keeps a Job's pods from their work, and when to look again.
    pub(super) async fn trouble(
        &mut self,
        pinned: &Arc<Run>,
        job: &Job,
    ) -> Result<(Option<Trouble>, Duration), Error> {
        let stage = self.status.stage.clone().unwrap_or_default();
        let all = self.status.stages.last().map(repeat::shards);
        let all = all.unwrap_or_default();
        let pods = self.cached_pods(job);
        let mut wait = SAFETY;
        let now = Timestamp::now();
        if pods.iter().any(|pod| trouble::waits_for_volumes(pod, now))
            && self.stands(pinned).await? == Stands::Foreign
        {
            let stalled = self.status.conditions.iter().find(|c| c.type_ == "Stalled");
            let message = stalled.map_or_else(String::new, |c| c.message.clone());
            let reason = "SnapshotChanged";
            return Ok((Some(Trouble { reason, message }), Duration::from_secs(5)));
        }
        for pod in &pods {
            if trouble::is_young(pod, now) {
                wait = wait.min(Duration::from_secs(5));
            }
            match trouble::of(pod, &stage, &all, &pinned.pipeline, now) {
                Finding::Fine => {}
                Finding::Young(seconds) => {
                    wait = wait.min(Duration::from_secs(seconds.unsigned_abs()));
                }
                Finding::Trouble(trouble) => return Ok((Some(trouble), SAFETY)),
            }
        }
        // Pods that did their work are not in the cache.
        let active = job.status.as_ref().and_then(|s| s.active);
        let active = active.unwrap_or_default() > 0;
        if !pods.is_empty() || active || trouble::is_ending(job) {
            return Ok((None, wait));
        }
        match trouble::suspended(job, &stage, now) {
            Finding::Fine => {}
            Finding::Young(seconds) => {
                let more = Duration::from_secs(seconds.unsigned_abs());
                return Ok((None, wait.min(more)));
            }
            Finding::Trouble(trouble) => return Ok((Some(trouble), wait)),
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

    /// Whether a shard filled its scratch disk so often that it will again.
    pub(super) fn scratch_is_full_again(&self, job: &Job) -> bool {
        let mut times: BTreeMap<Option<u32>, usize> = BTreeMap::new();
        for pod in self.cached_pods(job) {
            if trouble::filled_its_disk(&pod) {
                *times.entry(place(&pod)).or_default() += 1;
            }
        }
        times.into_values().any(|n| n >= FULL)
    }

    fn cached_pods(&self, job: &Job) -> Vec<Arc<Pod>> {
        let pods = &self.context.objects.pods;
        let uid = job.uid().unwrap_or_default();
        pods.state_filter(|pod| is_owned(pod, &uid))
    }
}
