//! The controllers.

pub(crate) mod pipeline;
mod readiness;
mod run;

use std::{
    collections::HashSet,
    hash::Hash,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{
    Stream, StreamExt as _,
    future::{BoxFuture, Shared, ready},
    stream::{self, BoxStream},
};
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
    objects::{Objects, Watched},
};

/// How long one reconcile may take. The client tries again by itself, for a very long time.
const PATIENCE: Duration = Duration::from_secs(60);
/// Objects of a kind that are reconciled at once.
const CONCURRENCY: usize = 16;
/// Changes of an object within this time are looked at together.
const DEBOUNCE: Duration = Duration::from_millis(100);

/// Changes of pods within this time are looked at together.
const GATHERED: Duration = Duration::from_millis(500);

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

/// Ends once every watch has brought what there is. Who waits for it waits for one and the same: a cache wakes but the
/// last of those that ask it.
pub(crate) type Known = Shared<BoxFuture<'static, ()>>;

/// Runs every controller, until it is dropped.
pub(crate) async fn run(context: Arc<Context>, streams: Streams, known: Known) {
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
    let audience =
        controller(audiences.clone()).watches_shared_stream(warehouses.clone(), move |changed| {
            neighbours(&beside, &*changed, |audience, warehouse| {
                audience.spec.warehouse == warehouse
            })
        });
    let beside = context.objects.policies.clone();
    let policy = controller(policies.clone())
        .watches_shared_stream(sources.clone(), move |changed| {
            neighbours(&beside, &*changed, |_, _| true)
        });
    let objects = || context.objects.clone();
    let (a, b, c, d) = (objects(), objects(), objects(), objects());
    let pipeline = controller(pipelines)
        .watches_shared_stream(sources.clone(), move |changed| a.with_source(&changed))
        .watches_shared_stream(policies.clone(), move |changed| b.with_policy(&changed))
        .watches_shared_stream(warehouses.clone(), move |changed| {
            c.with_warehouse(&changed)
        })
        .watches_shared_stream(audiences, move |changed| d.with_audience(&changed))
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
        .reconcile_on(gathered(pods.filter_map(|pod| ready(run_of(pod)))));
    futures::join!(
        drive(source, readiness::reconcile::<Source>, &context, &known),
        drive(
            policy,
            readiness::reconcile::<IdentityPolicy>,
            &context,
            &known
        ),
        drive(
            controller(warehouses),
            readiness::reconcile::<Warehouse>,
            &context,
            &known
        ),
        drive(audience, readiness::reconcile::<Audience>, &context, &known),
        drive(pipeline, pipeline::reconcile, &context, &known),
        drive(run, run::reconcile, &context, &known),
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

/// The run of a pod.
fn run_of(pod: Result<Pod, watcher::Error>) -> Option<ObjectRef<CustomerPipelineRun>> {
    let pod = match pod {
        Ok(pod) => pod,
        Err(error) => {
            tracing::warn!(%error, "watch");
            return None;
        }
    };
    let run = ObjectRef::new(pod.annotations().get(build::RUN)?);
    Some(run.within(&pod.namespace().unwrap_or_default()))
}

/// Names each once that changed within a while. A thousand pods change without a pause: debounced alone, their run
/// would not be looked at before the last.
fn gathered<T>(changed: impl Stream<Item = T> + Send + 'static) -> impl Stream<Item = T> + Send
where
    T: Eq + Hash + Send + 'static,
{
    let changed = changed.ready_chunks(1024).boxed();
    let rounds = stream::unfold(changed, |mut changed| async {
        tokio::time::sleep(GATHERED).await;
        let once: HashSet<T> = changed.next().await?.into_iter().collect();
        Some((stream::iter(once), changed))
    });
    rounds.flatten()
}

/// The pipelines that have to be looked at when something changes that they refer to. There may be hundreds that do
/// not.
impl Objects {
    fn with_source(&self, changed: &Source) -> Vec<ObjectRef<CustomerPipeline>> {
        neighbours(&self.pipelines, changed, |pipeline, name| {
            pipeline.spec.sources.iter().any(|source| source == name)
        })
    }

    fn with_policy(&self, changed: &IdentityPolicy) -> Vec<ObjectRef<CustomerPipeline>> {
        neighbours(&self.pipelines, changed, |pipeline, name| {
            pipeline.spec.identity_policy.as_deref() == Some(name)
        })
    }

    fn with_audience(&self, changed: &Audience) -> Vec<ObjectRef<CustomerPipeline>> {
        neighbours(&self.pipelines, changed, |pipeline, name| {
            pipeline
                .spec
                .audiences
                .iter()
                .any(|audience| audience == name)
        })
    }

    /// A pipeline has the warehouses of its audiences, too.
    fn with_warehouse(&self, changed: &Warehouse) -> Vec<ObjectRef<CustomerPipeline>> {
        let namespace = changed.namespace().unwrap_or_default();
        neighbours(&self.pipelines, changed, |pipeline, name| {
            let of_audience = |audience: &String| {
                let key = ObjectRef::new(audience).within(&namespace);
                let audience = self.audiences.get(&key);
                audience.is_some_and(|audience| audience.spec.warehouse == name)
            };
            pipeline
                .spec
                .warehouses
                .iter()
                .any(|warehouse| warehouse == name)
                || pipeline.spec.audiences.iter().any(of_audience)
        })
    }
}

/// The objects of a kind in the namespace of another object that refer to its name.
fn neighbours<K: Watched>(
    store: &Store<K>,
    changed: &impl Resource,
    refers: impl Fn(&K, &str) -> bool,
) -> Vec<ObjectRef<K>> {
    let (namespace, name) = (changed.meta().namespace.as_ref(), changed.name_any());
    let near = store.state_filter(|object| {
        object.meta().namespace.as_ref() == namespace && refers(object, &name)
    });
    near.iter()
        .map(|object| ObjectRef::from_obj(&**object))
        .collect()
}

async fn drive<K, F>(
    controller: Controller<K>,
    reconcile: fn(Arc<K>, Arc<Context>) -> F,
    context: &Arc<Context>,
    known: &Known,
) where
    K: Watched,
    F: Future<Output = Result<Action, Error>> + Send + 'static,
{
    let slots = Arc::new(Semaphore::new(CONCURRENCY));
    let (store, known) = (controller.store(), known.clone());
    let bounded = move |object: Arc<K>, context: Arc<Context>| {
        let (slots, store, known) = (slots.clone(), store.clone(), known.clone());
        async move {
            let kind = K::kind(&());
            let waits = context.metrics.waits(&kind);
            // One kind comes before another: who knows but a part takes the rest for missing.
            known.await;
            let _slot = slots.acquire_owned().await;
            drop(waits);
            // It may have changed in the meantime.
            let newest = store.get(&ObjectRef::from_obj(&*object));
            let object = newest.unwrap_or(object);
            let _works = context.metrics.works(&kind);
            let begun = Instant::now();
            // Who waits for a slot does not hold the room that the work takes.
            let work = Box::pin(reconcile(object.clone(), context.clone()));
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::{StreamExt as _, stream};
    use kube::runtime::{reflector, watcher::Event};
    use serde_json::{Value, json};

    use super::Watched;
    use crate::objects::Objects;

    fn object<K: Watched>(name: &str, spec: &Value) -> K {
        let object = json!({
            "apiVersion": K::api_version(&()), "kind": K::kind(&()),
            "metadata": { "name": name, "namespace": "shop" }, "spec": spec,
        });
        serde_json::from_value(object).unwrap_or_else(|e| panic!("{e}"))
    }

    fn store<K: Watched>(objects: &[(&str, Value)]) -> reflector::Store<K> {
        let (store, mut writer) = reflector::store::<K>();
        for (name, spec) in objects {
            writer.apply_watcher_event(&Event::Apply(object(name, spec)));
        }
        store
    }

    /// Two pods of one run and one of another change every few milliseconds.
    #[tokio::test]
    async fn what_changes_without_a_pause_is_named_all_the_same() {
        let pods = stream::iter(0..).then(|n| async move {
            tokio::time::sleep(Duration::from_millis(5)).await;
            if n % 3 == 0 { "narrow" } else { "wide" }
        });
        let named = tokio::time::timeout(
            Duration::from_secs(30),
            super::gathered(pods).take(4).collect::<Vec<_>>(),
        );
        assert_eq!(named.await.map(|named| named.len()), Ok(4));
    }

    #[test]
    fn a_change_concerns_the_pipelines_that_refer_to_it() {
        let lake = json!({ "s3": { "bucket": "lake" } });
        let audience = json!({
            "warehouse": "reports", "filter": "true", "consent": "email_marketing",
            "destination": { "s3": { "bucket": "audiences" } },
        });
        let objects = Objects {
            sources: store(&[]),
            policies: store(&[]),
            warehouses: store(&[]),
            audiences: store(&[("regulars", audience.clone())]),
            pipelines: store(&[
                (
                    "one",
                    json!({ "sources": ["a"], "lake": lake, "identityPolicy": "strict" }),
                ),
                (
                    "two",
                    json!({ "sources": ["a", "b"], "lake": lake, "warehouses": ["reports"] }),
                ),
                (
                    "three",
                    json!({ "sources": ["c"], "lake": lake, "audiences": ["regulars"] }),
                ),
            ]),
            runs: store(&[]),
            jobs: reflector::store().0,
            pods: reflector::store().0,
        };
        let concerned = |mut found: Vec<reflector::ObjectRef<_>>| {
            found.sort_by(|a, b| a.name.cmp(&b.name));
            found
                .into_iter()
                .map(|found| found.name)
                .collect::<Vec<_>>()
                .join(" ")
        };
        let source =
            json!({ "system": "pos", "connector": { "folder": { "path": "x" } }, "streams": [] });
        assert_eq!(
            concerned(objects.with_source(&object("a", &source))),
            "one two"
        );
        assert_eq!(concerned(objects.with_source(&object("b", &source))), "two");
        assert_eq!(
            concerned(objects.with_policy(&object("strict", &json!({})))),
            "one"
        );
        let warehouse = json!({ "sqlite": { "path": "x" } });
        assert_eq!(
            concerned(objects.with_warehouse(&object("reports", &warehouse))),
            "three two"
        );
        assert_eq!(
            concerned(objects.with_audience(&object("regulars", &audience))),
            "three"
        );
    }
}
