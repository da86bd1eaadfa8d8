//! What golden records are made of, and the taking over of those that are made of the same as before.

use std::collections::BTreeSet;

use anyhow::Result;
use arrow::{
    array::{AsArray, BooleanArray, RecordBatch},
    compute,
};
use futures::TryStreamExt;
use hashbrown::HashSet;
use musubi_lake::{Error, parquet};
use xxhash_rust::xxh3::Xxh3;

use super::{Part, TableFile, Writer, golden::column};
use crate::stage::{Context, attach, clean::Active, records, tables};

/// Tag of a file of `customers`: the path of what each of its rows is made of.
pub(super) const MADE_OF: &str = "madeOf";

/// How what is told of the fields of a golden record is written: with another one, records are made anew.
const TOLD: &[u8] = b"by record and rule";

/// What each customer of a group is made of, as a hash: its id and household, its records, the rules.
pub(super) fn made_of(
    writer: &Writer<'_>,
    active: &[Active],
    group: Part<'_>,
) -> Result<Vec<u128>> {
    let run = &writer.context.run;
    let policy = (&run.policy.survivorship, &run.policy.source_priority);
    let mut rules = Xxh3::new();
    rules.update(&serde_json::to_vec(&policy)?);
    rules.update(tables::customers().to_string().as_bytes());
    rules.update(TOLD);
    let stamps = attach::stamps(active);
    let mut made_of = vec![0; group.ids.len()];
    for family in group.members.chunk_by(|a, b| a.customer == b.customer) {
        let at = (family[0].customer - group.first) as usize;
        let mut hash = rules.clone();
        hash.update(group.ids[at].as_bytes());
        hash.update(
            group.households[at]
                .as_deref()
                .unwrap_or_default()
                .as_bytes(),
        );
        for member in family {
            hash.update(&member.record.to_le_bytes());
            hash.update(&member.content.to_le_bytes());
            hash.update(&stamps[member.file as usize].to_le_bytes());
        }
        made_of[at] = hash.digest128();
    }
    Ok(made_of)
}

pub(super) fn digest(made_of: &[u128]) -> String {
    let mut sum = Xxh3::new();
    made_of.iter().for_each(|m| sum.update(&m.to_le_bytes()));
    format!("{:032x}", sum.digest128())
}

/// Takes over the rows of customers that are made of the same as before; gives what those are made of, in
/// the order of their rows.
pub(super) async fn reuse(
    writer: &Writer<'_>,
    made_of: &[u128],
    group: Part<'_>,
    customers: &mut TableFile,
    known_by: &mut TableFile,
) -> Result<Vec<u128>> {
    let store = &writer.context.store;
    let Some(before) = writer.of_group("customers") else {
        return Ok(Vec::new());
    };
    let Some(path) = before.tags.get(MADE_OF) else {
        return Ok(Vec::new());
    };
    let mut old: Vec<u128> = Vec::new();
    match parquet::read(store, path, None).await {
        Ok(batches) => {
            for batch in &batches {
                old.extend(records::ids_of(batch, "made_of")?);
            }
        }
        // Without it, everything is worked out anew.
        Err(Error::NotFound { .. }) => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    }
    let wanted: HashSet<u128> = made_of.iter().copied().collect();
    let mut rest = old.iter();
    let path = format!("curated/customers/{}", before.path);
    let mut stream = parquet::stream(store, &path, None).await?;
    while let Some(batch) = stream.try_next().await? {
        let mask = rest.by_ref().take(batch.num_rows());
        let mask: BooleanArray = mask.map(|m| Some(wanted.contains(m))).collect();
        customers
            .write(&compute::filter_record_batch(&batch, &mask)?)
            .await?;
    }
    old.retain(|m| wanted.contains(m));
    let same: HashSet<u128> = old.iter().copied().collect();
    let ids = group.ids.iter().zip(made_of);
    let same: HashSet<&str> = ids
        .filter(|(_, m)| same.contains(*m))
        .map(|(id, _)| id.as_str())
        .collect();
    if let Some(before) = writer.of_group("identifiers") {
        let path = format!("curated/identifiers/{}", before.path);
        let mut stream = parquet::stream(store, &path, None).await?;
        while let Some(batch) = stream.try_next().await? {
            let ids = column(&batch, "customer_id")?.as_string::<i32>();
            let mask = ids
                .iter()
                .map(|id| Some(id.is_some_and(|id| same.contains(id))));
            let mask: BooleanArray = mask.collect();
            known_by
                .write(&compute::filter_record_batch(&batch, &mask)?)
                .await?;
        }
    }
    Ok(old)
}

pub(super) async fn remember(context: &Context, order: &[u128]) -> Result<String> {
    let ids = records::id_column(order.iter().copied())?;
    let batch = RecordBatch::try_from_iter([("made_of", ids)])?;
    let path = format!(
        "versions/customer/{}.parquet",
        uuid::Uuid::new_v4().simple()
    );
    let none = BTreeSet::new();
    parquet::write(&context.store, &path, batch.schema(), &none, &[batch]).await?;
    Ok(path)
}
