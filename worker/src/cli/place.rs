//! Which lake a command is about: that of a pipeline's resources, or one named by its place.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use musubi_lake::{Location, Store, pointer};

use crate::stage::Context;

/// The lake.
#[derive(Debug, clap::Args)]
pub(super) struct Place {
    /// Files and folders that hold the resources; may be given several times.
    #[arg(
        short = 'f',
        long = "file",
        value_name = "PATH",
        required_unless_present = "lake"
    )]
    files: Vec<PathBuf>,
    /// The pipeline, when there are several.
    #[arg(short, long)]
    pipeline: Option<String>,
    /// The lake itself instead of resources: a folder, or s3://BUCKET/PREFIX with the AWS variables of the
    /// environment.
    #[arg(long, value_name = "PLACE", conflicts_with_all = ["files", "pipeline"])]
    lake: Option<String>,
}

/// A lake that is open.
pub(super) struct Opened {
    /// The lake.
    pub(super) store: Store,
    /// Who owns it: `namespace/name`.
    pub(super) pipeline: String,
    /// What the resources say, when they were given.
    pub(super) context: Option<Context>,
}

impl Place {
    /// Opens the lake.
    ///
    /// # Errors
    /// When the resources are wrong, or the place is no lake.
    pub(super) async fn open(&self) -> Result<Opened> {
        let Some(place) = &self.lake else {
            return self.of_resources();
        };
        let store = store(place)?;
        let owner = pointer::owner(&store).await?;
        Ok(Opened {
            pipeline: owner.with_context(|| {
                format!("--lake {place}: this is no lake of musubi's; it has no owner.json")
            })?,
            store,
            context: None,
        })
    }

    /// Opens the lake of a pipeline that is known, whether anything is there or not.
    ///
    /// # Errors
    /// Those of [`Place::open`].
    pub(super) async fn open_for(&self, pipeline: Option<&str>) -> Result<(Store, String)> {
        if let (Some(place), Some(pipeline)) = (&self.lake, pipeline) {
            return Ok((store(place)?, pipeline.to_owned()));
        }
        let opened = self.open().await?;
        let pipeline = pipeline.map_or(opened.pipeline, str::to_owned);
        Ok((opened.store, pipeline))
    }

    fn of_resources(&self) -> Result<Opened> {
        let (run, secrets) = super::resolve(&self.files, self.pipeline.as_deref())?;
        let pipeline = format!("{}/{}", run.namespace, run.pipeline);
        let context = Context::open(run, secrets)?;
        Ok(Opened {
            store: context.store.clone(),
            pipeline,
            context: Some(context),
        })
    }
}

/// A lake by its place.
fn store(place: &str) -> Result<Store> {
    let location = match place.strip_prefix("s3://") {
        Some(rest) => {
            let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
            Location::S3 {
                bucket: bucket.into(),
                prefix: prefix.trim_matches('/').into(),
                region: None,
                endpoint: None,
                keys: None,
            }
        }
        None => {
            let folder = PathBuf::from(place);
            if !folder.is_dir() {
                bail!("--lake {place}: there is no such folder");
            }
            Location::Folder(folder)
        }
    };
    Ok(Store::open(&location)?)
}
