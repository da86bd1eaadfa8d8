//! Every decoder's locators lead back to what stands there, for good rows and for bad ones.

mod support;

use std::{io::Cursor, sync::Arc};

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use musubi::{
    source::decode::{Decoded, decode, find},
    stage::{Context, edits::contents, view::View},
    trace::{Address, Show, trace},
};
use musubi_api::source::Stream;
use musubi_clean::raw::Locator;
use musubi_testing::Postgres;
use support::{
    World,
    archive::{gzip, zip},
};

fn stream(format: &str) -> Stream {
    let text = format!("{{ name: s, files: {{ path: '*' }}, format: {format} }}");
    serde_saphyr::from_str(&text).unwrap_or_else(|e| panic!("{text}: {e}"))
}

/// The places of an object: with the row, where it could be decoded.
fn places(stream: &Stream, bytes: &[u8]) -> Vec<(u64, Locator, Option<serde_json::Value>)> {
    let mut places = Vec::new();
    decode(stream, "a", Cursor::new(bytes), &mut |decoded| {
        match decoded {
            Decoded::Rows(batch) => {
                let rows = batch
                    .numbers
                    .iter()
                    .zip(&batch.locators)
                    .zip(contents(&batch));
                places
                    .extend(rows.map(|((number, place), row)| (*number, place.clone(), Some(row))));
            }
            Decoded::Fault(fault) => places.push((fault.number, fault.locator, None)),
            Decoded::Structural(_) => {}
        }
        Ok(())
    })
    .unwrap_or_else(|e| panic!("{e:#}"));
    places.sort_by_key(|p| p.0);
    places
}

/// What stands at each place, as text.
fn texts(stream: &Stream, bytes: &[u8]) -> Vec<String> {
    let places: Vec<Locator> = places(stream, bytes).into_iter().map(|p| p.1).collect();
    let found = find(stream, "a", Cursor::new(bytes), &places).unwrap_or_else(|e| panic!("{e:#}"));
    let found = found.into_iter().zip(&places);
    found
        .map(|(found, place)| {
            found
                .unwrap_or_else(|| panic!("{place} leads nowhere"))
                .text
        })
        .collect()
}

fn cp932(text: &str) -> Vec<u8> {
    encoding_rs::SHIFT_JIS.encode(text).0.into_owned()
}

fn utf16(text: &str) -> Vec<u8> {
    let units = std::iter::once(0xfeff).chain(text.encode_utf16());
    units.flat_map(u16::to_le_bytes).collect()
}

#[test]
fn a_place_of_a_text_has_the_bytes_of_its_row() {
    let csv = "名,数\r\n\"山田\n太郎\",1\r\n鈴木\r\n\r\n高橋,3";
    let csv_rows = ["\"山田\n太郎\",1", "鈴木", "高橋,3"];
    let marked = format!("\u{feff}{csv}");
    let lines = "\u{feff}{\"a\":1}\n\n  {\"a\":2}  \n{ no\n";
    let line_rows = ["{\"a\":1}", "{\"a\":2}", "{ no"];
    let document = "{\"meta\":[1],\"rows\":[ {\"a\":[1]} , 7, {\"b\":{\"c\":2}}]}";
    let fixed = "0001ﾔﾏﾀﾞ 12\r\n0002\r\n";
    let records = "H,S1\nD,R1,5\nD,R2\nX\nT,9\n";
    let record_types = "{ records: { types: [\
        { name: h, tag: H, role: header, columns: [s] }, \
        { name: d, tag: D, role: detail, columns: [n, m] }, \
        { name: t, tag: T, role: trailer, columns: [c], count: c }] } }";
    let fixed_columns = "{ fixedWidth: { encoding: cp932, columns: [\
        { name: code, start: 1, width: 4 }, { name: name, start: 5, width: 5 }, { name: n, start: 10, width: 2 }] } }";
    let cases: [(&str, &str, Vec<u8>, &[&str]); 8] = [
        ("CSV", "{ csv: {} }", csv.into(), &csv_rows),
        ("CSV with a mark", "{ csv: {} }", marked.into(), &csv_rows),
        (
            "CSV in CP932",
            "{ csv: { encoding: cp932 } }",
            cp932(csv),
            &csv_rows,
        ),
        ("CSV in UTF-16", "{ csv: {} }", utf16(csv), &csv_rows),
        (
            "fixed width",
            fixed_columns,
            cp932(fixed),
            &["0001ﾔﾏﾀﾞ 12", "0002"],
        ),
        (
            "header, detail, trailer",
            record_types,
            records.into(),
            &["H,S1", "D,R1,5", "D,R2", "X"],
        ),
        ("JSON lines", "{ json: {} }", lines.into(), &line_rows),
        (
            "JSON document",
            "{ json: { rows: $.rows } }",
            document.into(),
            &["{\"a\":[1]}", "7", "{\"b\":{\"c\":2}}"],
        ),
    ];
    for (name, format, bytes, rows) in cases {
        let stream = stream(format);
        assert_eq!(texts(&stream, &bytes), rows, "{name}");
        assert_eq!(texts(&stream, &gzip(&bytes)), rows, "{name}, gzip");
        let zstd = zstd::encode_all(&*bytes, 1).expect("compress");
        assert_eq!(texts(&stream, &zstd), rows, "{name}, zstd");
        let archive = zip(&[("a.txt", &bytes), ("b;bytes=.txt", &bytes)]);
        let mut twice = texts(&stream, &archive);
        twice.sort();
        let mut expected = [rows, rows].concat();
        expected.sort_unstable();
        assert_eq!(twice, expected, "{name}, zip");
    }
}

#[test]
fn a_place_of_a_row_group_or_sheet_has_its_row() {
    let columns: [(&str, ArrayRef); 2] = [
        ("id", Arc::new(Int64Array::from_iter_values(0..5))),
        (
            "name",
            Arc::new(StringArray::from(vec!["a", "b", "c", "d", "e"])),
        ),
    ];
    let batch = RecordBatch::try_from_iter(columns).expect("rows");
    let mut parquet = Vec::new();
    let properties = parquet::file::properties::WriterProperties::builder()
        .set_max_row_group_row_count(Some(2))
        .build();
    let mut writer =
        parquet::arrow::ArrowWriter::try_new(&mut parquet, batch.schema(), Some(properties))
            .expect("a file");
    writer.write(&batch).expect("write");
    writer.close().expect("close");
    let excel = workbook(&[
        ("A2", "code"),
        ("B2", "name"),
        ("A3", "S1"),
        ("B3", "Ginza"),
        ("A5", "S2"),
        ("B5", "Ueno"),
    ]);
    let cases = [
        (
            "{ parquet: {} }",
            parquet,
            "group=2;row=0",
            r#"{"id":"4","name":"e"}"#,
        ),
        (
            "{ excel: {} }",
            excel,
            "sheet=店;row=5",
            r#"{"code":"S2","name":"Ueno"}"#,
        ),
    ];
    for (format, bytes, last, row) in cases {
        let stream = stream(format);
        let all = places(&stream, &bytes);
        let texts = texts(&stream, &bytes);
        for ((_, place, row), text) in all.iter().zip(&texts) {
            assert_eq!(
                row.as_ref().map(ToString::to_string).as_ref(),
                Some(text),
                "{place}"
            );
            assert_eq!(
                place.to_string().parse(),
                Ok(place.clone()),
                "the text form leads back"
            );
        }
        let (_, place, _) = all.last().expect("rows");
        assert_eq!(
            (place.to_string().as_str(), texts.last().map(String::as_str)),
            (last, Some(row))
        );
    }
}

/// A workbook with one sheet of text cells.
fn workbook(cells: &[(&str, &str)]) -> Vec<u8> {
    let types = r#"<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" ContentType="application/xml"/><Override PartName="/xl/workbook.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/><Override PartName="/xl/worksheets/sheet1.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/></Types>"#;
    let relation = |kind: &str, target: &str| {
        format!(
            r#"<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/{kind}" Target="{target}"/></Relationships>"#
        )
    };
    let book = r#"<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets><sheet name="店" sheetId="1" r:id="rId1"/></sheets></workbook>"#;
    let mut sheet = String::from(
        r#"<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>"#,
    );
    for row in cells.chunk_by(|a, b| a.0[1..] == b.0[1..]) {
        sheet.push_str(&format!("<row r=\"{}\">", &row[0].0[1..]));
        for (at, text) in row {
            sheet.push_str(&format!(
                r#"<c r="{at}" t="inlineStr"><is><t>{text}</t></is></c>"#
            ));
        }
        sheet.push_str("</row>");
    }
    sheet.push_str("</sheetData></worksheet>");
    let (root, sheets) = (
        relation("officeDocument", "xl/workbook.xml"),
        relation("worksheet", "worksheets/sheet1.xml"),
    );
    zip(&[
        ("[Content_Types].xml", types.as_bytes()),
        ("_rels/.rels", root.as_bytes()),
        ("xl/workbook.xml", book.as_bytes()),
        ("xl/_rels/workbook.xml.rels", sheets.as_bytes()),
        ("xl/worksheets/sheet1.xml", sheet.as_bytes()),
    ])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_of_a_database_is_named_by_its_key_and_kept_as_it_was_read() {
    let server = Postgres::start().unwrap_or_else(|e| panic!("{e}"));
    server
        .sql("CREATE TABLE people (id int PRIMARY KEY, name text, email text); \
              INSERT INTO people VALUES (7, '山田太郎', 'taro@example.com'), (8, '鈴木花子', 'hanako@example.com')")
        .expect("a table");
    let world = World::new(&format!(
        r"
apiVersion: v1
kind: Secret
metadata: {{ name: crm }}
stringData: {{ username: musubi, password: musubi-test }}
---
apiVersion: musubi.dev/v1alpha1
kind: Source
metadata: {{ name: crm }}
spec:
  system: crm
  connector:
    postgres: {{ host: 127.0.0.1, port: {}, database: musubi, tls: disable, credentials: {{ secret: crm }} }}
  streams:
    - name: people
      table: {{ name: people, key: [id] }}
      entities:
        - entity: customer
          key: [id]
          fields:
            name: {{ from: name }}
            email: {{ from: email }}
---
apiVersion: musubi.dev/v1alpha1
kind: CustomerPipeline
metadata: {{ name: bento }}
spec:
  sources: [crm]
  lake: {{ folder: lake }}
",
        server.port()
    ));
    world.run("r1", 1).await.unwrap_or_else(|e| panic!("{e:#}"));
    server
        .sql("UPDATE people SET email = 'other@example.com'")
        .expect("an update");
    let (run, secrets) = world.resolve("any", 1);
    let view = View::published(&Context::open(run, secrets).expect("open"))
        .await
        .expect("a view");
    let customers = &world.tables().await["customers"];
    let id = customers[0].split('|').next().expect("an id");
    let address = Address::parse(&format!("customers/{id}/email")).expect("an address");
    let show = Show {
        values: true,
        raw: true,
    };
    let found = trace(&view, &address, show)
        .await
        .unwrap_or_else(|e| panic!("{e:#}"));
    let row = &found.rows[0];
    let database = row.database.as_ref().expect("a table");
    assert_eq!(
        (database.table.as_str(), database.key.as_slice()),
        ("people", &["id".to_owned()][..])
    );
    let text = &row.raw.as_ref().expect("bytes").text;
    let value = found.columns[0].value.clone().expect("an address");
    assert!(text.contains(&value), "the row as it was read: {text}");
    assert!(
        text.contains(&format!("\"id\":{}", database.values["id"])),
        "{text}"
    );
}
