//! What outlives a run's status: a backup may bring the run back without it.

use kube::{
    ResourceExt as _,
    api::{Patch, PatchParams},
    runtime::reflector::ObjectRef,
};
use musubi_api::pipeline::CustomerPipeline;
use serde_json::json;

use super::{RETRY, Work, now};
use crate::{
    build::{ENDED, PAUSED, PUBLISHED, paused},
    context::Error,
};

impl Work {
    /// A run that was brought back without its status: what it did is not done again.
    pub(super) async fn brought_back(&mut self) -> Result<bool, Error> {
        let annotations = self.run.annotations();
        let (ended, published) = (annotations.get(ENDED), annotations.get(PUBLISHED));
        let fresh = self.status.phase.is_none() && self.status.snapshot.is_none();
        if !fresh || (ended.is_none() && published.is_none()) {
            return Ok(false);
        }
        let complete = ended.is_some_and(|phase| phase == "Complete");
        let version = published.and_then(|version| version.parse().ok());
        let did = match version {
            Some(version) => format!("it published version {version}"),
            None => "it was over".to_owned(),
        };
        let message = format!(
            "this run was brought back without its status, from a backup or a file: {did}, and nothing of it runs \
             again. Start another run, without the annotations {ENDED} and {PUBLISHED}"
        );
        self.status.published_version = version;
        // A retry that was asked for then is not asked for now.
        self.status.retry = self.run.annotations().get(RETRY).cloned();
        if complete {
            self.say("Complete", "Restored", &message);
            self.status.phase = Some("Complete".into());
            self.status.completion_time = Some(now());
            self.write().await?;
        } else {
            self.fail("Restored", &message).await?;
        }
        Ok(true)
    }

    /// Notes on the run itself what it published, and how it ended: annotations are part of every backup.
    pub(super) async fn note(&mut self) -> Result<(), Error> {
        let written = self.run.status.clone().unwrap_or_default();
        let published = written.published_version.map(|version| version.to_string());
        let ended = written.phase.clone().filter(|_| written.is_over());
        let said = |key: &str, value: &Option<String>| {
            value.is_none() || self.run.annotations().get(key) == value.as_ref()
        };
        if said(ENDED, &ended) && said(PUBLISHED, &published) {
            return Ok(());
        }
        let mut annotations = serde_json::Map::new();
        let both = [(ENDED, ended), (PUBLISHED, published)];
        annotations.extend(
            both.into_iter()
                .filter_map(|(k, v)| Some((k.to_owned(), v?.into()))),
        );
        let patch = json!({ "metadata": { "annotations": annotations } });
        let (name, params) = (self.run.name_any(), PatchParams::default());
        self.run = self
            .api
            .patch(&name, &params, &Patch::Merge(&patch))
            .await?;
        Ok(())
    }

    /// Whether the pipeline is paused.
    pub(super) fn paused(&self) -> bool {
        let name = &self.run.spec.pipeline;
        let namespace = self.run.namespace().unwrap_or_default();
        let key = ObjectRef::<CustomerPipeline>::new(name).within(&namespace);
        let pipeline = self.context.objects.pipelines.get(&key);
        pipeline.is_some_and(|pipeline| paused(&*pipeline))
    }

    /// Says that the pipeline is paused: nothing new is made.
    pub(super) async fn hold_still(&mut self) -> Result<(), Error> {
        let message = format!(
            "CustomerPipeline {} is paused: nothing new is made until its annotation {} is removed",
            self.run.spec.pipeline, PAUSED
        );
        self.held_up("Paused", &message).await
    }
}
