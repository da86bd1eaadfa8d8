//! `Source`: one system that holds customer data.

use kube_derive::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

mod connector;
mod contract;
mod format;
mod mapping;
mod pattern;
mod stream;

pub use self::{
    connector::{Connector, FolderConnector, PostgresConnector, S3Connector, SecretRef, TlsMode},
    contract::{ColumnRule, ColumnType, Contract, DriftAction, QuarantineLimit},
    format::{
        CsvFormat, Encoding, ExcelFormat, FixedColumn, FixedRecordType, FixedWidthFormat, Format,
        JsonFormat, ParquetFormat, RecordRole, RecordType, RecordsFormat, TrailerSum, WidthUnit,
    },
    mapping::{
        Concat, Condition, CustomerRef, EntityMapping, FILE_DATE, FILE_PATH, FieldMapping,
        GIVEN_COLUMNS, Rounding, Split,
    },
    pattern::FilePattern,
    stream::{ChangeMode, Compression, Files, Lookup, LookupMiss, Stream, Table},
};

/// One system that holds customer data: where its rows come from, how they are read, and what they mean.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    crates(kube_core = "::kube_core"),
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
        name = "Fresh",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Fresh\")].status"
    ),
    printcolumn(name = "Newest", type_ = "date", json_path = ".status.bookmark.newest"),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    crates(kube_core = "::kube_core"),
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

impl SourceSpec {
    /// Seconds that the newest data may be old, where that is promised.
    #[must_use]
    pub fn freshness_seconds(&self) -> Option<f64> {
        seconds(self.freshness.as_ref()?).map(|seconds| seconds as f64)
    }
}

/// The seconds of a length of time such as `26h` or `3d`. A day has 24 hours.
#[must_use]
pub fn seconds(text: &str) -> Option<i64> {
    let span: jiff::Span = text.parse().ok()?;
    let days = jiff::SpanRelativeTo::days_are_24_hours();
    Some(span.to_duration(days).ok()?.as_secs())
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
    /// How far what was published has come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bookmark: Option<Bookmark>,
}

/// How far a source was read: an instant and who read it, never a value of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Bookmark {
    /// Of which instant the newest data is: the cursor of a table where that is a time, the end of the day in a file's
    /// name, else when it arrived.
    pub newest: k8s_openapi::apimachinery::pkg::apis::meta::v1::Time,
    /// The run that published it.
    pub run: String,
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
