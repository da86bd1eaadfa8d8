//! One raw object: decoded on one side, written on the other, with a bounded number of batches in between.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use arrow::array::RecordBatch;
use musubi_api::entity::Entity;
use musubi_clean::{
    cleaner::{self, Cleaner},
    quarantine,
    raw::SourceFile,
    schema,
};
use musubi_lake::parquet::Sink;
use tokio::sync::mpsc;

use super::{
    Cleaned, Part, RowCounts,
    lookups::{LookupCache, lookup_files, remember_lookups},
};
use crate::{
    source::decode::Decoded,
    stage::{
        Context, RunRefused,
        edits::{Edited, Edits},
        files::{self, File, Files},
    },
};

/// What the decoding side hands to the writing side.
enum Message {
    Rows(Entity, RecordBatch),
    Quarantined(RecordBatch),
}

/// Cleans the rows of a file and writes them.
pub(super) async fn clean_file(
    context: &Context,
    files: &Files,
    lookups: &mut LookupCache,
    file: &File,
    key: &str,
) -> Result<Cleaned> {
    let spec = &context.run.sources[&file.source];
    let stream = files::stream(&context.run, &file.source, &file.stream)
        .context("stream is gone")?
        .clone();
    let found = lookups
        .get(context, files, &file.source, &file.stream)
        .await?;
    let cleaner = Cleaner::new(&file.source, spec, &stream, found.clone())?;
    let bytes = context.store.get(&file.raw).await?;
    let edits = Edits::of(&context.store, file).await?;
    let (sender, mut receiver) = mpsc::channel::<Message>(8);
    let (origin, sha) = (file.origin(), file.sha256.clone());
    let decoding = tokio::task::spawn_blocking(move || {
        decode_all(&cleaner, &stream, &edits, origin, &sha, bytes, &sender)
    });
    let mut writer = Writer::new(context, key);
    while let Some(message) = receiver.recv().await {
        writer.write(message).await?;
    }
    let (rows, reasons, drift) = decoding.await?.map_err(|error| {
        let frozen = error.downcast_ref::<musubi_clean::problem::Problem>();
        match frozen.filter(|p| matches!(p, musubi_clean::problem::Problem::Frozen { .. })) {
            Some(problem) => RunRefused(problem.to_string()).into(),
            None => error,
        }
    })?;
    anyhow::ensure!(
        rows.holds(),
        "rows went missing while cleaning: {rows:?}; this is a defect of musubi"
    );
    let looked_up = match lookup_files(context, files, &file.source, &file.stream) {
        Some(files) => {
            Some(remember_lookups(context, writer.path("looked-up"), &found, files).await?)
        }
        None => None,
    };
    let (entities, quarantine) = writer.finish().await?;
    Ok(Cleaned {
        key: key.into(),
        rows,
        entities,
        quarantine,
        reasons,
        drift,
        looked_up,
    })
}

type Decided = (RowCounts, BTreeMap<String, u64>, Vec<String>);

fn decode_all(
    cleaner: &Cleaner,
    stream: &musubi_api::source::Stream,
    edits: &Edits,
    origin: SourceFile,
    sha: &str,
    bytes: bytes::Bytes,
    out: &mpsc::Sender<Message>,
) -> Result<Decided> {
    let mut rows = RowCounts::default();
    let mut reasons = BTreeMap::new();
    let name = origin.path.clone();
    let mut state = cleaner.start_file(origin);
    let input = std::io::Cursor::new(bytes);
    edits.decode(stream, &name, input, &mut |decoded, edited| {
        rows.edited += u64::from(edited == Edited::Yes);
        let cleaned = match decoded {
            Decoded::Structural(n) => {
                rows.total += n;
                rows.structural += n;
                return Ok(());
            }
            Decoded::Fault(fault) => {
                rows.total += 1;
                cleaner.quarantine_fault(&fault, sha)?
            }
            Decoded::Rows(batch) => {
                rows.total += batch.rows.len() as u64;
                cleaner.clean(&batch, sha, &mut state)?
            }
        };
        rows.take(&cleaned.counts);
        for (code, n) in &cleaned.counts.reasons {
            *reasons.entry(code.clone()).or_default() += n;
        }
        send(out, cleaned)
    })?;
    let mut drift: Vec<String> = state
        .drift()
        .iter()
        .map(|d| format!("{:?} column {}", d.kind, d.column))
        .collect();
    let lost = edits.len() as u64 - rows.edited;
    if lost > 0 {
        drift.push(format!(
            "{lost} corrections are of rows that the file no longer has under the present format"
        ));
    }
    Ok((rows, reasons, drift))
}

fn send(out: &mpsc::Sender<Message>, cleaned: cleaner::Cleaned) -> Result<()> {
    let send = |message| {
        out.blocking_send(message)
            .map_err(|_| anyhow::anyhow!("the writing side stopped"))
    };
    if cleaned.quarantined.num_rows() > 0 {
        send(Message::Quarantined(cleaned.quarantined))?;
    }
    for (entity, rows) in cleaned.entities {
        if rows.num_rows() > 0 {
            send(Message::Rows(entity, rows))?;
        }
    }
    Ok(())
}

/// Writes the clean rows of one object, a file an entity.
struct Writer<'a> {
    context: &'a Context,
    key: &'a str,
    /// Of this attempt alone.
    attempt: uuid::fmt::Simple,
    entities: BTreeMap<Entity, Sink>,
    quarantine: Option<Sink>,
}

impl<'a> Writer<'a> {
    fn new(context: &'a Context, key: &'a str) -> Self {
        Self {
            context,
            key,
            attempt: uuid::Uuid::new_v4().simple(),
            entities: BTreeMap::new(),
            quarantine: None,
        }
    }

    /// Where a file of this attempt stands. Objects share folders: one of its own costs as much as a file.
    fn path(&self, name: &str) -> String {
        let (key, attempt) = (self.key, self.attempt);
        let folder = key.get(..2).unwrap_or(key);
        format!("clean/{folder}/{key}-{attempt}-{name}.parquet")
    }

    async fn write(&mut self, message: Message) -> Result<()> {
        match message {
            Message::Rows(entity, batch) => {
                if !self.entities.contains_key(&entity) {
                    let personal = schema::personal_columns(entity);
                    let sink = self.sink(entity.as_str(), &batch, &personal)?;
                    self.entities.insert(entity, sink);
                }
                if let Some(sink) = self.entities.get_mut(&entity) {
                    sink.write(&batch).await?;
                }
            }
            Message::Quarantined(batch) => {
                if self.quarantine.is_none() {
                    let personal = [quarantine::PERSONAL_COLUMN.to_owned()].into();
                    self.quarantine = Some(self.sink("quarantine", &batch, &personal)?);
                }
                if let Some(sink) = &mut self.quarantine {
                    sink.write(&batch).await?;
                }
            }
        }
        Ok(())
    }

    fn sink(&self, name: &str, rows: &RecordBatch, personal: &BTreeSet<String>) -> Result<Sink> {
        let (store, path) = (&self.context.store, self.path(name));
        Ok(Sink::create(store, &path, rows.schema(), personal)?)
    }

    async fn finish(self) -> Result<(BTreeMap<String, Part>, Option<Part>)> {
        let mut parts = BTreeMap::new();
        for (entity, sink) in self.entities {
            let written = sink.finish().await?;
            parts.insert(
                entity.as_str().to_owned(),
                Part {
                    path: written.path,
                    rows: written.rows,
                },
            );
        }
        let quarantine = match self.quarantine {
            Some(sink) => Some(sink.finish().await?),
            None => None,
        };
        Ok((
            parts,
            quarantine.map(|w| Part {
                path: w.path,
                rows: w.rows,
            }),
        ))
    }
}
