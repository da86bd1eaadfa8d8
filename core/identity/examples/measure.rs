//! Measures accuracy and cost of the engine, with default settings, on labelled sets.
//!
//!     cargo run --release -p musubi-identity --example measure -- DATA [WORLD...]
//!
//! DATA is a folder with `dataset3.csv` (FEBRL 3), `dataset4a.csv`, `dataset4b.csv` (FEBRL 4) and `fake_1000.csv`;
//! those that exist are measured. A WORLD is a folder that `musubi demo --out WORLD` made. `reach` is the recall that evidence
//! without a slip allows: chains of records that share a number, a contact, a street or a birth date.

#[path = "../tests/common/mod.rs"]
mod common;

use std::path::Path;

use anyhow::Result;
use common::{Labelled, Measured};
use musubi_identity::evaluate;

fn main() -> Result<()> {
    println!(
        "{:<22} {:>8} {:>7} | {:>6} {:>6} {:>6} | {:>6} {:>6} {:>6} | {:>6} | {:>6} {:>6} {:>7} | {:>9} {:>6} {:>6} {:>6} {:>6} {:>7}",
        "set",
        "records",
        "people",
        "P",
        "R",
        "F1",
        "B3 P",
        "B3 R",
        "B3 F1",
        "exact",
        "reach",
        "blocks",
        "family",
        "pairs",
        "build",
        "train",
        "match",
        "link",
        "M/CPU-s"
    );
    for root in std::env::args().skip(1) {
        let root = Path::new(&root);
        let at = |name: &str| root.join(name);
        let all_exist = |names: &[&str]| names.iter().all(|n| at(n).exists());
        if all_exist(&["dataset3.csv"]) {
            report(
                "FEBRL 3",
                &common::load_febrl(&[&at("dataset3.csv")], "au")?,
            )?;
        }
        if all_exist(&["dataset4a.csv", "dataset4b.csv"]) {
            let files = [at("dataset4a.csv"), at("dataset4b.csv")];
            report(
                "FEBRL 4",
                &common::load_febrl(&[&files[0], &files[1]], "au")?,
            )?;
        }
        if all_exist(&["fake_1000.csv"]) {
            report("fake_1000", &common::load_fake(&at("fake_1000.csv"))?)?;
        }
        if all_exist(&["truth/people.csv"]) {
            let name = root.file_name().unwrap_or_default().to_string_lossy();
            report(&name, &common::load_world(root)?)?;
        }
    }
    Ok(())
}

fn report(name: &str, set: &Labelled) -> Result<()> {
    let m = Measured::of(set, 4)?;
    let (p, b, e) = (m.pairwise(), m.b_cubed(), m.exact());
    let people = m.truth.iter().max().map_or(0, |n| n + 1);
    println!(
        "{name:<22} {:>8} {people:>7} | {:.4} {:.4} {:.4} | {:.4} {:.4} {:.4} | {:.4} | {:.4} {:.4} {:>6.3}% | {:>9} {:>6.2} {:>6.2} {:>6.2} {:>6.2} {:>7.2}",
        m.matcher.features().len(),
        p.precision,
        p.recall,
        p.f1,
        b.precision,
        b.recall,
        b.f1,
        e.f1,
        m.reachable()?,
        evaluate::blocking_recall(&m.matcher, &m.truth),
        m.within_household() * 100.0,
        m.pairs,
        m.cpu[0],
        m.cpu[1],
        m.cpu[2],
        m.cpu[3],
        m.pairs as f64 / 1e6 / m.cpu[2].max(0.01),
    );
    Ok(())
}
