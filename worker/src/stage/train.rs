//! train: says which customer records are new, brings the features up to date, and trains a model unless
//! one stands already: a model that changed under way would move ids without cause.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use arrow::{
    array::{ArrayRef, AsArray, BooleanArray, Int32Array, Int64Array, RecordBatch},
    datatypes::Int64Type,
};
use futures::TryStreamExt;
use hashbrown::{HashMap, HashSet};
use musubi_api::{entity::Entity, policy::IdentityPolicySpec, run::Stage};
use musubi_clean::schema;
use musubi_identity::{
    Decision, Features, FeaturesBuilder, Identifier, IdentityError, Matcher, Model, Pin, Policy,
    RecordSet, Survivor, train_within,
};
use musubi_lake::parquet;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tracing::{Instrument as _, info_span};

use super::{
    Context, Outcome, RunRefused, batches,
    clean::{self, Active},
    gather::{self, Place},
    losses::Losses,
    movers::{self, Overruled},
    pins,
    plan::Plan,
    records::{self, Version, id_column, ids_of},
    versions::{self, Kept, Parts, Share},
};
use crate::memory;

/// What identity starts from in this run.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Trained {
    /// Path of the records that stand: `record_id`, `content`, `file`, `at`, `changed`.
    pub records: String,
    /// Paths of the features: all records of one run, then what later runs changed.
    pub features: Vec<String>,
    /// Path of the features of the records that changed or are gone, as they were; nothing when everything is compared anew.
    #[serde(default)]
    pub before: Option<String>,
    /// Path of the model.
    pub model: String,
    /// Version of the model.
    pub version: String,
    /// Whether the model was trained in this run; then everything is compared anew.
    pub fresh: bool,
    /// Records that are new or other than before.
    pub changed: u64,
    /// Customer records by what became of them: current, duplicate, superseded, deleted.
    pub counts: [u64; 4],
    /// Path of the versions that do not stand, when there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) losses: Option<String>,
    /// Versions of facts that a later one in another slot replaces.
    #[serde(default)]
    pub(super) overruled: Overruled,
    /// What is kept of the versions for the next run.
    #[serde(default)]
    pub(super) versions: Parts,
}

impl Trained {
    /// What the next run needs to know.
    #[must_use]
    pub fn state(&self) -> BTreeMap<String, String> {
        let entries = [
            ("records", self.records.clone()),
            ("features", self.features.join("\n")),
            ("model", self.model.clone()),
        ];
        entries
            .into_iter()
            .map(|(name, path)| (name.to_owned(), path))
            .collect()
    }
}

pub(super) async fn run(context: &Context) -> Result<Outcome> {
    if let Some(done) = context.done::<Trained>(Stage::Train, 0).await? {
        return Ok(outcome(true, &done));
    }
    let plan = context.plan().await?;
    let present = clean::present(context, &plan).await?;
    let share = Share {
        groups: 1,
        shards: 1,
        shard: 0,
    };
    let (active, entity, mut parts) = (&present.active, Entity::Customer, Parts::new());
    let kept = Kept::read(context, &plan, active).await?;
    let versions = versions::versions(context, &kept, active, entity, share, &mut parts)
        .instrument(info_span!("read"))
        .await?;
    let only_added = records::only_added(&context.run, active);
    let mut losses = Losses::default();
    let versions = versions.into_values().flatten().collect();
    let (standing, reduced) = records::reduce(versions, &only_added, |v, fate| {
        losses.add(entity, (v.file, v.at), fate);
    });
    let before = contents(context, &plan).await?;
    let now: HashMap<u128, i64> = standing
        .iter()
        .map(|v| (v.record, v.content.cast_signed()))
        .collect();
    let gone = before.keys().filter(|r| !now.contains_key(*r)).copied();
    let gone: Vec<u128> = gone.collect();
    let changed: Vec<bool> = standing
        .iter()
        .map(|v| before.get(&v.record) != Some(&v.content.cast_signed()))
        .collect();
    let was = |v: &&Version| before.contains_key(&v.record);
    let standing_changed = standing.iter().zip(&changed).filter(|(_, c)| **c);
    let mut touched: HashSet<u128> = standing_changed
        .map(|(v, _)| v)
        .filter(was)
        .map(|v| v.record)
        .collect();
    touched.extend(&gone);
    drop((before, now));
    let records = write_records(context, &standing, &changed).await?;
    let places = standing.iter().zip(&changed).filter(|(_, c)| **c);
    let places: Vec<Place> = places.map(|(v, _)| (v.file, v.at)).collect();
    drop(standing);
    let touched = Touched {
        changed: &places,
        gone: &gone,
        were: &touched,
    };
    let (features, were, parts_of_features) =
        update_features(context, &plan, &present.active, &touched)
            .instrument(info_span!("features"))
            .await?;
    let (model, model_path, fresh) = model(context, &plan, features, &parts_of_features)
        .instrument(info_span!("model"))
        .await?;
    let before = match fresh {
        true => None,
        false => {
            let path = context.attempt(Stage::Train, 0, "were.parquet");
            Some(write_features(context, path, &were).await?)
        }
    };
    let done = Trained {
        before,
        records,
        losses: losses.write(context, Stage::Train, 0).await?,
        overruled: movers::overruled(context, &present.active).await?,
        versions: parts,
        features: parts_of_features,
        model: model_path,
        version: model.version(),
        fresh,
        changed: changed.iter().filter(|c| **c).count() as u64,
        counts: [
            reduced.current,
            reduced.duplicate,
            reduced.superseded,
            reduced.deleted,
        ],
    };
    let done = context.commit(Stage::Train, 0, done).await?;
    Ok(outcome(false, &done))
}

fn outcome(reused: bool, done: &Trained) -> Outcome {
    let [current, duplicate, superseded, _] = done.counts;
    let counts = [
        ("records", current),
        ("changed", done.changed),
        ("duplicate", duplicate),
        ("superseded", superseded),
    ];
    Outcome::new(reused, counts)
}

/// Content of each record in the version that the run starts from.
async fn contents(context: &Context, plan: &Plan) -> Result<HashMap<u128, i64>> {
    let mut contents = HashMap::new();
    let Some(path) = plan.state.get("records") else {
        return Ok(contents);
    };
    let mut stream = parquet::stream(&context.store, path, Some(&["record_id", "content"])).await?;
    while let Some(batch) = stream.try_next().await? {
        let hashes = batch
            .column_by_name("content")
            .and_then(|c| c.as_primitive_opt::<Int64Type>())
            .context("records are malformed")?;
        contents.extend(ids_of(&batch, "record_id")?.zip(hashes.values().iter().copied()));
    }
    Ok(contents)
}

async fn write_records(
    context: &Context,
    standing: &[Version],
    changed: &[bool],
) -> Result<String> {
    let columns: [(&str, ArrayRef); 5] = [
        ("record_id", id_column(standing.iter().map(|v| v.record))?),
        (
            "content",
            Arc::new(Int64Array::from_iter_values(
                standing.iter().map(|v| v.content.cast_signed()),
            )),
        ),
        (
            "file",
            Arc::new(Int32Array::from_iter_values(
                standing.iter().map(|v| v.file.cast_signed()),
            )),
        ),
        (
            "at",
            Arc::new(Int32Array::from_iter_values(
                standing.iter().map(|v| v.at.cast_signed()),
            )),
        ),
        ("changed", Arc::new(BooleanArray::from(changed.to_vec()))),
    ];
    let batch = RecordBatch::try_from_iter(columns)?;
    let path = context.attempt(Stage::Train, 0, "records.parquet");
    parquet::write(
        &context.store,
        &path,
        batch.schema(),
        &Default::default(),
        &[batch],
    )
    .await?;
    Ok(path)
}

/// What identity needs in memory, and the files that it was read from.
pub(super) struct Held {
    parts: Vec<String>,
    what: What,
}

enum What {
    Features(Features),
    Matcher(Arc<Matcher>),
}

/// Files of features beyond which they are written anew as one.
const PARTS: usize = 8;

/// What a run changes of the records.
struct Touched<'a> {
    /// Places of the rows that are new or other than before.
    changed: &'a [Place],
    /// Records that are gone.
    gone: &'a [u128],
    /// Of both, the records that were there before.
    were: &'a HashSet<u128>,
}

/// The features of the version before, with what changed; only that is written, unless records are gone. Beside
/// them those of the records that were there before and are no more what they were.
async fn update_features(
    context: &Context,
    plan: &Plan,
    active: &[Active],
    touched: &Touched<'_>,
) -> Result<(Features, Features, Vec<String>)> {
    let before = plan.state.get("features").map(|p| p.lines());
    let mut parts: Vec<String> = before.into_iter().flatten().map(str::to_owned).collect();
    let append = (1..PARTS).contains(&parts.len()) && touched.gone.is_empty();
    let mut were = FeaturesBuilder::default();
    let mut all = read_parts(context, &parts, |batch| {
        were.push_built(batch, |record| touched.were.contains(&record))
    })
    .await?;
    let mut news = FeaturesBuilder::default();
    touched.gone.iter().for_each(|record| all.remove(*record));
    let columns = Features::columns();
    let schema = parquet::project(&schema::clean_schema(Entity::Customer), &columns);
    let entity = Entity::Customer;
    gather::visit(
        context,
        active,
        entity,
        &schema.into(),
        touched.changed,
        |batch, rows| {
            let batch = gather::only(batch, rows)?;
            all.push(&batch)?;
            if append {
                news.push(&batch)?;
            }
            Ok(())
        },
    )
    .await?;
    let finish = move || (all.finish(), news.finish(), were.finish());
    let (features, news, were) = tokio::task::spawn_blocking(finish).await?;
    if !append {
        parts = vec![write_features(context, kept_path(), &features).await?];
    } else if !touched.changed.is_empty() {
        parts.push(write_features(context, kept_path(), &news).await?);
    }
    Ok((features, were, parts))
}

/// A name for features that later runs read.
fn kept_path() -> String {
    let unique = uuid::Uuid::new_v4().simple();
    format!("identity/features/{unique}.parquet")
}

async fn write_features(context: &Context, path: String, features: &Features) -> Result<String> {
    let columns = Features::columns();
    let personal = columns.into_iter().map(str::to_owned).collect();
    batches::write(context, &path, &personal, features.to_batches(64 << 10)).await?;
    Ok(path)
}

async fn read_parts(
    context: &Context,
    parts: &[String],
    mut see: impl FnMut(&RecordBatch) -> Result<(), IdentityError>,
) -> Result<FeaturesBuilder> {
    let mut builder = FeaturesBuilder::default();
    for path in parts {
        let mut stream = parquet::stream(&context.store, path, None).await?;
        while let Some(batch) = stream.try_next().await? {
            builder.push_built(&batch, |_| true)?;
            see(&batch)?;
        }
    }
    Ok(builder)
}

/// The features of the records that changed or are gone, as they were; nothing when everything is compared anew.
pub(super) async fn before(context: &Context, trained: &Trained) -> Result<Option<Features>> {
    match &trained.before {
        None => Ok(None),
        Some(path) => {
            let builder = read_parts(context, std::slice::from_ref(path), |_| Ok(())).await?;
            Ok(Some(builder.finish()))
        }
    }
}

/// The model that stands, or a new one.
async fn model(
    context: &Context,
    plan: &Plan,
    features: Features,
    parts: &[String],
) -> Result<(Model, String, bool)> {
    let hold = async |features| {
        *context.identity.lock().await = Some(Held {
            parts: parts.to_vec(),
            what: What::Features(features),
        });
    };
    let wanted = context.run.policy.pinned_model.as_deref();
    if let Some(path) = plan.state.get("model") {
        let model = read_model(context, path).await?;
        if wanted.is_none_or(|w| w == model.version()) {
            hold(features).await;
            return Ok((model, path.clone(), false));
        }
    }
    if let Some(wanted) = wanted {
        let path = format!("identity/models/{wanted}.json");
        let found = context.store.find(&path).await?.with_context(|| format!(
            "IdentityPolicy: pinnedModel {wanted} is not in this lake; leave it out to have one trained"
        ));
        let model = Model::from_json(std::str::from_utf8(
            &found.map_err(|e| RunRefused(format!("{e:#}")))?,
        )?)?;
        hold(features).await;
        return Ok((model, path, true));
    }
    let policy = pins::of_plan(context, plan);
    let (features, model) = tokio::task::spawn_blocking(move || {
        let mut features = features;
        // It is matched with this model, or not at all: no copy is made of it.
        let model = train_within(memory::room(), &mut features, &policy, 1);
        (features, model)
    })
    .await?;
    hold(features).await;
    let path = format!("identity/models/{}.json", model.version());
    context
        .store
        .put(&path, model.to_json()?.into_bytes().into())
        .await?;
    Ok((model, path, true))
}

/// Reads a model.
pub(super) async fn read_model(context: &Context, path: &str) -> Result<Model> {
    let bytes = context.store.get(path).await?;
    Ok(Model::from_json(std::str::from_utf8(&bytes)?)?)
}

/// The records of the run as its model reads them; made once in a process.
pub(super) async fn matcher(context: &Context, trained: &Trained) -> Result<Arc<Matcher>> {
    let mut held = context.identity.lock().await;
    let features = match held.take().filter(|h| h.parts == trained.features) {
        Some(Held { parts, what }) => match what {
            What::Matcher(matcher) => {
                let what = What::Matcher(matcher.clone());
                *held = Some(Held { parts, what });
                return Ok(matcher);
            }
            What::Features(features) => features,
        },
        None => {
            let builder = read_parts(context, &trained.features, |_| Ok(())).await?;
            tokio::task::spawn_blocking(move || builder.finish()).await?
        }
    };
    let model = read_model(context, &trained.model).await?;
    let make = move || Matcher::new(features, &model).within(memory::room());
    let matcher = tokio::task::spawn_blocking(make).await?;
    let matcher = Arc::new(matcher);
    *held = Some(Held {
        parts: trained.features.clone(),
        what: What::Matcher(matcher.clone()),
    });
    Ok(matcher)
}

/// The features of records that a published version names.
pub(super) async fn published_features(context: &Context, named: &str) -> Result<Features> {
    let parts: Vec<String> = named.lines().map(str::to_owned).collect();
    let builder = read_parts(context, &parts, |_| Ok(())).await?;
    Ok(tokio::task::spawn_blocking(move || builder.finish()).await?)
}

/// No later stage needs what identity holds: its memory is free again.
pub(super) async fn let_go(context: &Context) {
    context.identity.lock().await.take();
}

/// The records that are new or other than before.
pub(super) async fn changed(context: &Context, trained: &Trained) -> Result<RecordSet> {
    let mut ids = Vec::new();
    for batch in parquet::read(
        &context.store,
        &trained.records,
        Some(&["record_id", "changed"]),
    )
    .await?
    {
        let changed = batch
            .column_by_name("changed")
            .and_then(|c| c.as_boolean_opt())
            .context("records are malformed")?;
        let records = ids_of(&batch, "record_id")?.zip(changed.values());
        ids.extend(records.filter(|(_, changed)| *changed).map(|(id, _)| id));
    }
    Ok(ids.into_iter().collect())
}

/// The resource in the terms of the identity crate.
pub(super) fn policy(spec: &IdentityPolicySpec) -> Policy {
    let defaults = Policy::default();
    let identifiers = spec.identifiers.iter().map(|i| Identifier {
        field: i.field.clone(),
        max_per_customer: i.max_per_customer,
        max_people: i.max_people,
        blocked: i.blocked.iter().cloned().collect(),
    });
    let identifiers: Vec<Identifier> = identifiers.collect();
    Policy {
        identifiers: if identifiers.is_empty() {
            defaults.identifiers
        } else {
            identifiers
        },
        match_probability: spec.match_probability,
        review_probability: spec.review_probability,
        compare: spec.compare.clone(),
        max_block_size: spec.max_block_size,
        max_cluster_size: spec.guards.max_cluster_size,
        birth_date_conflict: spec.guards.birth_date_conflict,
        cut_bridges: spec.guards.cut_bridges,
        pins: spec.pins.iter().map(pin).collect(),
        across_sources: false,
        source_priority: spec.source_priority.clone(),
        survivorship: spec
            .survivorship
            .iter()
            .map(|s| (s.field.clone(), s.rules.iter().map(survivor).collect()))
            .collect(),
    }
}

/// A decision in the terms of the identity crate.
pub(super) fn pin(pin: &musubi_api::policy::Pin) -> Pin {
    Pin {
        left: pin.left.clone(),
        right: pin.right.clone(),
        decision: match pin.decision {
            musubi_api::policy::PinDecision::Always => Decision::Always,
            musubi_api::policy::PinDecision::Never => Decision::Never,
        },
    }
}

fn survivor(rule: &musubi_api::policy::Survivor) -> Survivor {
    use musubi_api::policy::Survivor as Spec;
    match rule {
        Spec::SourcePriority => Survivor::SourcePriority,
        Spec::MostRecent => Survivor::MostRecent,
        Spec::MostFrequent => Survivor::MostFrequent,
        Spec::MostComplete => Survivor::MostComplete,
        Spec::VerifiedFirst => Survivor::VerifiedFirst,
    }
}
