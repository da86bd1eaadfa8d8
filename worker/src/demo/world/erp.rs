//! The ERP: products, stores, and what is left in the evening.

use std::io;

use rand::Rng;

use super::{
    Frame,
    day::{Day, clock},
    plant, workbook,
};
use crate::demo::{
    catalog::{CATEGORIES, PRODUCTS},
    person::rng,
    places::{self, STORES},
    sink::{Shape, Sink},
    truth::Truth,
};

/// Products that are counted every evening.
const COUNTED: usize = 20;

/// Writes products and stores.
pub(crate) fn masters(frame: &Frame<'_>) -> io::Result<()> {
    let name = "products.csv".to_owned();
    let mut sink = Sink::create(frame.root, "erp", "products", name, Shape::Utf8)?;
    sink.line("商品コード,商品名,分類,税込価格,原価,税率")?;
    for p in PRODUCTS {
        sink.line(&format!(
            "{},{},{},{},{},0.{:02}",
            p.code,
            p.name,
            CATEGORIES[p.category],
            p.price,
            p.price * 38 / 100,
            p.tax()
        ))?;
    }
    sink.finish()?;
    let mut rows = vec![
        [
            "店舗コード",
            "店舗名",
            "地域",
            "都道府県",
            "市区町村",
            "立地",
            "電話番号",
            "開店日",
        ]
        .map(str::to_owned)
        .to_vec(),
    ];
    for store in 0..STORES {
        let city = places::city_of(store);
        let local = 10 - city.area.len();
        let line = format!("{:08}", 30_001_000 + store);
        rows.push(vec![
            places::code(store),
            format!("{}店", city.shops[store % 5]),
            city.region.to_owned(),
            city.prefecture.to_owned(),
            city.city.to_owned(),
            places::cluster_of(store).word().to_owned(),
            format!("{}-{}-{}", city.area, &line[..local - 4], &line[4..]),
            format!("{}-{:02}-01", 2005 + store % 18, 1 + store % 12),
        ]);
    }
    workbook::write(&frame.root.join("data/erp/stores.xlsx"), "店舗一覧", &rows)
}

/// Writes the evening's stock of every store.
pub(crate) fn stock(frame: &Frame<'_>, day: &mut Day, truth: &mut Truth) -> io::Result<()> {
    let name = format!("stock_{}.csv", day.stamp);
    let mut sink = Sink::create(frame.root, "erp", "stock", name, Shape::Utf8)?;
    sink.line("店舗コード,商品コード,日付,在庫,廃棄,完売日時")?;
    for store in 0..STORES {
        let mut r = rng(frame.seed, 50, store as u64, u64::from(day.number));
        for product in &PRODUCTS[..COUNTED] {
            let left = r.random_range(0..9) - 2;
            let out = if left <= 0 {
                let at = clock(r.random_range(13 * 3600..20 * 3600));
                format!("{} {}", day.date.strftime("%Y/%m/%d"), &at[..5])
            } else {
                String::new()
            };
            sink.line(&format!(
                "{},{},{},{},{},{out}",
                places::code(store),
                product.code,
                day.stamp,
                left.max(0),
                left.clamp(0, 3)
            ))?;
        }
    }
    plant::stock(frame, day, truth, &mut sink)?;
    sink.finish()
}
