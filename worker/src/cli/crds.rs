//! `musubi crds` and `musubi reference`: what is generated from the resource types.

use std::{fs, path::PathBuf, process::ExitCode};

use anyhow::{Context as _, Result};
use musubi_api::reference;

/// Print the definitions that a cluster needs, as YAML.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  musubi crds | kubectl apply --server-side -f -\n  musubi crds --out crds"
)]
pub(super) struct Args {
    /// Write one file a kind into this folder instead.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Runs `musubi crds`.
///
/// # Errors
/// When a file cannot be written.
pub(super) fn definitions(args: &Args) -> Result<ExitCode> {
    let definitions = reference::definitions()?;
    let Some(folder) = &args.out else {
        for (_, yaml) in definitions {
            println!("---\n{}", yaml.trim_end());
        }
        return Ok(ExitCode::SUCCESS);
    };
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for (name, yaml) in definitions {
        let path = folder.join(name);
        fs::write(&path, yaml).with_context(|| format!("cannot write {}", path.display()))?;
        println!("wrote {}", path.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs `musubi reference`.
pub(super) fn page() -> ExitCode {
    print!("{}", reference::page());
    ExitCode::SUCCESS
}
