//! A raw object, held against its SHA-256 before anything is read from it.

use std::{fs::File as Scratch, io::Seek, io::Write as _};

use anyhow::{Context as _, Result};
use futures::TryStreamExt as _;
use musubi_api::source::Stream;
use musubi_clean::raw::Locator;
use sha2::{Digest, Sha256};

use crate::{
    source::decode::{Found, find},
    stage::{Context, files, files::File},
};

/// A raw object in a scratch file; its bytes are what its SHA-256 says.
pub struct Object {
    stream: Stream,
    name: String,
    scratch: Scratch,
}

impl Object {
    /// Brings a raw object here and holds it against its SHA-256.
    ///
    /// # Errors
    /// When it is gone, or other than it was.
    pub async fn fetch(context: &Context, file: &File) -> Result<Self> {
        let stream = files::stream(&context.run, &file.source, &file.stream)
            .with_context(|| format!("stream {}/{} is not in the run", file.source, file.stream))?;
        let mut scratch = tempfile::tempfile().context("make a scratch file")?;
        let mut sha = Sha256::new();
        let path = object_store::path::Path::parse(&file.raw)?;
        let store = context.store.object_store();
        let found = store.get_opts(&path, Default::default()).await;
        let mut parts = found
            .with_context(|| format!("{}: the raw object cannot be read", file.raw))?
            .into_stream();
        while let Some(part) = parts.try_next().await? {
            sha.update(&part);
            scratch.write_all(&part).context("write a scratch file")?;
        }
        let now = hex::encode(sha.finalize());
        anyhow::ensure!(
            now == file.sha256,
            "{}: the bytes have changed since they were taken (SHA-256 {now}, not {}); restore the object from a backup",
            file.raw,
            file.sha256
        );
        Ok(Self {
            stream: stream.clone(),
            name: file.path.clone(),
            scratch,
        })
    }

    /// What stands at some places, in their order.
    ///
    /// # Errors
    /// When a locator leads nowhere.
    pub fn at(&self, locators: &[String]) -> Result<Vec<Found>> {
        let places = locators
            .iter()
            .map(|locator| {
                let parsed: Result<Locator, ()> = locator.parse();
                parsed.map_err(|()| anyhow::anyhow!("{locator} is no locator"))
            })
            .collect::<Result<Vec<_>>>()?;
        let mut input = self.scratch.try_clone()?;
        input.rewind()?;
        let found = find(&self.stream, &self.name, input, &places)?;
        found
            .into_iter()
            .zip(locators)
            .map(|(found, locator)| {
                found.with_context(|| format!("{}: {locator} leads nowhere", self.name))
            })
            .collect()
    }
}
