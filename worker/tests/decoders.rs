//! The decoders on real files: every record comes out as a row, a fault or a structural count, whatever the
//! encoding, delimiter, header style and compression.

#[path = "support/archive.rs"]
mod archive;

use std::sync::Arc;

use archive::{gzip, zip};
use arrow::{
    array::{ArrayRef, Decimal128Array, Int64Array, ListArray, RecordBatch, StringArray},
    datatypes::Int64Type,
};
use encoding_rs::{EUC_JP, SHIFT_JIS};
use musubi::source::decode::{Decoded, decode};
use musubi_api::source::Stream;
use musubi_clean::raw::RawRows;
use parquet::{
    arrow::ArrowWriter,
    basic::Compression,
    file::{
        metadata::{ParquetMetaDataReader, ParquetMetaDataWriter},
        properties::WriterProperties,
    },
};

/// A stream with this format, as YAML.
fn stream(format: &str) -> Stream {
    let text = format!("{{name: s, files: {{path: '*'}}, format: {format}}}");
    serde_saphyr::from_str(&text).unwrap_or_else(|e| panic!("{format}: {e}"))
}

/// What a file holds: rows as `value|value`, faults as `!code`, and the structural count as `#n`.
fn decoded(format: &str, bytes: &[u8]) -> Result<Vec<String>, String> {
    let (mut out, mut structural) = (Vec::new(), 0);
    let outcome = decode(&stream(format), "file", bytes, &mut |found| {
        match found {
            Decoded::Rows(batch) => {
                assert_eq!(batch.locators.len(), batch.rows.len());
                match &batch.rows {
                    RawRows::Json(rows) => out.extend(rows.iter().map(|row| row.to_string())),
                    RawRows::Columns(rows) => out.extend(texts(rows)),
                }
            }
            Decoded::Fault(fault) => out.push(format!("!{}", fault.code)),
            Decoded::Structural(n) => structural += n,
        }
        Ok(())
    });
    outcome.map_err(|e| format!("{e:#}"))?;
    if structural > 0 {
        out.push(format!("#{structural}"));
    }
    Ok(out)
}

fn texts(batch: &RecordBatch) -> Vec<String> {
    let column = |i: usize| {
        let column = batch.column(i).as_any().downcast_ref::<StringArray>();
        column.expect("text")
    };
    let all: Vec<&StringArray> = (0..batch.num_columns()).map(column).collect();
    let row = |r: usize| {
        let cells = all.iter().map(|c| c.iter().nth(r).flatten().unwrap_or("∅"));
        cells.collect::<Vec<_>>().join("|")
    };
    (0..batch.num_rows()).map(row).collect()
}

#[track_caller]
fn check(format: &str, bytes: &[u8], expected: &[&str]) {
    let found = decoded(format, bytes).unwrap_or_else(|e| panic!("{format}: {e}"));
    assert_eq!(found, expected, "{format}");
}

fn utf16(text: &str, unit: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(unit).collect()
}

#[test]
fn csv_in_every_encoding_detected_and_declared() {
    let text = "会員番号,氏名\r\n1,髙橋 ﾊﾅ\r\n2,山田太郎\r\n";
    let rows: &[&str] = &["1|髙橋 ﾊﾅ", "2|山田太郎", "#1"];
    // EUC-JP has neither 髙 nor, in many systems, half-width kana
    let plain = "会員番号,氏名\r\n1,高橋 ハナ\r\n2,山田太郎\r\n";
    let plain_rows: &[&str] = &["1|高橋 ハナ", "2|山田太郎", "#1"];
    let marked = [b"\xef\xbb\xbf", text.as_bytes()].concat();
    let cp932 = SHIFT_JIS.encode(text).0.into_owned();
    let euc = EUC_JP.encode(plain).0.into_owned();
    let little = utf16(text, u16::to_le_bytes);
    let big = utf16(text, u16::to_be_bytes);
    let little_marked = utf16(&format!("\u{feff}{text}"), u16::to_le_bytes);
    let big_marked = utf16(&format!("\u{feff}{text}"), u16::to_be_bytes);
    for (encoding, bytes, rows) in [
        ("auto", text.as_bytes(), rows),
        ("utf8", text.as_bytes(), rows),
        ("auto", &marked, rows),
        ("utf8", &marked, rows),
        ("auto", &cp932, rows),
        ("cp932", &cp932, rows),
        ("auto", &euc, plain_rows),
        ("euc-jp", &euc, plain_rows),
        ("auto", &little_marked, rows),
        ("auto", &big_marked, rows),
        ("utf16", &little_marked, rows),
        ("utf16", &big_marked, rows),
        ("auto", &little, rows),
        ("auto", &big, rows),
        ("utf16", &little, rows),
    ] {
        check(&format!("{{csv: {{encoding: {encoding}}}}}"), bytes, rows);
    }
    let latin = b"name\nJos\xe9\nM\xfcller\nZo\xeb\n";
    check(
        "{csv: {encoding: latin1}}",
        latin,
        &["José", "Müller", "Zoë", "#1"],
    );
}

#[test]
fn one_broken_character_does_not_change_the_encoding_of_a_file() {
    let mut bytes = "番号,氏名\n1,山田太郎山田太郎山田太郎\n2,"
        .as_bytes()
        .to_vec();
    bytes.extend(b"\xff\n");
    check(
        "{csv: {}}",
        &bytes,
        &["!undecodable_text", "1|山田太郎山田太郎山田太郎", "#1"],
    );
}

#[test]
fn csv_with_any_delimiter_quote_and_header() {
    for (format, text, expected) in [
        ("{csv: {}}", "a;b\n1;2,5\n", &["1|2,5", "#1"][..]),
        ("{csv: {}}", "a\tb\n1\t2\n", &["1|2", "#1"]),
        ("{csv: {}}", "a|b\n1|2\n", &["1|2", "#1"]),
        (
            "{csv: {delimiter: tab}}",
            "a\tb\n1,x\t2\n",
            &["1,x|2", "#1"],
        ),
        ("{csv: {delimiter: '^'}}", "a^b\n1^2\n", &["1|2", "#1"]),
        (
            "{csv: {quote: \"'\"}}",
            "a,b\n'1,2','it''s'\n",
            &["1,2|it's", "#1"],
        ),
        ("{csv: {quote: none}}", "a,b\n\"1,2\"\n", &["\"1|2\"", "#1"]),
        (
            "{csv: {}}",
            "a,b\n\"two\nlines\",\"say \"\"hi\"\"\"\n",
            &["two\nlines|say \"hi\"", "#1"],
        ),
        (
            "{csv: {skipLines: 2}}",
            "売上報告\n2026年11月\na,b\n1,2\n",
            &["1|2", "#3"],
        ),
        ("{csv: {columns: [a, b]}}", "1,2\n3,\n", &["1|2", "3|∅"]),
        (
            "{csv: {comment: '//'}}",
            "// by till 7\na,b\n1,2\n",
            &["1|2", "#2"],
        ),
        // what systems leave at the ends of lines and files
        ("{csv: {}}", "a,b\n1,2,\n\n,\n3,4", &["1|2", "3|4", "#3"]),
        ("{csv: {}}", " a , b \n1,2\n", &["1|2", "#1"]),
        ("{csv: {}}", "a,,\n1,2,3\n", &["1|2|3", "#1"]),
        ("{csv: {}}", "a,b\r1,2\r3,4\r", &["1|2", "3|4", "#1"]),
        // rows that are no rows
        (
            "{csv: {}}",
            "a,b\n1\n1,2,3\n4,5\n",
            &["!wrong_column_count", "!wrong_column_count", "4|5", "#1"],
        ),
        (
            "{csv: {}}",
            "a,b\n\"1,2\n3,4\n",
            &["!unclosed_quote", "3|4", "#1"],
        ),
        ("{csv: {}}", "", &[]),
    ] {
        check(format, text.as_bytes(), expected);
    }
    let wide = utf16("# note\na,b\n1,2\n", u16::to_le_bytes);
    check(
        "{csv: {comment: '#', encoding: utf16}}",
        &wide,
        &["1|2", "#2"],
    );
    let twice = decoded("{csv: {}}", b"a,a\n1,2\n").expect_err("a column twice");
    assert!(twice.contains("csv.columns and csv.skipLines"), "{twice}");
}

#[test]
fn fixed_width_in_bytes_and_in_characters() {
    let columns = "columns: [{name: code, start: 1, width: 4}, {name: name, start: 5, width: 6}, {name: n, start: 11, width: 3}]";
    let bytes = SHIFT_JIS
        .encode("A001弁当  007\nA002茶        \nA3\n")
        .0
        .into_owned();
    let format = format!("{{fixedWidth: {{encoding: cp932, {columns}}}}}");
    check(
        &format,
        &bytes,
        &["!wrong_record_length", "A001|弁当|007", "A002|茶|∅"],
    );
    let format = format!("{{fixedWidth: {{unit: characters, skipLines: 1, {columns}}}}}");
    check(
        &format,
        "HEAD\nA001から揚げ弁当007\n".as_bytes(),
        &["A001|から揚げ弁当|007", "#1"],
    );
}

const RECORDS: &str = "{records: {types: [
    {name: shop, tag: H, role: header, columns: [store, day]},
    {name: line, tag: D, role: detail, columns: [item, amount]},
    {name: end, tag: T, role: trailer, columns: [n, total], count: n, sum: {column: total, of: amount}}]}}";

#[test]
fn details_are_good_when_their_trailer_holds() {
    for (text, expected) in [
        (
            "H,S1,20261124\nD,a,100\nD,b,50\nT,2,150\nH,S2,20261124\nD,c,1\nT,1,1\n",
            &[
                "S1|20261124",
                "S2|20261124",
                "a|100|S1|20261124",
                "b|50|S1|20261124",
                "c|1|S2|20261124",
                "#2",
            ][..],
        ),
        // one of three is missing: nobody can say which of the others to trust
        (
            "H,S1,d\nD,a,100\nT,2,100\n",
            &["!trailer_count", "!trailer_count", "#1"],
        ),
        (
            "H,S1,d\nD,a,100\nT,1,101\n",
            &["!trailer_sum", "!trailer_sum", "#1"],
        ),
        (
            "H,S1,d\nD,a,100\n",
            &["!trailer_missing", "!trailer_missing"],
        ),
        (
            "X,1\nH,S1,d\nD,a\nT,0,0\n",
            &["!unknown_record_type", "!wrong_column_count", "S1|d", "#1"],
        ),
    ] {
        let mut found = decoded(RECORDS, text.as_bytes()).unwrap_or_else(|e| panic!("{e}"));
        let structural = found.iter().position(|f| f.starts_with('#'));
        let end = structural.map(|at| found.remove(at));
        found.sort_by_key(|f| !f.starts_with('!') && !f.starts_with('S'));
        found.extend(end);
        assert_eq!(found, expected, "{text}");
    }
}

/// A bank's transfer file: kinds told by their first digit, no delimiters, a trailer that vouches.
const TRANSFERS: &str = "{fixedWidth: {encoding: cp932, types: [
    {name: head, tag: '1', role: header, columns: [{name: shop, start: 2, width: 4}, {name: day, start: 6, width: 8}]},
    {name: sale, tag: '2', role: detail, columns: [{name: item, start: 2, width: 8}, {name: amount, start: 10, width: 6}]},
    {name: void, tag: '29', role: detail, columns: [{name: item, start: 3, width: 8}]},
    {name: end, tag: '8', role: trailer, columns: [{name: n, start: 2, width: 3}, {name: total, start: 5, width: 8}],
     count: n, sum: {column: total, of: amount}},
    {name: last, tag: '9', role: trailer, columns: [{name: rest, start: 1, width: 1}]}]}}";

#[test]
fn fixed_width_lines_of_several_kinds() {
    let cases = [
        (
            "1S00120261124\n2幕の内  001080\n2茶         150\n800200001230\n9\n",
            &[
                "S001|20261124",
                "幕の内|001080|S001|20261124",
                "茶|150|S001|20261124",
                "#2",
            ][..],
        ),
        // the longest tag that fits is the line's
        ("29弁当    \n800100000000\n", &["弁当|∅|∅", "#1"]),
        ("2茶         150\n800200000150\n", &["!trailer_count", "#1"]),
        ("2茶         150\n800100000151\n", &["!trailer_sum", "#1"]),
        ("2茶         150\n", &["!trailer_missing"]),
        (
            "7?\n2茶\n800000000000\n",
            &["!unknown_record_type", "!wrong_record_length", "#1"],
        ),
    ];
    for (text, expected) in cases {
        let bytes = SHIFT_JIS.encode(text).0.into_owned();
        check(TRANSFERS, &bytes, expected);
    }
    let characters = "{fixedWidth: {unit: characters, tagStart: 5, types: [
        {name: d, tag: 明細, role: detail, columns: [{name: no, start: 1, width: 4}, {name: item, start: 7, width: 5}]}]}}";
    check(
        characters,
        "0001明細から揚げ\n0002合計 \n".as_bytes(),
        &["!unknown_record_type", "0001|から揚げ"],
    );
}

#[test]
fn json_lines_arrays_and_documents() {
    for (format, text, expected) in [
        (
            "{json: {}}",
            "{\"a\":1}\n\n{\"a\":2}\n",
            &["{\"a\":1}", "{\"a\":2}", "#1"][..],
        ),
        ("{json: {}}", "\u{feff}{\"a\":1}\n", &["{\"a\":1}"]),
        (
            "{json: {}}",
            "{\"a\":1}\n{\"a\":\n[1]\n",
            &["!invalid_json", "!invalid_json", "{\"a\":1}"],
        ),
        (
            "{json: {}}",
            " [ {\"a\":1}, {\"a\":2} ]",
            &["{\"a\":1}", "{\"a\":2}"],
        ),
        ("{json: {}}", "[{\"a\":1},", &["!invalid_json", "{\"a\":1}"]),
        (
            "{json: {}}",
            "{\n  \"a\": 1\n}\n{\n  \"a\": 2\n}\n",
            &["{\"a\":1}", "{\"a\":2}"],
        ),
        (
            "{json: {rows: $.data.orders}}",
            "{\"n\":1,\"data\":{\"x\":[0],\"orders\":[{\"a\":1}]}}",
            &["{\"a\":1}"],
        ),
        ("{json: {rows: $}}", "[{\"a\":1}]", &["{\"a\":1}"]),
    ] {
        let mut found = decoded(format, text.as_bytes()).unwrap_or_else(|e| panic!("{text}: {e}"));
        found.sort_by_key(|f| (f.starts_with('#'), !f.starts_with('!')));
        assert_eq!(found, expected, "{text}");
    }
    let none = decoded("{json: {rows: $.orders}}", b"{\"order\":[]}").expect_err("no such path");
    assert!(
        none.contains("json.rows") && none.contains("orders"),
        "{none}"
    );
    let wide = decoded("{json: {}}", b"\xff\xfe{\0}\0").expect_err("UTF-16");
    assert!(wide.contains("export it as UTF-8"), "{wide}");
}

fn parquet(batch: &RecordBatch) -> Vec<u8> {
    parquet_in(batch, Compression::UNCOMPRESSED)
}

fn parquet_in(batch: &RecordBatch, codec: Compression) -> Vec<u8> {
    let mut bytes = Vec::new();
    let properties = WriterProperties::builder().set_compression(codec).build();
    let writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties));
    let mut writer = writer.expect("a writer");
    writer.write(batch).expect("write");
    writer.close().expect("close");
    bytes
}

#[test]
fn parquet_flat_and_nested() {
    let ids: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None]));
    let prices = Decimal128Array::from(vec![Some(336_442), Some(-5)])
        .with_precision_and_scale(18, 4)
        .expect("a decimal");
    let flat =
        RecordBatch::try_from_iter([("id", ids.clone()), ("price", Arc::new(prices) as ArrayRef)])
            .expect("a batch");
    check(
        "{parquet: {}}",
        &parquet(&flat),
        &["1|33.6442", "∅|-0.0005"],
    );
    let lists =
        ListArray::from_iter_primitive::<Int64Type, _, _>([Some(vec![Some(7), Some(8)]), None]);
    let nested = RecordBatch::try_from_iter([("id", ids), ("items", Arc::new(lists) as ArrayRef)])
        .expect("a batch");
    let expected = [
        r#"{"id":"1","items":["7","8"]}"#,
        r#"{"id":null,"items":null}"#,
    ];
    check("{parquet: {}}", &parquet(&nested), &expected);
}

#[test]
fn parquet_with_pages_of_every_codec() {
    let ids = Int64Array::from_iter_values(0..2_000);
    let names: StringArray = (0..2_000)
        .map(|i| Some(format!("幕の内 {}", i % 7)))
        .collect();
    let columns: [(&str, ArrayRef); 2] = [("id", Arc::new(ids)), ("name", Arc::new(names))];
    let batch = RecordBatch::try_from_iter(columns).expect("a batch");
    let expected = decoded("{parquet: {}}", &parquet(&batch)).expect("decoded");
    assert_eq!(expected.len(), 2_000);
    for codec in [
        Compression::SNAPPY,
        Compression::GZIP(Default::default()),
        Compression::BROTLI(Default::default()),
        Compression::ZSTD(Default::default()),
        Compression::LZ4,
        Compression::LZ4_RAW,
    ] {
        let found = decoded("{parquet: {}}", &parquet_in(&batch, codec));
        assert_eq!(found.as_ref(), Ok(&expected), "{codec}");
    }
    let wrong = decoded("{parquet: {}}", &in_lzo(&parquet(&batch))).expect_err("LZO");
    assert!(
        wrong.contains("\"id\" is compressed with LZO") && wrong.contains("zstd"),
        "{wrong}"
    );
}

/// The same file, whose footer says that the first column is compressed with LZO: nothing writes that any more.
fn in_lzo(bytes: &[u8]) -> Vec<u8> {
    let mut reader = ParquetMetaDataReader::new();
    reader
        .try_parse(&bytes::Bytes::from(bytes.to_vec()))
        .expect("a footer");
    let mut metadata = reader.finish().expect("metadata").into_builder();
    let groups = metadata.take_row_groups().into_iter().map(|group| {
        let mut group = group.into_builder();
        let mut columns = group.take_columns();
        let first = columns
            .remove(0)
            .into_builder()
            .set_compression(Compression::LZO);
        columns.insert(0, first.build().expect("a column"));
        group.set_column_metadata(columns).build().expect("a group")
    });
    let metadata = groups
        .fold(metadata, |m, group| m.add_row_group(group))
        .build();
    let mut out = bytes.to_vec();
    ParquetMetaDataWriter::new(&mut out, &metadata)
        .finish()
        .expect("write");
    out
}

/// A workbook as a spreadsheet program writes it: texts, numbers, a date, an error.
fn workbook() -> Vec<u8> {
    let main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";
    let relations = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
    let package = "http://schemas.openxmlformats.org/package/2006";
    let text = |cell: &str, text: &str| {
        format!("<c r=\"{cell}\" t=\"inlineStr\"><is><t>{text}</t></is></c>")
    };
    let sheet = format!(
        "<worksheet xmlns=\"{main}\"><sheetData><row r=\"1\">{}</row><row r=\"3\">{}{}{}</row><row r=\"4\">{}<c r=\"B4\"><v>1234.5</v></c><c r=\"C4\" s=\"1\"><v>46350</v></c></row><row r=\"5\">{}<c r=\"B5\" t=\"e\"><v>#DIV/0!</v></c></row></sheetData></worksheet>",
        text("A1", "月次売上"),
        text("A3", "店舗"),
        text("B3", "金額"),
        text("C3", "日付"),
        text("A4", "渋谷"),
        text("A5", "新宿"),
    );
    let book = format!(
        "<workbook xmlns=\"{main}\" xmlns:r=\"{relations}\"><sheets><sheet name=\"売上\" sheetId=\"1\" r:id=\"rId1\"/></sheets></workbook>"
    );
    let links = format!(
        "<Relationships xmlns=\"{package}/relationships\"><Relationship Id=\"rId1\" Type=\"{relations}/worksheet\" Target=\"worksheets/sheet1.xml\"/><Relationship Id=\"rId2\" Type=\"{relations}/styles\" Target=\"styles.xml\"/></Relationships>"
    );
    let top = format!(
        "<Relationships xmlns=\"{package}/relationships\"><Relationship Id=\"rId1\" Type=\"{relations}/officeDocument\" Target=\"xl/workbook.xml\"/></Relationships>"
    );
    let styles = format!(
        "<styleSheet xmlns=\"{main}\"><cellXfs count=\"2\"><xf numFmtId=\"0\"/><xf numFmtId=\"14\" applyNumberFormat=\"1\"/></cellXfs></styleSheet>"
    );
    let types = format!(
        "<Types xmlns=\"{package}/content-types\"><Default Extension=\"rels\" ContentType=\"application/vnd.openxmlformats-package.relationships+xml\"/><Default Extension=\"xml\" ContentType=\"application/xml\"/><Override PartName=\"/xl/workbook.xml\" ContentType=\"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml\"/></Types>"
    );
    zip(&[
        ("[Content_Types].xml", &types),
        ("_rels/.rels", &top),
        ("xl/workbook.xml", &book),
        ("xl/_rels/workbook.xml.rels", &links),
        ("xl/styles.xml", &styles),
        ("xl/worksheets/sheet1.xml", &sheet),
    ])
}

#[test]
fn excel() {
    let rows = ["渋谷|1234.5|2026-11-24", "!cell_error", "#3"];
    let mut found =
        decoded("{excel: {skipRows: 2}}", &workbook()).unwrap_or_else(|e| panic!("{e}"));
    found.sort_by_key(|f| (f.starts_with('#'), f.starts_with('!')));
    assert_eq!(found, rows);
    let wrong = decoded("{excel: {sheet: Sheet1}}", &workbook()).expect_err("no such sheet");
    assert!(wrong.contains("the workbook has 売上"), "{wrong}");
}

#[test]
fn compression_is_told_from_the_bytes() {
    let text = "a,b\n1,2\n";
    let gzip = gzip(text);
    // two streams one after the other are one file, as log rotation makes them
    let twice = [gzip.clone(), gzip.clone()].concat();
    check("{csv: {}}", &gzip, &["1|2", "#1"]);
    check("{csv: {}}", &twice, &["1|2", "a|b", "1|2", "#1"]);
    let zstd = zstd::encode_all(text.as_bytes(), 1).expect("zstd");
    check("{csv: {}}", &zstd, &["1|2", "#1"]);
    let archive = zip(&[
        ("day/1.csv", text),
        ("day/2.csv", "b,a\n4,3\n"),
        ("__MACOSX/day/._1.csv", "\u{0}\u{5}noise"),
        ("day/.DS_Store", "noise"),
    ]);
    check("{csv: {}}", &archive, &["1|2", "4|3", "#2"]);
}
