//! The elements of an array in a nested row, each of which may become a row of an entity.

use crate::json::Json;
use crate::mapping::CompiledEntity;
use crate::mapping_row::{Row, Rows, Step};
use crate::problem::Reject;

/// Calls `make` with the elements that an entity is made from, counted from 0: the row itself without `each`,
/// none when the array is absent.
pub(crate) fn elements<'a>(
    entity: &CompiledEntity,
    row: &Row<'a>,
    make: &mut dyn FnMut(usize, Option<Json<'a>>) -> Result<(), Reject>,
) -> Result<(), Reject> {
    let (Some(path), Rows::Json { rows, .. }) = (&entity.each, row.rows) else {
        return make(0, None);
    };
    let mut found = Vec::new();
    if let Err(other) = explode(rows.row(row.index), path, &mut found) {
        return Err(Reject::new(
            "not_an_array",
            entity.entity.as_str(),
            "`each` names something that is no array",
            other.text().as_deref(),
        ));
    }
    let mut found = found.into_iter().enumerate();
    found.try_for_each(|(ordinal, element)| make(ordinal, Some(element)))
}

/// Follows a path to an array, through every element of the arrays on its way; fails with what is no array.
fn explode<'a>(value: Json<'a>, path: &[Step], found: &mut Vec<Json<'a>>) -> Result<(), Json<'a>> {
    let inner = match path.first() {
        _ if value.is_null() => return Ok(()),
        None if value.is_array() => {
            found.extend(value.items());
            return Ok(());
        }
        None => return Err(value),
        Some(Step::Key(_)) if value.is_array() => {
            return value
                .items()
                .try_for_each(|item| explode(item, path, found));
        }
        Some(Step::Key(key)) => value.get(key),
        Some(Step::Index(at)) => value.element(*at),
    };
    inner.map_or(Ok(()), |inner| explode(inner, &path[1..], found))
}
