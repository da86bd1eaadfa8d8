//! Checks a document against the schema of its kind, the one that the API server gets: unknown fields,
//! missing fields, wrong types, wrong words, bounds. Finds everything at once, which serde does not.

use serde_json::Value as Json;

use crate::{
    node::{Node, Place, Value},
    problem::{hint, nearest},
};

/// One finding: place, path of the field, message.
pub(crate) type Finding = (Place, String, String);

/// Checks `node` and everything below it.
pub(crate) fn check(schema: &Json, node: &Node, path: &str, out: &mut Vec<Finding>) {
    let mut say = |message: String| out.push((node.place, path.to_owned(), message));
    if matches!(node.value, Value::Null) {
        if schema["nullable"] != Json::Bool(true) {
            say("nothing is given here: give a value or remove the field".into());
        }
        return;
    }
    let preserved = schema["x-kubernetes-preserve-unknown-fields"] == Json::Bool(true);
    match (schema["type"].as_str(), &node.value) {
        (Some("object"), Value::Map(entries)) => {
            check_object(schema, node, entries, preserved, path, out);
        }
        (Some("array"), Value::List(items)) => {
            bounds(schema, "Items", items.len(), "entries", &mut say);
            for (i, item) in items.iter().enumerate() {
                check(&schema["items"], item, &format!("{path}[{i}]"), out);
            }
        }
        (Some("string"), Value::Text(text)) => check_text(schema, text, &mut say),
        (Some("integer"), Value::Number(n)) if n.is_i64() || n.is_u64() => {
            range(schema, n.as_f64(), &mut say);
        }
        (Some("number"), Value::Number(n)) => range(schema, n.as_f64(), &mut say),
        (Some("boolean"), Value::Bool(_)) | (None, _) => {}
        (Some(wanted), value) => say(wrong_type(schema, wanted, value)),
    }
}

fn check_object(
    schema: &Json,
    node: &Node,
    entries: &[(String, Place, Node)],
    preserved: bool,
    path: &str,
    out: &mut Vec<Finding>,
) {
    let properties = schema["properties"].as_object();
    let any = schema.get("additionalProperties");
    for (key, place, child) in entries {
        let below = join(path, key);
        match (properties.and_then(|p| p.get(key)), any) {
            (Some(schema), _) => check(schema, child, &below, out),
            (None, Some(schema)) if schema.is_object() => check(schema, child, &below, out),
            _ if preserved => {}
            _ => {
                let known = properties.into_iter().flatten().map(|(k, _)| k.as_str());
                out.push((
                    *place,
                    below,
                    format!("unknown field `{key}`: {}", hint(key, known)),
                ));
            }
        }
    }
    let required = schema["required"].as_array().into_iter().flatten();
    for name in required.filter_map(Json::as_str) {
        if node.get(name).is_none() {
            out.push((
                node.place,
                join(path, name),
                format!("field `{name}` is missing{}", purpose(schema, name)),
            ));
        }
    }
    bounds(schema, "Properties", entries.len(), "entries", &mut |m| {
        out.push((node.place, path.to_owned(), m));
    });
}

/// The first sentence of a field's description.
fn purpose(schema: &Json, name: &str) -> String {
    let text = schema["properties"][name]["description"].as_str();
    match text.and_then(|t| t.split(['.', '\n']).next()) {
        Some(first) if !first.is_empty() => format!(" ({first})"),
        _ => String::new(),
    }
}

fn check_text(schema: &Json, text: &str, say: &mut impl FnMut(String)) {
    if let Some(words) = schema["enum"].as_array() {
        let words: Vec<&str> = words.iter().filter_map(Json::as_str).collect();
        if !words.contains(&text) {
            let near = meant(text, &words)
                .map(|near| format!("; did you mean `{near}`?"))
                .unwrap_or_default();
            say(format!("`{text}` is not one of {}{near}", words.join(", ")));
        }
        return;
    }
    let length = text.chars().count();
    bounds(schema, "Length", length, "characters", say);
}

/// Words that other tools have for ours.
const ELSEWHERE: [(&str, &str); 17] = [
    ("shift_jis", "cp932"),
    ("shift-jis", "cp932"),
    ("sjis", "cp932"),
    ("ms932", "cp932"),
    ("windows-31j", "cp932"),
    ("utf-8", "utf8"),
    ("utf-16", "utf16"),
    ("iso-8859-1", "latin1"),
    ("windows-1252", "latin1"),
    ("shop", "ecommerce"),
    ("full", "snapshot"),
    ("cdc", "changes"),
    ("string", "text"),
    ("number", "decimal"),
    ("int", "integer"),
    ("boolean", "flag"),
    ("datetime", "timestamp"),
];

/// The word that somebody meant who wrote another.
fn meant<'a>(text: &str, words: &[&'a str]) -> Option<&'a str> {
    let lower = text.to_lowercase();
    let ours = ELSEWHERE.iter().filter(|(theirs, _)| *theirs == lower);
    ours.filter_map(|(_, ours)| words.iter().copied().find(|w| w == ours))
        .next()
        .or_else(|| nearest(text, words.iter().copied()))
}

fn bounds(schema: &Json, what: &str, n: usize, unit: &str, say: &mut impl FnMut(String)) {
    let limit = |side: &str| schema[format!("{side}{what}")].as_u64();
    match (limit("min"), limit("max")) {
        (Some(1), _) if n == 0 => say("is empty: give at least one".into()),
        (Some(min), _) if (n as u64) < min => say(format!("{n} {unit}; at least {min} are needed")),
        (_, Some(max)) if n as u64 > max => say(format!("{n} {unit}; at most {max} are allowed")),
        _ => {}
    }
}

fn range(schema: &Json, value: Option<f64>, say: &mut impl FnMut(String)) {
    let Some(value) = value else { return };
    let (min, max) = (schema["minimum"].as_f64(), schema["maximum"].as_f64());
    let low = min.is_some_and(|min| value < min);
    let high = max.is_some_and(|max| value > max);
    match (low || high, min, max) {
        (false, _, _) => {}
        (true, Some(min), Some(max)) => say(format!("{value} is not between {min} and {max}")),
        (true, Some(min), None) => say(format!("{value} is below {min}")),
        (true, _, Some(max)) => say(format!("{value} is above {max}")),
        (true, None, None) => {}
    }
}

fn wrong_type(schema: &Json, wanted: &str, value: &Value) -> String {
    let found = match value {
        Value::Null => "nothing",
        Value::Bool(_) => "yes or no",
        Value::Number(_) => "a number",
        Value::Text(_) => "a text",
        Value::List(_) => "a list",
        Value::Map(_) => "a map",
    };
    let (wants, way) = match (wanted, value) {
        ("string", Value::Number(_) | Value::Bool(_)) => ("a text", ": put it in quotes"),
        ("string", _) => ("a text", ""),
        ("integer" | "number", Value::Text(t)) if t.parse::<f64>().is_ok() => {
            ("a number", ": remove the quotes")
        }
        ("integer", _) => ("a whole number", ""),
        ("number", _) => ("a number", ""),
        ("boolean", _) => ("true or false", ""),
        ("array", Value::Map(_)) => ("a list", ": start each entry with `- `"),
        ("array", _) => (
            "a list",
            ": put it in [ ] or on a line of its own after `- `",
        ),
        _ if schema["properties"].is_object() => {
            return format!(
                "a map of fields is needed here, not {found}: {}",
                fields(schema, value)
            );
        }
        _ => ("a map", ""),
    };
    format!("{wants} is needed here, not {found}{way}")
}

/// What to write instead of something that is no map of fields.
fn fields(schema: &Json, value: &Value) -> String {
    if let (Value::Text(text), Some(meant)) = (value, wrapped(schema, value)) {
        let inner = meant.as_object().and_then(|m| m.iter().next());
        return match inner {
            Some((key, Json::String(_))) => format!("write `{{ {key}: {text} }}`"),
            Some((key, _)) => format!("write `{{ {key}: {{}} }}`"),
            None => String::new(),
        };
    }
    let known = schema["properties"].as_object().into_iter().flatten();
    let known: Vec<&str> = known.map(|(key, _)| key.as_str()).collect();
    format!("its fields are {}", known.join(", "))
}

/// The map that a bare text probably stands for: its name as a field (`csv`), the one text that is needed
/// (`path`), or the column that a field comes from.
fn wrapped(schema: &Json, value: &Value) -> Option<Json> {
    let Value::Text(text) = value else {
        return None;
    };
    let properties = schema["properties"].as_object()?;
    if properties.get(text).is_some_and(|p| p["type"] == "object") {
        return Some(serde_json::json!({ text: {} }));
    }
    let required: Vec<&str> = schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Json::as_str)
        .collect();
    let key = match required.as_slice() {
        [only] => only,
        [] if properties.contains_key("from") => "from",
        _ => return None,
    };
    (properties.get(key)?["type"] == "string").then(|| serde_json::json!({ key: text }))
}

/// The document as it was probably meant: wrong words by their nearest, unknown and unreadable fields left out.
/// Nothing when something that is needed cannot be guessed. It serves to find what else is wrong.
pub(crate) fn mended(schema: &Json, node: &Node) -> Option<Json> {
    let preserved = schema["x-kubernetes-preserve-unknown-fields"] == Json::Bool(true);
    match (schema["type"].as_str(), &node.value) {
        (_, Value::Null) => None,
        (Some("object"), Value::Map(entries)) => {
            let properties = schema["properties"].as_object();
            let any = schema
                .get("additionalProperties")
                .filter(|any| any.is_object());
            let mut out = serde_json::Map::new();
            for (key, _, child) in entries {
                match properties.and_then(|p| p.get(key)).or(any) {
                    Some(schema) => {
                        out.extend(mended(schema, child).map(|value| (key.clone(), value)));
                    }
                    None if preserved => {
                        out.insert(key.clone(), child.to_json());
                    }
                    None => {}
                }
            }
            let mut required = schema["required"].as_array().into_iter().flatten();
            required
                .all(|name| name.as_str().is_some_and(|n| out.contains_key(n)))
                .then_some(Json::Object(out))
        }
        (Some("object"), value) => mended_text(schema, value),
        // Places are told by position, so no entry may fall out.
        (Some("array"), Value::List(items)) => items
            .iter()
            .map(|item| mended(&schema["items"], item))
            .collect(),
        (Some("array"), _) => Some(Json::Array(vec![mended(&schema["items"], node)?])),
        (Some("string"), Value::Text(text)) => match schema["enum"].as_array() {
            Some(words) => {
                let words: Vec<&str> = words.iter().filter_map(Json::as_str).collect();
                let same = words.iter().find(|w| *w == text).copied();
                same.or_else(|| self::meant(text, &words))
                    .or(words.first().copied())
                    .map(Json::from)
            }
            None => Some(Json::from(text.as_str())),
        },
        (Some("string"), Value::Number(n)) => Some(Json::from(n.to_string())),
        (Some("string"), Value::Bool(b)) => Some(Json::from(b.to_string())),
        (Some("integer"), Value::Number(n)) if n.is_i64() || n.is_u64() => Some(node.to_json()),
        (Some("number"), Value::Number(_)) | (Some("boolean"), Value::Bool(_)) | (None, _) => {
            Some(node.to_json())
        }
        _ => None,
    }
}

fn mended_text(schema: &Json, value: &Value) -> Option<Json> {
    schema["properties"].as_object()?;
    wrapped(schema, value)
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}
