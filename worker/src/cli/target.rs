//! Which pipeline a command is about, and its lake.

use std::path::PathBuf;

use anyhow::Result;
use musubi_api::{run::Run, secrets::Secrets};

use super::output;
use crate::{dedupe::Again, stage::Context};

/// The resources of the pipeline that a command is about.
#[derive(Debug, clap::Args)]
pub(super) struct Target {
    /// Files and folders that hold the resources; may be given several times.
    #[arg(short = 'f', long = "file", value_name = "PATH", default_value = ".")]
    pub(super) files: Vec<PathBuf>,
    /// The pipeline, when there are several.
    #[arg(short, long)]
    pub(super) pipeline: Option<String>,
}

impl Target {
    /// The run that would be made of the resources now.
    ///
    /// # Errors
    /// When the resources are wrong.
    pub(super) fn resolve(&self) -> Result<(Run, Secrets)> {
        super::resolve(&self.files, self.pipeline.as_deref())
    }

    /// The pipeline's lake.
    ///
    /// # Errors
    /// When the resources are wrong, or the lake cannot be opened.
    pub(super) fn open(&self) -> Result<Context> {
        let (run, secrets) = self.resolve()?;
        Context::open(run, secrets)
    }

    /// Takes the CSV files out of what was given as files. What is left are resources.
    pub(super) fn take_csv(&mut self) -> Vec<PathBuf> {
        let is_csv = |p: &PathBuf| p.extension().is_some_and(|e| e.eq_ignore_ascii_case("csv"));
        let (csv, resources) = std::mem::take(&mut self.files)
            .into_iter()
            .partition(is_csv);
        self.files = resources;
        if self.files.is_empty() {
            self.files.push(".".into());
        }
        csv
    }
}

/// What musubi dedupe wrote, in place of a lake.
#[derive(Debug, clap::Args)]
pub(super) struct Files {
    /// The folder that musubi dedupe wrote, in place of a lake; its inputs are read again.
    #[arg(long, value_name = "DIR")]
    dedupe: Option<PathBuf>,
    /// Where an input of --dedupe is now, if it was moved; for each of them, in their order.
    #[arg(long, value_name = "FILE", requires = "dedupe")]
    input: Vec<PathBuf>,
}

impl Files {
    /// What is in the folder; nothing where none is named.
    ///
    /// # Errors
    /// When it is no such folder, or an input is gone or other than it was.
    pub(super) async fn open(&self) -> Result<Option<Again>> {
        let Some(folder) = self.dedupe.clone() else {
            return Ok(None);
        };
        let moved = self.input.clone();
        let busy = output::working("reading the records again");
        let again = tokio::task::spawn_blocking(move || Again::open(&folder, &moved)).await?;
        busy.finish_and_clear();
        again.map(Some)
    }
}
