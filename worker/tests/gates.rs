//! The gates of a publish: each says no to what is out of band, names its limit and the way through, and is
//! passed over by its name. Ten normal days meet none of them.

mod support;

use std::fmt::Write as _;

use musubi_api::{
    entity::Entity,
    policy::{Pin, PinDecision},
    run::Run,
};
use musubi_clean::cleaner::record_id;
use support::World;

const RESOURCES: &str = r"
apiVersion: musubi.dev/v1alpha1
kind: Source
metadata: { name: shop }
spec:
  system: ecommerce
  connector: { folder: { path: data/shop } }
  streams:
    - name: users
      files: { path: 'users_{yyyyMMdd}.csv' }
      format: { csv: {} }
      contract: { columns: [{ name: id, required: true }] }
      entities:
        - entity: customer
          key: [id]
          fields:
            name: { from: name }
            email: { from: email }
    - name: orders
      files: { path: 'orders_{yyyyMMdd}.csv' }
      format: { csv: {} }
      entities:
        - entity: order
          key: [id]
          customer: { stream: users, key: [user] }
          fields:
            order_number: { from: id }
            channel: { const: web }
            ordered_at: { from: at }
            total: { from: total }
---
apiVersion: musubi.dev/v1alpha1
kind: IdentityPolicy
metadata: { name: strict }
spec: { matchProbability: 0.9999 }
---
apiVersion: musubi.dev/v1alpha1
kind: CustomerPipeline
metadata: { name: shop }
spec:
  sources: [shop]
  identityPolicy: strict
  lake: { folder: lake }
";

/// Names that nobody takes for each other.
const NAMES: [&str; 40] = [
    "Ada Lovelace",
    "Blaise Pascal",
    "Carl Gauss",
    "Dorothy Hodgkin",
    "Enrico Fermi",
    "Fritz Haber",
    "Grace Hopper",
    "Hedy Lamarr",
    "Isaac Newton",
    "James Maxwell",
    "Katherine Johnson",
    "Lise Meitner",
    "Marie Curie",
    "Niels Bohr",
    "Otto Hahn",
    "Pierre Fermat",
    "Quentin Blake",
    "Rosalind Franklin",
    "Sofia Kovalevskaya",
    "Tycho Brahe",
    "Ursula Leguin",
    "Vera Rubin",
    "Werner Heisenberg",
    "Xavier Cugat",
    "Yukawa Hideki",
    "Zora Hurston",
    "Abdus Salam",
    "Bertha Suttner",
    "Chien Wu",
    "Dmitri Mendeleev",
    "Emmy Noether",
    "Florence Nightingale",
    "Georg Cantor",
    "Hypatia Alexandria",
    "Ignaz Semmelweis",
    "Jane Goodall",
    "Kurt Goedel",
    "Leonhard Euler",
    "Mileva Maric",
    "Nikola Tesla",
];

/// A shop with forty users, who have an e-mail address if `email`, and this many orders.
fn write(world: &World, day: u32, email: bool, orders: u32) {
    let mut users = "id,name,email\n".to_owned();
    for (i, name) in NAMES.iter().enumerate() {
        let mail = if email {
            format!("{}@example.com", name.to_lowercase().replace(' ', "."))
        } else {
            String::new()
        };
        let _ = writeln!(users, "u{i},{name},{mail}");
    }
    world.write(
        &format!("data/shop/users_202611{day:02}.csv"),
        users.as_bytes(),
    );
    let mut lines = "id,user,at,total\n".to_owned();
    for i in 0..orders {
        let _ = writeln!(
            lines,
            "o{i},u{},2026-11-01T10:00:00+09:00,{}",
            i % 40,
            100 + i
        );
    }
    world.write("data/shop/orders_20261101.csv", lines.as_bytes());
}

async fn started() -> World {
    let world = World::new(RESOURCES);
    write(&world, 1, true, 100);
    world.run("r1", 2).await.unwrap_or_else(|e| panic!("{e:#}"));
    world
}

/// The run is refused with all of `says`, and goes through once `allow` is given.
async fn refused_and_let_through(
    world: &World,
    change: impl Fn(&mut Run),
    allow: &[&str],
    says: &[&str],
) {
    let error = world
        .run_as("r2", 2, |run| change(run))
        .await
        .map(|_| ())
        .expect_err("a gate says no");
    let text = format!("{error:#}");
    for part in says
        .iter()
        .chain(&["nothing was published", "CustomerPipeline shop"])
    {
        assert!(text.contains(part), "{part} in\n{text}");
    }
    for gate in allow {
        assert!(
            text.contains(&format!("--allow {gate}")),
            "{gate} in\n{text}"
        );
    }
    let (published, _) = musubi_lake::pointer::published(&world.store())
        .await
        .expect("read the pointer")
        .expect("a version");
    assert_eq!(published.version, 1, "the version before still stands");
    world
        .run_as("r3", 2, |run| {
            change(run);
            run.allow = allow.iter().map(|g| (*g).to_owned()).collect();
        })
        .await
        .unwrap_or_else(|e| panic!("{e:#}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_fall() {
    let world = started().await;
    write(&world, 1, true, 80);
    let says = [
        "table orders would fall from 100 to 80 rows (-20.0 %)",
        "spec.gates.maxRowDropPercent is 10",
    ];
    refused_and_let_through(&world, |_| (), &["rows/orders"], &says).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_rise() {
    let world = started().await;
    write(&world, 1, true, 250);
    let says = [
        "table orders would rise from 100 to 250 rows (+150.0 %)",
        "spec.gates.maxRowRisePercent is 100",
    ];
    let limit = |run: &mut Run| run.spec.gates.max_row_rise_percent = Some(100.0);
    refused_and_let_through(&world, limit, &["rows/orders"], &says).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_that_runs_empty() {
    let world = started().await;
    write(&world, 1, false, 100);
    let says = [
        "column email of table customers would be empty in 100.0 % of the rows, before in 0.0 %",
        "spec.gates.maxNullRise is 20",
    ];
    // Without addresses, nothing is left in the table of identifiers.
    let allow = ["nulls/customers.email", "rows/identifiers"];
    refused_and_let_through(&world, |_| (), &allow, &says).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn customers_that_are_merged() {
    let world = started().await;
    let id = |user: u32| record_id("shop", "users", Entity::Customer, &[&format!("u{user}")]);
    let pins = |run: &mut Run| {
        run.policy.pins = (0..10)
            .map(|i| Pin {
                left: id(2 * i),
                right: id(2 * i + 1),
                decision: PinDecision::Always,
            })
            .collect();
        run.spec.gates.max_row_drop_percent = 50.0;
    };
    let says = [
        "10 of 40 known customers would be merged into others (25.0 %), and spec.gates.maxMergedPercent is 5",
        "50.0 % of the customer records would share their customer with another, before 0.0 %",
        "spec.gates.maxMatchRateChange is 10 points",
    ];
    refused_and_let_through(&world, pins, &["merged-customers", "match-rate"], &says).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_in_quarantine() {
    let world = started().await;
    let bad = format!(
        "id,name,email\n{}",
        ",Nobody,nobody@example.com\n".repeat(30)
    );
    world.write("data/shop/users_20261102.csv", bad.as_bytes());
    let says = [
        "30 of 30 new rows of Source shop, stream users were quarantined (100.0 %)",
        "quarantineLimit.percent is 10",
    ];
    refused_and_let_through(&world, |_| (), &["quarantine/shop/users"], &says).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kind_of_gates_is_passed_over_at_once() {
    let world = started().await;
    write(&world, 1, false, 10);
    world
        .run_as("r2", 2, |run| {
            run.allow = vec!["rows".into(), "nulls".into()]
        })
        .await
        .unwrap_or_else(|e| panic!("{e:#}"));
}
