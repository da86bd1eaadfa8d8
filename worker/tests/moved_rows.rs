//! A row whose order number changes is still one row, in however many slots its versions were dealt.

mod support;

use support::World;

const RESOURCES: &str = r"
apiVersion: musubi.dev/v1alpha1
kind: Source
metadata: { name: shop }
spec:
  system: ecommerce
  connector: { folder: { path: data } }
  streams:
    - name: baskets
      files: { path: 'baskets_{yyyyMMdd}.jsonl' }
      format: { json: {} }
      changes: upsert
      entities:
        - entity: order
          key: [basket]
          fields:
            order_number: { from: number }
            ordered_at: { from: at }
            total: { from: total }
---
apiVersion: musubi.dev/v1alpha1
kind: CustomerPipeline
metadata: { name: bento }
spec:
  sources: [shop]
  lake: { folder: lake }
";

/// Ten baskets; `numbered` ones have become orders.
fn baskets(world: &World, day: u32, numbered: bool) {
    let rows: Vec<String> = (0..10)
        .map(|n| {
            let number = if numbered { format!("\"W{n}\"") } else { "null".to_owned() };
            format!(r#"{{"basket":"b{n}","number":{number},"at":"2026-11-01T12:00:00+09:00","total":{n}}}"#)
        })
        .collect();
    world.write(
        &format!("data/baskets_2026110{day}.jsonl"),
        rows.join("\n").as_bytes(),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_moves_is_one_row() {
    for shards in [1, 16] {
        let world = World::new(RESOURCES);
        baskets(&world, 1, false);
        world
            .run("r1", shards)
            .await
            .unwrap_or_else(|e| panic!("{e:#}"));
        assert_eq!(world.tables().await["orders"].len(), 10);
        baskets(&world, 2, true);
        world
            .run("r2", shards)
            .await
            .unwrap_or_else(|e| panic!("{e:#}"));
        let orders = world.tables().await.remove("orders").expect("orders");
        assert_eq!(orders.len(), 10, "{shards} shards: {orders:#?}");
        assert!(orders.iter().all(|o| o.contains("|W")), "{orders:#?}");
    }
}
