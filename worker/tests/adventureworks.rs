//! `examples/adventureworks`: a retailer's shop and CRM become one list of customers, and not a cent is lost.

mod support;

use std::{
    collections::{BTreeSet, HashMap},
    fs,
    path::PathBuf,
};

use arrow::{array::AsArray, datatypes::Decimal128Type};
use musubi_api::entity::Entity;
use musubi_clean::cleaner::record_id;
use rust_decimal::{Decimal, RoundingStrategy};
use support::World;

fn example() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../examples/adventureworks")
}

/// The resources of the example, reading its data where it lies and loading no warehouse.
fn world() -> World {
    let texts = ["store.yaml", "crm.yaml", "pipeline.yaml"]
        .map(|name| fs::read_to_string(example().join(name)).expect(name));
    let data = example().join("data");
    let resources = texts
        .join("\n---\n")
        .replace("./data", &data.to_string_lossy())
        .replace("  warehouses: [adventureworks-sqlite]\n", "");
    World::new(&resources)
}

/// The rows of a file of the example, read by another reader than musubi's.
fn rows(name: &str) -> Vec<HashMap<String, String>> {
    let file = fs::File::open(example().join("data").join(name)).expect(name);
    let text = zstd::decode_all(file).expect("zstd");
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&text);
    let mut reader = csv::Reader::from_reader(text);
    reader
        .deserialize()
        .map(|row| row.expect("a row"))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn all_shop_customers_are_found_in_the_crm_and_revenue_is_exact() {
    let world = world();
    let stages = world.run("r1", 1).await.unwrap_or_else(|e| panic!("{e:#}"));
    let clean = stages.iter().find(|s| s.stage.as_str() == "clean");
    let counts = &clean.expect("stage clean").counts;
    assert_eq!(counts["quarantined"], 0, "its mess is read, not put aside");

    // Who is who, by a way that the run does not know: the CRM's list of accounts.
    let mut customer_of = HashMap::new();
    for batch in world.read("links", &["record_id", "customer_id"]).await {
        let (records, customers) = (
            batch.column(0).as_string::<i32>(),
            batch.column(1).as_string::<i32>(),
        );
        for (record, customer) in records.iter().flatten().zip(customers.iter().flatten()) {
            customer_of.insert(record.to_owned(), customer.to_owned());
        }
    }
    let person_of: HashMap<String, String> = rows("crm/customer.csv.zst")
        .into_iter()
        .map(|row| (row["customerid"].clone(), row["personid"].clone()))
        .collect();
    let mut found = BTreeSet::new();
    for row in rows("store/AdventureWorks_Customers.csv.zst") {
        let key = &row["CustomerKey"];
        let shop = record_id("store", "customers", Entity::Customer, &[key]);
        let crm = record_id("crm", "people", Entity::Customer, &[&person_of[key]]);
        assert_eq!(customer_of[&shop], customer_of[&crm], "customer {key}");
        found.insert(customer_of[&shop].clone());
    }
    assert_eq!(found.len(), 18_148, "each is a customer of their own");
    let all: BTreeSet<&String> = customer_of.values().collect();
    assert_eq!(all.len(), 19_972, "nobody in the CRM is two");

    let (mut revenue, mut lines) = (0_i128, 0);
    for batch in world.read("order_lines", &["amount"]).await {
        let amounts = batch.column(0).as_primitive::<Decimal128Type>();
        revenue += amounts.iter().flatten().sum::<i128>();
        lines += amounts.len();
    }
    let revenue = Decimal::from_i128_with_scale(revenue, 4);
    let (expected, count) = independent_revenue();
    assert_eq!((revenue, lines), (expected, count));
    let rounded = revenue.round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero);
    assert_eq!(rounded.to_string(), "24914586.82");
}

/// Quantity times list price over all sales, and how many sales there are.
fn independent_revenue() -> (Decimal, usize) {
    let number = |text: &str| text.parse::<Decimal>().expect("a number");
    let price_of: HashMap<String, Decimal> = rows("store/AdventureWorks_Products.csv.zst")
        .into_iter()
        .map(|row| (row["ProductKey"].clone(), number(&row["ProductPrice"])))
        .collect();
    let sales: Vec<_> = [2017, 2018, 2019]
        .iter()
        .flat_map(|year| rows(&format!("store/AdventureWorks_Sales_{year}.csv.zst")))
        .collect();
    let amounts = sales
        .iter()
        .map(|row| number(&row["OrderQuantity"]) * price_of[&row["ProductKey"]]);
    (amounts.sum(), sales.len())
}
