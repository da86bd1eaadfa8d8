//! How a file is to be decoded, told from its first bytes.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::Read,
    path::Path,
};

use anyhow::{Context as _, Result};
use musubi_api::source::{Encoding, Stream};
use serde_json::{Value, json};

use super::{meaning, notation::notation, shape::shape};
use crate::source::decode;

/// How much of a file is looked at.
const HEAD: u64 = 512 << 10;
/// Documents that are read whole to find their rows.
const DOCUMENT: u64 = 64 << 20;

/// A format as a stream declares it, and the encoding that its text has.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sniffed {
    pub(crate) format: Value,
    /// `UTF-8`, `Shift_JIS`, …; nothing for formats that are no text.
    pub(crate) encoding: Option<&'static str>,
}

/// The first bytes of a file, decompressed; of an archive those of its first member.
fn head(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let file = File::open(path).with_context(|| format!("open {}", path.display()))?;
    let any: Stream = stream("any", "*", &json!({"csv": {}}))?;
    let mut out = Vec::new();
    decode::each_member(&any, file, &mut |_, input| {
        if out.is_empty() {
            input.take(limit).read_to_end(&mut out)?;
        }
        Ok(())
    })
    .with_context(|| format!("read {}", path.display()))?;
    Ok(out)
}

/// A stream with this format.
pub(crate) fn stream(name: &str, pattern: &str, format: &Value) -> Result<Stream> {
    let stream = json!({"name": name, "files": {"path": pattern}, "format": format});
    Ok(serde_json::from_value(stream)?)
}

/// Looks at a file.
pub(crate) fn sniff(path: &Path) -> Result<Sniffed> {
    let mut magic = Vec::new();
    File::open(path)
        .with_context(|| format!("open {}", path.display()))?
        .take(4)
        .read_to_end(&mut magic)?;
    let plain = |format: Value| {
        Ok(Sniffed {
            format,
            encoding: None,
        })
    };
    match magic.as_slice() {
        b"PAR1" => return plain(json!({"parquet": {}})),
        [0xd0, 0xcf, 0x11, 0xe0] => return plain(json!({"excel": {}})),
        b"PK\x03\x04" if is_workbook(path)? => return plain(json!({"excel": {}})),
        _ => {}
    }
    let bytes = head(path, HEAD)?;
    if bytes.starts_with(b"PAR1") {
        return plain(json!({"parquet": {}}));
    }
    let marked = encoding_rs::Encoding::for_bom(&bytes).map(|(encoding, _)| encoding);
    let encoding = marked.unwrap_or_else(|| decode::detect_encoding(Encoding::Auto, &bytes));
    let text = encoding.decode(&bytes).0;
    let format = match text.trim_start().chars().next() {
        Some('[') => json!({"json": {}}),
        Some('{') => json(&text, path)?,
        // A first line may be broken.
        _ if json_lines(&text) => json!({"json": {}}),
        _ => lines(&text, bytes.len() as u64 == HEAD),
    };
    Ok(Sniffed {
        format,
        encoding: Some(encoding.name()),
    })
}

/// The first line of delimited text that is neither a title nor blank: how many lines stand before it, and its fields.
pub(crate) fn first_line(path: &Path, sniffed: &Sniffed) -> Result<(usize, Vec<String>)> {
    let bytes = head(path, HEAD)?;
    let marked = encoding_rs::Encoding::for_bom(&bytes).map(|(encoding, _)| encoding);
    let encoding = marked.unwrap_or_else(|| decode::detect_encoding(Encoding::Auto, &bytes));
    let text = encoding.decode(&bytes).0;
    let csv = &sniffed.format["csv"];
    let delimiter = match csv["delimiter"].as_str() {
        Some("tab") => '\t',
        Some(other) => other.chars().next().unwrap_or(','),
        None => ',',
    };
    let skip = usize::try_from(csv["skipLines"].as_u64().unwrap_or(0))?;
    let end = if text.contains('\n') { '\n' } else { '\r' };
    let mut lines = text.split(end).enumerate();
    let found = lines
        .by_ref()
        .filter(|(_, line)| !line.trim().is_empty())
        .nth(skip);
    let (before, line) = found.unwrap_or_default();
    let fields = fields(line, delimiter);
    Ok((before, fields.iter().map(|f| f.trim().to_owned()).collect()))
}

fn is_workbook(path: &Path) -> Result<bool> {
    let archive = zip::ZipArchive::new(File::open(path)?)
        .with_context(|| format!("{} is no archive that can be read", path.display()))?;
    Ok(archive.index_for_name("[Content_Types].xml").is_some()
        || archive.index_for_name("content.xml").is_some())
}

/// Whether most lines are JSON objects.
fn json_lines(text: &str) -> bool {
    let lines = || {
        text.lines()
            .map(str::trim)
            .filter(|l| !l.is_empty())
            .take(200)
    };
    let objects = lines()
        .filter(|l| l.starts_with('{') && l.ends_with('}'))
        .count();
    objects > 0 && objects * 2 > lines().count()
}

/// JSON lines, or the path of the rows in a document.
fn json(text: &str, path: &Path) -> Result<Value> {
    let name = path.to_string_lossy();
    if name.contains(".jsonl") || name.contains(".ndjson") {
        return Ok(json!({"json": {}}));
    }
    let first = text.trim_start().lines().next().unwrap_or_default();
    if serde_json::from_str::<serde_json::Map<String, Value>>(first).is_ok_and(|row| {
        !holds_rows(&row)
            || text
                .trim_start()
                .lines()
                .nth(1)
                .is_some_and(|l| !l.trim().is_empty())
    }) {
        return Ok(json!({"json": {}}));
    }
    let whole = head(path, DOCUMENT)?;
    let document =
        serde_json::from_slice::<Value>(whole.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&whole));
    let found = document.ok().and_then(|d| rows_in(&d, "$", 4));
    Ok(match found {
        Some((path, _)) => json!({"json": {"rows": path}}),
        None => json!({"json": {}}),
    })
}

/// Whether an object that stands alone is rather a document around rows.
fn holds_rows(object: &serde_json::Map<String, Value>) -> bool {
    rows_in(&Value::Object(object.clone()), "$", 4).is_some_and(|(_, n)| n > 1)
}

/// The largest array of objects in a document: its path and length.
fn rows_in(value: &Value, path: &str, depth: u32) -> Option<(String, usize)> {
    let object = value.as_object().filter(|_| depth > 0)?;
    let each = object.iter().filter_map(|(key, inner)| {
        let path = format!("{path}.{key}");
        match inner {
            Value::Array(items) if items.first().is_some_and(Value::is_object) => {
                Some((path, items.len()))
            }
            _ => rows_in(inner, &path, depth - 1),
        }
    });
    each.max_by_key(|(_, n)| *n)
}

/// The fields of a line; quotes are looked at, line ends in them are not.
fn fields(line: &str, delimiter: char) -> Vec<String> {
    let (mut fields, mut field, mut quoted) = (Vec::new(), String::new(), false);
    for c in line.chars() {
        match c {
            '"' => quoted = !quoted,
            c if c == delimiter && !quoted => fields.push(std::mem::take(&mut field)),
            c => field.push(c),
        }
    }
    fields.push(field);
    fields
}

/// Text of lines: record types, delimiters, or fixed positions.
fn lines(text: &str, cut: bool) -> Value {
    let mut lines: Vec<&str> = text
        .split(['\n', '\r'])
        .filter(|l| !l.trim().is_empty())
        .take(5000)
        .collect();
    if cut && lines.len() > 1 {
        lines.pop();
    }
    let Some(delimiter) = delimiter(&lines) else {
        return fixed(&lines);
    };
    let rows: Vec<Vec<String>> = lines.iter().map(|l| fields(l, delimiter)).collect();
    let shown = if delimiter == '\t' {
        "tab".to_owned()
    } else {
        delimiter.to_string()
    };
    if let Some(types) = records(&rows) {
        return json!({"records": {"delimiter": shown, "types": types}});
    }
    let width = most(rows.iter().map(Vec::len));
    let title = rows
        .iter()
        .take_while(|r| r.len() < width && r.len() <= 2)
        .count()
        .min(20);
    let mut csv = serde_json::Map::new();
    if delimiter != ',' {
        csv.insert("delimiter".into(), shown.into());
    }
    if title > 0 {
        csv.insert("skipLines".into(), title.into());
    }
    let names = rows.get(title).map_or(&[][..], Vec::as_slice);
    if !is_header(names, rows.get(title + 1..).unwrap_or_default()) {
        let names: Vec<String> = (1..=width).map(|n| format!("column_{n}")).collect();
        csv.insert("columns".into(), names.into());
    }
    json!({"csv": csv})
}

/// The value that comes most often.
fn most(values: impl Iterator<Item = usize>) -> usize {
    let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
    values.for_each(|v| *counts.entry(v).or_default() += 1);
    counts
        .into_iter()
        .max_by_key(|(_, n)| *n)
        .map_or(1, |(v, _)| v)
}

fn delimiter(lines: &[&str]) -> Option<char> {
    let scored = [',', '\t', ';', '|'].into_iter().filter_map(|delimiter| {
        let widths = || lines.iter().map(|l| fields(l, delimiter).len());
        let split = widths().filter(|w| *w > 1).count();
        (split * 10 >= lines.len() * 8 && split > 0).then(|| (delimiter, most(widths())))
    });
    scored
        .max_by_key(|(_, width)| *width)
        .map(|(delimiter, _)| delimiter)
}

/// A header names its columns: every name once, none of them a number, a date or an address. When no name is
/// known and all look like the values below them, they are rather values, and are not to be shown.
fn is_header(names: &[String], rows: &[Vec<String>]) -> bool {
    let mut seen = BTreeSet::new();
    let mut named = 0;
    let value =
        |name: &str| name.parse::<f64>().is_ok() || notation(name).is_some() || name.contains('@');
    let good = names
        .iter()
        .map(|n| n.trim().trim_start_matches('\u{feff}'))
        .all(|name| {
            named += usize::from(!name.is_empty());
            name.is_empty() || (!value(name) && seen.insert(name.to_owned()))
        });
    let like_values = || {
        names.iter().enumerate().all(|(at, name)| {
            let shape = shape(name.trim());
            let mut cells = rows.iter().filter_map(|row| row.get(at));
            cells.any(|cell| self::shape(cell.trim()) == shape)
        })
    };
    good && named * 2 > names.len()
        && (names.iter().any(|n| meaning::is_known(n)) || !like_values())
}

/// Record types: a short tag in the first column that says how many columns follow.
fn records(rows: &[Vec<String>]) -> Option<Vec<Value>> {
    let mut widths: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for row in rows {
        widths.entry(row[0].trim()).or_default().push(row.len());
    }
    let short = widths
        .keys()
        .all(|tag| (1..=4).contains(&tag.chars().count()));
    let steady = widths
        .values()
        .filter(|w| w.iter().filter(|n| **n == most(w.iter().copied())).count() * 10 >= w.len() * 9)
        .count();
    let different: BTreeSet<usize> = widths.values().map(|w| most(w.iter().copied())).collect();
    if rows.len() < 4
        || !(2..=8).contains(&widths.len())
        || !short
        || steady < widths.len()
        || different.len() < 2
    {
        return None;
    }
    let first = rows[0][0].trim();
    // Tags come again and again; short files show one group only.
    if widths.values().filter(|w| w.len() == 1).count() > 3 {
        return None;
    }
    // A trailer comes right before the next header, or last.
    let tags: Vec<&str> = rows.iter().map(|r| r[0].trim()).collect();
    let closes = |tag: &str| {
        let at = || tags.iter().enumerate().filter(|(_, t)| **t == tag);
        let closing = at().filter(|(i, _)| tags.get(i + 1).is_none_or(|next| *next == first));
        closing.count() * 10 >= at().count() * 9
    };
    let others = || widths.iter().filter(|(tag, _)| **tag != first);
    let trailer = others().find(|(tag, _)| closes(tag)).map(|(tag, _)| *tag);
    let rest = others().filter(|(tag, _)| Some(**tag) != trailer);
    let detail = rest.max_by_key(|(_, w)| w.len()).map(|(tag, _)| *tag)?;
    let mut order: Vec<&str> = Vec::new();
    for tag in &tags {
        if !order.contains(tag) {
            order.push(tag);
        }
    }
    let types = order.into_iter().map(|tag| {
        let columns: Vec<String> = (1..most(widths[tag].iter().copied()))
            .map(|n| format!("column_{n}"))
            .collect();
        let role = if tag == detail {
            "detail"
        } else if Some(tag) == trailer {
            "trailer"
        } else {
            "header"
        };
        let mut kind =
            json!({"name": tag.to_lowercase(), "tag": tag, "role": role, "columns": columns});
        if role == "trailer"
            && let Some(at) = count_column(rows, tag, detail)
        {
            kind["count"] = format!("column_{at}").into();
        }
        kind
    });
    Some(types.collect())
}

/// The column of a trailer that counts the details before it, when one nearly always does.
fn count_column(rows: &[Vec<String>], trailer: &str, detail: &str) -> Option<usize> {
    let (mut details, mut trailers) = (0_u64, 0_usize);
    let mut right: BTreeMap<usize, usize> = BTreeMap::new();
    for row in rows {
        match row[0].trim() {
            tag if tag == detail => details += 1,
            tag if tag == trailer => {
                trailers += 1;
                for (at, field) in row.iter().enumerate().skip(1) {
                    *right.entry(at).or_default() +=
                        usize::from(field.trim().parse() == Ok(details));
                }
                details = 0;
            }
            _ => {}
        }
    }
    right
        .into_iter()
        .find(|(_, n)| *n * 10 >= trailers * 9)
        .map(|(at, _)| at)
}

/// Fixed positions: columns begin where every line has a blank before.
fn fixed(lines: &[&str]) -> Value {
    let width = lines.iter().map(|l| l.chars().count()).max().unwrap_or(0);
    let even = lines.iter().filter(|l| l.chars().count() == width).count() * 10 >= lines.len() * 8;
    if lines.len() < 2 || width < 8 || !even {
        return json!({"csv": {"delimiter": ","}});
    }
    let table: Vec<Vec<char>> = lines.iter().map(|l| l.chars().collect()).collect();
    let blank = |at: usize| {
        table
            .iter()
            .all(|l| l.get(at).is_none_or(|c| c.is_whitespace()))
    };
    let mut starts = vec![0];
    starts.extend((1..width).filter(|at| blank(at - 1) && !blank(*at)));
    let columns: Vec<Value> = starts
        .iter()
        .enumerate()
        .map(|(n, start)| {
            let end = starts.get(n + 1).copied().unwrap_or(width);
            json!({"name": format!("column_{}", n + 1), "start": start + 1, "width": end - start})
        })
        .collect();
    json!({"fixedWidth": {"unit": "characters", "columns": columns}})
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{lines, sniff};

    #[test]
    fn formats_of_text() {
        for (text, expected) in [
            ("id,name\n1,a\n2,b\n", json!({"csv": {}})),
            (
                "id;price\n1;2,5\n2;3,5\n",
                json!({"csv": {"delimiter": ";"}}),
            ),
            (
                "1\ta\n2\tb\n",
                json!({"csv": {"delimiter": "tab", "columns": ["column_1", "column_2"]}}),
            ),
            (
                "売上報告\n店舗,金額,日付\nS1,5,2026-11-24\nS2,5,2026-11-24\nS3,5,2026-11-24\nS4,5,2026-11-24\nS5,5,2026-11-24\nS6,5,2026-11-24\n",
                json!({"csv": {"skipLines": 1}}),
            ),
            (
                "A001 bento  12\nA002 tea     3\n",
                json!({"fixedWidth": {"unit": "characters", "columns": [
                    {"name": "column_1", "start": 1, "width": 5},
                    {"name": "column_2", "start": 6, "width": 7},
                    {"name": "column_3", "start": 13, "width": 2}]}}),
            ),
            (
                "H,S1,20261124\nD,a,100,1\nD,b,50,1\nT,2\n",
                json!({"records": {"delimiter": ",", "types": [
                    {"name": "h", "tag": "H", "role": "header", "columns": ["column_1", "column_2"]},
                    {"name": "d", "tag": "D", "role": "detail", "columns": ["column_1", "column_2", "column_3"]},
                    {"name": "t", "tag": "T", "role": "trailer", "columns": ["column_1"], "count": "column_1"}]}}),
            ),
        ] {
            assert_eq!(lines(text, false), expected, "{text}");
        }
    }

    #[test]
    fn a_first_row_of_values_is_no_header() {
        let headless = json!({"csv": {"columns": ["column_1", "column_2"]}});
        assert_eq!(lines("山田太郎,渋谷\n鈴木花子,新宿\n", false), headless);
        assert_eq!(lines("氏名,住所\n山田,渋谷\n", false), json!({"csv": {}}));
    }

    #[test]
    fn formats_of_files() {
        let folder = tempfile::tempdir().expect("a folder");
        let check = |bytes: &[u8], format: serde_json::Value, encoding: Option<&str>| {
            let path = folder.path().join("file");
            std::fs::write(&path, bytes).expect("write");
            let found = sniff(&path).unwrap_or_else(|e| panic!("{e:#}"));
            assert_eq!((found.format, found.encoding), (format, encoding));
        };
        let text = "番号,氏名\n1,山田太郎\n";
        let cp932 = encoding_rs::SHIFT_JIS.encode(text).0;
        check(text.as_bytes(), json!({"csv": {}}), Some("UTF-8"));
        check(&cp932, json!({"csv": {}}), Some("Shift_JIS"));
        check(
            &zstd::encode_all(&*cp932, 1).expect("zstd"),
            json!({"csv": {}}),
            Some("Shift_JIS"),
        );
        check(
            b"{\"a\":1}\n{\"a\":2}\n",
            json!({"json": {}}),
            Some("UTF-8"),
        );
        check(b"[{\"a\":1}]", json!({"json": {}}), Some("UTF-8"));
        let document = br#"{"n":2,"data":{"x":[1],"rows":[{"a":1},{"a":2}]}}"#;
        check(
            document,
            json!({"json": {"rows": "$.data.rows"}}),
            Some("UTF-8"),
        );
        check(b"PAR1....PAR1", json!({"parquet": {}}), None);
    }
}
