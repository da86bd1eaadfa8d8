//! What must hold before a version is published.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use musubi_lake::{delta::DataFile, pointer};

use super::{Context, RunRefused, attach::Attached, clean::Present, plan::Plan, train::Trained};

/// Every row of every source is accounted for, from bytes to tables.
pub(super) fn conservation(
    present: &Present,
    trained: &Trained,
    attached: &[Attached],
) -> Result<()> {
    for active in &present.active {
        if !active.cleaned.rows.holds() {
            let why = format!("{}: {:?}", active.file.path, active.cleaned.rows);
            return Err(RunRefused(format!(
                "conservation does not hold in {why}; nothing was published"
            ))
            .into());
        }
    }
    let clean: u64 = present
        .active
        .iter()
        .flat_map(|a| a.cleaned.entities.values())
        .map(|p| p.rows)
        .sum();
    let mut known: u64 = trained.counts.iter().sum();
    known += attached
        .iter()
        .map(|a| a.current + a.duplicate + a.superseded + a.deleted)
        .sum::<u64>();
    if clean != known {
        let why = format!(
            "{clean} clean rows came in and {known} are accounted for; nothing was published"
        );
        return Err(RunRefused(why).into());
    }
    Ok(())
}

/// Stops the run when too many of the rows that it took were quarantined.
pub(super) fn quarantine_limits(context: &Context, plan: &Plan, present: &Present) -> Result<()> {
    for (name, source) in &context.run.sources {
        for stream in &source.streams {
            let gate = format!("quarantine/{name}/{}", stream.name);
            if context.run.allow.contains(&gate) {
                continue;
            }
            let new = present.active.iter().filter(|a| {
                a.file.source == *name
                    && a.file.stream == stream.name
                    && a.file.taken == plan.next_version()
            });
            let (mut rows, mut bad) = (0_u64, 0_u64);
            for active in new {
                rows += active.cleaned.rows.accepted + active.cleaned.rows.quarantined;
                bad += active.cleaned.rows.quarantined;
            }
            let limit = &stream.contract.quarantine_limit;
            let percent = limit.percent.unwrap_or(10.0);
            #[expect(clippy::cast_precision_loss, reason = "a percentage")]
            let over_percent = rows >= 20 && bad as f64 * 100.0 > rows as f64 * percent;
            if over_percent || limit.rows.is_some_and(|most| bad > most) {
                return Err(RunRefused(format!(
                    "Source {name}, stream {}: {bad} of {rows} rows were quarantined, more than quarantineLimit allows; \
                     nothing was published. Look at them with `musubi quarantine list`, or let it through with `--allow {gate}`",
                    stream.name
                ))
                .into());
            }
        }
    }
    Ok(())
}

/// Compares the tables with the version before.
pub(super) async fn rows(
    context: &Context,
    plan: &Plan,
    tables: &BTreeMap<String, Vec<DataFile>>,
) -> Result<()> {
    if plan.base == 0 {
        return Ok(());
    }
    let base = pointer::version(&context.store, plan.base)
        .await?
        .context("the base version is gone")?;
    let limit = context.run.spec.gates.max_row_drop_percent;
    for (table, before) in &base.tables {
        let now: u64 = tables
            .get(table)
            .into_iter()
            .flatten()
            .map(|f| f.rows)
            .sum();
        let gate = format!("rows/{table}");
        #[expect(clippy::cast_precision_loss, reason = "a percentage")]
        let fallen =
            before.rows > now && (before.rows - now) as f64 * 100.0 > before.rows as f64 * limit;
        if fallen && !context.run.allow.contains(&gate) {
            return Err(RunRefused(format!(
                "table {table} would fall from {} to {now} rows, more than gates.maxRowDropPercent ({limit}) allows; \
                 nothing was published. If that is right, let it through with `--allow {gate}`",
                before.rows
            ))
            .into());
        }
    }
    Ok(())
}
