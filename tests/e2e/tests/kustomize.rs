//! The operator without Helm: applied as `deploy/kustomize` says, it runs a pipeline.

#[path = "support/mod.rs"]
#[allow(dead_code, reason = "each test uses what it needs")]
mod support;

use k8s_openapi::api::batch::v1::Job;
use kube::{Api, ResourceExt as _, api::ListParams};
use musubi_testing::Cluster;
use support::{World, kustomize, shop::pipeline};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_kustomize_makes_is_applied_gets_ready_and_runs_a_pipeline() {
    let Some(cluster) = Cluster::find() else {
        return;
    };
    let world = World::new(cluster.clone(), "kustomize").await;
    let folder = world.folder.path().join("kustomize");
    kustomize::copy(&world.cluster, &world.namespace, &folder);
    let apply = |flag: &str, what: &str| {
        world.tool("kubectl", &["apply", "--server-side", flag, what]);
    };
    apply("-f", "crds/");
    apply("-k", &folder.display().to_string());
    let ready = ["rollout", "status", "deployment/musubi", "--timeout=5m"];
    let namespace = ["--namespace", &world.namespace];
    world.tool("kubectl", &[&ready[..], &namespace].concat());

    pipeline(&world).await;
    let as_of = "2026-11-25T04:30:00+09:00".parse().expect("an instant");
    world.begin("first", "shop", as_of).await;
    let first = world.complete("first").await;
    assert_eq!(first.status.and_then(|s| s.published_version), Some(1));
    let jobs: Api<Job> = Api::namespaced(world.client.clone(), &world.namespace);
    let jobs = jobs.list(&ListParams::default()).await.expect("Jobs").items;
    assert!(jobs.len() > 5, "{} Jobs", jobs.len());
    for job in jobs {
        let name = job.name_any();
        let pod = job.spec.and_then(|s| s.template.spec).expect("a pod");
        assert_eq!(
            pod.containers[0].image.as_ref(),
            Some(&cluster.image),
            "{name}"
        );
    }
    world.remove().await;
}
