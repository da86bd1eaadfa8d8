//! `musubi evaluate` and `musubi explain` on a published lake, and on what `musubi dedupe` wrote.

use std::{fs, path::Path, process::Command};

use anyhow::{Context as _, Result, ensure};
use musubi::demo::{examples, world::World};
use serde_json::Value;

fn musubi(folder: &Path, args: &[&str]) -> Result<(bool, String)> {
    let output = Command::new(env!("CARGO_BIN_EXE_musubi"))
        .args(args)
        .current_dir(folder)
        .output()?;
    let said = if output.status.success() {
        output.stdout
    } else {
        output.stderr
    };
    Ok((output.status.success(), String::from_utf8(said)?))
}

fn json(folder: &Path, args: &[&str]) -> Result<Value> {
    let (done, text) = musubi(folder, &[args, &["-o", "json"]].concat())?;
    ensure!(done, "{text}");
    serde_json::from_str(&text).context(text)
}

fn number(value: &Value, path: &str) -> Result<f64> {
    let found = value.pointer(path).and_then(Value::as_f64);
    found.with_context(|| format!("no number at {path} in {value:#}"))
}

fn text<'a>(value: &'a Value, path: &str) -> Result<&'a str> {
    let found = value.pointer(path).and_then(Value::as_str);
    found.with_context(|| format!("no text at {path} in {value:#}"))
}

/// Labels every line of a sample: the first of each stratum is two people, all others one.
fn label(sample: &str) -> String {
    let mut seen = std::collections::BTreeSet::new();
    let mut lines = sample.lines();
    let mut out = format!("{}\n", lines.next().unwrap_or_default());
    for line in lines {
        let stratum = line.split(',').nth(3).unwrap_or_default();
        let label = if seen.insert(stratum.to_owned()) {
            "no"
        } else {
            "yes"
        };
        out.push_str(&format!("{line}{label}\n"));
    }
    out
}

#[test]
fn a_published_lake_is_judged_and_explained() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    examples::write(folder)?;
    World::generate(300, 2, 1, folder)?;
    let (done, said) = musubi(folder, &["run", "-f", "."])?;
    ensure!(done, "{said}");

    // Against the truth.
    let found = json(folder, &["evaluate", "--truth", "truth/people.csv"])?;
    assert!(number(&found, "/total/pairwise/f1")? > 0.7, "{found:#}");
    let f1 = number(&found, "/total/pairwise/f1")?;
    let (low, high) = (
        number(&found, "/intervals/pairwise/low")?,
        number(&found, "/intervals/pairwise/high")?,
    );
    assert!(low <= f1 && f1 <= high && low < high, "{found:#}");
    let sum = |of: &str| -> Result<f64> {
        let segments = found[of].as_object().context("segments")?;
        let each = segments.values().map(|s| number(s, "/records"));
        each.sum()
    };
    for of in ["bySource", "bySize"] {
        assert_eq!(sum(of)?, number(&found, "/records")?, "{of}");
    }
    assert!(found["bySource"]["loyalty"].is_object(), "{found:#}");
    let curve = found["curve"].as_array().context("a curve")?;
    let recall: Vec<f64> = curve
        .iter()
        .map(|p| number(p, "/recall"))
        .collect::<Result<_>>()?;
    assert!(recall.is_sorted() && curve.len() > 5, "{recall:?}");
    let bins = found["calibration"]["bins"].as_array().context("bins")?;
    let pairs: f64 = bins
        .iter()
        .map(|b| number(b, "/pairs"))
        .sum::<Result<_>>()?;
    let last = curve.last().context("a point")?;
    assert_eq!(pairs, number(last, "/pairs")?, "{found:#}");
    let (done, shown) = musubi(folder, &["evaluate", "--truth", "truth/people.csv"])?;
    assert!(done && shown.contains("records (B-cubed)"), "{shown}");

    // Without truth: a sample, labelled, and what it tells.
    let (done, said) = musubi(
        folder,
        &["evaluate", "--sample", "pairs.csv", "--each", "20"],
    )?;
    ensure!(done, "{said}");
    let sample = fs::read_to_string(folder.join("pairs.csv"))?;
    assert!(sample.lines().count() > 40);
    let (done, said) = musubi(folder, &["evaluate", "--labels", "pairs.csv"])?;
    assert!(
        !done && said.contains("nobody has labelled a pair yet"),
        "{said}"
    );
    fs::write(folder.join("pairs.csv"), label(&sample))?;
    let audited = json(folder, &["evaluate", "--labels", "pairs.csv"])?;
    let precision = number(&audited, "/precision/value")?;
    assert!((0.9..1.0).contains(&precision), "{audited:#}");
    assert!(number(&audited, "/precision/low")? < precision);
    // The labelled pairs stand for all of their strata.
    let sum = |of: &str, what: &str| -> Result<f64> {
        let all = audited.pointer(of).and_then(Value::as_array);
        all.context("a list")?.iter().map(|s| number(s, what)).sum()
    };
    let (shown, kept) = (
        sum("/calibration/bins", "/pairs")?,
        sum("/strata", "/pairs")?,
    );
    assert!((shown - kept).abs() <= 10.0, "{audited:#}");
    assert_eq!(
        sum("/calibration/bins", "/labelled")?,
        sum("/strata", "/labelled")?
    );

    // Two records, and the customer that they are in.
    let line = sample.lines().last().context("a line")?;
    let mut cells = line.split(',');
    let (left, right) = (
        cells.next().context("left")?,
        cells.next().context("right")?,
    );
    let probability: f64 = cells.next().context("probability")?.parse()?;
    let pair = json(folder, &["explain", left, right])?;
    assert!(
        (number(&pair, "/probability")? - probability).abs() < 1e-4,
        "{pair:#}"
    );
    let mut sum = number(&pair, "/prior")? + number(&pair, "/household")?;
    for part in pair["comparisons"].as_array().context("comparisons")? {
        sum += number(part, "/weight")? + number(part, "/frequency")?;
    }
    assert!((sum - number(&pair, "/weight")?).abs() < 1e-6, "{pair:#}");
    let (done, shown) = musubi(folder, &["explain", left, right, "--html", "why.html"])?;
    assert!(
        done && shown.contains("blocking rule") && shown.contains("enough"),
        "{shown}"
    );
    let page = fs::read_to_string(folder.join("why.html"))?;
    assert!(page.contains("match weight") && page.contains(left));

    let customers = fs::read_dir(folder.join("lake/curated/links"))?;
    assert!(customers.count() > 0);
    let id = customer_of(folder, left)?;
    let customer = json(folder, &["explain", "customer", &id, "--html", "who.html"])?;
    assert_eq!(text(&customer, "/customer")?, id);
    let records = customer["records"].as_array().context("records")?;
    assert!(records.iter().any(|r| r["record"] == left), "{customer:#}");
    assert!(records.iter().any(|r| r["record"] == right), "{customer:#}");
    let split = &customer["weakest"];
    let sides = |side: &str| split[side].as_array().map_or(0, Vec::len);
    assert_eq!(
        sides("left") + sides("right"),
        records.len(),
        "{customer:#}"
    );
    let (done, shown) = musubi(folder, &["explain", "customer", &id])?;
    assert!(done && shown.contains("held together least"), "{shown}");

    for (args, said) in [
        (
            &["evaluate", "--truth", "nothing.csv"][..],
            "cannot open the truth nothing.csv",
        ),
        (
            &["evaluate", "--truth", "truth/people.csv", "--column", "who"],
            "its columns are source, stream, key, person",
        ),
        (
            &["evaluate", "--truth", "pairs.csv"],
            "does not say which record each line is about",
        ),
        (&["evaluate", "--sample", "pairs.csv"], "is there already"),
        (&["explain", left, "0123"], "no record with id 0123"),
        (&["explain", "customer", "c12"], "is no customer id"),
        (
            &["explain", "customer", "c00000000000000000000000000000000"],
            "no customer with id c0000",
        ),
    ] {
        let (done, answer) = musubi(folder, args)?;
        assert!(!done && answer.contains(said), "{said} in {answer}");
    }
    Ok(())
}

/// The customer of a record, by what is published.
fn customer_of(folder: &Path, record: &str) -> Result<String> {
    use arrow::array::AsArray as _;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
    let mut folders = vec![folder.join("lake/curated/links")];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            if path.extension().is_none_or(|e| e != "parquet") {
                continue;
            }
            for batch in ParquetRecordBatchReaderBuilder::try_new(fs::File::open(path)?)?.build()? {
                let batch = batch?;
                let column = |name: &str| {
                    batch
                        .column_by_name(name)
                        .and_then(|c| c.as_string_opt::<i32>().cloned())
                };
                let (Some(records), Some(customers)) = (column("record_id"), column("customer_id"))
                else {
                    continue;
                };
                if let Some(at) = records.iter().position(|r| r == Some(record)) {
                    return Ok(customers.value(at).to_owned());
                }
            }
        }
    }
    anyhow::bail!("no link of record {record}")
}

#[test]
fn clusters_of_dedupe_are_judged_by_row() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/identity/fake_1000.csv");
    let people = file.display().to_string();
    let stats = json(
        folder,
        &["dedupe", &people, "--out", "out", "--truth", "cluster"],
    )?;
    let mut truth = String::from("row,person\n");
    for (row, record) in csv::Reader::from_path(&file)?.records().enumerate() {
        let record = record?;
        truth.push_str(&format!("{row},{}\n", record.get(6).unwrap_or_default()));
    }
    fs::write(folder.join("truth.csv"), truth)?;
    let found = json(
        folder,
        &[
            "evaluate",
            "--clusters",
            "out/clusters.parquet",
            "--truth",
            "truth.csv",
        ],
    )?;
    for kind in ["f1", "precision", "recall"] {
        let of_dedupe = number(&stats, &format!("/accuracy/pairwise/{kind}"))?;
        let of_evaluate = number(&found, &format!("/total/pairwise/{kind}"))?;
        assert!((of_dedupe - of_evaluate).abs() < 1e-9, "{kind}");
    }
    // Links that stand were chosen by more than their probability.
    assert!(found.get("calibration").is_none(), "{found:#}");
    fs::write(folder.join("half.csv"), "row,person\n0,a\n1,a\n5000,b\n")?;
    let half = json(
        folder,
        &[
            "evaluate",
            "--clusters",
            "out/clusters.parquet",
            "--truth",
            "half.csv",
        ],
    )?;
    assert_eq!(
        (&half["records"], &half["unknown"], &half["strangers"]),
        (&2.into(), &998.into(), &1.into())
    );
    // Only links that stand are known of dedupe: their precision can be audited, and no recall.
    let clusters = ["--clusters", "out/clusters.parquet"];
    let (done, said) = musubi(
        folder,
        &[&["evaluate", "--sample", "links.csv"], &clusters[..]].concat(),
    )?;
    ensure!(done, "{said}");
    let sample = fs::read_to_string(folder.join("links.csv"))?;
    fs::write(folder.join("links.csv"), label(&sample))?;
    let audited = json(
        folder,
        &[&["evaluate", "--labels", "links.csv"], &clusters[..]].concat(),
    )?;
    assert!(number(&audited, "/precision/value")? > 0.9, "{audited:#}");
    assert!(audited["recall"].is_null(), "{audited:#}");
    fs::write(folder.join("wrong.csv"), "row,person\nx,a\n")?;
    let (done, said) = musubi(
        folder,
        &[
            "evaluate",
            "--clusters",
            "out/clusters.parquet",
            "--truth",
            "wrong.csv",
        ],
    )?;
    assert!(!done && said.contains("wrong.csv line 2"), "{said}");
    Ok(())
}
