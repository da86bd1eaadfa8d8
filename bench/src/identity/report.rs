//! What was measured, for people and for machines.

use anyhow::Result;

use super::{Figures, Set};

pub(super) fn json(facts: &str, all: &[Figures]) -> Result<()> {
    let document = serde_json::json!({ "machine": facts, "sets": all });
    println!("{}", serde_json::to_string_pretty(&document)?);
    Ok(())
}

pub(super) fn table(facts: &str, all: &[Figures], rules: bool) {
    println!("{facts}\n");
    println!(
        "{:<10} {:>8} {:>8} | {:>6} {:>6} {:>6} {:>6} {:>6} {:>7} | {:>6} {:>11} {:>7} | {:>6} | {:>6} {:>6} {:>6} | {:>6} {:>6} {:>6} | {:>6}",
        "set",
        "records",
        "people",
        "clean",
        "build",
        "train",
        "match",
        "link",
        "CPU s",
        "MB",
        "pairs",
        "M/CPU-s",
        "blocks",
        "P",
        "R",
        "F1",
        "B3 P",
        "B3 R",
        "B3 F1",
        "family"
    );
    for f in all {
        let phase = |name: &str| {
            let found = f.phases.iter().find(|p| p.name == name);
            found.map_or(0.0, |p| p.cpu_seconds)
        };
        let name = match f.set {
            Set::Febrl => "febrl",
            Set::FebrlHard => "febrl-hard",
            Set::Japan => "japan",
        };
        println!(
            "{name:<10} {:>8} {:>8} | {:>6.2} {:>6.2} {:>6.2} {:>6.2} {:>6.2} {:>7.2} | {:>6} {:>11} {:>7.2} | {:.4} | {:.4} {:.4} {:.4} | {:.4} {:.4} {:.4} | {:>5.2}%",
            f.records,
            f.people,
            phase("clean"),
            phase("build"),
            phase("train"),
            phase("match"),
            phase("link"),
            f.cpu_seconds,
            f.peak_megabytes,
            f.pairs,
            f.pairs_per_core_second / 1e6,
            f.blocking_recall,
            f.pairwise.precision,
            f.pairwise.recall,
            f.pairwise.f1,
            f.b_cubed.precision,
            f.b_cubed.recall,
            f.b_cubed.f1,
            f.within_household * 100.0,
        );
    }
    println!("\nSeconds are processor seconds; cleaning is not part of their sum.");
    for f in all.iter().filter(|_| rules) {
        println!("\n{:?}, {} records", f.set, f.records);
        println!(
            "{:<32} {:>9} {:>8} {:>12} {:>10} {:>8} idle",
            "rule", "blocks", "largest", "pairs", "matches", "refined"
        );
        for r in &f.rules {
            println!(
                "{:<32} {:>9} {:>8} {:>12} {:>10.0} {:>8} {}",
                r.rule,
                r.blocks,
                r.largest,
                r.pairs,
                r.matches,
                r.refined,
                if r.idle { "yes" } else { "" }
            );
        }
    }
}
