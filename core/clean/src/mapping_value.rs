//! From the text of a field to its cell, by the field's kind.

use bumpalo::Bump;
use musubi_api::entity::{Entity, Field, Kind};
use musubi_api::source::Rounding;
use rust_decimal::Decimal;

use crate::conventions::Conventions;
use crate::mapping::{Cell, CompiledEntity, CompiledField, Given, Slot};
use crate::mapping_row::{Row, keep};
use crate::memo::{Address, Memo, Name, Repeat, kept};
use crate::normalised::Normalised;
use crate::problem::Reject;
use crate::{code, email, flag, gender, kana, loyalty, money, phone, postal, text};

/// Fills the slots of one entity row, one slot for each field of the entity; they are empty before. `repeats` has a place
/// for each field.
pub(crate) fn fill<'a>(
    entity: &'a CompiledEntity,
    row: &Row<'a>,
    conventions: &'a Conventions,
    memo: &mut Memo<'a>,
    repeats: &mut [Option<Repeat<'a>>],
    slots: &mut [Slot<'a>],
    lenient: bool,
) -> Result<(), Reject> {
    let country = country(entity, row, conventions)?;
    let mut filler = Filler {
        entity,
        conventions,
        arena: row.arena,
        memo,
        country,
        slots,
    };
    for (at, mapped) in entity.mapped.iter().enumerate() {
        let Some(field) = mapped.map(|m| &entity.fields[m]) else {
            continue;
        };
        let filled = if stands_alone(field.field.kind)
            && let Some(text) = field.alone(row)
        {
            filler.repeat(at, field, text, &mut repeats[at], row)
        } else {
            let given = field.given(row);
            given.and_then(|given| given.map_or(Ok(()), |given| filler.set(at, field, given, row)))
        };
        match filled {
            Err(reject) if !lenient => return Err(reject),
            _ => {}
        }
    }
    filler.derive();
    match filler.business_day(row) {
        Err(reject) if !lenient => Err(reject),
        _ => Ok(()),
    }
}

/// The country that phones, postal codes and addresses of a row follow.
fn country<'a>(
    entity: &'a CompiledEntity,
    row: &Row<'a>,
    conventions: &'a Conventions,
) -> Result<&'a str, Reject> {
    if let Some(field) = entity.country.map(|at| &entity.fields[at])
        && let Some(given) = field.given(row)?
    {
        let folded = text::lowercase(text::fold(given.text(row)));
        if folded.len() == 2 && folded.is_ascii() {
            return Ok(keep(row.arena, folded));
        }
    }
    Ok(&conventions.country)
}

/// Whether a field's value follows from its text alone and gives no other field its own; so the text of the row before
/// has the same. Amounts are left out: they turn on the currency of their row, and are read as fast as they are compared.
const fn stands_alone(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Text
            | Kind::Word
            | Kind::Code
            | Kind::Date
            | Kind::Timestamp
            | Kind::Flag
            | Kind::Gender
    )
}

struct Filler<'a, 'm> {
    entity: &'a CompiledEntity,
    conventions: &'a Conventions,
    arena: &'a Bump,
    memo: &'m mut Memo<'a>,
    country: &'a str,
    slots: &'m mut [Slot<'a>],
}

impl<'a> Filler<'a, '_> {
    /// Sets a field that is made from one text alone.
    fn repeat(
        &mut self,
        at: usize,
        field: &'a CompiledField,
        text: &'a str,
        last: &mut Option<Repeat<'a>>,
        row: &Row<'a>,
    ) -> Result<(), Reject> {
        if let Some(slot) = last.as_ref().and_then(|last| last.of(text)) {
            self.slots[at] = slot;
        } else {
            if let Some(worked) = field.worked(Some(text)) {
                self.set(at, field, Given::Text(worked), row)?;
            }
            let slot = self.slots[at];
            *last = Some(Repeat { from: text, slot });
        }
        Ok(())
    }

    fn set(
        &mut self,
        at: usize,
        field: &CompiledField,
        given: Given<'a>,
        row: &Row<'a>,
    ) -> Result<(), Reject> {
        let known = field.field;
        let (cell, valid) = match (known.kind, given) {
            (Kind::Money | Kind::Decimal | Kind::Integer, Given::Number(number)) => {
                let parsed = self.number(field, Normalised::valid(number));
                judged(field, parsed, || given.text(row))?
            }
            (
                Kind::Money
                | Kind::Decimal
                | Kind::Integer
                | Kind::Flag
                | Kind::Timestamp
                | Kind::Date,
                _,
            ) => self.typed(field, given.text(row))?,
            _ => self.text(known, given.text(row)),
        };
        let keeps = known.kind.keeps_raw();
        self.slots[at] = Slot {
            value: cell,
            raw: keeps.then(|| given.text(row)),
            valid: keeps.then_some(valid),
        };
        Ok(())
    }

    /// A value of a type of its own.
    fn typed(&mut self, field: &CompiledField, value: &'a str) -> Result<(Cell<'a>, bool), Reject> {
        let parsed: Normalised<Cell<'_>> = match (field.field.kind, field.moment) {
            (Kind::Flag, _) => flag::parse(value).map(Cell::Flag),
            (Kind::Timestamp, Some(moment)) => {
                let mut found = self.memo.clock.read(moment, value);
                if !found.valid {
                    // a placeholder says nothing, except where a row lives by its time
                    let lives_by_it = self.entity.entity.instant() == Some(field.field.name);
                    found = match found.value {
                        Some(_) if !lives_by_it => Normalised::absent(),
                        _ => Normalised::meaningless(),
                    };
                }
                found.map(Cell::Int)
            }
            (_, Some(moment)) => self.memo.clock.read(moment, value).map(Cell::Int),
            _ => self.number(field, money::parse(value)),
        };
        judged(field, parsed, || value)
    }

    fn number(&self, field: &CompiledField, parsed: Normalised<Decimal>) -> Normalised<Cell<'a>> {
        match field.field.kind {
            Kind::Money => amount(parsed, field.rounding, || self.places()),
            Kind::Decimal => amount(parsed, field.rounding, || 4),
            _ => whole(parsed),
        }
    }

    /// Decimals of the row's money.
    fn places(&self) -> u32 {
        let currency = self.peek(self.entity.positions.currency);
        currency.map_or(self.entity.places, money::places)
    }

    fn text(&mut self, known: &Field, value: &'a str) -> (Cell<'a>, bool) {
        let (arena, country) = (self.arena, self.country);
        let found: Normalised<&str> = match known.kind {
            Kind::PersonName => {
                let name = self.memo.name(value);
                self.name_parts(name.value.as_ref());
                name.map(|n| n.full)
            }
            Kind::Address => {
                let found = self.memo.address(value, country);
                self.address_parts(found.value.as_ref());
                Normalised {
                    value: text::present(value).map(|t| keep(arena, t)),
                    valid: found.valid,
                }
            }
            Kind::NamePart => self.memo.name_part(value),
            Kind::Kana => kept(arena, kana::normalise(value)),
            Kind::Email => kept(arena, email::normalise(value)),
            Kind::Phone => kept(arena, phone::normalise(value, country)),
            Kind::PostalCode => kept(arena, postal::normalise(value, country)),
            Kind::LoyaltyNumber => kept(arena, loyalty::normalise(value)),
            Kind::Gender => gender::parse(value).map(gender::Gender::as_str),
            Kind::Code => filled(keep(arena, code::fold(value))),
            Kind::Identifier => filled(value.trim()),
            Kind::Word => present(text::present(value).map(|t| keep(arena, text::lowercase(t)))),
            _ => present(text::present(value).map(|t| keep(arena, t))),
        };
        if known.name == "name_kana"
            && let Some(reading) = found.value
        {
            self.kana_parts(reading);
        }
        (found.value.map_or(Cell::Null, Cell::Text), found.valid)
    }

    /// Sets a field that was not mapped.
    fn offer(&mut self, at: Option<usize>, value: &'a str) {
        let Some(at) = at.filter(|_| !value.is_empty()) else {
            return;
        };
        if self.entity.mapped[at].is_none() {
            let kind = self.entity.entity.fields()[at].kind;
            self.slots[at].value = Cell::Text(value);
            self.slots[at].valid = kind.keeps_raw().then_some(true);
        }
    }

    fn name_parts(&mut self, name: Option<&Name<'a>>) {
        if let Some(name) = name {
            self.offer(self.entity.positions.family_name, name.family);
            self.offer(self.entity.positions.given_name, name.given);
        }
    }

    fn kana_parts(&mut self, reading: &'a str) {
        if let Some((family, given)) = reading.split_once(' ') {
            self.offer(self.entity.positions.family_kana, family);
            self.offer(self.entity.positions.given_kana, given);
        }
    }

    fn address_parts(&mut self, parts: Option<&Address<'a>>) {
        if self.entity.entity != Entity::Customer {
            return;
        }
        if let Some(parts) = parts {
            for (at, part) in self.entity.positions.address_parts.iter().zip(parts) {
                self.offer(*at, part);
            }
        }
    }

    /// What a customer's fields say about those that are empty.
    fn derive(&mut self) {
        if self.entity.entity != Entity::Customer {
            return;
        }
        let p = &self.entity.positions;
        for (whole, family, given) in [
            (p.name, p.family_name, p.given_name),
            (p.name_kana, p.family_kana, p.given_kana),
        ] {
            let mapped = whole.is_none_or(|at| self.entity.mapped[at].is_some());
            if mapped {
                continue;
            }
            if let (Some(family), Some(given)) = (self.peek(family), self.peek(given)) {
                let latin = whole == p.name && family.is_ascii() && given.is_ascii();
                let parts = if latin {
                    [given, " ", family]
                } else {
                    [family, " ", given]
                };
                self.offer(whole, self.arena.alloc_str(&parts.concat()));
            }
        }
        // A country says where an address is: a record without one lives nowhere that is known.
        let [postal_code, prefecture, city, ..] = p.address_parts;
        let located = [p.address, postal_code, prefecture, city];
        if let Some(at) = p.country
            && self.slots[at].value == Cell::Null
            && located.iter().any(|field| self.peek(*field).is_some())
        {
            self.slots[at].value = Cell::Text(&self.conventions.country);
        }
    }

    fn peek(&self, at: Option<usize>) -> Option<&'a str> {
        match self.slots[at?].value {
            Cell::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The shop's day, from the instant of the row, when no value gave it.
    fn business_day(&mut self, row: &Row<'a>) -> Result<(), Reject> {
        let positions = &self.entity.positions;
        let Some(day) = positions
            .business_date
            .filter(|at| self.slots[*at].value == Cell::Null)
        else {
            return Ok(());
        };
        let value = match (positions.instant, &self.entity.order_instant) {
            (Some(at), _) => match self.slots[at].value {
                Cell::Int(micros) => self.day_of(micros),
                _ => return Ok(()),
            },
            (None, Some(order)) => {
                let row = row.whole();
                let Some(given) = order.given(&row)? else {
                    return Ok(());
                };
                match (self.typed(order, given.text(&row))?.0, order.field.kind) {
                    (Cell::Int(days), Kind::Date) => Some(days),
                    (Cell::Int(micros), _) => self.day_of(micros),
                    _ => None,
                }
            }
            (None, None) => return Ok(()),
        };
        if let Some(days) = value {
            self.slots[day].value = Cell::Int(days);
            self.slots[day].valid = Some(true);
        }
        Ok(())
    }

    fn day_of(&self, micros: i64) -> Option<i64> {
        let instant = jiff::Timestamp::from_microsecond(micros).ok()?;
        let offset = i64::from(self.conventions.zone.to_offset(instant).seconds());
        let local = micros.div_euclid(1_000_000) + offset - self.conventions.day_ends;
        Some(local.div_euclid(86_400))
    }
}

/// What a value of a type of its own becomes. One that cannot be read is a reason for quarantine, except where
/// it says something about a person: there it is kept raw, and marked.
fn judged<'a, 't>(
    field: &CompiledField,
    parsed: Normalised<Cell<'a>>,
    value: impl Fn() -> &'t str,
) -> Result<(Cell<'a>, bool), Reject> {
    let known = field.field;
    match parsed.value {
        Some(cell) => Ok((cell, parsed.valid)),
        None if parsed.valid || known.personal => Ok((Cell::Null, parsed.valid)),
        None => Err(invalid(known, field.format.as_deref(), value())),
    }
}

fn present(text: Option<&str>) -> Normalised<&str> {
    text.map_or_else(Normalised::absent, Normalised::valid)
}

fn filled(text: &str) -> Normalised<&str> {
    if text.is_empty() {
        Normalised::absent()
    } else {
        Normalised::valid(text)
    }
}

fn amount<'a>(
    parsed: Normalised<Decimal>,
    rounding: Rounding,
    places: impl FnOnce() -> u32,
) -> Normalised<Cell<'a>> {
    /// Eighteen digits is what the column holds.
    const LIMIT: i128 = 1_000_000_000_000_000_000;
    let valid = parsed.valid;
    let Some(number) = parsed.value else {
        return Normalised { value: None, valid };
    };
    if number.scale() == 0 {
        // a whole number is what it is after any rounding
        let units = number.mantissa().saturating_mul(10_000);
        return match i64::try_from(units) {
            Ok(units) if i128::from(units).abs() < LIMIT => {
                Normalised::judged(Cell::Decimal(units), valid)
            }
            _ => Normalised::meaningless(),
        };
    }
    let mut rounded = money::round(number, rounding, places().min(4));
    rounded.rescale(4);
    let units = rounded.mantissa();
    match i64::try_from(units) {
        Ok(small) if rounded.scale() == 4 && units.abs() < LIMIT => {
            Normalised::judged(Cell::Decimal(small), valid)
        }
        _ => Normalised::meaningless(),
    }
}

fn whole<'a>(parsed: Normalised<Decimal>) -> Normalised<Cell<'a>> {
    let valid = parsed.valid;
    let Some(number) = parsed.value else {
        return Normalised { value: None, valid };
    };
    let whole = number.is_integer();
    let integer = whole.then(|| i64::try_from(number.trunc()).ok());
    integer.flatten().map_or_else(Normalised::meaningless, |n| {
        Normalised::judged(Cell::Int(n), valid)
    })
}

fn invalid(field: &Field, format: Option<&str>, value: &str) -> Reject {
    let (code, rule) = match field.kind {
        Kind::Money => ("invalid_money", "is no amount".to_owned()),
        Kind::Decimal => ("invalid_decimal", "is no number".to_owned()),
        Kind::Integer => ("invalid_integer", "is no whole number".to_owned()),
        Kind::Flag => ("invalid_flag", "is neither yes nor no".to_owned()),
        Kind::Date => ("invalid_date", "is no date".to_owned()),
        _ => ("invalid_timestamp", "is no time".to_owned()),
    };
    let rule = match format {
        Some(format) => format!("{rule} in the format {format}"),
        None => rule,
    };
    Reject::new(code, field.name, rule, Some(value))
}
