//! `cargo xtask cluster`: a real Kubernetes on this machine, for tests.
//!
//! etcd, the API server, controller manager, scheduler, kubelet, kube-proxy and containerd run as processes in
//! namespaces of their own, one cluster for each checkout. Their programs are built once from Go modules and kept
//! outside of the repository.

pub(crate) mod build;
mod image;
mod place;
mod play;
mod prerequisites;
mod programs;
mod tests;
mod up;

use std::{path::PathBuf, process::Command};

use anyhow::{Context, Result, bail};
use clap::Subcommand;

use place::Place;
pub(crate) use tests::{Held, hold};
use up::Leash;

/// What to do with this checkout's cluster.
#[derive(Subcommand)]
pub(crate) enum Order {
    /// Compile the programs (about 9 minutes on two cores, once for all checkouts).
    Build,
    /// Start the cluster, and print the path of its kubeconfig last.
    Up,
    /// Add a node: a containerd and a kubelet of its own.
    Node {
        /// Number of the node, from 2.
        #[arg(value_parser = clap::value_parser!(u8).range(2..=9))]
        number: u8,
        /// Key of a taint that the node has from its beginning: pods that do not tolerate it keep away.
        #[arg(long, value_name = "KEY")]
        taint: Option<String>,
    },
    /// Kill a node's containerd and kubelet. Its pods run on, as they do on a node that nobody reaches.
    LoseNode {
        /// Number of the node, from 2.
        #[arg(value_parser = clap::value_parser!(u8).range(2..=9))]
        number: u8,
    },
    /// Add nodes that kwok plays. Their pods run nothing, and say at their end what workers would say; they carry the
    /// label and the taint `kwok.x-k8s.io/node=fake`.
    Play {
        /// How many there shall be.
        #[arg(value_parser = clap::value_parser!(u16).range(1..=250))]
        nodes: u16,
    },
    /// Kill the API server, and start it again.
    RestartApiServer,
    /// Pack programs of this machine, with the libraries they need, into an image on every node.
    LoadImage {
        /// Name of the image: `localhost/musubi:dev`.
        name: String,
        /// Programs; they come to lie in `/bin`.
        #[arg(required = true)]
        programs: Vec<PathBuf>,
    },
    /// Say whether the cluster is up, and what its nodes are.
    Status,
    /// End the cluster. Nothing of it is left.
    Down,
}

/// Does as ordered.
pub(crate) fn run(order: &Order) -> Result<()> {
    let place = Place::of_this_checkout();
    match order {
        Order::Build => {
            build::KWOK.run()?;
            println!("{}", build::CLUSTER.run()?.display());
        }
        Order::Up => {
            prerequisites::check()?;
            let programs = build::CLUSTER.run()?;
            up::run(&place, &programs, Leash::None)?;
            println!("{}", place.kubeconfig().display());
        }
        Order::Node { number, taint } => {
            let programs = build::CLUSTER.folder()?;
            up::node(
                &place,
                &programs,
                running(&place)?,
                *number,
                taint.as_deref(),
            )?;
        }
        Order::LoseNode { number } => {
            running(&place)?;
            up::lose(&place, *number)?;
        }
        Order::Play { nodes } => {
            let (programs, kwok) = (build::CLUSTER.folder()?, build::KWOK.run()?);
            play::run(&place, &programs, &kwok, running(&place)?, *nodes)?;
        }
        Order::RestartApiServer => {
            up::restart_api_server(&place, &build::CLUSTER.folder()?, running(&place)?)?;
        }
        Order::LoadImage { name, programs } => {
            running(&place)?;
            image::load_programs(&place, &build::CLUSTER.folder()?, name, programs)?;
        }
        Order::Status => status(&place)?,
        Order::Down => down(&place)?,
    }
    Ok(())
}

/// The holder's number, or what to do.
fn running(place: &Place) -> Result<u32> {
    place
        .holder()
        .context("the cluster of this checkout is not up: cargo xtask cluster up")
}

fn status(place: &Place) -> Result<()> {
    let Some(_) = place.holder() else {
        println!("down; cargo xtask cluster up starts it");
        return Ok(());
    };
    println!("up, KUBECONFIG={}", place.kubeconfig().display());
    let status = Command::new(build::CLUSTER.folder()?.join("kubectl"))
        .arg("--kubeconfig")
        .arg(place.kubeconfig())
        .args(["get", "nodes", "--output=wide"])
        .status()?;
    if !status.success() {
        bail!(
            "the API server does not answer; its log is {}",
            place.log("kube-apiserver").display()
        );
    }
    Ok(())
}

/// Ends the cluster, and removes what a crash left of an earlier one.
pub(crate) fn down(place: &Place) -> Result<()> {
    if let Some(holder) = place.holder() {
        programs::kill(holder)?;
    }
    place.sweep()
}
