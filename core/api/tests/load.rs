//! Resources from files become a catalogue, and a catalogue becomes a run.

use std::{fs, path::PathBuf};

use musubi_api::{Catalog, Kind, Problems, load_and_validate, load_paths};

const SHOP: &str = r#"
apiVersion: musubi.dev/v1alpha1
kind: Source
metadata: { name: shop }
spec:
  system: ecommerce
  connector: { folder: { path: ../data/shop } }
  streams:
    - name: customers
      files: { path: "customers_*.csv" }
      format: { csv: { columns: [id, mail, name] } }
      entities:
        - entity: customer
          key: [id]
          fields:
            email: { from: mail }
            name: { from: name }
"#;

const REST: &str = r#"
apiVersion: musubi.dev/v1alpha1
kind: CustomerPipeline
metadata: { name: all, namespace: retail }
spec:
  sources: [shop]
  identityPolicy: people
  lake: { folder: ./lake }
  warehouses: [local]
---
apiVersion: musubi.dev/v1alpha1
kind: IdentityPolicy
metadata: { name: people }
spec: { matchProbability: 0.9 }
---
apiVersion: musubi.dev/v1alpha1
kind: Warehouse
metadata: { name: local }
spec: { sqlite: { path: out/w.sqlite } }
---
apiVersion: v1
kind: Secret
metadata: { name: db-user }
data: { username: bXVzdWJp }
stringData: { password: "p4ss-w0rd" }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: of-somebody-else }
"#;

fn folder(files: &[(&str, &str)]) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    for (name, text) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
        fs::write(path, text).expect("a file");
    }
    let root = dir.path().to_owned();
    (dir, root)
}

fn load(files: &[(&str, &str)]) -> (tempfile::TempDir, Result<Catalog, Problems>) {
    let (dir, root) = folder(files);
    let loaded = load_and_validate(&[root]);
    (dir, loaded)
}

#[test]
fn a_folder_becomes_a_run_whatever_the_order_of_files() {
    let as_of = "2026-11-01T00:00:00Z".parse().expect("a time");
    for names in [["a/shop.yaml", "z.yml"], ["z/shop.yaml", "a.yml"]] {
        let (dir, catalog) = load(&[
            (names[0], SHOP),
            (names[1], REST),
            ("data/rows.json", "{\"id\": 1}\n{\"id\": 2}\n"),
            (".hidden/broken.yaml", "a: [\n"),
        ]);
        let catalog = catalog.unwrap_or_else(|p| panic!("{p}"));
        let run = catalog.resolve_run(None, "uid-1", as_of).expect("a run");
        assert_eq!(
            (run.pipeline.as_str(), run.namespace.as_str()),
            ("all", "retail")
        );
        assert!((run.policy.match_probability - 0.9).abs() < 1e-9);
        let root = std::path::absolute(dir.path()).expect("absolute");
        let path = |p: &str| root.join(p).to_string_lossy().into_owned();
        let connector = &run.sources["shop"].connector;
        assert_eq!(
            connector.folder.as_ref().map(|f| f.path.clone()),
            Some(path("data/shop"))
        );
        assert_eq!(run.spec.lake.folder, Some(path("lake")));
        let sqlite = run.warehouses["local"].sqlite.as_ref();
        assert_eq!(sqlite.map(|s| s.path.clone()), Some(path("out/w.sqlite")));

        let yaml = serde_saphyr::to_string(&run).expect("run.yaml");
        let read: musubi_api::run::Run = serde_saphyr::from_str(&yaml).expect("readable");
        assert_eq!(read, run);
        assert!(!yaml.contains("p4ss"));
    }
}

#[test]
fn each_resource_remembers_where_it_stands() {
    let (_dir, catalog) = load(&[("shop.yaml", SHOP), ("rest.yaml", REST)]);
    let catalog = catalog.unwrap_or_else(|p| panic!("{p}"));
    let warehouse = catalog.document(Kind::Warehouse, "local").expect("loaded");
    assert!(warehouse.file.ends_with("rest.yaml"));
    assert_eq!((warehouse.index, warehouse.line()), (2, 16));
}

#[test]
fn secrets_come_from_manifests_and_are_never_printed() {
    let (_dir, catalog) = load(&[("shop.yaml", SHOP), ("rest.yaml", REST)]);
    let catalog = catalog.unwrap_or_else(|p| panic!("{p}"));
    let reference = |name: &str| musubi_api::source::SecretRef {
        secret: name.into(),
    };
    let secrets = catalog.secrets();
    assert_eq!(
        secrets.get(&reference("db-user"), "username").as_deref(),
        Ok("musubi")
    );
    assert_eq!(
        secrets.get(&reference("db-user"), "password").as_deref(),
        Ok("p4ss-w0rd")
    );
    let missing = secrets
        .get(&reference("db-user"), "token")
        .expect_err("no such key");
    assert!(missing.to_string().contains("MUSUBI_SECRET_DB_USER_TOKEN"));
    let shown = format!("{catalog:?}");
    assert!(
        !shown.contains("p4ss") && !shown.contains("bXVz"),
        "{shown}"
    );
}

#[test]
fn several_pipelines_must_be_chosen_from() {
    let other = "apiVersion: musubi.dev/v1alpha1\nkind: CustomerPipeline\nmetadata: {name: other}\nspec:\n  sources: [shop]\n  lake: {folder: l2}\n";
    let (_dir, catalog) = load(&[("shop.yaml", SHOP), ("rest.yaml", REST), ("o.yaml", other)]);
    let catalog = catalog.unwrap_or_else(|p| panic!("{p}"));
    let as_of = "2026-11-01T00:00:00Z".parse().expect("a time");
    let problem = catalog
        .resolve_run(None, "u", as_of)
        .expect_err("ambiguous");
    assert!(
        problem.to_string().contains("choose one of all, other"),
        "{problem}"
    );
    let problem = catalog
        .resolve_run(Some("al"), "u", as_of)
        .expect_err("unknown");
    assert!(
        problem.to_string().contains("did you mean `all`?"),
        "{problem}"
    );
    assert!(catalog.resolve_run(Some("other"), "u", as_of).is_ok());
}

#[test]
fn a_folder_without_resources_is_said() {
    let (_dir, root) = folder(&[("notes.txt", "nothing")]);
    let problems = load_paths(&[root]).expect_err("nothing to read");
    assert!(
        problems.to_string().contains("no resource file"),
        "{problems}"
    );
}
