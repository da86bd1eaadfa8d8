//! Splink beside musubi: the same records, in the same run.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use musubi_identity::evaluate;
use musubi_testing::tools;
use serde::{Deserialize, Serialize};

use super::{Judged, Row, Set, within_household};

const REQUIREMENTS: &str = include_str!("requirements.txt");
const SCRIPT: &str = include_str!("run_splink.py");

/// Match probability from which pairs are put together, by Splink's examples.
const DEFAULT: f64 = 0.95;

/// From so many records on, the rules of its examples make too many pairs.
const LARGE: u64 = 200_000;

/// What was measured of Splink.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Figures {
    pub(super) version: String,
    phases: Vec<Phase>,
    pub(super) peak_megabytes: u64,
    pub(super) pairs: u64,
    pub(super) blocking_recall: f64,
    #[serde(default)]
    pub(super) at_default: Option<Threshold>,
    #[serde(default)]
    pub(super) at_best: Option<Threshold>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Phase {
    name: String,
    cpu_seconds: f64,
    wall_seconds: f64,
}

/// How right it is at a threshold.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Threshold {
    pub(super) probability: f64,
    pub(super) pairwise: Judged,
    pub(super) b_cubed: Judged,
    pub(super) within_household: f64,
}

impl Figures {
    pub(super) fn cpu_seconds(&self) -> f64 {
        self.phases.iter().map(|p| p.cpu_seconds).sum()
    }

    pub(super) fn wall_seconds(&self) -> f64 {
        self.phases.iter().map(|p| p.wall_seconds).sum()
    }

    pub(super) fn pairs_per_core_second(&self) -> f64 {
        let predict = self.phases.iter().find(|p| p.name == "predict");
        self.pairs as f64 / predict.map_or(0.01, |p| p.cpu_seconds.max(0.01))
    }
}

/// Splink, installed.
pub(super) struct Splink(PathBuf);

impl Splink {
    /// Installs it where it is not there yet. Says what is missing, and how to come by it, when that fails.
    pub(super) fn find() -> Option<Self> {
        match tools::environment("splink", REQUIREMENTS) {
            Ok(folder) => Some(Self(folder)),
            Err(error) => {
                eprintln!("Splink is left out: {error}");
                None
            }
        }
    }

    /// Runs it over the records of a set that were copied to a folder.
    pub(super) fn run(&self, set: Set, records: u64, folder: &Path) -> Result<Option<Figures>> {
        let files: Vec<PathBuf> = (0..2)
            .map(|n| records_path(folder, n))
            .filter(|path| path.is_file())
            .collect();
        let (script, pairs) = (folder.join("run_splink.py"), folder.join("pairs.csv"));
        std::fs::write(&script, SCRIPT)?;
        let kind = match set {
            Set::Febrl3 => "febrl3",
            Set::Febrl | Set::FebrlHard if records > LARGE => "febrl-large",
            Set::Febrl4 | Set::Febrl | Set::FebrlHard => "febrl",
            Set::Fake1000 => "fake",
            Set::Japan => "japan",
        };
        let output = Command::new(self.0.join("bin/python"))
            .current_dir(folder)
            .arg(&script)
            .arg(kind)
            .arg(&pairs)
            .args(&files)
            .output()
            .context("start Python")?;
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stderr);
            let last = text.lines().rev().take(3).collect::<Vec<_>>();
            eprintln!("Splink failed on {kind}: {}", last.join(" | "));
            return Ok(None);
        }
        let mut figures: Figures = serde_json::from_slice(&output.stdout)?;
        let truth = truth(&files)?;
        let pairs = scored(&pairs)?;
        let at = |probability: f64| judge(&truth, &pairs, probability);
        figures.at_default = Some(at(DEFAULT));
        let weights = (-2..=20).map(f64::from);
        let best = weights.map(|weight| at(1.0 / (1.0 + (-weight).exp2())));
        figures.at_best = best.max_by(|a, b| a.pairwise.f1.total_cmp(&b.pairwise.f1));
        Ok(Some(figures))
    }
}

fn records_path(folder: &Path, file: usize) -> PathBuf {
    folder.join(format!("records{file}.csv"))
}

/// Person and household of each row.
fn truth(files: &[PathBuf]) -> Result<Vec<(u128, u32, u32)>> {
    let mut truth = Vec::new();
    for file in files {
        for record in csv::Reader::from_path(file)?.records() {
            let record = record?;
            let number = |at: usize| record.get(at).unwrap_or_default().parse::<u32>();
            truth.push((u128::from(number(0)?), number(1)?, number(2)?));
        }
    }
    Ok(truth)
}

/// The scored pairs: two rows and the match weight.
fn scored(path: &Path) -> Result<Vec<(u32, u32, f64)>> {
    let mut pairs = Vec::new();
    for record in csv::Reader::from_path(path)?.records() {
        let record = record?;
        ensure!(record.len() == 3, "{} is malformed", path.display());
        pairs.push((record[0].parse()?, record[1].parse()?, record[2].parse()?));
    }
    Ok(pairs)
}

/// Connected components of the pairs from a probability on, which is what Splink makes of them.
fn judge(truth: &[(u128, u32, u32)], pairs: &[(u32, u32, f64)], probability: f64) -> Threshold {
    let least = (probability / (1.0 - probability)).log2();
    let mut parent: Vec<u32> = (0..truth.len() as u32).collect();
    fn find(parent: &mut [u32], mut x: u32) -> u32 {
        while parent[x as usize] != x {
            parent[x as usize] = parent[parent[x as usize] as usize];
            x = parent[x as usize];
        }
        x
    }
    for (a, b, _) in pairs.iter().filter(|p| p.2 >= least) {
        let (a, b) = (find(&mut parent, *a), find(&mut parent, *b));
        parent[a.max(b) as usize] = a.min(b);
    }
    let cluster: Vec<u32> = (0..truth.len() as u32)
        .map(|x| find(&mut parent, x))
        .collect();
    let people: Vec<u32> = truth.iter().map(|t| t.1).collect();
    Threshold {
        probability,
        pairwise: evaluate::pairwise(&cluster, &people).into(),
        b_cubed: evaluate::b_cubed(&cluster, &people).into(),
        within_household: within_household(&cluster, truth),
    }
}

/// A copy of the records as Splink reads them.
pub(super) struct Copy {
    folder: PathBuf,
    columns: Vec<&'static str>,
    files: Vec<csv::Writer<File>>,
}

impl Copy {
    pub(super) fn create(folder: &Path, set: Set) -> Result<Self> {
        let columns = set.columns().into_iter().map(|name| match name {
            "family_name" => "surname",
            "block" => "street_number",
            "town" => "address_1",
            "building" => "address_2",
            "city" if set != Set::Fake1000 => "suburb",
            "postal_code" => "postcode",
            "prefecture" => "state",
            "birth_date" => "date_of_birth",
            name => name,
        });
        Ok(Self {
            folder: folder.to_owned(),
            columns: columns.collect(),
            files: Vec::new(),
        })
    }

    pub(super) fn write(
        &mut self,
        file: usize,
        number: u64,
        person: u32,
        household: u32,
        row: &Row,
    ) -> Result<()> {
        if self.files.len() == file {
            let mut writer = csv::Writer::from_path(records_path(&self.folder, file))?;
            let first = ["row", "person", "household"];
            writer.write_record(first.iter().chain(&self.columns))?;
            self.files.push(writer);
        }
        let mut cells = vec![
            number.to_string(),
            person.to_string(),
            household.to_string(),
        ];
        cells.extend(row.iter().zip(&self.columns).map(|(value, column)| {
            let value = value.as_deref().unwrap_or_default();
            match *column {
                "date_of_birth" => value.replace('-', ""),
                _ => value.to_owned(),
            }
        }));
        Ok(self.files[file].write_record(&cells)?)
    }
}
