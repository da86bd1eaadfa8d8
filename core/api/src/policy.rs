//! `IdentityPolicy`: how records become people.

use kube_derive::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::conditions::ReadyStatus;

/// How records become people. Everything has a default that is chosen from the fields that exist; an
/// empty spec is a good policy.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    crates(kube_core = "::kube_core"),
    group = "musubi.dev",
    version = "v1alpha1",
    kind = "IdentityPolicy",
    doc = "How records become people.",
    plural = "identitypolicies",
    shortname = "midp",
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
    validation = ("self.reviewProbability <= self.matchProbability", "`reviewProbability` must not be above `matchProbability`"),
    validation = ("!has(self.identifiers) || self.identifiers.all(a, self.identifiers.exists_one(b, b.field == a.field))", "an identifier is listed twice: remove one"),
    validation = ("!has(self.survivorship) || self.survivorship.all(a, self.survivorship.exists_one(b, b.field == a.field))", "a field has two survivorship rules: put them into one, in turn")
)]
pub struct IdentityPolicySpec {
    /// Identifiers that prove that two records are one person. The defaults, in this order:
    /// `loyalty_number`, `app_user_id`, `external_id`, `email`, `phone`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub identifiers: Vec<IdentifierRule>,
    /// Match probability from which two records are one person.
    #[serde(default = "default_match")]
    #[schemars(range(min = 0, max = 1))]
    pub match_probability: f64,
    /// Match probability from which a pair is kept for review.
    #[serde(default = "default_review")]
    #[schemars(range(min = 0, max = 1))]
    pub review_probability: f64,
    /// Fields that are compared; chosen from the fields that exist when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 30))]
    pub compare: Vec<String>,
    /// Largest block that is compared in full before it is refined.
    #[serde(default = "default_block")]
    #[schemars(range(min = 2))]
    pub max_block_size: u32,
    /// Bounds on what a customer can be.
    #[serde(default)]
    pub guards: Guards,
    /// How a golden record takes its values, per field.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 40))]
    pub survivorship: Vec<SurvivorshipRule>,
    /// Sources by precedence: for survivorship rule `source_priority`, and for facts that several sources tell.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub source_priority: Vec<String>,
    /// Version of the model that stands until it is changed. Without it the first run trains one and later runs keep it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pinned_model: Option<String>,
    /// Pairs that always or never are one person.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000))]
    pub pins: Vec<Pin>,
}

impl Default for IdentityPolicySpec {
    fn default() -> Self {
        Self {
            identifiers: Vec::new(),
            match_probability: default_match(),
            review_probability: default_review(),
            compare: Vec::new(),
            max_block_size: default_block(),
            guards: Guards::default(),
            survivorship: Vec::new(),
            source_priority: Vec::new(),
            pinned_model: None,
            pins: Vec::new(),
        }
    }
}

fn default_match() -> f64 {
    0.95
}

fn default_review() -> f64 {
    0.5
}

fn default_block() -> u32 {
    500
}

/// One identifier.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IdentifierRule {
    /// Field of the entity `customer`.
    #[schemars(length(min = 1, max = 63))]
    pub field: String,
    /// Distinct values that one customer may have; more make the cluster suspect.
    #[serde(default = "default_limit")]
    #[schemars(range(min = 1))]
    pub max_per_customer: u32,
    /// Distinct people (by name and birth date) from which a value counts as shared and proves nothing alone.
    #[serde(default = "default_people")]
    #[schemars(range(min = 1))]
    pub max_people: u32,
    /// Values that never identify anybody.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000))]
    pub blocked: Vec<String>,
}

fn default_limit() -> u32 {
    5
}

fn default_people() -> u32 {
    1
}

/// Bounds on what a customer can be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Guards {
    /// Records from which a cluster is examined and, if its evidence is weak, split.
    #[serde(default = "default_cluster")]
    #[schemars(range(min = 2))]
    pub max_cluster_size: u32,
    /// Whether conflicting birth dates split a cluster.
    #[serde(default = "yes")]
    pub birth_date_conflict: bool,
    /// Whether a single weak link between two dense parts is cut.
    #[serde(default = "yes")]
    pub cut_bridges: bool,
}

impl Default for Guards {
    fn default() -> Self {
        Self {
            max_cluster_size: default_cluster(),
            birth_date_conflict: true,
            cut_bridges: true,
        }
    }
}

fn default_cluster() -> u32 {
    50
}

fn yes() -> bool {
    true
}

/// How one field of the golden record is chosen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SurvivorshipRule {
    /// Field of the entity `customer`.
    #[schemars(length(min = 1, max = 63))]
    pub field: String,
    /// Rules in turn: the first that decides wins.
    #[schemars(length(min = 1, max = 5))]
    pub rules: Vec<Survivor>,
}

/// Survivorship rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Survivor {
    /// The source that comes first in `sourcePriority`.
    SourcePriority,
    /// The value that was changed last.
    MostRecent,
    /// The value that most records have.
    MostFrequent,
    /// The longest value.
    MostComplete,
    /// A value whose validity flag is set.
    VerifiedFirst,
}

/// A steward's decision on two records.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    crates(kube_core = "::kube_core"),
    validation = ("self.left != self.right", "a pin joins or parts two different records")
)]
pub struct Pin {
    /// Record id.
    #[schemars(length(min = 1, max = 253))]
    pub left: String,
    /// Record id.
    #[schemars(length(min = 1, max = 253))]
    pub right: String,
    /// What holds.
    pub decision: PinDecision,
}

/// What a pin says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PinDecision {
    /// One person, whatever the evidence.
    Always,
    /// Two persons, whatever the evidence.
    Never,
}
