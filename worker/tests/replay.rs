//! Everything that follows from raw can be built again from raw.

#[path = "support/bento.rs"]
mod bento;
mod support;

use std::fs;

use musubi::stage::{Context, runner::StageSummary, tables, view::View};
use musubi_api::run::Replay;
use support::{World, all_tables};

fn all_gates() -> Vec<String> {
    let names = tables::all().into_iter();
    names.map(|t| format!("rows/{}", t.name)).collect()
}

async fn run(world: &World, uid: &str) {
    world
        .run_as(uid, 2, |run| run.allow = all_gates())
        .await
        .unwrap_or_else(|e| panic!("{e:#}"));
}

async fn replay(world: &World, uid: &str, from: Option<&str>) -> Vec<StageSummary> {
    let from = from.map(|d| d.parse().expect("a date"));
    world
        .run_as(uid, 4, |run| run.replay = Some(Replay { from }))
        .await
        .unwrap_or_else(|e| panic!("{e:#}"))
}

fn count(stages: &[StageSummary], stage: &str, name: &str) -> i64 {
    let stage = stages
        .iter()
        .find(|s| s.stage.as_str() == stage)
        .expect("a stage");
    stage.counts.get(name).copied().unwrap_or_default()
}

/// Two days, a customer who turns out to be another, and a corrected row.
async fn history() -> World {
    let world = bento::world();
    run(&world, "r1").await;
    correct(&world).await;
    bento::second_day(&world);
    run(&world, "r2").await;
    world
}

async fn correct(world: &World) {
    let (resolved, secrets) = world.resolve("any", 2);
    let context = Context::open(resolved, secrets).expect("open the lake");
    let view = View::latest(&context).await.expect("a view");
    let filter = musubi::quarantine::Filter {
        source: Some("loyalty".into()),
        ..Default::default()
    };
    let path = world.path("bad.csv");
    musubi::quarantine::export(&view, &filter, |_, _| {
        Ok((Box::new(fs::File::create(&path)?), String::new()))
    })
    .await
    .expect("export");
    let text = fs::read_to_string(&path).expect("read");
    fs::write(&path, text.replace("not a date", "1985/05/05")).expect("write");
    musubi::quarantine::replay(&context, &view, &[path])
        .await
        .expect("hand in");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_lost_comes_back_from_raw_alone() {
    for history_too in [false, true] {
        let world = history().await;
        let before = all_tables(&world.store()).await;
        // A run that was refused left a file in the raw zone that nobody published.
        world.write(
            "data/oms/oms_20261101.txt",
            b"H,20261101\nD,W1,lost,1\nT,1\n",
        );
        world
            .run_as("refused", 2, |run| {
                run.spec.gates.max_row_drop_percent = 0.0
            })
            .await
            .expect_err("a gate");
        for part in ["clean", "curated", "runs"] {
            fs::remove_dir_all(world.path("lake").join(part)).expect("remove");
        }
        fs::remove_file(world.path("lake/published.json")).expect("remove");
        if history_too {
            fs::remove_dir_all(world.path("lake/published")).expect("remove");
        }
        fs::remove_dir_all(world.path("data")).expect("remove the sources");
        replay(&world, "again", None).await;
        assert_eq!(before, all_tables(&world.store()).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_in_place_publishes_the_same_as_a_new_version() {
    let world = history().await;
    let before = all_tables(&world.store()).await;
    fs::remove_dir_all(world.path("data")).expect("remove the sources");
    let stages = replay(&world, "again", None).await;
    assert_eq!(
        count(&stages, "clean", "files"),
        5,
        "all active files are cleaned again"
    );
    assert_eq!(count(&stages, "ingest", "files"), 0);
    let (published, _) = musubi_lake::pointer::published(&world.store())
        .await
        .expect("read")
        .expect("published");
    assert_eq!(published.version, 3);
    assert_eq!(before, all_tables(&world.store()).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn from_a_day_only_later_files_are_cleaned_again() {
    let world = history().await;
    let before = all_tables(&world.store()).await;
    let stages = replay(&world, "again", Some("2026-11-02")).await;
    // The second day's file, and the archive that has no date and arrived on the fifth.
    assert_eq!(count(&stages, "clean", "files"), 2);
    assert_eq!(before, all_tables(&world.store()).await);
    // The next run finds nothing new and changes nothing.
    run(&world, "r4").await;
    assert_eq!(before, all_tables(&world.store()).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_lake_is_built_from_a_copy_of_raw_and_identity() {
    let world = history().await;
    let before = all_tables(&world.store()).await;
    for part in ["raw", "identity"] {
        copy(
            &world.path("lake").join(part),
            &world.path("new").join(part),
        );
    }
    let new = world.path("new");
    let folder = new.display().to_string();
    world
        .run_as("again", 1, |run| {
            run.replay = Some(Replay::default());
            run.spec.lake.folder = Some(folder);
        })
        .await
        .unwrap_or_else(|e| panic!("{e:#}"));
    let store = musubi_lake::Store::open(&musubi_lake::Location::Folder(new)).expect("open");
    assert_eq!(before, all_tables(&store).await);
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    fs::create_dir_all(to).expect("make a folder");
    for entry in fs::read_dir(from).expect("list") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("copy");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_lake_has_nothing_to_rebuild() {
    let world = bento::world();
    let error = world
        .run_as("r1", 1, |run| run.replay = Some(Replay::default()))
        .await
        .expect_err("nothing there");
    assert!(
        format!("{error:#}").contains("`musubi run` takes files"),
        "{error:#}"
    );
}
