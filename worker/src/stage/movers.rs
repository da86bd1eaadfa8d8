//! Rows that moved: whose order number, or code, is another than in an earlier version of the same row.
//!
//! Facts are put together by slot, and the slot follows from the order number. So of a row that moved, no
//! slot sees all versions. Where the number is part of the row's key this cannot happen; the other streams
//! are looked through here, by one task, before the slots are dealt out.

use std::collections::BTreeMap;

use anyhow::Result;
use musubi_api::{
    entity::Entity,
    source::{EntityMapping, FieldMapping},
};

use super::{Context, attach, clean::Active, files, gather::Place, records};

/// Versions that a later one in another slot replaces, by entity.
pub(super) type Overruled = BTreeMap<String, Vec<Place>>;

/// Finds the versions that a later one in another slot replaces.
///
/// # Errors
/// Those of the storage.
pub(super) async fn overruled(context: &Context, active: &[Active]) -> Result<Overruled> {
    let mut overruled = Overruled::new();
    for entity in attach::TABLES {
        let Some(field) = slot_field(entity) else {
            continue;
        };
        let may_move: Vec<bool> = active
            .iter()
            .map(|a| may_move(context, a, entity, field))
            .collect();
        if !may_move.contains(&true) {
            continue;
        }
        let read = |file: usize| may_move[file];
        let mut versions = records::versions(context, active, entity, read, |_| true).await?;
        versions.sort_unstable_by_key(|v| (v.record, v.version, v.file, v.at));
        let mut places = Vec::new();
        for row in versions.chunk_by(|a, b| a.record == b.record) {
            let slot = row.last().map(records::Version::slot);
            let left = row.iter().filter(|v| Some(v.slot()) != slot);
            places.extend(left.map(|v| (v.file, v.at)));
        }
        if !places.is_empty() {
            overruled.insert(entity.as_str().to_owned(), places);
        }
    }
    Ok(overruled)
}

/// The field that decides the slot of an entity's rows, when it is not the record itself.
fn slot_field(entity: Entity) -> Option<&'static str> {
    match entity {
        Entity::OrderLine => Some("order_number"),
        other => other.shared_key(),
    }
}

fn may_move(context: &Context, active: &Active, entity: Entity, field: &str) -> bool {
    let file = &active.file;
    let stream = files::stream(&context.run, &file.source, &file.stream);
    let entities = stream.into_iter().flat_map(|s| &s.entities);
    let mut mappings = entities.filter(|e| e.entity == entity);
    mappings.any(|e| e.fields.get(field).is_some_and(|f| !is_of_key(f, e)))
}

/// Whether a field is made of key columns alone.
fn is_of_key(field: &FieldMapping, mapping: &EntityMapping) -> bool {
    let put_together = field.concat.iter().flat_map(|c| &c.columns);
    let mut columns = field.from.iter().chain(put_together);
    field.compute.is_none() && columns.all(|c| mapping.key.contains(c))
}
