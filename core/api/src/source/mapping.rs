//! What a row becomes.

use std::collections::BTreeMap;

use kube_derive::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::entity::Entity;

/// The date that `files.path` finds in the path of the row's file, as `2026-11-24`.
pub const FILE_DATE: &str = "#date";

/// The path of the row's file below the connector's root.
pub const FILE_PATH: &str = "#path";

/// Columns that rows have beside those of their file. `#` is the position in an array, from 1.
pub const GIVEN_COLUMNS: [&str; 3] = ["#", FILE_DATE, FILE_PATH];

/// What a row becomes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EntityMapping {
    /// The entity.
    pub entity: Entity,
    /// For streams with record types: the type of record that makes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<String>,
    /// Path of an array in the row: one entity for each element, also through arrays (`parcels.items`). Columns then start at the element; `$.` starts at the row; `#` is the position from 1.
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
    crates(kube_core = "::kube_core"),
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
    crates(kube_core = "::kube_core"),
    validation = ("[has(self.from), has(self.__const__), has(self.concat), has(self.compute)].exists_one(x, x)", "give exactly one of `from`, `const`, `concat` and `compute`")
)]
pub struct FieldMapping {
    /// Column, path (`contact.email`) or look-up column (`store.地域`). `#path` is the path of the row's file,
    /// `#date` the date that `files.path` finds in it.
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
    crates(kube_core = "::kube_core"),
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
