//! Spans of a shard, as a collector gets them.

#[path = "support/shop.rs"]
mod shop;
mod support;

use std::{
    process::Command,
    time::{Duration, Instant},
};

use musubi_testing::{Collector, Span};
use support::World;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const STAGE: &str = "b7ad6b7169203331";

/// A world with one run, written to `run.yaml`.
fn world() -> World {
    let world = World::new(shop::RESOURCES);
    shop::day(&world, 1);
    let (run, _) = world.resolve("r1", 2);
    let text = serde_saphyr::to_string(&run).expect("YAML");
    world.write("run.yaml", text.as_bytes());
    world
}

/// Runs a stage as a pod does: its exit code, and what it said.
fn stage(world: &World, endpoint: &str, args: &[&str]) -> (Option<i32>, String) {
    let at = ["--run", "run.yaml", "--report", "report.json"];
    let out = Command::new(env!("CARGO_BIN_EXE_musubi"))
        .arg("stage")
        .args(args)
        .args(at)
        .current_dir(world.path("."))
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        .env("TRACEPARENT", format!("00-{TRACE}-{STAGE}-01"))
        .env_remove("RUST_LOG")
        .output()
        .expect("start musubi");
    let said = String::from_utf8(out.stderr).expect("text");
    (out.status.code(), said)
}

fn named<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    let found = spans.iter().find(|s| s.name == name);
    found.unwrap_or_else(|| panic!("no span {name} in {spans:#?}"))
}

#[test]
fn a_shard_is_a_span_of_the_stage_that_its_pod_belongs_to_and_has_its_phases() {
    let world = world();
    let collector = Collector::start().expect("a collector");
    for name in ["plan", "ingest", "clean"] {
        for shard in ["0", "1"]
            .into_iter()
            .take(if name == "plan" { 1 } else { 2 })
        {
            let (code, said) = stage(&world, &collector.endpoint(), &[name, "--shard", shard]);
            assert_eq!(code, Some(0), "{said}");
        }
    }
    let spans = collector.spans();
    let shards: Vec<&Span> = spans.iter().filter(|s| s.name == "shard").collect();
    assert_eq!(shards.len(), 5, "{spans:#?}");
    for shard in &shards {
        assert_eq!(
            (shard.trace.as_str(), shard.parent.as_str()),
            (TRACE, STAGE)
        );
        assert_eq!(shard.service, "musubi-worker");
        assert_eq!(shard.attributes["run"], "r1");
        assert!(!shard.failed);
        let parts = spans.iter().filter(|s| s.parent == shard.id);
        let parts: Vec<&str> = parts.map(|s| s.name.as_str()).collect();
        let of_stage = match shard.attributes["stage"].as_str() {
            "plan" => "list",
            "ingest" => "copy",
            _ => "read",
        };
        assert!(
            parts.contains(&of_stage) && parts.contains(&"commit"),
            "{parts:?}"
        );
    }
    for span in &spans {
        assert_eq!(span.trace, TRACE);
        assert!(span.time.0 <= span.time.1, "{span:?}");
    }
    let of = |stage: &str, count: &str| -> u64 {
        let shards = shards.iter().filter(|s| s.attributes["stage"] == stage);
        shards
            .filter_map(|s| s.attributes[count].parse::<u64>().ok())
            .sum()
    };
    assert!(of("ingest", "count.bytes") > 0);
    assert!(of("clean", "count.accepted") > 0);
    only_names_and_counts(&spans);
}

/// Neither a value of a row nor the key of an object: what an attribute says is a number, a stage, or the run.
fn only_names_and_counts(spans: &[Span]) {
    for span in spans {
        for (name, value) in &span.attributes {
            let known = match name.as_str() {
                "run" => value == "r1",
                "stage" => value.chars().all(|c| c.is_ascii_lowercase()),
                "reused" => value.parse::<bool>().is_ok(),
                _ => value.parse::<i64>().is_ok(),
            };
            assert!(known, "{}: {name} is {value}", span.name);
        }
    }
}

#[test]
fn all_stages_of_a_small_run_are_in_the_trace_of_the_pod_that_did_them() {
    let world = world();
    let collector = Collector::start().expect("a collector");
    let (code, said) = stage(
        &world,
        &collector.endpoint(),
        &["plan", "--go-on-when-small"],
    );
    assert_eq!(code, Some(0), "{said}");
    let spans = collector.spans();
    assert!(spans.iter().all(|s| s.trace == TRACE), "{spans:#?}");
    let stages: Vec<&Span> = spans.iter().filter(|s| s.name == "stage").collect();
    assert_eq!(stages.len(), 11, "{spans:#?}");
    for part in [
        "list", "copy", "clean", "model", "score", "link", "features", "publish", "load",
    ] {
        let part = named(&spans, part);
        let shard = spans
            .iter()
            .find(|s| s.id == part.parent)
            .expect("its shard");
        assert_eq!(shard.name, "shard");
    }
    only_names_and_counts(&spans);
}

#[test]
fn a_shard_that_fails_says_so_and_not_why() {
    let world = world();
    let collector = Collector::start().expect("a collector");
    let (code, said) = stage(&world, &collector.endpoint(), &["plan"]);
    assert_eq!(code, Some(0), "{said}");
    std::fs::remove_dir_all(world.path("data")).expect("remove what was to be read");
    let (code, said) = stage(&world, &collector.endpoint(), &["ingest"]);
    assert_eq!(code, Some(1), "{said}");
    let spans = collector.spans();
    let failed: Vec<&Span> = spans.iter().filter(|s| s.failed).collect();
    assert_eq!(failed.len(), 1, "{spans:#?}");
    assert_eq!(failed[0].attributes["stage"], "ingest");
    only_names_and_counts(&spans);
}

/// Nothing listens there; something listens, and never answers; what is said is no address at all.
#[test]
fn a_collector_that_cannot_be_reached_costs_a_line_in_the_log() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let silent = silent
        .local_addr()
        .map(|at| (at.port(), silent))
        .expect("a port");
    let closed = musubi_testing::free_port().expect("a port");
    for endpoint in [
        format!("http://127.0.0.1:{closed}"),
        format!("http://127.0.0.1:{}", silent.0),
        "http://".to_owned(),
    ] {
        let world = world();
        let begun = Instant::now();
        let (code, said) = stage(&world, &endpoint, &["plan"]);
        assert_eq!(code, Some(0), "{endpoint}: {said}");
        let report = std::fs::read_to_string(world.path("report.json")).expect("a report");
        assert!(report.contains("\"stage\":\"plan\""), "{report}");
        let told = |line: &str| {
            let by = ["opentelemetry", "OTEL_EXPORTER_OTLP"];
            line.contains("WARN") && by.iter().any(|by| line.contains(by))
        };
        assert!(said.lines().any(told), "{endpoint}: {said}");
        assert!(begun.elapsed() < Duration::from_secs(30), "{endpoint}");
    }
}

#[test]
fn nothing_is_sent_where_nobody_asks() {
    let world = world();
    let (code, said) = stage(&world, "", &["plan"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(!said.contains("WARN"), "{said}");
}
