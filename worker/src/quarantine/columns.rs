//! Which columns the rows of a file have, for rows that could not be read themselves.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use musubi_clean::raw::RawRows;

use crate::{
    source::decode::{Decoded, decode},
    stage::{clean::Active, files, view::View},
};

/// The columns of a file's readable rows by record type, in their order.
pub(super) async fn of_file(
    view: &View,
    active: &Active,
) -> Result<BTreeMap<Option<String>, Vec<String>>> {
    let file = &active.file;
    let stream = files::stream(&view.context.run, &file.source, &file.stream)
        .with_context(|| format!("stream {} is not in the run", file.stream))?;
    let mut found: BTreeMap<Option<String>, Vec<String>> = BTreeMap::new();
    if let Some(records) = stream.format.as_ref().and_then(|f| f.records.as_ref()) {
        let headers = records
            .types
            .iter()
            .filter(|t| t.role == musubi_api::source::RecordRole::Header);
        let headers: Vec<_> = headers.collect();
        for kind in &records.types {
            let others = headers.iter().filter(|h| h.name != kind.name);
            let theirs = others.flat_map(|h| h.columns.iter().map(|c| format!("{}.{c}", h.name)));
            let names = kind.columns.iter().cloned().chain(theirs).collect();
            found.insert(Some(kind.name.clone()), names);
        }
        return Ok(found);
    }
    let bytes = view.context.store.get(&file.raw).await?;
    decode(
        stream,
        &file.path,
        std::io::Cursor::new(bytes),
        &mut |decoded| {
            if let Decoded::Rows(batch) = decoded {
                let names = found.entry(None).or_default();
                let mut add = |name: &str| {
                    if !names.iter().any(|n| n == name) {
                        names.push(name.to_owned());
                    }
                };
                match &batch.rows {
                    RawRows::Columns(rows) => {
                        rows.schema().fields().iter().for_each(|f| add(f.name()));
                    }
                    RawRows::Json(rows) => {
                        let objects = rows.iter().filter_map(serde_json::Value::as_object);
                        objects.flat_map(|o| o.keys()).for_each(|k| add(k));
                    }
                }
            }
            Ok(())
        },
    )?;
    if found.is_empty() {
        let mut names: Vec<String> = Vec::new();
        for column in musubi_clean::mapping::columns(stream) {
            let plain = column.trim_start_matches("$.");
            let first = plain.split(['.', '[']).next().unwrap_or(plain).to_owned();
            if first != "#" && !names.contains(&first) {
                names.push(first);
            }
        }
        found.insert(None, names);
    }
    Ok(found)
}
