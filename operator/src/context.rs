//! What controllers have in common: the cluster, settings, events, and patience.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use kube::{
    Resource, ResourceExt as _,
    runtime::{
        controller::Action,
        events::{Event, EventType, Recorder, Reporter},
    },
};
use musubi_api::run::Run;

use crate::{
    ahead::Ahead,
    build::credentials::Allowed,
    metrics::Metrics,
    objects::{Objects, Scope},
    outcome::cut,
    traces::Traces,
};

/// Bytes that the API server takes of an event's note.
const NOTE: usize = 1000;

/// What controllers have in common.
pub(crate) struct Context {
    pub(crate) scope: Scope,
    pub(crate) objects: Objects,
    pub(crate) settings: Settings,
    reporter: Reporter,
    /// Counts what it told before.
    recorder: Recorder,
    pub(crate) metrics: Arc<Metrics>,
    /// Traces, when they are wanted.
    pub(crate) traces: Option<Arc<Traces>>,
    /// Runs as they were pinned, by uid: a ConfigMap that was read once.
    pub(crate) pinned: Mutex<HashMap<String, Arc<Run>>>,
    /// Runs that were written and not seen again yet.
    pub(crate) ahead: Ahead,
    /// When a run's progress was written last, by uid.
    pub(crate) progress: Mutex<HashMap<String, Instant>>,
    /// Failures in a row, by uid.
    failures: Mutex<HashMap<String, u32>>,
}

/// What whoever runs the operator decided.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Image of the workers.
    pub(crate) image: String,
    /// Secrets that resources may name.
    pub(crate) allowed: Allowed,
    /// Seconds for which a Job stays once its outcome is recorded.
    pub(crate) job_seconds: i32,
}

/// Why a reconcile did not come to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The API server said no, or nothing.
    #[error("{0}")]
    Kube(#[from] kube::Error),
    /// What was seen is not what there is: look again.
    #[error("the object changed in between")]
    Stale,
    /// It took too long.
    #[error("the API server did not answer in time")]
    TimedOut,
}

impl Context {
    pub(crate) fn new(
        scope: Scope,
        objects: Objects,
        settings: Settings,
        reporter: Reporter,
        metrics: Arc<Metrics>,
        traces: Option<Arc<Traces>>,
    ) -> Self {
        Self {
            recorder: Recorder::new(scope.client.clone(), reporter.clone()),
            scope,
            objects,
            settings,
            reporter,
            metrics,
            traces,
            pinned: Mutex::default(),
            ahead: Ahead::default(),
            progress: Mutex::default(),
            failures: Mutex::default(),
        }
    }

    /// Tells people what happened to a part of an object; a hindrance that is met again is counted, not told. That
    /// an event cannot be written is nobody's problem.
    pub(crate) async fn event<K>(
        &self,
        object: &K,
        part: &str,
        type_: EventType,
        reason: &str,
        note: &str,
    ) where
        K: Resource<DynamicType = ()>,
    {
        let (kind, name) = (K::kind(&()), object.name_any());
        let namespace = object.namespace().unwrap_or_default();
        tracing::info!(%kind, namespace, name, part, reason, note, "event");
        let event = Event {
            type_,
            reason: reason.into(),
            note: Some(cut(note, NOTE).into()),
            action: part.into(),
            secondary: None,
        };
        let mut about = object.object_ref(&());
        // With a version, no event would ever be the same as one before.
        about.resource_version = None;
        let published = match event.type_ {
            // What happens again and again is a hindrance. News is told each time, and not kept to be counted.
            EventType::Warning => self.recorder.publish(&event, &about).await,
            EventType::Normal => {
                let recorder = Recorder::new(self.scope.client.clone(), self.reporter.clone());
                recorder.publish(&event, &about).await
            }
        };
        if let Err(error) = published {
            tracing::debug!(%error, reason, "an event was not written");
        }
    }

    /// When to try again: soon, then less and less often, up to five minutes.
    pub(crate) fn patience<K>(&self, object: &K, error: &Error) -> Action
    where
        K: Resource<DynamicType = ()>,
    {
        if matches!(error, Error::Stale) {
            return Action::requeue(Duration::from_millis(200));
        }
        let (kind, name) = (K::kind(&()), object.name_any());
        tracing::warn!(%kind, name, %error, "reconcile");
        let mut failures = lock(&self.failures);
        let failures = failures
            .entry(object.uid().unwrap_or_default())
            .or_default();
        *failures = failures.saturating_add(1);
        Action::requeue(Duration::from_secs(1 << (*failures).min(8)).min(Duration::from_secs(300)))
    }

    /// An object was reconciled.
    pub(crate) fn succeeded<K: Resource<DynamicType = ()>>(&self, object: &K) {
        lock(&self.failures).remove(&object.uid().unwrap_or_default());
    }
}

/// A lock whose holder cannot have left it half-done.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A write that met a newer version of the object.
pub(crate) fn stale(error: kube::Error) -> Error {
    match &error {
        kube::Error::Api(status) if status.is_conflict() => Error::Stale,
        _ => Error::Kube(error),
    }
}
