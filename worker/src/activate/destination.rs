//! Where a delivery is written.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use musubi_api::audience::Destination;
use musubi_lake::Store;

use crate::{source::s3_location, warehouse::SecretLookup};

/// Writes a file whole or not at all, and says where it is.
pub(super) async fn write(
    destination: &Destination,
    name: &str,
    bytes: Vec<u8>,
    secret: &SecretLookup<'_>,
) -> Result<String> {
    match (&destination.file, &destination.s3) {
        (Some(folder), None) => {
            let path = Path::new(&folder.path).join(name);
            in_folder(&path, &bytes).with_context(|| path.display().to_string())?;
            Ok(path.display().to_string())
        }
        (None, Some(s3)) => {
            let store = Store::open(&s3_location(s3, secret)?)?;
            store.put(name, bytes.into()).await?;
            Ok(format!("{}/{name}", store.name().trim_end_matches('/')))
        }
        _ => bail!("spec.destination needs exactly one of file and s3"),
    }
}

fn in_folder(path: &Path, bytes: &[u8]) -> Result<()> {
    use std::io::Write as _;
    let folder = path.parent().context("the path has no folder")?;
    std::fs::create_dir_all(folder)?;
    let scratch = folder.join(format!(".{}.part", uuid::Uuid::new_v4().simple()));
    let mut file = std::fs::File::create(&scratch)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&scratch, path)?;
    Ok(())
}
