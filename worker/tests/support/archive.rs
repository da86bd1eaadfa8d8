//! Compressed files, as systems leave them.

#![allow(dead_code, reason = "each test uses its part")]

use std::io::{Cursor, Write as _};

use flate2::{Compression, write::GzEncoder};
use zip::{ZipWriter, write::SimpleFileOptions};

/// Bytes in gzip.
pub(crate) fn gzip(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let mut out = GzEncoder::new(Vec::new(), Compression::fast());
    out.write_all(bytes.as_ref()).expect("compress");
    out.finish().expect("compress")
}

/// A zip archive of these members.
pub(crate) fn zip<B: AsRef<[u8]>>(members: &[(&str, B)]) -> Vec<u8> {
    let mut out = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in members {
        let options = SimpleFileOptions::default();
        out.start_file(*name, options).expect("a member");
        out.write_all(bytes.as_ref()).expect("write");
    }
    out.finish().expect("finish").into_inner()
}
