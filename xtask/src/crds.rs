//! Writes what is generated from the resource types.

use std::{fs, path::Path};

use anyhow::Context;
use musubi_api::reference;

/// The repository's root.
fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}

/// Writes `crds/*.yaml`.
pub(crate) fn definitions() -> anyhow::Result<()> {
    let folder = root().join("crds");
    fs::create_dir_all(&folder)?;
    for (name, yaml) in reference::definitions()? {
        write(&folder.join(name), &yaml)?;
    }
    Ok(())
}

/// Writes `docs/reference.md`.
pub(crate) fn page() -> anyhow::Result<()> {
    let folder = root().join("docs");
    fs::create_dir_all(&folder)?;
    write(&folder.join("reference.md"), &reference::page())
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    println!("wrote {}", path.display());
    Ok(())
}
