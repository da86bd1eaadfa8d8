//! The identity graph in the lake: edges, and the registry of who is who. Both are kept in parts, everything
//! of one run and then what later runs changed, so that a run writes what it changed and no more.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use arrow::array::RecordBatch;
use futures::TryStreamExt;
use hashbrown::HashSet;
use musubi_api::run::Stage;
use musubi_identity::{
    CustomerId, Edge, EdgesReader, Features, HouseholdId, IdentityError, RecordSet, Registry,
    RegistryReader, edges_to_batches, voids_to_batch,
};
use musubi_lake::parquet;

use super::Linked;
use crate::stage::{
    Context, batches,
    matching::Matched,
    plan::Plan,
    train::{self, Trained},
};

/// Names in the published state.
pub(super) const EDGES: &str = "edges";
pub(super) const REGISTRY: &str = "registry";
pub(super) const ALIASES: &str = "aliases";

/// What a published version says of itself.
type State = BTreeMap<String, String>;

/// Parts beyond which they are written anew as one.
const PARTS: usize = 8;

/// The parts that a run starts from, the oldest first.
fn parts(state: &State, name: &str) -> Vec<String> {
    let lines = state.get(name).map(|paths| paths.lines());
    lines.into_iter().flatten().map(str::to_owned).collect()
}

/// The edges that stand in a run.
pub(super) struct Edges {
    pub(super) all: Vec<Edge>,
    /// Records that have lost an edge because of the run.
    pub(super) loose: Vec<u32>,
    /// Records that the run changed.
    pub(super) changed: RecordSet,
}

/// The edges of unchanged records from before, and those that this run found.
pub(super) async fn edges(
    context: &Context,
    plan: &Plan,
    trained: &Trained,
    features: &Features,
) -> Result<Edges> {
    let mut reader = EdgesReader::new(features);
    let matched = context.all::<Matched>(Stage::Match, plan.slot_shards);
    for matched in matched.await? {
        each(context, &matched.edges, |batch| reader.push(batch)).await?;
    }
    let changed = train::changed(context, trained).await?;
    if !trained.fresh {
        reader.before(&changed);
        for path in parts(&plan.state, EDGES).iter().rev() {
            each(context, path, |batch| reader.push(batch)).await?;
            reader.older();
        }
    }
    let (all, loose) = reader.finish();
    Ok(Edges {
        all,
        loose,
        changed,
    })
}

/// The edges that stand in a published version.
pub(in crate::stage) async fn published_edges(
    context: &Context,
    state: &State,
    features: &Features,
) -> Result<Vec<Edge>> {
    let mut reader = EdgesReader::new(features);
    for path in parts(state, EDGES).iter().rev() {
        each(context, path, |batch| reader.push(batch)).await?;
        reader.older();
    }
    Ok(reader.finish().0)
}

/// Who is who in a published version, and in the run that starts from it.
pub(crate) async fn registry(context: &Context, state: &State) -> Result<Registry> {
    let mut reader = RegistryReader::default();
    for path in parts(state, REGISTRY) {
        each(context, &path, |batch| reader.push(batch)).await?;
    }
    let mut registry = reader.finish();
    if let Some(path) = state.get(ALIASES) {
        registry.read_aliases(&parquet::read(&context.store, path, None).await?)?;
    }
    Ok(registry)
}

/// Hands over every record with its customer and household.
///
/// # Errors
/// Those of the storage.
pub(in crate::stage) async fn people(
    context: &Context,
    linked: &Linked,
    mut person: impl FnMut(u128, CustomerId, Option<HouseholdId>),
) -> Result<()> {
    // What a later part says of a record counts.
    let mut said: HashSet<u128> = HashSet::new();
    for (age, path) in linked.registry.iter().enumerate().rev() {
        each(context, path, |batch| {
            for row in Registry::rows(batch)? {
                let (record, customer) = row?;
                if !said.is_empty() && said.contains(&record) {
                    continue;
                }
                if age > 0 {
                    said.insert(record);
                }
                if let Some(customer) = customer {
                    person(record, customer.id, customer.household);
                }
            }
            Ok(())
        })
        .await?;
    }
    Ok(())
}

async fn each(
    context: &Context,
    path: &str,
    mut take: impl FnMut(&RecordBatch) -> Result<(), IdentityError>,
) -> Result<()> {
    let mut stream = parquet::stream(&context.store, path, None).await?;
    while let Some(batch) = stream.try_next().await? {
        take(&batch)?;
    }
    Ok(())
}

/// Writes what the run changed of the edges; all of them where that is less. Gives the parts.
pub(super) async fn write_edges(
    context: &Context,
    plan: &Plan,
    features: &Features,
    edges: &Edges,
    before: Option<&Features>,
) -> Result<Vec<String>> {
    let mut paths = parts(&plan.state, EDGES);
    let path = context.attempt(Stage::Link, 0, "edges.parquet");
    let Some(before) = before.filter(|_| (1..PARTS).contains(&paths.len())) else {
        write(context, &path, edges_to_batches(&edges.all, features)).await?;
        return Ok(vec![path]);
    };
    let is_new = |record: u32| edges.changed.contains(features.id(record));
    let found = edges
        .all
        .iter()
        .filter(|e| is_new(e.left) || is_new(e.right));
    let found: Vec<Edge> = found.copied().collect();
    let voids: Vec<u128> = (0..before.len() as u32).map(|r| before.id(r)).collect();
    if !found.is_empty() || !voids.is_empty() {
        let voids = std::iter::once_with(|| voids_to_batch(&voids));
        write(
            context,
            &path,
            edges_to_batches(&found, features).chain(voids),
        )
        .await?;
        paths.push(path);
    }
    Ok(paths)
}

/// Writes what the run changed of who is who; all of it when there are many parts. Gives the parts, and the path of
/// the aliases.
pub(super) async fn write_registry(
    context: &Context,
    plan: &Plan,
    now: &Registry,
    before: &Registry,
) -> Result<(Vec<String>, String)> {
    // Who had which id cannot be found again from raw: it is kept apart from what can.
    let path = |name: &str| {
        let attempt = uuid::Uuid::new_v4().simple();
        format!(
            "identity/registry/{}-{attempt}-{name}.parquet",
            context.run.uid
        )
    };
    let mut paths = parts(&plan.state, REGISTRY);
    let nobody = Registry::default();
    let append = (1..PARTS).contains(&paths.len());
    let from = if append { before } else { &nobody };
    let mut changes = now.part(from).peekable();
    if !append {
        paths.clear();
    }
    if changes.peek().is_some() || !append {
        let empty = now.is_empty().then(Registry::empty_part);
        let registry = path("registry");
        write(context, &registry, changes.chain(empty)).await?;
        paths.push(registry);
    }
    let aliases = match plan.state.get(ALIASES) {
        Some(path) if now.aliases == before.aliases => path.clone(),
        _ => {
            let path = path("aliases");
            write(context, &path, std::iter::once(now.aliases_to_batch())).await?;
            path
        }
    };
    Ok((paths, aliases))
}

async fn write(
    context: &Context,
    path: &str,
    batches: impl Iterator<Item = Result<RecordBatch, IdentityError>>,
) -> Result<()> {
    batches::write(context, path, &BTreeSet::new(), batches).await
}
