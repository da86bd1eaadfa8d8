//! A small shop: members of a loyalty programme, in files of the bucket.

use serde_json::json;

use super::{World, object};

/// Makes the Source `shop`, with so many files of one member each, and says how fresh it has to be.
pub(crate) async fn shop(world: &World, files: u32, freshness: Option<&str>) {
    for n in 0..files {
        let member = format!("id,email\n{n},person{n}@example.com\n");
        world.put(&format!("files/members_{n}.csv"), member).await;
    }
    let mut source = json!({
        "system": "loyalty", "connector": { "s3": world.s3("files") },
        "streams": [{
            "name": "members", "files": { "path": "*.csv" }, "format": { "csv": {} },
            "entities": [{ "entity": "customer", "key": ["id"], "fields": { "email": { "from": "email" } } }],
        }],
    });
    if let Some(freshness) = freshness {
        source["freshness"] = freshness.into();
    }
    world.apply(&object("Source", "shop", source)).await;
}

/// Makes the Source `shop` with two files, and a pipeline of that name with small pods.
pub(crate) async fn pipeline(world: &World) {
    shop(world, 2, None).await;
    let pods = json!({ "memory": "512Mi", "cpu": "50m" });
    let spec = json!({ "sources": ["shop"], "lake": { "s3": world.s3("lake") }, "pods": pods });
    world.apply(&object("CustomerPipeline", "shop", spec)).await;
}
