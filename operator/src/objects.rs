//! What the operator knows of the cluster: one watch for each kind, and the objects it brought.

use std::sync::Arc;

use futures::{StreamExt as _, future::ready};
use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        batch::v1::Job,
        core::v1::{Pod, PodSpec},
    },
};
use kube::{
    Api, Client, Resource, ResourceExt as _,
    runtime::{
        WatchStreamExt as _, reflector,
        reflector::{ObjectRef, Store, store::Writer},
        watcher,
    },
};
use musubi_api::{
    Catalog, Problem,
    audience::Audience,
    load_objects,
    pipeline::{CustomerPipeline, CustomerPipelineRun, CustomerPipelineSpec},
    policy::IdentityPolicy,
    source::Source,
    warehouse::Warehouse,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::build::PREFIX;

/// Events that a slow reader may be behind.
const BUFFER: usize = 1024;

/// Objects that are held as they come, at ten times the size of what is kept of them.
const PAGE: u32 = 100;

/// Where the operator looks: one namespace, or all.
#[derive(Clone)]
pub(crate) struct Scope {
    pub(crate) client: Client,
    pub(crate) namespace: Option<String>,
}

impl Scope {
    /// The objects of a kind that are watched.
    pub(crate) fn all<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        match &self.namespace {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        }
    }

    /// The objects of a kind in a namespace.
    pub(crate) fn within<K>(&self, namespace: &str) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), namespace)
    }
}

/// Whether an object belongs to the one with a uid.
pub(crate) fn is_owned(object: &impl Resource, uid: &str) -> bool {
    let owners = object.meta().owner_references.iter().flatten();
    owners.into_iter().any(|owner| owner.uid == uid)
}

/// What every object of ours is.
pub(crate) trait Watched:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + DeserializeOwned
    + Serialize
    + std::fmt::Debug
    + Send
    + Sync
    + 'static
{
}

impl<K> Watched for K where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + DeserializeOwned
        + Serialize
        + std::fmt::Debug
        + Send
        + Sync
        + 'static
{
}

/// The caches.
#[derive(Clone)]
pub(crate) struct Objects {
    pub(crate) sources: Store<Source>,
    pub(crate) policies: Store<IdentityPolicy>,
    pub(crate) warehouses: Store<Warehouse>,
    pub(crate) audiences: Store<Audience>,
    pub(crate) pipelines: Store<CustomerPipeline>,
    pub(crate) runs: Store<CustomerPipelineRun>,
    pub(crate) jobs: Store<Job>,
    pub(crate) pods: Store<Pod>,
}

/// Watches a kind, into a cache that several controllers read.
pub(crate) fn watch<K: Watched>(
    scope: &Scope,
    writer: Writer<K>,
) -> impl Future<Output = ()> + use<K> {
    watcher(scope.all::<K>(), watcher::Config::default().page_size(PAGE))
        .default_backoff()
        .modify(|object| object.managed_fields_mut().clear())
        .reflect_shared(writer)
        .for_each(|event| {
            if let Err(error) = event {
                tracing::warn!(kind = %K::kind(&()), %error, "watch");
            }
            ready(())
        })
}

/// Watches what the operator made of a kind, without what `trim` leaves out of it.
fn watch_made<K>(
    scope: &Scope,
    writer: Writer<K>,
    config: watcher::Config,
    trim: fn(&mut K),
) -> impl futures::Stream<Item = Result<K, watcher::Error>> + use<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + DeserializeOwned
        + std::fmt::Debug
        + Send
        + 'static,
{
    let ours = config.labels(&format!("{PREFIX}/run-uid")).page_size(PAGE);
    let objects = watcher(scope.all::<K>(), ours)
        .default_backoff()
        .modify(trim);
    reflector(writer, objects).touched_objects()
}

/// The Jobs that the operator made.
pub(crate) fn watch_jobs(
    scope: &Scope,
    writer: Writer<Job>,
) -> impl futures::Stream<Item = Result<Job, watcher::Error>> + use<> {
    watch_made(
        scope,
        writer,
        watcher::Config::default(),
        |job: &mut Job| {
            job.managed_fields_mut().clear();
            // The template is nine tenths of a Job, and nobody reads it here.
            if let Some(spec) = &mut job.spec {
                spec.template = Default::default();
            }
        },
    )
}

/// The pods of these Jobs that are not done: where they are, and how they are. Those that did their work stay for as
/// long as their Job, and there may be very many of them; what they said is asked for once.
pub(crate) fn watch_pods(
    scope: &Scope,
    writer: Writer<Pod>,
) -> impl futures::Stream<Item = Result<Pod, watcher::Error>> + use<> {
    let at_work = watcher::Config::default().fields("status.phase!=Succeeded");
    watch_made(scope, writer, at_work, trim_pod)
}

/// Leaves of a pod what is read here.
fn trim_pod(pod: &mut Pod) {
    pod.managed_fields_mut().clear();
    let node_name = pod.spec.take().and_then(|spec| spec.node_name);
    pod.spec = Some(PodSpec {
        node_name,
        ..PodSpec::default()
    });
}

/// An object as a file would hold it.
pub(crate) fn document<K: Watched>(object: &K) -> Value {
    let spec = serde_json::to_value(object).map_or(Value::Null, |mut o| o["spec"].take());
    json!({
        "apiVersion": K::api_version(&()),
        "kind": K::kind(&()),
        "metadata": { "name": object.name_any(), "namespace": object.namespace() },
        "spec": spec,
    })
}

/// A problem as a condition says it: there are no files here.
pub(crate) fn sentence(problem: &Problem) -> String {
    let message = problem
        .message
        .replace("in the files given", "in this namespace");
    match (problem.resource.as_str(), problem.field.as_str()) {
        ("", _) => message,
        (resource, "") => format!("{resource}: {message}"),
        (resource, field) => format!("{resource}, {field}: {message}"),
    }
}

impl Objects {
    /// Waits until every watch has brought what there is.
    pub(crate) async fn known(&self) {
        // An error means that its watch is gone, and with it whoever waits here.
        let _ = futures::join!(
            self.sources.wait_until_ready(),
            self.policies.wait_until_ready(),
            self.warehouses.wait_until_ready(),
            self.audiences.wait_until_ready(),
            self.pipelines.wait_until_ready(),
            self.runs.wait_until_ready(),
            self.jobs.wait_until_ready(),
            self.pods.wait_until_ready(),
        );
    }

    /// A pipeline with everything that it refers to, and what is wrong with any of it.
    pub(crate) fn closure(&self, pipeline: &CustomerPipeline) -> (Catalog, Vec<Problem>) {
        let namespace = pipeline.namespace().unwrap_or_default();
        let spec: &CustomerPipelineSpec = &pipeline.spec;
        let mut documents = vec![document(pipeline)];
        documents.extend(named(&self.sources, &spec.sources, &namespace));
        documents.extend(named(&self.policies, &spec.identity_policy, &namespace));
        let audiences: Vec<Arc<Audience>> = get(&self.audiences, &spec.audiences, &namespace);
        let mut warehouses: Vec<&String> = spec.warehouses.iter().collect();
        warehouses.extend(audiences.iter().map(|a| &a.spec.warehouse));
        warehouses.sort();
        warehouses.dedup();
        documents.extend(named(&self.warehouses, warehouses, &namespace));
        documents.extend(audiences.iter().map(|a| document(&**a)));
        load_objects(&documents)
    }
}

fn get<'a, K: Watched>(
    store: &Store<K>,
    names: impl IntoIterator<Item = &'a String>,
    namespace: &str,
) -> Vec<Arc<K>> {
    names
        .into_iter()
        .filter_map(|name| store.get(&ObjectRef::new(name).within(namespace)))
        .collect()
}

fn named<'a, K: Watched>(
    store: &Store<K>,
    names: impl IntoIterator<Item = &'a String>,
    namespace: &str,
) -> Vec<Value> {
    let found = get(store, names, namespace);
    found.iter().map(|object| document(&**object)).collect()
}

/// An empty cache for a kind, and what fills it.
pub(crate) fn shared<K: Watched>() -> (Store<K>, Writer<K>) {
    reflector::store_shared(BUFFER)
}
