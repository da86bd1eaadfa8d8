//! Where a checkout's cluster has its files, and what it is called.

use std::{
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Result, ensure};

/// The names of one cluster. Two checkouts have nothing in common.
pub(crate) struct Place {
    /// Its name: of the folder, the control group, the network link.
    pub(crate) name: String,
    /// Folder of everything it writes. A short path: sockets lie in it.
    pub(crate) run: PathBuf,
    /// Address of this machine on the link to the cluster. What pods shall reach listens there.
    pub(crate) host: String,
    /// Address of the cluster on that link. The API server listens there.
    pub(crate) address: String,
}

impl Place {
    /// The cluster of this checkout.
    pub(crate) fn of_this_checkout() -> Self {
        Self::of(&root())
    }

    fn of(checkout: &Path) -> Self {
        let mut hash = DefaultHasher::new();
        checkout.hash(&mut hash);
        let hash = hash.finish();
        let name = format!("musubi-{:06x}", hash & 0xff_ffff);
        let (third, fourth) = ((hash >> 24) & 0xff, (hash >> 32) & 0xfc);
        Self {
            run: Path::new("/var/tmp").join(&name),
            name,
            host: format!("10.245.{third}.{}", fourth | 1),
            address: format!("10.245.{third}.{}", fourth | 2),
        }
    }

    /// What an administrator connects with.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.run.join("kubeconfig")
    }

    /// The log of a program.
    pub(crate) fn log(&self, program: &str) -> PathBuf {
        self.run.join(format!("{program}.log"))
    }

    /// Folder of a node.
    pub(crate) fn node(&self, number: u8) -> PathBuf {
        self.run.join(format!("node-{number}"))
    }

    /// The sockets of the containerds that were started.
    pub(crate) fn containerds(&self) -> Vec<PathBuf> {
        (1..=9)
            .map(|n| self.node(n).join("containerd.sock"))
            .filter(|socket| socket.exists())
            .collect()
    }

    /// The process that holds the cluster's namespaces, when it is up.
    pub(crate) fn holder(&self) -> Option<u32> {
        let holder = fs::read_to_string(self.run.join("holder")).ok()?;
        let holder = holder.trim().parse().ok()?;
        let command = fs::read(format!("/proc/{holder}/cmdline")).ok()?;
        let run = self.run.to_string_lossy();
        command
            .split(|b| *b == 0)
            .any(|word| word == run.as_bytes())
            .then_some(holder)
    }

    /// Removes what a cluster without a holder left, and says when something stays.
    pub(crate) fn sweep(&self) -> Result<()> {
        let status = Command::new("sh")
            .arg(recipe("hold.sh"))
            .arg("sweep")
            .arg(&self.run)
            .arg(&self.name)
            .status()?;
        ensure!(
            status.success() && !self.run.exists(),
            "{} cannot be removed; are you root?",
            self.run.display()
        );
        Ok(())
    }
}

/// Top folder of the checkout.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// A file of the recipe.
pub(crate) fn recipe(name: &str) -> PathBuf {
    root().join("tests/cluster").join(name)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::Place;

    #[test]
    fn two_checkouts_share_nothing() {
        let (a, b) = (
            Place::of(Path::new("/src/musubi")),
            Place::of(Path::new("/src/other")),
        );
        assert_ne!(a.name, b.name);
        assert_ne!(a.run, b.run);
        assert_ne!(a.address, b.address);
        assert!(
            a.name.len() <= 15,
            "a network link of this name: {}",
            a.name
        );
    }
}
