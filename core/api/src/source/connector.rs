//! How a system is reached.

use kube_derive::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a system is reached. Exactly one field is set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    crates(kube_core = "::kube_core"),
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
