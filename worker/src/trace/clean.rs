//! Clean rows by what they tell of, with every version that there was of them.

use std::collections::{BTreeMap, HashSet};

use anyhow::Result;
use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch},
    datatypes::{Int64Type, TimestampMicrosecondType},
};
use musubi_api::entity::Entity;

use crate::stage::{
    records::{self, Version},
    view::View,
};

/// Clean rows of one entity, with their versions.
pub(super) struct CleanRows {
    pub(super) entity: Entity,
    pub(super) rows: Vec<CleanRow>,
    /// The rows in the entity's clean schema, in the same order.
    batch: RecordBatch,
}

/// One clean row.
pub(super) struct CleanRow {
    pub(super) version: Version,
    /// Whether it is the version that counts.
    pub(super) stands: bool,
}

impl CleanRows {
    /// The rows that are wanted.
    pub(super) async fn read(
        view: &View,
        entity: Entity,
        wanted: impl Fn(&Version) -> bool,
    ) -> Result<Self> {
        let active = &view.present.active;
        let versions = records::versions(&view.context, active, entity, |_| true, wanted).await?;
        let place = |v: &Version| (v.record, v.file, v.at);
        // A row may have moved from one thing to another: whether it stands, all its versions say.
        let ours: HashSet<u128> = versions.iter().map(|v| v.record).collect();
        let ours = |v: &Version| ours.contains(&v.record);
        let mut all = records::versions(&view.context, active, entity, |_| true, ours).await?;
        all.sort_unstable_by_key(|v| v.record);
        let only_added = records::only_added(&view.context.run, active);
        let (standing, _) = records::reduce(all, &only_added, |_, _| {});
        let standing: HashSet<_> = standing.iter().map(place).collect();
        let places: Vec<(u32, u32)> = versions.iter().map(|v| (v.file, v.at)).collect();
        let batch = view.rows(entity, &places).await?;
        let rows = versions.into_iter().map(|version| CleanRow {
            stands: standing.contains(&place(&version)),
            version,
        });
        Ok(Self {
            entity,
            rows: rows.collect(),
            batch,
        })
    }

    /// Clean customers by record.
    pub(super) async fn customers(view: &View, records: &HashSet<u128>) -> Result<Self> {
        let wanted = |version: &Version| records.contains(&version.record);
        Self::read(view, Entity::Customer, wanted).await
    }

    pub(super) fn column(&self, name: &str) -> Option<&ArrayRef> {
        self.batch.column_by_name(name)
    }

    /// Whether a row has a value in a column.
    pub(super) fn has(&self, row: usize, column: &str) -> bool {
        self.column(column).is_some_and(|c| c.is_valid(row))
    }

    pub(super) fn text(&self, row: usize, column: &str) -> Option<&str> {
        let column = self.column(column)?.as_string_opt::<i32>()?;
        column.is_valid(row).then(|| column.value(row))
    }

    pub(super) fn number(&self, row: usize) -> u64 {
        self.column("row")
            .and_then(|c| c.as_primitive_opt::<Int64Type>())
            .map_or(0, |c| c.value(row).unsigned_abs())
    }

    /// When the row speaks of: when it was changed last, else when what it tells happened.
    pub(super) fn time(&self, row: usize) -> Option<jiff::Timestamp> {
        let names = ["updated_at"].into_iter().chain(self.entity.instant());
        names
            .filter_map(|name| {
                self.column(name)?
                    .as_primitive_opt::<TimestampMicrosecondType>()
            })
            .find(|times| times.is_valid(row))
            .and_then(|times| jiff::Timestamp::from_microsecond(times.value(row)).ok())
    }

    /// The rows that stand.
    pub(super) fn standing(&self) -> impl Iterator<Item = usize> {
        let rows = self.rows.iter().enumerate();
        rows.filter(|(_, r)| r.stands).map(|(at, _)| at)
    }

    /// For each record the row that stands.
    pub(super) fn by_record(&self) -> BTreeMap<u128, usize> {
        self.standing()
            .map(|at| (self.rows[at].version.record, at))
            .collect()
    }
}
