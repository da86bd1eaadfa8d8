//! Images for the cluster's nodes: programs of this machine and the libraries they need, as one layer.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::{Place, programs::done};

/// What a worker trusts.
const AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Packs programs into an image and imports it on every node. Gives its name by its digest.
pub(super) fn load_programs(
    place: &Place,
    bin: &Path,
    name: &str,
    programs: &[PathBuf],
) -> Result<String> {
    let begun = Instant::now();
    let root = place.run.join("image-root");
    let _ = fs::remove_dir_all(&root);
    for folder in ["bin", "etc/ssl/certs", "tmp"] {
        fs::create_dir_all(root.join(folder))?;
    }
    let mut libraries = BTreeSet::new();
    for program in programs {
        let file = program.file_name().context("a program has a name")?;
        fs::copy(program, root.join("bin").join(file))
            .with_context(|| format!("read {}", program.display()))?;
        libraries.extend(libraries_of(program)?);
    }
    for library in libraries {
        let to = root.join(library.strip_prefix("/").unwrap_or(&library));
        fs::create_dir_all(to.parent().unwrap_or(&root))?;
        fs::copy(&library, to)?;
    }
    if Path::new(AUTHORITIES).exists() {
        fs::copy(AUTHORITIES, root.join(AUTHORITIES.trim_start_matches('/')))?;
    }
    let Packed { archive, by_digest } = pack(place, name, &root, &json!([]))?;
    for socket in place.containerds() {
        import(bin, &socket, &archive)?;
    }
    fs::remove_dir_all(&root)?;
    println!(
        "cluster: {name} loaded in {:.1?}, {by_digest} too",
        begun.elapsed()
    );
    Ok(by_digest)
}

/// Gives a node the image that every pod's sandbox is made of, and those that were loaded before it came.
pub(super) fn load_all(place: &Place, bin: &Path, socket: &Path) -> Result<()> {
    let archives = place.run.join("images");
    if !archives.exists() {
        let root = place.run.join("image-root");
        fs::create_dir_all(root.join("bin"))?;
        fs::copy("/bin/busybox", root.join("bin/busybox"))?;
        let entry = json!(["/bin/busybox", "sleep", "1000000000"]);
        pack(place, "localhost/pause:1", &root, &entry)?;
        fs::remove_dir_all(&root)?;
    }
    for archive in fs::read_dir(archives)?.flatten() {
        import(bin, socket, &archive.path())?;
    }
    Ok(())
}

/// The shared libraries of a program, and its loader; none for a static one.
fn libraries_of(program: &Path) -> Result<BTreeSet<PathBuf>> {
    let out = Command::new("ldd")
        .arg(program)
        .output()
        .context("start ldd")?;
    let text = String::from_utf8_lossy(&out.stdout);
    Ok(text
        .split_whitespace()
        .filter(|word| word.starts_with('/'))
        .map(PathBuf::from)
        .collect())
}

fn import(bin: &Path, socket: &Path, archive: &Path) -> Result<()> {
    done(
        Command::new(bin.join("ctr"))
            .arg("--address")
            .arg(socket)
            .args(["--namespace=k8s.io", "images", "import"])
            .arg(archive),
    )
}

/// An image.
struct Packed {
    /// An OCI archive.
    archive: PathBuf,
    /// `repository@sha256:…`.
    by_digest: String,
}

/// Makes an image of one layer: the folder. Its archive stays, for nodes that come later. Nodes know it by its name, and
/// by its digest as if it came from a registry.
fn pack(place: &Place, name: &str, root: &Path, entry: &Value) -> Result<Packed> {
    let folder = place.run.join("image");
    let _ = fs::remove_dir_all(&folder);
    let blobs = folder.join("blobs/sha256");
    fs::create_dir_all(&blobs)?;
    let layer = folder.join("layer");
    // Same content, same image: times and owners are left out.
    done(
        Command::new("tar")
            .args(["--sort=name", "--mtime=@0", "--owner=0", "--group=0"])
            .args(["--numeric-owner", "--create", "--file"])
            .arg(&layer)
            .arg("--directory")
            .arg(root)
            .arg("."),
    )?;
    let layer = keep(&blobs, &layer)?;
    let put = |value: &Value| -> Result<Value> {
        let file = folder.join("blob");
        fs::write(&file, serde_json::to_vec(value)?)?;
        keep(&blobs, &file)
    };
    let config = put(&json!({
        "architecture": architecture(),
        "os": "linux",
        "config": { "Env": ["PATH=/bin"], "Entrypoint": entry, "User": "65532:65532" },
        "rootfs": { "type": "layers", "diff_ids": [layer["digest"]] },
    }))?;
    let typed = |blob: Value, kind: &str| {
        let mut blob = blob;
        blob["mediaType"] = format!("application/vnd.oci.image.{kind}").into();
        blob
    };
    let manifest = put(&json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": typed(config, "config.v1+json"),
        "layers": [typed(layer, "layer.v1.tar")],
    }))?;
    let manifest = typed(manifest, "manifest.v1+json");
    let digest = manifest["digest"].as_str().context("a digest")?;
    let repository = name
        .rsplit_once(':')
        .map_or(name, |(repository, _)| repository);
    let by_digest = format!("{repository}@{digest}");
    let named = |name: &str| {
        let mut manifest = manifest.clone();
        manifest["annotations"] = json!({ "io.containerd.image.name": name });
        manifest
    };
    let index = json!({ "schemaVersion": 2, "manifests": [named(name), named(&by_digest)] });
    fs::write(folder.join("index.json"), serde_json::to_vec(&index)?)?;
    fs::write(
        folder.join("oci-layout"),
        r#"{"imageLayoutVersion":"1.0.0"}"#,
    )?;
    let archives = place.run.join("images");
    fs::create_dir_all(&archives)?;
    let archive = archives.join(format!("{}.tar", name.replace(['/', ':'], "_")));
    done(
        Command::new("tar")
            .args(["--create", "--file"])
            .arg(&archive)
            .arg("--directory")
            .arg(&folder)
            .args(["oci-layout", "index.json", "blobs"]),
    )?;
    fs::remove_dir_all(&folder)?;
    Ok(Packed { archive, by_digest })
}

/// Moves a file to the blobs, by its digest.
fn keep(blobs: &Path, file: &Path) -> Result<Value> {
    let out = Command::new("sha256sum").arg(file).output()?;
    let text = String::from_utf8_lossy(&out.stdout);
    let digest = text.split_whitespace().next().unwrap_or_default();
    ensure!(digest.len() == 64, "sha256sum {} failed", file.display());
    let size = fs::metadata(file)?.len();
    fs::rename(file, blobs.join(digest))?;
    Ok(json!({ "digest": format!("sha256:{digest}"), "size": size }))
}

fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
