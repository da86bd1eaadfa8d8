//! Wrong files, each with everything that must be said of it.

use std::{fmt::Write as _, path::Path};

use musubi_api::load_text;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    of: String,
    yaml: String,
}

/// Right resources that a wrong one may refer to.
const AROUND: &str = "
---
apiVersion: musubi.dev/v1alpha1
kind: Source
metadata: {name: shop}
spec: {system: pos, connector: {folder: {path: x}}, streams: [{name: a, files: {path: x}, format: {json: {}}}]}
---
apiVersion: musubi.dev/v1alpha1
kind: Warehouse
metadata: {name: local}
spec: {sqlite: {path: x}}
";

fn indent(text: &str, by: usize) -> String {
    let pad = " ".repeat(by);
    text.lines().fold(String::new(), |mut out, line| {
        let _ = writeln!(out, "{pad}{line}");
        out
    })
}

fn resource(kind: &str, spec: &str) -> String {
    let spec = indent(spec, 2);
    format!(
        "apiVersion: musubi.dev/v1alpha1\nkind: {kind}\nmetadata: {{name: it}}\nspec:\n{spec}{AROUND}"
    )
}

fn stream(stream: &str) -> String {
    resource(
        "Source",
        &format!(
            "system: pos\nconnector: {{folder: {{path: x}}}}\nstreams:\n  - {stream}\n  - {{name: people, files: {{path: p}}, format: {{json: {{}}}}, entities: [{{entity: customer, key: [nr], fields: {{}}}}]}}\n"
        ),
    )
}

fn with_columns(rest: &str) -> String {
    stream(&format!(
        "name: a\n    files: {{path: x}}\n    format: {{csv: {{columns: [id, mail, day, amount]}}}}\n{rest}"
    ))
}

fn text(case: &Case) -> String {
    let yaml = &case.yaml;
    let mapping = |m: &str| with_columns(&format!("    entities:\n      - {m}"));
    match case.of.as_str() {
        "file" => yaml.clone(),
        "source" => resource("Source", &format!("system: pos\n{yaml}")),
        "stream" => stream(yaml),
        "mapping" => mapping(yaml),
        "field" => mapping(&format!(
            "{{entity: order, key: [id], fields: {{total: {yaml}}}}}"
        )),
        "rule" => with_columns(&format!("    contract:\n      columns:\n        - {yaml}")),
        "pipeline" => resource("CustomerPipeline", yaml),
        "policy" => resource("IdentityPolicy", yaml),
        "warehouse" => resource("Warehouse", yaml),
        "audience" => resource("Audience", yaml),
        "run" => resource("CustomerPipelineRun", yaml),
        other => panic!("{}: unknown `of: {other}`", case.name),
    }
}

#[test]
fn every_wrong_file_is_told_what_is_wrong() {
    let cases: Vec<Case> =
        serde_saphyr::from_str(include_str!("wrong/cases.yaml")).expect("readable cases");
    assert!(cases.len() >= 60, "{} cases", cases.len());
    let mut said = String::new();
    for case in &cases {
        let _ = writeln!(said, "{}", case.name);
        let problems = match load_text(Path::new("it.yaml"), &text(case)) {
            Err(problems) => problems,
            Ok(_) => panic!("`{}` passes", case.name),
        };
        for p in problems.as_slice() {
            let _ = writeln!(said, "  {}:{} {}: {}", p.line, p.column, p.field, p.message);
        }
    }
    insta::assert_snapshot!("wrong", said);
}

#[test]
fn what_surrounds_the_cases_is_right() {
    for text in [
        stream("{name: a, files: {path: x}, format: {json: {}}}"),
        with_columns(
            "    entities:\n      - {entity: order, key: [id], fields: {total: {from: amount}}}",
        ),
        resource(
            "CustomerPipeline",
            "sources: [shop]\nlake: {folder: l}\nwarehouses: [local]",
        ),
        resource("IdentityPolicy", "{}"),
    ] {
        if let Err(problems) = load_text(Path::new("it.yaml"), &text) {
            panic!("{problems}\n{text}");
        }
    }
}

#[test]
fn problems_read_like_a_compilers() {
    let problems = load_text(
        Path::new("w.yaml"),
        &resource("Warehouse", "mode: ful\nsqlit: {path: x}"),
    )
    .expect_err("wrong");
    let expected = "\
error: `ful` is not one of incremental, full; did you mean `full`?
  --> w.yaml:5:9
   = Warehouse/it: spec.mode

error: unknown field `sqlit`: did you mean `sqlite`?
  --> w.yaml:6:3
   = Warehouse/it: spec.sqlit

2 problems";
    assert_eq!(problems.to_string(), expected);
}
