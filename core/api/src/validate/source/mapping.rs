//! Mappings of rows to entities.

use super::{Check, Columns, text};
use crate::{
    entity::{Entity, Kind},
    expr::Expr,
    problem::hint,
    source::{EntityMapping, FILE_DATE, FieldMapping, FilePattern, Rounding, Stream},
};

impl Check<'_> {
    pub(super) fn mapping(&mut self, at: &str, stream: &Stream, mapping: &EntityMapping) {
        let record = mapping.record.as_deref();
        let columns = self
            .record(at, stream, record, true)
            .then(|| Columns::of(self.spec, stream, record))
            .filter(|_| mapping.each.is_none());
        for (name, field) in &mapping.fields {
            let at = format!("{at}.fields.{name}");
            match mapping.entity.field(name) {
                Some(known) => self.kind(&at, known.kind, field),
                None => {
                    let entity = mapping.entity;
                    let hint = hint(name, entity.fields().iter().map(|f| f.name));
                    let message =
                        format!("entity {} has no field `{name}`: {hint}", entity.as_str());
                    self.say(&at, message);
                }
            }
            self.field(&at, columns.as_ref(), field);
            self.agreement(&at, stream, mapping, name, field);
        }
        self.each(at, stream, mapping);
        if mapping.fields.is_empty() && mapping.entity != Entity::Customer {
            self.say(
                &format!("{at}.fields"),
                "no field is mapped: map at least one",
            );
        }
        self.owner(at, stream, mapping);
        self.file_date(at, stream, mapping);
        let Some(columns) = columns else { return };
        for (i, key) in mapping.key.iter().enumerate() {
            self.column(&format!("{at}.key[{i}]"), &columns, key);
        }
        if let Some(when) = &mapping.when {
            self.column(&format!("{at}.when.column"), &columns, &when.column);
        }
        for (i, key) in mapping.customer.iter().flat_map(|c| &c.key).enumerate() {
            self.column(&format!("{at}.customer.key[{i}]"), &columns, key);
        }
    }

    /// `#date` needs a path that names one.
    fn file_date(&mut self, at: &str, stream: &Stream, mapping: &EntityMapping) {
        let pattern = stream.files.as_ref().map(|f| FilePattern::new(&f.path));
        let message = match pattern {
            Some(Ok(pattern)) if pattern.is_dated() => return,
            // said at the path itself
            Some(Err(_)) => return,
            Some(Ok(_)) => {
                "`#date` is the date in `files.path`, and that names none: write it as in `sales_{yyyyMMdd}.csv`"
            }
            None => "`#date` is the date in the name of a file, and rows of a table have no file",
        };
        let keys = mapping.key.iter().enumerate();
        let keys = keys.map(|(i, name)| (format!("{at}.key[{i}]"), name));
        let fields = mapping.fields.iter().flat_map(|(name, field)| {
            let parts = field.concat.iter().flat_map(|c| &c.columns);
            let all = field.from.iter().chain(parts);
            all.map(move |column| (format!("{at}.fields.{name}"), column))
        });
        let wrong = keys.chain(fields).filter(|(_, name)| *name == FILE_DATE);
        for (at, _) in wrong.collect::<Vec<_>>() {
            self.say(&at, message);
        }
    }

    /// `each` needs rows that may hold arrays.
    fn each(&mut self, at: &str, stream: &Stream, mapping: &EntityMapping) {
        let Some(format) = stream.format.as_ref().filter(|_| mapping.each.is_some()) else {
            return;
        };
        let flat = [
            (format.csv.is_some(), "csv"),
            (format.fixed_width.is_some(), "fixedWidth"),
            (format.records.is_some(), "records"),
            (format.excel.is_some(), "excel"),
        ];
        if let Some((_, name)) = flat.iter().find(|(is, _)| *is) {
            let message =
                format!("`each` goes through an array, and rows of `{name}` hold none: remove it");
            self.say(&format!("{at}.each"), message);
        }
    }

    /// Options that only some kinds of fields understand.
    fn kind(&mut self, at: &str, kind: Kind, field: &FieldMapping) {
        let temporal = matches!(kind, Kind::Date | Kind::Timestamp);
        if field.format.is_some() && !temporal {
            self.say(
                &format!("{at}.format"),
                "`format` is for dates and times: remove it",
            );
        }
        if field.rounding != Rounding::None && kind != Kind::Money {
            self.say(
                &format!("{at}.rounding"),
                "`rounding` is for money: remove it, or use round(x, n) in `compute`",
            );
        }
        let numeric = matches!(kind, Kind::Money | Kind::Decimal | Kind::Integer);
        if field.compute.is_some() && !numeric {
            self.say(
                &format!("{at}.compute"),
                "`compute` makes a number, and this field is none: use `from` or `concat`",
            );
        }
    }

    fn field(&mut self, at: &str, columns: Option<&Columns>, field: &FieldMapping) {
        if let Some(format) = &field.format {
            self.test(&format!("{at}.format"), text::date_format(format));
        }
        let expr = field.compute.as_deref().map(Expr::parse);
        if let Some(Err(error)) = &expr {
            self.say(
                &format!("{at}.compute"),
                format!("not an expression: {error}"),
            );
        }
        let Some(columns) = columns else { return };
        if let Some(from) = &field.from {
            self.column(&format!("{at}.from"), columns, from);
        }
        for (i, name) in field.concat.iter().flat_map(|c| &c.columns).enumerate() {
            self.column(&format!("{at}.concat.columns[{i}]"), columns, name);
        }
        if let Some(Ok(expr)) = &expr {
            for name in expr.columns() {
                self.column(&format!("{at}.compute"), columns, name);
            }
        }
    }

    /// `customer`: the entity may have one, and the stream it points to makes customers with as many keys.
    fn owner(&mut self, at: &str, stream: &Stream, mapping: &EntityMapping) {
        let Some(owner) = &mapping.customer else {
            return;
        };
        let at = format!("{at}.customer");
        if !mapping.entity.has_customer() {
            let message = format!(
                "entity {} belongs to no customer: remove `customer`",
                mapping.entity.as_str()
            );
            return self.say(&at, message);
        }
        let name = owner.stream.as_deref().unwrap_or(&stream.name);
        let customers = |s: &Stream| {
            let mut all = s.entities.iter();
            all.find(|e| e.entity == Entity::Customer)
                .map(|e| e.key.len())
        };
        let streams = &self.spec.streams;
        match streams.iter().find(|s| s.name == name).map(customers) {
            Some(Some(keys)) if keys == owner.key.len() => {}
            Some(Some(keys)) => {
                let message = format!(
                    "{} columns, but the customers of stream `{name}` have a key of {keys}",
                    owner.key.len()
                );
                self.say(&format!("{at}.key"), message);
            }
            _ => {
                let known = streams.iter().filter(|s| customers(s).is_some());
                let known: Vec<&str> = known.map(|s| s.name.as_str()).collect();
                let way = match known.as_slice() {
                    [] => "no stream of this source maps the entity `customer`".to_owned(),
                    known => format!("name one that does: {}", known.join(", ")),
                };
                let message = format!("stream `{name}` makes no customers: {way}");
                self.say(&format!("{at}.stream"), message);
            }
        }
    }
}
