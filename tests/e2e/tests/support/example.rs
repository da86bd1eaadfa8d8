//! `examples/bento` with a small world: on a laptop, and in the cluster.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use jiff::Timestamp;
use musubi::{
    demo::{examples, world},
    digest::{Ids, published},
    stage::{Context, runner},
};
use musubi_api::load_paths;
use musubi_testing::Postgres;
use serde_json::{Value, json};

use super::World;

/// The digest of every table.
pub(crate) type Digests = BTreeMap<String, String>;

/// The example's resources, and the files of some days.
pub(crate) struct Example {
    folder: tempfile::TempDir,
    received: tempfile::TempDir,
}

impl Example {
    /// Draws a world of so many days, of which no file was received yet.
    pub(crate) fn new(days: u32) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        for (number, object) in objects().iter().enumerate() {
            let file = folder.path().join(format!("{number}.yaml"));
            std::fs::write(file, object.to_string()).expect("the example");
        }
        let received = tempfile::tempdir().expect("a folder");
        world::World::generate(300, days, 7, received.path()).expect("a world");
        Self { folder, received }
    }

    /// Receives the files of a day, counted from 0; with the first those that belong to no day.
    pub(crate) async fn receive(&self, day: u32, world: &World) {
        let from = self.received.path().join("data");
        let date = format!("202610{:02}", day + 1);
        let of_day = |file: &Path| {
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            name.contains(&date) || (day == 0 && !name.contains("202610"))
        };
        for file in super::files(&from).into_iter().filter(|f| of_day(f)) {
            let path = file.strip_prefix(&from).expect("below").to_owned();
            let here = self.folder.path().join("data").join(&path);
            std::fs::create_dir_all(here.parent().expect("a folder")).expect("a folder");
            std::fs::copy(&file, here).expect("copy");
            let bytes = std::fs::read(&file).expect("read");
            world.put(&format!("data/{}", path.display()), bytes).await;
        }
    }

    /// Runs it on this machine, and gives what is published then.
    pub(crate) async fn on_a_laptop(&self, as_of: Timestamp) -> Digests {
        let folder: PathBuf = self.folder.path().into();
        let catalog = load_paths(&[folder]).unwrap_or_else(|p| panic!("{p}"));
        let uid = as_of.to_string();
        let run = catalog
            .resolve_run(Some("bento"), &uid, as_of)
            .unwrap_or_else(|p| panic!("{p}"));
        let context = Context::open(run, catalog.secrets().clone()).expect("a lake");
        let done = runner::run(&context, 2, Arc::new(())).await;
        done.expect("a run");
        published(&context.store, Ids::Published)
            .await
            .expect("digests")
    }

    /// A file that the laptop wrote beside the resources.
    pub(crate) fn file(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    /// The resources for pods, which have no folder of this machine: data, lake and audiences lie in a bucket, and
    /// `warehouse` stands in the place of the file, if there is one.
    pub(crate) fn resources(world: &World, warehouse: Option<&Value>) -> Vec<Value> {
        let mut all = objects();
        if warehouse.is_none() {
            all.retain(|o| !matches!(o["kind"].as_str(), Some("Warehouse" | "Audience")));
        }
        for object in &mut all {
            let kind = object["kind"].as_str().unwrap_or_default().to_owned();
            let spec = &mut object["spec"];
            match kind.as_str() {
                "Source" => {
                    let path = spec["connector"]["folder"]["path"].as_str();
                    let prefix = path.unwrap_or_default().trim_start_matches("./").to_owned();
                    spec["connector"] = json!({ "s3": world.s3(&prefix) });
                }
                "Warehouse" => *spec = warehouse.cloned().unwrap_or_default(),
                "Audience" => spec["destination"] = json!({ "s3": world.s3("audiences") }),
                "CustomerPipeline" => {
                    spec["lake"] = json!({ "s3": world.s3("lake") });
                    spec["pods"] = json!({ "memory": "1Gi", "cpu": "100m" });
                    if warehouse.is_none() {
                        spec["warehouses"] = json!([]);
                        spec["audiences"] = json!([]);
                    }
                }
                _ => {}
            }
        }
        all
    }
}

/// The example's resources. So few people have few rows a day, of which a few bad ones are a large share.
fn objects() -> Vec<Value> {
    let mut all = Vec::new();
    for (_, text) in examples::FILES {
        let documents: Vec<Value> = serde_saphyr::from_multiple(text).expect("YAML");
        all.extend(documents);
    }
    let streams = all.iter_mut().filter(|o| o["kind"] == "Source");
    let streams = streams.flat_map(|source| source["spec"]["streams"].as_array_mut());
    for stream in streams.flatten() {
        stream["contract"]["quarantineLimit"] = json!({ "percent": 90 });
    }
    all
}

/// The resources for pods, with a PostgreSQL that pods reach as their warehouse.
pub(crate) async fn with_postgres(world: &World, warehouse: &Postgres) -> Vec<Value> {
    let (user, password) = warehouse.keys();
    let keys = [("username", user), ("password", password)];
    world.secret("musubi-warehouse", keys).await;
    let spec = json!({ "postgres": {
        "host": world.cluster.host, "port": warehouse.port(), "database": "musubi",
        "credentials": { "secret": "musubi-warehouse" }, "tls": "disable",
    } });
    Example::resources(world, Some(&spec))
}

/// The pipeline among resources.
pub(crate) fn pipeline(resources: &mut [Value]) -> &mut Value {
    let found = resources
        .iter_mut()
        .find(|o| o["kind"] == "CustomerPipeline");
    &mut found.expect("a pipeline")["spec"]
}
