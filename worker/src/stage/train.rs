//! train: says which customer records are new, brings the features up to date, and trains a model unless
//! one stands already: a model that changed under way would move ids without cause.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context as _, Result};
use arrow::{
    array::{ArrayRef, AsArray, BooleanArray, Int32Array, Int64Array, RecordBatch, StringArray},
    datatypes::Int64Type,
};
use futures::TryStreamExt;
use musubi_api::{entity::Entity, policy::IdentityPolicySpec, run::Stage};
use musubi_clean::schema;
use musubi_identity::{
    Decision, Features, Identifier, Model, Pin, Policy, RecordSet, Survivor, train,
};
use musubi_lake::parquet;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

use super::{
    Context, Outcome, RunRefused,
    clean::{self, Active},
    plan::Plan,
    records::{self, Version, parse_id},
};

/// What identity starts from in this run.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Trained {
    /// Path of the records that stand: `record_id`, `content`, `file`, `at`, `changed`.
    pub records: String,
    /// Path of the features.
    pub features: String,
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
}

impl Trained {
    /// What the next run needs to know.
    #[must_use]
    pub fn state(&self) -> BTreeMap<String, String> {
        let entries = [
            ("records", &self.records),
            ("features", &self.features),
            ("model", &self.model),
        ];
        entries
            .into_iter()
            .map(|(name, path)| (name.to_owned(), path.clone()))
            .collect()
    }
}

pub(super) async fn run(context: &Context) -> Result<Outcome> {
    if let Some(done) = context.done::<Trained>(Stage::Train, 0).await? {
        return Ok(outcome(true, &done));
    }
    let plan = context.plan().await?;
    let present = clean::present(context, &plan).await?;
    let versions = records::versions(context, &present.active, Entity::Customer, |_| true).await?;
    let (standing, reduced) = records::latest(versions);
    let before = contents(context, &plan).await?;
    let now: HashMap<u128, i64> = standing
        .iter()
        .map(|v| (v.record, v.content.cast_signed()))
        .collect();
    let gone: Vec<String> = before
        .keys()
        .filter(|r| !now.contains_key(r))
        .map(|r| format!("{r:032x}"))
        .collect();
    let changed: Vec<bool> = standing
        .iter()
        .map(|v| before.get(&v.record) != Some(&v.content.cast_signed()))
        .collect();
    let records = write_records(context, &standing, &changed).await?;
    let features = features(context, &plan, &present.active, &standing, &changed, &gone).await?;
    let path = context.attempt(Stage::Train, 0, "features.parquet");
    let batch = features.to_batch()?;
    let personal = batch
        .schema()
        .fields()
        .iter()
        .map(|f| f.name().clone())
        .collect();
    parquet::write(&context.store, &path, batch.schema(), &personal, &[batch]).await?;
    let (model, model_path, fresh) = model(context, &plan, features).await?;
    let done = Trained {
        records,
        features: path,
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
        let ids = batch
            .column_by_name("record_id")
            .and_then(|c| c.as_string_opt::<i32>())
            .context("records are malformed")?;
        let hashes = batch
            .column_by_name("content")
            .and_then(|c| c.as_primitive_opt::<Int64Type>())
            .context("records are malformed")?;
        for row in 0..batch.num_rows() {
            contents.insert(parse_id(ids.value(row))?, hashes.value(row));
        }
    }
    Ok(contents)
}

async fn write_records(
    context: &Context,
    standing: &[Version],
    changed: &[bool],
) -> Result<String> {
    let columns: [(&str, ArrayRef); 5] = [
        (
            "record_id",
            Arc::new(StringArray::from_iter_values(
                standing.iter().map(|v| format!("{:032x}", v.record)),
            )),
        ),
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

/// The features of the version before, with what changed.
async fn features(
    context: &Context,
    plan: &Plan,
    active: &[Active],
    standing: &[Version],
    changed: &[bool],
    gone: &[String],
) -> Result<Features> {
    let places: Vec<(u32, u32)> = standing
        .iter()
        .zip(changed)
        .filter(|(_, c)| **c)
        .map(|(v, _)| (v.file, v.at))
        .collect();
    let schema = schema::clean_schema(Entity::Customer);
    let mut batches = Vec::new();
    for part in places.chunks(64 << 10) {
        batches.push(records::gather(context, active, Entity::Customer, &schema, part).await?);
    }
    match plan.state.get("features") {
        Some(path) => {
            let old = parquet::read(&context.store, path, None).await?;
            Ok(Features::build(&old)?.update(&batches, &RecordSet::new(gone)?)?)
        }
        None => Ok(Features::build(&batches)?),
    }
}

/// The model that stands, or a new one.
async fn model(
    context: &Context,
    plan: &Plan,
    features: Features,
) -> Result<(Model, String, bool)> {
    let wanted = context.run.policy.pinned_model.as_deref();
    if let Some(path) = plan.state.get("model") {
        let model = read_model(context, path).await?;
        if wanted.is_none_or(|w| w == model.version()) {
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
        return Ok((model, path, true));
    }
    let policy = policy(&context.run.policy);
    let model = tokio::task::spawn_blocking(move || train(&features, &policy, 1)).await?;
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

/// Reads features.
pub(super) async fn read_features(context: &Context, path: &str) -> Result<Features> {
    Ok(Features::build(
        &parquet::read(&context.store, path, None).await?,
    )?)
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
        let records = batch
            .column_by_name("record_id")
            .and_then(|c| c.as_string_opt::<i32>())
            .context("records are malformed")?;
        let changed = batch
            .column_by_name("changed")
            .and_then(|c| c.as_boolean_opt())
            .context("records are malformed")?;
        ids.extend(
            (0..batch.num_rows())
                .filter(|r| changed.value(*r))
                .map(|r| records.value(r).to_owned()),
        );
    }
    Ok(RecordSet::new(ids)?)
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
    let pins = spec.pins.iter().map(|p| Pin {
        left: p.left.clone(),
        right: p.right.clone(),
        decision: match p.decision {
            musubi_api::policy::PinDecision::Always => Decision::Always,
            musubi_api::policy::PinDecision::Never => Decision::Never,
        },
    });
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
        pins: pins.collect(),
        source_priority: spec.source_priority.clone(),
        survivorship: spec
            .survivorship
            .iter()
            .map(|s| (s.field.clone(), s.rules.iter().map(survivor).collect()))
            .collect(),
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
