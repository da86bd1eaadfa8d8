//! `musubi identity diff`: what a policy would change, before it is published.

use std::{fs, path::Path, process::Command};

use anyhow::{Context as _, Result};
use musubi::demo::{examples, world::World};
use serde_json::Value;

fn musubi(folder: &Path, args: &[&str]) -> Result<(i32, String)> {
    let output = Command::new(env!("CARGO_BIN_EXE_musubi"))
        .args(args)
        .current_dir(folder)
        .output()?;
    let text = String::from_utf8(output.stdout)?;
    let code = output.status.code().context("ended by a signal")?;
    if text.is_empty() {
        return Ok((code, String::from_utf8(output.stderr)?));
    }
    Ok((code, text))
}

fn diff(folder: &Path, more: &[&str]) -> Result<(i32, Value)> {
    let args = [&["identity", "diff", "--exit-code", "-o", "json"], more].concat();
    let (code, text) = musubi(folder, &args)?;
    let found = serde_json::from_str(&text).with_context(|| text.clone())?;
    Ok((code, found))
}

#[test]
fn a_stricter_policy_is_seen_before_it_is_published() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    examples::write(folder)?;
    World::generate(400, 3, 1, folder)?;
    let (code, text) = musubi(folder, &["identity", "diff"])?;
    assert_eq!(code, 1);
    assert!(text.contains("nothing is published"), "{text}");
    let (code, text) = musubi(folder, &["run", "-f", "."])?;
    assert_eq!(code, 0, "{text}");

    let (code, same) = diff(folder, &[])?;
    assert_eq!(code, 0, "{same}");
    assert_eq!(same["customersBefore"], same["unchanged"], "{same}");
    assert_eq!(same["model"], same["modelBefore"]);

    let path = folder.join("pipeline.yaml");
    let text = fs::read_to_string(&path)?;
    // Without contacts among the identifiers, and near certainty asked of everything else.
    let mut strict: String = text
        .split_inclusive('\n')
        .filter(|line| !line.contains("field: email, max") && !line.contains("field: phone, max"))
        .collect();
    strict = strict.replacen("spec:\n", "spec:\n  matchProbability: 0.99999\n", 1);
    fs::write(&path, strict)?;
    let (code, other) = diff(folder, &[])?;
    assert_eq!(code, 1, "{other}");
    let split = other["split"].as_object().context("splits")?;
    assert!(!split.is_empty(), "{other}");
    for (id, parts) in split {
        let parts = parts.as_array().context("parts")?;
        assert!(id.starts_with('c') && parts.len() > 1, "{id}: {parts:?}");
        assert!(
            parts.iter().any(|p| p == id),
            "the largest part keeps the id"
        );
    }
    let (_, text) = musubi(folder, &["identity", "diff", "--samples", "1"])?;
    assert!(
        text.contains("would split:") && text.contains("more"),
        "{text}"
    );

    // What was announced is what a run makes.
    let allow = ["match-rate", "merged-customers", "rows", "nulls"];
    let mut args = vec!["run", "-f", "."];
    args.extend(allow.iter().flat_map(|gate| ["--allow", gate]));
    let (code, text) = musubi(folder, &args)?;
    assert_eq!(code, 0, "{text}");
    let (code, published) = diff(folder, &[])?;
    assert_eq!(code, 0, "{published}");
    assert_eq!(published["customersBefore"], other["customersAfter"]);
    Ok(())
}
