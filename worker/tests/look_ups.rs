//! Rows that look something up in another stream are cleaned again when, and only when, the answer is another.

mod support;

use support::World;

const RESOURCES: &str = r"
apiVersion: musubi.dev/v1alpha1
kind: Source
metadata: { name: app }
spec:
  system: app
  connector: { folder: { path: data/app } }
  streams:
    - name: devices
      files: { path: 'devices_{yyyyMMdd}.jsonl' }
      format: { json: {} }
      entities:
        - entity: customer
          key: [device_id]
          fields:
            device_id: { from: device_id }
    - name: logins
      files: { path: 'logins_{yyyyMMdd}.jsonl' }
      format: { json: {} }
      changes: append
      lookups:
        - { as: device, stream: devices, by: device_id, key: device_id }
      entities:
        - entity: event
          key: [login]
          fields:
            event_type: { const: login }
            occurred_at: { from: at }
            platform: { from: device.platform }
---
apiVersion: musubi.dev/v1alpha1
kind: CustomerPipeline
metadata: { name: bento }
spec:
  sources: [app]
  lake: { folder: lake }
";

/// Runs, and gives how many files were cleaned.
async fn cleaned(world: &World, uid: &str) -> i64 {
    let stages = world.run(uid, 2).await.unwrap_or_else(|e| panic!("{e:#}"));
    let clean = stages.iter().find(|s| s.stage.as_str() == "clean");
    clean.expect("stage clean").counts["files"]
}

fn device(world: &World, day: u32, device: &str) {
    let row = format!(r#"{{"device_id":"{device}","platform":"ios"}}"#);
    world.write(
        &format!("data/app/devices_2026110{day}.jsonl"),
        row.as_bytes(),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn only_another_answer_cleans_a_file_again() {
    let world = World::new(RESOURCES);
    device(&world, 1, "d1");
    let logins = [
        r#"{"login":"l1","at":"2026-11-01T12:00:00+09:00","device_id":"d1"}"#,
        r#"{"login":"l2","at":"2026-11-01T13:00:00+09:00","device_id":"d2"}"#,
    ];
    world.write(
        "data/app/logins_20261101.jsonl",
        logins.join("\n").as_bytes(),
    );
    assert_eq!(cleaned(&world, "r1").await, 2);
    let known = |rows: &[String]| rows.iter().filter(|r| r.contains("ios")).count();
    assert_eq!(known(&world.tables().await["events"]), 1);

    device(&world, 2, "d3");
    assert_eq!(cleaned(&world, "r2").await, 1, "nobody asked for d3");

    device(&world, 3, "d2");
    assert_eq!(cleaned(&world, "r3").await, 2, "l2 asked for d2");
    let tables = world.tables().await;
    assert_eq!(tables["events"].len(), 2);
    assert_eq!(known(&tables["events"]), 2);
}
