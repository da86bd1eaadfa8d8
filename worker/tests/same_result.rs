//! The same result: whatever the number of shards and their order, and whether days came one by one or
//! all at once.

mod support;

use std::{collections::BTreeMap, fs, path::Path};

use musubi::{
    demo::{examples, world},
    digest::{self, Ids},
    stage::{self, Context},
};
use musubi_api::{
    load,
    run::{Run, Stage},
    secrets::Secrets,
};
use musubi_lake::{Location, Store, delta, pointer};

const CUSTOMERS: u64 = 120;
const DAYS: u32 = 10;

type Digests = BTreeMap<String, String>;

/// A folder with the demo's resources, whose data comes day by day.
struct Retailer {
    folder: tempfile::TempDir,
}

impl Retailer {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        examples::write(folder.path()).expect("resources");
        Self { folder }
    }

    /// Takes the files of a world whose name has one of these dates, or none.
    fn receive(&self, world: &Path, days: std::ops::Range<u32>) {
        let dates: Vec<String> = days.map(|d| format!("202610{:02}", d + 1)).collect();
        for system in fs::read_dir(world.join("data")).expect("data") {
            let system = system.expect("a system").path();
            let target = self
                .folder
                .path()
                .join("data")
                .join(system.file_name().expect("a name"));
            fs::create_dir_all(&target).expect("a folder");
            for file in fs::read_dir(&system).expect("files") {
                let file = file.expect("a file").path();
                let name = file
                    .file_name()
                    .expect("a name")
                    .to_string_lossy()
                    .into_owned();
                if !name.contains("202610") || dates.iter().any(|d| name.contains(d)) {
                    fs::copy(&file, target.join(&name)).expect("copy");
                }
            }
        }
    }

    fn resolve(&self, uid: &str, shards: u32) -> (Run, Secrets) {
        let catalog = load::load_and_validate(&[self.folder.path().to_path_buf()])
            .unwrap_or_else(|p| panic!("{p}"));
        let as_of = "2026-11-05T00:00:00Z".parse().expect("an instant");
        let mut run = catalog
            .resolve_run(Some("bento"), uid, as_of)
            .unwrap_or_else(|p| panic!("{p}"));
        run.spec.sharding.shards = Some(shards);
        // So small a world has more bad rows than a gate lets pass.
        for (source, spec) in &run.sources {
            let gates = spec
                .streams
                .iter()
                .map(|s| format!("quarantine/{source}/{}", s.name));
            run.allow.extend(gates);
        }
        run.warehouses.clear();
        run.audiences.clear();
        (run, catalog.secrets().clone())
    }

    /// Runs every stage; `order` says in which order the shards of a stage run.
    async fn run(&self, (run, secrets): (Run, Secrets), order: impl Fn(u32) -> Vec<u32>) {
        let context = Context::open(run, secrets).expect("the lake");
        for stage in Stage::ALL {
            let width = stage::shards(&context, stage).await.expect("a width");
            for shard in order(width) {
                stage::run_shard(&context, stage, shard)
                    .await
                    .unwrap_or_else(|e| panic!("{e:#}"));
            }
        }
    }

    fn store(&self) -> Store {
        Store::open(&Location::Folder(self.folder.path().join("lake"))).expect("the lake")
    }

    /// The files of every published table.
    async fn files(&self) -> BTreeMap<String, Vec<String>> {
        let store = self.store();
        let (published, _) = pointer::published(&store)
            .await
            .expect("the pointer")
            .expect("a version");
        let mut files = BTreeMap::new();
        for (table, at) in published.tables {
            let folder = format!("curated/{table}");
            let snapshot = delta::snapshot(&store, &folder, Some(at.delta_version)).await;
            let snapshot = snapshot.expect("the log").expect("a table");
            files.insert(table, snapshot.files.into_keys().collect());
        }
        files
    }

    async fn digests(&self, ids: Ids) -> Digests {
        digest::published(&self.store(), ids)
            .await
            .expect("digests")
    }
}

fn a_world(days: u32) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    world::World::generate(CUSTOMERS, days, 5, folder.path()).expect("a world");
    folder
}

fn in_order(width: u32) -> Vec<u32> {
    (0..width).collect()
}

/// A shuffle that is the same in every test run.
fn shuffled(width: u32) -> Vec<u32> {
    let mut shards = in_order(width);
    shards.sort_by_key(|s| s.wrapping_mul(0x9E37_79B1).rotate_left(7));
    shards
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_the_number_of_shards_nor_their_order_matters() {
    let world = a_world(2);
    let mut outcomes: Vec<Digests> = Vec::new();
    for (shards, order) in [
        (1, in_order as fn(u32) -> Vec<u32>),
        (4, shuffled),
        (16, shuffled),
    ] {
        let retailer = Retailer::new();
        retailer.receive(world.path(), 0..2);
        retailer.run(retailer.resolve("r1", shards), order).await;
        outcomes.push(retailer.digests(Ids::Published).await);
    }
    assert_eq!(outcomes[0], outcomes[1], "1 and 4 shards");
    assert_eq!(outcomes[0], outcomes[2], "1 and 16 shards");
    assert!(outcomes[0].len() > 15, "{:?}", outcomes[0].keys());
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_days_in_ten_runs_are_the_ten_days_in_one() {
    let world = a_world(DAYS);
    let daily = Retailer::new();
    for day in 0..DAYS {
        daily.receive(world.path(), day..day + 1);
        // The width may differ from run to run.
        let shards = 1 + day % 3;
        daily
            .run(daily.resolve(&format!("r{day}"), shards), shuffled)
            .await;
    }
    // A run with nothing new keeps every file.
    let before = daily.files().await;
    daily.run(daily.resolve("again", 2), in_order).await;
    assert_eq!(daily.files().await, before);

    let models = daily.store().list("identity/models").await.expect("models");
    assert_eq!(models.len(), 1, "the model of the first day stands");

    let once = Retailer::new();
    once.receive(world.path(), 0..DAYS);
    let model = &models[0].path;
    let bytes = daily.store().get(model).await.expect("the model");
    once.store().put(model, bytes).await.expect("the model");
    let (mut run, secrets) = once.resolve("r", 4);
    let name = model
        .rsplit('/')
        .next()
        .and_then(|n| n.strip_suffix(".json"));
    run.policy.pinned_model = name.map(str::to_owned);
    once.run((run, secrets), in_order).await;

    let (mut daily, mut once) = (
        daily.digests(Ids::ByRecords).await,
        once.digests(Ids::ByRecords).await,
    );
    // What happened to ids is the history itself.
    daily.remove("id_changes");
    once.remove("id_changes");
    assert_eq!(daily, once);
}
