//! Gathers what a run came to, and writes its page.

use std::path::Path;

use anyhow::{Context as _, Result};
use musubi_api::{
    run::Stage,
    source::SecretRef,
    warehouse::{SqliteWarehouse, WarehouseSpec},
};
use musubi_lake::pointer;
use rusqlite::{Connection, OpenFlags};

use super::{RunSummary, StageTime, collect, html, totals};
use crate::{
    stage::{
        Context, clean,
        link::Linked,
        load::{self, Activated},
        publish,
        runner::StageSummary,
    },
    warehouse,
};

/// The summary of a run that is complete. Its page goes to the run's folder in the lake, and is drawn from
/// the pipeline's SQLite warehouse if one holds every table, else from a scratch file.
///
/// # Errors
/// Those of the storage.
pub async fn write(context: &Context, stages: &[StageSummary]) -> Result<RunSummary> {
    let plan = context.plan().await?;
    let published = pointer::version(&context.store, plan.next_version()).await?;
    let published = published.context("the version that was published is gone")?;
    let count = |stage: Stage, name: &str| {
        let found = stages.iter().find(|s| s.stage == stage);
        found
            .and_then(|s| s.counts.get(name))
            .map_or(0, |n| n.unsigned_abs())
    };
    let page = format!("runs/{}/report.html", context.run.uid);
    let mut summary = RunSummary {
        pipeline: context.run.pipeline.clone(),
        run: context.run.uid.clone(),
        version: Some(published.version),
        streams: publish::published_accounts(context).await?,
        records: count(Stage::Train, "records"),
        customers: count(Stage::Link, "customers"),
        tables: published
            .tables
            .iter()
            .map(|(name, t)| (name.clone(), t.rows))
            .collect(),
        places: Vec::new(),
        stages: stages.iter().map(time).collect(),
        next: Vec::new(),
    };
    let name = context.store.name();
    summary.places = places(context).await?;
    summary.places.push(("lake".into(), short(name)));
    summary
        .places
        .push(("report".into(), short(&format!("{name}/{page}"))));
    draw(context, &plan, &page, &summary, published.version).await?;
    Ok(summary)
}

async fn draw(
    context: &Context,
    plan: &crate::stage::plan::Plan,
    page: &str,
    summary: &RunSummary,
    version: u64,
) -> Result<()> {
    let present = clean::present(context, plan).await?;
    let totals = totals::source_totals(context, &present.active).await?;
    drop(present);
    let weights = weights(context).await?;
    let scratch = tempfile::tempdir().context("make a scratch folder")?;
    let path = tables(context, scratch.path(), version).await?;
    let as_of = context
        .run
        .as_of
        .strftime("%-d %B %Y, %H:%M UTC")
        .to_string();
    let data = {
        let tables = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY)
            .with_context(|| format!("open {path}"))?;
        collect(&tables, summary.clone(), as_of, weights, totals)?
    };
    let body = html(&data).into_bytes();
    context.store.put(page, body.into()).await?;
    Ok(())
}

/// A SQLite file with every table: the pipeline's own, or one made for the page.
async fn tables(context: &Context, scratch: &Path, version: u64) -> Result<String> {
    let whole = |w: &&WarehouseSpec| w.tables.is_empty();
    let own = context.run.warehouses.values().filter(whole);
    if let Some(sqlite) = own.filter_map(|w| w.sqlite.as_ref()).next() {
        return Ok(sqlite.path.clone());
    }
    let path = scratch.join("tables.sqlite").display().to_string();
    let spec = WarehouseSpec {
        sqlite: Some(SqliteWarehouse { path: path.clone() }),
        postgres: None,
        tables: Vec::new(),
        mode: Default::default(),
    };
    let secret = |_: &SecretRef, _: &str| anyhow::bail!("a scratch file needs no secret");
    let tables = load::published_tables(context, version).await?;
    warehouse::load(&spec, &secret, &context.store, &tables).await?;
    Ok(path)
}

/// Warehouses and deliveries, with where they are.
async fn places(context: &Context) -> Result<Vec<(String, String)>> {
    let mut places = Vec::new();
    for (name, spec) in &context.run.warehouses {
        let place = match (&spec.sqlite, &spec.postgres) {
            (Some(sqlite), _) => short(&sqlite.path),
            (_, Some(server)) => format!(
                "PostgreSQL {}:{}, database {}, schema {}",
                server.host, server.port, server.database, server.schema
            ),
            _ => continue,
        };
        places.push((name.clone(), place));
    }
    let width = u32::try_from(context.run.audiences.len())?;
    let delivered: Vec<Activated> = context.all(Stage::Activate, width).await?;
    for Activated { receipt } in delivered {
        places.push((receipt.audience.clone(), short(&receipt.file)));
    }
    Ok(places)
}

/// A path as a person types it from where they are.
fn short(path: &str) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    let below = Path::new(path).strip_prefix(&here);
    below.map_or_else(|_| path.to_owned(), |p| p.display().to_string())
}

/// Pairs that were kept, by match weight in bits (lower edge of a bin).
async fn weights(context: &Context) -> Result<Vec<(f64, u64)>> {
    const BIN: usize = 2;
    let linked: Vec<Linked> = context.all(Stage::Link, 1).await?;
    let bins = linked
        .into_iter()
        .next()
        .map(|l| l.weights)
        .unwrap_or_default();
    let (Some(first), Some(last)) = (bins.keys().next(), bins.keys().last()) else {
        return Ok(Vec::new());
    };
    let all = (*first..=*last).step_by(BIN);
    let all = all.map(|bin| (f64::from(bin), bins.get(&bin).copied().unwrap_or(0)));
    Ok(all.collect())
}

fn time(stage: &StageSummary) -> StageTime {
    StageTime {
        stage: stage.stage.as_str().to_owned(),
        shards: stage.shards,
        reused: stage.reused,
        millis: stage.millis,
    }
}
