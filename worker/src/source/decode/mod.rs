//! Decoders: every record of an object comes out as exactly one of a row, a fault, or a structural count.

mod delimited;
mod excel;
mod fixed;
mod json;
mod parquet;
mod place;
mod records;
mod text;

use std::{
    io::{Cursor, Read, Seek},
    sync::Arc,
};

use anyhow::{Context as _, Result, bail};
use musubi_api::source::{Compression, Format, Stream};
use musubi_clean::raw::{RawBatch, RawFault};

pub use place::{Found, find};
pub(crate) use text::detect as detect_encoding;

/// What a decoder found.
#[derive(Debug)]
pub enum Decoded {
    /// Rows.
    Rows(RawBatch),
    /// A record that could not be decoded.
    Fault(RawFault),
    /// So many records that are not data: headers, trailers, comments, blank lines.
    Structural(u64),
}

/// Rows in a batch: few enough that what they become stays in the processor's caches, and the memory of one
/// batch serves the next.
const BATCH: usize = 1024;

/// Takes what a decoder finds.
pub type Sink<'a> = dyn FnMut(Decoded) -> Result<()> + 'a;

/// Decodes an object of a stream. `name` is its path in the source; compression is told from its first bytes
/// unless the stream declares it. Lines are streamed; zip, Parquet and workbooks, which are read from
/// their end, go through a scratch file. A stream of a table has no format: its objects are JSON lines.
///
/// # Errors
/// When the object as a whole cannot be read as what it should be, or the sink fails.
pub fn decode(stream: &Stream, name: &str, input: impl Read, sink: &mut Sink<'_>) -> Result<()> {
    let format = format_of(stream);
    each_member(stream, input, &mut |member, input| {
        plain(&format, member, input, sink)
    })
    .with_context(|| format!("stream {}: decode {name}", stream.name))
}

fn format_of(stream: &Stream) -> Format {
    stream.format.clone().unwrap_or_else(|| Format {
        json: Some(musubi_api::source::JsonFormat::default()),
        ..Format::default()
    })
}

/// Takes a member of an archive: its name, and its bytes.
pub(crate) type TakeMember<'a> = dyn FnMut(Option<Arc<str>>, &mut dyn Read) -> Result<()> + 'a;

/// Calls `take` with the decompressed bytes of an object, or of each member of an archive.
pub(crate) fn each_member(
    stream: &Stream,
    mut input: impl Read,
    take: &mut TakeMember<'_>,
) -> Result<()> {
    let mut magic = Vec::new();
    input.by_ref().take(4).read_to_end(&mut magic)?;
    // A workbook is a zip of its own kind.
    let workbook = stream.format.as_ref().is_some_and(|f| f.excel.is_some());
    let compression = match stream
        .files
        .as_ref()
        .map_or(Compression::Auto, |f| f.compression)
    {
        Compression::Auto => match magic.as_slice() {
            [0x1f, 0x8b, ..] => Compression::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd] => Compression::Zstd,
            [b'P', b'K', 3, 4] if !workbook => Compression::Zip,
            _ => Compression::None,
        },
        declared => declared,
    };
    let mut input = Cursor::new(magic).chain(input);
    match compression {
        Compression::Gzip => take(None, &mut flate2::read::MultiGzDecoder::new(input)),
        Compression::Zstd => take(None, &mut zstd::Decoder::new(input)?),
        Compression::Zip => {
            let mut archive = zip::ZipArchive::new(spool(&mut input)?)
                .context("the file is not a zip archive; correct files.compression")?;
            for at in 0..archive.len() {
                let mut member = archive.by_index(at)?;
                let name: Arc<str> = Arc::from(&*member.name()?);
                if !member.is_dir() && !is_leftover(&name) {
                    take(Some(name), &mut member)?;
                }
            }
            Ok(())
        }
        Compression::None | Compression::Auto => take(None, &mut input),
    }
}

/// What desktop systems put into archives beside the data: `__MACOSX/`, `.DS_Store`.
fn is_leftover(member: &str) -> bool {
    member
        .split(['/', '\\'])
        .any(|part| part.starts_with('.') || part == "__MACOSX")
}

/// Copies a reader to a scratch file, for formats that are read from their end.
fn spool(input: &mut dyn Read) -> Result<std::fs::File> {
    let mut file = tempfile::tempfile().context("make a scratch file")?;
    std::io::copy(input, &mut file).context("write a scratch file")?;
    file.rewind()?;
    Ok(file)
}

fn plain(
    format: &Format,
    member: Option<Arc<str>>,
    input: &mut dyn Read,
    sink: &mut Sink<'_>,
) -> Result<()> {
    if let Some(csv) = &format.csv {
        return delimited::decode(csv, member, input, sink);
    }
    if let Some(fixed) = &format.fixed_width {
        return fixed::decode(fixed, member, input, sink);
    }
    if let Some(records) = &format.records {
        return records::decode(records, member, input, sink);
    }
    if let Some(json) = &format.json {
        return json::decode(json, member, input, sink);
    }
    if format.parquet.is_some() {
        return parquet::decode(spool(input)?, sink);
    }
    if let Some(excel) = &format.excel {
        return excel::decode(excel, spool(input)?, sink);
    }
    bail!("format: set exactly one of csv, fixedWidth, records, json, parquet and excel")
}
