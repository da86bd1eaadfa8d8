//! What is generated from the types is as it was generated.

use std::{collections::BTreeMap, fs, path::Path};

use musubi_api::reference;

const WAY_OUT: &str = "is stale or missing: run `cargo xtask crds` and commit the result";

#[test]
fn the_definitions_are_those_of_the_types() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crds");
    let wanted: BTreeMap<String, String> = reference::definitions()
        .expect("definitions")
        .into_iter()
        .collect();
    let found: Vec<String> = fs::read_dir(&folder)
        .expect("crds/ is in the repository")
        .map(|entry| {
            entry
                .expect("entry")
                .file_name()
                .into_string()
                .expect("name")
        })
        .collect();
    for name in &found {
        assert!(
            wanted.contains_key(name),
            "crds/{name} has no kind any more"
        );
    }
    for (name, yaml) in wanted {
        let text = fs::read_to_string(folder.join(&name)).unwrap_or_default();
        assert!(text == yaml, "crds/{name} {WAY_OUT}");
    }
}

#[test]
fn the_reference_page_is_that_of_the_types() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference.md");
    let text = fs::read_to_string(page).unwrap_or_default();
    assert!(text == reference::page(), "docs/reference.md {WAY_OUT}");
}

/// The API server warns of every format that it does not know, each time a definition is applied.
#[test]
fn the_api_server_knows_every_format() {
    for (name, yaml) in reference::definitions().expect("definitions") {
        let formats = yaml
            .lines()
            .filter_map(|l| l.trim().strip_prefix("format: "));
        for format in formats {
            let known = ["date-time", "double", "int32", "int64"].contains(&format);
            assert!(known, "{name} has format {format}");
        }
    }
}
