//! link: joins old and new edges into customers, repairs what is suspect, keeps ids stable. Under the rules
//! of the run before, only what the run's changes can have reached is put together anew.

mod graph;
mod tables;

use std::collections::BTreeMap;

use anyhow::Result;
use musubi_api::run::Stage;
use musubi_identity::{Change, Edge, IdEvent, Policy, Registry, link, relink};
use musubi_lake::{delta::DataFile, parquet};
use serde::{Deserialize, Serialize};
use tracing::{Instrument as _, info_span};
use xxhash_rust::xxh3::xxh3_64;

use super::{
    Context, Outcome, pins,
    plan::Plan,
    train::{self, Trained},
};

pub(crate) use graph::registry;
pub(super) use graph::{people, published_edges};

/// Name in the published state of the rules that customers were put together by.
const RULES: &str = "linkedBy";

/// Who is who, in files.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Linked {
    /// Paths of the registry: `record_id`, `customer_id`, `created`, `household_id`. The oldest part comes first, a later
    /// one replaces its records; one without a customer is gone.
    pub registry: Vec<String>,
    /// Paths of the edges that stand, in parts as well.
    pub edges: Vec<String>,
    /// Path of the aliases.
    pub aliases: String,
    /// Path of what happened to ids in this run, when anything did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes: Option<String>,
    /// What the customers were put together by, as a hash.
    pub rules: String,
    /// Tables that are complete already.
    pub tables: BTreeMap<String, Vec<DataFile>>,
    /// Edges by match weight: the lower edge of each bin of two bits.
    pub weights: BTreeMap<i32, u64>,
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
    /// Those that were put together anew.
    #[serde(default)]
    pub looked_at: u64,
}

impl Linked {
    /// What the next run needs to know.
    #[must_use]
    pub fn state(&self) -> BTreeMap<String, String> {
        let entries = [
            (graph::EDGES, self.edges.join("\n")),
            (graph::REGISTRY, self.registry.join("\n")),
            (graph::ALIASES, self.aliases.clone()),
            (RULES, self.rules.clone()),
        ];
        entries
            .into_iter()
            .chain(self.changes.as_ref().map(|path| ("changes", path.clone())))
            .map(|(name, path)| (name.to_owned(), path))
            .collect()
    }
}

pub(super) async fn run(context: &Context) -> Result<Outcome> {
    if let Some(done) = context.done::<Linked>(Stage::Link, 0).await? {
        return Ok(outcome(true, &done));
    }
    let plan = context.plan().await?;
    let trained: Trained = context.complete(Stage::Train).await?;
    let matcher = train::matcher(context, &trained)
        .instrument(info_span!("read"))
        .await?;
    train::let_go(context).await;
    let policy = pins::of_plan(context, &plan);
    let edges = graph::edges(context, &plan, &trained, matcher.features()).await?;
    let previous = graph::registry(context, &plan.state).await?;
    let before = train::before(context, &trained).await?;
    let rules = rules(&policy, &trained);
    let goes_on = plan.state.get(RULES) == Some(&rules);
    let work = tokio::task::spawn_blocking(move || {
        let linked = match before.as_ref().filter(|_| goes_on) {
            None => link(&matcher, &edges.all, &previous, &policy),
            Some(before) => {
                let change = Change {
                    changed: &edges.changed,
                    before,
                    loose: &edges.loose,
                };
                relink(&matcher, &edges.all, &previous, &policy, &change)
            }
        };
        (matcher, edges, previous, before, linked)
    });
    let (matcher, edges, previous, before, linked) = work.instrument(info_span!("link")).await?;
    let features = matcher.features();
    let edge_parts = graph::write_edges(context, &plan, features, &edges, before.as_ref());
    let (edge_parts, weights) = (edge_parts.await?, weights(&edges.all));
    drop(edges);
    let (registry, aliases) =
        graph::write_registry(context, &plan, &linked.registry, &previous).await?;
    drop(previous);
    let merged = |e: &&IdEvent| matches!(e, IdEvent::Merged { .. });
    let done = Linked {
        changes: changes(context, &plan, &linked.events).await?,
        edges: edge_parts,
        registry,
        aliases,
        rules,
        weights,
        tables: tables::complete(context, &plan, features, &linked).await?,
        customers: linked.registry.customers.len() as u64,
        households: linked.household_ids.len() as u64,
        merged: linked.events.iter().filter(merged).count() as u64,
        records: linked.registry.customer.len() as u64,
        shared: shared(&linked.registry),
        looked_at: linked.looked_at,
    };
    let done = context.commit(Stage::Link, 0, done).await?;
    Ok(outcome(false, &done))
}

fn outcome(reused: bool, done: &Linked) -> Outcome {
    let counts = [
        ("customers", done.customers),
        ("households", done.households),
        ("merged", done.merged),
        ("lookedAt", done.looked_at),
    ];
    Outcome::new(reused, counts)
}

/// What customers are put together by, besides the records.
fn rules(policy: &Policy, trained: &Trained) -> String {
    let text = format!("{policy:?}\n{}", trained.version);
    format!("{:016x}", xxh3_64(text.as_bytes()))
}

async fn changes(context: &Context, plan: &Plan, events: &[IdEvent]) -> Result<Option<String>> {
    if events.is_empty() {
        return Ok(None);
    }
    let batch = tables::changes(plan, events)?;
    let attempt = uuid::Uuid::new_v4().simple();
    let path = format!(
        "identity/registry/{}-{attempt}-changes.parquet",
        context.run.uid
    );
    let none = Default::default();
    parquet::write(&context.store, &path, batch.schema(), &none, &[batch]).await?;
    Ok(Some(path))
}

fn weights(edges: &[Edge]) -> BTreeMap<i32, u64> {
    const BIN: f32 = 2.0;
    let mut bins = BTreeMap::new();
    for edge in edges {
        #[expect(clippy::cast_possible_truncation, reason = "the number of a bin")]
        let bin = (edge.weight.clamp(-50.0, 50.0) / BIN).floor() as i32 * 2;
        *bins.entry(bin).or_default() += 1;
    }
    bins
}

/// Records that share their customer with another record.
fn shared(registry: &Registry) -> u64 {
    let mut sizes = vec![0_u64; registry.customers.len()];
    for customer in &registry.customer {
        sizes[*customer as usize] += 1;
    }
    sizes.into_iter().filter(|n| *n > 1).sum()
}
