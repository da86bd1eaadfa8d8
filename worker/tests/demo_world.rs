//! The world: same seed, same bytes; every kind of fault planted; totals that an independent sum over the
//! files confirms.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use musubi::demo::world::World;

type Bytes = BTreeMap<String, Vec<u8>>;

fn files(root: &Path) -> Bytes {
    let mut found = Bytes::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("folder") {
            let path = entry.expect("entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path
                    .strip_prefix(root)
                    .expect("below")
                    .display()
                    .to_string();
                found.insert(name, fs::read(path).expect("file"));
            }
        }
    }
    found
}

fn world(customers: u64, days: u32, seed: u64) -> Bytes {
    let folder = tempfile::tempdir().expect("scratch folder");
    World::generate(customers, days, seed, folder.path()).expect("a world");
    files(folder.path())
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_others() {
    let (a, b, c) = (world(200, 8, 7), world(200, 8, 7), world(200, 8, 8));
    assert!(a == b, "two worlds of one seed differ");
    assert!(a["truth/totals.csv"] != c["truth/totals.csv"]);
}

#[test]
fn every_kind_of_fault_is_planted_and_nothing_is_said_twice() {
    let world = world(1500, 14, 1);
    let text = String::from_utf8(world["truth/bad_rows.csv"].clone()).expect("UTF-8");
    let reasons: BTreeSet<&str> = text
        .lines()
        .skip(1)
        .filter_map(|line| line.rsplit(',').next())
        .collect();
    for reason in [
        "undecodable_text",
        "wrong_column_count",
        "invalid_json",
        "impossible_date",
        "missing_key",
        "missing_value",
        "negative_quantity",
        "negative_stock",
        "unknown_store",
        "unknown_record_type",
        "unknown_value",
        "tax_out_of_range",
        "trailer_count",
        "out_of_range",
    ] {
        assert!(reasons.contains(reason), "{reason} is not planted");
    }
    for name in ["late", "broken"] {
        let wanted = format!("_{name}.csv");
        assert!(world.keys().any(|file| file.ends_with(&wanted)), "{name}");
    }
    let sent = &world["data/webshop/customers_20261002.jsonl"];
    assert!(sent == &world["data/webshop/customers_20261002_resent.jsonl"]);
    let people = String::from_utf8(world["truth/people.csv"].clone()).expect("UTF-8");
    let mut seen = BTreeSet::new();
    for line in people.lines().skip(1) {
        let key: Vec<&str> = line.splitn(4, ',').take(3).collect();
        assert!(seen.insert(key), "a record has two lines in people.csv");
    }
}

/// Sums over the files as a reader who knows nothing of the generator would: bad rows by their place.
#[test]
fn totals_agree_with_a_sum_over_the_files() {
    let world = world(1500, 8, 3);
    let bad: BTreeSet<(String, usize)> = text(&world, "truth/bad_rows.csv")
        .lines()
        .skip(1)
        .map(|line| {
            let c: Vec<&str> = line.split(',').collect();
            (
                format!("data/{}/{}", c[0], c[2]),
                c[3].parse().expect("row"),
            )
        })
        .collect();
    let mut sums: BTreeMap<(String, String), i64> = BTreeMap::new();
    let mut orders: BTreeMap<String, (String, String, i64)> = BTreeMap::new();
    for (file, bytes) in &world {
        let rows = good_rows(file, bytes, &bad);
        if file.starts_with("data/pos/") {
            let mut day = String::new();
            for row in rows {
                let c: Vec<&str> = row.split(',').collect();
                match c[0] {
                    "H" => day = format!("{}-{}-{}", &c[2][..4], &c[2][4..6], &c[2][6..]),
                    "R" => {
                        let yen: i64 = format!("{}{}", c[4], c[8]).parse().expect("yen");
                        *sums.entry(("store".into(), day.clone())).or_default() += yen;
                    }
                    _ => {}
                }
            }
        } else if file.starts_with("data/oms/") {
            for row in rows {
                let row: serde_json::Value = serde_json::from_str(&row).expect("JSON");
                let text = |name: &str| row[name].as_str().expect("text").to_owned();
                let total = row["amount"]["total"].as_i64().expect("yen");
                orders.insert(
                    text("order_no"),
                    (text("channel"), text("business_date"), total),
                );
            }
        }
    }
    for (channel, date, total) in orders.into_values() {
        *sums.entry((channel, date)).or_default() += total;
    }
    let truth: BTreeMap<(String, String), i64> = text(&world, "truth/totals.csv")
        .lines()
        .skip(1)
        .map(|line| {
            let c: Vec<&str> = line.split(',').collect();
            ((c[0].into(), c[1].into()), c[3].parse().expect("yen"))
        })
        .collect();
    assert_eq!(truth, sums);
}

fn text<'a>(world: &'a Bytes, file: &str) -> &'a str {
    std::str::from_utf8(&world[file]).expect("UTF-8")
}

fn good_rows(file: &str, bytes: &[u8], bad: &BTreeSet<(String, usize)>) -> Vec<String> {
    bytes
        .split(|b| *b == b'\n')
        .enumerate()
        .filter(|(at, row)| !row.is_empty() && !bad.contains(&(file.to_owned(), at + 1)))
        .map(|(_, row)| {
            let (text, _, broken) = encoding_rs::SHIFT_JIS.decode(row);
            if file.starts_with("data/pos/") {
                assert!(
                    !broken,
                    "{file} holds undecodable bytes that nobody planted"
                );
                text.trim_end().to_owned()
            } else {
                String::from_utf8_lossy(row).into_owned()
            }
        })
        .collect()
}
