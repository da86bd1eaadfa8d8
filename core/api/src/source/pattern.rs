//! Which files belong to a stream: a glob, with the parts of a date in braces.

use globset::GlobBuilder;
use jiff::civil::Date;
use regex::bytes::Regex;

/// The parts of a date or time: the word in the pattern, a mark that no path has, and what it matches.
const PARTS: [(&str, &str, &str); 6] = [
    ("yyyy", "\u{1}", "(?P<year>[0-9]{4})"),
    ("MM", "\u{2}", "(?P<month>[0-9]{2})"),
    ("dd", "\u{3}", "(?P<day>[0-9]{2})"),
    ("HH", "\u{4}", "[0-9]{2}"),
    ("mm", "\u{5}", "[0-9]{2}"),
    ("ss", "\u{6}", "[0-9]{2}"),
];

/// A compiled `files.path`: `sales/**/*.{csv,tsv}.gz`, `sales_{yyyyMMdd}.csv`, `{yyyy}/{MM}/{dd}/*.json`.
#[derive(Clone, Debug)]
pub struct FilePattern {
    whole: Regex,
    dated: bool,
    folder: String,
}

impl FilePattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// What is wrong with it, in a sentence.
    pub fn new(pattern: &str) -> Result<Self, String> {
        if pattern.starts_with('/') || pattern.split('/').any(|part| part == "..") {
            return Err(format!(
                "`{pattern}` must stay below the connector's root: remove the leading `/` and every `..`"
            ));
        }
        let glob = marked(pattern)?;
        let dated = glob.contains(PARTS[0].1);
        let compiled = GlobBuilder::new(&glob).literal_separator(true).build();
        let compiled =
            compiled.map_err(|e| format!("`{pattern}` is not a file pattern: {}", e.kind()))?;
        let mut expression = compiled.regex().to_owned();
        for (_, mark, digits) in PARTS {
            expression = expression.replace(mark, digits);
        }
        let whole = Regex::new(&expression)
            .map_err(|_| format!("`{pattern}` is not a file pattern: it is too large"))?;
        let plain = pattern.split(['*', '?', '[', '{', '\\']).next();
        let folder = plain.and_then(|p| p.rsplit_once('/')).map_or("", |p| p.0);
        Ok(Self {
            whole,
            dated,
            folder: folder.to_owned(),
        })
    }

    /// The folder that every file of the stream is below; empty for the connector's root.
    #[must_use]
    pub fn folder(&self) -> &str {
        &self.folder
    }

    /// Whether paths name a date.
    #[must_use]
    pub const fn is_dated(&self) -> bool {
        self.dated
    }

    /// `Some` when the path belongs to the stream, with the date that it names. Hidden and unfinished files
    /// (`.tmp`, `.part`), and paths whose digits are no date, do not.
    #[must_use]
    pub fn matches(&self, path: &str) -> Option<Option<Date>> {
        let name = path.rsplit('/').next().unwrap_or(path);
        if name.starts_with('.') || name.ends_with(".tmp") || name.ends_with(".part") {
            return None;
        }
        let found = self.whole.captures(path.as_bytes())?;
        if !self.dated {
            return Some(None);
        }
        // A pattern without day or month names the first.
        let part = |name: &str| match found.name(name) {
            Some(digits) => std::str::from_utf8(digits.as_bytes()).ok()?.parse().ok(),
            None => Some(1_i16),
        };
        let (month, day) = (part("month")?, part("day")?);
        let date = Date::new(
            part("year")?,
            i8::try_from(month).ok()?,
            i8::try_from(day).ok()?,
        );
        date.ok().map(Some)
    }
}

/// The pattern as a glob in which a mark stands for each part of a date.
fn marked(pattern: &str) -> Result<String, String> {
    let mut glob = String::new();
    let mut seen = Vec::new();
    let mut rest = pattern;
    while let Some((before, after)) = rest.split_once('{') {
        let Some((inner, after)) = after.split_once('}') else {
            return Err(format!("`{{` is never closed in `{pattern}`"));
        };
        glob.push_str(before);
        if inner.contains(',') {
            glob.push_str(&format!("{{{inner}}}"));
        } else {
            glob.push_str(&date(inner, &mut seen)?);
        }
        rest = after;
    }
    glob.push_str(rest);
    let missing = |part: &str, needed: &str| seen.contains(&part) && !seen.contains(&needed);
    if missing("mm", "HH") {
        return Err(format!(
            "`mm` in `{pattern}` are minutes: write `MM` for the month"
        ));
    }
    if !seen.is_empty() && !seen.contains(&"yyyy") || missing("dd", "MM") {
        return Err(format!(
            "the date in `{pattern}` lacks its year or month: write it as in `{{yyyyMMdd}}`"
        ));
    }
    Ok(glob)
}

/// A date pattern, without its braces, in marks.
fn date(inner: &str, seen: &mut Vec<&'static str>) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = inner;
    while let Some(first) = rest.chars().next() {
        let part = PARTS.iter().find(|(word, ..)| rest.starts_with(word));
        match part {
            Some((word, ..)) if seen.contains(word) => {
                return Err(format!(
                    "`{word}` stands twice in the pattern: write `*` for one of them"
                ));
            }
            Some((word, mark, _)) => {
                seen.push(word);
                out.push_str(mark);
                rest = &rest[word.len()..];
            }
            None if matches!(first, '-' | '_' | '.' | '/' | 'T') => {
                out.push(first);
                rest = &rest[1..];
            }
            None => {
                return Err(format!(
                    "`{{{inner}}}` is not a date pattern: it is made of yyyy, MM, dd, HH, mm and ss, as in `{{yyyyMMdd}}`; alternatives are written with a comma, as in `{{csv,tsv}}`"
                ));
            }
        }
    }
    if out.is_empty() {
        return Err("`{}` is empty: write a date pattern such as `{yyyyMMdd}`".into());
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::FilePattern;

    #[test]
    fn files_and_the_dates_in_their_names() {
        let day = |text: &'static str| Some(Some(text));
        let cases = [
            (
                "sales_{yyyyMMdd}.csv",
                "sales_20261103.csv",
                day("2026-11-03"),
            ),
            ("sales_{yyyyMMdd}.csv", "sales_20261399.csv", None),
            ("sales_{yyyyMMdd}.csv", "sales_2026110.csv", None),
            // digits before the date are not the date
            (
                "*/sales_{yyyyMMdd}.csv",
                "12345678/sales_20261103.csv",
                day("2026-11-03"),
            ),
            (
                "s_{yyyyMMddHHmmss}.csv",
                "s_20261103235959.csv",
                day("2026-11-03"),
            ),
            (
                "s_{yyyy-MM-dd}T{HHmm}.csv",
                "s_2026-11-03T0910.csv",
                day("2026-11-03"),
            ),
            (
                "{yyyy}/{MM}/{dd}/*.csv.gz",
                "2026/11/03/a.csv.gz",
                day("2026-11-03"),
            ),
            ("{yyyy-MM}/*.csv", "2026-11/a.csv", day("2026-11-01")),
            (
                "dt={yyyy-MM-dd}/part-*.parquet",
                "dt=2026-11-03/part-0.parquet",
                day("2026-11-03"),
            ),
            ("{yyyy}*.csv", "2019_b.csv", day("2019-01-01")),
            ("**/*.{csv,tsv}", "a/b/c.tsv", Some(None)),
            ("**/*.csv", "c.csv", Some(None)),
            ("売上/*.csv", "売上/渋谷店.csv", Some(None)),
            ("*.csv", "a/b.csv", None),
            ("*.csv", ".hidden.csv", None),
            ("*", "a.csv.part", None),
            ("[ab]?.csv", "b1.csv", Some(None)),
        ];
        for (pattern, path, expected) in cases {
            let compiled = FilePattern::new(pattern).unwrap_or_else(|e| panic!("{e}"));
            let found = compiled.matches(path).map(|d| d.map(|d| d.to_string()));
            let expected = expected.map(|d| d.map(str::to_owned));
            assert_eq!(found, expected, "{pattern} on {path}");
        }
    }

    #[test]
    fn what_no_pattern_may_be() {
        for (pattern, part) in [
            ("x_{yyyymmdd}.csv", "`mm` in `x_{yyyymmdd}.csv` are minutes"),
            ("x_{date}.csv", "{csv,tsv}"),
            ("x_{MMdd}.csv", "lacks its year"),
            ("x_{yyyy}{dd}.csv", "lacks its year or month"),
            ("{yyyy}/x_{yyyyMMdd}.csv", "stands twice"),
            ("{yyyyMMdd", "never closed"),
            ("{}.csv", "is empty"),
            ("/abs/*.csv", "below the connector's root"),
            ("../x.csv", "below the connector's root"),
            ("[a", "not a file pattern"),
        ] {
            let error = FilePattern::new(pattern).expect_err(pattern);
            assert!(error.contains(part), "{pattern}: {error}");
        }
    }

    #[test]
    fn the_folder_is_what_comes_before_any_sign() {
        for (pattern, folder) in [
            ("*.csv", ""),
            ("sales.csv", ""),
            ("a/b/sales_*.csv", "a/b"),
            ("a/{yyyy}/x.csv", "a"),
            ("a/b*/x.csv", "a"),
        ] {
            let compiled = FilePattern::new(pattern).unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(compiled.folder(), folder, "{pattern}");
        }
    }
}
