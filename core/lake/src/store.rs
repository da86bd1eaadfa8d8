//! One small interface over folders and buckets.

use std::{path::PathBuf, sync::Arc};

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::{
    ObjectStore, ObjectStoreExt, PutMode, PutOptions, UpdateVersion, WriteMultipart,
    aws::AmazonS3Builder, local::LocalFileSystem, path::Path, prefix::PrefixStore,
};

use crate::folder;

/// What a storage call could not do, by what the caller can do about it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such object.
    #[error("{path}: not found in the lake")]
    NotFound {
        /// Path in the lake.
        path: String,
    },
    /// Put-if-absent found an object.
    #[error("{path}: exists already")]
    AlreadyExists {
        /// Path in the lake.
        path: String,
    },
    /// Compare-and-swap found another version.
    #[error("{path}: was changed by somebody else")]
    Conflict {
        /// Path in the lake.
        path: String,
    },
    /// The server refused.
    #[error(
        "{path}: permission denied; check the credentials and the policy of the bucket or folder"
    )]
    PermissionDenied {
        /// Path in the lake.
        path: String,
    },
    /// An object that musubi wrote cannot be read.
    #[error("{path}: not readable as {what}: {why}")]
    Corrupt {
        /// Path in the lake.
        path: String,
        /// What it should be.
        what: &'static str,
        /// What is wrong.
        why: String,
    },
    /// The lake belongs to another pipeline.
    #[error("this lake belongs to pipeline {owner}; give {claimant} a folder or prefix of its own")]
    Owned {
        /// Who holds it.
        owner: String,
        /// Who asked.
        claimant: String,
    },
    /// Anything else; a later try may succeed.
    #[error("{path}: {source}")]
    Unavailable {
        /// Path in the lake.
        path: String,
        /// What the storage said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Result of a storage call.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error of unknown kind at a path.
    pub fn unavailable(
        path: &str,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Unavailable {
            path: path.into(),
            source: source.into(),
        }
    }

    /// A file that cannot be read as what it should be.
    pub fn corrupt(path: &str, what: &'static str, why: impl std::fmt::Display) -> Self {
        Self::Corrupt {
            path: path.into(),
            what,
            why: why.to_string(),
        }
    }

    fn from_storage(path: &str, error: object_store::Error) -> Self {
        let path = path.to_owned();
        match error {
            object_store::Error::NotFound { .. } => Self::NotFound { path },
            object_store::Error::AlreadyExists { .. } => Self::AlreadyExists { path },
            object_store::Error::Precondition { .. } => Self::Conflict { path },
            object_store::Error::PermissionDenied { .. }
            | object_store::Error::Unauthenticated { .. } => Self::PermissionDenied { path },
            other => Self::Unavailable {
                path,
                source: Box::new(other),
            },
        }
    }
}

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
}

impl Store {
    /// Opens a place.
    ///
    /// # Errors
    /// When a folder cannot be made, or a bucket's settings are unusable.
    pub fn open(location: &Location) -> Result<Self> {
        match location {
            Location::Folder(path) => {
                let name = path.display().to_string();
                std::fs::create_dir_all(path).map_err(|e| Error::unavailable(&name, e))?;
                let root = path
                    .canonicalize()
                    .map_err(|e| Error::unavailable(&name, e))?;
                let inner = LocalFileSystem::new_with_prefix(&root)
                    .map_err(|e| Error::from_storage(&name, e))?;
                Ok(Self {
                    inner: Arc::new(inner),
                    folder: Some(Arc::new(root)),
                    name: name.into(),
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
                let mut builder = AmazonS3Builder::from_env().with_bucket_name(bucket);
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
                })
            }
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
        if let Some(root) = &self.folder {
            return folder::read(root, path).map(|(bytes, tag)| (bytes, Tag(tag)));
        }
        let found = self
            .inner
            .get(&Self::path(path)?)
            .await
            .map_err(|e| Error::from_storage(path, e))?;
        let tag = Tag(found.meta.e_tag.clone().unwrap_or_default());
        let bytes = found
            .bytes()
            .await
            .map_err(|e| Error::from_storage(path, e))?;
        Ok((bytes, tag))
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
            Ok(meta) => Ok(Some(to_meta(meta))),
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

    /// Writes an object unless one is there.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`] and those of the storage.
    pub async fn create(&self, path: &str, bytes: Bytes) -> Result<()> {
        if let Some(root) = &self.folder {
            return folder::create(root, path, &bytes);
        }
        let options = PutOptions::from(PutMode::Create);
        self.inner
            .put_opts(&Self::path(path)?, bytes.into(), options)
            .await
            .map_err(|e| Error::from_storage(path, e))?;
        Ok(())
    }

    /// Replaces an object if it is still the version that was read.
    ///
    /// # Errors
    /// [`Error::Conflict`] and those of the storage.
    pub async fn swap(&self, path: &str, bytes: Bytes, tag: &Tag) -> Result<()> {
        if let Some(root) = &self.folder {
            return folder::swap(root, path, &bytes, &tag.0);
        }
        let version = UpdateVersion {
            e_tag: Some(tag.0.clone()),
            version: None,
        };
        let options = PutOptions::from(PutMode::Update(version));
        self.inner
            .put_opts(&Self::path(path)?, bytes.into(), options)
            .await
            .map_err(|e| Error::from_storage(path, e))?;
        Ok(())
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
        let listing = match after {
            Some(after) => self
                .inner
                .list_with_offset(parsed.as_ref(), &Self::path(after)?),
            None => self.inner.list(parsed.as_ref()),
        };
        let found: Vec<_> = listing
            .try_collect()
            .await
            .map_err(|e| Error::from_storage(prefix, e))?;
        let mut metas: Vec<Meta> = found.into_iter().map(to_meta).collect();
        metas.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(metas)
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
