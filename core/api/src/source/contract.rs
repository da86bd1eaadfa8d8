//! What columns must be like, and what happens when they are not.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
