//! A run is one trace: from the operator through its Jobs to the phases of every shard.

#[path = "support/mod.rs"]
#[allow(dead_code, reason = "each test uses what it needs")]
mod support;

use std::{collections::BTreeMap, time::Duration};

use k8s_openapi::api::batch::v1::Job;
use kube::{Api, ResourceExt as _, api::ListParams};
use musubi_api::{pipeline::CustomerPipelineRun, run::Stage};
use musubi_testing::{Cluster, Collector, Span, free_port};
use support::{World, shop::pipeline};

/// A minute more than spans wait for their sending.
const PATIENCE: Duration = Duration::from_secs(65);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_is_one_trace_and_needs_nobody_who_takes_it() {
    let Some(cluster) = Cluster::find() else {
        return;
    };
    let world = World::new(cluster.clone(), "traces").await;
    pipeline(&world).await;
    let collector = Collector::start_at(&cluster.host).expect("a collector");
    let endpoint = format!("--set=traces.endpoint={}", collector.endpoint());
    world.release("install", &[&endpoint]);

    let as_of = "2026-11-25T04:30:00+09:00".parse().expect("an instant");
    world.begin("first", "shop", as_of).await;
    world.reaches("first", Stage::Clean).await;
    // Another operator goes on with the trace.
    let restart = ["rollout", "restart", "deployment/musubi", "--namespace"];
    world.tool("kubectl", &[&restart[..], &[&world.namespace]].concat());
    let first = world.complete("first").await;
    let trace = first.uid().unwrap_or_default().replace('-', "");
    let stages = first.status.iter().flat_map(|s| &s.stages);
    let jobs = stages.filter(|s| s.job.is_some());
    let (jobs, shards): (Vec<i32>, Vec<i32>) = jobs.map(|s| (s.attempt, s.shards)).unzip();
    let expected = [
        ("run", 1),
        ("stage ", jobs.iter().sum()),
        ("shard", shards.iter().sum()),
    ];
    // Each process sends its own, one sooner than another.
    let whole = |spans: &[Span]| {
        expected.iter().all(|(name, n)| {
            let there = spans.iter().filter(|s| s.name.starts_with(name)).count();
            i32::try_from(there).is_ok_and(|there| there >= *n)
        })
    };
    let spans = collector.until(PATIENCE, whole);
    one_tree(&spans, &trace, &first);
    only_names_and_counts(&spans);

    // Nobody listens there.
    let closed = free_port().expect("a port");
    let endpoint = format!("--set=traces.endpoint=http://{}:{closed}", cluster.host);
    world.release("upgrade", &[&endpoint]);
    world.begin("second", "shop", as_of).await;
    let second = world.complete("second").await;
    told_where(
        &world,
        &second,
        &format!("http://{}:{closed}", cluster.host),
    )
    .await;
    world.remove().await;
}

/// Run, stages, shards, phases: each below the one it belongs to.
fn one_tree(spans: &[Span], trace: &str, run: &CustomerPipelineRun) {
    let by_id: BTreeMap<&str, &Span> = spans.iter().map(|s| (s.id.as_str(), s)).collect();
    assert_eq!(by_id.len(), spans.len(), "each span came once");
    for span in spans {
        assert_eq!(span.trace, trace, "{span:#?}");
        let parent = by_id.get(span.parent.as_str());
        assert!(
            parent.is_some() || span.name == "run",
            "a lost parent: {span:#?}"
        );
    }
    let of = |service: &str, name: &str| -> Vec<&Span> {
        let found = spans.iter().filter(|s| s.service == service);
        found.filter(|s| s.name.starts_with(name)).collect()
    };
    let root = of("musubi-operator", "run");
    assert_eq!(root.len(), 1);
    assert_eq!((root[0].parent.as_str(), root[0].failed), ("", false));
    assert_eq!(root[0].attributes["musubi.pipeline"], "shop");
    let (stages, shards) = (
        of("musubi-operator", "stage "),
        of("musubi-worker", "shard"),
    );
    let status = run.status.clone().unwrap_or_default();
    for stage in status.stages.iter().filter(|s| s.job.is_some()) {
        let name = stage.stage.as_str();
        let ours: Vec<&&Span> = stages
            .iter()
            .filter(|s| s.attributes["musubi.stage"] == name)
            .collect();
        assert_eq!(i32::try_from(ours.len()), Ok(stage.attempt), "stage {name}");
        assert_eq!(ours[0].parent, root[0].id);
        assert!(ours[0].time.0 >= root[0].time.0 && ours[0].time.1 <= root[0].time.1);
        let of_stage = shards.iter().filter(|s| s.parent == ours[0].id);
        let of_stage: Vec<&&Span> = of_stage.collect();
        assert_eq!(
            i32::try_from(of_stage.len()),
            Ok(stage.shards),
            "stage {name}"
        );
        for shard in of_stage {
            assert_eq!(shard.attributes["stage"], name);
            assert!(
                shard.time.0 >= ours[0].time.0 && shard.time.1 <= ours[0].time.1,
                "{shard:#?}"
            );
            let commit = spans
                .iter()
                .find(|s| s.parent == shard.id && s.name == "commit");
            assert!(commit.is_some(), "stage {name} commits");
        }
    }
}

/// No value of a row, and no key of an object.
fn only_names_and_counts(spans: &[Span]) {
    for (span, (name, value)) in spans
        .iter()
        .flat_map(|s| s.attributes.iter().map(move |a| (s, a)))
    {
        let text = [
            "k8s.namespace.name",
            "musubi.pipeline",
            "musubi.run",
            "musubi.stage",
            "run",
            "stage",
        ];
        let known = text.contains(&name.as_str())
            || value.parse::<i64>().is_ok()
            || value.parse::<bool>().is_ok();
        assert!(known, "{}: {name} is {value}", span.name);
    }
}

/// Every pod is told its place in the trace of its run, and where spans go.
async fn told_where(world: &World, run: &CustomerPipelineRun, endpoint: &str) {
    let uid = run.uid().unwrap_or_default();
    let of_run = ListParams::default().labels(&format!("musubi.dev/run-uid={uid}"));
    let jobs: Api<Job> = Api::namespaced(world.client.clone(), &world.namespace);
    let jobs = jobs.list(&of_run).await.expect("Jobs").items;
    assert!(jobs.len() > 5, "{} Jobs", jobs.len());
    for job in jobs {
        let pod = job.spec.and_then(|s| s.template.spec).expect("a pod");
        let variables = pod.containers[0].env.iter().flatten();
        let said: BTreeMap<&str, &str> = variables
            .filter_map(|v| Some((v.name.as_str(), v.value.as_deref()?)))
            .collect();
        assert_eq!(said["OTEL_EXPORTER_OTLP_ENDPOINT"], endpoint);
        let trace = format!("00-{}-", uid.replace('-', ""));
        assert!(said["TRACEPARENT"].starts_with(&trace), "{said:?}");
    }
}
