//! load: brings the published tables to a warehouse. activate: delivers an audience.

use anyhow::{Context as _, Result};
use musubi_api::{entity::Entity, run::Stage, source::SecretRef};
use musubi_lake::{delta, manifest, pointer};
use serde::{Deserialize, Serialize};
use tracing::{Instrument as _, info_span};

use super::{Context, Outcome, attach, publish::Done, tables};
use crate::{
    activate::{self, Activation, Receipt, State},
    warehouse::{self, LoadReport, Table, TableFile, Tables},
};

/// What a load came to.
#[derive(Debug, Serialize, Deserialize)]
pub struct Loaded {
    /// Name of the warehouse.
    pub warehouse: String,
    /// What it did.
    pub report: LoadReport,
}

pub(super) async fn run(context: &Context, shard: u32) -> Result<Outcome> {
    if let Some(done) = context.done::<Loaded>(Stage::Load, shard).await? {
        return Ok(outcome(true, &done));
    }
    let published: Done = context.complete(Stage::Publish).await?;
    let (name, spec) = context
        .run
        .warehouses
        .iter()
        .nth(shard as usize)
        .context("there is no such warehouse")?;
    let tables = published_tables(context, published.version)
        .instrument(info_span!("read"))
        .await?;
    let secrets = context.secrets.clone();
    let secret = move |reference: &SecretRef, key: &str| Ok(secrets.get(reference, key)?);
    let report = warehouse::load(spec, &secret, &context.store, &tables)
        .instrument(info_span!("load"))
        .await
        .with_context(|| format!("Warehouse {name}"))?;
    let done = context
        .commit(
            Stage::Load,
            shard,
            Loaded {
                warehouse: name.clone(),
                report,
            },
        )
        .await?;
    Ok(outcome(false, &done))
}

fn outcome(reused: bool, done: &Loaded) -> Outcome {
    let tables = &done.report.tables;
    let rows = tables.values().map(|t| t.rows).sum();
    let inserted = tables.values().map(|t| t.inserted).sum();
    Outcome::new(
        reused,
        [
            ("tables", tables.len() as u64),
            ("rows", rows),
            ("inserted", inserted),
        ],
    )
}

/// Loads a published version into every warehouse of the pipeline, and gives their names.
///
/// # Errors
/// When a warehouse cannot be loaded; those before it are.
pub async fn load_version(context: &Context, version: u64) -> Result<Vec<String>> {
    let tables = published_tables(context, version).await?;
    let secrets = context.secrets.clone();
    let secret = move |reference: &SecretRef, key: &str| Ok(secrets.get(reference, key)?);
    for (name, spec) in &context.run.warehouses {
        warehouse::load(spec, &secret, &context.store, &tables)
            .await
            .with_context(|| format!("Warehouse {name}"))?;
    }
    Ok(context.run.warehouses.keys().cloned().collect())
}

/// A published version as a warehouse sees it.
///
/// # Errors
/// When the version is no longer described in the lake.
pub async fn published_tables(context: &Context, version: u64) -> Result<Tables> {
    let published = pointer::version(&context.store, version).await?;
    let published =
        published.with_context(|| format!("version {version} is not in the lake any more"))?;
    let mut list = Vec::new();
    for table in tables::all() {
        let Some(at) = published.tables.get(table.name) else {
            continue;
        };
        let folder = format!("curated/{}", table.name);
        let snapshot = delta::snapshot(&context.store, &folder, Some(at.delta_version)).await?;
        let files = snapshot.map(|s| s.files).unwrap_or_default().into_values();
        let entity = attach::TABLES.into_iter().find(|e| e.table() == table.name);
        let described = entity.or((table.name == "customers").then_some(Entity::Customer));
        let comments = described
            .into_iter()
            .flat_map(|e| e.fields())
            .map(|f| (f.name.to_owned(), f.doc.to_owned()));
        list.push(Table {
            name: table.name.to_owned(),
            doc: table.doc.to_owned(),
            schema: table.schema,
            key: table.key.iter().map(|k| (*k).to_owned()).collect(),
            personal: table.personal,
            comments: comments.collect(),
            files: files
                .map(|f| TableFile {
                    path: format!("{folder}/{}", f.path),
                    size: f.size,
                    rows: f.rows,
                })
                .collect(),
        });
    }
    let pipeline = format!("{}/{}", context.run.namespace, context.run.pipeline);
    Ok(Tables {
        version,
        run: published.run,
        pipeline,
        tables: list,
    })
}

/// What a delivery came to.
#[derive(Debug, Serialize, Deserialize)]
pub struct Activated {
    /// Counts, without any value of a person.
    pub receipt: Receipt,
}

pub(super) async fn activate(context: &Context, shard: u32) -> Result<Outcome> {
    let done = match context.done::<Activated>(Stage::Activate, shard).await? {
        Some(done) => (true, done),
        None => (false, deliver(context, shard).await?),
    };
    let (reused, Activated { receipt }) = done;
    let counts = [
        ("delivered", receipt.rows),
        ("without consent", receipt.without_consent),
    ];
    Ok(Outcome::new(reused, counts))
}

async fn deliver(context: &Context, shard: u32) -> Result<Activated> {
    let published: Done = context.complete(Stage::Publish).await?;
    let (name, audience) = context
        .run
        .audiences
        .iter()
        .nth(shard as usize)
        .context("there is no such audience")?;
    let warehouse = context.run.warehouses.get(&audience.warehouse);
    let warehouse = warehouse.with_context(|| {
        format!("Audience {name}: spec.warehouse: the pipeline does not load {}; add it to its warehouses", audience.warehouse)
    })?;
    let folder = format!("activate/{name}");
    let mut previous = None;
    for meta in context.store.list(&folder).await? {
        let state: State = manifest::decode(
            &meta.path,
            "what an audience was",
            &context.store.get(&meta.path).await?,
        )?;
        if state.version > published.version {
            // A later version was delivered, with the difference to what came before this one.
            let receipt = Receipt::of_nothing(name, published.version, &audience.consent);
            return context
                .commit(Stage::Activate, shard, Activated { receipt })
                .await;
        }
        if state.version < published.version
            && previous
                .as_ref()
                .is_none_or(|p: &State| p.version < state.version)
        {
            previous = Some(state);
        }
    }
    let activation = Activation {
        name,
        audience,
        warehouse,
        version: published.version,
        previous,
    };
    let secrets = context.secrets.clone();
    let secret = move |reference: &SecretRef, key: &str| Ok(secrets.get(reference, key)?);
    let (receipt, state) = activate::deliver(&activation, &secret)
        .instrument(info_span!("deliver"))
        .await?;
    let path = format!("{folder}/{:010}.json", state.version);
    context
        .store
        .put(&path, manifest::encode(&path, &state)?)
        .await?;
    context
        .commit(Stage::Activate, shard, Activated { receipt })
        .await
}
