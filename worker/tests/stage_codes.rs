//! `musubi stage`: what a Job's pod is told by exit code and report.

#[path = "support/shop.rs"]
mod shop;
mod support;

use std::{fs, process::Command};

use musubi_api::run::Stage;
use support::{World, musubi};

/// A world with one run, written to `run.yaml`.
fn world(change: impl FnOnce(String) -> String) -> World {
    let world = World::new(shop::RESOURCES);
    shop::day(&world, 1);
    let (run, _) = world.resolve("r1", 2);
    let text = serde_saphyr::to_string(&run).expect("YAML");
    world.write("run.yaml", change(text).as_bytes());
    world
}

fn stage(world: &World, name: &str, shard: u32) -> (Option<i32>, String) {
    let shard = shard.to_string();
    let at = ["--run", "run.yaml", "--report", "report.json"];
    let args = [&["stage", name, "--shard", &shard], at.as_slice()].concat();
    let (code, output, error) = musubi(world, &args);
    assert!(output.is_empty(), "the report goes to its file");
    (code, error)
}

fn report(world: &World) -> serde_json::Value {
    let bytes = fs::read(world.path("report.json")).expect("a report");
    assert!(bytes.len() < 4096, "{} bytes", bytes.len());
    serde_json::from_slice(&bytes).expect("JSON")
}

#[test]
fn every_shard_of_every_stage_ends_with_0_and_a_small_report_and_so_does_its_retry() {
    let world = world(|text| text);
    let width = |stage| match stage {
        Stage::Ingest | Stage::Clean | Stage::Match | Stage::Attach | Stage::Curate => 2,
        _ => 1,
    };
    for name in Stage::ALL {
        for shard in 0..width(name) {
            for reused in [false, true] {
                let (code, error) = stage(&world, name.as_str(), shard);
                assert_eq!(code, Some(0), "{}: {error}", name.as_str());
                let report = report(&world);
                assert_eq!(
                    (&report["stage"], &report["reused"]),
                    (&name.as_str().into(), &reused.into())
                );
                assert!(
                    report["counts"]
                        .as_object()
                        .expect("counts")
                        .values()
                        .all(|n| n.is_i64())
                );
            }
        }
    }
    stage(&world, "plan", 0);
    let widths = &report(&world)["shards"];
    assert_eq!((&widths["match"], &widths["load"]), (&2.into(), &1.into()));
    let (code, error) = stage(&world, "match", 2);
    assert_eq!(code, Some(42), "{error}");
    assert!(
        report(&world)["error"]
            .as_str()
            .expect("why")
            .contains("no shard 2")
    );
}

/// The report of a plan that may go on.
fn go_on(world: &World) -> serde_json::Value {
    let at = ["--run", "run.yaml", "--report", "report.json"];
    let args = [&["stage", "plan", "--go-on-when-small"], at.as_slice()].concat();
    let (code, _, error) = musubi(world, &args);
    assert_eq!(code, Some(0), "{error}");
    report(world)
}

#[test]
fn a_small_run_goes_on_through_all_stages_and_a_large_one_does_not() {
    let small = world(|text| text);
    for _ in 0..2 {
        let report = go_on(&small);
        let stages = report["stages"].as_array().expect("stages");
        let names: Vec<&str> = stages.iter().filter_map(|s| s["stage"].as_str()).collect();
        let others: Vec<&str> = Stage::ALL[1..].iter().map(|s| s.as_str()).collect();
        assert_eq!(names, others);
        assert_eq!(stages[7]["counts"]["version"], 1, "{report}");
        assert_eq!(stages[0]["shards"], 2);
        // The files are of 1 November in Tokyo; what is said of them names a source and a second.
        let end = "2026-11-01T15:00:00Z"
            .parse::<jiff::Timestamp>()
            .expect("an instant");
        assert_eq!(report["bookmarks"]["loyalty"], end.as_second(), "{report}");
    }
    let (code, error) = stage(&small, "publish", 0);
    assert_eq!(code, Some(0), "{error}");
    assert_eq!(report(&small)["reused"], true);
    assert!(report(&small)["bookmarks"]["shop"].is_i64());

    let large = world(|text| text.replacen("splitMebibytes: 64", "splitMebibytes: 1", 1));
    let text = fs::read_to_string(large.path("run.yaml")).expect("the run");
    assert!(text.contains("splitMebibytes: 1\n"), "{text}");
    large.write("data/shop/orders_20261102.jsonl", &[b'\n'; 1 << 20]);
    let report = go_on(&large);
    assert_eq!(report["shards"]["plan"], 1);
    assert!(report.get("stages").is_none(), "{report}");
}

#[test]
fn what_may_succeed_later_is_tried_again_and_what_never_can_is_not() {
    let fresh = world(|text| text);
    let (code, error) = stage(&fresh, "train", 0);
    assert_eq!(code, Some(1), "{error}");
    assert!(error.contains("run stage plan first"), "{error}");
    assert_eq!(
        stage(&fresh, "polish", 0).0,
        Some(2),
        "there is no such stage"
    );
    assert_eq!(
        stage(&world(|_| "sources: [".into()), "plan", 0).0,
        Some(43)
    );
    let newer = world(|text| text.replacen("format: 1", "format: 99", 1));
    let (code, error) = stage(&newer, "plan", 0);
    assert_eq!(code, Some(43), "{error}");
    assert!(error.contains("use a newer worker"), "{error}");
    assert!(
        report(&newer)["error"]
            .as_str()
            .expect("why")
            .contains("format 99")
    );
}

#[test]
fn a_snapshot_that_somebody_changed_is_refused() {
    let world = world(|text| text);
    let plan = |sha256: &str| {
        Command::new(env!("CARGO_BIN_EXE_musubi"))
            .args(["stage", "plan", "--run-sha256", sha256, "--run"])
            .arg(world.path("run.yaml"))
            .output()
            .expect("start musubi")
    };
    let refused = plan(&"0".repeat(64));
    assert_eq!(refused.status.code(), Some(43));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        said.contains("somebody changed it. In a cluster: delete the run's ConfigMap"),
        "{said}"
    );
    let own = said.split("SHA-256 ").nth(1).and_then(|t| t.get(..64));
    assert_eq!(plan(own.expect("its digest")).status.code(), Some(0));
}

#[test]
fn a_run_that_a_gate_refuses_can_never_succeed() {
    let world = world(|text| text);
    world.write(
        "data/shop/orders_20261101.jsonl",
        "{ not json\n".repeat(30).as_bytes(),
    );
    for name in &Stage::ALL[..8] {
        for shard in 0..2 {
            stage(&world, name.as_str(), shard);
        }
    }
    let (code, error) = stage(&world, "publish", 0);
    assert_eq!(code, Some(43), "{error}");
    assert!(
        report(&world)["error"]
            .as_str()
            .expect("why")
            .contains("nothing was published")
    );
}
