//! What a run is pinned to.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::{api::core::v1::ConfigMap, apimachinery::pkg::apis::meta::v1::Time};
use kube::{Api, Resource as _, ResourceExt as _, api::PostParams, runtime::reflector::ObjectRef};
use musubi_api::{
    pipeline::{CustomerPipeline, CustomerPipelineRun},
    run::{ReadError, Run, Stage},
    status::Snapshot,
};

use super::Work;
use crate::{
    build::{MANAGER, credentials, names, snapshot},
    context::{Error, lock, stale},
    objects::{is_owned, sentence},
    peaks,
};

/// How the snapshot of a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stands {
    /// It is there.
    AsPinned,
    /// It was deleted, and is there again.
    MadeAgain,
    /// Another one has its name, or it cannot be made again: that stands in the status.
    Foreign,
}

/// What has the name of a snapshot.
enum Found {
    /// The snapshot: its text.
    AsPinned(String),
    /// Another one.
    Foreign,
    /// Nothing.
    Nothing,
}

impl Work {
    /// What the run is pinned to; nothing while it has to wait.
    pub(super) async fn pin(&mut self) -> Result<Option<Arc<Run>>, Error> {
        match self.status.snapshot.clone() {
            Some(Snapshot {
                config_map,
                sha256: Some(sha256),
                ..
            }) => self.pinned(&config_map, &sha256).await,
            begun => self.take_snapshot(begun).await,
        }
    }

    /// The snapshot that was taken.
    async fn pinned(&mut self, name: &str, sha256: &str) -> Result<Option<Arc<Run>>, Error> {
        let held = lock(&self.context.pinned).get(&self.uid()).cloned();
        if let Some(run) = held {
            return Ok(Some(run));
        }
        let text = match self.found(name, sha256).await? {
            Found::AsPinned(text) => text,
            Found::Foreign => return self.foreign(name).await.map(|()| None),
            Found::Nothing => match self.make_again(name, sha256, None).await? {
                Some(text) => text,
                None => return Ok(None),
            },
        };
        self.hold(&text).await
    }

    /// Sees to it that the snapshot stands as it was pinned: pods read it when they begin.
    pub(super) async fn stands(&mut self, pinned: &Arc<Run>) -> Result<Stands, Error> {
        let Some(Snapshot {
            config_map: name,
            sha256: Some(sha256),
            ..
        }) = self.status.snapshot.clone()
        else {
            return Ok(Stands::AsPinned);
        };
        match self.found(&name, &sha256).await? {
            Found::AsPinned(_) => Ok(Stands::AsPinned),
            Found::Foreign => self.foreign(&name).await.map(|()| Stands::Foreign),
            Found::Nothing => {
                let made = self.make_again(&name, &sha256, Some(pinned)).await?;
                Ok(made.map_or(Stands::Foreign, |_| Stands::MadeAgain))
            }
        }
    }

    /// Whether the snapshot stands as it was pinned, where another Job will rest on it. If it does not, `stands` says
    /// more.
    pub(super) async fn is_as_pinned(&self) -> Result<bool, Error> {
        let Some(snapshot) = self.status.snapshot.as_ref().filter(|_| self.goes_on()) else {
            return Ok(false);
        };
        let Some(sha256) = &snapshot.sha256 else {
            return Ok(false);
        };
        let found = self.found(&snapshot.config_map, sha256).await?;
        Ok(matches!(found, Found::AsPinned(_)))
    }

    async fn found(&self, name: &str, sha256: &str) -> Result<Found, Error> {
        let Some(found) = self.config_maps().get_opt(name).await? else {
            return Ok(Found::Nothing);
        };
        let pinned = snapshot::Pinned::of(text(found));
        Ok(if pinned.sha256 == sha256 {
            Found::AsPinned(pinned.yaml)
        } else {
            Found::Foreign
        })
    }

    async fn foreign(&mut self, name: &str) -> Result<(), Error> {
        let message = format!(
            "ConfigMap {name} is not what the run was pinned to: somebody made another one; delete it, and it is \
             made again as it was"
        );
        self.stalled("SnapshotChanged", &message).await
    }

    /// Makes a snapshot that was deleted again, from what is held of it, or else from the resources if they are
    /// as they were.
    async fn make_again(
        &mut self,
        name: &str,
        sha256: &str,
        held: Option<&Arc<Run>>,
    ) -> Result<Option<String>, Error> {
        let as_of = self.status.snapshot.as_ref().map(|s| s.as_of.0);
        let begun = self.status.start_time.as_ref().map(|t| t.0);
        let anew = || self.resolve(as_of?, begun?).ok();
        let run = held.map(|run| (**run).clone()).or_else(anew);
        let pinned = run.and_then(|run| snapshot::pin(&run).ok());
        let Some(pinned) = pinned.filter(|pinned| pinned.sha256 == sha256) else {
            let message = format!(
                "ConfigMap {name}, which the run is pinned to, was deleted, and what it was made from has changed \
                 since: start another run"
            );
            return self.give_up("SnapshotLost", &message).await;
        };
        let namespace = self.run.namespace().unwrap_or_default();
        let pipeline = self.run.spec.pipeline.clone();
        let made = snapshot::config_map(name, &namespace, self.owner(), &pipeline, &pinned);
        let params = PostParams {
            field_manager: Some(MANAGER.into()),
            ..PostParams::default()
        };
        self.config_maps()
            .create(&params, &made)
            .await
            .map_err(stale)?;
        let note = format!("ConfigMap {name} was deleted, and is made again as it was");
        self.warn("SnapshotMadeAgain", &note).await;
        Ok(Some(pinned.yaml))
    }

    /// Takes the snapshot: says in the status where it will be, makes it, and says what it is.
    async fn take_snapshot(&mut self, begun: Option<Snapshot>) -> Result<Option<Arc<Run>>, Error> {
        if begun.is_none()
            && let Some(first) = self.runs_before()
        {
            let message = format!("run {first} of the same pipeline goes first");
            self.held_up("Waiting", &message).await?;
            return Ok(None);
        }
        let as_of = match self.as_of() {
            Ok(as_of) => as_of,
            Err(message) => return self.give_up("Invalid", &message).await,
        };
        // What is written has no fractions.
        let now = Timestamp::from_second(Timestamp::now().as_second()).unwrap_or_default();
        let begins = self.status.start_time.as_ref().map_or(now, |t| t.0);
        let run = match self.resolve(as_of, begins) {
            Ok(run) => run,
            Err((reason, message)) => {
                self.stalled(reason, &message).await?;
                return Ok(None);
            }
        };
        let pinned = match snapshot::pin(&run) {
            Ok(pinned) => pinned,
            Err(error) => return self.give_up("SnapshotTooLarge", &error.to_string()).await,
        };
        let name = names::snapshot(&self.run.name_any(), &self.uid());
        if begun.is_none() {
            self.unstalled();
            self.status.phase = Some("Pending".into());
            self.status.start_time = Some(Time(begins));
            self.status.snapshot = Some(Snapshot {
                config_map: name.clone(),
                sha256: None,
                image: self.context.settings.image.clone(),
                as_of: Time(as_of),
            });
            self.write().await?;
        }
        let namespace = self.run.namespace().unwrap_or_default();
        let made = snapshot::config_map(&name, &namespace, self.owner(), &run.pipeline, &pinned);
        let params = PostParams {
            field_manager: Some(MANAGER.into()),
            ..PostParams::default()
        };
        let stands = match self.config_maps().create(&params, &made).await {
            Ok(made) => made,
            // It was made before, and nobody had time to say so.
            Err(kube::Error::Api(status)) if status.is_already_exists() => {
                self.config_maps().get(&name).await?
            }
            Err(error) => return Err(error.into()),
        };
        if !self.owns(&stands) {
            let message = format!(
                "ConfigMap {name} belongs to somebody else: delete it, and start another run"
            );
            return self.give_up("SnapshotChanged", &message).await;
        }
        let text = text(stands);
        if let Some(snapshot) = &mut self.status.snapshot {
            snapshot.sha256 = Some(snapshot::Pinned::of(text.clone()).sha256);
        }
        // It is written with the first stage.
        self.hold(&text).await
    }

    async fn hold(&mut self, text: &str) -> Result<Option<Arc<Run>>, Error> {
        match Run::read(text, "operator") {
            Ok(run) => {
                let run = Arc::new(run);
                lock(&self.context.pinned).insert(self.uid(), run.clone());
                Ok(Some(run))
            }
            // The operator was set back to an older one. What began the run can end it.
            Err(error @ ReadError::Newer(..)) => {
                let message = format!("the run's snapshot {error}, or start another run");
                self.stalled("SnapshotNewer", &message).await?;
                Ok(None)
            }
            Err(error) => {
                let message = format!("the run's snapshot {error}");
                self.give_up("SnapshotChanged", &message).await
            }
        }
    }

    async fn give_up<T>(
        &mut self,
        reason: &'static str,
        message: &str,
    ) -> Result<Option<T>, Error> {
        self.fail(reason, message).await?;
        Ok(None)
    }

    fn config_maps(&self) -> Api<ConfigMap> {
        self.context
            .scope
            .within(&self.run.namespace().unwrap_or_default())
    }

    /// Whether an object is this run's, and not that of one that had its name before.
    pub(super) fn owns(&self, object: &impl kube::Resource) -> bool {
        is_owned(object, &self.uid())
    }

    /// A run of the same pipeline that goes before this one: they go one after another. One that has begun
    /// goes first, then the one that was there first.
    pub(super) fn runs_before(&self) -> Option<String> {
        let key = |run: &CustomerPipelineRun| {
            let made = run.creation_timestamp().map(|t| t.0);
            (made, run.name_any())
        };
        let begun = self.status.snapshot.is_some();
        let (own, uid, namespace) = (key(&self.run), self.uid(), self.run.namespace());
        let first = self.context.objects.runs.find(|other| {
            let status = other.status.clone().unwrap_or_default();
            other.spec.pipeline == self.run.spec.pipeline
                && other.namespace() == namespace
                && other.uid().as_ref() != Some(&uid)
                && other.meta().deletion_timestamp.is_none()
                && !status.is_over()
                && (status.snapshot.is_some() || (!begun && key(other) < own))
        })?;
        Some(first.name_any())
    }

    /// The instant the run speaks for.
    fn as_of(&self) -> Result<Timestamp, String> {
        if let Some(snapshot) = &self.status.snapshot {
            return Ok(snapshot.as_of.0);
        }
        match &self.run.spec.as_of {
            Some(text) => text.parse().map_err(|_| {
                format!(
                    "spec.asOf: `{text}` is not an instant: write it as 2026-11-24T04:00:00+09:00"
                )
            }),
            None => Ok(self
                .run
                .creation_timestamp()
                .map_or_else(Timestamp::now, |made| made.0)),
        }
    }

    /// The pipeline as it is now, with all that it refers to and what is different in a peak; or why it cannot be
    /// run.
    fn resolve(&self, as_of: Timestamp, begins: Timestamp) -> Result<Run, (&'static str, String)> {
        let name = &self.run.spec.pipeline;
        let namespace = self.run.namespace().unwrap_or_default();
        let pipelines = &self.context.objects.pipelines;
        let pipeline = pipelines
            .get(&ObjectRef::<CustomerPipeline>::new(name).within(&namespace))
            .ok_or_else(|| {
                let message =
                    format!("there is no CustomerPipeline {name} in namespace {namespace}");
                ("PipelineNotFound", message)
            })?;
        let (catalog, problems) = self.context.objects.closure(&pipeline);
        let first = |problems: &[musubi_api::Problem]| {
            let sentences: Vec<String> = problems.iter().take(5).map(sentence).collect();
            ("Invalid", sentences.join("\n"))
        };
        if !problems.is_empty() {
            return Err(first(&problems));
        }
        let mut run = catalog
            .resolve_run(Some(name), &self.uid(), as_of)
            .map_err(|problems| first(problems.as_slice()))?;
        run.allow.clone_from(&self.run.spec.allow);
        peaks::apply(&mut run.spec, begins);
        let all = Stage::ALL;
        let keys = all
            .iter()
            .flat_map(|s| credentials::needed(&run, *s))
            .collect();
        match self.context.settings.allowed.refuses(&keys) {
            Some(refusal) => Err(("SecretNotAllowed", refusal)),
            None => Ok(run),
        }
    }
}

fn text(config_map: ConfigMap) -> String {
    let mut data = config_map.data.unwrap_or_default();
    data.remove(snapshot::FILE).unwrap_or_default()
}
