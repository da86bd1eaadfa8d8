//! The end of a pipeline whose lake goes with it: its runs end, a Job deletes the lake, and only then the pipeline
//! goes. A namespace that is deleted as a whole keeps the lake, and is never held up.

use std::{collections::BTreeSet, time::Duration};

use k8s_openapi::api::{batch::v1::Job, core::v1::Namespace};
use kube::{
    Api, Client, Resource as _, ResourceExt as _,
    api::{ListParams, Patch, PatchParams, PostParams},
    runtime::{controller::Action, events::EventType},
};
use musubi_api::{
    pipeline::{CustomerPipeline, DeletionPolicy},
    run::EXIT_RUN_FAILED,
};
use serde_json::json;

use super::Work;
use crate::{
    build::{LAKE, MANAGER, PREFIX, credentials, destroy, names, paused},
    conditions::{self, Say},
    context::{Error, stale},
    objects::{Scope, is_owned},
    outcome::{self, Outcome},
};

/// How often it is looked at.
const SOON: Duration = Duration::from_secs(3);

/// Whether a pipeline cannot go without its lake.
fn is_held(pipeline: &CustomerPipeline) -> bool {
    pipeline.finalizers().iter().any(|f| f == LAKE)
}

impl Work {
    /// Sees to it that the pipeline cannot go without its lake, when that is wished, and can when it is not.
    pub(super) async fn hold(&mut self) -> Result<(), Error> {
        let wished = self.pipeline.spec.deletion_policy == DeletionPolicy::Delete;
        match wished == is_held(&self.pipeline) {
            true => Ok(()),
            false => self.set_finalizer(wished).await,
        }
    }

    /// The pipeline was told to go.
    pub(super) async fn go_away(&mut self) -> Result<Action, Error> {
        if !is_held(&self.pipeline) {
            return Ok(Action::await_change());
        }
        if namespace_goes(&self.context.scope.client, &self.namespace()).await? {
            let note = "the lake stays as it is: the namespace is deleted as a whole";
            return self.let_go("LakeRetained", note).await;
        }
        let spec = self.pipeline.spec.clone();
        let lake = spec.lake.s3.as_ref();
        let Some(lake) = lake.filter(|_| spec.deletion_policy == DeletionPolicy::Delete) else {
            return self.let_go("LakeRetained", "the lake stays as it is").await;
        };
        if let Some(refusal) = self
            .context
            .settings
            .allowed
            .refuses(&credentials::s3(Some(lake)))
        {
            return self.held_up("SecretNotAllowed", &refusal).await;
        }
        if let Some(what) = self.still_at_work().await? {
            let message = format!("the lake is deleted once {what} are gone");
            return self.held_up("Deleting", &message).await;
        }
        let name = names::destroy(&self.pipeline.name_any(), &self.uid());
        let jobs: Api<Job> = self.context.scope.within(&self.namespace());
        let job = match jobs.get_opt(&name).await? {
            Some(job) if is_owned(&job, &self.uid()) => job,
            Some(_) => {
                let message = format!("Job {name} belongs to somebody else: delete it");
                return self.held_up("JobTaken", &message).await;
            }
            None if paused(&self.pipeline) => {
                let message = "the pipeline is paused: its lake is deleted once it is not";
                return self.held_up("Paused", message).await;
            }
            None => {
                let made = destroy::job(&destroy::Destroy {
                    name: &name,
                    owner: self.pipeline.controller_owner_ref(&()).unwrap_or_default(),
                    namespace: &self.namespace(),
                    spec: &spec,
                    lake,
                    image: &self.context.settings.image,
                });
                let params = PostParams {
                    field_manager: Some(MANAGER.into()),
                    ..PostParams::default()
                };
                match jobs.create(&params, &made).await {
                    Ok(job) => job,
                    Err(kube::Error::Api(status)) if status.is_already_exists() => {
                        return Err(Error::Stale);
                    }
                    Err(error) => return Err(error.into()),
                }
            }
        };
        match outcome::of(&job) {
            Outcome::Running => {
                let message = format!("Job {name} deletes the lake");
                self.held_up("Deleting", &message).await
            }
            Outcome::Complete => self.let_go("LakeDeleted", "the lake is deleted").await,
            Outcome::Failed => self.not_deleted(&job).await,
        }
    }

    /// The Job failed: the lake is another pipeline's, or something has to be mended.
    async fn not_deleted(&mut self, job: &Job) -> Result<Action, Error> {
        let mut ends = self.context.scope.ends_of(job).await?;
        ends.sort_by_key(|end| end.how.finished_at.as_ref().map(|t| t.0));
        let last = ends.last().map(|end| &end.how);
        if last.is_some_and(|end| end.exit_code == EXIT_RUN_FAILED) {
            let note = "the lake belongs to another pipeline, and stays as it is";
            return self.let_go("LakeNotOwned", note).await;
        }
        let words = last.and_then(|end| end.message.as_deref());
        let message = format!(
            "the lake could not be deleted: {}. Mend that and delete Job {}, so that another one tries; or set \
             spec.deletionPolicy to Retain, and the pipeline goes without",
            outcome::cut(words.unwrap_or("its Job failed").trim(), outcome::WORDS),
            job.name_any()
        );
        self.held_up("LakeNotDeleted", &message).await
    }

    /// What may still write to the lake. Runs are told to go.
    async fn still_at_work(&self) -> Result<Option<&'static str>, Error> {
        let (name, namespace) = (self.pipeline.name_any(), Some(self.namespace()));
        let objects = &self.context.objects;
        for run in &self.runs {
            self.delete_run(run).await?;
        }
        let runs = objects
            .runs
            .find(|run| run.spec.pipeline == name && run.namespace() == namespace);
        let label = format!("{PREFIX}/pipeline");
        let of_this =
            |labels: &std::collections::BTreeMap<String, String>| labels.get(&label) == Some(&name);
        let jobs = objects
            .jobs
            .find(|job| job.namespace() == namespace && of_this(job.labels()));
        let pods = objects.pods.find(|pod| {
            let phase = pod.status.as_ref().and_then(|s| s.phase.as_deref());
            let over = matches!(phase, Some("Succeeded" | "Failed"));
            pod.namespace() == namespace && of_this(pod.labels()) && !over
        });
        let found = [
            (runs.is_some(), "its runs"),
            (jobs.is_some(), "their Jobs"),
            (pods.is_some(), "their pods"),
        ];
        Ok(found.into_iter().find_map(|(is, what)| is.then_some(what)))
    }

    /// Says what keeps the pipeline from going, and looks again.
    async fn held_up(&mut self, reason: &str, message: &str) -> Result<Action, Error> {
        let wrong = !matches!(reason, "Deleting" | "Paused");
        let kind = if wrong { "Stalled" } else { "Reconciling" };
        conditions::clear(
            &mut self.status.conditions,
            if wrong { "Reconciling" } else { "Stalled" },
        );
        let say = Say {
            kind,
            holds: true,
            reason,
            message,
            generation: self.pipeline.meta().generation,
        };
        if conditions::set(&mut self.status.conditions, say) {
            self.write().await?;
            let kind = if wrong {
                EventType::Warning
            } else {
                EventType::Normal
            };
            self.tell_of_lake(kind, reason, message).await;
        }
        Ok(Action::requeue(SOON))
    }

    async fn let_go(&mut self, reason: &str, note: &str) -> Result<Action, Error> {
        self.tell_of_lake(EventType::Normal, reason, note).await;
        self.set_finalizer(false).await?;
        Ok(Action::await_change())
    }

    async fn tell_of_lake(&self, kind: EventType, reason: &str, note: &str) {
        let context = &self.context;
        context
            .event(&self.pipeline, "lake", kind, reason, note)
            .await;
    }

    async fn set_finalizer(&mut self, held: bool) -> Result<(), Error> {
        match set_finalizer(&self.api, &self.pipeline, held).await {
            Ok(pipeline) => {
                self.pipeline = pipeline;
                Ok(())
            }
            // It is gone already.
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
            Err(error) => Err(stale(error)),
        }
    }

    fn uid(&self) -> String {
        self.pipeline.uid().unwrap_or_default()
    }

    fn namespace(&self) -> String {
        self.pipeline.namespace().unwrap_or_default()
    }
}

/// Lets pipelines go whose namespace is deleted as a whole. An operator does it at its end: its own namespace may be
/// the one, and its pods go first.
pub(crate) async fn let_go_with_namespaces(scope: &Scope) -> Result<(), kube::Error> {
    let pipelines = scope
        .all::<CustomerPipeline>()
        .list(&ListParams::default())
        .await?;
    let held: Vec<_> = pipelines.items.into_iter().filter(is_held).collect();
    let namespaces: BTreeSet<String> = held.iter().filter_map(|p| p.namespace()).collect();
    for name in namespaces {
        if !namespace_goes(&scope.client, &name).await? {
            continue;
        }
        for pipeline in held
            .iter()
            .filter(|p| p.namespace().as_ref() == Some(&name))
        {
            let done = set_finalizer(&scope.within(&name), pipeline, false).await;
            let pipeline = pipeline.name_any();
            if let Err(error) = done {
                tracing::warn!(namespace = name, pipeline, %error, "it is not let go");
                continue;
            }
            tracing::info!(
                namespace = name,
                pipeline,
                "the lake stays as it is: the namespace is deleted as a whole"
            );
        }
    }
    Ok(())
}

async fn set_finalizer(
    pipelines: &Api<CustomerPipeline>,
    pipeline: &CustomerPipeline,
    held: bool,
) -> Result<CustomerPipeline, kube::Error> {
    let mut finalizers = pipeline.finalizers().to_vec();
    finalizers.retain(|f| f != LAKE);
    finalizers.extend(held.then(|| LAKE.to_owned()));
    // With the version that was read: the list is written as a whole.
    let version = pipeline.resource_version();
    let patch = json!({ "metadata": { "finalizers": finalizers, "resourceVersion": version } });
    let (name, params) = (pipeline.name_any(), PatchParams::default());
    pipelines.patch(&name, &params, &Patch::Merge(&patch)).await
}

/// Whether a namespace is deleted as a whole.
async fn namespace_goes(client: &Client, name: &str) -> Result<bool, kube::Error> {
    let namespace = Api::<Namespace>::all(client.clone()).get_opt(name).await?;
    Ok(namespace.is_some_and(|n| n.metadata.deletion_timestamp.is_some()))
}
