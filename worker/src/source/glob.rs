//! Which files belong to a stream: a glob, with a date in braces.

use anyhow::{Context as _, Result};
use globset::{GlobBuilder, GlobMatcher};
use regex::Regex;

/// A compiled pattern.
pub(super) struct Pattern {
    glob: GlobMatcher,
    date: Option<Regex>,
}

const PARTS: [(&str, &str, &str); 3] = [
    ("yyyy", "(?P<y>\\d{4})", "[0-9][0-9][0-9][0-9]"),
    ("MM", "(?P<m>\\d{2})", "[0-9][0-9]"),
    ("dd", "(?P<d>\\d{2})", "[0-9][0-9]"),
];

impl Pattern {
    pub(super) fn new(pattern: &str) -> Result<Self> {
        let mut glob = String::new();
        let mut date = None;
        let mut rest = pattern;
        while let Some((before, after)) = rest.split_once('{') {
            let (inside, behind) = after
                .split_once('}')
                .context("files.path: a brace is not closed")?;
            glob.push_str(before);
            if inside.contains("yyyy") {
                let (mut expression, mut plain) = (regex::escape(inside), inside.to_owned());
                for (word, group, digits) in PARTS {
                    expression = expression.replace(word, group);
                    plain = plain.replace(word, digits);
                }
                date = Some(
                    Regex::new(&expression).context("files.path: the date pattern is unusable")?,
                );
                glob.push_str(&plain);
            } else {
                glob.push_str(&format!("{{{inside}}}"));
            }
            rest = behind;
        }
        glob.push_str(rest);
        let glob = GlobBuilder::new(&glob).literal_separator(true).build();
        let glob = glob
            .with_context(|| format!("files.path: {pattern} is not a glob"))?
            .compile_matcher();
        Ok(Self { glob, date })
    }

    /// `Some` when the path belongs to the stream, with the date that it names.
    pub(super) fn matches(&self, path: &str) -> Option<Option<jiff::civil::Date>> {
        let name = path.rsplit('/').next().unwrap_or(path);
        let unfinished = name.starts_with('.') || name.ends_with(".tmp") || name.ends_with(".part");
        if unfinished || !self.glob.is_match(path) {
            return None;
        }
        let Some(expression) = &self.date else {
            return Some(None);
        };
        let found = expression.captures(path)?;
        let part = |name: &str| {
            found
                .name(name)
                .map_or(Some(1), |m| m.as_str().parse::<i16>().ok())
        };
        let day = i8::try_from(part("d")?).ok()?;
        jiff::civil::Date::new(part("y")?, i8::try_from(part("m")?).ok()?, day)
            .ok()
            .map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::Pattern;

    #[test]
    fn dates_in_names() {
        let cases = [
            (
                "sales_{yyyyMMdd}.csv",
                "sales_20261103.csv",
                Some(Some("2026-11-03")),
            ),
            ("sales_{yyyyMMdd}.csv", "sales_20261399.csv", None),
            (
                "{yyyy-MM-dd}/*.json",
                "2026-11-03/a.json",
                Some(Some("2026-11-03")),
            ),
            ("**/*.{csv,tsv}", "a/b/c.tsv", Some(None)),
            ("*.csv", "a/b.csv", None),
            ("*.csv", ".hidden.csv", None),
            ("*", "a.csv.part", None),
        ];
        for (pattern, path, expected) in cases {
            let found = Pattern::new(pattern).expect(pattern).matches(path);
            let found = found.map(|d| d.map(|d| d.to_string()));
            assert_eq!(
                found,
                expected.map(|d| d.map(str::to_owned)),
                "{pattern} on {path}"
            );
        }
    }
}
