//! `Warehouse`: where curated tables are loaded.

use kube_derive::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    conditions::ReadyStatus,
    source::{SecretRef, TlsMode},
};

/// A warehouse that curated tables are loaded into.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    crates(kube_core = "::kube_core"),
    group = "musubi.dev",
    version = "v1alpha1",
    kind = "Warehouse",
    doc = "A warehouse that curated tables are loaded into.",
    plural = "warehouses",
    shortname = "mwh",
    category = "musubi",
    namespaced,
    status = "ReadyStatus",
    derive = "PartialEq",
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
    crates(kube_core = "::kube_core"),
    validation = ("[has(self.sqlite), has(self.postgres)].exists_one(x, x)", "give exactly one of `sqlite` and `postgres`")
)]
pub struct WarehouseSpec {
    /// A SQLite file. Whole amounts, such as all in yen, are integers there, and their sums are exact. SQLite has
    /// no decimals: an amount with a fraction is a number that reads back as the same decimal, and sums of such
    /// are to be rounded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sqlite: Option<SqliteWarehouse>,
    /// A PostgreSQL database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postgres: Option<PostgresWarehouse>,
    /// Curated tables to load; all when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub tables: Vec<String>,
    /// Whether a load brings everything or what changed.
    #[serde(default)]
    pub mode: LoadMode,
}

/// A SQLite file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SqliteWarehouse {
    /// Path of the file; a relative path starts at the file that holds the resource.
    #[schemars(length(min = 1, max = 1024))]
    pub path: String,
}

/// A PostgreSQL database.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PostgresWarehouse {
    /// Host name.
    #[schemars(length(min = 1, max = 253))]
    pub host: String,
    /// Port.
    #[serde(default = "default_port")]
    #[schemars(range(min = 1))]
    pub port: u16,
    /// Database.
    #[schemars(length(min = 1, max = 63))]
    pub database: String,
    /// Schema that holds the tables; created when absent.
    #[serde(default = "default_schema")]
    #[schemars(length(min = 1, max = 63))]
    pub schema: String,
    /// Secret with the keys `username` and `password`.
    pub credentials: SecretRef,
    /// Whether the connection is encrypted.
    #[serde(default)]
    pub tls: TlsMode,
}

fn default_port() -> u16 {
    5432
}

fn default_schema() -> String {
    "musubi".into()
}

/// What a load brings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LoadMode {
    /// Files of the tables that changed since the version loaded last.
    #[default]
    Incremental,
    /// Everything, every time.
    Full,
}
