//! From the text of a field to its cell, by the field's kind.

use std::collections::HashMap;

use jiff::tz::TimeZone;
use musubi_api::entity::{Entity, Field, Kind};
use musubi_api::source::Rounding;
use rust_decimal::Decimal;

use crate::address::Address;
use crate::mapping::{Cell, CompiledEntity, CompiledField, Slot, days};
use crate::mapping_row::Row;
use crate::name::PersonName;
use crate::normalised::Normalised;
use crate::problem::Reject;
use crate::{
    address, code, date, email, flag, gender, kana, loyalty, money, name, phone, postal, text,
};

/// What values of a source without further word mean.
#[derive(Clone)]
pub(crate) struct Conventions {
    pub(crate) zone: TimeZone,
    /// Lower case.
    pub(crate) country: String,
    /// How long after midnight the shop's day ends.
    pub(crate) day_ends: jiff::Span,
}

/// Values of a batch that were normalised already: shops, streets and families repeat.
#[derive(Default)]
pub(crate) struct Memo {
    texts: HashMap<(u8, String), HashMap<String, Normalised<String>>>,
    names: HashMap<String, Normalised<PersonName>>,
    addresses: HashMap<String, HashMap<String, Normalised<Address>>>,
}

impl Memo {
    fn text(&mut self, kind: Kind, value: &str, country: &str) -> Normalised<String> {
        let of_kind = self
            .texts
            .entry((kind as u8, country.to_owned()))
            .or_default();
        if let Some(known) = of_kind.get(value) {
            return known.clone();
        }
        let found = match kind {
            Kind::NamePart => name::part(value),
            Kind::Kana => kana::normalise(value),
            Kind::Email => email::normalise(value),
            Kind::Phone => phone::normalise(value, country),
            Kind::PostalCode => postal::normalise(value, country),
            _ => loyalty::normalise(value),
        };
        of_kind.insert(value.to_owned(), found.clone());
        found
    }

    fn name(&mut self, value: &str) -> Normalised<PersonName> {
        if let Some(known) = self.names.get(value) {
            return known.clone();
        }
        let found = name::split(value);
        self.names.insert(value.to_owned(), found.clone());
        found
    }

    fn address(&mut self, value: &str, country: &str) -> Normalised<Address> {
        let of_country = self.addresses.entry(country.to_owned()).or_default();
        if let Some(known) = of_country.get(value) {
            return known.clone();
        }
        let found = address::normalise(value, country);
        of_country.insert(value.to_owned(), found.clone());
        found
    }
}

/// Fills the slots of one entity row, one slot for each field of the entity.
pub(crate) fn fill(
    entity: &CompiledEntity,
    row: &Row<'_>,
    conventions: &Conventions,
    memo: &mut Memo,
    lenient: bool,
) -> Result<Vec<Slot>, Reject> {
    let mut slots = vec![Slot::default(); entity.mapped.len()];
    let country = country(entity, row, conventions)?;
    let mut filler = Filler {
        entity,
        conventions,
        memo,
        country,
        places: entity.places,
        slots: &mut slots,
    };
    for (at, mapped) in entity.mapped.iter().enumerate() {
        let Some(field) = mapped.map(|m| &entity.fields[m]) else {
            continue;
        };
        let filled = field.text(row).and_then(|text| match text {
            Some(text) => filler.set(at, field, &text),
            None => Ok(()),
        });
        match filled {
            Err(reject) if !lenient => return Err(reject),
            _ => {}
        }
    }
    filler.derive();
    let day = filler.business_day(row);
    match day {
        Err(reject) if !lenient => Err(reject),
        _ => Ok(slots),
    }
}

/// The country that phones, postal codes and addresses of a row follow.
fn country(
    entity: &CompiledEntity,
    row: &Row<'_>,
    conventions: &Conventions,
) -> Result<String, Reject> {
    let mapped = entity.fields.iter().find(|f| f.field.name == "country");
    if let Some(field) = mapped
        && let Some(text) = field.text(row)?
    {
        let folded = text::fold(&text).to_lowercase();
        if folded.len() == 2 && folded.is_ascii() {
            return Ok(folded);
        }
    }
    Ok(conventions.country.clone())
}

struct Filler<'a> {
    entity: &'a CompiledEntity,
    conventions: &'a Conventions,
    memo: &'a mut Memo,
    country: String,
    places: u32,
    slots: &'a mut Vec<Slot>,
}

impl Filler<'_> {
    fn set(&mut self, at: usize, field: &CompiledField, value: &str) -> Result<(), Reject> {
        let known = field.field;
        let (cell, valid) = match known.kind {
            Kind::Money
            | Kind::Decimal
            | Kind::Integer
            | Kind::Flag
            | Kind::Timestamp
            | Kind::Date => self.typed(field, value)?,
            _ => self.text(at, known, value),
        };
        if known.name == "currency"
            && let Cell::Text(currency) = &cell
        {
            self.places = money::places(currency);
        }
        let keeps = known.kind.keeps_raw();
        self.slots[at] = Slot {
            value: cell,
            raw: keeps.then(|| value.to_owned()),
            valid: keeps.then_some(valid),
        };
        Ok(())
    }

    /// A value of a type of its own. One that cannot be read is a reason for quarantine, except where it
    /// says something about a person: there it is kept raw, and marked.
    fn typed(&self, field: &CompiledField, value: &str) -> Result<(Cell, bool), Reject> {
        let format = field.format.as_deref();
        let known = field.field;
        let parsed: Normalised<Cell> = match known.kind {
            Kind::Money => amount(money::parse(value), field.rounding, self.places),
            Kind::Decimal => amount(money::parse(value), field.rounding, 4),
            Kind::Integer => whole(money::parse(value)),
            Kind::Flag => flag::parse(value).map(Cell::Flag),
            Kind::Timestamp => {
                let mut found = date::parse_timestamp(value, format, &self.conventions.zone);
                if !found.valid {
                    // a placeholder says nothing, except where a row lives by its time
                    let lives_by_it = self.entity.entity.instant() == Some(known.name);
                    found = match found.value {
                        Some(_) if !lives_by_it => Normalised::absent(),
                        _ => Normalised::meaningless(),
                    };
                }
                found.map(Cell::Int)
            }
            _ => date::parse(value, format).map(|d| Cell::Int(days(d))),
        };
        match parsed.value {
            Some(cell) => Ok((cell, parsed.valid)),
            None if parsed.valid || known.personal => Ok((Cell::Null, parsed.valid)),
            None => Err(invalid(known, format, value)),
        }
    }

    fn text(&mut self, at: usize, known: &Field, value: &str) -> (Cell, bool) {
        let country = self.country.clone();
        let found = match known.kind {
            Kind::PersonName => {
                let name = self.memo.name(value);
                self.name_parts(name.value.as_ref());
                name.map(|n| n.full)
            }
            Kind::Address => {
                let found = self.memo.address(value, &country);
                self.address_parts(found.value.as_ref());
                Normalised {
                    value: text::present(value),
                    valid: found.valid,
                }
            }
            Kind::NamePart
            | Kind::Kana
            | Kind::Email
            | Kind::Phone
            | Kind::PostalCode
            | Kind::LoyaltyNumber => self.memo.text(known.kind, value, &country),
            Kind::Gender => gender::parse(value).map(|g| g.as_str().to_owned()),
            Kind::Code => filled(code::fold(value)),
            Kind::Identifier => filled(value.trim().to_owned()),
            Kind::Word => text::present(value)
                .map_or_else(Normalised::absent, |t| Normalised::valid(t.to_lowercase())),
            _ => text::present(value).map_or_else(Normalised::absent, Normalised::valid),
        };
        if known.name == "name_kana"
            && let Some(reading) = &found.value
        {
            self.kana_parts(reading);
        }
        let _ = at;
        (found.value.map_or(Cell::Null, Cell::Text), found.valid)
    }

    /// Sets a field that was not mapped.
    fn offer(&mut self, name: &str, value: Option<&str>) {
        let Some(value) = value.filter(|v| !v.is_empty()) else {
            return;
        };
        let fields = self.entity.entity.fields();
        let Some(at) = fields.iter().position(|f| f.name == name) else {
            return;
        };
        if self.entity.mapped[at].is_none() {
            self.slots[at].value = Cell::Text(value.to_owned());
            self.slots[at].valid = fields[at].kind.keeps_raw().then_some(true);
        }
    }

    fn name_parts(&mut self, name: Option<&PersonName>) {
        if let Some(name) = name {
            self.offer("family_name", name.family.as_deref());
            self.offer("given_name", name.given.as_deref());
        }
    }

    fn kana_parts(&mut self, reading: &str) {
        if let Some((family, given)) = reading.split_once(' ') {
            self.offer("family_kana", Some(family));
            self.offer("given_kana", Some(given));
        }
    }

    fn address_parts(&mut self, parts: Option<&Address>) {
        if self.entity.entity != Entity::Customer {
            return;
        }
        if let Some(parts) = parts {
            self.offer("postal_code", Some(&parts.postal_code));
            self.offer("prefecture", Some(&parts.prefecture));
            self.offer("city", Some(&parts.city));
            self.offer("town", Some(&parts.town));
            self.offer("block", Some(&parts.block));
            self.offer("building", Some(&parts.building));
        }
    }

    /// What a customer's fields say about those that are empty.
    fn derive(&mut self) {
        if self.entity.entity != Entity::Customer {
            return;
        }
        for (whole, family, given) in [
            ("name", "family_name", "given_name"),
            ("name_kana", "family_kana", "given_kana"),
        ] {
            if let (Some(family), Some(given)) = (self.peek(family), self.peek(given)) {
                let latin = whole == "name" && family.is_ascii() && given.is_ascii();
                let joined = if latin {
                    format!("{given} {family}")
                } else {
                    format!("{family} {given}")
                };
                self.offer(whole, Some(&joined));
            }
        }
        // A country says where an address is: a record without one lives nowhere that is known.
        let located = ["address", "postal_code", "prefecture", "city"];
        let fields = self.entity.entity.fields();
        if located.iter().any(|field| self.peek(field).is_some())
            && let Some(at) = fields.iter().position(|f| f.name == "country")
            && self.slots[at].value == Cell::Null
        {
            self.slots[at].value = Cell::Text(self.conventions.country.clone());
        }
    }

    fn peek(&self, name: &str) -> Option<String> {
        let at = self
            .entity
            .entity
            .fields()
            .iter()
            .position(|f| f.name == name)?;
        match &self.slots[at].value {
            Cell::Text(text) => Some(text.clone()),
            _ => None,
        }
    }

    /// The shop's day, from the instant of the row, when no value gave it.
    fn business_day(&mut self, row: &Row<'_>) -> Result<(), Reject> {
        let fields = self.entity.entity.fields();
        let find = |name: &str| fields.iter().position(|f| f.name == name);
        let Some(day) = find("business_date").filter(|at| self.slots[*at].value == Cell::Null)
        else {
            return Ok(());
        };
        let own = self.entity.entity.instant().and_then(find);
        let value = match (own, &self.entity.order_instant) {
            (Some(at), _) => match self.slots[at].value {
                Cell::Int(micros) => self.day_of(micros),
                _ => return Ok(()),
            },
            (None, Some(order)) => {
                let Some(text) = order.text(&row.whole())? else {
                    return Ok(());
                };
                match (self.typed(order, &text)?.0, order.field.kind) {
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
        let local = self.conventions.zone.to_datetime(instant);
        Some(days(
            local.checked_sub(self.conventions.day_ends).ok()?.date(),
        ))
    }
}

fn filled(text: String) -> Normalised<String> {
    if text.is_empty() {
        Normalised::absent()
    } else {
        Normalised::valid(text)
    }
}

fn amount(parsed: Normalised<Decimal>, rounding: Rounding, places: u32) -> Normalised<Cell> {
    let valid = parsed.valid;
    let Some(number) = parsed.value else {
        return Normalised { value: None, valid };
    };
    let mut rounded = money::round(number, rounding, places.min(4));
    rounded.rescale(4);
    let units = rounded.mantissa();
    // eighteen digits is what the column holds
    if rounded.scale() != 4 || units.unsigned_abs() >= 1_000_000_000_000_000_000 {
        return Normalised::meaningless();
    }
    Normalised::judged(Cell::Decimal(units), valid)
}

fn whole(parsed: Normalised<Decimal>) -> Normalised<Cell> {
    let valid = parsed.valid;
    let Some(number) = parsed.value else {
        return Normalised { value: None, valid };
    };
    let integer = number
        .fract()
        .is_zero()
        .then(|| i64::try_from(number.trunc()).ok());
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
