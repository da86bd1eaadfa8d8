//! The mapping of a stream, compiled: from a raw row to the cells of entities.

use std::collections::{BTreeMap, BTreeSet};

use bumpalo::collections::String as ArenaString;
use jiff::civil::Date;
use musubi_api::entity::{Entity, Field, Kind};
use musubi_api::expr::Expr;
use musubi_api::source::{Condition, EntityMapping, FieldMapping, SourceSpec, Split, Stream};

use crate::compute::{self, Failure};
use rust_decimal::Decimal;

use crate::lookup::Lookups;
use crate::mapping_row::{Id, References, Row, Step, is_blank, steps, trimmed};
use crate::moments::{MomentId, Moments};
use crate::money;
use crate::positions::Positions;
use crate::problem::Reject;
use crate::record_id::{self, RecordId};

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

/// A cell of an entity's row; its text lives as long as the batch.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) enum Cell<'a> {
    #[default]
    Null,
    Text(&'a str),
    /// Days, microseconds or a whole number.
    Int(i64),
    /// Ten-thousandths; eighteen digits at most.
    Decimal(i64),
    Flag(bool),
}

/// A cell with its companions.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Slot<'a> {
    pub(crate) value: Cell<'a>,
    pub(crate) raw: Option<&'a str>,
    pub(crate) valid: Option<bool>,
}

/// What a field is made from.
#[derive(Clone, Copy)]
pub(crate) enum Given<'a> {
    Text(&'a str),
    /// The result of a computation.
    Number(Decimal),
}

impl<'a> Given<'a> {
    pub(crate) fn text(self, row: &Row<'a>) -> &'a str {
        match self {
            Self::Text(text) => text,
            Self::Number(number) => row.arena.alloc_str(&number.to_string()),
        }
    }
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
    /// How its dates or times are read.
    pub(crate) moment: Option<MomentId>,
    default: Option<String>,
    pub(crate) rounding: musubi_api::source::Rounding,
}

/// The columns of a key, and what is hashed before them.
struct Key {
    prefix: Vec<u8>,
    columns: Vec<Id>,
}

impl Key {
    /// The id, or the first column that is empty. `buffer` is written over.
    fn id<'a>(&self, row: &Row<'a>, buffer: &mut Vec<u8>) -> Result<RecordId, &'a str> {
        buffer.clear();
        buffer.extend_from_slice(&self.prefix);
        for id in &self.columns {
            let part = row.get(*id).ok_or_else(|| row.references.text(*id))?;
            record_id::push(buffer, trimmed(part));
        }
        Ok(RecordId::of(buffer))
    }
}

struct When {
    column: Id,
    condition: Condition,
}

/// An entity's mapping.
pub(crate) struct CompiledEntity {
    pub(crate) entity: Entity,
    record: Option<String>,
    pub(crate) each: Option<Vec<Step>>,
    when: Option<When>,
    key: Key,
    customer: Option<Key>,
    pub(crate) fields: Vec<CompiledField>,
    /// Position in `fields` of each field of the entity.
    pub(crate) mapped: Vec<Option<usize>>,
    /// Places of its money when no row says a currency.
    pub(crate) places: u32,
    /// For an order's lines: the instant of the order, from which their day is derived.
    pub(crate) order_instant: Option<CompiledField>,
    /// Position in `fields` of the country.
    pub(crate) country: Option<usize>,
    pub(crate) positions: Positions,
}

/// What is compiled along with mappings and contract.
pub(crate) struct Bindings<'b> {
    pub(crate) references: &'b mut References,
    pub(crate) lookups: &'b Lookups,
    pub(crate) moments: &'b mut Moments,
}

impl Bindings<'_> {
    pub(crate) fn column(&mut self, name: &str) -> Id {
        self.references.add(name, self.lookups)
    }

    fn columns(&mut self, names: &[String]) -> Vec<Id> {
        names.iter().map(|name| self.column(name)).collect()
    }
}

/// Where a fault of the resource is, and what it is.
pub(crate) type Fault = (String, String);

impl CompiledEntity {
    pub(crate) fn new(
        source: &str,
        spec: &SourceSpec,
        stream: &Stream,
        mapping: &EntityMapping,
        bindings: &mut Bindings<'_>,
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
            fields.push(CompiledField::new(&entity.fields()[at], field, bindings)?);
        }
        if mapping.key.is_empty() {
            return Err((
                format!("entities[{}].key", entity.as_str()),
                "names no column: say which columns are the primary key".into(),
            ));
        }
        let key = Key {
            prefix: record_id::prefix(source, &stream.name, entity),
            columns: bindings.columns(&mapping.key),
        };
        let customer = mapping.customer.as_ref().map(|c| {
            let stream = c.stream.as_ref().unwrap_or(&stream.name);
            Key {
                prefix: record_id::prefix(source, stream, Entity::Customer),
                columns: bindings.columns(&c.key),
            }
        });
        let when = mapping.when.clone().map(|condition| When {
            column: bindings.column(&condition.column),
            condition,
        });
        let country = fields.iter().position(|f| f.field.name == "country");
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
            order_instant: order_instant(stream, mapping, bindings)?,
            country,
            positions: Positions::of(entity),
        })
    }

    /// Whether records of a type may become it.
    pub(crate) fn is_for(&self, record: Option<&str>) -> bool {
        self.record.is_none() || self.record.as_deref() == record
    }

    pub(crate) fn holds(&self, row: &Row<'_>) -> bool {
        let Some(when) = &self.when else { return true };
        let value = row.get(when.column).map(str::trim);
        let condition = &when.condition;
        let among = |list: &[String]| value.is_some_and(|v| list.iter().any(|x| x == v));
        (condition.is.is_empty() || among(&condition.is))
            && !among(&condition.is_not)
            && condition.present.is_none_or(|p| p == value.is_some())
    }

    /// The row's id, or the first column of its key that is empty. `buffer` is written over.
    pub(crate) fn id<'a>(&self, row: &Row<'a>, buffer: &mut Vec<u8>) -> Result<RecordId, &'a str> {
        self.key.id(row, buffer)
    }

    /// Id of the customer that the row points to.
    pub(crate) fn customer(&self, row: &Row<'_>, buffer: &mut Vec<u8>) -> Option<RecordId> {
        self.customer.as_ref()?.id(row, buffer).ok()
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
    bindings: &mut Bindings<'_>,
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
            return CompiledField::new(known, field, bindings).map(Some);
        }
    }
    Ok(None)
}

impl CompiledField {
    fn new(
        field: &'static Field,
        mapping: &FieldMapping,
        bindings: &mut Bindings<'_>,
    ) -> Result<Self, Fault> {
        let fault = |message: String| (format!("fields.{}", field.name), message);
        let from = match (
            &mapping.from,
            &mapping.constant,
            &mapping.concat,
            &mapping.compute,
        ) {
            (Some(column), None, None, None) => Origin::Column(bindings.column(column)),
            (None, Some(text), None, None) => Origin::Constant(text.clone()),
            (None, None, Some(concat), None) => Origin::Concat {
                columns: bindings.columns(&concat.columns),
                separator: concat.separator.clone(),
            },
            (None, None, None, Some(text)) => {
                let expr = Expr::parse(text).map_err(|error| fault(format!("compute: {error}")))?;
                let columns = expr
                    .columns()
                    .into_iter()
                    .map(|c| (c.to_owned(), bindings.column(c)))
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
            moment: match field.kind {
                Kind::Timestamp => Some(bindings.moments.timestamp(mapping.format.as_deref())),
                Kind::Date => Some(bindings.moments.date(mapping.format.as_deref())),
                _ => None,
            },
            default: mapping.default.clone(),
            rounding: mapping.rounding,
        })
    }

    /// What the field is made from, before its kind is looked at.
    pub(crate) fn given<'a>(&'a self, row: &Row<'a>) -> Result<Option<Given<'a>>, Reject> {
        let value = match &self.from {
            Origin::Column(_) | Origin::Constant(_) => self.alone(row),
            Origin::Concat { columns, separator } => concat(row, columns, separator),
            Origin::Compute { expr, columns } => {
                let number = self.compute(row, expr, columns)?.map(Given::Number);
                if number.is_some() && self.map.is_empty() && self.split.is_none() {
                    return Ok(number);
                }
                number.map(|number| number.text(row))
            }
        };
        Ok(self.worked(value).map(Given::Text))
    }

    /// The one text that the field is made from, when it is made from no more than one.
    pub(crate) fn alone<'a>(&'a self, row: &Row<'a>) -> Option<&'a str> {
        match &self.from {
            Origin::Column(id) => row.get(*id),
            Origin::Constant(text) => Some(text.as_str()),
            Origin::Concat { .. } | Origin::Compute { .. } => None,
        }
    }

    /// A text after map, split and default.
    pub(crate) fn worked<'a>(&'a self, mut value: Option<&'a str>) -> Option<&'a str> {
        if !self.map.is_empty()
            && let Some(text) = value
            && let Some(replaced) = self.map.get(text).or_else(|| self.map.get(text.trim()))
        {
            value = Some(replaced.as_str());
        }
        if let Some(split) = &self.split {
            value = value.and_then(|text| part(text, split));
        }
        let value = value.filter(|text| !is_blank(text));
        value.or(self.default.as_deref())
    }

    fn compute(
        &self,
        row: &Row<'_>,
        expr: &Expr,
        columns: &[(String, Id)],
    ) -> Result<Option<Decimal>, Reject> {
        let read = |name: &str| {
            let (_, id) = columns.iter().find(|(n, _)| n == name)?;
            row.get(*id)
        };
        match compute::evaluate(expr, &read) {
            Ok(number) => Ok(number),
            Err(Failure::NotANumber(column)) => Err(Reject::new(
                "invalid_decimal",
                self.field.name,
                format!("computed from column {column}, which is no number"),
                read(&column),
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

fn concat<'a>(row: &Row<'a>, columns: &[Id], separator: &str) -> Option<&'a str> {
    let mut parts = columns.iter().filter_map(|id| row.get(*id)).map(trimmed);
    let first = parts.next()?;
    let Some(second) = parts.next() else {
        return Some(first);
    };
    let mut joined = ArenaString::from_str_in(first, row.arena);
    for part in std::iter::once(second).chain(parts) {
        joined.push_str(separator);
        joined.push_str(part);
    }
    Some(joined.into_bump_str())
}

fn part<'a>(text: &'a str, split: &Split) -> Option<&'a str> {
    let wanted = usize::try_from(split.part.unsigned_abs()).ok()?;
    let parts = || text.split(split.by.as_str());
    let at = if split.part > 0 {
        wanted.checked_sub(1)?
    } else {
        parts().count().checked_sub(wanted)?
    };
    parts().nth(at).map(str::trim)
}
