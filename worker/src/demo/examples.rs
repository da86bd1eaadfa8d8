//! The resources of `examples/bento`, embedded: the demo runs the very files that a user copies.

use std::{fs, io, path::Path};

/// Name and text of every file of `examples/bento`.
pub const FILES: &[(&str, &str)] = &[
    example("app.yaml", include_str!("../../../examples/bento/app.yaml")),
    example(
        "campaigns.yaml",
        include_str!("../../../examples/bento/campaigns.yaml"),
    ),
    example("crm.yaml", include_str!("../../../examples/bento/crm.yaml")),
    example(
        "delivery.yaml",
        include_str!("../../../examples/bento/delivery.yaml"),
    ),
    example("erp.yaml", include_str!("../../../examples/bento/erp.yaml")),
    example(
        "loyalty.yaml",
        include_str!("../../../examples/bento/loyalty.yaml"),
    ),
    example("oms.yaml", include_str!("../../../examples/bento/oms.yaml")),
    example(
        "pipeline.yaml",
        include_str!("../../../examples/bento/pipeline.yaml"),
    ),
    example("pos.yaml", include_str!("../../../examples/bento/pos.yaml")),
    example(
        "support.yaml",
        include_str!("../../../examples/bento/support.yaml"),
    ),
    example(
        "webshop.yaml",
        include_str!("../../../examples/bento/webshop.yaml"),
    ),
];

const fn example(name: &'static str, text: &'static str) -> (&'static str, &'static str) {
    (name, text)
}

/// Writes the files into `folder`. A file that is there already is left as it is, so that edits survive.
///
/// # Errors
/// When the folder cannot be made or a file cannot be written.
pub fn write(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for (name, text) in FILES {
        let path = folder.join(name);
        if !path.exists() {
            fs::write(path, text)?;
        }
    }
    Ok(())
}
