//! `Source`: one system that holds customer data.

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::entity::Entity;

/// One system that holds customer data: where its rows come from, how they are read, and what they mean.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "musubi.dev",
    version = "v1alpha1",
    kind = "Source",
    doc = "One system that holds customer data: where its rows come from, how they are read, and what they mean.",
    plural = "sources",
    shortname = "msrc",
    category = "musubi",
    namespaced,
    status = "SourceStatus",
    derive = "PartialEq",
    printcolumn(name = "System", type_ = "string", json_path = ".spec.system"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = ("self.streams.all(s, has(self.connector.postgres) ? has(s.table) : has(s.files))", "streams of a postgres connector name a `table`, streams of folder and s3 connectors name `files`"),
    validation = ("self.streams.all(a, self.streams.exists_one(b, b.name == a.name))", "two streams have the same name: rename one")
)]
pub struct SourceSpec {
    /// What kind of system it is.
    pub system: SystemType,
    /// Who answers for the data: a team or a mailing list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub owner: Option<String>,
    /// How sensitive the data is.
    #[serde(default)]
    pub classification: Classification,
    /// How old the newest data may be before the source counts as stale: `26h`, `3d`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub freshness: Option<String>,
    /// IANA time zone of times that carry none, and of the business day.
    #[serde(default = "default_time_zone")]
    pub time_zone: String,
    /// Country whose conventions phones and addresses without a country follow (ISO 3166 alpha-2).
    #[serde(default = "default_country")]
    pub country: String,
    /// How the system is reached. Exactly one of its fields is set.
    pub connector: Connector,
    /// The streams of rows that the system offers.
    #[schemars(length(min = 1, max = 50))]
    pub streams: Vec<Stream>,
}

/// What a source's controller last saw.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SourceStatus {
    /// Conditions: `Ready`, `Reconciling`, `Stalled`, `Fresh`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition>,
    /// Generation that the conditions speak of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

fn default_time_zone() -> String {
    "Asia/Tokyo".into()
}

fn default_country() -> String {
    "jp".into()
}

/// Kinds of systems.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum SystemType {
    Pos,
    Ecommerce,
    App,
    Website,
    Crm,
    Loyalty,
    Erp,
    Oms,
    Support,
    Campaign,
    Delivery,
}

/// How sensitive a source's data is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Classification {
    /// Names no person.
    Public,
    /// Not for outside, but names no person.
    Internal,
    /// Names persons.
    #[default]
    Personal,
    /// Names persons and says something sensitive of them.
    Sensitive,
}

/// How a system is reached. Exactly one field is set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = ("[has(self.folder), has(self.s3), has(self.postgres)].exists_one(x, x)", "give exactly one of `folder`, `s3` and `postgres`")
)]
pub struct Connector {
    /// Files in a folder of this machine (or of a volume).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<FolderConnector>,
    /// Objects in an S3 bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s3: Option<S3Connector>,
    /// Tables of a PostgreSQL database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postgres: Option<PostgresConnector>,
}

/// Files in a folder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FolderConnector {
    /// Path of the folder; a relative path starts at the file that holds the resource.
    #[schemars(length(min = 1, max = 1024))]
    pub path: String,
}

/// Objects in a bucket. Without `credentials` the environment is asked (variables, workload identity, instance role).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct S3Connector {
    /// Bucket.
    #[schemars(length(min = 3, max = 63))]
    pub bucket: String,
    /// Prefix below which the streams' paths start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub prefix: Option<String>,
    /// Region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Endpoint, for servers that are not AWS. A plain `http://` endpoint is allowed for loopback and private names only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Secret with the keys `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<SecretRef>,
}

/// A PostgreSQL database.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PostgresConnector {
    /// Host name.
    #[schemars(length(min = 1, max = 253))]
    pub host: String,
    /// Port.
    #[serde(default = "default_postgres_port")]
    #[schemars(range(min = 1))]
    pub port: u16,
    /// Database.
    #[schemars(length(min = 1, max = 63))]
    pub database: String,
    /// Secret with the keys `username` and `password`.
    pub credentials: SecretRef,
    /// Whether the connection is encrypted.
    #[serde(default)]
    pub tls: TlsMode,
}

fn default_postgres_port() -> u16 {
    5432
}

/// Whether a connection is encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TlsMode {
    /// Encrypted, certificate checked.
    #[default]
    Require,
    /// Not encrypted: for loopback and trusted networks.
    Disable,
}

/// A Secret by name. Its keys are given by whoever refers to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecretRef {
    /// Name of the Secret in the same namespace; on a laptop a `Secret` manifest, or the environment
    /// variable `MUSUBI_SECRET_<NAME>_<KEY>` (upper case, `-` and `.` as `_`).
    #[schemars(length(min = 1, max = 253))]
    pub secret: String,
}

/// A stream of rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
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
    /// Rows are only added; a repeated key with the same content is a duplicate.
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
    /// Glob below the connector's root: `sales/**/*.csv.gz`. A date pattern in braces is matched and
    /// gives the file's date: `sales_{yyyyMMdd}.csv`.
    #[schemars(length(min = 1, max = 1024))]
    pub path: String,
    /// Compression; detected from name and first bytes when `auto`.
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

/// How rows are decoded. Exactly one field is set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = ("[has(self.csv), has(self.fixedWidth), has(self.records), has(self.json), has(self.parquet), has(self.excel)].exists_one(x, x)", "give exactly one of `csv`, `fixedWidth`, `records`, `json`, `parquet` and `excel`")
)]
pub struct Format {
    /// Text with delimiters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csv: Option<CsvFormat>,
    /// Text with columns at fixed positions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fixed_width: Option<FixedWidthFormat>,
    /// Text with several types of records: headers, details, trailers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub records: Option<RecordsFormat>,
    /// JSON: one object a line, or arrays of objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json: Option<JsonFormat>,
    /// Parquet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parquet: Option<ParquetFormat>,
    /// Excel and OpenDocument workbooks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub excel: Option<ExcelFormat>,
}

/// Character encodings of text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Encoding {
    /// From byte order mark and content.
    #[default]
    Auto,
    /// UTF-8, with or without a byte order mark.
    Utf8,
    /// Windows-31J, what Japanese systems call Shift_JIS.
    Cp932,
    /// EUC-JP.
    EucJp,
    /// UTF-16, byte order from its mark, else little-endian.
    Utf16,
    /// Windows-1252 (Western European).
    Latin1,
}

/// Text with delimiters.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CsvFormat {
    /// Character encoding.
    #[serde(default)]
    pub encoding: Encoding,
    /// Delimiter: one character, or `tab`. Detected from the header when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delimiter: Option<String>,
    /// Quote character; `none` switches quoting off. Default `"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quote: Option<String>,
    /// Lines before the header that are not data.
    #[serde(default)]
    pub skip_lines: u32,
    /// Names of the columns, for files without a header line.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000))]
    pub columns: Vec<String>,
    /// Lines that start with this are comments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

/// Text with columns at fixed positions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FixedWidthFormat {
    /// Character encoding.
    #[serde(default)]
    pub encoding: Encoding,
    /// Whether positions count bytes of the file (as mainframes do) or characters.
    #[serde(default)]
    pub unit: WidthUnit,
    /// Lines before the data.
    #[serde(default)]
    pub skip_lines: u32,
    /// The columns.
    #[schemars(length(min = 1, max = 1000))]
    pub columns: Vec<FixedColumn>,
}

/// What a width counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum WidthUnit {
    #[default]
    Bytes,
    Characters,
}

/// A column at a fixed position.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FixedColumn {
    /// Name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// First position, from 1.
    #[schemars(range(min = 1))]
    pub start: u32,
    /// Width.
    #[schemars(range(min = 1))]
    pub width: u32,
}

/// Delimited text with several types of records.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = ("self.types.exists(t, t.role == 'detail')", "at least one type needs `role: detail`: without it there are no rows"),
    validation = ("self.types.all(a, self.types.exists_one(b, b.tag == a.tag))", "two types have the same tag: lines could not be told apart"),
    validation = ("self.types.all(a, self.types.exists_one(b, b.name == a.name))", "two types have the same name: rename one")
)]
pub struct RecordsFormat {
    /// Character encoding.
    #[serde(default)]
    pub encoding: Encoding,
    /// Delimiter: one character, or `tab`. Default `,`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delimiter: Option<String>,
    /// Quote character; `none` switches quoting off. Default `"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quote: Option<String>,
    /// The types. The first column of each line holds the type's tag.
    #[schemars(length(min = 1, max = 20))]
    pub types: Vec<RecordType>,
}

/// One type of record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = ("self.role == 'trailer' || !(has(self.count) || has(self.sum))", "`count` and `sum` check a trailer: give them to a type with `role: trailer`")
)]
pub struct RecordType {
    /// Name used in entity mappings (`record: detail`) and, for headers, before the column names that details see: `header.店舗コード`.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// What stands in the first column.
    #[schemars(length(min = 1, max = 63))]
    pub tag: String,
    /// Role.
    pub role: RecordRole,
    /// Names of the columns after the tag.
    #[schemars(length(min = 1, max = 1000))]
    pub columns: Vec<String>,
    /// For trailers: column that holds the number of detail records since the last trailer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<String>,
    /// For trailers: a sum that must hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sum: Option<TrailerSum>,
}

/// What a type of record does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RecordRole {
    /// Its values hold for all records until the next of its kind; it may itself become entities.
    Header,
    /// Data.
    Detail,
    /// Closes a file or group; its count and sum are checked.
    Trailer,
}

/// A sum in a trailer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TrailerSum {
    /// Column of the trailer.
    pub column: String,
    /// Column of the details that is summed.
    pub of: String,
}

/// JSON.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JsonFormat {
    /// Path of the array that holds the rows, in files that are one document: `$.data.orders`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<String>,
}

/// Parquet has nothing to declare.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ParquetFormat {}

/// Workbooks.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExcelFormat {
    /// Sheet; the first when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sheet: Option<String>,
    /// Rows before the header.
    #[serde(default)]
    pub skip_rows: u32,
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

/// What columns must be like.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Contract {
    /// Rules for columns.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000))]
    pub columns: Vec<ColumnRule>,
    /// Columns whose values, taken together, are unique in a file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub unique: Vec<String>,
    /// A column that is neither in the contract nor in a mapping.
    #[serde(default)]
    pub new_columns: DriftAction,
    /// A column of the contract that a file does not have.
    #[serde(default = "default_missing")]
    pub missing_columns: DriftAction,
    /// A column whose values no longer have the declared type.
    #[serde(default = "default_changed")]
    pub changed_columns: DriftAction,
    /// When quarantined rows stop the run.
    #[serde(default)]
    pub quarantine_limit: QuarantineLimit,
}

impl Default for Contract {
    fn default() -> Self {
        Self {
            columns: Vec::new(),
            unique: Vec::new(),
            new_columns: DriftAction::default(),
            missing_columns: default_missing(),
            changed_columns: default_changed(),
            quarantine_limit: QuarantineLimit::default(),
        }
    }
}

fn default_missing() -> DriftAction {
    DriftAction::Freeze
}

fn default_changed() -> DriftAction {
    DriftAction::Quarantine
}

/// What happens when the shape of a stream changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DriftAction {
    /// Go on: new columns are kept in raw, missing and changed ones are empty.
    #[default]
    Evolve,
    /// Stop the run before anything is published.
    Freeze,
    /// Quarantine the rows concerned; for a missing column the whole file.
    Quarantine,
}

/// When quarantined rows stop the run. Whichever is reached first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct QuarantineLimit {
    /// Number of rows in a run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// Percent of the stream's rows in a run, 0 to 100. Default 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub percent: Option<f64>,
}

/// What one column must be like.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ColumnRule {
    /// Column name or path.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Type that each value must parse as.
    #[serde(rename = "type", default)]
    pub type_: ColumnType,
    /// Format of dates and times, in strptime notation (`%Y%m%d`), or `wareki`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// No row may lack it.
    #[serde(default)]
    pub required: bool,
    /// Smallest value of a number or date.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<String>,
    /// Largest value of a number or date.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<String>,
    /// Regular expression for the whole value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub pattern: Option<String>,
    /// The values allowed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000))]
    pub one_of: Vec<String>,
    /// For streams with record types: the type this rule is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<String>,
}

/// Types of columns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum ColumnType {
    #[default]
    Text,
    Integer,
    Decimal,
    Date,
    Timestamp,
    Flag,
}

/// What a row becomes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EntityMapping {
    /// The entity.
    pub entity: Entity,
    /// For streams with record types: the type of record that makes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<String>,
    /// Path of an array in the row: one entity for each element. Columns then start at the element; `$.` starts at the row; `#` is the position from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub each: Option<String>,
    /// Only rows for which this holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<Condition>,
    /// Columns that together are the primary key in this stream. A row in which one is empty is
    /// quarantined, except for `customer`: there it makes no customer (a receipt without a member number).
    #[schemars(length(min = 1, max = 10))]
    pub key: Vec<String>,
    /// Whose it is: the customer record that the row points to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<CustomerRef>,
    /// The fields.
    #[schemars(extend("maxProperties" = 64))]
    pub fields: BTreeMap<String, FieldMapping>,
}

/// A condition on one column.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = ("has(self.is) || has(self.isNot) || has(self.present)", "say what the column must be: `is`, `isNot` or `present`")
)]
pub struct Condition {
    /// Column or path.
    #[schemars(length(min = 1, max = 253))]
    pub column: String,
    /// It is one of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 200))]
    pub is: Vec<String>,
    /// It is none of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 200))]
    pub is_not: Vec<String>,
    /// It holds something (`true`) or nothing (`false`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub present: Option<bool>,
}

/// The customer record that a row points to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CustomerRef {
    /// Stream of this source whose `customer` entity it is; this stream when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<String>,
    /// Columns that hold that entity's key.
    #[schemars(length(min = 1, max = 10))]
    pub key: Vec<String>,
}

/// How a field gets its value. Exactly one of `from`, `const`, `concat`, `compute` is set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = ("[has(self.from), has(self.__const__), has(self.concat), has(self.compute)].exists_one(x, x)", "give exactly one of `from`, `const`, `concat` and `compute`")
)]
pub struct FieldMapping {
    /// Column, path (`contact.email`) or look-up column (`store.地域`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub from: Option<String>,
    /// The same value for every row.
    #[serde(rename = "const", default, skip_serializing_if = "Option::is_none")]
    pub constant: Option<String>,
    /// Several columns put together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concat: Option<Concat>,
    /// Arithmetic over columns in exact decimals: `数量 * 単価`, `round(価格 * 1.08, 0)`; column names with
    /// spaces or signs stand in square brackets. Functions: `round`, `floor`, `ceil`, `abs`, `neg`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub compute: Option<String>,
    /// Takes one part of the value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<Split>,
    /// Format of dates and times in strptime notation (`%Y/%m/%d %H:%M`), `wareki`, `unix`, `unix-ms`.
    /// Several are tried in turn when separated by ` | `.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// Values replaced by others, before anything else. A value that is not listed stays as it is.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub map: BTreeMap<String, String>,
    /// What an empty value becomes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// How a money value with more places than its currency has is rounded.
    #[serde(default)]
    pub rounding: Rounding,
}

/// Several columns put together; empty ones are left out with their separator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Concat {
    /// The columns.
    #[schemars(length(min = 1, max = 20))]
    pub columns: Vec<String>,
    /// What stands between them.
    #[serde(default)]
    pub separator: String,
}

/// One part of a value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = ("self.part != 0", "parts count from 1, or from -1 at the end")
)]
pub struct Split {
    /// What separates the parts.
    #[schemars(length(min = 1, max = 63))]
    pub by: String,
    /// Which part, from 1; negative counts from the end.
    pub part: i32,
}

/// Rounding of money.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Rounding {
    /// Keep up to four places as they are.
    #[default]
    None,
    /// Towards zero (切り捨て).
    Down,
    /// Away from zero (切り上げ).
    Up,
    /// Half away from zero (四捨五入).
    HalfUp,
    /// Half to even.
    HalfEven,
}
