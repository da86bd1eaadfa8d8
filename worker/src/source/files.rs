//! Files of a folder.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path};

use anyhow::{Context as _, Result, bail};

use super::SourceObject;

/// Every file below a folder, with paths that start at it. Links to folders are not followed.
pub(super) fn list(root: &Path) -> Result<Vec<SourceObject>> {
    if !root.is_dir() {
        bail!(
            "connector.folder.path: there is no folder {}; make it or correct the path",
            root.display()
        );
    }
    let mut found = Vec::new();
    walk(root, "", &mut found)?;
    Ok(found)
}

fn walk(folder: &Path, prefix: &str, found: &mut Vec<SourceObject>) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))?;
    for entry in entries {
        let entry = entry.with_context(|| format!("list {}", folder.display()))?;
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|n| !n.starts_with('.')) else {
            continue;
        };
        let path = format!("{prefix}{name}");
        if entry.file_type()?.is_dir() {
            walk(&entry.path(), &format!("{path}/"), found)?;
            continue;
        }
        let meta = fs::metadata(entry.path())
            .with_context(|| format!("look at {}", entry.path().display()))?;
        if meta.is_file() {
            let tag = format!(
                "{:x}-{:x}-{:x}",
                meta.ino(),
                meta.mtime() * 1_000_000_000 + meta.mtime_nsec(),
                meta.len()
            );
            found.push(SourceObject {
                path,
                size: meta.len(),
                tag,
                date: None,
            });
        }
    }
    Ok(())
}
