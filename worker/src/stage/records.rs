//! Which version of each row stands, over all active files.
//!
//! Only key columns are read for that; whole rows are gathered for what changed. Maximum by
//! (version, file order, position) is associative and commutative, so the answer depends neither on
//! shards nor on the number of runs that brought the files.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use arrow::{
    array::{Array, ArrayRef, AsArray, FixedSizeBinaryArray, RecordBatch},
    datatypes::{Date32Type, Int64Type},
};
use futures::TryStreamExt;
use musubi_api::{entity::Entity, run::Run, source::ChangeMode};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use super::{Context, clean::Active};

/// One version of one row, by reference.
#[derive(Clone, Copy, Debug)]
pub struct Version {
    /// The row's record id.
    pub record: u128,
    /// The thing it is about across sources (an order, a product), or the record itself.
    pub thing: u128,
    /// Hash of the order number, for rows that have one.
    pub order: u64,
    /// Which active file.
    pub file: u32,
    /// Position in its clean file.
    pub at: u32,
    /// Cursor; the smallest when the stream has none.
    pub version: i64,
    /// Hash of its content.
    pub content: u64,
    /// Business date in days since 1970, when it has one.
    pub date: Option<i32>,
    /// Whether this version says that the row is gone.
    pub deleted: bool,
}

impl Version {
    /// What decides where the row is dealt with: its order, or else the thing that it is about.
    #[must_use]
    pub fn slot(&self) -> u128 {
        if self.order == 0 {
            self.thing
        } else {
            u128::from(self.order)
        }
    }
}

/// What became of a version that does not stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Another one says the same.
    Duplicate,
    /// Another one says something else.
    Superseded,
}

/// What became of the versions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reduced {
    /// Rows that stand.
    pub current: u64,
    /// Repetitions of a row with the same content.
    pub duplicate: u64,
    /// Older versions of a row.
    pub superseded: u64,
    /// Rows that are gone.
    pub deleted: u64,
}

/// A record id as a number.
///
/// # Errors
/// When it is not 32 hexadecimal digits.
pub fn parse_id(id: &str) -> Result<u128> {
    let mut bytes = [0; 16];
    hex::decode_to_slice(id, &mut bytes).with_context(|| {
        format!(
            "a record id is 32 hexadecimal digits, not {} characters",
            id.len()
        )
    })?;
    Ok(u128::from_be_bytes(bytes))
}

/// Record ids as a column of 16 bytes each.
///
/// # Errors
/// Only when Arrow refuses it.
pub fn id_column(ids: impl Iterator<Item = u128>) -> Result<ArrayRef> {
    let bytes: Vec<u8> = ids.flat_map(u128::to_be_bytes).collect();
    let column = FixedSizeBinaryArray::try_new(16, bytes.into(), None)?;
    Ok(Arc::new(column))
}

/// The record ids of a column that [`id_column`] made.
///
/// # Errors
/// When the batch has no such column.
pub fn ids_of<'a>(
    batch: &'a RecordBatch,
    name: &str,
) -> Result<impl Iterator<Item = u128> + use<'a>> {
    let column = batch
        .column_by_name(name)
        .and_then(|c| c.as_fixed_size_binary_opt())
        .filter(|c| c.value_length() == 16)
        .with_context(|| format!("column {name} holds no record ids"))?;
    let (ids, _) = column.value_data().as_chunks::<16>();
    Ok(ids.iter().map(|id| u128::from_be_bytes(*id)))
}

/// The versions of an entity's rows in some of the files, those that `keep` wants.
///
/// # Errors
/// Those of the storage.
pub async fn versions(
    context: &Context,
    active: &[Active],
    entity: Entity,
    read: impl Fn(usize) -> bool,
    keep: impl Fn(&Version) -> bool,
) -> Result<Vec<Version>> {
    let mut columns = vec!["record_id", "version", "deleted", "content"];
    let shared = entity.shared_key().filter(|k| *k != "order_number");
    let dated = entity.is_dated();
    let ordered = matches!(entity, Entity::Order | Entity::OrderLine);
    columns.extend(shared);
    columns.extend(dated.then_some("business_date"));
    columns.extend(ordered.then_some("order_number"));
    let mut versions = Vec::new();
    for (file, active) in active.iter().enumerate().filter(|(file, _)| read(*file)) {
        let Some(part) = active.cleaned.entities.get(entity.as_str()) else {
            continue;
        };
        let mut stream =
            musubi_lake::parquet::stream(&context.store, &part.path, Some(&columns)).await?;
        let mut at = 0;
        while let Some(batch) = stream.try_next().await? {
            let text = |name: &str| {
                batch
                    .column_by_name(name)
                    .and_then(|c| c.as_string_opt::<i32>())
            };
            let ids = text("record_id").context("a clean file has no record ids")?;
            let numbers = |name: &str| {
                batch
                    .column_by_name(name)
                    .and_then(|c| c.as_primitive_opt::<Int64Type>())
            };
            let version = numbers("version").context("a clean file has no versions")?;
            let content = numbers("content").context("a clean file has no content hashes")?;
            let deleted = batch
                .column_by_name("deleted")
                .and_then(|c| c.as_boolean_opt());
            let dates = batch
                .column_by_name("business_date")
                .and_then(|c| c.as_primitive_opt::<Date32Type>());
            let orders = text("order_number");
            let keys = shared.and_then(text).or(if entity == Entity::Order {
                orders
            } else {
                None
            });
            for row in 0..batch.num_rows() {
                let record = parse_id(ids.value(row))?;
                let order = orders
                    .filter(|o| o.is_valid(row))
                    .map_or(0, |o| xxh3_64(o.value(row).as_bytes()));
                let key = keys
                    .filter(|k| k.is_valid(row))
                    .map(|k| xxh3_128(k.value(row).as_bytes()));
                let one = Version {
                    record,
                    thing: key.unwrap_or(record),
                    order,
                    file: u32::try_from(file)?,
                    at,
                    version: if version.is_valid(row) {
                        version.value(row)
                    } else {
                        i64::MIN
                    },
                    content: content.value(row).cast_unsigned(),
                    date: dates.filter(|d| d.is_valid(row)).map(|d| d.value(row)),
                    deleted: deleted.is_some_and(|d| d.value(row)),
                };
                if keep(&one) {
                    versions.push(one);
                }
                at += 1;
            }
        }
    }
    Ok(versions)
}

/// For each active file, whether rows of its stream are only added, so that the first of a key stands.
#[must_use]
pub fn only_added(run: &Run, active: &[Active]) -> Vec<bool> {
    let append = |a: &Active| {
        let stream = super::files::stream(run, &a.file.source, &a.file.stream);
        stream.is_some_and(|s| s.changes == ChangeMode::Append)
    };
    active.iter().map(append).collect()
}

/// Brings versions into the order of slots, things and records. Those that are kept from run to run are in
/// this order already, part by part, and a stable sort takes parts that are in order as they are.
pub fn in_order(versions: &mut [Version]) {
    versions.sort_by_key(|v| (v.slot(), v.thing, v.record));
}

/// Keeps of each record the version that stands, in the order in which the records come; the versions of a
/// record follow each other. That is the last one, or the first in files where rows are only added. Calls
/// `lost` for every version that another one has replaced, or else repeated.
pub fn reduce(
    mut versions: Vec<Version>,
    only_added: &[bool],
    mut lost: impl FnMut(&Version, Fate),
) -> (Vec<Version>, Reduced) {
    let rank = |v: &Version| {
        let rank = (v.version, v.file, v.at);
        let first = only_added.get(v.file as usize).is_some_and(|only| *only);
        if first {
            (!rank.0, !rank.1, !rank.2)
        } else {
            rank
        }
    };
    let mut reduced = Reduced::default();
    // Those that stand move to the front: there may be many, and no second list is made of them.
    let (mut begin, mut standing) = (0, 0);
    while begin < versions.len() {
        let record = versions[begin].record;
        let rest = &mut versions[begin..];
        let many = rest.iter().take_while(|v| v.record == record).count();
        let group = &mut rest[..many];
        if many > 1 {
            group.sort_unstable_by_key(rank);
        }
        for pair in group.windows(2) {
            if pair[0].content == pair[1].content && pair[0].deleted == pair[1].deleted {
                lost(&pair[0], Fate::Duplicate);
                reduced.duplicate += 1;
            } else {
                lost(&pair[0], Fate::Superseded);
                reduced.superseded += 1;
            }
        }
        begin += many;
        let last = versions[begin - 1];
        if last.deleted {
            reduced.deleted += 1;
        } else {
            reduced.current += 1;
            versions[standing] = last;
            standing += 1;
        }
    }
    versions.truncate(standing);
    (versions, reduced)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn latest(versions: Vec<Version>) -> (Vec<Version>, Reduced) {
        reduce(versions, &[], |_, _| {})
    }

    fn version(record: u128, version: i64, file: u32, content: u64) -> Version {
        Version {
            record,
            thing: record,
            order: 0,
            file,
            at: 0,
            version,
            content,
            date: None,
            deleted: false,
        }
    }

    #[test]
    fn the_cursor_decides_before_the_file() {
        let (standing, reduced) = latest(vec![version(1, 9, 0, 1), version(1, 3, 5, 2)]);
        assert_eq!(standing[0].content, 1);
        assert_eq!(
            reduced,
            Reduced {
                current: 1,
                superseded: 1,
                ..Reduced::default()
            }
        );
    }

    #[test]
    fn where_rows_are_only_added_the_first_stands() {
        let rows = [1, 0, 2].map(|file| version(1, i64::MIN, file, u64::from(file)));
        let (standing, reduced) = reduce(rows.to_vec(), &[true; 3], |_, _| {});
        assert_eq!((standing[0].content, reduced.superseded), (0, 2));
    }

    #[test]
    fn a_repeated_row_is_a_duplicate() {
        let rows = vec![
            version(1, 1, 0, 7),
            version(1, 1, 1, 7),
            version(2, 1, 1, 7),
        ];
        let (_, reduced) = latest(rows);
        assert_eq!(
            reduced,
            Reduced {
                current: 2,
                duplicate: 1,
                ..Reduced::default()
            }
        );
    }

    #[test]
    fn a_deleted_row_is_gone_until_it_comes_again() {
        let gone = Version {
            deleted: true,
            ..version(1, 2, 0, 1)
        };
        assert_eq!(latest(vec![version(1, 1, 0, 1), gone]).1.deleted, 1);
        assert_eq!(latest(vec![version(1, 3, 0, 1), gone]).1.current, 1);
    }
}
