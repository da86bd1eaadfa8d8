//! Records made up for one test.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::Result;
use arrow::array::{ArrayRef, RecordBatch, StringArray};

/// A record: its number and its fields.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    pub(crate) id: u32,
    pub(crate) fields: Vec<(&'static str, String)>,
}

/// Record id of a number.
pub(crate) fn id(n: u32) -> String {
    format!("{n:032x}")
}

/// A record with its fields as `name=value`, separated by `; `.
pub(crate) fn made(id: u32, fields: &str) -> Made {
    const NAMES: [&str; 22] = [
        "app_user_id",
        "device_id",
        "name",
        "given_name",
        "family_name",
        "middle_name",
        "name_suffix",
        "name_kana",
        "given_kana",
        "family_kana",
        "email",
        "phone",
        "phone2",
        "postal_code",
        "prefecture",
        "city",
        "town",
        "block",
        "building",
        "birth_date",
        "loyalty_number",
        "is_business",
    ];
    let fields = fields
        .split("; ")
        .filter(|f| !f.is_empty())
        .map(|f| {
            let (name, value) = f.split_once('=').expect("name=value");
            let name = NAMES.iter().find(|n| **n == name).expect("a known field");
            (*name, value.to_owned())
        })
        .collect();
    Made { id, fields }
}

/// Records as a batch.
pub(crate) fn batch(records: &[Made]) -> Result<RecordBatch> {
    let names: BTreeSet<&str> = records
        .iter()
        .flat_map(|r| r.fields.iter().map(|f| f.0))
        .collect();
    let text = |value: &dyn Fn(&Made) -> Option<String>| -> ArrayRef {
        Arc::new(records.iter().map(value).collect::<StringArray>())
    };
    let mut columns = vec![
        ("record_id", text(&|r| Some(id(r.id))), true),
        ("source", text(&|r| Some(format!("s{}", r.id % 3))), true),
    ];
    for name in names {
        let value = |r: &Made| r.fields.iter().find(|f| f.0 == name).map(|f| f.1.clone());
        columns.push((name, text(&value), true));
    }
    Ok(RecordBatch::try_from_iter_with_nullable(columns)?)
}

const FAMILY: [(&str, &str); 12] = [
    ("佐藤", "サトウ"),
    ("鈴木", "スズキ"),
    ("高橋", "タカハシ"),
    ("田中", "タナカ"),
    ("渡辺", "ワタナベ"),
    ("伊藤", "イトウ"),
    ("小林", "コバヤシ"),
    ("石田", "イシダ"),
    ("桜井", "サクライ"),
    ("森本", "モリモト"),
    ("川村", "カワムラ"),
    ("西川", "ニシカワ"),
];
const GIVEN: [(&str, &str); 12] = [
    ("美咲", "ミサキ"),
    ("陽翔", "ハルト"),
    ("蓮", "レン"),
    ("葵", "アオイ"),
    ("健太", "ケンタ"),
    ("和子", "カズコ"),
    ("直樹", "ナオキ"),
    ("由美", "ユミ"),
    ("大輔", "ダイスケ"),
    ("恵", "メグミ"),
    ("翔", "ショウ"),
    ("節子", "セツコ"),
];
const TOWNS: [&str; 6] = [
    "梅田一丁目",
    "堂島二丁目",
    "天満三丁目",
    "中之島四丁目",
    "福島五丁目",
    "北浜一丁目",
];

/// A record of the town that every test lives in: two or three of each of its people, numbered from 0.
pub(crate) fn citizen(n: u32) -> Made {
    let person = n / 5 * 2 + u32::from(n % 5 > 2);
    let copy = n % 5 % 3;
    // A die of the person for each field, so that fields have nothing to do with each other.
    let die = |field: u64, sides: u32| -> u32 {
        let mut z = (u64::from(person) << 8 | field).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % u64::from(sides)) as u32
    };
    let (family, given) = (FAMILY[die(1, 12) as usize], GIVEN[die(2, 12) as usize]);
    let birth = format!(
        "{}-{:02}-{:02}",
        1940 + die(3, 60),
        1 + die(4, 12),
        1 + die(5, 28)
    );
    let phone = format!("+8190{:08}", 10_000_000 + die(6, 80_000_000));
    let town = die(7, 6) as usize;
    let street = format!(
        "postal_code=530-{:04}; prefecture=大阪府; city=大阪市北区; town={}; block={}-{}",
        town,
        TOWNS[town],
        1 + die(8, 30),
        1 + die(9, 20),
    );
    let fields = match copy {
        0 => format!(
            "name={} {}; name_kana={} {}; birth_date={birth}; phone={phone}; {street}",
            family.0, given.0, family.1, given.1
        ),
        1 => format!(
            "name={}{}; phone={phone}; birth_date={birth}; email=m{person}@musubi.jp",
            family.0, given.0
        ),
        _ => format!(
            "name={} {}; email=m{person}@musubi.jp; {street}",
            family.0, given.0
        ),
    };
    made(n, &fields)
}

/// The first `n` records of the town.
pub(crate) fn town(n: u32) -> Vec<Made> {
    (0..n).map(citizen).collect()
}
