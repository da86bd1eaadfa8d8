//! A bento shop small enough to run in a moment, with everything that a run can write to: a lake, a SQLite
//! warehouse and an audience.

#![allow(dead_code, reason = "each test uses its part")]

use std::collections::BTreeMap;

use musubi::digest::{self, Ids};
use musubi_lake::{
    Store,
    pointer::{self, Published},
};

use crate::support::World;

pub(crate) const RESOURCES: &str = r"
apiVersion: musubi.dev/v1alpha1
kind: Source
metadata: { name: loyalty }
spec:
  system: loyalty
  connector: { folder: { path: data/loyalty } }
  streams:
    - name: members
      files: { path: 'members_{yyyyMMdd}.csv' }
      format: { csv: {} }
      contract: { quarantineLimit: { percent: 50 } }
      entities:
        - entity: customer
          key: [id]
          fields:
            loyalty_number: { from: id }
            name: { from: name }
            phone: { from: phone }
            email: { from: email }
        - entity: consent
          key: [id]
          customer: { key: [id] }
          fields:
            purpose: { const: email_marketing }
            granted: { from: mail }
---
apiVersion: musubi.dev/v1alpha1
kind: Source
metadata: { name: shop }
spec:
  system: ecommerce
  connector: { folder: { path: data/shop } }
  streams:
    - name: orders
      files: { path: 'orders_{yyyyMMdd}.jsonl' }
      format: { json: {} }
      contract: { quarantineLimit: { percent: 50 } }
      entities:
        - entity: customer
          key: [user.id]
          fields:
            name: { from: user.name }
            email: { from: user.email }
        - entity: order
          key: [id]
          customer: { key: [user.id] }
          fields:
            order_number: { from: id }
            channel: { const: web }
            kind: { const: sale }
            ordered_at: { from: at }
            total: { from: total }
---
apiVersion: musubi.dev/v1alpha1
kind: Warehouse
metadata: { name: file }
spec:
  sqlite: { path: out/bento.sqlite }
---
apiVersion: musubi.dev/v1alpha1
kind: Audience
metadata: { name: buyers }
spec:
  warehouse: file
  filter: 'f.order_count >= 1'
  consent: email_marketing
  columns: [email, order_count]
  destination: { file: { path: out/audiences } }
---
apiVersion: musubi.dev/v1alpha1
kind: CustomerPipeline
metadata: { name: bento }
spec:
  sources: [loyalty, shop]
  lake: { folder: lake }
  warehouses: [file]
  audiences: [buyers]
  sharding: { shards: 2 }
  gates: { maxRowDropPercent: 100 }
";

/// Writes the files of a day: some members, some orders of them and of strangers, and a bad row.
pub(crate) fn day(world: &World, day: u32) {
    let mut members = String::from("id,name,phone,email,mail\n");
    let mut orders = String::from("{ not json\n");
    for n in day * 4..day * 4 + 4 {
        let email = format!("person{n}@example.com");
        members.push_str(&format!(
            "M{n:04},山田 {n}子,090-1234-{n:04},{email},{}\n",
            if n % 4 == 1 { "no" } else { "yes" }
        ));
        let total = 700 + 10 * n;
        orders.push_str(&format!(
            r#"{{"id":"W{n}","at":"2026-11-{day:02}T12:00:00+09:00","user":{{"id":"u{n}","name":"山田{n}子","email":"{email}"}},"total":{total}}}"#
        ));
        orders.push('\n');
    }
    world.write(
        &format!("data/loyalty/members_202611{day:02}.csv"),
        members.as_bytes(),
    );
    world.write(
        &format!("data/shop/orders_202611{day:02}.jsonl"),
        orders.as_bytes(),
    );
}

/// Everything that a reader may look at: digests of the published tables, rows of the warehouse, the
/// newest file of the audience.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) version: u64,
    pub(crate) tables: BTreeMap<String, String>,
    pub(crate) warehouse: BTreeMap<String, Vec<String>>,
    pub(crate) audience: String,
}

impl Seen {
    /// The same, whatever number the version has: ids are told with the version that made them.
    pub(crate) fn content(mut self) -> Self {
        self.version = 0;
        self.tables.remove("id_changes");
        self.warehouse.remove("id_changes");
        self
    }
}

pub(crate) async fn seen(world: &World) -> Seen {
    let store = world.store();
    let published = pointer::published(&store).await.expect("read the pointer");
    let (published, _) = published.expect("something is published");
    Seen {
        version: published.version,
        tables: digests(&store, &published).await,
        warehouse: rows(&world.path("out/bento.sqlite")),
        audience: audience(world),
    }
}

/// The digest of every table of a version, which must be whole.
pub(crate) async fn digests(store: &Store, version: &Published) -> BTreeMap<String, String> {
    let digests = digest::of(store, version, Ids::Published).await;
    digests.expect("whole tables")
}

fn audience(world: &World) -> String {
    let folder = std::fs::read_dir(world.path("out/audiences")).expect("deliveries");
    let newest = folder.map(|e| e.expect("an entry").path()).max();
    std::fs::read_to_string(newest.expect("a delivery")).expect("read a delivery")
}

/// Rows of every table as sorted text, without the number of the file that they came in.
pub(crate) fn rows(path: &std::path::Path) -> BTreeMap<String, Vec<String>> {
    let db = rusqlite::Connection::open(path).expect("open the warehouse");
    let names = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'musubi%'";
    let mut names = db.prepare(names).expect("prepare");
    let names: Vec<String> = names
        .query_map([], |r| r.get(0))
        .expect("query")
        .collect::<Result<_, _>>()
        .expect("names");
    let mut tables = BTreeMap::new();
    for name in names {
        let mut select = db
            .prepare(&format!("SELECT * FROM \"{name}\""))
            .expect("prepare");
        let columns: Vec<String> = select.column_names().map(str::to_owned).collect();
        let mut rows = Vec::new();
        let mut found = select.query([]).expect("query");
        while let Some(row) = found.next().expect("a row") {
            let cells: Vec<String> = columns
                .iter()
                .enumerate()
                .filter(|(_, column)| *column != "_file")
                .map(|(at, column)| format!("{column}={:?}", row.get_ref(at).expect("a cell")))
                .collect();
            rows.push(cells.join(" "));
        }
        rows.sort();
        tables.insert(name, rows);
    }
    tables
}
