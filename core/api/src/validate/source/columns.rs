//! Which columns a stream has, as far as its format declares them.

use crate::source::{GIVEN_COLUMNS, RecordRole, SourceSpec, Stream};

/// The columns of a stream. Formats that carry their own names declare none.
pub(super) struct Columns {
    /// Own columns; none when the format does not declare them.
    own: Option<Vec<String>>,
    /// Prefixes whose columns are not declared: look-ups into files that name their own columns.
    open: Vec<String>,
    /// Whether the stream has record types and none was chosen.
    mixed: bool,
}

impl Columns {
    /// Columns that rows of a stream have: of one record type, or of all details.
    pub(super) fn of(spec: &SourceSpec, stream: &Stream, record: Option<&str>) -> Self {
        let mut out = Self {
            own: declared(stream, record),
            open: Vec::new(),
            mixed: record.is_none()
                && stream
                    .format
                    .as_ref()
                    .is_some_and(|f| !f.record_types().is_empty()),
        };
        for lookup in &stream.lookups {
            let other = spec.streams.iter().find(|s| s.name == lookup.stream);
            match (other.and_then(|other| declared(other, None)), &mut out.own) {
                (Some(columns), Some(own)) => {
                    own.extend(columns.iter().map(|c| format!("{}.{c}", lookup.alias)));
                }
                _ => out.open.push(format!("{}.", lookup.alias)),
            }
        }
        out
    }

    /// Whether all rows have the same columns.
    pub(super) const fn of_one_kind(&self) -> bool {
        !self.mixed
    }

    /// The columns there are, when this is none of them.
    pub(super) fn unknown(&self, name: &str) -> Option<&[String]> {
        let name = name.strip_prefix("$.").unwrap_or(name);
        let own = self.own.as_ref()?;
        let known = GIVEN_COLUMNS.contains(&name)
            || own.iter().any(|c| c == name)
            || self.open.iter().any(|prefix| name.starts_with(prefix));
        (!known).then_some(own)
    }
}

fn declared(stream: &Stream, record: Option<&str>) -> Option<Vec<String>> {
    if let Some(table) = &stream.table {
        return (!table.columns.is_empty()).then(|| table.columns.clone());
    }
    let format = stream.format.as_ref()?;
    if let Some(csv) = &format.csv {
        return (!csv.columns.is_empty()).then(|| csv.columns.clone());
    }
    let types = format.record_types();
    if let Some(fixed) = format.fixed_width.as_ref().filter(|_| types.is_empty()) {
        return Some(fixed.columns.iter().map(|c| c.name.clone()).collect());
    }
    let own = types.iter().filter(|t| match record {
        Some(name) => t.name == name,
        None => t.role == RecordRole::Detail,
    });
    let headers = types.iter().filter(|t| t.role == RecordRole::Header);
    let headers = headers.flat_map(|t| t.columns.iter().map(|c| format!("{}.{c}", t.name)));
    let all: Vec<String> = own.flat_map(|t| t.columns.clone()).chain(headers).collect();
    (!types.is_empty()).then_some(all)
}
