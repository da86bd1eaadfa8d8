//! publish: checks conservation and gates, writes the intent, commits every table, then the pointer.
//!
//! Once the intent stands, the run can only roll forward, by whoever comes along: everything that is to be
//! committed is written down before.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use musubi_api::run::Stage;
use musubi_lake::{
    Error, Store,
    delta::{self, DataFile},
    manifest,
    pointer::{self, Published, TableVersion},
};
use serde::{Deserialize, Serialize};

use super::{
    Context, Outcome, RunRefused,
    accounts::{self, Account},
    attach::{self, Attached},
    clean,
    curate::{self, Curated},
    gates,
    link::Linked,
    replay, tables,
    train::Trained,
    versions::{self, Kept},
};

/// Everything that a publish does, written down before it begins.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Publication {
    run: String,
    pipeline: String,
    version: u64,
    as_of: jiff::Timestamp,
    tables: BTreeMap<String, Vec<DataFile>>,
    state: BTreeMap<String, String>,
}

/// What was published.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Done {
    /// Version.
    pub version: u64,
    /// Rows of each table.
    pub rows: BTreeMap<String, u64>,
}

fn accounts_path(run: &str) -> String {
    format!("runs/{run}/accounts.json")
}

/// What became of the rows of every stream, as of the version that a run published.
///
/// # Errors
/// Those of the storage.
pub async fn published_accounts(context: &Context) -> Result<Vec<Account>> {
    let path = accounts_path(&context.run.uid);
    let bytes = context.store.get(&path).await?;
    Ok(manifest::decode(&path, "what became of the rows", &bytes)?)
}

fn publication_path(run: &str) -> String {
    format!("runs/{run}/publication.json")
}

pub(super) async fn run(context: &Context) -> Result<Outcome> {
    if let Some(done) = context.done::<Done>(Stage::Publish, 0).await? {
        return Ok(outcome(true, &done));
    }
    let run = &context.run;
    let path = publication_path(&run.uid);
    let publication = match context.store.find(&path).await? {
        Some(bytes) => manifest::decode(&path, "a publication", &bytes)?,
        None => prepare(context, &path).await?,
    };
    if let Err(error) = pointer::declare(&context.store, &run.uid, publication.version).await {
        if matches!(error, Error::Conflict { .. }) {
            let why = format!(
                "version {} was published by another run while this one was under way; start a new run",
                publication.version
            );
            return Err(RunRefused(why).into());
        }
        return Err(error.into());
    }
    let published = finish(&context.store, &publication).await?;
    let rows = published
        .tables
        .iter()
        .map(|(name, t)| (name.clone(), t.rows))
        .collect();
    let done = context
        .commit(
            Stage::Publish,
            0,
            Done {
                version: published.version,
                rows,
            },
        )
        .await?;
    Ok(outcome(false, &done))
}

fn outcome(reused: bool, done: &Done) -> Outcome {
    Outcome::new(
        reused,
        [
            ("version", done.version),
            ("tables", done.rows.len() as u64),
        ],
    )
}

/// Completes a publish that somebody began and did not end.
pub(super) async fn roll_forward(context: &Context) -> Result<()> {
    let Some((intent, _)) = pointer::intent(&context.store).await? else {
        return Ok(());
    };
    let now = pointer::published(&context.store)
        .await?
        .map_or(0, |(p, _)| p.version);
    let Some(run) = intent.run.filter(|_| intent.version > now) else {
        return Ok(());
    };
    let path = publication_path(&run);
    let publication = manifest::decode(&path, "a publication", &context.store.get(&path).await?)?;
    tracing::info!(
        run,
        version = intent.version,
        "completing a publish that was begun"
    );
    finish(&context.store, &publication).await?;
    Ok(())
}

/// Commits every table, then the pointer. May be done twice, by two processes at once.
async fn finish(store: &Store, publication: &Publication) -> Result<Published> {
    if let Some(done) = pointer::version(store, publication.version).await?
        && done.run == publication.run
        && pointer::published(store)
            .await?
            .is_some_and(|(p, _)| p.version >= publication.version)
    {
        return Ok(done);
    }
    let mut versions = BTreeMap::new();
    for (table, files) in &publication.tables {
        let rows = files.iter().map(|f| f.rows).sum();
        let schema = tables::schema(table).with_context(|| format!("table {table} is unknown"))?;
        let commit = delta::Commit {
            table: &format!("curated/{table}"),
            schema: &schema,
            application: &format!("{}/{table}", publication.pipeline),
            transaction: publication.version,
            files: files.clone(),
            at: publication.as_of,
        };
        let delta_version = delta::commit(store, &commit).await?;
        versions.insert(
            table.clone(),
            TableVersion {
                delta_version,
                rows,
            },
        );
    }
    let from = pointer::published(store).await?;
    let next = Published {
        version: publication.version,
        run: publication.run.clone(),
        as_of: publication.as_of,
        nonce: pointer::nonce(),
        restores: None,
        tables: versions,
        state: publication.state.clone(),
    };
    replay::keep_identity(store, &next).await?;
    if from
        .as_ref()
        .is_some_and(|(p, _)| p.version >= next.version)
    {
        return pointer::version(store, next.version)
            .await?
            .context("the version that was published is gone");
    }
    pointer::advance(store, from.as_ref().map(|(_, tag)| tag), &next).await?;
    Ok(next)
}

/// Checks that everything is accounted for, and writes down what is to be done.
async fn prepare(context: &Context, path: &str) -> Result<Publication> {
    let run = &context.run;
    let plan = context.plan().await?;
    let present = clean::present(context, &plan).await?;
    let trained: Trained = context
        .done(Stage::Train, 0)
        .await?
        .context("stage train is not complete")?;
    let linked: Linked = context
        .done(Stage::Link, 0)
        .await?
        .context("stage link is not complete")?;
    let attached: Vec<Attached> = context.all(Stage::Attach, plan.slot_shards).await?;
    let curated: Vec<Curated> = context.all(Stage::Curate, plan.slot_shards).await?;
    let lost = attached.iter().flat_map(|a| &a.lost).chain(&trained.lost);
    let lost = lost.copied().collect();
    let accounts = accounts::accounts(context, &present, &lost).await?;
    gates::conservation(&present, &accounts, &trained, &attached)?;
    let parts = attached.iter().map(|a| a.versions.clone());
    let parts = parts.chain([trained.versions.clone()]);
    let kept = Kept::read(context, &plan, &present.active).await?;
    let kept = kept.write(context, &present.active, parts).await?;
    let mut tables: BTreeMap<String, Vec<DataFile>> = BTreeMap::new();
    for (table, files) in attached.into_iter().flat_map(|a| a.tables) {
        tables.entry(table).or_default().extend(files);
    }
    for (table, files) in curated
        .into_iter()
        .flat_map(|c| c.tables)
        .chain(linked.tables.clone())
    {
        tables.entry(table).or_default().extend(files);
    }
    let accounts_path = accounts_path(&run.uid);
    let body = manifest::encode(&accounts_path, &accounts)?;
    context.store.put(&accounts_path, body).await?;
    let quality = curate::quality(context, &plan, &accounts).await?;
    tables.insert("quality".into(), vec![quality]);
    gates::check(context, &plan, &present, &linked, &tables).await?;
    let mut state = BTreeMap::new();
    let files_path = format!("runs/{}/files.json", run.uid);
    context
        .store
        .put(&files_path, manifest::encode(&files_path, &present.files)?)
        .await?;
    state.insert("files".to_owned(), files_path);
    let cleaned_path = format!("runs/{}/cleaned.json", run.uid);
    context
        .store
        .put(
            &cleaned_path,
            manifest::encode(&cleaned_path, &present.index())?,
        )
        .await?;
    state.insert("cleaned".to_owned(), cleaned_path);
    state.insert(versions::STATE.to_owned(), kept);
    state.insert("groups".to_owned(), attach::groups(&plan).to_string());
    state.extend(trained.state());
    state.extend(linked.state());
    let publication = Publication {
        run: run.uid.clone(),
        pipeline: format!("{}/{}", run.namespace, run.pipeline),
        version: plan.next_version(),
        as_of: run.as_of,
        tables,
        state,
    };
    match context
        .store
        .create(path, manifest::encode(path, &publication)?)
        .await
    {
        Ok(()) => Ok(publication),
        Err(Error::AlreadyExists { .. }) => Ok(manifest::decode(
            path,
            "a publication",
            &context.store.get(path).await?,
        )?),
        Err(error) => Err(error.into()),
    }
}
