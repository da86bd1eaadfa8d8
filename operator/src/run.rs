//! Starts the operator, and ends it.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use futures::{FutureExt as _, StreamExt as _, future::BoxFuture};
use k8s_openapi::api::{batch::v1::Job, core::v1::Pod};
use kube::{
    Client,
    runtime::{
        events::Reporter,
        reflector::{self, ReflectHandle, Store},
    },
};
use kube_lease_manager::{LeaseManagerBuilder, LeaseParams};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::task::AbortOnDropHandle;

use crate::{
    build::{MANAGER, credentials::Allowed},
    context::{Context, Settings},
    control::{self, Streams},
    health::Health,
    objects::{self, Objects, Scope, Watched},
    traces::Traces,
};

/// How long the last words may take: a pod has half a minute.
const LAST_WORDS: Duration = Duration::from_secs(15);

/// How it works.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Image of the workers, best by digest: registry.example.com/musubi@sha256:…
    #[arg(long, env = "MUSUBI_WORKER_IMAGE")]
    worker_image: String,
    /// The one namespace to work in; all when absent.
    #[arg(long, env = "MUSUBI_NAMESPACE")]
    namespace: Option<String>,
    /// Secrets that resources may name: a name, or a pattern such as `musubi-*`. Can be given several times.
    #[arg(
        long = "allow-secret",
        value_name = "PATTERN",
        env = "MUSUBI_ALLOW_SECRETS",
        value_delimiter = ',',
        default_value = "musubi-*"
    )]
    allow_secrets: Vec<String>,
    /// Seconds for which a Job stays once its outcome is recorded.
    #[arg(long, default_value_t = 3600, value_parser = clap::value_parser!(i32).range(0..))]
    job_seconds: i32,
    /// Namespace of the lease that says which of several operators is at work.
    #[arg(long, env = "POD_NAMESPACE", default_value = "default")]
    lease_namespace: String,
    /// Name of the lease.
    #[arg(long, default_value = MANAGER)]
    lease_name: String,
    /// Seconds after which another operator takes over when this one is silent.
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u64).range(5..))]
    lease_seconds: u64,
    /// Port of `/healthz`, `/readyz` and `/metrics`.
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// What this operator is called in events and in the lease.
    #[arg(long, env = "POD_NAME")]
    identity: Option<String>,
}

/// Works until it is told to stop.
///
/// # Errors
/// No cluster, wrong settings, or a lease that cannot be had.
pub(crate) async fn run(args: Args) -> Result<()> {
    logs();
    // One provider for the process: several may be compiled in.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let health = Health::new();
    let listener = Health::listen(args.port).await?;
    let _answers = AbortOnDropHandle::new(tokio::spawn(health.clone().serve(listener)));
    // Nothing of them keeps a run from its end.
    let traces = Traces::open().unwrap_or_else(|error| {
        tracing::warn!(%error, "no traces");
        None
    });
    let traces = traces.map(Arc::new);
    let client = Client::try_default().await.context("reach the cluster")?;
    let settings = Settings {
        image: args.worker_image.clone(),
        allowed: Allowed::new(&args.allow_secrets).context("--allow-secret")?,
        job_seconds: args.job_seconds,
    };
    // Each writes under a name of its own, or the API server would not see that two contend.
    let identity = args.identity.clone();
    let identity = identity.unwrap_or_else(|| format!("{MANAGER}-{}", std::process::id()));
    // A third of the time is for one renewal; two more can fail before another takes over.
    let params = LeaseParams::new(identity, args.lease_seconds, args.lease_seconds * 2 / 3);
    let lease = LeaseManagerBuilder::new(client.clone(), &args.lease_name)
        .with_namespace(&args.lease_namespace)
        .with_parameters(params);
    let lease = lease.build().await.context("the lease")?;
    let (mut leads, keeping) = lease.watch().await;
    let mut told = std::pin::pin!(told_to_stop()?);
    loop {
        let leading = *leads.borrow_and_update();
        let work = if leading {
            tracing::info!("this operator leads");
            work(&client, &args, settings.clone(), &health, traces.clone()).boxed()
        } else {
            health.ready(true);
            futures::future::pending().boxed()
        };
        tokio::select! {
            () = &mut told => {
                last_words(&client, &args).await;
                break;
            }
            changed = leads.changed() => changed.context("the lease is lost for good")?,
            () = work => {}
        }
        health.ready(false);
        health.metrics.leads(None);
    }
    // Whoever waits for the lease shall not wait for its end.
    drop(leads);
    let released = tokio::time::timeout(Duration::from_secs(5), keeping).await;
    if let Some(traces) = traces {
        let _ = tokio::task::spawn_blocking(move || traces.close()).await;
    }
    tracing::info!(released = released.is_ok(), "stopped");
    Ok(())
}

/// What is done before the end: a namespace that goes with its operator is not held up by it.
async fn last_words(client: &Client, args: &Args) {
    let scope = Scope {
        client: client.clone(),
        namespace: args.namespace.clone(),
    };
    let done = control::pipeline::let_go_with_namespaces(&scope);
    match tokio::time::timeout(LAST_WORDS, done).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "at the end"),
        Err(_) => tracing::warn!("at the end: the API server did not answer in time"),
    }
}

/// What a leader does. It can be dropped at any point: intent is written before anything is done.
async fn work(
    client: &Client,
    args: &Args,
    settings: Settings,
    health: &Health,
    traces: Option<Arc<Traces>>,
) {
    let scope = Scope {
        client: client.clone(),
        namespace: args.namespace.clone(),
    };
    let mut watches: Vec<BoxFuture<'static, ()>> = Vec::new();
    let (sources, of_sources) = watched(&scope, &mut watches);
    let (policies, of_policies) = watched(&scope, &mut watches);
    let (warehouses, of_warehouses) = watched(&scope, &mut watches);
    let (audiences, of_audiences) = watched(&scope, &mut watches);
    let (pipelines, of_pipelines) = watched(&scope, &mut watches);
    let (runs, of_runs) = watched(&scope, &mut watches);
    let (jobs, of_jobs) = reflector::store::<Job>();
    let (pods, of_pods) = reflector::store::<Pod>();
    let streams = Streams {
        sources: of_sources,
        policies: of_policies,
        warehouses: of_warehouses,
        audiences: of_audiences,
        pipelines: of_pipelines,
        runs: of_runs,
        jobs: objects::watch_jobs(&scope, of_jobs).boxed(),
        pods: objects::watch_pods(&scope, of_pods).boxed(),
    };
    let objects = Objects {
        sources,
        policies,
        warehouses,
        audiences,
        pipelines,
        runs,
        jobs,
        pods,
    };
    health.metrics.leads(Some(objects.clone()));
    let known = {
        let objects = objects.clone();
        async move { objects.known().await }.boxed().shared()
    };
    let ready = known.clone().map(|()| health.ready(true));
    let reporter = Reporter {
        controller: MANAGER.into(),
        instance: args.identity.clone(),
    };
    let metrics = health.metrics.clone();
    let context = Arc::new(Context::new(
        scope, objects, settings, reporter, metrics, traces,
    ));
    futures::join!(
        futures::future::join_all(watches),
        ready,
        control::run(context, streams, known),
    );
}

/// A watch, its cache, and a subscription to it.
fn watched<K: Watched>(
    scope: &Scope,
    watches: &mut Vec<BoxFuture<'static, ()>>,
) -> (Store<K>, ReflectHandle<K>) {
    let (store, writer) = objects::shared::<K>();
    let Some(handle) = writer.subscribe() else {
        unreachable!("a shared writer can be subscribed to");
    };
    watches.push(objects::watch(scope, writer).boxed());
    (store, handle)
}

/// Ends with SIGTERM or Ctrl-C.
fn told_to_stop() -> Result<impl Future<Output = ()>> {
    let mut term = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// JSON lines on standard error. No line holds a value of a person: the operator knows none.
fn logs() {
    let level = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info,kube=warn"));
    tracing_subscriber::fmt()
        .json()
        .with_env_filter(level)
        .with_writer(std::io::stderr)
        .init();
}
