//! What was measured, for people and for machines.

use std::path::Path;

use anyhow::{Context as _, Result};
use clap::ValueEnum as _;
use serde_json::{Value, json};

use super::{Figures, Judged};

fn document(facts: &str, all: &[Figures]) -> Result<Value> {
    let sets = all.iter().map(|f| {
        let mut set = serde_json::to_value(f)?;
        if let Some(splink) = &f.splink {
            set["splink"]["cpuSeconds"] = splink.cpu_seconds().into();
            set["splink"]["wallSeconds"] = splink.wall_seconds().into();
            set["splink"]["pairsPerCoreSecond"] = splink.pairs_per_core_second().into();
            set["splinkToMusubi"] = json!({
                "cpuSeconds": splink.cpu_seconds() / f.whole_cpu_seconds().max(0.01),
                "peakMegabytes": splink.peak_megabytes as f64 / f.peak_megabytes.max(1) as f64,
                "pairsPerCoreSecond": splink.pairs_per_core_second() / f.pairs_per_core_second,
            });
        }
        anyhow::Ok(set)
    });
    let sets = sets.collect::<Result<Vec<Value>>>()?;
    Ok(json!({ "machine": facts, "sets": sets }))
}

pub(super) fn write(path: &Path, facts: &str, all: &[Figures]) -> Result<()> {
    let text = serde_json::to_string_pretty(&document(facts, all)?)?;
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
    }
    std::fs::write(path, text).with_context(|| format!("write {}", path.display()))
}

pub(super) fn json(facts: &str, all: &[Figures]) -> Result<()> {
    println!("{}", serde_json::to_string_pretty(&document(facts, all)?)?);
    Ok(())
}

/// A line of the comparison.
struct Line<'a> {
    set: &'a str,
    who: String,
    records: u64,
    cpu: f64,
    wall: f64,
    megabytes: u64,
    pairs: u64,
    rate: f64,
    blocks: f64,
    pairwise: Judged,
    b_cubed: Judged,
    family: f64,
}

impl Line<'_> {
    fn print(&self) {
        println!(
            "{:<10} {:<19} {:>8} | {:>7.2} {:>7.2} {:>6} | {:>11} {:>7.2} | {:>6.4} | {:.4} {:.4} {:.4} | {:.4} {:.4} {:.4} | {:>5.2}%",
            self.set,
            self.who,
            self.records,
            self.cpu,
            self.wall,
            self.megabytes,
            self.pairs,
            self.rate / 1e6,
            self.blocks,
            self.pairwise.precision,
            self.pairwise.recall,
            self.pairwise.f1,
            self.b_cubed.precision,
            self.b_cubed.recall,
            self.b_cubed.f1,
            self.family * 100.0
        );
    }
}

pub(super) fn table(facts: &str, all: &[Figures], rules: bool) {
    println!("{facts}\n");
    println!(
        "{:<10} {:<19} {:>8} | {:>7} {:>7} {:>6} | {:>11} {:>7} | {:>6} | {:<6} {:<6} {:<6} | {:<6} {:<6} {:<6} | {:>6}",
        "set",
        "who",
        "records",
        "CPU s",
        "wall s",
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
        let name = f.set.to_possible_value();
        let name = name.as_ref().map_or("", |n| n.get_name());
        let line = Line {
            set: name,
            who: "musubi".to_owned(),
            records: f.records,
            cpu: f.whole_cpu_seconds(),
            wall: f.whole_wall_seconds(),
            megabytes: f.peak_megabytes,
            pairs: f.pairs,
            rate: f.pairs_per_core_second,
            blocks: f.blocking_recall,
            pairwise: f.pairwise,
            b_cubed: f.b_cubed,
            family: f.within_household,
        };
        line.print();
        let Some(splink) = &f.splink else { continue };
        let thresholds = [("", splink.at_default), (" best", splink.at_best)];
        for (which, at) in thresholds {
            let Some(at) = at else { continue };
            Line {
                who: format!("Splink {}{which} {:.3}", splink.version, at.probability),
                cpu: splink.cpu_seconds(),
                wall: splink.wall_seconds(),
                megabytes: splink.peak_megabytes,
                pairs: splink.pairs,
                rate: splink.pairs_per_core_second(),
                blocks: splink.blocking_recall,
                pairwise: at.pairwise,
                b_cubed: at.b_cubed,
                family: at.within_household,
                ..line
            }
            .print();
        }
        println!(
            "{:<10} {:<19} {:>8} | {:>6.1}x {:>6.1}x {:>5.1}x | {:>11} {:>6.2}x |",
            "",
            "Splink to musubi",
            "",
            splink.cpu_seconds() / f.whole_cpu_seconds().max(0.01),
            splink.wall_seconds() / f.whole_wall_seconds().max(0.01),
            splink.peak_megabytes as f64 / f.peak_megabytes.max(1) as f64,
            "",
            splink.pairs_per_core_second() / f.pairs_per_core_second,
        );
    }
    println!(
        "\nSeconds are those of cleaning, features, training, matching and linking; of Splink, of load, training, prediction\n\
         and clustering. `blocks` is the share of true pairs that are compared, `family` the share of pairs put together\n\
         that are two members of one household."
    );
    println!(
        "\n{:<10} {:>8} | {:>6} {:>6} {:>6} {:>6} {:>6}",
        "set", "records", "clean", "build", "train", "match", "link"
    );
    for f in all {
        let phase = |name: &str| {
            let found = f.phases.iter().find(|p| p.name == name);
            found.map_or(0.0, |p| p.cpu_seconds)
        };
        let name = f.set.to_possible_value();
        println!(
            "{:<10} {:>8} | {:>6.2} {:>6.2} {:>6.2} {:>6.2} {:>6.2}",
            name.as_ref().map_or("", |n| n.get_name()),
            f.records,
            phase("clean"),
            phase("build"),
            phase("train"),
            phase("match"),
            phase("link"),
        );
    }
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
