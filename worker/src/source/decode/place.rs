//! The way back: from a locator to what stands there in the object.

use std::{
    collections::HashMap,
    io::{Read, Seek, SeekFrom},
};

use anyhow::{Context as _, Result};
use musubi_api::source::{Encoding, Stream};
use musubi_clean::raw::Locator;

use super::{Decoded, decode, each_member, format_of, spool, text};
use crate::stage::edits::contents;

/// How much of an object tells its encoding.
const SAMPLE: u64 = 1 << 20;

/// What stands at a place of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The bytes of the (decompressed) object; a row of a sheet or row group has no bytes of its own.
    pub bytes: Option<Vec<u8>>,
    /// The bytes as text, or the row as JSON.
    pub text: String,
}

/// What stands at some places of an object, in the order of `places`; none for a place that it does not have.
///
/// # Errors
/// When the object cannot be read.
pub fn find(
    stream: &Stream,
    name: &str,
    mut input: impl Read + Seek,
    places: &[Locator],
) -> Result<Vec<Option<Found>>> {
    let mut found: Vec<Option<Found>> = vec![None; places.len()];
    let bytes = |locator: &Locator| matches!(locator, Locator::Bytes { .. });
    if places.iter().any(bytes) {
        each_member(stream, &mut input, &mut |member, input| {
            let here: Vec<(usize, u64, u64)> = places
                .iter()
                .enumerate()
                .filter_map(|(at, locator)| match locator {
                    Locator::Bytes {
                        member: m,
                        start,
                        end,
                    } if *m == member => Some((at, *start, *end)),
                    _ => None,
                })
                .collect();
            if here.is_empty() {
                return Ok(());
            }
            let mut whole = spool(input)?;
            let mut sample = Vec::new();
            Read::by_ref(&mut whole)
                .take(SAMPLE)
                .read_to_end(&mut sample)?;
            let length = whole.metadata()?.len();
            for (at, start, end) in here.into_iter().filter(|(_, s, e)| s <= e && *e <= length) {
                whole.seek(SeekFrom::Start(start))?;
                let mut bytes = Vec::new();
                Read::by_ref(&mut whole)
                    .take(end - start)
                    .read_to_end(&mut bytes)?;
                let text = text::lossy(encoding(stream), &sample, &bytes);
                found[at] = Some(Found {
                    bytes: Some(bytes),
                    text,
                });
            }
            Ok(())
        })
        .with_context(|| format!("stream {}: read {name}", stream.name))?;
    }
    let mut rows: HashMap<&Locator, Vec<usize>> = HashMap::new();
    for (at, locator) in places.iter().enumerate().filter(|(_, l)| !bytes(l)) {
        rows.entry(locator).or_default().push(at);
    }
    if rows.is_empty() {
        return Ok(found);
    }
    input.rewind()?;
    decode(stream, name, input, &mut |decoded| {
        match decoded {
            Decoded::Rows(batch) => {
                let here = batch.locators.iter().enumerate();
                for (row, wanted) in here.filter_map(|(row, l)| Some((row, rows.get(l)?))) {
                    let content = contents(&batch.part(row..row + 1));
                    let text = content.first().map(ToString::to_string).unwrap_or_default();
                    wanted
                        .iter()
                        .for_each(|at| found[*at] = Some(row_of(text.clone())));
                }
            }
            Decoded::Fault(fault) => {
                for at in rows.get(&fault.locator).into_iter().flatten() {
                    found[*at] = Some(row_of(String::new()));
                }
            }
            Decoded::Structural(_) => {}
        }
        Ok(())
    })?;
    Ok(found)
}

fn row_of(text: String) -> Found {
    Found { bytes: None, text }
}

fn encoding(stream: &Stream) -> Encoding {
    let format = format_of(stream);
    let csv = format.csv.map(|f| f.encoding);
    let fixed = format.fixed_width.map(|f| f.encoding);
    let records = format.records.map(|f| f.encoding);
    csv.or(fixed).or(records).unwrap_or(Encoding::Utf8)
}
