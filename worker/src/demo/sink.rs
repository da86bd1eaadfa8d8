//! The files of the world: one per stream and day, written line by line.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::Path,
};

use flate2::{Compression, write::GzEncoder};

use super::truth::Truth;

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Lines in UTF-8.
    Utf8,
    /// Lines in Windows-31J.
    Cp932,
    /// Lines in UTF-8, gzipped.
    Gzip,
    /// One JSON document: what opens it, the rows separated by commas, what closes it.
    Document(&'static str, &'static str),
}

enum Target {
    Plain(BufWriter<File>),
    Gzip(Box<GzEncoder<BufWriter<File>>>),
}

/// A file under way.
pub struct Sink {
    target: Target,
    shape: Shape,
    source: &'static str,
    stream: &'static str,
    file: String,
    written: u64,
}

impl Sink {
    /// Opens `data/<source>/<file>` below `root`.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create(
        root: &Path,
        source: &'static str,
        stream: &'static str,
        file: String,
        shape: Shape,
    ) -> io::Result<Self> {
        let folder = root.join("data").join(source);
        fs::create_dir_all(&folder)?;
        let plain = BufWriter::with_capacity(1 << 16, File::create(folder.join(&file))?);
        let mut target = match shape {
            Shape::Gzip => Target::Gzip(Box::new(GzEncoder::new(plain, Compression::fast()))),
            _ => Target::Plain(plain),
        };
        if let Shape::Document(open, _) = shape {
            target.put(open.as_bytes())?;
        }
        Ok(Self {
            target,
            shape,
            source,
            stream,
            file,
            written: 0,
        })
    }

    /// Writes a row (or a line of the header).
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn line(&mut self, text: &str) -> io::Result<()> {
        match self.shape {
            Shape::Cp932 => {
                let (bytes, _, _) = encoding_rs::SHIFT_JIS.encode(text);
                self.bytes(&bytes)
            }
            _ => self.bytes(text.as_bytes()),
        }
    }

    /// Writes a row of bytes as they are.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        if matches!(self.shape, Shape::Document(..)) && self.written > 0 {
            self.target.put(b",\n")?;
        }
        self.target.put(bytes)?;
        match self.shape {
            Shape::Document(..) => {}
            Shape::Cp932 => self.target.put(b"\r\n")?,
            _ => self.target.put(b"\n")?,
        }
        self.written += 1;
        Ok(())
    }

    /// Writes a row that must end in quarantine, and tells the truth so.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn bad(&mut self, truth: &mut Truth, reason: &'static str, bytes: &[u8]) -> io::Result<()> {
        self.bytes(bytes)?;
        let row = self.written;
        truth.bad(self.source, self.stream, &self.file, row, reason)
    }

    /// As [`Sink::bad`], in the file's encoding.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn bad_line(
        &mut self,
        truth: &mut Truth,
        reason: &'static str,
        text: &str,
    ) -> io::Result<()> {
        self.line(text)?;
        let row = self.written;
        truth.bad(self.source, self.stream, &self.file, row, reason)
    }

    /// Closes the file.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn finish(mut self) -> io::Result<()> {
        if let Shape::Document(_, close) = self.shape {
            self.target.put(close.as_bytes())?;
        }
        match self.target {
            Target::Plain(mut file) => file.flush(),
            Target::Gzip(gzip) => gzip.finish()?.flush(),
        }
    }
}

impl Target {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(file) => file.write_all(bytes),
            Self::Gzip(file) => file.write_all(bytes),
        }
    }
}
