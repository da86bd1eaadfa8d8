//! Pairs that a person should decide, and what was decided: decisions stand in the lake and hold from the next run on.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context as _, Result, bail, ensure};
use arrow::{
    array::{Array as _, AsArray as _},
    datatypes::Decimal128Type,
};
use futures::TryStreamExt as _;
use musubi_clean::schema::SCALE;
use musubi_identity::{COMPARISON, CustomerId, Features, Question};
use musubi_lake::{
    delta, parquet,
    pointer::{self, Published},
};
use serde::Serialize;

pub use crate::stage::pins::{Decision, Verdict};
use crate::{
    sheet::Sheet,
    stage::{Context, link, pins, resolved::Resolved},
};

/// What waits for a decision.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Queue {
    /// Published version.
    pub version: u64,
    /// Pairs that wait, those that are shown among them.
    pub open: u64,
    /// Pairs that are decided.
    pub decided: u64,
    /// The costliest pairs.
    pub pairs: Vec<Question>,
}

/// The pairs of the published version that wait, the costliest first, and the records that they are about.
///
/// # Errors
/// When nothing is published, or what is cannot be read.
pub async fn queue(context: &Context) -> Result<(Queue, Resolved)> {
    let resolved = Resolved::published(context).await?;
    let worth = worth(context, &resolved.published).await?;
    let standing = pins::standing(&context.store).await?;
    let work = tokio::task::spawn_blocking(move || {
        let Resolved {
            matcher,
            registry,
            edges,
            policy,
            ..
        } = &resolved;
        // What was decided since the version counts as decided.
        let policy = pins::with(policy, &standing);
        let pairs = musubi_identity::review(matcher, registry, edges, &policy, &worth);
        let queue = Queue {
            version: resolved.version,
            open: pairs.len() as u64,
            decided: policy.pins.len() as u64,
            pairs,
        };
        (queue, resolved)
    });
    Ok(work.await?)
}

/// What each customer has bought for, where the version knows orders.
async fn worth(context: &Context, published: &Published) -> Result<BTreeMap<CustomerId, f64>> {
    const TABLE: &str = "customer_features";
    let mut worth = BTreeMap::new();
    let Some(version) = published.tables.get(TABLE) else {
        return Ok(worth);
    };
    let (store, folder) = (&context.store, format!("curated/{TABLE}"));
    let snapshot = delta::snapshot(store, &folder, Some(version.delta_version)).await?;
    for file in snapshot.into_iter().flat_map(|s| s.files.into_values()) {
        let path = format!("{folder}/{}", file.path);
        let columns = ["customer_id", "monetary"];
        let mut rows = parquet::stream(store, &path, Some(&columns)).await?;
        while let Some(batch) = rows.try_next().await? {
            let ids = batch
                .column_by_name("customer_id")
                .and_then(|c| c.as_string_opt::<i32>());
            let spent = batch
                .column_by_name("monetary")
                .and_then(|c| c.as_primitive_opt::<Decimal128Type>());
            let (Some(ids), Some(spent)) = (ids, spent) else {
                bail!("{path} is malformed");
            };
            for row in (0..batch.num_rows()).filter(|row| spent.is_valid(*row)) {
                if let Ok(id) = ids.value(row).parse() {
                    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
                    let amount = spent.value(row) as f64 / 10_f64.powi(i32::from(SCALE));
                    worth.insert(id, amount);
                }
            }
        }
    }
    Ok(worth)
}

/// Columns of the file for labellers, before the levels and the values.
const HEADER: [&str; 12] = [
    "left",
    "right",
    "same",
    "expected",
    "probability",
    "weight",
    "rule",
    "joined",
    "left_customer",
    "right_customer",
    "records",
    "worth",
];

/// Writes pairs to be labelled in column `same`. With `values` of the records, as they are compared.
///
/// # Errors
/// When the file is there already, or cannot be written.
pub fn export(pairs: &[Question], features: &Features, path: &Path, values: bool) -> Result<()> {
    ensure!(
        !path.exists(),
        "{} is there already: remove it, or choose another name",
        path.display()
    );
    let mut writer =
        csv::Writer::from_path(path).with_context(|| format!("cannot write {}", path.display()))?;
    let mut header: Vec<String> = HEADER.map(str::to_owned).to_vec();
    header.extend(COMPARISON.iter().map(|c| c.name.to_owned()));
    if values {
        for field in Features::fields() {
            header.extend(["left", "right"].map(|side| format!("{side}_{field}")));
        }
    }
    writer.write_record(&header)?;
    for pair in pairs {
        let mut row = vec![
            pair.left.clone(),
            pair.right.clone(),
            String::new(),
            format!("{:.4}", pair.expected),
            format!("{:.6}", pair.probability),
            format!("{:+.2}", pair.weight),
            pair.rule.to_owned(),
            if pair.joined { "yes" } else { "no" }.to_owned(),
            pair.left_customer.clone(),
            pair.right_customer.clone(),
            pair.records.to_string(),
            pair.worth.map(|w| format!("{w:.2}")).unwrap_or_default(),
        ];
        let level = |name| pair.levels.get(name).copied().unwrap_or_default();
        row.extend(COMPARISON.iter().map(|c| level(c.name).to_owned()));
        if values {
            let of = |id: &str| -> BTreeMap<&str, String> {
                let at = features.index_of(id);
                at.map(|at| features.values(at).collect())
                    .unwrap_or_default()
            };
            let sides = [of(&pair.left), of(&pair.right)];
            for field in Features::fields() {
                row.extend(
                    sides
                        .iter()
                        .map(|s| s.get(field).cloned().unwrap_or_default()),
                );
            }
        }
        writer.write_record(&row)?;
    }
    writer.flush()?;
    Ok(())
}

/// Reads what labellers wrote: `yes` and `no` in column `same`, `undecided` to take a decision back; lines without
/// a label are left out. Gives how many those are, too.
///
/// # Errors
/// When it is no such file, or a label cannot be understood.
pub fn labels(path: &Path) -> Result<(Vec<Decision>, u64)> {
    let mut sheet = Sheet::open(path, "the decisions")?;
    let shown = sheet.shown.clone();
    let at = |name: &str| {
        sheet.at(name).with_context(|| {
            format!("{shown} has no column {name}: is it the file that `musubi identity review list --to` wrote?")
        })
    };
    let (left, right, same) = (at("left")?, at("right")?, at("same")?);
    let (mut decisions, mut open) = (Vec::new(), 0);
    for line in sheet.lines() {
        let (line, record) = line?;
        let cell = |at: usize| record.get(at).unwrap_or_default();
        let label = cell(same);
        if label.is_empty() {
            open += 1;
            continue;
        }
        let decision = match musubi_clean::flag::parse(label).value {
            Some(true) => Verdict::Always,
            Some(false) => Verdict::Never,
            None if label.eq_ignore_ascii_case("undecided") => Verdict::Open,
            None => bail!(
                "{shown} line {line}: column same holds neither yes, no nor undecided; leave it empty where nobody can tell"
            ),
        };
        decisions.push(Decision {
            left: cell(left).to_owned(),
            right: cell(right).to_owned(),
            decision,
        });
    }
    Ok((decisions, open))
}

/// What became of decisions.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Decided {
    /// Decisions that are new.
    pub kept: u64,
    /// Those that stood already.
    pub unchanged: u64,
    /// Where they are kept in the lake.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

/// Keeps decisions in the lake. They hold from the next run on, through training and replay.
///
/// # Errors
/// When a record does not exist in the published version, and those of the storage.
pub async fn decide(context: &Context, decisions: Vec<Decision>) -> Result<Decided> {
    let store = &context.store;
    let (published, _) = pointer::published(store).await?.with_context(|| {
        format!(
            "nothing is published in {} yet; `musubi run` publishes",
            store.name()
        )
    })?;
    let registry = link::registry(context, &published.state).await?;
    for (at, decision) in decisions.iter().enumerate() {
        let Decision { left, right, .. } = decision;
        ensure!(
            left != right,
            "decision {}: a record is always itself; give two records",
            at + 1
        );
        for id in [left, right] {
            ensure!(
                registry.customer(id).is_some(),
                "decision {}: version {} has no record {id:?}; record ids have 32 hexadecimal digits, as in table links",
                at + 1,
                published.version
            );
        }
    }
    let standing = pins::standing(store).await?;
    let all = decisions.len() as u64;
    let new: Vec<Decision> = decisions
        .into_iter()
        .filter(|d| !d.stands(&standing))
        .collect();
    let mut decided = Decided {
        kept: new.len() as u64,
        unchanged: all - new.len() as u64,
        path: None,
    };
    if !new.is_empty() {
        decided.path = Some(pins::keep(store, new).await?);
    }
    Ok(decided)
}
