//! The contract of a stream, compiled: what columns must be like.

use std::{collections::BTreeSet, sync::Arc};

use hashbrown::HashSet;
use jiff::tz::TimeZone;
use musubi_api::source::{ColumnRule, ColumnType, Contract, DriftAction};
use regex::Regex;
use rust_decimal::Decimal;
use xxhash_rust::xxh3::xxh3_128;

use crate::mapping::Bindings;
use crate::mapping_row::{Id, Row, Rows, trimmed};
use crate::moments::{Clock, MomentId};
use crate::normalised::Normalised;
use crate::problem::Reject;
use crate::raw::SourceFile;

/// A change in the shape of a stream.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Drift {
    /// What changed.
    pub kind: DriftKind,
    /// The column.
    pub column: String,
}

/// How the shape of a stream changes.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum DriftKind {
    /// A column that neither contract nor mapping knows.
    New,
    /// A column of the contract is not there.
    Missing,
    /// Values of a column are no longer of the declared type.
    Changed,
}

/// What is remembered while one file (or one read of a table) is cleaned.
#[derive(Debug, Default)]
pub struct FileState {
    pub(crate) origin: Arc<SourceFile>,
    pub(crate) unique: HashSet<u128>,
    pub(crate) drift: BTreeSet<Drift>,
    pub(crate) new_members: HashSet<String>,
    /// The unique columns of a row, put together.
    pub(crate) key: Vec<u8>,
}

impl FileState {
    /// Every change of shape found so far.
    #[must_use]
    pub const fn drift(&self) -> &BTreeSet<Drift> {
        &self.drift
    }
}

/// What a check of one row says.
pub(crate) enum Verdict {
    Good,
    Reject(Reject),
    Freeze(String),
}

pub(crate) struct CompiledContract {
    rules: Vec<Rule>,
    unique: Vec<Id>,
    new_columns: DriftAction,
    missing_columns: DriftAction,
    changed_columns: DriftAction,
    /// Names that are no news.
    pub(crate) known: BTreeSet<String>,
}

struct Rule {
    id: Id,
    name: String,
    kind: ColumnType,
    /// How its dates or times are read.
    moment: Option<MomentId>,
    required: bool,
    min: Option<Bound>,
    max: Option<Bound>,
    pattern: Option<Regex>,
    one_of: Vec<String>,
    record: Option<String>,
}

/// A value that can be compared with a limit.
#[derive(Clone, Debug, PartialEq, PartialOrd)]
enum Bound {
    Number(Decimal),
    Micros(i64),
}

impl CompiledContract {
    /// Compiles; on failure says which field is wrong and why.
    pub(crate) fn new(
        contract: &Contract,
        known: BTreeSet<String>,
        bindings: &mut Bindings<'_>,
        zone: &TimeZone,
    ) -> Result<Self, (String, String)> {
        let rules = contract
            .columns
            .iter()
            .map(|rule| Rule::new(rule, bindings, zone))
            .collect::<Result<_, _>>()?;
        let unique = contract
            .unique
            .iter()
            .map(|name| bindings.column(name))
            .collect();
        Ok(Self {
            rules,
            unique,
            new_columns: contract.new_columns,
            missing_columns: contract.missing_columns,
            changed_columns: contract.changed_columns,
            known,
        })
    }

    /// Compares the columns of a batch with the contract. Nested rows have no columns to miss: only new
    /// members are found there, row by row in [`CompiledContract::check`].
    pub(crate) fn shape(
        &self,
        rows: &Rows<'_>,
        record: Option<&str>,
        state: &mut FileState,
    ) -> Verdict {
        let Rows::Flat { batch, .. } = rows else {
            return Verdict::Good;
        };
        let schema = batch.schema();
        let mut verdict = Verdict::Good;
        // a rule that names no record type is for those types that have the column
        let must = |r: &&Rule| r.is_for(record) && (record.is_none() || r.record.is_some());
        for rule in self.rules.iter().filter(must) {
            if schema.column_with_name(&rule.name).is_none() && !rule.name.contains('.') {
                let found = self.drifted(DriftKind::Missing, &rule.name, state);
                verdict = worse(verdict, found);
            }
        }
        for field in schema.fields() {
            if !self.known.contains(field.name()) {
                let found = self.drifted(DriftKind::New, field.name(), state);
                verdict = worse(verdict, found);
            }
        }
        verdict
    }

    fn drifted(&self, kind: DriftKind, column: &str, state: &mut FileState) -> Verdict {
        state.drift.insert(Drift {
            kind,
            column: column.to_owned(),
        });
        let (action, code, message) = match kind {
            DriftKind::New => (
                self.new_columns,
                "new_column",
                format!("column {column} is in neither contract nor mapping"),
            ),
            DriftKind::Missing => (
                self.missing_columns,
                "missing_column",
                format!("column {column} of the contract is not in the file"),
            ),
            DriftKind::Changed => (
                self.changed_columns,
                "wrong_type",
                format!("values of column {column} are no longer of the declared type"),
            ),
        };
        match action {
            DriftAction::Evolve => Verdict::Good,
            DriftAction::Freeze => Verdict::Freeze(message),
            DriftAction::Quarantine => Verdict::Reject(Reject::new(code, column, message, None)),
        }
    }

    /// Checks one row; columns whose value is to be taken as empty are added to `blank`.
    pub(crate) fn check<'a>(
        &self,
        row: &Row<'a>,
        record: Option<&str>,
        state: &mut FileState,
        blank: &mut Vec<Id>,
        clock: &mut Clock<'a>,
    ) -> Verdict {
        if let Rows::Json { rows, strange, .. } = row.rows {
            let evolves = self.new_columns == DriftAction::Evolve;
            let members = rows.row(row.index).members();
            let new = members.filter(|(_, member)| strange.get(member.name()) == Some(true));
            for (name, _) in new {
                if evolves {
                    if state.new_members.contains(name) {
                        continue;
                    }
                    state.new_members.insert(name.to_owned());
                }
                match self.drifted(DriftKind::New, name, state) {
                    Verdict::Good => {}
                    other => return other,
                }
            }
        }
        for rule in self.rules.iter().filter(|r| r.is_for(record)) {
            let Some(value) = row.get(rule.id) else {
                let elsewhere = record.is_some() && rule.record.is_none() && !row.rows.has(rule.id);
                if rule.required && !elsewhere {
                    let reject = Reject::new(
                        "required",
                        &rule.name,
                        "the column is required and empty",
                        None,
                    );
                    return Verdict::Reject(reject);
                }
                continue;
            };
            match rule.check(trimmed(value), clock) {
                Ok(()) => {}
                Err(reject) if reject.code == "wrong_type" => {
                    match self.drifted(DriftKind::Changed, &rule.name, state) {
                        Verdict::Good => blank.push(rule.id),
                        Verdict::Reject(_) => return Verdict::Reject(reject),
                        freeze => return freeze,
                    }
                }
                Err(reject) => return Verdict::Reject(reject),
            }
        }
        self.unique(row, state)
    }

    fn unique(&self, row: &Row<'_>, state: &mut FileState) -> Verdict {
        if self.unique.is_empty() {
            return Verdict::Good;
        }
        let mut any = false;
        state.key.clear();
        for id in &self.unique {
            let value = row.get(*id);
            any |= value.is_some();
            let text = value.unwrap_or_default().trim();
            state.key.extend_from_slice(text.as_bytes());
            state.key.push(0);
        }
        if !any || state.unique.insert(xxh3_128(&state.key)) {
            return Verdict::Good;
        }
        let names: Vec<&str> = self
            .unique
            .iter()
            .map(|id| row.references.text(*id))
            .collect();
        Verdict::Reject(Reject::new(
            "not_unique",
            &names.join(", "),
            "an earlier row of the file has the same values",
            None,
        ))
    }
}

fn worse(before: Verdict, after: Verdict) -> Verdict {
    match (&before, &after) {
        (Verdict::Freeze(_), _) | (_, Verdict::Good) => before,
        (Verdict::Reject(_), Verdict::Reject(_)) => before,
        _ => after,
    }
}

impl Rule {
    fn new(
        rule: &ColumnRule,
        bindings: &mut Bindings<'_>,
        zone: &TimeZone,
    ) -> Result<Self, (String, String)> {
        let fault = |what: &str, message: String| {
            (format!("contract.columns[{}].{what}", rule.name), message)
        };
        let pattern = rule
            .pattern
            .as_deref()
            .map(|p| Regex::new(&format!("^(?:{p})$")))
            .transpose()
            .map_err(|error| fault("pattern", format!("is no regular expression: {error}")))?;
        let mut compiled = Self {
            id: bindings.column(&rule.name),
            name: rule.name.clone(),
            kind: rule.type_,
            moment: match rule.type_ {
                ColumnType::Date => Some(bindings.moments.date(rule.format.as_deref())),
                ColumnType::Timestamp => Some(bindings.moments.timestamp(rule.format.as_deref())),
                _ => None,
            },
            required: rule.required,
            min: None,
            max: None,
            pattern,
            one_of: rule.one_of.clone(),
            record: rule.record.clone(),
        };
        let bound = |text: &Option<String>, what: &str| match text {
            None => Ok(None),
            Some(text) => compiled.limit(text, zone).map(Some).ok_or_else(|| {
                fault(
                    what,
                    "is no number and no date (2026-01-31), as the column's type asks".to_owned(),
                )
            }),
        };
        let (min, max) = (bound(&rule.min, "min")?, bound(&rule.max, "max")?);
        (compiled.min, compiled.max) = (min, max);
        Ok(compiled)
    }

    /// A limit as the resource writes it: numbers plain, dates and times in ISO 8601.
    fn limit(&self, text: &str, zone: &TimeZone) -> Option<Bound> {
        match self.kind {
            ColumnType::Date => date(text, None).flatten(),
            ColumnType::Timestamp => crate::date::parse_timestamp(text, None, zone)
                .value
                .map(Bound::Micros),
            _ => text.trim().parse().ok().map(Bound::Number),
        }
    }

    fn is_for(&self, record: Option<&str>) -> bool {
        self.record.is_none() || self.record.as_deref() == record
    }

    fn check<'a>(&self, value: &'a str, clock: &mut Clock<'a>) -> Result<(), Reject> {
        let reject = |code: &str, rule: String| Reject::new(code, &self.name, rule, Some(value));
        let typed = self.typed(value, clock).ok_or_else(|| {
            reject(
                "wrong_type",
                format!("is no {:?}", self.kind).to_lowercase(),
            )
        })?;
        let typed = match (typed, &self.kind) {
            (None, ColumnType::Text) if self.min.is_some() || self.max.is_some() => {
                number(value).ok_or_else(|| reject("wrong_type", "is no number".into()))?
            }
            (typed, _) => typed,
        };
        if let (Some(typed), Some(min)) = (&typed, &self.min)
            && typed < min
        {
            return Err(reject("out_of_range", "is below the smallest value".into()));
        }
        if let (Some(typed), Some(max)) = (&typed, &self.max)
            && typed > max
        {
            return Err(reject("out_of_range", "is above the largest value".into()));
        }
        if self.pattern.as_ref().is_some_and(|p| !p.is_match(value)) {
            return Err(reject(
                "pattern",
                "does not have the pattern of the contract".into(),
            ));
        }
        if !self.one_of.is_empty() && !self.one_of.iter().any(|v| v == value) {
            return Err(reject(
                "not_allowed",
                "is none of the values allowed".into(),
            ));
        }
        Ok(())
    }

    /// The value by the declared type: outer `None` when it is not of that type, inner when it says
    /// nothing (`-`) or has no order.
    #[allow(clippy::option_option)]
    fn typed<'a>(&self, value: &'a str, clock: &mut Clock<'a>) -> Option<Option<Bound>> {
        if let Some(moment) = self.moment {
            let micros = match self.kind {
                ColumnType::Date => 86_400_000_000,
                _ => 1,
            };
            let found = judged(clock.read(moment, value))?;
            return Some(found.map(|at| Bound::Micros(at * micros)));
        }
        match self.kind {
            ColumnType::Decimal => number(value),
            ColumnType::Integer => {
                let whole = |b: &Bound| matches!(b, Bound::Number(n) if n.is_integer());
                number(value).filter(|found| found.as_ref().is_none_or(whole))
            }
            ColumnType::Flag => judged(crate::flag::parse(value)).map(|_| None),
            ColumnType::Text | ColumnType::Date | ColumnType::Timestamp => Some(None),
        }
    }
}

#[allow(clippy::option_option)]
fn judged<T>(parsed: Normalised<T>) -> Option<Option<T>> {
    (parsed.valid || parsed.value.is_some()).then_some(parsed.value)
}

#[allow(clippy::option_option)]
fn number(value: &str) -> Option<Option<Bound>> {
    judged(crate::money::parse(value)).map(|n| n.map(Bound::Number))
}

#[allow(clippy::option_option)]
fn date(value: &str, format: Option<&str>) -> Option<Option<Bound>> {
    let date = judged(crate::date::parse(value, format))?;
    Some(date.map(|d| Bound::Micros(crate::mapping::days(d) * 86_400_000_000)))
}
