//! link: joins old and new edges into customers, repairs what is suspect, keeps ids stable.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::{Context as _, Result};
use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use musubi_api::run::Stage;
use musubi_identity::{Edges, Features, IdEvent, Linked as Outcomes, Registry, link, rule_name};
use musubi_lake::{delta::DataFile, parquet};
use serde::{Deserialize, Serialize};

use super::{
    Context, Outcome, attach,
    curate::only_file,
    matching::Matched,
    plan::Plan,
    records::id_column,
    replay, tables,
    train::{self, Trained},
};

/// Who is who, in files.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Linked {
    /// Path of the links: `record_id`, `customer_id`, `household_id`.
    pub links: String,
    /// Path of all edges that stand.
    pub edges: String,
    /// Path of the registry of ids.
    pub registry: String,
    /// Path of its aliases.
    pub aliases: String,
    /// Path of what happened to ids in this run, when anything did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes: Option<String>,
    /// Tables that are complete already.
    pub tables: BTreeMap<String, Vec<DataFile>>,
    /// Customers.
    pub customers: u64,
    /// Households.
    pub households: u64,
    /// Ids that were merged into others.
    pub merged: u64,
    /// Customer records.
    #[serde(default)]
    pub records: u64,
    /// Those that share their customer with another record.
    #[serde(default)]
    pub shared: u64,
}

impl Linked {
    /// What the next run needs to know.
    #[must_use]
    pub fn state(&self) -> BTreeMap<String, String> {
        let entries = [
            ("edges", &self.edges),
            ("registry", &self.registry),
            ("aliases", &self.aliases),
        ];
        entries
            .into_iter()
            .chain(self.changes.as_ref().map(|path| ("changes", path)))
            .map(|(name, path)| (name.to_owned(), path.clone()))
            .collect()
    }
}

pub(super) async fn run(context: &Context) -> Result<Outcome> {
    if let Some(done) = context.done::<Linked>(Stage::Link, 0).await? {
        return Ok(outcome(true, &done));
    }
    let plan = context.plan().await?;
    let trained: Trained = context
        .done(Stage::Train, 0)
        .await?
        .context("stage train is not complete")?;
    let features = train::read_features(context, &trained).await?;
    let model = train::read_model(context, &trained.model).await?;
    let policy = train::policy(&context.run.policy);
    let edges = edges(context, &plan, &trained, &features).await?;
    let previous = registry(context, &plan).await?;
    let (features, edges, linked) = tokio::task::spawn_blocking(move || {
        let linked = link(&features, &edges, previous.as_ref(), &policy, &model);
        (features, edges, linked)
    })
    .await?;
    train::let_go(context).await;
    let done = write(context, &plan, &features, edges, &linked).await?;
    let done = context.commit(Stage::Link, 0, done).await?;
    Ok(outcome(false, &done))
}

fn outcome(reused: bool, done: &Linked) -> Outcome {
    let counts = [
        ("customers", done.customers),
        ("households", done.households),
        ("merged", done.merged),
    ];
    Outcome::new(reused, counts)
}

/// The edges of unchanged records from before, and those that this run found.
async fn edges(
    context: &Context,
    plan: &Plan,
    trained: &Trained,
    features: &Features,
) -> Result<Vec<Edges>> {
    let mut edges = Vec::new();
    if let (false, Some(path)) = (trained.fresh, plan.state.get("edges")) {
        let old = Edges::from_batches(&parquet::read(&context.store, path, None).await?, features)?;
        edges.push(old.without(features, &train::changed(context, trained).await?));
    }
    for matched in context
        .all::<Matched>(Stage::Match, plan.slot_shards)
        .await?
    {
        edges.push(Edges::from_batches(
            &parquet::read(&context.store, &matched.edges, None).await?,
            features,
        )?);
    }
    Ok(edges)
}

async fn registry(context: &Context, plan: &Plan) -> Result<Option<Registry>> {
    let (Some(records), Some(aliases)) = (plan.state.get("registry"), plan.state.get("aliases"))
    else {
        return Ok(None);
    };
    let records = parquet::read(&context.store, records, None).await?;
    let aliases = parquet::read(&context.store, aliases, None).await?;
    Ok(Some(Registry::from_batches(&records, &aliases)?))
}

fn texts(values: impl Iterator<Item = Option<String>>) -> ArrayRef {
    Arc::new(values.collect::<StringArray>())
}

async fn write(
    context: &Context,
    plan: &Plan,
    features: &Features,
    edges: Vec<Edges>,
    linked: &Outcomes,
) -> Result<Linked> {
    // Who had which id cannot be found again from raw: it is kept apart from what can.
    let registry_path = |name: &str| {
        let attempt = uuid::Uuid::new_v4().simple();
        format!("identity/registry/{}-{attempt}-{name}", context.run.uid)
    };
    let file = async |name: &str, batch: RecordBatch| {
        let path = match name {
            "links.parquet" | "edges.parquet" => context.attempt(Stage::Link, 0, name),
            _ => registry_path(name),
        };
        parquet::write(
            &context.store,
            &path,
            batch.schema(),
            &Default::default(),
            &[batch],
        )
        .await?;
        anyhow::Ok(path)
    };
    let customers = || linked.customer.iter().map(|c| *c as usize);
    let links = RecordBatch::try_from_iter_with_nullable([
        (
            "record_id",
            id_column((0..).zip(customers()).map(|(r, _)| features.id(r)))?,
            true,
        ),
        (
            "customer_id",
            texts(customers().map(|c| Some(linked.customer_ids[c].clone()))),
            true,
        ),
        (
            "household_id",
            texts(customers().map(|c| Some(household(linked, c)))),
            true,
        ),
    ])?;
    let mut together = Edges::default();
    edges
        .into_iter()
        .for_each(|e| together.edges.extend(e.edges));
    let [records, aliases] = linked.registry.to_batches()?;
    let changes = match linked.events.is_empty() {
        true => None,
        false => Some(file("changes.parquet", changes(plan, &linked.events)?).await?),
    };
    Ok(Linked {
        changes,
        links: file("links.parquet", links).await?,
        edges: file("edges.parquet", together.to_batch(features)?).await?,
        registry: file("registry.parquet", records).await?,
        aliases: file("aliases.parquet", aliases).await?,
        tables: complete_tables(context, plan, features, linked).await?,
        customers: linked.customer_ids.len() as u64,
        households: linked.household_ids.len() as u64,
        merged: linked
            .events
            .iter()
            .filter(|e| matches!(e, IdEvent::Merged { .. }))
            .count() as u64,
        records: linked.customer.len() as u64,
        shared: shared(linked),
    })
}

/// Records that share their customer with another record.
fn shared(linked: &Outcomes) -> u64 {
    let mut sizes = vec![0_u64; linked.customer_ids.len()];
    for customer in &linked.customer {
        sizes[*customer as usize] += 1;
    }
    sizes.into_iter().filter(|n| *n > 1).sum()
}

fn household(linked: &Outcomes, customer: usize) -> String {
    linked.household_ids[linked.household[customer] as usize].clone()
}

/// The tables that linking makes: households, id changes, review.
async fn complete_tables(
    context: &Context,
    plan: &Plan,
    features: &Features,
    linked: &Outcomes,
) -> Result<BTreeMap<String, Vec<DataFile>>> {
    let mut files = BTreeMap::new();
    let mut sizes = vec![0_i64; linked.household_ids.len()];
    linked
        .household
        .iter()
        .for_each(|h| sizes[*h as usize] += 1);
    let households: Vec<ArrayRef> = vec![
        texts(linked.household_ids.iter().cloned().map(Some)),
        Arc::new(Int64Array::from(sizes)),
    ];
    files.insert(
        "households".to_owned(),
        vec![table(context, plan, "households", households).await?],
    );
    let review: Vec<ArrayRef> = vec![
        texts(
            linked
                .review
                .iter()
                .map(|e| Some(features.record_id(e.left))),
        ),
        texts(
            linked
                .review
                .iter()
                .map(|e| Some(features.record_id(e.right))),
        ),
        Arc::new(Float64Array::from_iter_values(
            linked.review.iter().map(|e| f64::from(e.probability)),
        )),
        texts(
            linked
                .review
                .iter()
                .map(|e| Some(rule_name(e.rule).to_owned())),
        ),
    ];
    files.insert(
        "review".to_owned(),
        vec![table(context, plan, "review", review).await?],
    );
    let mut history: Vec<DataFile> = attach::published_files(context, plan, "id_changes")
        .await?
        .values()
        .cloned()
        .collect();
    if let Some(path) = plan.state.get(replay::HISTORY) {
        let rows = parquet::read(&context.store, path, None).await?;
        for batch in rows {
            history.push(table(context, plan, "id_changes", batch.columns().to_vec()).await?);
        }
    }
    if !linked.events.is_empty() {
        let rows = changes(plan, &linked.events)?;
        history.push(table(context, plan, "id_changes", rows.columns().to_vec()).await?);
    }
    files.insert("id_changes".to_owned(), history);
    Ok(files)
}

/// Rows of `id_changes`.
fn changes(plan: &Plan, events: &[IdEvent]) -> Result<RecordBatch> {
    let changes: Vec<_> = events.iter().map(change).collect();
    let version = i64::try_from(plan.next_version())?;
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(vec![version; changes.len()])),
        texts(changes.iter().map(|c| Some(c.0.to_owned()))),
        texts(changes.iter().map(|c| c.1.clone())),
        texts(changes.iter().map(|c| c.2.clone())),
    ];
    let schema = tables::schema("id_changes").context("table id_changes is unknown")?;
    Ok(RecordBatch::try_new(schema, columns)?)
}

async fn table(
    context: &Context,
    plan: &Plan,
    name: &str,
    columns: Vec<ArrayRef>,
) -> Result<DataFile> {
    let schema = tables::schema(name).with_context(|| format!("table {name} is unknown"))?;
    only_file(context, plan, name, RecordBatch::try_new(schema, columns)?).await
}

fn change(event: &IdEvent) -> (&'static str, Option<String>, Option<String>) {
    match event {
        IdEvent::Created { id } => ("created", None, Some(id.clone())),
        IdEvent::Merged { old, new } => ("merged", Some(old.clone()), Some(new.clone())),
        IdEvent::Split { old, new } => ("split", Some(old.clone()), Some(new.clone())),
        IdEvent::Unmerged { id, from } => ("unmerged", Some(from.clone()), Some(id.clone())),
        IdEvent::Removed { id } => ("removed", Some(id.clone()), None),
    }
}
