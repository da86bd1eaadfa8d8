//! `Audience`: a segment of customers and where it is delivered.

use kube_derive::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{conditions::ReadyStatus, source::S3Connector};

/// A segment of customers and where it is delivered.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    crates(kube_core = "::kube_core"),
    group = "musubi.dev",
    version = "v1alpha1",
    kind = "Audience",
    doc = "A segment of customers and where it is delivered.",
    plural = "audiences",
    shortname = "maud",
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
pub struct AudienceSpec {
    /// What the segment is for, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Warehouse whose tables the filter reads.
    #[schemars(length(min = 1, max = 63))]
    pub warehouse: String,
    /// SQL condition over `customers c` joined with `customer_features f`: `f.order_count >= 5 and c.prefecture = '東京都'`.
    #[schemars(length(min = 1, max = 4096))]
    pub filter: String,
    /// Purpose that every delivered customer must have consented to: `email_marketing`.
    #[schemars(length(min = 1, max = 63))]
    pub consent: String,
    /// Columns of `customers` and `customer_features` to deliver, beside `customer_id`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub columns: Vec<String>,
    /// Where it goes.
    pub destination: Destination,
    /// What each delivery holds.
    #[serde(default)]
    pub deliver: Delivery,
}

/// Where an audience goes. Exactly one field is set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    crates(kube_core = "::kube_core"),
    validation = ("[has(self.file), has(self.s3)].exists_one(x, x)", "give exactly one of `file` and `s3`")
)]
pub struct Destination {
    /// A CSV file in a folder of the machine that delivers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<FileDestination>,
    /// A CSV file below a prefix of a bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s3: Option<S3Connector>,
}

/// A CSV file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FileDestination {
    /// Folder for the files; a relative path starts at the file that holds the resource.
    #[schemars(length(min = 1, max = 1024))]
    pub path: String,
}

/// What a delivery holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Delivery {
    /// Everybody in the segment.
    #[default]
    Full,
    /// Who entered, left or changed since the last delivery, with a column `change`.
    Difference,
}
