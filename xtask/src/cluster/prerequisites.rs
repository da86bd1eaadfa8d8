//! What the machine has to have before a cluster can run on it.

use std::{fmt, path::Path, process::Command};

use anyhow::{Result, bail};

/// A program or file, and Debian's package that brings it.
const NEEDED: [(&str, &str); 9] = [
    ("ip", "iproute2"),
    ("nft", "nftables"),
    ("nsenter", "util-linux"),
    ("openssl", "openssl"),
    ("runc", "runc"),
    ("tar", "tar"),
    ("unshare", "util-linux"),
    ("/bin/busybox", "busybox-static"),
    ("/usr/lib/cni/bridge", "containernetworking-plugins"),
];

/// What is missing.
pub(crate) struct Missing {
    /// Whether the user is not root.
    pub(crate) root: bool,
    /// Whether there is no Go to build the programs with.
    pub(crate) go: bool,
    /// Debian packages.
    pub(crate) packages: Vec<&'static str>,
}

impl Missing {
    /// Whether Debian brings all that is missing.
    pub(super) fn can_be_installed(&self) -> bool {
        !self.root && !self.go
    }

    /// Whether nothing is missing.
    pub(crate) fn is_nothing(&self) -> bool {
        !self.root && !self.go && self.packages.is_empty()
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a cluster on this machine needs")?;
        if self.root {
            f.write_str("\n  root: a node makes namespaces, mounts and network links")?;
        }
        if self.go {
            f.write_str("\n  Go 1.26 or newer: https://go.dev/dl/")?;
        }
        if !self.packages.is_empty() {
            let packages = self.packages.join(" ");
            write!(f, "\n  programs of Debian: apt-get install -y {packages}")?;
        }
        Ok(())
    }
}

/// Says what is missing.
pub(crate) fn missing() -> Missing {
    let root = !id_is_root();
    let mut packages: Vec<&str> = NEEDED
        .into_iter()
        .filter(|(file, _)| !is_there(file))
        .map(|(_, package)| package)
        .collect();
    packages.dedup();
    let go = !super::build::CLUSTER.is_done() && !is_there("go");
    Missing { root, go, packages }
}

/// Fails with everything that is missing.
pub(crate) fn check() -> Result<()> {
    let missing = missing();
    if missing.is_nothing() {
        return Ok(());
    }
    bail!("{missing}");
}

fn id_is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|out| out.stdout == b"0\n")
}

/// Whether a file is there, or a program on the PATH or where Debian puts those of root.
fn is_there(file: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs = std::env::split_paths(&path);
    let sbin = ["/usr/sbin", "/sbin"].map(|dir| Path::new(dir).to_owned());
    dirs.chain(sbin).any(|dir| dir.join(file).is_file())
}
