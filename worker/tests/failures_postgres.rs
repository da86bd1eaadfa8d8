//! A run that loses its connection to a PostgreSQL warehouse at any message that the server acts on, before the server has it or
//! before its answer is back, and is started again, ends as if nothing had happened.

#[path = "support/shop.rs"]
mod shop;
mod support;

use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

use futures::{StreamExt as _, stream};
use musubi::stage::{Context, runner};
use musubi_api::{run::Run, secrets::Secrets};
use musubi_testing::{
    Postgres,
    cutter::{Cut, Cutter},
};
use support::World;
use tokio_postgres::Client;

const WAREHOUSE: &str =
    "postgres: { host: 127.0.0.1, database: musubi, credentials: { secret: server }, tls: disable }
  tables: [links, orders]
---
apiVersion: v1
kind: Secret
metadata: { name: server }
stringData: { username: musubi, password: musubi-test }";

/// How many cases are tried side by side.
const WORKERS: usize = 4;

/// What the warehouse says: rows of every table and view and of the ledger, and the indexes.
type Seen = BTreeMap<String, Vec<String>>;

/// Two days that are published and not yet loaded.
struct Scene {
    world: World,
    days: Vec<(Run, Secrets)>,
}

impl Scene {
    async fn new() -> Self {
        let resources = shop::RESOURCES.replace("sqlite: { path: out/bento.sqlite }", WAREHOUSE);
        let world = World::new(&resources);
        let mut days = Vec::new();
        for (day, uid) in [(1, "r1"), (2, "r2")] {
            shop::day(&world, day);
            let published = world
                .run_as(uid, 2, |run| {
                    run.warehouses.clear();
                    run.audiences.clear();
                })
                .await;
            published.unwrap_or_else(|e| panic!("{e:#}"));
            let (mut run, secrets) = world.resolve(uid, 2);
            run.audiences.clear();
            days.push((run, secrets));
        }
        Self { world, days }
    }

    /// A lake of one's own, as the two days left it.
    fn lake(&self) -> tempfile::TempDir {
        let lake = tempfile::tempdir().expect("a temporary folder");
        copy(&self.world.path("lake"), lake.path()).expect("copy the lake");
        lake
    }

    /// Runs what is left of a day: its load.
    async fn run(&self, day: usize, lake: &Path, schema: &str, port: u16) -> anyhow::Result<()> {
        let (mut run, secrets) = self.days[day].clone();
        run.spec.lake.folder = Some(lake.to_str().expect("a path that is text").into());
        for warehouse in run.warehouses.values_mut() {
            let server = warehouse.postgres.as_mut().expect("PostgreSQL");
            (server.port, server.schema) = (port, schema.into());
        }
        runner::run(&Context::open(run, secrets)?, 1, Arc::new(())).await?;
        Ok(())
    }
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

async fn seen(client: &Client, schema: &str) -> Result<Seen, tokio_postgres::Error> {
    let names = "SELECT table_name::text FROM information_schema.tables WHERE table_schema = $1";
    let mut queries = vec![(
        "indexes".to_owned(),
        format!(
            "SELECT replace(indexdef, '{schema}', '') FROM pg_indexes
             WHERE schemaname = '{schema}' AND tablename NOT LIKE 'musubi%' ORDER BY 1"
        ),
    )];
    for row in client.query(names, &[&schema]).await? {
        let table: String = row.get(0);
        // When it was loaded is the one thing that may differ.
        let rows =
            format!("SELECT (to_jsonb(t) - 'loaded_at')::text FROM {schema}.{table} t ORDER BY 1");
        queries.push((table, rows));
    }
    let mut seen = Seen::new();
    for (what, query) in queries {
        let rows = client.query(&query, &[]).await?;
        if !rows.is_empty() {
            seen.insert(what, rows.iter().map(|row| row.get(0)).collect());
        }
    }
    Ok(seen)
}

/// What a load sends to the server, and what is there afterwards.
struct Load {
    messages: Vec<String>,
    /// The messages that the server acts on; those between them prepare a statement and change nothing.
    cuts: Vec<usize>,
    result: Seen,
}

async fn undisturbed(scene: &Scene, cutter: &Cutter, client: &Client) -> Vec<Load> {
    let lake = scene.lake();
    let mut loads = Vec::new();
    for day in 0..2 {
        cutter.cut(None);
        let done = scene.run(day, lake.path(), "calm", cutter.port()).await;
        done.unwrap_or_else(|e| panic!("{e:#}"));
        let result = seen(client, "calm").await.expect("read the warehouse");
        let messages = cutter.seen();
        assert_eq!(messages.last().map(String::as_str), Some("query COMMIT"));
        let acts = |m: &str| {
            ["connect", "password", "query", "execute", "copy"]
                .iter()
                .any(|kind| m.starts_with(kind))
        };
        let cuts = (0..messages.len())
            .filter(|k| acts(&messages[*k]))
            .collect();
        loads.push(Load {
            messages,
            cuts,
            result,
        });
    }
    assert_ne!(loads[0].result, loads[1].result);
    loads
}

/// Both days, each cut at the message that is `nth` among those to cut at, and started again.
async fn case(scene: &Scene, loads: &[Load], server: &Server, nth: usize, cut: Cut) {
    let lake = scene.lake();
    let schema = format!("{cut:?}_{nth}").to_lowercase();
    let mut before = Seen::new();
    for (day, load) in loads.iter().enumerate() {
        if let Some(&k) = load.cuts.get(nth) {
            let message = &load.messages[k];
            let here = format!("day {day}, cut {cut:?} message {k}: {message}");
            server.cutter.cut(Some((k, cut)));
            let port = server.cutter.port();
            let failed = scene.run(day, lake.path(), &schema, port).await;
            let error = format!("{:#}", failed.expect_err(&here));
            assert!(error.contains("Warehouse file: "), "{here}: {error}");
            let place = format!("PostgreSQL at 127.0.0.1:{port}, database musubi");
            assert!(error.contains(&place), "{here}: {error}");
            let misleading = ["columns", "drop the views", "mode: full"];
            assert!(
                !misleading.iter().any(|m| error.contains(m)),
                "{here}: {error}"
            );
            for personal in ["山田", "example.com", "090-1234", "musubi-test"] {
                assert!(!error.contains(personal), "{here}: {error}");
            }
            let committed = cut == Cut::After && k + 1 == load.messages.len();
            let expected = if committed { &load.result } else { &before };
            let there = seen(&server.client, &schema).await;
            assert_eq!(there.expect("read the warehouse"), *expected, "{here}");
        }
        server.cutter.cut(None);
        let again = scene.run(day, lake.path(), &schema, server.cutter.port());
        again
            .await
            .unwrap_or_else(|e| panic!("day {day}, after cut {cut:?} {nth}: {e:#}"));
        before = seen(&server.client, &schema)
            .await
            .expect("read the warehouse");
        assert_eq!(before, load.result, "day {day}, after cut {cut:?} {nth}");
    }
}

/// A way to the server that can be cut, and one that holds.
struct Server {
    cutter: Cutter,
    client: Client,
}

#[tokio::test(flavor = "multi_thread")]
async fn every_message_that_postgres_acts_on_may_be_the_last_before_or_after_the_server_has_it() {
    let scene = Scene::new().await;
    let postgres = Postgres::start().unwrap_or_else(|e| panic!("{e}"));
    let mut servers = Vec::new();
    for _ in 0..WORKERS {
        let connected = tokio_postgres::connect(&postgres.dsn(), tokio_postgres::NoTls).await;
        let (client, connection) = connected.expect("connect");
        tokio::spawn(connection);
        let cutter = Cutter::start(postgres.port()).expect("a proxy");
        servers.push(Server { cutter, client });
    }
    let loads = undisturbed(&scene, &servers[0].cutter, &servers[0].client).await;
    let longest = loads.iter().map(|l| l.cuts.len()).max().unwrap_or(0);
    let cases: Vec<_> = (0..longest)
        .flat_map(|nth| [(nth, Cut::Before), (nth, Cut::After)])
        .collect();
    let (scene, loads, cases) = (&scene, &loads, &cases);
    stream::iter(servers.iter().enumerate())
        .for_each_concurrent(WORKERS, |(worker, server)| async move {
            for (nth, cut) in cases.iter().skip(worker).step_by(WORKERS) {
                case(scene, loads, server, *nth, *cut).await;
            }
        })
        .await;
}
