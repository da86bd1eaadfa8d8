//! Sources: streams, formats, look-ups, mappings, contracts.

mod agreement;
mod columns;
mod mapping;

use std::collections::BTreeSet;

use self::columns::Columns;
use super::text;
use crate::{
    catalog::Document,
    problem::{Problem, hint},
    source::{
        ChangeMode, ColumnRule, ColumnType, Format, RecordRole, RecordType, SourceSpec, Stream,
    },
};

/// Collects what is wrong with one source.
struct Check<'a> {
    from: &'a Document,
    spec: &'a SourceSpec,
    out: Vec<Problem>,
}

pub(super) fn check(from: &Document, spec: &SourceSpec) -> Vec<Problem> {
    let mut check = Check {
        from,
        spec,
        out: Vec::new(),
    };
    check.source();
    for (i, stream) in spec.streams.iter().enumerate() {
        check.stream(&format!("spec.streams[{i}]"), i, stream);
    }
    check.out
}

impl Check<'_> {
    fn say(&mut self, field: &str, message: impl Into<String>) {
        self.out.push(self.from.problem(field, message));
    }

    fn test(&mut self, field: &str, checked: Result<(), String>) {
        if let Err(message) = checked {
            self.say(field, message);
        }
    }

    fn source(&mut self) {
        let spec = self.spec;
        self.test("spec.timeZone", text::time_zone(&spec.time_zone));
        if let Some(freshness) = &spec.freshness {
            self.test("spec.freshness", text::duration(freshness));
        }
        let country = &spec.country;
        if country.len() != 2 || !country.chars().all(|c| c.is_ascii_lowercase()) {
            self.say(
                "spec.country",
                format!("`{country}` is not a country: write two lower case letters (ISO 3166), such as `jp`"),
            );
        }
        if let Some(endpoint) = spec.connector.s3.as_ref().and_then(|s| s.endpoint.as_ref()) {
            self.test("spec.connector.s3.endpoint", text::endpoint(endpoint));
        }
    }

    fn stream(&mut self, at: &str, index: usize, stream: &Stream) {
        if let Some(files) = &stream.files {
            self.test(&format!("{at}.files.path"), text::file_pattern(&files.path));
        }
        if let Some(table) = &stream.table {
            if let Some(overlap) = table.overlap.as_ref().filter(|o| o.parse::<u64>().is_err()) {
                self.test(&format!("{at}.table.overlap"), text::duration(overlap));
            }
            if table.cursor.is_some() && stream.changes == ChangeMode::Snapshot {
                let message = "a read from a cursor brings what is new, and a snapshot must hold everything: remove `table.cursor`, or change `changes`";
                self.say(&format!("{at}.changes"), message);
            }
            if table.overlap.is_some() && table.cursor.is_none() {
                let message = "`overlap` needs a `cursor`: without one the whole table is read";
                self.say(&format!("{at}.table.overlap"), message);
            }
        }
        if let Some(format) = &stream.format {
            self.format(&format!("{at}.format"), format);
        }
        self.lookups(at, index, stream);
        self.contract(at, stream);
        let columns = Columns::of(self.spec, stream, None);
        if columns.of_one_kind() {
            let single = [("cursor", &stream.cursor), ("operation", &stream.operation)];
            for (field, column) in single {
                if let Some(column) = column {
                    self.column(&format!("{at}.{field}"), &columns, column);
                }
            }
        }
        for (i, mapping) in stream.entities.iter().enumerate() {
            self.mapping(&format!("{at}.entities[{i}]"), stream, mapping);
        }
    }

    /// Says when the format declares its columns and this is none of them.
    fn column(&mut self, field: &str, columns: &Columns, name: &str) {
        if let Some(known) = columns.unknown(name) {
            let hint = hint(name, known.iter().map(String::as_str));
            self.say(field, format!("there is no column `{name}`: {hint}"));
        }
    }

    fn format(&mut self, at: &str, format: &Format) {
        if let Some(csv) = &format.csv {
            self.delimiters(
                &format!("{at}.csv"),
                csv.delimiter.as_ref(),
                csv.quote.as_ref(),
            );
            self.unique(&format!("{at}.csv.columns"), csv.columns.iter());
        }
        if let Some(fixed) = &format.fixed_width {
            let names = fixed.columns.iter().map(|c| &c.name);
            self.unique(&format!("{at}.fixedWidth.columns"), names);
            self.types(&format!("{at}.fixedWidth"), &format.record_types());
        }
        if let Some(records) = &format.records {
            let at = format!("{at}.records");
            self.delimiters(&at, records.delimiter.as_ref(), records.quote.as_ref());
            self.types(&at, &format.record_types());
        }
        if let Some(rows) = format.json.as_ref().and_then(|j| j.rows.as_ref())
            && rows != "$"
            && !rows.starts_with("$.")
        {
            let message =
                format!("`{rows}` is not a path: it starts with `$.`, as in `$.data.orders`");
            self.say(&format!("{at}.json.rows"), message);
        }
    }

    fn delimiters(&mut self, at: &str, delimiter: Option<&String>, quote: Option<&String>) {
        if let Some(delimiter) = delimiter {
            self.test(
                &format!("{at}.delimiter"),
                text::one_character(delimiter, "tab"),
            );
        }
        if let Some(quote) = quote {
            self.test(&format!("{at}.quote"), text::one_character(quote, "none"));
        }
        if delimiter.is_some() && delimiter == quote {
            self.say(&format!("{at}.quote"), "quote and delimiter must differ");
        }
    }

    fn unique<'s>(&mut self, at: &str, names: impl Iterator<Item = &'s String>) {
        let mut seen = BTreeSet::new();
        for (i, name) in names.enumerate() {
            if !seen.insert(name) {
                let message = format!("column `{name}` is named twice: rename one");
                self.say(&format!("{at}[{i}]"), message);
            }
        }
    }

    fn types(&mut self, at: &str, types: &[RecordType]) {
        let details: Vec<&str> = types
            .iter()
            .filter(|t| t.role == RecordRole::Detail)
            .flat_map(|t| t.columns.iter().map(String::as_str))
            .collect();
        for (i, kind) in types.iter().enumerate() {
            let at = format!("{at}.types[{i}]");
            self.unique(&format!("{at}.columns"), kind.columns.iter());
            let own = || kind.columns.iter().map(String::as_str);
            let sum = kind.sum.as_ref();
            for (field, column) in [
                ("count", kind.count.as_ref()),
                ("sum.column", sum.map(|s| &s.column)),
            ] {
                if let Some(column) = column.filter(|c| !kind.columns.contains(c)) {
                    let message = format!(
                        "the trailer has no column `{column}`: {}",
                        hint(column, own())
                    );
                    self.say(&format!("{at}.{field}"), message);
                }
            }
            if let Some(of) = sum
                .map(|s| s.of.as_str())
                .filter(|of| !details.contains(of))
            {
                let hint = hint(of, details.iter().copied());
                self.say(
                    &format!("{at}.sum.of"),
                    format!("no detail has a column `{of}`: {hint}"),
                );
            }
        }
    }

    fn lookups(&mut self, at: &str, index: usize, stream: &Stream) {
        for (i, lookup) in stream.lookups.iter().enumerate() {
            let at = format!("{at}.lookups[{i}]");
            let others = || {
                self.spec
                    .streams
                    .iter()
                    .enumerate()
                    .filter(|(j, _)| *j != index)
            };
            match others().find(|(_, s)| s.name == lookup.stream) {
                Some((_, other)) => {
                    let columns = Columns::of(self.spec, other, None);
                    self.column(&format!("{at}.key"), &columns, &lookup.key);
                }
                None => {
                    let hint = hint(&lookup.stream, others().map(|(_, s)| s.name.as_str()));
                    let message = format!(
                        "this source has no other stream `{}`: {hint}",
                        lookup.stream
                    );
                    self.say(&format!("{at}.stream"), message);
                }
            }
            if stream.lookups[..i].iter().any(|l| l.alias == lookup.alias) {
                let message = format!("two look-ups are called `{}`: rename one", lookup.alias);
                self.say(&format!("{at}.as"), message);
            }
            // A column may be called like a look-up; only what has a dot starts from one.
            let first = lookup.by.split_once('.').map_or("", |(first, _)| first);
            if stream.lookups[i..].iter().any(|l| l.alias == first) {
                let message = format!(
                    "`{}` starts from a look-up that is made later: put that one first",
                    lookup.by
                );
                self.say(&format!("{at}.by"), message);
            } else {
                let columns = Columns::of(self.spec, stream, None);
                self.column(&format!("{at}.by"), &columns, &lookup.by);
            }
        }
    }

    fn contract(&mut self, at: &str, stream: &Stream) {
        for (i, rule) in stream.contract.columns.iter().enumerate() {
            let at = format!("{at}.contract.columns[{i}]");
            if self.record(&at, stream, rule.record.as_deref(), false) {
                let columns = Columns::of(self.spec, stream, rule.record.as_deref());
                self.column(&format!("{at}.name"), &columns, &rule.name);
            }
            self.rule(&at, rule);
        }
        let columns = Columns::of(self.spec, stream, None);
        for (i, name) in stream.contract.unique.iter().enumerate() {
            self.column(&format!("{at}.contract.unique[{i}]"), &columns, name);
        }
    }

    fn rule(&mut self, at: &str, rule: &ColumnRule) {
        let temporal = matches!(rule.type_, ColumnType::Date | ColumnType::Timestamp);
        if let Some(format) = &rule.format {
            let at = format!("{at}.format");
            self.test(&at, text::date_format(format));
            if !temporal {
                self.say(
                    &at,
                    "`format` is for dates and times: add `type: date` or `type: timestamp`",
                );
            }
        }
        if let Some(pattern) = &rule.pattern {
            self.test(&format!("{at}.pattern"), text::regex(pattern));
        }
        let bound =
            |text: &Option<String>| text.as_ref().map(|t| (t.clone(), bound(rule.type_, t)));
        let (min, max) = (bound(&rule.min), bound(&rule.max));
        for (field, value) in [("min", &min), ("max", &max)] {
            if let Some((text, None)) = value {
                let kind = format!("{:?}", rule.type_).to_lowercase();
                let message = format!(
                    "`{text}` is no bound for a column of type {kind}: give a number or a date (2026-11-24) and the type to match"
                );
                self.say(&format!("{at}.{field}"), message);
            }
        }
        if let (Some((low, Some(min))), Some((high, Some(max)))) = (&min, &max)
            && min > max
        {
            self.say(
                &format!("{at}.min"),
                format!("`min` {low} is above `max` {high}"),
            );
        }
    }

    /// Whether a `record` is right for the stream; says so when not.
    fn record(&mut self, at: &str, stream: &Stream, record: Option<&str>, needed: bool) -> bool {
        let types = stream.format.as_ref().map(Format::record_types);
        let types = types.unwrap_or_default();
        let at = format!("{at}.record");
        let names = || types.iter().map(|t| t.name.as_str());
        match record {
            None => {
                let details = types.iter().filter(|t| t.role == RecordRole::Detail);
                let ambiguous = needed && details.count() > 1;
                if ambiguous {
                    let names = names().collect::<Vec<_>>().join(", ");
                    let message =
                        format!("say which record this is for: `record: …`, one of {names}");
                    self.say(&at, message);
                }
                !ambiguous
            }
            Some(_) if types.is_empty() => {
                let message = "`record` is for formats with `types` of records (`records`, `fixedWidth`): remove it";
                self.say(&at, message);
                false
            }
            Some(name) => {
                let known = names().any(|n| n == name);
                if !known {
                    let message =
                        format!("there is no record type `{name}`: {}", hint(name, names()));
                    self.say(&at, message);
                }
                known
            }
        }
    }
}

/// A bound as something that can be compared.
fn bound(kind: ColumnType, text: &str) -> Option<rust_decimal::Decimal> {
    match kind {
        ColumnType::Integer => text.parse::<i64>().ok().map(Into::into),
        ColumnType::Decimal => text.parse().ok(),
        ColumnType::Date => {
            let date: jiff::civil::Date = text.parse().ok()?;
            let days = date
                .since((jiff::Unit::Day, jiff::civil::date(1970, 1, 1)))
                .ok()?;
            Some(days.get_days().into())
        }
        ColumnType::Timestamp => {
            let date: Option<jiff::civil::DateTime> = text.parse().ok();
            let instant = text.parse::<jiff::Timestamp>().ok();
            let instant = instant.or_else(|| Some(date?.in_tz("UTC").ok()?.timestamp()));
            instant.map(|t| t.as_second().into())
        }
        ColumnType::Text | ColumnType::Flag => None,
    }
}
