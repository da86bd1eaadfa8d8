//! The curated tables: schemas, keys, personal columns, and a line on each for people.

use std::{collections::BTreeSet, sync::Arc};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use musubi_api::entity::Entity;
use musubi_clean::schema;

use super::attach;

/// A curated table.
pub struct Table {
    /// Name.
    pub name: &'static str,
    /// Columns.
    pub schema: SchemaRef,
    /// Columns that together name a row.
    pub key: &'static [&'static str],
    /// Columns that say something about a person.
    pub personal: BTreeSet<String>,
    /// What it holds.
    pub doc: &'static str,
}

fn text(name: &str) -> Field {
    Field::new(name, DataType::Utf8, true)
}

fn number(name: &str) -> Field {
    Field::new(name, DataType::Int64, true)
}

fn money(name: &str) -> Field {
    Field::new(
        name,
        DataType::Decimal128(schema::PRECISION, schema::SCALE),
        true,
    )
}

fn instant(name: &str) -> Field {
    Field::new(
        name,
        DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        true,
    )
}

/// `customers`: one golden record each.
#[must_use]
pub fn customers() -> SchemaRef {
    let mut fields = vec![
        text("customer_id"),
        text("household_id"),
        number("record_count"),
        text("sources"),
    ];
    let canonical = Entity::Customer.fields().iter();
    fields.extend(canonical.map(|f| Field::new(f.name, schema::data_type(f.kind), true)));
    fields.push(text("provenance"));
    Arc::new(Schema::new(fields))
}

/// Channels that `customer_features` counts by themselves; all others count as `other`.
pub const CHANNELS: [&str; 3] = ["store", "web", "app"];

/// `customer_features`: what a customer did, with nothing that changes without cause.
#[must_use]
pub fn customer_features() -> SchemaRef {
    Arc::new(Schema::new(vec![
        text("customer_id"),
        instant("first_order_at"),
        instant("last_order_at"),
        number("order_count"),
        number("return_count"),
        money("monetary"),
        money("monetary_store"),
        money("monetary_web"),
        money("monetary_app"),
        money("monetary_other"),
        text("channels"),
        number("channel_count"),
        text("favourite_store"),
        text("favourite_category"),
        Field::new("mean_interval_days", DataType::Float64, true),
    ]))
}

fn links() -> SchemaRef {
    Arc::new(Schema::new(
        ["record_id", "source", "stream", "customer_id"]
            .map(text)
            .to_vec(),
    ))
}

fn identifiers() -> SchemaRef {
    Arc::new(Schema::new(vec![
        text("customer_id"),
        text("kind"),
        text("value"),
        number("records"),
    ]))
}

fn consents() -> SchemaRef {
    let granted = Field::new("granted", DataType::Boolean, true);
    Arc::new(Schema::new(vec![
        text("customer_id"),
        text("purpose"),
        granted,
        instant("given_at"),
    ]))
}

fn households() -> SchemaRef {
    Arc::new(Schema::new(vec![text("household_id"), number("customers")]))
}

fn id_changes() -> SchemaRef {
    Arc::new(Schema::new(vec![
        number("version"),
        text("change"),
        text("old_id"),
        text("new_id"),
    ]))
}

fn review() -> SchemaRef {
    let probability = Field::new("probability", DataType::Float64, true);
    Arc::new(Schema::new(vec![
        text("left_record"),
        text("right_record"),
        probability,
        text("rule"),
    ]))
}

fn quality() -> SchemaRef {
    let mut fields = vec![text("source"), text("stream")];
    let counts = [
        "files",
        "replaced_files",
        "rows",
        "accepted",
        "duplicate",
        "superseded",
        "structural",
        "quarantined",
    ];
    fields.extend(counts.map(number));
    fields.push(text("reasons"));
    Arc::new(Schema::new(fields))
}

/// Every curated table, in the order in which they are listed.
#[must_use]
pub fn all() -> Vec<Table> {
    let personal = schema::personal_columns(Entity::Customer);
    let none = BTreeSet::new;
    let value = || BTreeSet::from(["value".to_owned()]);
    let mut tables = vec![
        table(
            "customers",
            customers(),
            &["customer_id"],
            personal,
            "one golden record for each customer",
        ),
        table(
            "customer_features",
            customer_features(),
            &["customer_id"],
            none(),
            "what each customer did",
        ),
        table(
            "links",
            links(),
            &["record_id"],
            none(),
            "which customer each record of a source belongs to",
        ),
        table(
            "identifiers",
            identifiers(),
            &["customer_id", "kind", "value"],
            value(),
            "what customers are known by",
        ),
        table(
            "customer_consents",
            consents(),
            &["customer_id", "purpose"],
            none(),
            "consent by purpose, most restrictive",
        ),
        table(
            "households",
            households(),
            &["household_id"],
            none(),
            "customers who live together",
        ),
        table(
            "id_changes",
            id_changes(),
            &["version", "old_id", "new_id"],
            none(),
            "customer ids that were made, merged or split",
        ),
        table(
            "review",
            review(),
            &["left_record", "right_record"],
            none(),
            "pairs that a person should look at",
        ),
        table(
            "quality",
            quality(),
            &["source", "stream"],
            none(),
            "what came in from each stream, and what became of its rows",
        ),
    ];
    for entity in attach::TABLES {
        tables.push(Table {
            name: entity.table(),
            schema: schema::curated_schema(entity),
            key: &["record_id"],
            personal: schema::personal_columns(entity),
            doc: "",
        });
    }
    tables
}

fn table(
    name: &'static str,
    schema: SchemaRef,
    key: &'static [&'static str],
    personal: BTreeSet<String>,
    doc: &'static str,
) -> Table {
    Table {
        name,
        schema,
        key,
        personal,
        doc,
    }
}

/// The schema of a table.
#[must_use]
pub fn schema(name: &str) -> Option<SchemaRef> {
    all().into_iter().find(|t| t.name == name).map(|t| t.schema)
}
