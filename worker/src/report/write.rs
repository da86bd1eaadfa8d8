//! Gathers what a run came to, and writes its page.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use musubi_api::run::Stage;
use musubi_lake::pointer;
use rusqlite::{Connection, OpenFlags};

use super::{RunSummary, StageTime, StreamSummary, collect, html};
use crate::stage::{Context, clean, load::Loaded, runner::StageSummary};

/// The summary of a run that is complete. Its page goes to the run's folder in the lake, drawn from the
/// first SQLite warehouse of the pipeline; without one there is no page.
///
/// # Errors
/// Those of the storage.
pub async fn write(context: &Context, stages: &[StageSummary]) -> Result<RunSummary> {
    let plan = context.plan().await?;
    let present = clean::present(context, &plan).await?;
    let published = pointer::version(&context.store, plan.next_version()).await?;
    let published = published.context("the version that was published is gone")?;
    let count = |stage: Stage, name: &str| {
        let found = stages.iter().find(|s| s.stage == stage);
        found
            .and_then(|s| s.counts.get(name))
            .map_or(0, |n| n.unsigned_abs())
    };
    let mut summary = RunSummary {
        pipeline: context.run.pipeline.clone(),
        run: context.run.uid.clone(),
        version: Some(published.version),
        streams: streams(&present.active),
        records: count(Stage::Train, "records"),
        customers: count(Stage::Link, "customers"),
        tables: published
            .tables
            .iter()
            .map(|(name, t)| (name.clone(), t.rows))
            .collect(),
        places: vec![("lake".into(), context.store.name().to_owned())],
        stages: stages.iter().map(time).collect(),
        next: vec![(
            "musubi run -f …".into(),
            "takes what is new since this run".into(),
        )],
    };
    let width = u32::try_from(context.run.warehouses.len())?;
    let loaded: Vec<Loaded> = context.all(Stage::Load, width).await?;
    for load in &loaded {
        let Some(sqlite) = context
            .run
            .warehouses
            .get(&load.warehouse)
            .and_then(|w| w.sqlite.as_ref())
        else {
            continue;
        };
        summary
            .places
            .push((load.warehouse.clone(), sqlite.path.clone()));
        let page = format!("runs/{}/report.html", context.run.uid);
        summary
            .places
            .push(("report".into(), format!("{}/{page}", context.store.name())));
        let warehouse = Connection::open_with_flags(&sqlite.path, OpenFlags::SQLITE_OPEN_READ_ONLY)
            .with_context(|| format!("open {}", sqlite.path))?;
        let data = collect(
            &warehouse,
            summary.clone(),
            context.run.as_of.to_string(),
            Vec::new(),
        )?;
        drop(warehouse);
        context
            .store
            .put(&page, html(&data).into_bytes().into())
            .await?;
        break;
    }
    Ok(summary)
}

fn time(stage: &StageSummary) -> StageTime {
    StageTime {
        stage: stage.stage.as_str().to_owned(),
        shards: stage.shards,
        reused: stage.reused,
        millis: stage.millis,
    }
}

/// What is active from each stream.
fn streams(active: &[clean::Active]) -> Vec<StreamSummary> {
    let mut streams: BTreeMap<(&str, &str), StreamSummary> = BTreeMap::new();
    for one in active {
        let entry = streams
            .entry((&one.file.source, &one.file.stream))
            .or_insert_with(|| StreamSummary {
                source: one.file.source.clone(),
                stream: one.file.stream.clone(),
                ..StreamSummary::default()
            });
        let rows = &one.cleaned.rows;
        entry.files += 1;
        entry.rows += rows.total;
        entry.accepted += rows.accepted;
        entry.quarantined += rows.quarantined;
        entry.structural += rows.structural;
        entry.customer_records += one.cleaned.entities.get("customer").map_or(0, |p| p.rows);
        for (code, n) in &one.cleaned.reasons {
            match entry.reasons.iter_mut().find(|(known, _)| known == code) {
                Some((_, sum)) => *sum += n,
                None => entry.reasons.push((code.clone(), *n)),
            }
        }
    }
    streams.into_values().collect()
}
