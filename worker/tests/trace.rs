//! Every value of every table leads back to the bytes it was made from.

#[path = "support/bento.rs"]
mod bento;
mod support;

use std::{collections::BTreeMap, io::Read as _};

use musubi::{
    source::decode::{Decoded, decode},
    stage::{Context, files, tables, view::View},
    trace::{Address, Origin, Show, Trace, trace},
};
use musubi_clean::{cleaner::Cleaner, lookup::Lookups, raw::SourceFile};
use support::World;

async fn view(world: &World) -> View {
    let (run, secrets) = world.resolve("any", 2);
    let context = Context::open(run, secrets).expect("open the lake");
    View::published(&context)
        .await
        .unwrap_or_else(|e| panic!("{e:#}"))
}

const ALL: Show = Show {
    values: true,
    raw: true,
};

async fn follow(view: &View, address: &str, show: Show) -> anyhow::Result<Trace> {
    trace(view, &Address::parse(address)?, show).await
}

async fn must_follow(view: &View, address: &str) -> Trace {
    follow(view, address, ALL)
        .await
        .unwrap_or_else(|e| panic!("{address}: {e:#}"))
}

async fn run(world: &World, uid: &str) {
    world
        .run_as(uid, 2, |run| run.allow = all_gates())
        .await
        .unwrap_or_else(|e| panic!("{e:#}"));
}

fn all_gates() -> Vec<String> {
    let names = tables::all().into_iter();
    names.map(|t| format!("rows/{}", t.name)).collect()
}

/// The addresses of all rows of a table, and the columns that have a value.
async fn rows(view: &View, table: &tables::Table) -> Vec<(String, Vec<String>)> {
    let published = view.published.as_ref().expect("published");
    let store = &view.context.store;
    let folder = format!("curated/{}", table.name);
    let version = published.tables[table.name].delta_version;
    let snapshot = musubi_lake::delta::snapshot(store, &folder, Some(version))
        .await
        .expect("a log");
    let mut rows = Vec::new();
    for file in snapshot.into_iter().flat_map(|s| s.files.into_values()) {
        let path = format!("{folder}/{}", file.path);
        for batch in musubi_lake::parquet::read(store, &path, None)
            .await
            .expect("a file")
        {
            for row in 0..batch.num_rows() {
                let text = |column: &str| musubi::trace::value(&batch, column, row).expect("text");
                let key: Vec<String> = table
                    .key
                    .iter()
                    .map(|k| {
                        text(k)
                            .unwrap_or_default()
                            .replace('%', "%25")
                            .replace('/', "%2F")
                    })
                    .collect();
                let fields = batch.schema();
                let filled = fields.fields().iter().map(|f| f.name().clone());
                let filled = filled.filter(|c| text(c).is_some()).collect();
                rows.push((format!("{}/{}", table.name, key.join("/")), filled));
            }
        }
    }
    rows
}

/// The bytes of the source's own file at a place, read without anything of musubi.
fn source_bytes(world: &World, origin: &Origin) -> Vec<u8> {
    let bytes = std::fs::read(world.path(&format!("data/{}/{}", origin.source, origin.file)))
        .expect("a file");
    let locator = origin.locator.as_deref().expect("a locator");
    let (bytes, range) = if let Some(rest) = locator.strip_prefix("zip=") {
        let (member, range) = rest.split_once(";bytes=").expect("a member");
        let mut archive = zip::ZipArchive::new(std::io::Cursor::new(bytes)).expect("an archive");
        let mut plain = Vec::new();
        archive
            .by_name(member)
            .expect("a member")
            .read_to_end(&mut plain)
            .expect("bytes");
        (plain, range)
    } else {
        let mut plain = bytes;
        if origin.file.ends_with(".gz") {
            let packed = std::mem::take(&mut plain);
            flate2::read::GzDecoder::new(&*packed)
                .read_to_end(&mut plain)
                .expect("bytes");
        }
        (plain, locator.strip_prefix("bytes=").expect("bytes"))
    };
    let (start, end) = range.split_once('-').expect("a range");
    bytes[start.parse().expect("a number")..end.parse().expect("a number")].to_vec()
}

/// The values of a field that the row at a place gives when its file is decoded and cleaned again.
fn cleaned_again(world: &World, view: &View, origin: &Origin, field: &str) -> Vec<String> {
    let spec = &view.context.run.sources[&origin.source];
    let stream =
        files::stream(&view.context.run, &origin.source, &origin.stream).expect("a stream");
    let cleaner =
        Cleaner::new(&origin.source, spec, stream, Lookups::default()).expect("a cleaner");
    let file = std::fs::File::open(world.path(&format!("data/{}/{}", origin.source, origin.file)))
        .expect("a file");
    let mut state = cleaner.start_file(SourceFile::default());
    let mut values = Vec::new();
    decode(stream, &origin.file, file, &mut |decoded| {
        let Decoded::Rows(batch) = decoded else {
            return Ok(());
        };
        for (entity, rows) in cleaner.clean(&batch, &origin.sha256, &mut state)?.entities {
            for row in 0..rows.num_rows() {
                let text = |column: &str| musubi::trace::value(&rows, column, row);
                if Some(entity.as_str()) == origin.entity.as_deref()
                    && text("locator")? == origin.locator
                    && text("record_id")? == origin.record
                {
                    values.extend(text(field)?);
                }
            }
        }
        Ok(())
    })
    .expect("decode");
    values
}

#[tokio::test(flavor = "multi_thread")]
async fn every_value_leads_back_to_bytes_that_say_it() {
    let world = bento::world();
    run(&world, "r1").await;
    bento::second_day(&world);
    run(&world, "r2").await;
    let view = view(&world).await;
    let mut seen = BTreeMap::new();
    for table in tables::all() {
        for (address, filled) in rows(&view, &table).await {
            let found = must_follow(&view, &address).await;
            let traced: Vec<&String> = found.columns.iter().map(|c| &c.column).collect();
            assert_eq!(traced, filled.iter().collect::<Vec<_>>(), "{address}");
            for column in &found.columns {
                assert!(
                    !column.won.is_empty(),
                    "{address}/{} comes from nowhere",
                    column.column
                );
                let (Some(field), [won]) = (&column.field, column.won.as_slice()) else {
                    continue;
                };
                let again = cleaned_again(&world, &view, &found.rows[*won], field);
                let value = column.value.clone().expect("a value");
                assert!(again.contains(&value), "{address}/{field}: {again:?}");
            }
            for origin in found.rows.iter().filter(|o| o.locator.is_some()) {
                let shown = origin
                    .raw
                    .as_ref()
                    .and_then(|r| r.hex.clone())
                    .expect("bytes");
                assert_eq!(
                    shown,
                    hex::encode(source_bytes(&world, origin)),
                    "{origin:?}"
                );
            }
            *seen.entry(table.name).or_insert(0) += 1;
        }
    }
    for table in [
        "customers",
        "customer_features",
        "customer_consents",
        "links",
        "identifiers",
        "households",
        "id_changes",
        "quality",
        "orders",
        "order_lines",
        "consents",
        "products",
    ] {
        assert!(
            seen.contains_key(table),
            "no row of {table} was followed: {seen:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_of_two_systems_names_for_each_field_who_won_and_who_lost() {
    let world = bento::world();
    run(&world, "r1").await;
    bento::second_day(&world);
    run(&world, "r2").await;
    let view = view(&world).await;
    let orders = tables::all()
        .into_iter()
        .find(|t| t.name == "orders")
        .expect("orders");
    for (address, _) in rows(&view, &orders).await {
        let found = must_follow(&view, &address).await;
        let column = |name: &str| found.columns.iter().find(|c| c.column == name);
        if column("order_number").and_then(|c| c.value.as_deref()) != Some("W1") {
            continue;
        }
        let of = |rows: &[usize]| {
            rows.iter()
                .map(|at| found.rows[*at].source.as_str())
                .collect::<Vec<_>>()
        };
        let total = column("total").expect("a total");
        assert_eq!(total.value.as_deref(), Some("1250.0000"));
        assert_eq!(of(&total.won), ["shop"]);
        assert_eq!(
            of(&total.lost),
            ["oms", "shop"],
            "the other system, and the day before"
        );
        assert!(found.rows[total.lost[1]].superseded);
        let status = column("status").expect("a status");
        assert_eq!((of(&status.won), of(&status.lost)), (vec!["oms"], vec![]));
        return;
    }
    panic!("order W1 is not there");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_was_merged_leads_to_the_one_that_stands() {
    let world = bento::world();
    run(&world, "r1").await;
    bento::second_day(&world);
    run(&world, "r2").await;
    let view = view(&world).await;
    let all = support::all_tables(&world.store()).await;
    let merged = all["id_changes"]
        .iter()
        .find(|row| row.contains("|merged|"))
        .expect("a merge");
    let ids: Vec<&str> = merged.split('|').skip(2).collect();
    let found = must_follow(&view, &format!("customers/{}/email", ids[0])).await;
    assert_eq!(
        (found.alias.as_deref(), found.key.as_str()),
        (Some(ids[0]), ids[1])
    );
    assert_eq!(found.columns.len(), 1);
    let features = must_follow(&view, &format!("customer_features/{}/order_count", ids[0])).await;
    assert_eq!(features.key, ids[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn values_of_persons_are_shown_on_request_only() {
    let world = bento::world();
    run(&world, "r1").await;
    let view = view(&world).await;
    for table in tables::all() {
        for (address, _) in rows(&view, &table).await {
            let found = follow(&view, &address, Show::default())
                .await
                .expect("a trace");
            let text = serde_json::to_string(&found).expect("JSON");
            for value in ["taro@example.com", "山田", "+8190", "1980-04-01"] {
                assert!(!text.contains(value), "{address} shows {value}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_said() {
    let world = bento::world();
    run(&world, "r1").await;
    let view = view(&world).await;
    let cases = [
        ("customers/c0", "customers has no row c0 in version 1"),
        (
            "identifiers/c0/email/a@example.com",
            "identifiers has no row c0/email/<value>",
        ),
    ];
    for (address, part) in cases {
        let error = follow(&view, address, ALL)
            .await
            .expect_err("nothing there")
            .to_string();
        assert!(error.contains(part), "{error}");
        assert!(!error.contains("a@example.com"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_have_changed_are_not_shown() {
    let world = bento::world();
    run(&world, "r1").await;
    let view = view(&world).await;
    let table = tables::all()
        .into_iter()
        .find(|t| t.name == "products")
        .expect("products");
    let (address, _) = rows(&view, &table).await.remove(0);
    let object = must_follow(&view, &address).await.rows[0].object.clone();
    let path = world.path(&format!("lake/{object}"));
    let mut bytes = std::fs::read(&path).expect("read");
    bytes[0] ^= 1;
    std::fs::write(&path, bytes).expect("write");
    let error = follow(&view, &address, ALL).await.expect_err("changed");
    assert!(
        format!("{error:#}").contains("have changed since they were taken"),
        "{error:#}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_corrected_row_names_its_correction() {
    let world = bento::world();
    run(&world, "r1").await;
    let (resolved, secrets) = world.resolve("any", 2);
    let context = Context::open(resolved, secrets).expect("open the lake");
    let latest = View::latest(&context).await.expect("a view");
    let filter = musubi::quarantine::Filter {
        source: Some("loyalty".into()),
        ..Default::default()
    };
    let path = world.path("bad.csv");
    musubi::quarantine::export(&latest, &filter, |_, _| {
        Ok((Box::new(std::fs::File::create(&path)?), String::new()))
    })
    .await
    .expect("export");
    let text = std::fs::read_to_string(&path).expect("read");
    std::fs::write(&path, text.replace("not a date", "1985/05/05")).expect("write");
    let outcome = musubi::quarantine::replay(&context, &latest, &[path])
        .await
        .expect("hand in");
    run(&world, "r2").await;
    let view = view(&world).await;
    let table = tables::all()
        .into_iter()
        .find(|t| t.name == "customers")
        .expect("customers");
    for (address, _) in rows(&view, &table).await {
        let found = must_follow(&view, &address).await;
        let born = found.columns.iter().find(|c| c.column == "birth_date");
        let Some(born) = born.filter(|b| b.value.as_deref() == Some("1985-05-05")) else {
            continue;
        };
        let origin = &found.rows[born.won[0]];
        let note = origin.correction.as_ref().expect("a correction");
        assert_eq!(note.object, outcome.kept[0].path);
        assert_eq!(note.columns, ["生年月日"]);
        assert!(
            origin
                .raw
                .as_ref()
                .is_some_and(|r| r.text.contains("not a date")),
            "raw stays as it was"
        );
        return;
    }
    panic!("the corrected row did not arrive");
}
