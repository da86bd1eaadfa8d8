//! Files of many batches that are made one after the other.

use std::collections::BTreeSet;

use anyhow::Result;
use arrow::array::RecordBatch;
use musubi_identity::IdentityError;
use musubi_lake::parquet::Sink;

use super::Context;

/// Writes batches as they come; nothing when there are none.
///
/// # Errors
/// Those of the batches and of the storage.
pub(super) async fn write(
    context: &Context,
    path: &str,
    personal: &BTreeSet<String>,
    batches: impl Iterator<Item = Result<RecordBatch, IdentityError>>,
) -> Result<()> {
    let mut sink: Option<Sink> = None;
    for batch in batches {
        let batch = batch?;
        let sink = match &mut sink {
            Some(sink) => sink,
            None => sink.insert(Sink::create(
                &context.store,
                path,
                batch.schema(),
                personal,
            )?),
        };
        sink.write(&batch).await?;
    }
    if let Some(sink) = sink {
        sink.finish().await?;
    }
    Ok(())
}
