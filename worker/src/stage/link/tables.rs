//! The tables that linking makes: households, review, id changes.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::{Context as _, Result};
use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use musubi_identity::{CustomerId, Features, IdEvent, Linked as Outcomes, rule_name};
use musubi_lake::{delta::DataFile, parquet};

use crate::stage::{Context, attach, curate::only_file, plan::Plan, replay, tables};

/// The tables that linking makes: households, id changes, review.
pub(super) async fn complete(
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
        texts(
            linked
                .household_ids
                .iter()
                .map(ToString::to_string)
                .map(Some),
        ),
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
pub(super) fn changes(plan: &Plan, events: &[IdEvent]) -> Result<RecordBatch> {
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
    let text = |id: &CustomerId| Some(id.to_string());
    match event {
        IdEvent::Created { id } => ("created", None, text(id)),
        IdEvent::Merged { old, new } => ("merged", text(old), text(new)),
        IdEvent::Split { old, new } => ("split", text(old), text(new)),
        IdEvent::Unmerged { id, from } => ("unmerged", text(from), text(id)),
        IdEvent::Removed { id } => ("removed", text(id), None),
    }
}

fn texts(values: impl Iterator<Item = Option<String>>) -> ArrayRef {
    Arc::new(values.collect::<StringArray>())
}
