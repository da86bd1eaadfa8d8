//! What today's identity policy, or a model trained anew, would do to the customers that are published.
//! Everything is worked out in memory; nothing is written.

use anyhow::{Context as _, Result};
use musubi_identity::{Matcher, Preview, link as link_records, train as train_model};
use serde::Serialize;

use super::{
    Context, link, pins, train,
    view::{self, View},
};

/// A preview, and what it was made from.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Found {
    /// Version that is published.
    pub version: u64,
    /// Version of the model that the published customers were found with.
    pub model_before: String,
    /// Version of the model that was used here.
    pub model: String,
    /// The difference.
    #[serde(flatten)]
    pub preview: Preview,
}

/// Works out the difference between the published customers and those that the policy of `context` would
/// find among the same records. With `retrain` under a model trained on them now; else under the policy's
/// pinned model, or the one that stands.
///
/// # Errors
/// When nothing is published, the pinned model is not in the lake, and those of the storage.
pub async fn preview(context: &Context, retrain: bool) -> Result<Found> {
    let view = View::published(context).await?;
    let published = view.published.as_ref().context("nothing is published")?;
    let path = |name| view::part(published, name);
    let standing = train::read_model(context, path("model")?).await?;
    let pinned = context.run.policy.pinned_model.as_deref();
    let other = pinned.filter(|v| !retrain && *v != standing.version());
    let model = match other {
        Some(version) => {
            let path = format!("identity/models/{version}.json");
            train::read_model(context, &path).await.with_context(|| {
                format!("IdentityPolicy: pinnedModel {version} is not in this lake; leave it out to compare under the model that stands, {}", standing.version())
            })?
        }
        None => standing.clone(),
    };
    let features = train::published_features(context, path("features")?).await?;
    let registry = link::registry(context, &published.state).await?;
    let in_lake = pins::standing(&context.store).await?;
    let policy = pins::policy(&context.run, &in_lake);
    let (model, preview) = tokio::task::spawn_blocking(move || {
        let model = if retrain {
            train_model(&features, &policy, 1)
        } else {
            model
        };
        let matcher = Matcher::new(features, &model);
        let edges = matcher.shard(&policy, 0, 1, None)?.edges;
        let linked = link_records(&matcher, &edges, &registry, &policy);
        let preview = Preview::of(&registry, &linked);
        anyhow::Ok((model.version().to_owned(), preview))
    })
    .await??;
    Ok(Found {
        version: published.version,
        model_before: standing.version().to_owned(),
        model,
        preview,
    })
}
