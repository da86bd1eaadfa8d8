//! Many pipelines, many runs at once, one with wide stages: what the operator takes for it. Pods are played.
//!
//! `cargo xtask bench operator` runs it at full size with a release build; here it is small.

#[path = "support/mod.rs"]
#[allow(dead_code, reason = "each test uses what it needs")]
mod support;

use std::time::{Duration, Instant};

use musubi_testing::Cluster;
use support::{
    ledger::Calls,
    load::{Busy, Load, percentile},
    soak::{either, number},
};

/// Jobs of a run: there is nothing to load, and nobody to deliver to.
const STAGES: usize = 9;
/// Runs that are begun one after another.
const SINGLE: usize = 5;
/// Memory that the operator may take, in MiB.
const MEMORY: u64 = 100;
/// Calls that a stage may cost.
const CALLS: f64 = 12.0;
/// From an end to the next beginning.
const PAUSE: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_runs_at_once_cost_little() {
    let Some(cluster) = Cluster::find().filter(Cluster::is_ours) else {
        return;
    };
    let pipelines = number("MUSUBI_SCALE_PIPELINES", 20);
    let runs = number("MUSUBI_SCALE_RUNS", 8).min(pipelines - SINGLE);
    let shards = number("MUSUBI_SCALE_SHARDS", 50);
    let load = Load::new(cluster, "scale").await;
    let begun = Instant::now();
    let narrow = load.pipelines(pipelines).await;
    load.pipeline("wide", shards).await;
    load.settled().await;
    let known = load.cost();
    println!(
        "{pipelines} pipelines, known after {:.0?}: {known:.2?}",
        begun.elapsed()
    );

    let mut first = Vec::new();
    for name in narrow.iter().take(SINGLE) {
        let applied = Instant::now();
        load.begin(name).await;
        first.push(
            load.jobs
                .first(name)
                .await
                .saturating_duration_since(applied),
        );
    }
    println!("from applying a run to its first Job: {first:.0?} (goal: 1 s)");
    load.complete(STAGES * first.len()).await;
    load.settled().await;

    let (calls, cost) = (load.gateway.calls_since(&Calls::default()), load.cost());
    load.gateway.answers();
    let busy = Busy::now();
    let (before, begun) = (load.jobs.count(), Instant::now());
    load.begin("wide").await;
    for name in narrow.iter().skip(SINGLE).take(runs) {
        load.begin(name).await;
    }
    load.complete(before + STAGES * (1 + runs)).await;
    load.settled().await;
    let stages = load.jobs.count() - before;
    let calls = load.gateway.calls_since(&calls);
    let after = load.cost();
    println!(
        "{runs} narrow runs and one of {shards} shards, {stages} Jobs in {:.0?}",
        begun.elapsed()
    );
    println!(
        "memory: {} MiB, at most {} (goal: {MEMORY})",
        after.memory, after.most
    );
    let processor = after.processor.saturating_sub(cost.processor);
    println!(
        "processor: {processor:.1?}, {:.0?} a stage",
        processor / u32::try_from(stages).unwrap_or(1)
    );
    let each = |n: usize| n as f64 / stages as f64;
    let calls = calls.of_stages();
    let answers = load.gateway.answers();
    for (kind, n) in &calls {
        let took = answers.get(*kind).map_or(&[][..], Vec::as_slice);
        let of = |hundredth: usize| percentile(took, hundredth);
        println!(
            "  {:6.2} {kind}: answered within {:.0?}, 99 of 100 within {:.0?}",
            each(*n),
            of(50),
            of(99)
        );
    }
    println!("processors of this machine: {:.0} % busy", busy.since());
    let of_stage = each(calls.values().sum());
    println!("calls for each stage: {of_stage:.2} (goal: {CALLS})");
    let pauses = load.jobs.pauses();
    let of = |hundredth: usize| percentile(&pauses, hundredth);
    println!(
        "from a Job's end to the next Job: half within {:.0?}, 99 of 100 within {:.0?} (goal: {PAUSE:?}), all within \
         {:.0?}",
        of(50),
        of(99),
        of(100)
    );
    // What does not hang on the machine.
    assert!(of_stage <= CALLS);
    load.world.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_nothing_to_do_writes_nothing() {
    let Some(cluster) = Cluster::find().filter(Cluster::is_ours) else {
        return;
    };
    let load = Load::new(cluster, "idle").await;
    let names = load.pipelines(number("MUSUBI_SCALE_PIPELINES", 5)).await;
    for name in names.iter().take(3) {
        load.begin(name).await;
    }
    load.complete(STAGES * 3).await;
    load.settled().await;
    let (before, cost) = (load.gateway.calls_since(&Calls::default()), load.cost());
    let idle = Duration::from_secs(either(60, 600));
    tokio::time::sleep(idle).await;
    let calls = load.gateway.calls_since(&before);
    let processor = load.cost().processor.saturating_sub(cost.processor);
    println!("idle for {idle:?}: {processor:.2?} of a processor, {calls:?}");
    assert!(calls.writes().is_empty(), "{:#?}", calls.writes());
    load.world.remove().await;
}
