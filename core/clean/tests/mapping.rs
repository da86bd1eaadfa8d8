//! Mappings, through the real cleaner: what a field becomes, for each way of giving it.

use std::path::Path;

use arrow::{
    array::{Array, RecordBatch},
    util::display::{ArrayFormatter, FormatOptions},
};
use musubi_api::{Catalog, load_text};
use musubi_clean::{
    cleaner::{Cleaned, Cleaner},
    lookup::Lookups,
    raw::{Locator, RawBatch, RawRows, SourceFile},
};
use serde_json::Value;

/// A source whose stream `s` holds this; a shop's day ends at three.
fn source(stream: &str) -> Catalog {
    let text = format!(
        "apiVersion: musubi.dev/v1alpha1\nkind: Source\nmetadata: {{name: it}}\nspec:\n  system: pos\n  connector: {{folder: {{path: x}}}}\n  streams:\n    - name: shops\n      files: {{path: y}}\n      format: {{json: {{}}}}\n    - name: s\n      files: {{path: x}}\n      format: {{json: {{}}}}\n      dayEndsAt: '03:00'\n{stream}\n"
    );
    load_text(Path::new("it.yaml"), &text).unwrap_or_else(|p| panic!("{p}\n{text}"))
}

fn batch(rows: &[Value]) -> RawBatch {
    let locator = |_| Locator::Bytes {
        member: None,
        start: 0,
        end: 0,
    };
    RawBatch {
        record: None,
        rows: RawRows::Json(rows.iter().cloned().collect()),
        locators: (0..rows.len()).map(locator).collect(),
        numbers: (1..=rows.len() as u64).collect(),
    }
}

fn clean(stream: &str, rows: &[Value], shops: &[Value]) -> Cleaned {
    let catalog = source(stream);
    let spec = catalog.source("it").expect("the source");
    let mut lookups = Lookups::builder(&spec.streams[1]);
    lookups.feed("shops", &batch(shops));
    let cleaner =
        Cleaner::new("it", spec, &spec.streams[1], lookups).unwrap_or_else(|e| panic!("{e}"));
    let mut state = cleaner.start_file(SourceFile::default());
    let cleaned = cleaner.clean(&batch(rows), "00", &mut state);
    cleaned.unwrap_or_else(|e| panic!("{e}"))
}

/// A column of a batch as text; `∅` for nothing.
fn column(rows: &RecordBatch, name: &str) -> Vec<String> {
    let options = FormatOptions::default().with_null("∅");
    let column = rows
        .column_by_name(name)
        .unwrap_or_else(|| panic!("no column {name}"));
    let shown = ArrayFormatter::try_new(column, &options).expect("a formatter");
    (0..column.len())
        .map(|i| shown.value(i).to_string())
        .collect()
}

/// The value that a field of an order gets, or the reason code of the row with `!`.
fn value(field: &str, fields: &str, row: &str) -> String {
    let stream = format!("      entities: [{{entity: order, key: [id], fields: {{{fields}}}}}]");
    let mut row: Value = serde_json::from_str(row).unwrap_or_else(|e| panic!("{row}: {e}"));
    row["id"] = "1".into();
    let cleaned = clean(&stream, &[row], &[]);
    match cleaned.counts.reasons.keys().next() {
        Some(code) => format!("{code}!"),
        None => column(&cleaned.entities[0].1, field).remove(0),
    }
}

#[test]
fn every_way_of_giving_a_field() {
    let table = [
        // rename and path
        (
            "total",
            "total: {from: 金額}",
            r#"{"金額": "1,080円"}"#,
            "1080.0000",
        ),
        (
            "total",
            "total: {from: sum.gross}",
            r#"{"sum": {"gross": 12.5}}"#,
            "12.5000",
        ),
        (
            "total",
            "total: {from: 'sums[1].gross'}",
            r#"{"sums": [{}, {"gross": 3}]}"#,
            "3.0000",
        ),
        (
            "total",
            "total: {from: 'sums[9].gross'}",
            r#"{"sums": []}"#,
            "∅",
        ),
        (
            "total",
            "total: {from: a.b}",
            r#"{"a.b": 7, "a": {"b": 8}}"#,
            "7.0000",
        ),
        (
            "total",
            "total: {from: $.a.b}",
            r#"{"a": {"b": 8}}"#,
            "8.0000",
        ),
        ("channel", "channel: {from: x}", r#"{"x": null}"#, "∅"),
        ("channel", "channel: {from: x}", r#"{"x": "  "}"#, "∅"),
        // constant and default
        ("channel", "channel: {const: web}", "{}", "web"),
        (
            "discount",
            "discount: {from: d, default: '0'}",
            r#"{"d": ""}"#,
            "0.0000",
        ),
        (
            "discount",
            "discount: {from: d, default: '0'}",
            r#"{"d": "5"}"#,
            "5.0000",
        ),
        // concatenate
        (
            "order_number",
            "order_number: {concat: {columns: [s, n], separator: '-'}}",
            r#"{"s": "s1 ", "n": 12}"#,
            "S1-12",
        ),
        (
            "order_number",
            "order_number: {concat: {columns: [s, n], separator: '-'}}",
            r#"{"s": "", "n": 12}"#,
            "12",
        ),
        (
            "order_number",
            "order_number: {concat: {columns: [s, n], separator: '-'}}",
            "{}",
            "∅",
        ),
        (
            "total",
            "total: {concat: {columns: [sign, n]}}",
            r#"{"sign": "-", "n": "680"}"#,
            "-680.0000",
        ),
        // split
        (
            "channel",
            "channel: {from: x, split: {by: /, part: 1}}",
            r#"{"x": "Web / Tokyo"}"#,
            "web",
        ),
        (
            "channel",
            "channel: {from: x, split: {by: /, part: -1}}",
            r#"{"x": "Web / Tokyo"}"#,
            "tokyo",
        ),
        (
            "channel",
            "channel: {from: x, split: {by: /, part: 3}}",
            r#"{"x": "Web / Tokyo"}"#,
            "∅",
        ),
        // map: before the split, trimmed; what is not listed stays
        (
            "kind",
            "kind: {from: k, map: {売上: sale, 返品: return}}",
            r#"{"k": " 返品 "}"#,
            "return",
        ),
        (
            "kind",
            "kind: {from: k, map: {売上: sale}}",
            r#"{"k": "Void"}"#,
            "void",
        ),
        (
            "kind",
            "kind: {from: k, map: {'1': sale}}",
            r#"{"k": 1}"#,
            "sale",
        ),
        (
            "kind",
            "kind: {from: k, map: {a/b: c/d}, split: {by: /, part: 2}}",
            r#"{"k": "a/b"}"#,
            "d",
        ),
        (
            "kind",
            "kind: {from: k, map: {'-': ''}, default: sale}",
            r#"{"k": "-"}"#,
            "sale",
        ),
        // parse with format
        (
            "ordered_at",
            "ordered_at: {from: t}",
            r#"{"t": "2026-11-24T09:05:00+09:00"}"#,
            "2026-11-24T00:05:00Z",
        ),
        (
            "ordered_at",
            "ordered_at: {from: t}",
            r#"{"t": "2026/11/24 9:05"}"#,
            "2026-11-24T00:05:00Z",
        ),
        (
            "ordered_at",
            "ordered_at: {from: t, format: '%m/%d/%Y %H:%M'}",
            r#"{"t": "11/24/2026 09:05"}"#,
            "2026-11-24T00:05:00Z",
        ),
        (
            "ordered_at",
            "ordered_at: {from: t, format: unix}",
            r#"{"t": 1795478700}"#,
            "2026-11-24T00:05:00Z",
        ),
        (
            "ordered_at",
            "ordered_at: {from: t, format: unix-ms}",
            r#"{"t": 1795478700000}"#,
            "2026-11-24T00:05:00Z",
        ),
        (
            "business_date",
            "business_date: {from: d, format: '%d.%m.%Y | %m/%d/%Y'}",
            r#"{"d": "24.11.2026"}"#,
            "2026-11-24",
        ),
        (
            "business_date",
            "business_date: {from: d, format: '%d.%m.%Y | %m/%d/%Y'}",
            r#"{"d": "4/8/2026"}"#,
            "2026-04-08",
        ),
        (
            "business_date",
            "business_date: {from: d, format: wareki}",
            r#"{"d": "令和8年11月24日"}"#,
            "2026-11-24",
        ),
        (
            "business_date",
            "business_date: {from: d, format: '%m/%d/%Y'}",
            r#"{"d": "24/11/2026"}"#,
            "invalid_date!",
        ),
        (
            "business_date",
            "business_date: {from: d}",
            r#"{"d": "11/24/2026"}"#,
            "invalid_date!",
        ),
        (
            "business_date",
            "business_date: {from: d}",
            r#"{"d": "2026-02-30"}"#,
            "invalid_date!",
        ),
        (
            "ordered_at",
            "ordered_at: {from: t}",
            r#"{"t": "soon"}"#,
            "invalid_timestamp!",
        ),
        // the shop's day ends at three
        (
            "business_date",
            "ordered_at: {from: t}",
            r#"{"t": "2026-11-25T02:59:00+09:00"}"#,
            "2026-11-24",
        ),
        (
            "business_date",
            "ordered_at: {from: t}",
            r#"{"t": "2026-11-25T03:00:00+09:00"}"#,
            "2026-11-25",
        ),
        (
            "business_date",
            "ordered_at: {from: t}, business_date: {from: d}",
            r#"{"t": "2026-11-25T02:59:00+09:00", "d": "2026-11-25"}"#,
            "2026-11-25",
        ),
        // arithmetic, exact
        (
            "total",
            "total: {compute: 数量 * 単価}",
            r#"{"数量": 3, "単価": "33.6442"}"#,
            "100.9326",
        ),
        (
            "total",
            "total: {compute: '[unit price] * (1 + 0.08)'}",
            r#"{"unit price": 0.1}"#,
            "0.1080",
        ),
        (
            "total",
            "total: {compute: 'round(p * 1.08, 0)'}",
            r#"{"p": 1018}"#,
            "1099.0000",
        ),
        (
            "total",
            "total: {compute: 'round(p, 0)'}",
            r#"{"p": -2.5}"#,
            "-3.0000",
        ),
        (
            "total",
            "total: {compute: 'floor(p) + ceil(p) + abs(0 - p) + neg(p)'}",
            r#"{"p": 1.5}"#,
            "3.0000",
        ),
        (
            "total",
            "total: {compute: 2 + 3 * 4 - 6 / 3}",
            "{}",
            "12.0000",
        ),
        (
            "total",
            "total: {compute: a.b * 2}",
            r#"{"a": {"b": "￥1,000"}}"#,
            "2000.0000",
        ),
        (
            "total",
            "total: {compute: p / q}",
            r#"{"p": 1, "q": 0}"#,
            "∅",
        ),
        (
            "total",
            "total: {compute: p * q}",
            r#"{"p": 1, "q": null}"#,
            "∅",
        ),
        (
            "total",
            "total: {compute: p * q}",
            r#"{"p": 1, "q": "two"}"#,
            "invalid_decimal!",
        ),
        // money: notations, rounding by the currency's places
        (
            "total",
            "total: {from: x}",
            r#"{"x": "$90,000 "}"#,
            "90000.0000",
        ),
        (
            "total",
            "total: {from: x}",
            r#"{"x": "△５００"}"#,
            "-500.0000",
        ),
        (
            "total",
            "total: {from: x}",
            r#"{"x": "(1 234.5)"}"#,
            "-1234.5000",
        ),
        (
            "total",
            "total: {from: x}",
            r#"{"x": "free"}"#,
            "invalid_money!",
        ),
        (
            "total",
            "total: {from: x}",
            r#"{"x": 1080.54321}"#,
            "1080.5432",
        ),
        (
            "total",
            "total: {from: x, rounding: down}",
            r#"{"x": 1080.9}"#,
            "1080.0000",
        ),
        (
            "total",
            "total: {from: x, rounding: up}",
            r#"{"x": 1080.1}"#,
            "1081.0000",
        ),
        (
            "total",
            "total: {from: x, rounding: half-up}",
            r#"{"x": -2.5}"#,
            "-3.0000",
        ),
        (
            "total",
            "total: {from: x, rounding: half-even}",
            r#"{"x": 2.5}"#,
            "2.0000",
        ),
        (
            "total",
            "total: {from: x, rounding: half-up}, currency: {const: usd}",
            r#"{"x": 2.505}"#,
            "2.5100",
        ),
        (
            "tax",
            "tax: {compute: total * 8 / 108, rounding: down}",
            r#"{"total": 1000}"#,
            "74.0000",
        ),
        // other kinds
        (
            "points_used",
            "points_used: {from: x}",
            r#"{"x": "12.0"}"#,
            "12",
        ),
        (
            "points_used",
            "points_used: {from: x}",
            r#"{"x": 12.5}"#,
            "invalid_integer!",
        ),
        (
            "store_code",
            "store_code: {from: x}",
            r#"{"x": "ｓ００１"}"#,
            "S001",
        ),
    ];
    let mut wrong = Vec::new();
    for (field, fields, row, expected) in table {
        let found = value(field, fields, row);
        if found != expected {
            wrong.push(format!(
                "{fields} of {row}: wanted {expected}, found {found}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

const BASKET: &str = "
      entities:
        - entity: customer
          key: [user.id]
          fields: {email: {from: user.mail}, name: {from: user.name}}
        - entity: order
          key: [no]
          when: {column: state, isNot: [draft]}
          customer: {key: [user.id]}
          fields: {order_number: {from: no}}
        - entity: order_line
          each: items
          key: [$.no, '#']
          fields:
            order_number: {from: $.no}
            line_number: {from: '#'}
            product_code: {from: sku}
            amount: {compute: qty * price}
        - entity: campaign_touch
          each: marketing.coupons
          when: {column: code, present: true}
          key: [$.no, code]
          fields: {coupon_code: {from: code}}";

#[test]
fn a_row_becomes_several_entities_and_an_array_one_for_each_element() {
    let rows = [
        serde_json::json!({"no": "w1", "state": "paid", "user": {"id": 7, "mail": "A@example.com"},
            "items": [{"sku": "b-1", "qty": 2, "price": 450}, {"sku": "b-2", "qty": 1, "price": 100}],
            "marketing": {"coupons": [{"code": "c1"}, {"code": null}]}}),
        // nobody's, and not yet an order
        serde_json::json!({"no": "w2", "state": "draft", "user": null, "items": null}),
        serde_json::json!({"no": "w3", "items": "none"}),
        serde_json::json!({"no": null, "items": []}),
    ];
    let cleaned = clean(BASKET, &rows, &[]);
    let shown: Vec<(&str, Vec<String>)> = cleaned
        .entities
        .iter()
        .zip(["email", "order_number", "amount", "coupon_code"])
        .map(|((entity, rows), name)| (entity.as_str(), column(rows, name)))
        .collect();
    let of = |values: &[&str]| values.iter().map(|v| (*v).to_owned()).collect::<Vec<_>>();
    assert_eq!(
        shown,
        [
            ("customer", of(&["a@example.com"])),
            ("order", of(&["W1"])),
            ("order_line", of(&["900.0000", "100.0000"])),
            ("campaign_touch", of(&["C1"])),
        ]
    );
    let reasons: Vec<(&str, u64)> = cleaned
        .counts
        .reasons
        .iter()
        .map(|(k, v)| (k.as_str(), *v))
        .collect();
    assert_eq!(reasons, [("missing_key", 1), ("not_an_array", 1)]);
    assert_eq!(
        cleaned.counts.hash_rows,
        cleaned
            .counts
            .hash_accepted
            .wrapping_add(cleaned.counts.hash_quarantined)
    );
    let orders = &cleaned.entities[1].1;
    let customers = &cleaned.entities[0].1;
    assert_eq!(
        column(orders, "customer_record"),
        column(customers, "record_id")
    );
}

/// A row that was sent again unchanged is known by its content: what else stands in its raw row must not matter.
#[test]
fn the_content_of_an_entity_is_what_it_says_itself() {
    let order = |total: u32| {
        serde_json::json!({"no": "w1", "state": "paid", "user": {"id": 7, "mail": "a@example.com"},
            "items": [{"sku": "b-1", "qty": 1, "price": total}]})
    };
    let cleaned = clean(BASKET, &[order(100), order(200)], &[]);
    let contents = cleaned.entities.iter().map(|(entity, rows)| {
        let contents = column(rows, "content");
        (entity.as_str(), contents[0] == contents[1])
    });
    assert_eq!(
        contents.collect::<Vec<_>>(),
        [("customer", true), ("order", true), ("order_line", false)]
    );
}

#[test]
fn an_array_in_an_array_gives_all_its_elements() {
    let stream = "
      entities: [{entity: order_line, each: parcels.items, key: [$.no, '#'], fields: {line_number: {from: '#'}, product_code: {from: sku}}}]";
    let rows = [serde_json::json!({"no": 1, "parcels": [
        {"items": [{"sku": "a"}, {"sku": "b"}]}, {"items": null}, {}, {"items": [{"sku": "c"}]}]})];
    let lines = &clean(stream, &rows, &[]).entities[0].1;
    assert_eq!(column(lines, "line_number"), ["1", "2", "3"]);
    assert_eq!(column(lines, "product_code"), ["A", "B", "C"]);
}

#[test]
fn look_ups_join_rows_of_other_streams_in_their_order() {
    let stream = "
      lookups:
        - {as: shop, stream: shops, by: shop, key: code}
        - {as: owner, stream: shops, by: shop.parent, key: code, missing: MISSING}
      entities:
        - entity: order
          key: [id]
          fields: {channel: {from: shop.area.name}, payment: {from: owner.kind}, store_code: {from: owner.code}}";
    let shops = [
        serde_json::json!({"code": " s1", "parent": "s9", "area": {"name": "kanto"}}),
        serde_json::json!({"code": "s9", "kind": "old"}),
        serde_json::json!({"code": "s9", "kind": "franchise"}),
    ];
    let rows = [
        serde_json::json!({"id": 1, "shop": "s1"}),
        serde_json::json!({"id": 2, "shop": "s9 "}),
        serde_json::json!({"id": 3, "shop": "s7"}),
    ];
    let cleaned = clean(&stream.replace("MISSING", "'null'"), &rows, &shops);
    let orders = &cleaned.entities[0].1;
    assert_eq!(column(orders, "channel"), ["kanto", "∅", "∅"]);
    assert_eq!(column(orders, "payment"), ["franchise", "∅", "∅"]);
    assert_eq!(column(orders, "store_code"), ["S9", "∅", "∅"]);
    let cleaned = clean(&stream.replace("MISSING", "quarantine"), &rows, &shops);
    assert_eq!(cleaned.counts.reasons["lookup_missing"], 2);
    assert_eq!(cleaned.counts.accepted, 1);
}
