//! publish: checks conservation and gates, writes down what is to be published, and publishes it.

use std::collections::BTreeMap;

use anyhow::Result;
use musubi_api::run::Stage;
use musubi_lake::{delta::DataFile, manifest};
use serde::{Deserialize, Serialize};
use tracing::{Instrument as _, info_span};

use super::{
    Context, Outcome,
    accounts::{self, Account},
    attach::{self, Attached},
    bookmarks, clean,
    curate::{self, Curated},
    gates,
    link::Linked,
    losses::Losses,
    publication::{self, Publication},
    train::Trained,
    versions::{self, Kept},
};

/// What was published.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Done {
    /// Version.
    pub version: u64,
    /// Rows of each table.
    pub rows: BTreeMap<String, u64>,
    /// Of which instant the newest data of each source is.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub newest: BTreeMap<String, jiff::Timestamp>,
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

pub(super) async fn run(context: &Context) -> Result<Outcome> {
    if let Some(done) = context.done::<Done>(Stage::Publish, 0).await? {
        return Ok(outcome(true, &done));
    }
    let publication = match publication::find(&context.store, &context.run.uid).await? {
        Some(publication) => publication,
        None => prepare(context).instrument(info_span!("prepare")).await?,
    };
    let published = publication::publish(&context.store, &publication)
        .instrument(info_span!("publish"))
        .await?;
    let plan = context.plan().await?;
    let present = clean::present(context, &plan).await?;
    let newest = bookmarks::newest(&context.run, &present.files);
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
                newest,
            },
        )
        .await?;
    Ok(outcome(false, &done))
}

fn outcome(reused: bool, done: &Done) -> Outcome {
    let counts = [
        ("version", done.version),
        ("tables", done.rows.len() as u64),
    ];
    Outcome {
        bookmarks: bookmarks::report(&done.newest),
        ..Outcome::new(reused, counts)
    }
}

/// Checks that everything is accounted for, and writes down what is to be done.
async fn prepare(context: &Context) -> Result<Publication> {
    let run = &context.run;
    let plan = context.plan().await?;
    let present = clean::present(context, &plan).await?;
    let trained: Trained = context.complete(Stage::Train).await?;
    let linked: Linked = context.complete(Stage::Link).await?;
    let attached: Vec<Attached> = context.all(Stage::Attach, plan.slot_shards).await?;
    let curated: Vec<Curated> = context.all(Stage::Curate, plan.slot_shards).await?;
    let mut losses = Losses::default();
    let mut found: Vec<&String> = trained.losses.iter().collect();
    found.extend(attached.iter().filter_map(|a| a.losses.as_ref()));
    for path in found {
        losses.read(context, path).await?;
    }
    losses.sort();
    let (accounts, losses) = accounts::accounts(context, &plan, &present, &losses).await?;
    gates::conservation(&present, &accounts, &trained, &attached)?;
    let parts = attached.iter().map(|a| a.versions.clone());
    let parts = parts.chain([trained.versions.clone()]);
    let kept = Kept::read(context, &plan, &present.active).await?;
    let facts = attached.iter().flat_map(|a| a.facts.clone()).collect();
    let kept = kept.write(context, &present.active, parts, facts).await?;
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
    state.insert(accounts::STATE.to_owned(), losses);
    state.insert("groups".to_owned(), attach::groups(&plan).to_string());
    state.extend(trained.state());
    state.extend(linked.state());
    let publication = Publication {
        run: run.uid.clone(),
        pipeline: format!("{}/{}", run.namespace, run.pipeline),
        version: plan.next_version(),
        as_of: run.as_of,
        restores: None,
        tables,
        state,
    };
    publication::write(&context.store, publication).await
}
