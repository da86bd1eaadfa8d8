//! What is generated from the types: the definitions of a cluster and the reference page.

use std::fmt::Write as _;

use serde_json::Value as Json;

use crate::{
    entity::Entity,
    resource::{API_VERSION, Kind},
};

/// The definitions that a cluster gets: file name and YAML, per kind.
///
/// # Errors
/// When a definition cannot be written as YAML.
pub fn definitions() -> Result<Vec<(String, String)>, serde_saphyr::ser::Error> {
    let all = Kind::MUSUBI.into_iter().filter_map(Kind::definition);
    all.map(|crd| {
        let name = format!("{}.yaml", crd.spec.names.plural);
        Ok((name, serde_saphyr::to_string(&crd)?))
    })
    .collect()
}

/// The reference page, as Markdown: every field of every kind, and the fields of entities.
#[must_use]
pub fn page() -> String {
    let mut out = String::from(
        "# Reference\n\nGenerated from the types by `cargo xtask crds`; a test fails when it is stale.\n",
    );
    for kind in Kind::MUSUBI {
        let spec = &kind.schema()["properties"]["spec"];
        let about = spec["description"].as_str().unwrap_or_default();
        line(
            &mut out,
            &format!(
                "\n## {}\n\n`apiVersion: {API_VERSION}`\n\n{about}\n",
                kind.as_str()
            ),
        );
        out.push_str("| field | type | default | what it says |\n|---|---|---|---|\n");
        fields(&mut out, spec, "spec");
        rules(&mut out, spec);
    }
    out.push_str("\n## Entities\n\nWhat a row can become, and the fields that each may have. Personal fields are never shown in reports and logs.\n");
    for entity in Entity::ALL {
        line(
            &mut out,
            &format!("\n### {}\n\nTable `{}`.\n", entity.as_str(), entity.table()),
        );
        out.push_str("| field | kind | personal | what it says |\n|---|---|---|---|\n");
        for field in entity.fields() {
            let personal = if field.personal { "yes" } else { "" };
            line(
                &mut out,
                &format!(
                    "| `{}` | {:?} | {personal} | {} |",
                    field.name, field.kind, field.doc
                ),
            );
        }
    }
    out
}

fn line(out: &mut String, text: &str) {
    // Writing to a string does not fail.
    let _ = writeln!(out, "{text}");
}

/// Rows for the fields below a schema, depth first.
fn fields(out: &mut String, schema: &Json, path: &str) {
    let required: Vec<&str> = schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Json::as_str)
        .collect();
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let at = format!("{path}.{name}");
        let default = match field.get("default") {
            Some(value @ (Json::Object(_) | Json::Array(_))) if is_empty(value) => String::new(),
            Some(Json::Object(_)) => "see below".into(),
            Some(value) => format!("`{value}`"),
            None if required.contains(&name.as_str()) => "**required**".into(),
            None => String::new(),
        };
        let about = field["description"].as_str().unwrap_or_default();
        let about = about.split_whitespace().collect::<Vec<_>>().join(" ");
        let mut about = about.replace('|', "\\|");
        let elsewhere = field["externalDocs"]["url"].as_str();
        if let Some(url) = elsewhere {
            about = format!("{about} [Its fields]({url})");
        }
        line(
            out,
            &format!("| `{at}` | {} | {default} | {about} |", type_of(field)),
        );
        if elsewhere.is_some() {
            continue;
        }
        fields(out, field, &at);
        fields(out, &field["items"], &format!("{at}[]"));
        if let Some(values) = field.get("additionalProperties") {
            fields(out, values, &format!("{at}.*"));
        }
    }
}

fn is_empty(value: &Json) -> bool {
    value.as_object().is_some_and(serde_json::Map::is_empty)
        || value.as_array().is_some_and(Vec::is_empty)
}

fn type_of(field: &Json) -> String {
    if let Some(words) = field["enum"].as_array() {
        let words: Vec<&str> = words.iter().filter_map(Json::as_str).collect();
        return words.join(", ");
    }
    match field["type"].as_str() {
        Some("string") => "text".into(),
        Some("integer") => "whole number".into(),
        Some("boolean") => "true or false".into(),
        Some("array") => format!("list of {}", type_of(&field["items"])),
        Some("object") if field.get("additionalProperties").is_some() => "map".into(),
        Some("object") => "fields".into(),
        Some(other) => other.into(),
        None => String::new(),
    }
}

/// The rules of a schema and all below it, as sentences.
fn rules(out: &mut String, schema: &Json) {
    let mut found = Vec::new();
    collect_rules(schema, &mut found);
    if !found.is_empty() {
        out.push_str("\nRules:\n\n");
        for rule in found {
            line(out, &format!("- {rule}"));
        }
    }
}

fn collect_rules(schema: &Json, found: &mut Vec<String>) {
    let rules = schema["x-kubernetes-validations"].as_array();
    for rule in rules.into_iter().flatten() {
        let text = rule["message"].as_str().unwrap_or_default().to_owned();
        if !found.contains(&text) {
            found.push(text);
        }
    }
    for below in schema["properties"].as_object().into_iter().flatten() {
        collect_rules(below.1, found);
    }
    for below in ["items", "additionalProperties"] {
        if let Some(schema) = schema.get(below).filter(|s| s.is_object()) {
            collect_rules(schema, found);
        }
    }
}
