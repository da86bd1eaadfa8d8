//! The files of `examples/bento` are valid: schema, rules, references, mappings against contracts.

use std::path::Path;

#[test]
fn the_examples_validate_and_resolve_to_a_run() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/bento");
    let catalog = musubi_api::load::load_and_validate(&[folder])
        .unwrap_or_else(|problems| panic!("{problems}"));
    let run = catalog
        .resolve_run(Some("bento"), "test", jiff::Timestamp::UNIX_EPOCH)
        .unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(run.sources.len(), 10);
    assert_eq!(run.warehouses.len(), 1);
    assert_eq!(run.audiences.len(), 1);
}

#[test]
fn the_embedded_files_are_all_the_files() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/bento");
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .expect("examples/bento")
        .map(|entry| {
            entry
                .expect("entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .filter(|name| Path::new(name).extension().is_some_and(|end| end == "yaml"))
        .collect();
    names.sort();
    let embedded: Vec<&str> = musubi::demo::examples::FILES
        .iter()
        .map(|(name, _)| *name)
        .collect();
    assert_eq!(names, embedded);
}
