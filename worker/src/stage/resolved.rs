//! Who is who in the published version, with everything it was decided by: for commands that judge and explain.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use musubi_identity::{Edge, Matcher, Model, Policy, Registry};
use musubi_lake::pointer::Published;

use super::{
    Context, link, pins, train,
    view::{self, View},
};

/// The published version as identity sees it.
pub struct Resolved {
    /// Its number.
    pub version: u64,
    /// The model.
    pub model: Model,
    /// The records, ready to be compared under the model.
    pub matcher: Arc<Matcher>,
    /// The version.
    pub published: Published,
    /// The policy of the run that made it.
    pub policy: Policy,
    /// The customer of each record.
    pub registry: Registry,
    /// Pairs that were kept as worth a look.
    pub edges: Vec<Edge>,
}

impl Resolved {
    /// Reads the published version.
    ///
    /// # Errors
    /// When nothing is published, or what is cannot be read.
    pub async fn published(context: &Context) -> Result<Self> {
        let view = View::published(context).await?;
        let published = view.published.as_ref().context("nothing is published")?;
        let path = |name| view::part(published, name);
        let model = train::read_model(context, path("model")?).await?;
        let features = train::published_features(context, path("features")?).await?;
        let edges = link::published_edges(context, &published.state, &features).await?;
        let registry = link::registry(context, &published.state).await?;
        let policy = match view.context.plan().await {
            Ok(plan) => pins::of_plan(&view.context, &plan),
            // The run's papers were swept away.
            Err(_) => pins::policy(&view.context.run, &pins::standing(&context.store).await?),
        };
        let (model, matcher) = tokio::task::spawn_blocking(move || {
            let matcher = Arc::new(Matcher::new(features, &model));
            (model, matcher)
        })
        .await?;
        Ok(Self {
            version: published.version,
            published: published.clone(),
            model,
            matcher,
            policy,
            registry,
            edges,
        })
    }

    /// Customer of a record by its index among the features, as an index into the registry's customers.
    #[must_use]
    pub fn customer(&self, record: u32) -> Option<u32> {
        let id = self.matcher.features().id(record);
        let at = self.registry.records.binary_search(&id).ok()?;
        self.registry.customer.get(at).copied()
    }
}
