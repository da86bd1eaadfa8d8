//! Connectors and decoders: from listed objects to batches of raw rows.

pub mod decode;
mod files;
mod table;

use std::{
    io::{Read, Seek, Write},
    path::Path,
};

use anyhow::{Context as _, Result, bail};
use futures::TryStreamExt as _;
use musubi_api::{
    secrets::Secrets,
    source::{Connector, FilePattern, S3Connector, SecretRef, Stream},
};
use musubi_lake::{Location, Store};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// An object of a source, as a listing shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceObject {
    /// Path below the connector's root.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Changes when the content changes.
    pub tag: String,
    /// Date from the name, when the stream's pattern has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<jiff::civil::Date>,
}

/// The bytes of an object, in a scratch file that goes with this value.
pub struct Fetched {
    /// SHA-256 of the bytes, hex.
    pub sha256: String,
    /// Bytes.
    pub size: u64,
    /// For reads of a table: the largest cursor seen.
    pub bookmark: Option<String>,
    scratch: std::fs::File,
}

impl Fetched {
    /// Bytes that are at hand.
    ///
    /// # Errors
    /// When no scratch file can be written.
    pub fn of(bytes: &[u8]) -> Result<Self> {
        let mut scratch = Scratch::new()?;
        scratch.write_all(bytes)?;
        scratch.finish(None)
    }

    /// Reads the bytes from the start.
    ///
    /// # Errors
    /// When the scratch file cannot be read.
    pub fn open(&self) -> Result<impl Read + Send> {
        let mut file = self.scratch.try_clone()?;
        file.rewind()?;
        Ok(file)
    }
}

/// Where an S3 connector points; `secret` looks up the key of a Secret.
///
/// # Errors
/// When a credential is missing, or plain HTTP would leave this machine.
pub fn s3_location<E: Into<anyhow::Error>>(
    s3: &S3Connector,
    secret: impl Fn(&SecretRef, &str) -> Result<String, E>,
) -> Result<Location> {
    let keys = match &s3.credentials {
        Some(reference) => {
            let key = |name| secret(reference, name).map_err(Into::into);
            Some((key("AWS_ACCESS_KEY_ID")?, key("AWS_SECRET_ACCESS_KEY")?))
        }
        None => None,
    };
    Ok(Location::S3 {
        bucket: s3.bucket.clone(),
        prefix: s3
            .prefix
            .clone()
            .unwrap_or_default()
            .trim_matches('/')
            .to_owned(),
        region: s3.region.clone(),
        endpoint: s3.endpoint.clone(),
        keys,
    })
}

/// The objects of a stream, sorted by path. Hidden and unfinished files are left out. A table is one object,
/// new each time it is listed.
///
/// # Errors
/// When the place cannot be listed.
pub async fn list(
    connector: &Connector,
    stream: &Stream,
    secrets: &Secrets,
) -> Result<Vec<SourceObject>> {
    if let Some(table) = &stream.table {
        let tag = jiff::Timestamp::now().to_string();
        return Ok(vec![SourceObject {
            path: table.name.clone(),
            size: 0,
            tag,
            date: None,
        }]);
    }
    let Some(files) = &stream.files else {
        return Ok(Vec::new());
    };
    let pattern = FilePattern::new(&files.path)
        .map_err(|wrong| anyhow::anyhow!("stream {}: files.path: {wrong}", stream.name))?;
    let mut found = match (&connector.folder, &connector.s3) {
        (Some(folder), None) => files::list(Path::new(&folder.path))?,
        (None, Some(s3)) => {
            bucket(
                &s3_location(s3, |s, k| secrets.get(s, k))?,
                pattern.folder(),
            )
            .await?
        }
        _ => bail!(
            "stream {}: files need exactly one of connector.folder and connector.s3",
            stream.name
        ),
    };
    found.retain_mut(|object| match pattern.matches(&object.path) {
        Some(date) => {
            object.date = date;
            true
        }
        None => false,
    });
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

/// The objects of a bucket below a folder.
async fn bucket(location: &Location, folder: &str) -> Result<Vec<SourceObject>> {
    let store = Store::open(location)?;
    let metas = store
        .list(folder)
        .await
        .with_context(|| format!("list {}", store.name()))?;
    let object = |m: musubi_lake::Meta| SourceObject {
        path: m.path,
        size: m.size,
        tag: m.tag,
        date: None,
    };
    Ok(metas.into_iter().map(object).collect())
}

/// Brings the bytes of an object to a scratch file. `bookmark` is what the last read of a table returned.
///
/// # Errors
/// When the source cannot be read.
pub async fn fetch(
    connector: &Connector,
    stream: &Stream,
    object: &SourceObject,
    bookmark: Option<&str>,
    secrets: &Secrets,
) -> Result<Fetched> {
    let mut scratch = Scratch::new()?;
    if let Some(table) = &stream.table {
        let Some(server) = &connector.postgres else {
            bail!("stream {}: a table needs connector.postgres", stream.name)
        };
        let bookmark = table::read(server, table, bookmark, secrets, &mut scratch)
            .await
            .with_context(|| format!("stream {}: read table {}", stream.name, table.name))?;
        return scratch.finish(bookmark);
    }
    match (&connector.folder, &connector.s3) {
        (Some(folder), None) => {
            let path = Path::new(&folder.path).join(&object.path);
            let mut file =
                std::fs::File::open(&path).with_context(|| format!("open {}", path.display()))?;
            std::io::copy(&mut file, &mut scratch)
                .with_context(|| format!("copy {}", path.display()))?;
        }
        (None, Some(s3)) => {
            let store = Store::open(&s3_location(s3, |s, k| secrets.get(s, k))?)?;
            let key = object_store::path::Path::parse(&object.path)?;
            let found = store
                .object_store()
                .get_opts(&key, Default::default())
                .await;
            let mut parts = found
                .with_context(|| format!("read {} of {}", object.path, store.name()))?
                .into_stream();
            while let Some(part) = parts.try_next().await? {
                scratch.write_all(&part)?;
            }
        }
        _ => bail!(
            "stream {}: files need exactly one of connector.folder and connector.s3",
            stream.name
        ),
    }
    scratch.finish(None)
}

/// A scratch file that hashes what is written to it.
struct Scratch {
    file: std::io::BufWriter<std::fs::File>,
    sha: Sha256,
    size: u64,
}

impl Scratch {
    fn new() -> Result<Self> {
        let file = tempfile::tempfile().context("make a scratch file")?;
        Ok(Self {
            file: std::io::BufWriter::new(file),
            sha: Sha256::new(),
            size: 0,
        })
    }

    fn finish(self, bookmark: Option<String>) -> Result<Fetched> {
        let scratch = self
            .file
            .into_inner()
            .map_err(|e| e.into_error())
            .context("write a scratch file")?;
        Ok(Fetched {
            sha256: hex::encode(self.sha.finalize()),
            size: self.size,
            bookmark,
            scratch,
        })
    }
}

impl Write for Scratch {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.file.write_all(bytes)?;
        self.sha.update(bytes);
        self.size += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}
