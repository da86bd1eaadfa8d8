//! What stands in a lake, for commands that look: the published version, or the last run whether it was
//! published or not. Each is seen with the resources that its run was pinned to.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::{Context as _, Result};
use arrow::array::RecordBatch;
use musubi_api::{
    entity::Entity,
    run::{Run, Stage},
};
use musubi_clean::schema;
use musubi_lake::{Store, manifest, pointer, pointer::Published};
use serde::{Deserialize, Serialize};

use super::{
    Context,
    clean::{self, Cleaned, Present},
    files::Files,
    gather, publish,
};

const LAST: &str = "runs/last.json";

/// The run that was begun last.
#[derive(Debug, Serialize, Deserialize)]
struct Last {
    run: String,
}

fn snapshot_path(run: &str) -> String {
    format!("runs/{run}/run.json")
}

/// Keeps the resources that a run is pinned to, and that it was the last to begin.
pub(super) async fn remember(context: &Context) -> Result<()> {
    let uid = &context.run.uid;
    let path = snapshot_path(uid);
    let body = manifest::encode(&path, &*context.run)?;
    context.store.put(&path, body).await?;
    let last = manifest::encode(LAST, &Last { run: uid.clone() })?;
    Ok(context.store.put(LAST, last).await?)
}

/// A state of a lake.
pub struct View {
    /// The lake, and the run that made the state with the resources it was pinned to.
    pub context: Context,
    /// Its files and their clean rows.
    pub present: Arc<Present>,
    /// The version that is published with this state; `None` when the run was not published.
    pub published: Option<Published>,
}

impl View {
    /// The version that readers see. `context` opens the lake; its resources count where a lake does not tell its own.
    ///
    /// # Errors
    /// When nothing is published, or what was published cannot be read.
    pub async fn published(context: &Context) -> Result<Self> {
        let (published, _) = pointer::published(&context.store).await?.with_context(|| {
            format!(
                "nothing is published in {} yet; `musubi run` publishes",
                context.store.name()
            )
        })?;
        let context = pinned(context, &maker(context, &published).await?).await?;
        let path = |name| part(&published, name);
        let files = Files::read(&context.store, path("files")?).await?;
        let known = index(&context.store, path("cleaned")?).await?;
        let present = Present::of(&context, files, &known).with_context(|| {
            format!(
                "the resources are other than those of version {}; `musubi run` publishes with the new ones",
                published.version
            )
        })?;
        Ok(Self {
            context,
            present: Arc::new(present),
            published: Some(published),
        })
    }

    /// The clean rows at some places (active file, position), in that order.
    ///
    /// # Errors
    /// Those of the storage.
    pub(crate) async fn rows(&self, entity: Entity, places: &[(u32, u32)]) -> Result<RecordBatch> {
        let schema = schema::clean_schema(entity);
        if places.is_empty() {
            return Ok(RecordBatch::new_empty(schema));
        }
        let (active, end) = (&self.present.active, [places.len()]);
        gather::gather(&self.context, active, entity, &schema, places, &end)
            .await?
            .take(0)
    }

    /// The last run that came as far as clean rows, published or not.
    ///
    /// # Errors
    /// When there is none, or what it made cannot be read.
    pub async fn latest(context: &Context) -> Result<Self> {
        let Some(bytes) = context.store.find(LAST).await? else {
            return Self::published(context).await;
        };
        let last: Last = manifest::decode(LAST, "the last run", &bytes)?;
        let pinned = pinned(context, &last.run).await?;
        let Some(plan) = pinned.done::<super::plan::Plan>(Stage::Plan, 0).await? else {
            return Self::published(context).await;
        };
        let published = match pinned.done::<publish::Done>(Stage::Publish, 0).await? {
            Some(done) => pointer::version(&context.store, done.version).await?,
            None => None,
        };
        match clean::present(&pinned, &plan).await {
            Ok(present) => Ok(Self {
                context: pinned,
                present,
                published,
            }),
            // It has not cleaned everything yet, or its manifests were swept.
            Err(error) => Self::published(context).await.map_err(|_| error),
        }
    }
}

/// Where a version keeps a part of its state.
///
/// # Errors
/// When it does not say so.
pub(super) fn part<'a>(published: &'a Published, name: &str) -> Result<&'a String> {
    published.state.get(name).with_context(|| {
        format!(
            "version {} does not say where its {name} are; run `musubi run` once",
            published.version
        )
    })
}

/// The run that made a version; of a version that restores another, the run that made the other.
async fn maker(context: &Context, published: &Published) -> Result<String> {
    let mut made = published.clone();
    while let Some(version) = made.restores {
        match pointer::version(&context.store, version).await? {
            Some(earlier) => made = earlier,
            None => break,
        }
    }
    Ok(made.run)
}

async fn index(store: &Store, path: &str) -> Result<BTreeMap<String, Cleaned>> {
    Ok(manifest::decode(
        path,
        "the index of clean files",
        &store.get(path).await?,
    )?)
}

/// The context of a run that was, with the resources it had.
async fn pinned(context: &Context, uid: &str) -> Result<Context> {
    let path = snapshot_path(uid);
    let run: Run = match context.store.find(&path).await? {
        Some(bytes) => manifest::decode(&path, "the resources of a run", &bytes)?,
        None => Run {
            uid: uid.to_owned(),
            ..(*context.run).clone()
        },
    };
    Ok(context.as_run(run))
}
