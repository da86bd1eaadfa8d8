//! A run that fails at any call to its storage, before or after the effect, and is started again, ends
//! as if nothing had happened.

#[path = "support/layer.rs"]
mod layer;
#[path = "support/shop.rs"]
mod shop;
mod support;

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use futures::FutureExt as _;
use layer::{Call, Hook};
use musubi::stage::{Context, runner};
use rand::{Rng as _, SeedableRng as _};
use support::World;

/// Runs all stages behind a layer.
async fn run(world: &World, uid: &str, hook: &Hook) -> anyhow::Result<()> {
    let (run, secrets) = world.resolve(uid, 2);
    let mut context = Context::open(run, secrets)?;
    context.store = layer::over(context.store.clone(), hook.clone());
    runner::run(&context, 2, Arc::new(())).await?;
    Ok(())
}

fn hook(decide: impl Fn(&Call) -> bool + Send + Sync + 'static) -> Hook {
    Arc::new(move |call: Call| {
        let outcome = if decide(&call) {
            Err(call.failure())
        } else {
            Ok(())
        };
        async move { outcome }.boxed()
    })
}

fn world() -> World {
    let world = World::new(shop::RESOURCES);
    shop::day(&world, 1);
    world
}

/// Two days undisturbed, and how many calls the second run makes.
async fn undisturbed() -> (shop::Seen, usize) {
    let world = world();
    run(&world, "r1", &hook(|_| false))
        .await
        .unwrap_or_else(|e| panic!("{e:#}"));
    shop::day(&world, 2);
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let count = hook(move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
        false
    });
    run(&world, "r2", &count)
        .await
        .unwrap_or_else(|e| panic!("{e:#}"));
    (shop::seen(&world).await, calls.load(Ordering::Relaxed))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_place_in_the_code_may_fail_once_before_and_once_after_its_effect() {
    let (expected, _) = undisturbed().await;
    let world = world();
    let failed = Arc::new(Mutex::new(BTreeSet::new()));
    let seen = failed.clone();
    let each_once = hook(move |call| seen.lock().expect("no panic").insert(call.site()));
    let mut tries = 0;
    for (uid, files) in [("r1", None), ("r2", Some(2))] {
        if let Some(day) = files {
            shop::day(&world, day);
        }
        while let Err(error) = run(&world, uid, &each_once).await {
            tries += 1;
            assert!(tries < 2_000, "it does not end: {error:#}");
        }
    }
    let sites = failed.lock().expect("no panic").len();
    assert!(sites > 100, "only {sites} places failed");
    assert_eq!(shop::seen(&world).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_failed_at_a_call_goes_on_or_is_replaced_by_a_new_one() {
    let (expected, calls) = undisturbed().await;
    let expected = expected.content();
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(3);
    for round in 0..12 {
        let world = world();
        run(&world, "r1", &hook(|_| false))
            .await
            .unwrap_or_else(|e| panic!("{e:#}"));
        shop::day(&world, 2);
        let (at, counter) = (random.random_range(0..calls), AtomicUsize::new(0));
        let fail = hook(move |_| counter.fetch_add(1, Ordering::Relaxed) == at);
        let failed = run(&world, "r2", &fail).await;
        // Shards side by side make the number of calls vary a little.
        if let Err(error) = failed {
            assert!(format!("{error:#}").contains("injected"), "{error:#}");
        }
        let next = if round % 2 == 0 { "r2" } else { "r3" };
        run(&world, next, &hook(|_| false))
            .await
            .unwrap_or_else(|e| panic!("after call {at} of {calls}: {e:#}"));
        assert_eq!(
            shop::seen(&world).await.content(),
            expected,
            "after call {at} of {calls}"
        );
    }
}
