//! From files and folders to sources and streams: which files belong together is told from their names.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use musubi_api::source::{FilePattern, SystemType};

/// A source that files were found for.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) name: String,
    pub(super) system: SystemType,
    pub(super) folder: PathBuf,
    pub(super) streams: Vec<FoundStream>,
}

/// Files that belong together.
#[derive(Debug)]
pub(super) struct FoundStream {
    pub(super) name: String,
    /// Pattern below the source's folder.
    pub(super) pattern: String,
    /// Paths below the source's folder, in order.
    pub(super) files: Vec<String>,
}

/// Ends of names of files that may hold rows, before that of a compression.
const ENDS: [&str; 11] = [
    "csv", "tsv", "txt", "dat", "json", "jsonl", "ndjson", "parquet", "xlsx", "xls", "ods",
];
const COMPRESSED: [&str; 3] = ["gz", "zst", "zip"];

/// The sources in files, folders and globs. In a folder whose data lies in further folders, each of those is one.
pub(super) fn discover(paths: &[PathBuf]) -> Result<Vec<Found>> {
    let mut files: BTreeMap<PathBuf, Vec<String>> = BTreeMap::new();
    for path in paths {
        let text = path.to_string_lossy();
        if path.is_dir() {
            let root = fs::canonicalize(path)?;
            for file in walk(&root)?.into_iter().filter(|f| holds_rows(f)) {
                let (folder, file) = match file.split_once('/') {
                    Some((folder, rest)) => (root.join(folder), rest.to_owned()),
                    None => (root.clone(), file),
                };
                files.entry(folder).or_default().push(file);
            }
        } else if path.is_file() {
            let path = fs::canonicalize(path)?;
            let folder = path.parent().unwrap_or(Path::new("/")).to_owned();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            files.entry(folder).or_default().push(name.into_owned());
        } else if text.contains(['*', '?', '[', '{']) {
            let (folder, found) = glob(&text)?;
            files.entry(folder).or_default().extend(found);
        } else {
            bail!("there is no file or folder {text}; give files, folders, globs or Source YAML");
        }
    }
    if files.values().all(Vec::is_empty) {
        let shown: Vec<String> = paths.iter().map(|p| p.display().to_string()).collect();
        bail!(
            "no file with rows ({}) in {}",
            ENDS.join(", "),
            shown.join(", ")
        );
    }
    let mut found: Vec<Found> = Vec::new();
    for (folder, mut names) in files.into_iter().filter(|(_, names)| !names.is_empty()) {
        names.sort();
        names.dedup();
        let base = label(
            &folder.file_name().unwrap_or_default().to_string_lossy(),
            "source",
        );
        let mut name = base.clone();
        let mut number = 2;
        while found.iter().any(|f| f.name == name) {
            name = format!("{base}-{number}");
            number += 1;
        }
        found.push(Found {
            system: system(&folder.to_string_lossy().to_lowercase()),
            name,
            streams: streams(&names),
            folder,
        });
    }
    Ok(found)
}

fn holds_rows(name: &str) -> bool {
    let mut ends = name.rsplit('.').map(str::to_lowercase);
    let last = ends.next().unwrap_or_default();
    let end = if COMPRESSED.contains(&last.as_str()) {
        ends.next().unwrap_or_default()
    } else {
        last.clone()
    };
    ENDS.contains(&end.as_str()) || (last == "zip" && !name.starts_with('.'))
}

fn walk(root: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries =
            fs::read_dir(&folder).with_context(|| format!("list {}", folder.display()))?;
        for entry in entries {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with('.') {
                continue;
            }
            let path = entry.path();
            if entry.file_type()?.is_dir() {
                folders.push(path);
            } else if let Ok(below) = path.strip_prefix(root) {
                found.push(below.to_string_lossy().into_owned());
            }
        }
    }
    Ok(found)
}

/// The folder that a glob starts from, and the files below it that match.
fn glob(text: &str) -> Result<(PathBuf, Vec<String>)> {
    let sign = text.find(['*', '?', '[', '{']).unwrap_or(text.len());
    let (base, pattern) = match text[..sign].rfind('/') {
        Some(at) => (&text[..=at], &text[at + 1..]),
        None => (".", text),
    };
    let base = fs::canonicalize(base).with_context(|| format!("there is no folder {base}"))?;
    let compiled = FilePattern::new(pattern).map_err(|wrong| anyhow::anyhow!(wrong))?;
    let mut found = walk(&base)?;
    found.retain(|f| compiled.matches(f).is_some());
    if found.is_empty() {
        bail!("no file matches {text}");
    }
    Ok((base, found))
}

/// A text as a name of a resource or stream.
pub(super) fn label(text: &str, otherwise: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c.to_ascii_lowercase() {
            c if c.is_ascii_lowercase() || c.is_ascii_digit() => out.push(c),
            _ if !out.ends_with('-') && !out.is_empty() => out.push('-'),
            _ => {}
        }
    }
    out.truncate(40);
    let out = out.trim_matches('-');
    if out.is_empty() {
        otherwise.to_owned()
    } else {
        out.to_owned()
    }
}

fn system(folder: &str) -> SystemType {
    let last = folder.rsplit('/').next().unwrap_or(folder);
    let words = [
        (SystemType::Pos, &["pos", "till", "register"][..]),
        (SystemType::Ecommerce, &["shop", "ecommerce", "store", "ec"]),
        (SystemType::App, &["app", "mobile"]),
        (SystemType::Website, &["website", "web", "analytics"]),
        (SystemType::Loyalty, &["loyalty", "member", "point"]),
        (SystemType::Oms, &["oms", "order"]),
        (SystemType::Support, &["support", "ticket", "helpdesk"]),
        (SystemType::Campaign, &["campaign", "coupon", "mail"]),
        (SystemType::Delivery, &["deliver", "shipping"]),
        (SystemType::Erp, &["erp", "stock", "inventory"]),
    ];
    let found = words
        .iter()
        .find(|(_, words)| words.iter().any(|w| last.contains(w)));
    found.map_or(SystemType::Crm, |(system, _)| *system)
}

/// What a file's name says of others of its kind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Parts {
    /// Up to the date, or up to the end; further digits are `*`.
    before: String,
    /// The date as a pattern, or nothing.
    date: String,
    end: String,
    /// Folders below the one that the date is in.
    depth: usize,
}

fn streams(names: &[String]) -> Vec<FoundStream> {
    let mut groups: BTreeMap<Parts, Vec<(String, String)>> = BTreeMap::new();
    for name in names {
        let (parts, after) = parts(name);
        groups.entry(parts).or_default().push((name.clone(), after));
    }
    let mut out: Vec<FoundStream> = Vec::new();
    for (parts, files) in groups {
        let pattern = match files.as_slice() {
            [(only, _)] if parts.date.is_empty() => escaped(only),
            _ => {
                let same = files.iter().all(|(_, after)| after.is_empty());
                let rest = if same { "" } else { "*" };
                let below = "/*".repeat(parts.depth);
                format!("{}{}{rest}{below}{}", parts.before, parts.date, parts.end)
            }
        };
        let stem = parts
            .before
            .trim_end_matches(|c: char| !c.is_alphanumeric());
        let base = label(stem, &format!("stream-{}", out.len() + 1));
        let mut name = base.clone();
        let mut number = 2;
        while out.iter().any(|s| s.name == name) {
            name = format!("{base}-{number}");
            number += 1;
        }
        let files = files.into_iter().map(|(name, _)| name).collect();
        out.push(FoundStream {
            name,
            pattern,
            files,
        });
    }
    out
}

/// A name as a pattern that matches it alone.
fn escaped(name: &str) -> String {
    name.replace(['*', '?', '[', ']', '{', '}'], "?")
}

/// The parts of a name, and what stands between date and end.
fn parts(name: &str) -> (Parts, String) {
    let file = name.rfind('/').map_or(0, |at| at + 1);
    let dot = name[file..].find('.').map_or(name.len(), |at| file + at);
    let (stem, end) = name.split_at(dot);
    let mut at = 0;
    while at < stem.len() {
        if stem.is_char_boundary(at)
            && !stem[..at].ends_with(|c: char| c.is_ascii_digit())
            && let Some((length, date)) = date(&stem[at..])
        {
            let after = &stem[at + length..];
            let parts = Parts {
                before: general(&stem[..at]),
                date,
                end: end.to_owned(),
                depth: after.matches('/').count(),
            };
            return (parts, after.to_owned());
        }
        at += 1;
    }
    let parts = Parts {
        before: general(stem),
        date: String::new(),
        end: end.to_owned(),
        depth: 0,
    };
    (parts, String::new())
}

/// Runs of digits as `*`; signs of globs as `?`.
fn general(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '0'..='9' if out.ends_with('*') => {}
            '0'..='9' => out.push('*'),
            '*' | '?' | '[' | ']' | '{' | '}' => out.push('?'),
            c => out.push(c),
        }
    }
    out
}

/// A date at the start of a text: its length, and its pattern.
fn date(text: &str) -> Option<(usize, String)> {
    let bytes = text.as_bytes();
    let number = |from: usize, to: usize| -> Option<u32> {
        let digits = bytes.get(from..to)?;
        digits
            .iter()
            .all(u8::is_ascii_digit)
            .then(|| text[from..to].parse().ok())?
    };
    let ends = |at: usize| !bytes.get(at).is_some_and(u8::is_ascii_digit);
    number(0, 4).filter(|year| (1990..2100).contains(year))?;
    for separator in ["", "-", "_", "."] {
        let wide = separator.len();
        let (month, day) = (4 + wide, 6 + 2 * wide);
        let separated =
            wide == 0 || (text.get(4..5) == Some(separator) && text.get(7..8) == Some(separator));
        let fits = number(month, month + 2).is_some_and(|m| (1..=12).contains(&m))
            && number(day, day + 2).is_some_and(|d| (1..=31).contains(&d));
        if !separated || !fits {
            continue;
        }
        let end = day + 2;
        if wide == 0 && number(end, end + 6).is_some() && ends(end + 6) {
            return Some((end + 6, "{yyyyMMddHHmmss}".into()));
        }
        if ends(end) {
            return Some((end, format!("{{yyyy{separator}MM{separator}dd}}")));
        }
    }
    ends(4).then(|| (4, "{yyyy}".into()))
}

#[cfg(test)]
mod tests {
    use super::{label, streams};

    #[test]
    fn files_of_one_kind_are_one_stream() {
        let names = [
            "AdventureWorks_Sales_2017.csv.zst",
            "AdventureWorks_Sales_2018.csv.zst",
            "address.csv",
            "dt=2026-11-24/part-0001.parquet",
            "dt=2026-11-25/part-0001.parquet",
            "pos_20261101.csv",
            "pos_20261101_resent.csv",
            "pos_20261102.csv",
            "shard1.json",
            "shard2.json",
        ]
        .map(str::to_owned);
        let found: Vec<(String, usize)> = streams(&names)
            .into_iter()
            .map(|s| (format!("{}: {}", s.name, s.pattern), s.files.len()))
            .collect();
        let expected = [
            (
                "adventureworks-sales: AdventureWorks_Sales_{yyyy}.csv.zst",
                2,
            ),
            ("address: address.csv", 1),
            ("dt: dt={yyyy-MM-dd}*/*.parquet", 2),
            ("pos: pos_{yyyyMMdd}*.csv", 3),
            ("shard: shard*.json", 2),
        ]
        .map(|(text, n)| (text.to_owned(), n));
        assert_eq!(found, expected);
    }

    #[test]
    fn names_become_labels() {
        for (name, expected) in [
            ("AdventureWorks_Sales", "adventureworks-sales"),
            ("売上", "s"),
            ("--a__b", "a-b"),
        ] {
            assert_eq!(label(name, "s"), expected);
        }
    }
}
