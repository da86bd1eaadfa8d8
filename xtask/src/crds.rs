//! Writes what is generated from the resource types, with the program that was built from them.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result, bail};

/// Writes `crds/*.yaml` and `docs/reference.md`.
pub(crate) fn run() -> Result<()> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = here.parent().unwrap_or(here);
    let folder = root.join("crds");
    print!("{}", musubi(&["crds", "--out", &folder.to_string_lossy()])?);
    let page = root.join("docs/reference.md");
    fs::write(&page, musubi(&["reference"])?)
        .with_context(|| format!("cannot write {}", page.display()))?;
    println!("wrote {}", page.display());
    Ok(())
}

/// What a command of the program prints.
fn musubi(args: &[&str]) -> Result<String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let out = Command::new(cargo)
        .args(["run", "--quiet", "--package", "musubi", "--"])
        .args(args)
        .output()
        .context("start cargo")?;
    if !out.status.success() {
        bail!(
            "musubi {} failed: {}",
            args.join(" "),
            String::from_utf8_lossy(&out.stderr).trim()
        );
    }
    String::from_utf8(out.stdout).context("musubi printed what is not text")
}
