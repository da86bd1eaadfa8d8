//! ingest: copies source bytes to the raw zone first, untouched, under their SHA-256, with their origin.

use anyhow::{Context as _, Result};
use musubi_api::run::Stage;
use musubi_lake::manifest;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tracing::{Instrument as _, info_span};

use super::{Context, Outcome, files::File, intake, plan::Split};
use crate::source;

/// What a shard took.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ingested {
    /// The files.
    pub files: Vec<File>,
}

pub(super) async fn run(context: &Context, shard: u32) -> Result<Outcome> {
    if let Some(done) = context.done::<Ingested>(Stage::Ingest, shard).await? {
        return Ok(outcome(true, &done));
    }
    let plan = context.plan().await?;
    let mut files = Vec::new();
    for split in plan.splits_of(shard) {
        let file = take(context, split, plan.next_version())
            .instrument(info_span!("copy"))
            .await
            .with_context(|| {
                format!(
                    "Source {}, stream {}: {}",
                    split.source, split.stream, split.object.path
                )
            })?;
        files.push(file);
    }
    let done = context
        .commit(Stage::Ingest, shard, Ingested { files })
        .await?;
    Ok(outcome(false, &done))
}

fn outcome(reused: bool, done: &Ingested) -> Outcome {
    let bytes = done.files.iter().map(|f| f.size).sum();
    Outcome::new(
        reused,
        [("files", done.files.len() as u64), ("bytes", bytes)],
    )
}

/// Copies one object. Its name needs its hash, so it passes through a scratch file once.
async fn take(context: &Context, split: &Split, version: u64) -> Result<File> {
    let spec = &context.run.sources[&split.source];
    let stream = super::files::stream(&context.run, &split.source, &split.stream)
        .with_context(|| format!("stream {} is not in the run", split.stream))?;
    let fetched = if intake::is_ours(&split.source, &split.stream, spec) {
        intake::fetch(&context.store, &split.object.path).await?
    } else {
        source::fetch(
            &spec.connector,
            stream,
            &split.object,
            split.bookmark.as_deref(),
            &context.secrets,
        )
        .await?
    };
    let raw = format!("raw/{}/{}/{}", split.source, split.stream, fetched.sha256);
    if context
        .store
        .head(&raw)
        .await?
        .is_none_or(|m| m.size != fetched.size)
    {
        let mut upload = context.store.upload(&raw).await?;
        let mut reader = fetched.open()?;
        loop {
            let mut chunk = vec![0; 1 << 20];
            let read = std::io::Read::read(&mut reader, &mut chunk)?;
            if read == 0 {
                break;
            }
            chunk.truncate(read);
            upload.wait_for_capacity(4).await?;
            upload.put(chunk.into());
        }
        upload.finish().await?;
    }
    let file = File {
        source: split.source.clone(),
        stream: split.stream.clone(),
        path: split.object.path.clone(),
        tag: split.object.tag.clone(),
        size: fetched.size,
        date: split.object.date,
        sha256: fetched.sha256.clone(),
        raw: raw.clone(),
        taken: version,
        bookmark: fetched.bookmark.clone(),
        arrived: Some(context.run.as_of),
        run: context.run.uid.clone(),
        superseded: false,
        edits: Vec::new(),
    };
    remember_origin(context, &file).await?;
    Ok(file)
}

/// Writes where the bytes came from beside them, so that everything can be rebuilt from raw alone. The name is
/// that of its content, so a second attempt writes the same.
async fn remember_origin(context: &Context, file: &File) -> Result<()> {
    let body = manifest::encode(&file.raw, file)?;
    let what = format!("{}\n{}\n{}\n{}", file.path, file.tag, file.taken, file.run);
    let name = hex::encode(&Sha256::digest(what)[..8]);
    let path = format!("{}.origins/{name}.json", file.raw);
    Ok(context.store.put(&path, body).await?)
}
