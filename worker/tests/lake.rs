//! `musubi rollback`, `musubi lake log`, `musubi lake gc` and `musubi lake destroy`.

#[path = "support/shop.rs"]
mod shop;
mod support;

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use musubi::upkeep::{
    gc::{self, Policy, Why},
    log, rollback,
};
use musubi_lake::{Store, pointer};
use support::{World, musubi};

const PIPELINE: &str = "default/bento";

/// A lake with this many versions, a day each.
async fn lake(days: u32) -> World {
    let world = World::new(shop::RESOURCES);
    for day in 1..=days {
        shop::day(&world, day);
        run(&world, &format!("r{day}")).await;
    }
    world
}

async fn run(world: &World, uid: &str) {
    world
        .run(uid, 2)
        .await
        .unwrap_or_else(|e| panic!("{uid}: {e:#}"));
}

/// Nothing is too young to go.
fn keep(versions: u32) -> Policy {
    Policy {
        versions,
        days: 0,
        min_age: SignedDuration::ZERO,
        now: Timestamp::now() + SignedDuration::from_secs(1),
    }
}

async fn paths(store: &Store) -> BTreeSet<String> {
    store
        .list("")
        .await
        .expect("list")
        .into_iter()
        .map(|m| m.path)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_shows_the_earlier_version_and_the_next_run_goes_on_from_there() {
    let world = lake(1).await;
    let first = shop::seen(&world).await.content();
    shop::day(&world, 2);
    run(&world, "r2").await;
    let second = shop::seen(&world).await.content();
    let (code, said, error) = musubi(&world, &["rollback", "--to", "1", "-f", "resources.yaml"]);
    assert_eq!(code, Some(0), "{error}");
    assert!(
        said.starts_with("Published version 3 with the content of version 1."),
        "{said}"
    );
    let back = shop::seen(&world).await;
    assert_eq!(back.version, 3);
    assert_eq!(back.content().tables, first.tables);
    assert_eq!(
        shop::seen(&world).await.content().warehouse,
        first.warehouse,
        "the warehouse too"
    );
    run(&world, "r4").await;
    let again = shop::seen(&world).await;
    assert_eq!(again.version, 4);
    assert_eq!(
        again.content().tables,
        second.tables,
        "the files of day 2 are taken again"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_done_twice_is_done_once_and_rolling_forward_is_one_too() {
    let world = lake(2).await;
    let second = shop::seen(&world).await.content();
    let store = world.store();
    let back = rollback::rollback(&store, PIPELINE, 1)
        .await
        .expect("rollback");
    assert_eq!(back.published.expect("published").version, 3);
    let again = rollback::rollback(&store, PIPELINE, 1)
        .await
        .expect("rollback");
    assert!(again.published.is_none());
    let forward = rollback::rollback(&store, PIPELINE, 2)
        .await
        .expect("rollback");
    assert_eq!(forward.published.expect("published").version, 4);
    assert_eq!(shop::seen(&world).await.content().tables, second.tables);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_under_way_is_refused_after_a_rollback_and_a_new_one_is_not() {
    let world = lake(2).await;
    shop::day(&world, 3);
    let (planned, secrets) = world.resolve("r3", 2);
    let context = musubi::stage::Context::open(planned, secrets).expect("open");
    musubi::stage::run_shard(&context, musubi_api::run::Stage::Plan, 0)
        .await
        .expect("plan");
    rollback::rollback(&world.store(), PIPELINE, 1)
        .await
        .expect("rollback");
    let error = world
        .run("r3", 2)
        .await
        .expect_err("it was planned for another version");
    assert!(
        format!("{error:#}").contains("start a new run"),
        "{error:#}"
    );
    run(&world, "r4").await;
    assert_eq!(shop::seen(&world).await.warehouse["orders"].len(), 12);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_come_back_is_said_and_nothing_is_touched() {
    let world = lake(2).await;
    let store = world.store();
    let error = rollback::rollback(&store, PIPELINE, 9)
        .await
        .expect_err("there is no 9");
    assert!(
        error
            .to_string()
            .contains("it has 1, 2 (see `musubi lake log`)"),
        "{error}"
    );
    let error = rollback::rollback(&store, "default/other", 1)
        .await
        .expect_err("not theirs");
    assert!(
        error
            .to_string()
            .contains("belongs to pipeline default/bento"),
        "{error}"
    );
    let model = pointer::version(&store, 1)
        .await
        .expect("read")
        .expect("version 1");
    store
        .delete(&model.state["registry"])
        .await
        .expect("delete");
    let error = rollback::rollback(&store, PIPELINE, 1)
        .await
        .expect_err("a file is gone");
    assert!(error.to_string().contains("cannot come back"), "{error}");
    assert_eq!(shop::seen(&world).await.version, 2);
    let (code, _, error) = musubi(&world, &["rollback", "--to", "1", "--lake", "nowhere"]);
    assert_eq!(
        (code, error.trim()),
        (Some(1), "error: --lake nowhere: there is no such folder")
    );
    let (code, _, _) = musubi(&world, &["rollback", "--to", "1"]);
    assert_eq!(code, Some(2), "neither -f nor --lake");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_tells_versions_newest_first_with_what_they_changed() {
    let world = lake(2).await;
    rollback::rollback(&world.store(), PIPELINE, 1)
        .await
        .expect("rollback");
    let entries = log::log(&world.store()).await.expect("log");
    let told: Vec<_> = entries
        .iter()
        .map(|e| (e.version, e.current, e.restores))
        .collect();
    assert_eq!(
        told,
        [(3, true, Some(1)), (2, false, None), (1, false, None)]
    );
    assert_eq!(
        (entries[0].changed["orders"], entries[1].changed["orders"]),
        (-4, 4)
    );
    assert_eq!(entries[1].run, "r2");
    assert!(entries[2].changed.is_empty());
    let (code, said, _) = musubi(&world, &["lake", "log", "--lake", "lake"]);
    assert_eq!(code, Some(0));
    assert!(
        said.contains("3 (current)") && said.contains("rollback to 1"),
        "{said}"
    );
    let (_, said, _) = musubi(
        &world,
        &["lake", "log", "-f", "resources.yaml", "-o", "json"],
    );
    let json: serde_json::Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(json[0]["restores"], 1);
    let (_, said, _) = musubi(&world, &["lake", "log", "--lake", "lake", "-o", "yaml"]);
    assert!(said.contains("version: 3"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn gc_says_what_would_go_and_deletes_only_when_told() {
    let world = lake(3).await;
    let before = paths(&world.store()).await;
    let args = [
        "lake",
        "gc",
        "--lake",
        "lake",
        "--keep-versions",
        "1",
        "--keep-days",
        "0",
    ];
    let (code, said, error) = musubi(&world, &[&args[..], &["--min-age", "0s"]].concat());
    assert_eq!(code, Some(0), "{error}");
    assert!(
        said.contains("past retention: 1, 2") && said.contains("Nothing was deleted"),
        "{said}"
    );
    assert_eq!(paths(&world.store()).await, before);
    let (_, said, _) = musubi(&world, &[&args[..], &["--delete"]].concat());
    assert_eq!(
        said, "Nothing to clear away; 3 versions are kept.\n",
        "a day is the default"
    );
    let delete = ["--min-age", "0s", "--delete"];
    let (_, said, _) = musubi(&world, &[&args[..], &delete].concat());
    assert!(said.contains("Versions gone: 1, 2"), "{said}");
    let (code, _, error) = musubi(&world, &["rollback", "--to", "1", "--lake", "lake"]);
    assert_eq!(code, Some(1));
    assert!(error.contains("version 1 is not in"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn gc_keeps_kept_versions_whole_and_the_next_run_goes_on() {
    let world = lake(4).await;
    let store = world.store();
    let mut digests = Vec::new();
    for version in [3, 4] {
        let version = pointer::version(&store, version)
            .await
            .expect("read")
            .expect("there");
        digests.push((shop::digests(&store, &version).await, version));
    }
    // An attempt that lost, a run that was given up, and a scrap.
    store
        .put("runs/r4/match/files/00000-lost-edges.parquet", "x".into())
        .await
        .expect("put");
    store
        .put("curated/orders/2026-11-04/0-lost.parquet", "x".into())
        .await
        .expect("put");
    store
        .put("clean/0123/lost/order.parquet", "x".into())
        .await
        .expect("put");
    store
        .put("identity/features/lost.parquet", "x".into())
        .await
        .expect("put");
    store
        .put("runs/given-up/plan/00000.json", r#"{"base":1}"#.into())
        .await
        .expect("put");
    std::fs::write(world.path("lake/curated/orders/half#1"), "x").expect("write");
    let raw: BTreeSet<String> = paths(&store)
        .await
        .into_iter()
        .filter(|p| p.starts_with("raw/"))
        .collect();
    let found = gc::clear(&store, &keep(2)).await.expect("clear");
    assert_eq!((found.kept, found.expired), (vec![3, 4], vec![1, 2]));
    let reasons: BTreeSet<Why> = found.waste.iter().map(|w| w.why).collect();
    assert_eq!(reasons.len(), 5, "{reasons:?}");
    let left = paths(&store).await;
    assert!(raw.is_subset(&left), "raw is never touched");
    for gone in [
        "runs/r4/match/files/00000-lost-edges.parquet",
        "curated/orders/2026-11-04/0-lost.parquet",
        "clean/0123/lost/order.parquet",
        "identity/features/lost.parquet",
        "runs/given-up/plan/00000.json",
        "published/0000000001.json",
    ] {
        assert!(!left.contains(gone), "{gone}");
    }
    let named = digests
        .iter()
        .flat_map(|(_, v)| v.state["features"].lines());
    let of_features = |p: &&String| p.starts_with("identity/features/");
    assert_eq!(
        left.iter().filter(of_features).collect::<Vec<_>>(),
        named
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect::<Vec<_>>(),
        "features are those that a kept version reads"
    );
    assert!(!world.path("lake/curated/orders/half#1").exists());
    assert!(
        gc::look(&store, &keep(2))
            .await
            .expect("look")
            .waste
            .is_empty(),
        "once is enough"
    );
    for (expected, version) in digests {
        assert_eq!(shop::digests(&store, &version).await, expected);
    }
    shop::day(&world, 5);
    run(&world, "r5").await;
    let back = rollback::rollback(&store, PIPELINE, 3)
        .await
        .expect("rollback");
    assert_eq!(back.published.expect("published").version, 6);
    assert_eq!(shop::seen(&world).await.version, 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn gc_between_any_two_stages_of_a_run_takes_nothing_from_it() {
    let world = lake(2).await;
    shop::day(&world, 3);
    let (run, secrets) = world.resolve("r3", 2);
    let context = musubi::stage::Context::open(run.clone(), secrets).expect("open");
    let store = world.store();
    let open = serde_json::json!({ "run": run, "nonce": "1" });
    let open = serde_json::to_vec(&open).expect("JSON");
    store.put("runs/open.json", open.into()).await.expect("put");
    for stage in musubi_api::run::Stage::ALL {
        for shard in 0..musubi::stage::shards(&context, stage).await.expect("width") {
            musubi::stage::run_shard(&context, stage, shard)
                .await
                .unwrap_or_else(|e| panic!("{}: {e:#}", stage.as_str()));
            gc::clear(&store, &keep(1)).await.expect("clear");
        }
    }
    let undisturbed = lake(3).await;
    let expected = shop::seen(&undisturbed).await;
    let seen = shop::seen(&world).await;
    assert_eq!(
        (seen.tables, seen.warehouse),
        (expected.tables, expected.warehouse)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lake_is_destroyed_by_its_owner_alone_and_only_when_it_is_meant() {
    // With the second version the pointer was swapped, which leaves a lock beside it.
    let world = lake(2).await;
    let place = world.path("lake");
    let place = place.to_str().expect("a path");
    let destroy = |more: &[&str]| {
        let args = [&["lake", "destroy", "--lake", place], more].concat();
        let (code, said, error) = musubi(&world, &args);
        (code, said + &error)
    };
    let store = world.store();
    let before = paths(&store).await;
    let (code, said) = destroy(&[]);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("The lake of pipeline default/bento"),
        "{said}"
    );
    assert!(
        said.contains("curated") && said.contains("add --yes to do it, for good"),
        "{said}"
    );
    let (code, said) = destroy(&["--owner", "retail/bento", "--yes"]);
    assert_eq!(code, Some(43), "{said}");
    assert!(
        said.contains(
            "belongs to pipeline default/bento, not to retail/bento: nothing was deleted"
        ),
        "{said}"
    );
    assert_eq!(paths(&store).await, before);

    // Who died in the middle can do it again: the owner goes last.
    for path in before.iter().filter(|path| *path != "owner.json").take(20) {
        store.delete(path).await.expect("delete");
    }
    let (code, said) = destroy(&["--owner", PIPELINE, "--yes"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(!world.path("lake").exists(), "the folder is gone as well");
    std::fs::create_dir(world.path("lake")).expect("a folder");
    let (code, said) = destroy(&["--owner", PIPELINE, "--yes"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("There is nothing at"), "{said}");

    // Something else that lies there is not ours to delete.
    world.write("lake/notes.txt", b"mine");
    let (code, said) = destroy(&["--owner", PIPELINE, "--yes"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("is no lake of musubi's: it has no owner.json"),
        "{said}"
    );
    assert!(world.path("lake/notes.txt").exists());
}
