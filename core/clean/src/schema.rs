//! Arrow schemas of the clean and curated zones, made from the one table of canonical fields.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use musubi_api::entity::{Entity, Kind};

/// Digits of money and decimals, and how many of them stand after the point.
pub const PRECISION: u8 = 18;
/// Places of money and decimals.
pub const SCALE: i8 = 4;

/// The Arrow type of a canonical kind.
#[must_use]
pub fn data_type(kind: Kind) -> DataType {
    match kind {
        Kind::Date => DataType::Date32,
        Kind::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        Kind::Money | Kind::Decimal => DataType::Decimal128(PRECISION, SCALE),
        Kind::Integer => DataType::Int64,
        Kind::Flag => DataType::Boolean,
        _ => DataType::Utf8,
    }
}

/// The system columns that every clean row starts with.
#[must_use]
pub fn system_fields(entity: Entity) -> Vec<Field> {
    let mut fields = vec![
        Field::new("record_id", DataType::Utf8, false),
        Field::new("source", DataType::Utf8, false),
        Field::new("stream", DataType::Utf8, false),
        Field::new("raw", DataType::Utf8, false),
        Field::new("locator", DataType::Utf8, false),
        Field::new("row", DataType::Int64, false),
        Field::new("ordinal", DataType::Int32, false),
        Field::new("version", DataType::Int64, true),
        Field::new("deleted", DataType::Boolean, false),
        Field::new("content", DataType::Int64, false),
    ];
    if entity.has_customer() {
        fields.push(Field::new("customer_record", DataType::Utf8, true));
    }
    fields
}

/// The clean schema: system columns, then the canonical fields, each that keeps its raw value followed
/// by `<field>_raw` and `<field>_valid` (null where the row has no value).
#[must_use]
pub fn clean_schema(entity: Entity) -> SchemaRef {
    let mut fields = system_fields(entity);
    for field in entity.fields() {
        fields.push(Field::new(field.name, data_type(field.kind), true));
        if field.kind.keeps_raw() {
            fields.push(Field::new(
                format!("{}_raw", field.name),
                DataType::Utf8,
                true,
            ));
            fields.push(Field::new(
                format!("{}_valid", field.name),
                DataType::Boolean,
                true,
            ));
        }
    }
    Arc::new(Schema::new(fields))
}

/// The curated schema of a fact or reference table: where a row comes from, then its fields, without
/// the raw and validity companions. The golden records of customers have a schema of their own.
#[must_use]
pub fn curated_schema(entity: Entity) -> SchemaRef {
    let mut fields: Vec<Field> = ["record_id", "source", "stream", "raw", "locator"]
        .into_iter()
        .map(|name| Field::new(name, DataType::Utf8, false))
        .collect();
    if entity.has_customer() {
        fields.push(Field::new("customer_record", DataType::Utf8, true));
    }
    fields.extend(
        entity
            .fields()
            .iter()
            .map(|f| Field::new(f.name, data_type(f.kind), true)),
    );
    Arc::new(Schema::new(fields))
}

/// Names of the clean columns that say something about a person: no statistics, never shown.
#[must_use]
pub fn personal_columns(entity: Entity) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for field in entity.fields().iter().filter(|f| f.personal) {
        names.insert(field.name.to_owned());
        if field.kind.keeps_raw() {
            names.insert(format!("{}_raw", field.name));
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entity_has_unique_columns() {
        for entity in Entity::ALL {
            let schema = clean_schema(entity);
            let names: BTreeSet<_> = schema.fields().iter().map(|f| f.name()).collect();
            assert_eq!(names.len(), schema.fields().len(), "{entity:?}");
            assert_eq!(
                schema.field_with_name("customer_record").is_ok(),
                entity.has_customer()
            );
            for name in personal_columns(entity) {
                assert!(schema.field_with_name(&name).is_ok(), "{name}");
            }
        }
    }

    #[test]
    fn raw_and_validity_follow_their_field() {
        let schema = clean_schema(Entity::Customer);
        let at = schema.index_of("email").unwrap();
        assert_eq!(schema.field(at + 1).name(), "email_raw");
        assert_eq!(schema.field(at + 2).name(), "email_valid");
        assert!(
            curated_schema(Entity::Store)
                .field_with_name("phone_raw")
                .is_err()
        );
    }
}
