//! Warehouses, audiences and runs.

use super::text;
use crate::{
    audience::AudienceSpec,
    catalog::{Catalog, Document},
    entity::Entity,
    pipeline::CustomerPipelineRunSpec,
    problem::{Problem, hint},
    resource::Kind,
    warehouse::WarehouseSpec,
};

/// Curated tables that no entity makes by itself.
const FURTHER_TABLES: [&str; 7] = [
    "customer_features",
    "links",
    "identifiers",
    "households",
    "id_changes",
    "review",
    "quality",
];

pub(super) fn warehouse(from: &Document, spec: &WarehouseSpec) -> Vec<Problem> {
    let known: Vec<&str> = Entity::ALL
        .iter()
        .map(|e| e.table())
        .chain(FURTHER_TABLES)
        .collect();
    spec.tables
        .iter()
        .enumerate()
        .filter(|(_, table)| !known.contains(&table.as_str()))
        .map(|(i, table)| {
            let hint = hint(table, known.iter().copied());
            from.problem(
                &format!("spec.tables[{i}]"),
                format!("there is no curated table `{table}`: {hint}"),
            )
        })
        .collect()
}

pub(super) fn audience(catalog: &Catalog, from: &Document, spec: &AudienceSpec) -> Vec<Problem> {
    let field = "spec.warehouse";
    let reference = catalog.reference(from, field, Kind::Warehouse, &spec.warehouse);
    let filter = text::sql_condition(&spec.filter).err();
    let filter = filter.map(|message| from.problem("spec.filter", message));
    let columns = spec.columns.iter().enumerate();
    let columns = columns
        .filter(|(_, c)| !c.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') || c.is_empty())
        .map(|(i, c)| {
            from.problem(
                &format!("spec.columns[{i}]"),
                format!("`{c}` is not a column: give its bare name, such as `email`"),
            )
        });
    reference.into_iter().chain(filter).chain(columns).collect()
}

pub(super) fn run(
    catalog: &Catalog,
    from: &Document,
    spec: &CustomerPipelineRunSpec,
) -> Vec<Problem> {
    let field = "spec.pipeline";
    let reference = catalog.reference(from, field, Kind::CustomerPipeline, &spec.pipeline);
    let as_of = spec
        .as_of
        .as_ref()
        .filter(|t| t.parse::<jiff::Timestamp>().is_err());
    let as_of = as_of.map(|t| {
        let message = format!("`{t}` is not an instant: write it as 2026-11-24T04:00:00+09:00");
        from.problem("spec.asOf", message)
    });
    reference.into_iter().chain(as_of).collect()
}
