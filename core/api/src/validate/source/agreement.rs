//! Mappings against the contract: what one says of a column, the other must not gainsay.

use super::Check;
use crate::{
    entity::Kind,
    expr::Expr,
    problem::hint,
    source::{ColumnRule, ColumnType, EntityMapping, FieldMapping, Stream},
};

impl Check<'_> {
    /// Says where a field's mapping and the contract of its columns cannot both hold.
    pub(super) fn agreement(
        &mut self,
        at: &str,
        stream: &Stream,
        mapping: &EntityMapping,
        name: &str,
        field: &FieldMapping,
    ) {
        let rule = |column: &str| {
            let column = column.strip_prefix("$.").unwrap_or(column);
            let mut rules = stream.contract.columns.iter();
            rules.find(|r| r.name == column && (r.record.is_none() || r.record == mapping.record))
        };
        if let Some(Ok(expr)) = field.compute.as_deref().map(Expr::parse) {
            for column in expr.columns() {
                if let Some(word) = rule(column).and_then(no_number) {
                    let message = format!(
                        "the contract says that `{column}` holds {word}, which cannot be reckoned with"
                    );
                    self.say(&format!("{at}.compute"), message);
                }
            }
        }
        let Some((column, rule)) = field.from.as_deref().and_then(|c| Some((c, rule(c)?))) else {
            return;
        };
        if !field.map.is_empty() {
            return self.words(at, column, rule, field);
        }
        let Some(kind) = mapping.entity.field(name).map(|f| f.kind) else {
            return;
        };
        if field.split.is_some() {
            return;
        }
        match (kind, no_number(rule)) {
            (Kind::Money | Kind::Decimal | Kind::Integer, Some(word)) => {
                let message = format!(
                    "the contract says that `{column}` holds {word}, and `{name}` is a number"
                );
                self.say(at, message);
            }
            (Kind::Date | Kind::Timestamp, _) => self.formats(at, column, rule, field),
            _ => {}
        }
    }

    /// Words that a mapping replaces must be allowed to come.
    fn words(&mut self, at: &str, column: &str, rule: &ColumnRule, field: &FieldMapping) {
        if rule.one_of.is_empty() {
            return;
        }
        let odd = field.map.keys().filter(|word| !rule.one_of.contains(word));
        for word in odd.cloned().collect::<Vec<_>>() {
            let hint = hint(&word, rule.one_of.iter().map(String::as_str));
            let message = format!("the contract lets no `{word}` into `{column}`: {hint}");
            self.say(&format!("{at}.map.{word}"), message);
        }
    }

    /// A date is read by contract and mapping in one notation.
    fn formats(&mut self, at: &str, column: &str, rule: &ColumnRule, field: &FieldMapping) {
        let Some(declared) = &rule.format else { return };
        let each = |formats: &str| {
            let all = formats.split(" | ").map(|f| f.trim().to_owned());
            all.collect::<Vec<_>>()
        };
        match &field.format {
            Some(own) if !each(own).iter().any(|f| each(declared).contains(f)) => {
                let message = format!(
                    "the contract reads `{column}` as `{declared}`, and this reads it as `{own}`: no value is both"
                );
                self.say(&format!("{at}.format"), message);
            }
            None if !each(declared).iter().any(|f| reads_itself(f)) => {
                let message = format!(
                    "the contract reads `{column}` as `{declared}`: add that `format` here too"
                );
                self.say(at, message);
            }
            _ => {}
        }
    }
}

/// What a column holds, when that is no number.
fn no_number(rule: &ColumnRule) -> Option<&'static str> {
    match rule.type_ {
        ColumnType::Date => Some("dates"),
        ColumnType::Timestamp => Some("times"),
        ColumnType::Flag => Some("yes or no"),
        ColumnType::Text | ColumnType::Integer | ColumnType::Decimal => None,
    }
}

/// Whether a date in this format is understood without being told.
fn reads_itself(format: &str) -> bool {
    format == "wareki" || format.starts_with("%Y") || format.starts_with("%F")
}
