//! Reads resources from files and folders.

use std::{
    fs,
    path::{Path, PathBuf},
};

use kube_core::cel::Validator;
use serde_json::Value as Json;

pub use crate::secrets::Secrets;
use crate::{
    catalog::{Catalog, Document, Mended, absolute_paths},
    node::{Node, Place, Value},
    problem::{Problem, Problems, hint, nearest},
    resource::{API_VERSION, Kind, Resource},
    schema::{self, Finding},
};

/// Resource files are small; a larger file is data that went astray.
const MAX_FILE: u64 = 4 << 20;
/// Names are short enough that every Job and pod that is named for them fits 63 characters.
const MAX_NAME: usize = 40;

/// Reads files and folders (recursively `*.yaml`, `*.yml`, `*.json`; hidden folders and JSON files that
/// hold no resource are passed over). Checks schema and CEL rules of each document; what resources say of each
/// other is checked by [`Catalog::validate`].
///
/// # Errors
/// Everything that is wrong in any of them.
pub fn load_paths(paths: &[PathBuf]) -> Result<Catalog, Problems> {
    let (catalog, problems) = load_all(paths);
    Problems::new(problems).or(catalog)
}

/// Reads resources and checks all there is to check: what `musubi validate` does.
///
/// # Errors
/// Everything that is wrong, in the files and between them.
pub fn load_and_validate(paths: &[PathBuf]) -> Result<Catalog, Problems> {
    let (catalog, mut problems) = load_all(paths);
    problems.extend(catalog.findings());
    Problems::new(problems).or(catalog)
}

fn load_all(paths: &[PathBuf]) -> (Catalog, Vec<Problem>) {
    let mut loader = Loader::default();
    for path in paths {
        loader.path(path, Found::Named);
    }
    if loader.files == 0 && loader.problems.is_empty() {
        let shown: Vec<String> = paths.iter().map(|p| p.display().to_string()).collect();
        loader.problems.push(Problem::file(
            "",
            format!(
                "no resource file (*.yaml, *.yml, *.json) in {}",
                shown.join(", ")
            ),
        ));
    }
    (loader.catalog, loader.problems)
}

/// Reads resources from a text, as if it stood in `file`.
///
/// # Errors
/// Everything that is wrong.
pub fn load_text(file: &Path, text: &str) -> Result<Catalog, Problems> {
    let mut loader = Loader::default();
    loader.text(file, text);
    let mut problems = loader.problems;
    problems.extend(loader.catalog.findings());
    Problems::new(problems).or(loader.catalog)
}

/// Where a cluster's resources are said to stand: relative paths in them start here, in a worker's pod.
pub const CLUSTER_FOLDER: &str = "/musubi";

/// Reads resources as a cluster holds them: documents as JSON values. What is wrong with one does not hide the
/// others: the problems come with the catalog of all that is right.
#[must_use]
pub fn load_objects(objects: &[Json]) -> (Catalog, Vec<Problem>) {
    let text: Vec<String> = objects.iter().map(Json::to_string).collect();
    let mut loader = Loader::default();
    let file = Path::new(CLUSTER_FOLDER).join("cluster");
    loader.text(&file, &text.join("\n---\n"));
    let mut problems = loader.problems;
    problems.extend(loader.catalog.findings());
    (loader.catalog, problems)
}

/// How a file came up.
#[derive(Clone, Copy, PartialEq)]
enum Found {
    Named,
    InFolder,
}

#[derive(Default)]
struct Loader {
    catalog: Catalog,
    problems: Vec<Problem>,
    files: usize,
}

impl Loader {
    fn path(&mut self, path: &Path, found: Found) {
        if path.is_dir() {
            return self.folder(path);
        }
        if found == Found::InFolder && !is_resource_file(path) {
            return;
        }
        let size = fs::metadata(path).map_or(0, |m| m.len());
        let json = path.extension().is_some_and(|e| e == "json");
        if size > MAX_FILE {
            if found == Found::Named || !json {
                let message =
                    format!("{size} bytes is too large for a resource file (at most 4 MiB)");
                self.problems.push(Problem::file(path, message));
            }
            return;
        }
        match fs::read_to_string(path) {
            Ok(text) if json && found == Found::InFolder && !text.contains("\"apiVersion\"") => {}
            Ok(text) => {
                self.files += 1;
                self.text(path, &text);
            }
            Err(error) => self
                .problems
                .push(Problem::file(path, format!("cannot be read: {error}"))),
        }
    }

    fn folder(&mut self, folder: &Path) {
        let mut entries: Vec<PathBuf> = match fs::read_dir(folder) {
            Ok(entries) => entries.flatten().map(|e| e.path()).collect(),
            Err(error) => {
                let message = format!("cannot be listed: {error}");
                return self.problems.push(Problem::file(folder, message));
            }
        };
        entries.sort();
        for entry in entries {
            let hidden = entry
                .file_name()
                .is_some_and(|n| n.to_string_lossy().starts_with('.'));
            if !hidden && (!entry.is_symlink() || entry.is_file()) {
                self.path(&entry, Found::InFolder);
            }
        }
    }

    fn text(&mut self, file: &Path, text: &str) {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let nodes = match Node::read(text) {
            Ok(nodes) => nodes,
            Err(broken) => {
                return self.problems.push(Problem {
                    line: broken.place.line,
                    column: broken.place.column,
                    ..Problem::file(file, format!("not readable as YAML: {}", broken.message))
                });
            }
        };
        for (index, node) in nodes.into_iter().enumerate() {
            self.document(file, index, node);
        }
    }

    fn document(&mut self, file: &Path, index: usize, node: Node) {
        let problem = |place: Place, resource: &str, field: String, message: String| Problem {
            file: file.to_owned(),
            line: place.line,
            column: place.column,
            resource: resource.to_owned(),
            field,
            message,
        };
        let kind = match kind(&node) {
            Ok(Some(kind)) => kind,
            Ok(None) => return,
            Err((place, field, message)) => {
                self.problems.push(problem(place, "", field, message));
                return;
            }
        };
        let name = node
            .get("metadata")
            .and_then(|m| m.get("name"))
            .and_then(Node::as_str)
            .unwrap_or_default()
            .to_owned();
        let title = format!("{}/{name}", kind.as_str());
        let findings = findings(kind, &node);
        if !findings.is_empty() {
            self.mend(file, index, kind, &name, &node, &findings);
            self.problems.extend(
                findings
                    .into_iter()
                    .map(|(place, field, message)| problem(place, &title, field, message)),
            );
            self.catalog.refused.insert((kind, name));
            return;
        }
        match Resource::read(kind, &node.to_json()) {
            Ok(resource) => {
                let mut document = Document {
                    file: file.to_owned(),
                    index,
                    name,
                    namespace: namespace(&node),
                    resource,
                    node,
                };
                absolute_paths(&mut document);
                if let Err(problem) = self.catalog.add(document) {
                    self.problems.push(problem);
                }
            }
            Err(error) => {
                let message = format!("cannot be read: {error}");
                self.problems
                    .push(problem(node.place, &title, String::new(), message));
            }
        }
    }
}

impl Loader {
    /// Looks at a wrong document as it was probably meant, so that everything that is wrong is said at once.
    fn mend(
        &mut self,
        file: &Path,
        index: usize,
        kind: Kind,
        name: &str,
        node: &Node,
        findings: &[Finding],
    ) {
        let schema = kind.schema();
        let spec = node
            .get("spec")
            .and_then(|spec| schema::mended(&schema["properties"]["spec"], spec));
        let Some(spec) = spec else { return };
        let document = serde_json::json!({
            "apiVersion": API_VERSION, "kind": kind.as_str(), "metadata": {"name": name}, "spec": spec,
        });
        let Ok(resource) = Resource::read(kind, &document) else {
            return;
        };
        let mut rules = Vec::new();
        check_rules(schema, &document, node, &mut rules);
        let known: Vec<String> = findings.iter().map(|(_, field, _)| field.clone()).collect();
        let mended = Mended {
            document: Document {
                file: file.to_owned(),
                index,
                name: name.to_owned(),
                namespace: namespace(node),
                resource,
                node: node.clone(),
            },
            known,
        };
        let rules = rules
            .into_iter()
            .map(|(_, field, message)| mended.document.problem(&field, message));
        self.problems.extend(rules.filter(|p| mended.is_new(p)));
        self.catalog.mended.push(mended);
    }
}

fn is_resource_file(path: &Path) -> bool {
    path.extension()
        .and_then(|e| e.to_str())
        .is_some_and(|e| matches!(e, "yaml" | "yml" | "json"))
}

fn namespace(node: &Node) -> String {
    node.get("metadata")
        .and_then(|m| m.get("namespace"))
        .and_then(Node::as_str)
        .unwrap_or("default")
        .to_owned()
}

/// The kind of a document; `None` for resources of somebody else.
fn kind(node: &Node) -> Result<Option<Kind>, Finding> {
    let names = || Kind::MUSUBI.iter().map(|k| k.as_str());
    let text = |key: &str| node.get(key).and_then(Node::as_str);
    if !matches!(node.value, Value::Map(_)) {
        let message = "a document must be a map with apiVersion, kind, metadata and spec";
        return Err((node.place, String::new(), message.into()));
    }
    let Some(kind) = text("kind") else {
        let message = format!("field `kind` is missing: {}", hint("", names()));
        return Err((node.place, "kind".into(), message));
    };
    let version = text("apiVersion").unwrap_or_default();
    if (version, kind) == ("v1", "Secret") {
        return Ok(Some(Kind::Secret));
    }
    let found = Kind::MUSUBI.into_iter().find(|k| k.as_str() == kind);
    let ours = version.starts_with("musubi.dev/") || version.is_empty();
    match found {
        Some(kind) if version == API_VERSION => Ok(Some(kind)),
        Some(_)
            if ours || nearest(version, ["musubi.dev/v1alpha1", "musubi/v1alpha1"]).is_some() =>
        {
            Err((
                node.find("apiVersion"),
                "apiVersion".into(),
                format!("`{version}` is not known: write apiVersion: {API_VERSION}"),
            ))
        }
        None if ours => Err((
            node.find("kind"),
            "kind".into(),
            format!("there is no kind `{kind}`: {}", hint(kind, names())),
        )),
        _ => Ok(None),
    }
}

/// Everything wrong with one document: schema first; CEL rules when the schema holds.
fn findings(kind: Kind, node: &Node) -> Vec<Finding> {
    let mut out = Vec::new();
    check_metadata(node, &mut out);
    if kind == Kind::Secret {
        return out;
    }
    if let Value::Map(entries) = &node.value {
        for (key, place, _) in entries {
            let known = ["apiVersion", "kind", "metadata", "spec", "status"];
            if !known.contains(&key.as_str()) {
                let message = format!("unknown field `{key}`: {}", hint(key, known));
                out.push((*place, key.clone(), message));
            }
        }
    }
    let schema = kind.schema();
    match node.get("spec") {
        Some(spec) => schema::check(&schema["properties"]["spec"], spec, "spec", &mut out),
        None => out.push((node.place, "spec".into(), "field `spec` is missing".into())),
    }
    if out.is_empty() {
        check_rules(schema, &node.to_json(), node, &mut out);
    }
    out
}

/// The CEL rules, the same that the API server runs.
fn check_rules(schema: &Json, document: &Json, node: &Node, out: &mut Vec<Finding>) {
    let mut document = document.clone();
    if let Some(document) = document.as_object_mut() {
        document.remove("status");
    }
    let Err(errors) = Validator::new().validate(schema, &document, None) else {
        return;
    };
    for error in errors.into_vec() {
        let path = error.field_path.trim_start_matches('.').to_owned();
        out.push((node.find(&path), path, error.message));
    }
}

fn check_metadata(node: &Node, out: &mut Vec<Finding>) {
    let Some(metadata) = node.get("metadata") else {
        let message = "field `metadata` is missing: give at least metadata.name";
        return out.push((node.place, "metadata".into(), message.into()));
    };
    let known = ["name", "namespace", "labels", "annotations"];
    let written_by_clusters = [
        "uid",
        "resourceVersion",
        "generation",
        "creationTimestamp",
        "managedFields",
        "ownerReferences",
        "finalizers",
        "generateName",
    ];
    if let Value::Map(entries) = &metadata.value {
        for (key, place, _) in entries {
            let key = key.as_str();
            if !known.contains(&key) && !written_by_clusters.contains(&key) {
                let message = format!("unknown field `{key}`: {}", hint(key, known));
                out.push((*place, format!("metadata.{key}"), message));
            }
        }
    }
    let field = "metadata.name".to_owned();
    match metadata.get("name").map(|n| (n.place, n.as_str())) {
        Some((_, Some(name))) if is_label(name) && name.len() <= MAX_NAME => {}
        Some((place, Some(name))) if is_label(name) => out.push((
            place,
            field,
            format!("{} characters; at most {MAX_NAME} are allowed, so that names made from it fit", name.len()),
        )),
        Some((place, _)) => out.push((
            place,
            field,
            "a name has lower case letters, digits and hyphens, and starts and ends with a letter or digit".into(),
        )),
        None => out.push((metadata.place, field, "field `name` is missing".into())),
    }
}

/// Whether a text is a DNS label.
pub(crate) fn is_label(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    !text.is_empty()
        && text.len() <= 63
        && text.chars().all(|c| inner(c) || c == '-')
        && text.starts_with(inner)
        && text.ends_with(inner)
}
