//! One small interface over folders and buckets.

use std::{path::PathBuf, sync::Arc, time::Duration};

use backon::BackoffBuilder as _;
use bytes::Bytes;
use futures::TryStreamExt;
use object_store::{
    ClientConfigKey, ObjectStore, ObjectStoreExt, PutMode, PutOptions, RetryConfig, UpdateVersion,
    WriteMultipart,
    aws::{AmazonS3Builder, AmazonS3ConfigKey},
    path::Path,
    prefix::PrefixStore,
};

use crate::{
    error::{Error, Result},
    folder::{self, Folder},
};

/// Where a lake (or a source's files) is.
#[derive(Clone, Debug)]
pub enum Location {
    /// A folder of this machine; made when absent.
    Folder(PathBuf),
    /// A prefix in a bucket.
    S3 {
        /// Bucket.
        bucket: String,
        /// Prefix, without slashes at its ends.
        prefix: String,
        /// Region; `us-east-1` when neither given nor in the environment.
        region: Option<String>,
        /// Endpoint of servers that are not AWS.
        endpoint: Option<String>,
        /// Access key and secret key; the environment is asked when absent.
        keys: Option<(String, String)>,
    },
}

/// How long a bucket is waited for.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Time for one request.
    pub timeout: Duration,
    /// Tries of a request that fails on the way or at the server.
    pub tries: usize,
    /// Wait before the second try; it doubles from try to try.
    pub first_wait: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(60),
            tries: 8,
            first_wait: Duration::from_millis(100),
        }
    }
}

impl Patience {
    fn retries(self) -> RetryConfig {
        let mut config = RetryConfig {
            max_retries: self.tries.saturating_sub(1),
            ..RetryConfig::default()
        };
        config.backoff.init_backoff = self.first_wait;
        config
    }

    fn waits(self) -> backon::ExponentialBackoff {
        backon::ExponentialBuilder::new()
            .with_min_delay(self.first_wait)
            .with_max_times(self.tries.saturating_sub(1))
            .with_jitter()
            .build()
    }
}

/// The version of an object, for compare-and-swap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag(String);

/// What a listing says of an object.
#[derive(Clone, Debug)]
pub struct Meta {
    /// Path in the lake.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Changes when the content changes.
    pub tag: String,
    /// When it was written.
    pub modified: jiff::Timestamp,
}

/// A handle on a place where objects are kept; cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    inner: Arc<dyn ObjectStore>,
    folder: Option<Arc<PathBuf>>,
    name: Arc<str>,
    patience: Patience,
}

impl Store {
    /// Opens a place.
    ///
    /// # Errors
    /// When a folder cannot be made, or a bucket's settings are unusable.
    pub fn open(location: &Location) -> Result<Self> {
        Self::open_with(location, Patience::default())
    }

    /// Opens a place, and says how long to wait for it.
    ///
    /// # Errors
    /// See [`Store::open`].
    pub fn open_with(location: &Location, patience: Patience) -> Result<Self> {
        match location {
            Location::Folder(path) => {
                let name = path.display().to_string();
                std::fs::create_dir_all(path).map_err(|e| Error::unavailable(&name, e))?;
                let root = path
                    .canonicalize()
                    .map_err(|e| Error::unavailable(&name, e))?;
                let inner =
                    Folder::open(root.clone()).map_err(|e| Error::from_storage(&name, e))?;
                Ok(Self {
                    inner: Arc::new(inner),
                    folder: Some(Arc::new(root)),
                    name: name.into(),
                    patience,
                })
            }
            Location::S3 {
                bucket,
                prefix,
                region,
                endpoint,
                keys,
            } => {
                let name = format!("s3://{bucket}/{prefix}");
                let timeout = format!("{} seconds", patience.timeout.as_secs().max(1));
                let mut builder = AmazonS3Builder::from_env()
                    .with_bucket_name(bucket)
                    .with_retry(patience.retries())
                    .with_config(AmazonS3ConfigKey::Client(ClientConfigKey::Timeout), timeout);
                if let Some(region) = region {
                    builder = builder.with_region(region);
                }
                if let Some(endpoint) = endpoint {
                    builder = builder
                        .with_endpoint(endpoint)
                        .with_allow_http(endpoint.starts_with("http://"));
                }
                if let Some((access, secret)) = keys {
                    builder = builder
                        .with_access_key_id(access)
                        .with_secret_access_key(secret);
                }
                let s3 = builder.build().map_err(|e| Error::from_storage(&name, e))?;
                let inner: Arc<dyn ObjectStore> = if prefix.is_empty() {
                    Arc::new(s3)
                } else {
                    Arc::new(PrefixStore::new(s3, prefix.as_str()))
                };
                Ok(Self {
                    inner,
                    folder: None,
                    name: name.into(),
                    patience,
                })
            }
        }
    }

    /// The same place behind a layer that sees every call: for tests that fail some of them.
    #[must_use]
    pub fn behind(self, layer: impl FnOnce(Arc<dyn ObjectStore>) -> Arc<dyn ObjectStore>) -> Self {
        Self {
            inner: layer(self.inner),
            ..self
        }
    }

    /// The place as a person writes it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The storage below, for readers and writers of Parquet.
    #[must_use]
    pub fn object_store(&self) -> Arc<dyn ObjectStore> {
        self.inner.clone()
    }

    fn path(path: &str) -> Result<Path> {
        Path::parse(path).map_err(|e| Error::unavailable(path, e))
    }

    /// A whole object.
    ///
    /// # Errors
    /// [`Error::NotFound`] and those of the storage.
    pub async fn get(&self, path: &str) -> Result<Bytes> {
        Ok(self.get_tagged(path).await?.0)
    }

    /// A whole object with its version.
    ///
    /// # Errors
    /// [`Error::NotFound`] and those of the storage.
    pub async fn get_tagged(&self, path: &str) -> Result<(Bytes, Tag)> {
        let found = self
            .inner
            .get(&Self::path(path)?)
            .await
            .map_err(|e| Error::from_storage(path, e))?;
        let tag = found.meta.e_tag.clone().unwrap_or_default();
        let bytes = found
            .bytes()
            .await
            .map_err(|e| Error::from_storage(path, e))?;
        match self.folder {
            Some(_) => Ok((bytes.clone(), Tag(folder::tag(&bytes)))),
            None => Ok((bytes, Tag(tag))),
        }
    }

    /// Some bytes of an object; the end is exclusive.
    ///
    /// # Errors
    /// [`Error::NotFound`] and those of the storage.
    pub async fn get_range(&self, path: &str, range: std::ops::Range<u64>) -> Result<Bytes> {
        self.inner
            .get_range(&Self::path(path)?, range)
            .await
            .map_err(|e| Error::from_storage(path, e))
    }

    /// An object if it is there.
    ///
    /// # Errors
    /// Those of the storage.
    pub async fn find(&self, path: &str) -> Result<Option<Bytes>> {
        match self.get(path).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What is known of an object, if it is there.
    ///
    /// # Errors
    /// Those of the storage.
    pub async fn head(&self, path: &str) -> Result<Option<Meta>> {
        match self.inner.head(&Self::path(path)?).await {
            // A store below a prefix names the object by its whole key here.
            Ok(meta) => Ok(Some(Meta {
                path: path.to_owned(),
                ..to_meta(meta)
            })),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(Error::from_storage(path, error)),
        }
    }

    /// Writes an object whose name nobody else uses.
    ///
    /// # Errors
    /// Those of the storage.
    pub async fn put(&self, path: &str, bytes: Bytes) -> Result<()> {
        self.inner
            .put(&Self::path(path)?, bytes.into())
            .await
            .map_err(|e| Error::from_storage(path, e))?;
        Ok(())
    }

    /// Writes an object unless one is there. One with the very same bytes is taken for ours: its first try
    /// may have been done and its answer lost. So what tells rivals apart must be in the bytes.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`] and those of the storage; after [`Error::Unavailable`] the object may be
    /// there or not, and the same call may be made again.
    pub async fn create(&self, path: &str, bytes: Bytes) -> Result<()> {
        self.put_if(path, bytes, None).await
    }

    /// Replaces an object if it is still the version that was read. One that has the new bytes already is
    /// taken for ours, as in [`Store::create`].
    ///
    /// # Errors
    /// [`Error::Conflict`] and those of the storage. A conflict does not say that the swap never happened:
    /// its answer may have been lost, and somebody else have swapped since.
    pub async fn swap(&self, path: &str, bytes: Bytes, tag: &Tag) -> Result<()> {
        self.put_if(path, bytes, Some(tag)).await
    }

    /// A conditional write, tried until its outcome is known. The storage library repeats what a server
    /// answered with 5xx; a condition that then fails may be our own first try, so what stands is read.
    /// S3 also answers 409 when somebody else is writing just now, and that settles nothing.
    async fn put_if(&self, path: &str, bytes: Bytes, tag: Option<&Tag>) -> Result<()> {
        let location = Self::path(path)?;
        let mode = match tag {
            None => PutMode::Create,
            Some(tag) => PutMode::Update(UpdateVersion {
                e_tag: Some(tag.0.clone()),
                version: None,
            }),
        };
        let mut waits = self.patience.waits();
        loop {
            let options = PutOptions::from(mode.clone());
            let put = self
                .inner
                .put_opts(&location, bytes.clone().into(), options);
            let error = match put.await {
                Ok(_) => return Ok(()),
                Err(error) => error,
            };
            let lost_on_the_way = crate::error::is_transport(&error);
            let error = match Error::from_storage(path, error) {
                Error::AlreadyExists { path } | Error::Conflict { path } => {
                    match (self.get_tagged(&path).await, tag) {
                        (Ok((found, _)), _) if found == bytes => return Ok(()),
                        (Ok(_), None) => return Err(Error::AlreadyExists { path }),
                        (Ok((_, now)), Some(tag)) if now != *tag => {
                            return Err(Error::Conflict { path });
                        }
                        (Err(Error::NotFound { .. }), Some(_)) => {
                            return Err(Error::Conflict { path });
                        }
                        (Ok(_), Some(_)) | (Err(Error::NotFound { .. }), None) => {
                            Error::unavailable(&path, "others write to it all the time")
                        }
                        (Err(error), _) => return Err(error),
                    }
                }
                error if lost_on_the_way => error,
                error => return Err(error),
            };
            match waits.next() {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Err(error),
            }
        }
    }

    /// Starts a streamed write; nothing is seen at `path` before it is finished.
    ///
    /// # Errors
    /// Those of the storage.
    pub async fn upload(&self, path: &str) -> Result<WriteMultipart> {
        let upload = self
            .inner
            .put_multipart(&Self::path(path)?)
            .await
            .map_err(|e| Error::from_storage(path, e))?;
        Ok(WriteMultipart::new_with_chunk_size(upload, 8 << 20))
    }

    /// Deletes an object; nothing happens when there is none.
    ///
    /// # Errors
    /// Those of the storage.
    pub async fn delete(&self, path: &str) -> Result<()> {
        match self.inner.delete(&Self::path(path)?).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(Error::from_storage(path, error)),
        }
    }

    /// The objects below a prefix (a whole path segment), sorted by path.
    ///
    /// # Errors
    /// Those of the storage.
    pub async fn list(&self, prefix: &str) -> Result<Vec<Meta>> {
        self.list_after(prefix, None).await
    }

    /// The objects below a prefix whose path sorts after another, sorted by path.
    ///
    /// # Errors
    /// Those of the storage.
    pub async fn list_after(&self, prefix: &str, after: Option<&str>) -> Result<Vec<Meta>> {
        let parsed = if prefix.is_empty() {
            None
        } else {
            Some(Self::path(prefix)?)
        };
        let shown = if prefix.is_empty() {
            &self.name
        } else {
            prefix
        };
        let listing = match after {
            Some(after) => self
                .inner
                .list_with_offset(parsed.as_ref(), &Self::path(after)?),
            None => self.inner.list(parsed.as_ref()),
        };
        let found: Vec<_> = listing
            .try_collect()
            .await
            .map_err(|e| Error::from_storage(shown, e))?;
        let mut metas: Vec<Meta> = found.into_iter().map(to_meta).collect();
        metas.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(metas)
    }
}

/// A file that a writer of a folder left when it died.
#[derive(Clone, Debug)]
pub struct Scrap {
    /// Path below the folder.
    pub path: String,
    /// When it was last written to.
    pub modified: jiff::Timestamp,
}

impl Store {
    /// What writers of a folder left when they died; listings never show it. In a bucket a life-cycle rule
    /// that ends unfinished multipart uploads does this.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn scraps(&self) -> Result<Vec<Scrap>> {
        let Some(root) = &self.folder else {
            return Ok(Vec::new());
        };
        let found = folder::scraps(root).map_err(|e| Error::unavailable(&self.name, e))?;
        let scraps = found.into_iter().filter_map(|(path, modified)| {
            Some(Scrap {
                path: path.strip_prefix(root.as_path()).ok()?.to_str()?.to_owned(),
                modified: modified.try_into().ok()?,
            })
        });
        Ok(scraps.collect())
    }

    /// Removes the folders of a place in which nothing is, and the place itself when nothing is left. A bucket has
    /// none.
    ///
    /// # Errors
    /// When a folder cannot be read.
    pub fn prune(&self) -> Result<()> {
        let Some(root) = &self.folder else {
            return Ok(());
        };
        folder::prune(root).map_err(|e| Error::unavailable(&self.name, e))
    }

    /// Deletes a scrap.
    ///
    /// # Errors
    /// When the folder refuses.
    pub fn discard(&self, scrap: &Scrap) -> Result<()> {
        let Some(root) = &self.folder else {
            return Ok(());
        };
        match std::fs::remove_file(root.join(&scrap.path)) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::unavailable(&scrap.path, e))
            }
            _ => Ok(()),
        }
    }
}

fn to_meta(meta: object_store::ObjectMeta) -> Meta {
    Meta {
        path: meta.location.to_string(),
        size: meta.size,
        tag: meta.e_tag.unwrap_or_default(),
        modified: jiff::Timestamp::from_microsecond(meta.last_modified.timestamp_micros())
            .unwrap_or_default(),
    }
}
