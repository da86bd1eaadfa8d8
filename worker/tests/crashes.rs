//! Processes that are killed, run twice, or freeze while they publish: nothing is lost, doubled or half shown.

#[path = "support/layer.rs"]
mod layer;
#[path = "support/shop.rs"]
mod shop;
mod support;

use std::{
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use futures::FutureExt as _;
use layer::{Call, Hook, When};
use musubi::{
    stage::{Context, runner},
    upkeep::rollback,
};
use musubi_lake::{delta, pointer};
use rand::{Rng as _, SeedableRng as _};
use support::World;
use tokio::sync::Notify;

fn start(world: &World) -> Child {
    Command::new(env!("CARGO_BIN_EXE_musubi"))
        .args(["run", "--threads", "2", "-f"])
        .arg(world.path("resources.yaml"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("start musubi")
}

fn to_its_end(world: &World) {
    let status = start(world).wait().expect("wait");
    assert!(status.success(), "{status}");
}

/// A world where nothing happened, after this many days.
async fn undisturbed(days: u32) -> shop::Seen {
    let world = World::new(shop::RESOURCES);
    for day in 1..=days {
        shop::day(&world, day);
        to_its_end(&world);
    }
    shop::seen(&world).await.content()
}

/// What a reader finds: whole tables of a version that never goes back.
async fn version(world: &World, at_least: u64) -> u64 {
    let store = world.store();
    let published = pointer::published(&store).await.expect("read the pointer");
    let Some((published, _)) = published else {
        assert_eq!(at_least, 0, "the pointer is gone");
        return 0;
    };
    assert!(published.version >= at_least);
    for (name, table) in &published.tables {
        let folder = format!("curated/{name}");
        let snapshot = delta::snapshot(&store, &folder, Some(table.delta_version)).await;
        let snapshot = snapshot.expect("read the log").expect("a table");
        assert_eq!(snapshot.rows(), table.rows, "{name}");
    }
    shop::digests(&store, &published).await;
    published.version
}

#[tokio::test]
async fn a_process_may_be_killed_at_a_hundred_random_moments() {
    let world = World::new(shop::RESOURCES);
    let mut days = 1;
    shop::day(&world, days);
    let begun = Instant::now();
    let rehearsal = World::new(shop::RESOURCES);
    shop::day(&rehearsal, 1);
    to_its_end(&rehearsal);
    let whole = begun.elapsed();
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(9);
    let (mut kills, mut shown) = (0, 0);
    while kills < 100 {
        let mut process = start(&world);
        std::thread::sleep(whole.mul_f64(random.random_range(0.0..1.0)));
        match process.try_wait().expect("look") {
            Some(status) => {
                assert!(status.success(), "after {kills} kills: {status}");
                days += 1;
                shop::day(&world, days);
            }
            None => {
                process.kill().expect("kill -9");
                process.wait().expect("wait");
                kills += 1;
            }
        }
        shown = version(&world, shown).await;
    }
    to_its_end(&world);
    assert_eq!(shop::seen(&world).await.content(), undisturbed(days).await);
}

#[tokio::test]
async fn two_processes_may_run_the_same_run_at_once() {
    let world = World::new(shop::RESOURCES);
    for day in 1..=3 {
        shop::day(&world, day);
        let both = [start(&world), start(&world)];
        for mut process in both {
            let status = process.wait().expect("wait");
            assert!(status.success(), "day {day}: {status}");
        }
    }
    assert_eq!(shop::seen(&world).await.content(), undisturbed(3).await);
}

async fn run(world: &World, uid: &str, hook: Option<Hook>) -> anyhow::Result<()> {
    let (run, secrets) = world.resolve(uid, 2);
    let mut context = Context::open(run, secrets)?;
    if let Some(hook) = hook {
        context.store = layer::over(context.store.clone(), hook);
    }
    runner::run(&context, 2, Arc::new(())).await?;
    Ok(())
}

/// Where a publisher freezes: at the first call of this kind to a path that holds this.
const FREEZES: [(When, &str, &str); 12] = [
    (When::Before, "create", "publication.json"),
    (When::After, "create", "publication.json"),
    (When::Before, "swap", "intent.json"),
    (When::After, "swap", "intent.json"),
    (When::Before, "create", "_delta_log"),
    (When::After, "create", "_delta_log"),
    (When::Before, "create", "published/"),
    (When::After, "create", "published/"),
    (When::Before, "swap", "published.json"),
    (When::After, "swap", "published.json"),
    (When::Before, "create", "publish/00000.json"),
    (When::After, "create", "publish/00000.json"),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_may_freeze_be_overtaken_and_wake() {
    for freeze in FREEZES {
        for back in [false, true] {
            frozen(freeze, back).await;
        }
    }
}

async fn frozen((when, what, part): (When, &'static str, &'static str), back: bool) {
    let label = format!("{when:?} {what} {part}, rolled back: {back}");
    let world = Arc::new(World::new(shop::RESOURCES));
    shop::day(&world, 1);
    run(&world, "r1", None)
        .await
        .unwrap_or_else(|e| panic!("{label}: {e:#}"));
    shop::day(&world, 2);
    let (reached, wake) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let hook: Hook = {
        let (reached, wake, done) = (
            reached.clone(),
            wake.clone(),
            Arc::new(AtomicBool::new(false)),
        );
        Arc::new(move |call: Call| {
            let hit = call.when == when && call.what == what && call.path.contains(part);
            let first = hit && !done.swap(true, Ordering::SeqCst);
            let (reached, wake) = (reached.clone(), wake.clone());
            async move {
                if first {
                    reached.notify_one();
                    wake.notified().await;
                }
                Ok(())
            }
            .boxed()
        })
    };
    let sleeper = {
        let world = world.clone();
        tokio::spawn(async move { run(&world, "r2", Some(hook)).await })
    };
    reached.notified().await;
    shop::day(&world, 3);
    run(&world, "r3", None)
        .await
        .unwrap_or_else(|e| panic!("{label}: {e:#}"));
    if back {
        rollback::rollback(&world.store(), "default/bento", 1)
            .await
            .unwrap_or_else(|e| panic!("{label}: {e:#}"));
    }
    let before = shop::seen(&world).await;
    wake.notify_one();
    let woken = sleeper.await.expect("no panic");
    if let Err(error) = woken {
        assert!(
            format!("{error:#}").contains("start a new run"),
            "{label}: {error:#}"
        );
    }
    assert_eq!(shop::seen(&world).await, before, "{label}");
    run(&world, "r4", None)
        .await
        .unwrap_or_else(|e| panic!("{label}: {e:#}"));
    let after = shop::seen(&world).await;
    assert_eq!(after.version, before.version + 1, "{label}");
    let orders = after.warehouse["orders"].len();
    assert_eq!(orders, 12, "{label}: every order once");
}

#[cfg(unix)]
#[test]
fn a_run_that_is_interrupted_says_so_and_goes_on_later() {
    use std::io::{BufRead as _, BufReader};
    for _ in 0..20 {
        let world = World::new(shop::RESOURCES);
        shop::day(&world, 1);
        let mut process = Command::new(env!("CARGO_BIN_EXE_musubi"))
            .args(["run", "-f"])
            .arg(world.path("resources.yaml"))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("start musubi");
        let mut lines = BufReader::new(process.stderr.take().expect("stderr")).lines();
        lines.next().expect("a line").expect("text");
        let pid = process.id().to_string();
        Command::new("kill")
            .args(["-INT", &pid])
            .status()
            .expect("kill -INT");
        let asked = Instant::now();
        let said: Vec<String> = lines.map_while(Result::ok).collect();
        let status = process.wait().expect("wait");
        if status.success() {
            continue; // It was done before the signal came.
        }
        assert_eq!(status.code(), Some(130), "{said:?}");
        assert!(
            said.iter()
                .any(|l| l.contains("goes on where this one stopped")),
            "{said:?}"
        );
        assert!(asked.elapsed() < Duration::from_secs(60), "it hangs");
        to_its_end(&world);
        return;
    }
    panic!("the signal never came in time");
}

/// The system ends a process that writes past its limit: a crash in the middle of a write, at each page of
/// the warehouse's file in turn.
#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_load_may_die_at_any_page_of_the_warehouse() {
    let world = World::new(shop::RESOURCES);
    shop::day(&world, 1);
    run(&world, "r1", None)
        .await
        .unwrap_or_else(|e| panic!("{e:#}"));
    let before = shop::rows(&world.path("out/bento.sqlite"));
    shop::day(&world, 2);
    let (resolved, secrets) = world.resolve("r2", 2);
    let text = serde_saphyr::to_string(&resolved).expect("YAML");
    world.write("run.yaml", text.as_bytes());
    let context = Context::open(resolved, secrets).expect("open");
    for stage in &musubi_api::run::Stage::ALL[..9] {
        for shard in 0..musubi::stage::shards(&context, *stage)
            .await
            .expect("width")
        {
            musubi::stage::run_shard(&context, *stage, shard)
                .await
                .unwrap_or_else(|e| panic!("{e:#}"));
        }
    }
    let mut deaths = 0;
    for kibibytes in (8..).step_by(12) {
        let status = Command::new("bash")
            .args(["-c", &format!("ulimit -f {kibibytes}; exec \"$0\" \"$@\"")])
            .args([env!("CARGO_BIN_EXE_musubi"), "stage", "load", "--run"])
            .arg(world.path("run.yaml"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .expect("start musubi");
        if status.success() {
            break;
        }
        deaths += 1;
        assert_eq!(
            shop::rows(&world.path("out/bento.sqlite")),
            before,
            "at {kibibytes} KiB"
        );
    }
    assert!(deaths > 3, "only {deaths} deaths");
    let twin = World::new(shop::RESOURCES);
    for day in 1..=2 {
        shop::day(&twin, day);
        run(&twin, &format!("r{day}"), None)
            .await
            .unwrap_or_else(|e| panic!("{e:#}"));
    }
    let rows = shop::rows(&world.path("out/bento.sqlite"));
    assert_eq!(rows, shop::rows(&twin.path("out/bento.sqlite")));
}
