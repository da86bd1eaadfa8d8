//! Look-ups into other streams of a source: built once for a shard, and remembered, so that rows are cleaned again
//! when the answers are others.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::{Context as _, Result};
use arrow::{
    array::{ArrayRef, AsArray, RecordBatch, StringArray, UInt32Array},
    datatypes::UInt32Type,
};
use musubi_clean::lookup::{Asked, Lookups};
use musubi_lake::parquet;
use sha2::{Digest, Sha256};

use super::{LookedUp, content};
use crate::{
    source::decode::Decoded,
    stage::{
        Context,
        edits::Edits,
        files::{self, File, Files},
    },
};

/// Look-ups of streams, built once for a shard.
#[derive(Default)]
pub(crate) struct LookupCache(BTreeMap<(String, String), Lookups>);

impl LookupCache {
    pub(crate) async fn get(
        &mut self,
        context: &Context,
        files: &Files,
        source: &str,
        stream: &str,
    ) -> Result<Lookups> {
        let at = (source.to_owned(), stream.to_owned());
        if let Some(lookups) = self.0.get(&at) {
            return Ok(lookups.unasked());
        }
        let spec = files::stream(&context.run, source, stream).context("stream is gone")?;
        let mut lookups = Lookups::builder(spec);
        let needed: Vec<String> = lookups.streams().into_iter().map(str::to_owned).collect();
        for name in needed {
            let target = files::stream(&context.run, source, &name)
                .with_context(|| format!("look-up: there is no stream {name}"))?;
            for file in files.of(source, &name) {
                let bytes = context.store.get(&file.raw).await?;
                let edits = Edits::of(&context.store, file).await?;
                edits.decode(
                    target,
                    &file.path,
                    std::io::Cursor::new(bytes),
                    &mut |decoded, _| {
                        if let Decoded::Rows(batch) = decoded {
                            lookups.feed(&name, &batch);
                        }
                        Ok(())
                    },
                )?;
            }
        }
        self.0.insert(at, lookups.unasked());
        Ok(lookups)
    }
}

/// Hash of the files in which a stream looks up; `None` when it looks up nothing.
pub(super) fn lookup_files(
    context: &Context,
    files: &Files,
    source: &str,
    stream: &str,
) -> Option<String> {
    let stream = files::stream(&context.run, source, stream)?;
    if stream.lookups.is_empty() {
        return None;
    }
    let mut hash = Sha256::new();
    for lookup in &stream.lookups {
        for file in files.of(source, &lookup.stream) {
            hash.update(content(file));
        }
        hash.update(";");
    }
    Some(hex::encode(hash.finalize()))
}

/// Whether look-ups give the answers that they gave when a file was cleaned.
pub(super) async fn still_holds(
    context: &Context,
    files: &Files,
    lookups: &mut LookupCache,
    file: &File,
    before: &LookedUp,
) -> Result<bool> {
    let now = lookup_files(context, files, &file.source, &file.stream);
    if now.as_ref() == Some(&before.files) {
        return Ok(true);
    }
    let mut asked: Vec<Asked> = Vec::new();
    for batch in parquet::read(&context.store, &before.asked, None).await? {
        let numbers = batch.column(0).as_primitive_opt::<UInt32Type>();
        let keys = batch.column(1).as_string_opt::<i32>();
        let (Some(numbers), Some(keys)) = (numbers, keys) else {
            anyhow::bail!("{} is malformed", before.asked);
        };
        let keys = keys.iter().map(|key| key.unwrap_or_default().into());
        asked.extend(numbers.values().iter().copied().zip(keys));
    }
    let found = lookups
        .get(context, files, &file.source, &file.stream)
        .await?;
    Ok(found.answers(&asked) == before.answers)
}

/// Keeps what the rows of a file looked up, in a file of its own.
pub(super) async fn remember_lookups(
    context: &Context,
    path: String,
    found: &Lookups,
    files: String,
) -> Result<LookedUp> {
    let asked = found.asked();
    let numbers = asked.iter().map(|(number, _)| *number);
    let columns: [(&str, ArrayRef); 2] = [
        ("lookup", Arc::new(UInt32Array::from_iter_values(numbers))),
        (
            "key",
            Arc::new(StringArray::from_iter_values(
                asked.iter().map(|(_, key)| key),
            )),
        ),
    ];
    let batch = RecordBatch::try_from_iter(columns)?;
    let personal = ["key".to_owned()].into();
    parquet::write(&context.store, &path, batch.schema(), &personal, &[batch]).await?;
    Ok(LookedUp {
        answers: found.answers(&asked),
        asked: path,
        files,
    })
}
