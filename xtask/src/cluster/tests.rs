//! The cluster that `cargo xtask test` brings up for its tests, and ends with them.

use std::{path::PathBuf, process::ChildStdin};

use anyhow::Result;

use super::{Leash, Place, build, down, image, prerequisites, up};

/// Image with the programs under test.
const IMAGE: &str = "localhost/musubi:test";

/// A cluster, as long as this value lives.
pub(crate) struct Held {
    place: Place,
    /// Folder with `kubectl` and `helm`.
    tools: PathBuf,
    /// Folder with Kueue.
    kueue: PathBuf,
    /// The same image by its digest, for upgrades.
    next: String,
    /// None when the cluster was up before: it stays.
    leash: Option<ChildStdin>,
}

impl Held {
    /// What tests find the cluster by.
    pub(crate) fn environment(&self) -> Vec<(&'static str, String)> {
        let kubeconfig = self.place.kubeconfig().display().to_string();
        vec![
            ("MUSUBI_KUBECONFIG", kubeconfig),
            ("MUSUBI_CLUSTER_HOST", self.place.host.clone()),
            ("MUSUBI_CLUSTER_TOOLS", self.tools.display().to_string()),
            ("MUSUBI_CLUSTER_XTASK", this_program()),
            ("MUSUBI_KUEUE", self.kueue.display().to_string()),
            ("MUSUBI_IMAGE", IMAGE.into()),
            ("MUSUBI_IMAGE_NEXT", self.next.clone()),
        ]
    }
}

/// What tests play failures of the cluster with.
fn this_program() -> String {
    // It may have been built anew since it was started.
    let here = std::env::current_exe().unwrap_or_default();
    here.with_file_name("xtask").display().to_string()
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.leash.is_some()
            && let Err(error) = down(&self.place)
        {
            eprintln!("cluster: {error:#}");
        }
    }
}

/// Brings a cluster up with programs that were built; says why when this machine cannot.
pub(crate) fn hold(
    programs: &[PathBuf],
    install: impl Fn(&str) -> Result<()>,
) -> Result<Option<Held>> {
    let missing = prerequisites::missing();
    if missing.can_be_installed() {
        for package in &missing.packages {
            install(package)?;
        }
    }
    let missing = prerequisites::missing();
    if !missing.is_nothing() {
        println!("cluster: NOT TESTED: {missing}");
        return Ok(None);
    }
    let bin = build::CLUSTER.run()?;
    let kueue = build::KUEUE.run()?;
    // Tests ask for played nodes when they are under way.
    build::KWOK.run()?;
    let place = Place::of_this_checkout();
    let leash = match place.holder() {
        Some(_) => None,
        None => up::run(&place, &bin, Leash::Held)?,
    };
    let mut held = Held {
        place,
        tools: bin.clone(),
        kueue: kueue.parent().unwrap_or(&kueue).to_owned(),
        next: String::new(),
        leash,
    };
    held.next = image::load_programs(&held.place, &bin, IMAGE, programs)?;
    Ok(Some(held))
}
