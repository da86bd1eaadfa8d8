//! How records become people, in this crate's own terms. Callers convert their resource into it.

use std::collections::BTreeSet;

/// Everything that decides who is one customer. `Default` is a good policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// Identifiers that prove that two records are one person, most trusted first.
    pub identifiers: Vec<Identifier>,
    /// Match probability from which two records are one person. A calibrated probability p is best cut at
    /// wrong / (wrong + missed), the costs of a wrong merge and of a missed one. The default takes a wrong merge
    /// for as bad as four missed ones; a pipeline, which writes to customers, takes it for nineteen (0.95).
    pub match_probability: f64,
    /// Match probability from which a pair is kept for review.
    pub review_probability: f64,
    /// Comparisons to use by name (`given`, `birth`, …; a field's name selects the comparison it belongs to); all when empty.
    pub compare: Vec<String>,
    /// Largest block that is compared in full before it is refined.
    pub max_block_size: u32,
    /// Records from which a cluster is examined whatever its shape.
    pub max_cluster_size: u32,
    /// Whether conflicting birth dates split a cluster.
    pub birth_date_conflict: bool,
    /// Whether weak links between dense parts are cut.
    pub cut_bridges: bool,
    /// Pairs decided by a steward.
    pub pins: Vec<Pin>,
    /// Whether only records of different sources are compared: two files are linked, and neither is looked through
    /// for duplicates of its own. A record may still join two of the other source.
    pub across_sources: bool,
    /// Sources by precedence, for survivorship.
    pub source_priority: Vec<String>,
    /// Survivorship rules per field.
    pub survivorship: Vec<(String, Vec<Survivor>)>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            identifiers: [
                "loyalty_number",
                "app_user_id",
                "external_id",
                "email",
                "phone",
            ]
            .map(Identifier::new)
            .to_vec(),
            match_probability: 0.7,
            review_probability: 0.5,
            compare: Vec::new(),
            max_block_size: 500,
            max_cluster_size: 50,
            birth_date_conflict: true,
            cut_bridges: true,
            pins: Vec::new(),
            across_sources: false,
            source_priority: Vec::new(),
            survivorship: Vec::new(),
        }
    }
}

/// One identifier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identifier {
    /// Field of the entity `customer`.
    pub field: String,
    /// Distinct values that one customer may have.
    pub max_per_customer: u32,
    /// Distinct people from which a value counts as shared and proves nothing alone.
    pub max_people: u32,
    /// Values that never identify anybody.
    pub blocked: BTreeSet<String>,
}

impl Identifier {
    /// An identifier with the usual limits: five values a customer, one person a value.
    #[must_use]
    pub fn new(field: &str) -> Self {
        Self {
            field: field.to_owned(),
            max_per_customer: 5,
            max_people: 1,
            blocked: BTreeSet::new(),
        }
    }
}

/// A steward's decision on two records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// Record id, 32 hexadecimal characters.
    pub left: String,
    /// Record id.
    pub right: String,
    /// What holds, whatever the evidence.
    pub decision: Decision,
}

/// What a pin says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// One person.
    Always,
    /// Two persons.
    Never,
}

/// Survivorship rules; the first that decides wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Survivor {
    /// The source that comes first in `source_priority`.
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
