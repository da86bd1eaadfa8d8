//! What can go wrong with storage, by what the caller can do about it.

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

    pub(crate) fn from_storage(path: &str, error: object_store::Error) -> Self {
        let path = path.to_owned();
        match error {
            // A listing's refusal has no kind of its own.
            error if error.to_string().contains("NoSuchBucket") => Self::unavailable(
                &path,
                "there is no such bucket; make it, or correct its name",
            ),
            object_store::Error::NotFound { .. } => Self::NotFound { path },
            object_store::Error::AlreadyExists { .. } => Self::AlreadyExists { path },
            object_store::Error::Precondition { .. } => Self::Conflict { path },
            object_store::Error::PermissionDenied { .. }
            | object_store::Error::Unauthenticated { .. } => Self::PermissionDenied { path },
            error if error.to_string().contains("status code: 403") => {
                Self::PermissionDenied { path }
            }
            other => Self::Unavailable {
                path,
                source: Box::new(other),
            },
        }
    }
}

/// Whether a request failed on its way, so that nobody knows whether it was done.
pub(crate) fn is_transport(error: &object_store::Error) -> bool {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = source {
        if error.is::<object_store::client::HttpError>() {
            return true;
        }
        source = error.source();
    }
    false
}
