//! The controllers.

pub(crate) mod pipeline;
mod readiness;
mod run;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{Stream, StreamExt as _, future::ready, stream::BoxStream};
use k8s_openapi::api::{batch::v1::Job, core::v1::Pod};
use kube::{
    Resource, ResourceExt as _,
    runtime::{
        Controller,
        controller::{self, Action, Config},
        reflector::{ObjectRef, ReflectHandle, Store},
        watcher,
    },
};
use musubi_api::{
    audience::Audience,
    pipeline::{CustomerPipeline, CustomerPipelineRun},
    policy::IdentityPolicy,
    source::Source,
    warehouse::Warehouse,
};

use tokio::sync::Semaphore;

use crate::{
    build,
    context::{Context, Error},
    objects::Watched,
};

/// How long one reconcile may take. The client tries again by itself, for a very long time.
const PATIENCE: Duration = Duration::from_secs(60);
/// Objects of a kind that are reconciled at once.
const CONCURRENCY: usize = 16;
/// Changes of an object within this time are looked at together.
const DEBOUNCE: Duration = Duration::from_millis(100);

/// One subscription to each watch, for each who needs it.
pub(crate) struct Streams {
    pub(crate) sources: ReflectHandle<Source>,
    pub(crate) policies: ReflectHandle<IdentityPolicy>,
    pub(crate) warehouses: ReflectHandle<Warehouse>,
    pub(crate) audiences: ReflectHandle<Audience>,
    pub(crate) pipelines: ReflectHandle<CustomerPipeline>,
    pub(crate) runs: ReflectHandle<CustomerPipelineRun>,
    pub(crate) jobs: BoxStream<'static, Result<Job, watcher::Error>>,
    pub(crate) pods: BoxStream<'static, Result<Pod, watcher::Error>>,
}

/// Runs every controller, until it is dropped.
pub(crate) async fn run(context: Arc<Context>, streams: Streams) {
    let Streams {
        sources,
        policies,
        warehouses,
        audiences,
        pipelines,
        runs,
        jobs,
        pods,
    } = streams;
    let beside = context.objects.audiences.clone();
    let audience = controller(audiences.clone())
        .watches_shared_stream(warehouses.clone(), move |changed| {
            neighbours(&beside, &*changed)
        });
    let beside = context.objects.policies.clone();
    let policy = controller(policies.clone())
        .watches_shared_stream(sources.clone(), move |changed| {
            neighbours(&beside, &*changed)
        });
    let store = || context.objects.pipelines.clone();
    let (a, b, c, d) = (store(), store(), store(), store());
    let pipeline = controller(pipelines)
        .watches_shared_stream(sources.clone(), move |changed| neighbours(&a, &*changed))
        .watches_shared_stream(policies.clone(), move |changed| neighbours(&b, &*changed))
        .watches_shared_stream(warehouses.clone(), move |changed| neighbours(&c, &*changed))
        .watches_shared_stream(audiences, move |changed| neighbours(&d, &*changed))
        .watches_shared_stream(runs.clone(), |run| {
            let pipeline = ObjectRef::new(&run.spec.pipeline);
            Some(pipeline.within(&run.namespace().unwrap_or_default()))
        });
    let source = controller(sources).watches_shared_stream(runs.clone(), |run| {
        let namespace = run.namespace().unwrap_or_default();
        let status = run.status.as_ref();
        let published = status.into_iter().flat_map(|s| s.bookmarks.keys());
        let sources: Vec<ObjectRef<Source>> = published
            .map(|source| ObjectRef::new(source).within(&namespace))
            .collect();
        sources
    });
    let run = controller(runs)
        .owns_stream(jobs)
        .watches_stream(pods, |pod| {
            let run = pod
                .annotations()
                .get(build::RUN)
                .map(|name| ObjectRef::new(name));
            run.map(|run| run.within(&pod.namespace().unwrap_or_default()))
        });
    futures::join!(
        drive(source, readiness::reconcile::<Source>, &context),
        drive(policy, readiness::reconcile::<IdentityPolicy>, &context),
        drive(
            controller(warehouses),
            readiness::reconcile::<Warehouse>,
            &context
        ),
        drive(audience, readiness::reconcile::<Audience>, &context),
        drive(pipeline, pipeline::reconcile, &context),
        drive(run, run::reconcile, &context),
    );
}

fn controller<K>(handle: ReflectHandle<K>) -> Controller<K>
where
    K: Watched,
{
    let reader = handle.reader();
    Controller::for_shared_stream(handle, reader).with_config(
        Config::default()
            // The number at once is held down in `drive`, where those that wait can be counted.
            .concurrency(0)
            .debounce(DEBOUNCE),
    )
}

/// The objects of a kind in the namespace of another object.
fn neighbours<K: Watched>(store: &Store<K>, changed: &impl Resource) -> Vec<ObjectRef<K>> {
    let namespace = changed.meta().namespace.as_ref();
    let near = store.state_filter(|object| object.meta().namespace.as_ref() == namespace);
    near.iter()
        .map(|object| ObjectRef::from_obj(&**object))
        .collect()
}

async fn drive<K, F>(
    controller: Controller<K>,
    reconcile: fn(Arc<K>, Arc<Context>) -> F,
    context: &Arc<Context>,
) where
    K: Watched,
    F: Future<Output = Result<Action, Error>> + Send + 'static,
{
    let slots = Arc::new(Semaphore::new(CONCURRENCY));
    let store = controller.store();
    let bounded = move |object: Arc<K>, context: Arc<Context>| {
        let (slots, store) = (slots.clone(), store.clone());
        async move {
            let kind = K::kind(&());
            let waits = context.metrics.waits(&kind);
            let _slot = slots.acquire_owned().await;
            drop(waits);
            // It may have changed in the meantime.
            let newest = store.get(&ObjectRef::from_obj(&*object));
            let object = newest.unwrap_or(object);
            let _works = context.metrics.works(&kind);
            let begun = Instant::now();
            let work = reconcile(object.clone(), context.clone());
            let action = tokio::time::timeout(PATIENCE, work).await;
            let action = action.unwrap_or(Err(Error::TimedOut));
            let outcome = match &action {
                Ok(_) => "success",
                Err(Error::Stale) => "stale",
                Err(_) => "error",
            };
            let metrics = &context.metrics;
            metrics.reconciled(&kind, outcome, begun.elapsed());
            let action = action?;
            context.succeeded(&*object);
            Ok(action)
        }
    };
    let patience =
        |object: Arc<K>, error: &Error, context: Arc<Context>| context.patience(&*object, error);
    finish(controller.run(bounded, patience, context.clone())).await;
}

/// Reads what a controller says of its watches; what a reconcile said was told by then.
async fn finish<T>(
    outcomes: impl Stream<Item = Result<T, controller::Error<Error, watcher::Error>>>,
) {
    outcomes
        .for_each(|outcome| {
            if let Err(controller::Error::QueueError(error)) = outcome {
                tracing::warn!(%error, "watch");
            }
            ready(())
        })
        .await;
}
