//! The operator without Helm.

use std::path::Path;

use musubi_testing::Cluster;

/// Copies `deploy/kustomize` as its own comment says, with namespace and image set in the copy.
pub(crate) fn copy(cluster: &Cluster, namespace: &str, to: &Path) {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/kustomize");
    std::fs::create_dir(to).expect("a folder");
    let read = |name: &str| std::fs::read_to_string(from.join(name)).expect("a file");
    let image = cluster.image.rsplit_once(':');
    let (repository, tag) = image.expect("an image with a tag");
    let said = read("kustomization.yaml");
    let own = said
        .replace("namespace: musubi", &format!("namespace: {namespace}"))
        .replace(
            "newTag: 0.1.0",
            &format!("newName: {repository}\n    newTag: {tag}"),
        );
    assert_eq!(own.lines().count(), said.lines().count() + 1, "{own}");
    std::fs::write(to.join("kustomization.yaml"), own).expect("a file");
    std::fs::write(to.join("musubi.yaml"), read("musubi.yaml")).expect("a file");
}
