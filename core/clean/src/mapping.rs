//! The mapping of a stream, compiled: from a raw row to the cells of entities.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use musubi_api::entity::{Entity, Field};
use musubi_api::expr::Expr;
use musubi_api::source::{Condition, EntityMapping, FieldMapping, SourceSpec, Split, Stream};

use crate::compute::{self, Failure};
use crate::lookup::Lookups;
use crate::mapping_row::{Id, References, Row, Step, steps};
use crate::money;
use crate::problem::Reject;

/// Every column, path and look-up column that a stream's contract, look-ups and mappings read, as written.
#[must_use]
pub fn columns(stream: &Stream) -> BTreeSet<String> {
    let mut names: BTreeSet<String> = stream
        .contract
        .columns
        .iter()
        .map(|c| c.name.clone())
        .collect();
    names.extend(stream.contract.unique.iter().cloned());
    names.extend(stream.lookups.iter().map(|l| l.by.clone()));
    names.extend(stream.operation.clone());
    names.extend(stream.cursor.clone());
    for mapping in &stream.entities {
        names.extend(mapping.key.iter().cloned());
        names.extend(mapping.each.clone());
        names.extend(mapping.when.as_ref().map(|w| w.column.clone()));
        if let Some(customer) = &mapping.customer {
            names.extend(customer.key.iter().cloned());
        }
        for field in mapping.fields.values() {
            names.extend(field.from.clone());
            names.extend(field.concat.iter().flat_map(|c| c.columns.iter().cloned()));
            if let Some(Ok(expr)) = field.compute.as_deref().map(Expr::parse) {
                names.extend(expr.columns().into_iter().map(str::to_owned));
            }
        }
    }
    names
}

/// Names under which the columns of a file are known: whole names, and the first member of paths.
pub(crate) fn known_columns(stream: &Stream) -> BTreeSet<String> {
    let mut known = BTreeSet::new();
    for name in columns(stream) {
        let plain = name.strip_prefix("$.").unwrap_or(&name);
        if let Some(Step::Key(first)) = steps(plain).first() {
            known.insert(first.clone());
        }
        known.insert(plain.to_owned());
    }
    known
}

/// Days since 1970-01-01.
pub(crate) fn days(date: Date) -> i64 {
    let epoch = Date::constant(1970, 1, 1);
    i64::from((date - epoch).get_days())
}

/// A cell of an entity's row.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum Cell {
    #[default]
    Null,
    Text(String),
    /// Days, microseconds or a whole number.
    Int(i64),
    /// Ten-thousandths.
    Decimal(i128),
    Flag(bool),
}

/// A cell with its companions.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Slot {
    pub(crate) value: Cell,
    pub(crate) raw: Option<String>,
    pub(crate) valid: Option<bool>,
}

enum Origin {
    Column(Id),
    Constant(String),
    Concat {
        columns: Vec<Id>,
        separator: String,
    },
    Compute {
        expr: Expr,
        columns: Vec<(String, Id)>,
    },
}

pub(crate) struct CompiledField {
    pub(crate) field: &'static Field,
    from: Origin,
    map: BTreeMap<String, String>,
    split: Option<Split>,
    pub(crate) format: Option<String>,
    default: Option<String>,
    pub(crate) rounding: musubi_api::source::Rounding,
}

struct When {
    column: Id,
    condition: Condition,
}

/// An entity's mapping.
pub(crate) struct CompiledEntity {
    pub(crate) entity: Entity,
    pub(crate) record: Option<String>,
    pub(crate) each: Option<Vec<Step>>,
    when: Option<When>,
    key: Vec<Id>,
    customer: Option<(String, Vec<Id>)>,
    pub(crate) fields: Vec<CompiledField>,
    /// Position in `fields` of each field of the entity.
    pub(crate) mapped: Vec<Option<usize>>,
    /// Places of its money when no row says a currency.
    pub(crate) places: u32,
    /// For an order's lines: the instant of the order, from which their day is derived.
    pub(crate) order_instant: Option<CompiledField>,
}

/// Where a fault of the resource is, and what it is.
pub(crate) type Fault = (String, String);

impl CompiledEntity {
    pub(crate) fn new(
        spec: &SourceSpec,
        stream: &Stream,
        mapping: &EntityMapping,
        references: &mut References,
        lookups: &Lookups,
    ) -> Result<Self, Fault> {
        let entity = mapping.entity;
        let mut fields = Vec::new();
        let mut mapped = vec![None; entity.fields().len()];
        for (name, field) in &mapping.fields {
            let at = entity.fields().iter().position(|f| f.name == name);
            let at = at.ok_or_else(|| {
                (
                    format!("entities[{}].fields.{name}", entity.as_str()),
                    format!("{} has no such field", entity.as_str()),
                )
            })?;
            mapped[at] = Some(fields.len());
            fields.push(CompiledField::new(
                &entity.fields()[at],
                field,
                references,
                lookups,
            )?);
        }
        if mapping.key.is_empty() {
            return Err((
                format!("entities[{}].key", entity.as_str()),
                "names no column: say which columns are the primary key".into(),
            ));
        }
        let mut ids = |names: &[String]| {
            names
                .iter()
                .map(|n| references.add(n, lookups))
                .collect::<Vec<_>>()
        };
        let key = ids(&mapping.key);
        let customer = mapping.customer.as_ref().map(|c| {
            let name = c.stream.clone().unwrap_or_else(|| stream.name.clone());
            (name, ids(&c.key))
        });
        let when = mapping.when.clone().map(|condition| When {
            column: references.add(&condition.column, lookups),
            condition,
        });
        Ok(Self {
            entity,
            record: mapping.record.clone(),
            each: mapping.each.as_deref().map(steps),
            when,
            key,
            customer,
            fields,
            mapped,
            places: money::places(&currency(spec, stream)),
            order_instant: order_instant(stream, mapping, references, lookups)?,
        })
    }

    pub(crate) fn holds(&self, row: &Row<'_>) -> bool {
        let Some(when) = &self.when else { return true };
        let value = row.get(when.column);
        let value = value.as_deref().map(str::trim);
        let condition = &when.condition;
        let among = |list: &[String]| value.is_some_and(|v| list.iter().any(|x| x == v));
        (condition.is.is_empty() || among(&condition.is))
            && !among(&condition.is_not)
            && condition.present.is_none_or(|p| p == value.is_some())
    }

    /// The key's parts, or the name of the first that is empty.
    pub(crate) fn key<'a>(&self, row: &Row<'a>) -> Result<Vec<Cow<'a, str>>, String> {
        self.key
            .iter()
            .map(|id| {
                row.get(*id)
                    .ok_or_else(|| row.references.text(*id).to_owned())
            })
            .collect()
    }

    /// Stream and key of the customer that the row points to.
    pub(crate) fn customer<'a>(&self, row: &Row<'a>) -> Option<(&str, Vec<Cow<'a, str>>)> {
        let (stream, ids) = self.customer.as_ref()?;
        let key = ids
            .iter()
            .map(|id| row.get(*id))
            .collect::<Option<Vec<_>>>()?;
        Some((stream, key))
    }
}

/// The currency of a stream's money: a constant of one of its mappings, else that of the country.
fn currency(spec: &SourceSpec, stream: &Stream) -> String {
    let constant = stream
        .entities
        .iter()
        .filter_map(|e| e.fields.get("currency"))
        .find_map(|f| f.constant.clone().or_else(|| f.default.clone()));
    constant.unwrap_or_else(|| {
        match spec.country.to_ascii_lowercase().as_str() {
            "jp" => "jpy",
            "kr" => "krw",
            "vn" => "vnd",
            _ => "usd",
        }
        .to_owned()
    })
}

fn order_instant(
    stream: &Stream,
    mapping: &EntityMapping,
    references: &mut References,
    lookups: &Lookups,
) -> Result<Option<CompiledField>, Fault> {
    if mapping.entity != Entity::OrderLine || mapping.fields.contains_key("business_date") {
        return Ok(None);
    }
    let order = stream
        .entities
        .iter()
        .find(|e| e.entity == Entity::Order && e.each.is_none() && e.record == mapping.record);
    let Some(order) = order else { return Ok(None) };
    for name in ["business_date", "ordered_at"] {
        if let (Some(field), Some(known)) = (order.fields.get(name), Entity::Order.field(name)) {
            return CompiledField::new(known, field, references, lookups).map(Some);
        }
    }
    Ok(None)
}

impl CompiledField {
    fn new(
        field: &'static Field,
        mapping: &FieldMapping,
        references: &mut References,
        lookups: &Lookups,
    ) -> Result<Self, Fault> {
        let fault = |message: String| (format!("fields.{}", field.name), message);
        let from = match (
            &mapping.from,
            &mapping.constant,
            &mapping.concat,
            &mapping.compute,
        ) {
            (Some(column), None, None, None) => Origin::Column(references.add(column, lookups)),
            (None, Some(text), None, None) => Origin::Constant(text.clone()),
            (None, None, Some(concat), None) => Origin::Concat {
                columns: concat
                    .columns
                    .iter()
                    .map(|c| references.add(c, lookups))
                    .collect(),
                separator: concat.separator.clone(),
            },
            (None, None, None, Some(text)) => {
                let expr = Expr::parse(text).map_err(|error| fault(format!("compute: {error}")))?;
                let columns = expr
                    .columns()
                    .into_iter()
                    .map(|c| (c.to_owned(), references.add(c, lookups)))
                    .collect();
                Origin::Compute { expr, columns }
            }
            _ => {
                return Err(fault(
                    "set exactly one of from, const, concat, compute".into(),
                ));
            }
        };
        if mapping
            .split
            .as_ref()
            .is_some_and(|s| s.part == 0 || s.by.is_empty())
        {
            return Err(fault(
                "split: `by` must not be empty, and parts count from 1 (or from -1 at the end)"
                    .into(),
            ));
        }
        Ok(Self {
            field,
            from,
            map: mapping.map.clone(),
            split: mapping.split.clone(),
            format: mapping.format.clone(),
            default: mapping.default.clone(),
            rounding: mapping.rounding,
        })
    }

    /// The text that the field is made from, before its kind is looked at.
    pub(crate) fn text<'a>(&'a self, row: &Row<'a>) -> Result<Option<Cow<'a, str>>, Reject> {
        let mut value = match &self.from {
            Origin::Column(id) => row.get(*id),
            Origin::Constant(text) => Some(Cow::Borrowed(text.as_str())),
            Origin::Concat { columns, separator } => concat(row, columns, separator),
            Origin::Compute { expr, columns } => self.compute(row, expr, columns)?,
        };
        if !self.map.is_empty()
            && let Some(text) = &value
            && let Some(replaced) = self
                .map
                .get(text.as_ref())
                .or_else(|| self.map.get(text.trim()))
        {
            value = Some(Cow::Borrowed(replaced));
        }
        if let Some(split) = &self.split {
            value = value.and_then(|text| part(&text, split)).map(Cow::Owned);
        }
        let value = value.filter(|text| !text.trim().is_empty());
        Ok(value.or_else(|| self.default.as_deref().map(Cow::Borrowed)))
    }

    fn compute<'a>(
        &self,
        row: &Row<'a>,
        expr: &Expr,
        columns: &[(String, Id)],
    ) -> Result<Option<Cow<'a, str>>, Reject> {
        let read = |name: &str| {
            let (_, id) = columns.iter().find(|(n, _)| n == name)?;
            row.get(*id)
        };
        match compute::evaluate(expr, &read) {
            Ok(number) => Ok(number.map(|n| Cow::Owned(n.to_string()))),
            Err(Failure::NotANumber(column)) => Err(Reject::new(
                "invalid_decimal",
                self.field.name,
                format!("computed from column {column}, which is no number"),
                read(&column).as_deref(),
            )),
            Err(Failure::Overflow) => Err(Reject::new(
                "invalid_decimal",
                self.field.name,
                "the computed number has more than 28 digits",
                None,
            )),
        }
    }
}

fn concat<'a>(row: &Row<'a>, columns: &[Id], separator: &str) -> Option<Cow<'a, str>> {
    let parts: Vec<Cow<'a, str>> = columns.iter().filter_map(|id| row.get(*id)).collect();
    if parts.is_empty() {
        return None;
    }
    let trimmed: Vec<&str> = parts.iter().map(|p| p.trim()).collect();
    Some(Cow::Owned(trimmed.join(separator)))
}

fn part(text: &str, split: &Split) -> Option<String> {
    let parts: Vec<&str> = text.split(split.by.as_str()).collect();
    let wanted = usize::try_from(split.part.unsigned_abs()).ok()?;
    let at = if split.part > 0 {
        wanted.checked_sub(1)?
    } else {
        parts.len().checked_sub(wanted)?
    };
    parts.get(at).map(|p| p.trim().to_owned())
}
