//! Streams: where rows come from, and how they speak of change.

use kube_derive::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Contract, EntityMapping, Format};

/// A stream of rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    crates(kube_core = "::kube_core"),
    validation = ("self.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')", "a stream's name has lower case letters, digits and hyphens, and starts and ends with a letter or digit"),
    validation = ("!(has(self.files) && has(self.table))", "give either `files` or `table`, not both"),
    validation = ("!has(self.files) || has(self.format)", "files need a `format`: csv, fixedWidth, records, json, parquet or excel"),
    validation = ("!has(self.table) || !has(self.format)", "rows of a table are typed already: remove `format`"),
    validation = ("(self.changes == 'changes') == has(self.operation)", "`operation` names the column that says what a row does: it goes with `changes: changes`, and only with it"),
    validation = ("!has(self.dayEndsAt) || self.dayEndsAt.matches('^([01][0-9]|2[0-3]):[0-5][0-9]$')", "`dayEndsAt` is a time of day such as '03:00'")
)]
pub struct Stream {
    /// Name, unique in the source: lower case letters, digits and hyphens.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// Which files belong to the stream (connectors `folder` and `s3`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<Files>,
    /// Which table it reads (connector `postgres`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<Table>,
    /// How rows are decoded. Needed for files; database rows are typed already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    /// How the stream speaks of change.
    #[serde(default)]
    pub changes: ChangeMode,
    /// Column (or path) that says what a row does, for `changes: changes`; values `c`/`u`/`d`, insert/update/delete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub operation: Option<String>,
    /// Column (or path) that orders the versions of a row: a time or a growing number. Without it the
    /// later file, and in a file the later row, wins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub cursor: Option<String>,
    /// Whether a newer file at the same path replaces all that the older one brought.
    #[serde(default = "yes")]
    pub replace_files: bool,
    /// When the shop's day ends after midnight: `03:00` counts a sale at 02:59 to the day before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 5))]
    pub day_ends_at: Option<String>,
    /// Rows of other streams of this source that are joined to each row.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub lookups: Vec<Lookup>,
    /// What columns must be like.
    #[serde(default)]
    pub contract: Contract,
    /// What each row becomes. A stream without entities serves look-ups only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub entities: Vec<EntityMapping>,
}

fn yes() -> bool {
    true
}

/// How a stream speaks of change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ChangeMode {
    /// Rows are only added: when a key comes again, the first row stands.
    Append,
    /// A row with a known key replaces the former.
    #[default]
    Upsert,
    /// Each file (or read) holds everything: what is absent was deleted.
    Snapshot,
    /// Rows carry an operation.
    Changes,
}

/// Which files belong to a stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Files {
    /// Glob below the connector's root: `sales/**/*.csv.gz`, `sales.{csv,tsv}`. A date pattern in braces is
    /// matched and orders the files: `sales_{yyyyMMdd}.csv`, `{yyyy}/{MM}/sales_*.csv`.
    #[schemars(length(min = 1, max = 1024))]
    pub path: String,
    /// Compression; told from the first bytes when `auto`.
    #[serde(default)]
    pub compression: Compression,
}

/// Compression of files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum Compression {
    #[default]
    Auto,
    None,
    Gzip,
    Zstd,
    Zip,
}

/// A table of a database.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Table {
    /// Table or view, with its schema: `public.customers`.
    #[schemars(length(min = 1, max = 127))]
    pub name: String,
    /// Columns to read; all when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 500))]
    pub columns: Vec<String>,
    /// Column by which new rows are found. Without it every run reads the whole table (a snapshot).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// How far behind the bookmark a read starts, for commits that came late: `10m`. Counts in units of the cursor when that is a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlap: Option<String>,
    /// Primary key columns, for a stable order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub key: Vec<String>,
}

/// Rows of another stream of the source, joined to each row. Look-ups are made in the order given, so a
/// later one may start from a column of an earlier one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Lookup {
    /// Name under which the found row's columns are seen: `store` makes `store.地域`.
    #[serde(rename = "as")]
    #[schemars(length(min = 1, max = 63))]
    pub alias: String,
    /// The other stream.
    #[schemars(length(min = 1, max = 63))]
    pub stream: String,
    /// Column of this row (or of an earlier look-up).
    #[schemars(length(min = 1, max = 253))]
    pub by: String,
    /// Column of the other stream's rows.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
    /// What happens to rows that find nothing.
    #[serde(default)]
    pub missing: LookupMiss,
}

/// What happens to rows whose look-up finds nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LookupMiss {
    /// The columns are empty.
    #[default]
    Null,
    /// The row is quarantined.
    Quarantine,
}
