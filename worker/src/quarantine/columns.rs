//! Which columns the rows of a file have, for rows that could not be read themselves.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use musubi_api::source::{Format, GIVEN_COLUMNS};
use musubi_clean::{json::Json, raw::RawRows};

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
    let types = stream.format.as_ref().map(Format::record_types);
    let types = types.unwrap_or_default();
    for kind in &types {
        found.insert(Some(kind.name.clone()), kind.row_columns(&types));
    }
    if !found.is_empty() {
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
                        let members = rows.iter().flat_map(Json::members);
                        members.for_each(|(key, _)| add(key));
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
            if !GIVEN_COLUMNS.contains(&first.as_str()) && !names.contains(&first) {
                names.push(first);
            }
        }
        found.insert(None, names);
    }
    Ok(found)
}
