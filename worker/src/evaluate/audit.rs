//! Without truth: a sample of pairs to be labelled by people, and what the labels tell. The sample holds record ids
//! only; whoever labels it looks the records up where they may be seen.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context as _, Result, bail, ensure};
use musubi_identity::evaluate::{self, Audit, Calibration, Forecast, Labelled};
use serde::Serialize;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::partition::{Pair, Partition};
use crate::sheet::Sheet;

const HEADER: [&str; 6] = ["left", "right", "probability", "stratum", "pairs", "same"];

/// What a labelled sample tells.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Audited {
    /// Match probability from which pairs are one person.
    pub threshold: f64,
    /// The strata, by their lowest probability.
    pub strata: Vec<Labelled>,
    /// Lines that nobody has labelled.
    pub open: u64,
    /// Whether probabilities mean what they say, as the labelled pairs of each stratum stand for all of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calibration: Option<Calibration>,
    /// Estimates.
    #[serde(flatten)]
    pub estimates: Audit,
}

/// Writes a sample of so many pairs for each stratum of probability. Gives how many were written.
///
/// # Errors
/// When there is no pair, or the file cannot be written.
pub fn sample(partition: &Partition, path: &Path, each: usize, seed: u64) -> Result<u64> {
    ensure!(
        !partition.pairs.is_empty(),
        "{} has no scored pairs to sample from",
        partition.of
    );
    ensure!(
        !path.exists(),
        "{} is there already: remove it, or choose another name",
        path.display()
    );
    let ends = evaluate::strata(partition.threshold.max(0.5));
    let mut strata: BTreeMap<usize, Vec<&Pair>> = BTreeMap::new();
    for pair in &partition.pairs {
        let p = f64::from(pair.probability);
        let stratum = ends.iter().rposition(|low| p >= *low).unwrap_or(0);
        strata.entry(stratum).or_default().push(pair);
    }
    let mut writer =
        csv::Writer::from_path(path).with_context(|| format!("cannot write {}", path.display()))?;
    writer.write_record(HEADER)?;
    let mut written = 0;
    for (stratum, mut pairs) in strata {
        let all = pairs.len().to_string();
        // By a hash of the pair: the same sample again, whatever order the pairs come in.
        pairs.sort_by_cached_key(|p| {
            let name = format!("{} {}", partition.name(p.left), partition.name(p.right));
            xxh3_64_with_seed(name.as_bytes(), seed)
        });
        for pair in pairs.into_iter().take(each) {
            let probability = format!("{:.6}", pair.probability);
            let low = ends[stratum].to_string();
            let (left, right) = (partition.name(pair.left), partition.name(pair.right));
            writer.write_record([&left, &right, &probability, &low, &all, ""])?;
            written += 1;
        }
    }
    writer.flush()?;
    Ok(written)
}

/// What the labels of a sample tell. `threshold` is the one that the sample was made at.
///
/// # Errors
/// When the file is no sample, a label cannot be understood, or there is none.
pub fn estimate(path: &Path, threshold: f64) -> Result<Audited> {
    let mut sheet = Sheet::open(path, "the sample")?;
    let shown = sheet.shown.clone();
    let at = |name: &str| {
        sheet.at(name).with_context(|| {
            format!("{shown} has no column {name}: is it the file that --sample wrote?")
        })
    };
    let (stratum, pairs, same) = (at("stratum")?, at("pairs")?, at("same")?);
    let probability = at("probability")?;
    let mut forecasts: Vec<(u64, Forecast)> = Vec::new();
    let mut strata: BTreeMap<u64, Labelled> = BTreeMap::new();
    let mut open = 0;
    for line in sheet.lines() {
        let (line, record) = line?;
        let number = |at: usize, name: &str| -> Result<f64> {
            let cell = record.get(at).unwrap_or_default();
            cell.parse().ok().filter(|n: &f64| n.is_finite()).with_context(|| {
                format!("{shown} line {line}: column {name} was a number when the sample was written")
            })
        };
        let from = number(stratum, "stratum")?;
        let of = strata.entry(from.to_bits()).or_insert(Labelled {
            from,
            ..Labelled::default()
        });
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a count"
        )]
        let all = number(pairs, "pairs")?.max(0.0) as u64;
        of.pairs = of.pairs.max(all);
        let label = record.get(same).unwrap_or_default();
        if label.is_empty() {
            open += 1;
            continue;
        }
        let Some(yes) = musubi_clean::flag::parse(label).value else {
            bail!(
                "{shown} line {line}: column same holds neither yes nor no; leave it empty where nobody can tell"
            );
        };
        of.labelled += 1;
        of.same += u64::from(yes);
        #[expect(clippy::cast_possible_truncation, reason = "a probability")]
        let probability = number(probability, "probability")? as f32;
        let forecast = Forecast {
            probability,
            same: yes,
            pairs: 1.0,
        };
        forecasts.push((from.to_bits(), forecast));
    }
    #[expect(clippy::cast_precision_loss, reason = "counts of pairs")]
    for (stratum, forecast) in &mut forecasts {
        let of = &strata[stratum];
        forecast.pairs = of.pairs.max(of.labelled) as f64 / of.labelled as f64;
    }
    let strata: Vec<Labelled> = strata.into_values().collect();
    ensure!(
        strata.iter().any(|s| s.labelled > 0),
        "{shown}: nobody has labelled a pair yet; write yes or no into column same"
    );
    let estimates = evaluate::audit(&strata, threshold);
    Ok(Audited {
        threshold,
        strata,
        open,
        calibration: evaluate::calibration(forecasts.into_iter().map(|f| f.1)),
        estimates,
    })
}
