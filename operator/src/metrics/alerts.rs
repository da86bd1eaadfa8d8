//! Alerts, runbooks and dashboard speak of metrics that there are; and each alert can fire.

use std::{collections::BTreeSet, fs, path::Path, process::Command, time::Duration};

use serde_json::Value;

use super::Metrics;

const ALERTS: &str = include_str!("../../../charts/musubi/files/alerts.yaml");
const DASHBOARD: &str = include_str!("../../../charts/musubi/files/dashboard.json");
const TESTS: &str = include_str!("../../../tests/alerts/alerts_test.yaml");

fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}

/// Names of ours in a text.
fn names(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'));
    words.filter(|w| w.starts_with("musubi_")).collect()
}

/// Every rule that is an alert.
fn alerts() -> Vec<Value> {
    let file: Value = serde_saphyr::from_str(ALERTS).unwrap_or_else(|e| panic!("{e}"));
    let groups = file["groups"].as_array().cloned().unwrap_or_default();
    let rules = groups.iter().flat_map(|g| g["rules"].as_array().cloned());
    rules.flatten().filter(|r| r["alert"].is_string()).collect()
}

#[test]
fn they_speak_of_metrics_that_there_are() {
    let metrics = Metrics::new();
    metrics.leads(Some(super::pipelines::tests::objects(&[])));
    // What was never counted is not told.
    drop((metrics.waits("Source"), metrics.works("Source")));
    metrics.reconciled("Source", "success", Duration::ZERO);
    metrics.written(None, &super::tests::over());
    let text = metrics.text().unwrap_or_default();
    let help = text.lines().filter_map(|l| l.strip_prefix("# TYPE "));
    let known: BTreeSet<String> = help
        .flat_map(|line| match line.split_once(' ') {
            Some((name, "counter")) => vec![format!("{name}_total")],
            Some((name, "histogram")) => ["bucket", "sum", "count"]
                .map(|of| format!("{name}_{of}"))
                .into(),
            Some((name, "info")) => vec![format!("{name}_info")],
            Some((name, _)) => vec![name.to_owned()],
            None => Vec::new(),
        })
        .collect();
    for (file, text) in [("alerts.yaml", ALERTS), ("dashboard.json", DASHBOARD)] {
        let named = names(text);
        assert!(named.len() > 5, "{file}: {named:?}");
        for name in named {
            assert!(
                known.contains(name),
                "{file}: there is no {name}: {known:?}"
            );
        }
    }
}

#[test]
fn each_alert_has_a_page_that_says_what_to_do() {
    let all = alerts();
    assert!(all.len() >= 10);
    let folder = root().join("docs/runbooks");
    let mut pages: BTreeSet<String> = fs::read_dir(&folder)
        .unwrap_or_else(|e| panic!("{}: {e}", folder.display()))
        .flatten()
        .filter_map(|page| page.file_name().into_string().ok())
        .collect();
    for alert in all {
        let name = alert["alert"].as_str().unwrap_or_default();
        let url = alert["annotations"]["runbook_url"].as_str();
        let url = url.unwrap_or_default();
        assert!(
            url.ends_with(&format!("/docs/runbooks/{name}.md")),
            "{name}: {url}"
        );
        assert!(alert["labels"]["severity"].is_string(), "{name}");
        assert!(
            pages.remove(&format!("{name}.md")),
            "docs/runbooks/{name}.md is missing"
        );
    }
    pages.remove("README.md");
    assert!(pages.is_empty(), "{pages:?} are of no alert");
}

#[test]
fn each_alert_fires_when_it_shall() {
    let fires: Value = serde_saphyr::from_str(TESTS).unwrap_or_else(|e| panic!("{e}"));
    let worlds = fires["tests"].as_array().cloned().unwrap_or_default();
    let expected = worlds
        .iter()
        .flat_map(|w| w["alert_rule_test"].as_array().cloned())
        .flatten()
        .filter(|t| t["exp_alerts"].as_array().is_some_and(|a| !a.is_empty()));
    let expected: BTreeSet<String> = expected
        .filter_map(|t| Some(t["alertname"].as_str()?.to_owned()))
        .collect();
    for alert in alerts() {
        let name = alert["alert"].as_str().unwrap_or_default();
        assert!(expected.contains(name), "no world in which {name} fires");
    }
    let Some(promtool) = std::env::var_os("MUSUBI_PROMTOOL") else {
        eprintln!("not tested: there is no promtool (`cargo xtask tools` builds it)");
        return;
    };
    let rules = "charts/musubi/files/alerts.yaml";
    for args in [
        ["check", "rules", "--lint-fatal", rules].as_slice(),
        &["test", "rules", "tests/alerts/alerts_test.yaml"],
    ] {
        let out = Command::new(&promtool)
            .args(args)
            .current_dir(root())
            .output();
        let out = out.unwrap_or_else(|e| panic!("{e}"));
        let said = [out.stdout, out.stderr].map(|b| String::from_utf8_lossy(&b).into_owned());
        assert!(out.status.success(), "{}", said.concat());
    }
}
