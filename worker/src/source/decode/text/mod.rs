//! Records of text: split on bytes, so that locators are exact, then decoded record by record.

mod encoding;
mod fields;

use std::{
    collections::VecDeque,
    io::{BufRead, BufReader, Cursor, Read},
    sync::Arc,
};

use anyhow::{Result, bail};
use encoding_rs::{DecoderResult, SHIFT_JIS, UTF_8, UTF_16BE, UTF_16LE};
use musubi_api::source::Encoding;
use musubi_clean::raw::Locator;

pub(crate) use self::encoding::detect;
use self::encoding::encoding_of;
pub(super) use self::{encoding::lossy, fields::Fields};

/// How much of a file is looked at to tell its encoding.
const SAMPLE: u64 = 1 << 20;
/// How many bytes a record with line ends in quotes may have before its quote counts as never closed.
const LONGEST: usize = 256 << 10;

/// One record of a file: its bytes without the line end, and where they stand. Used again from record to record.
#[derive(Default)]
pub(super) struct Record {
    pub(super) bytes: Vec<u8>,
    pub(super) start: u64,
    pub(super) end: u64,
    /// A quote opens in it and does not close.
    unclosed: bool,
}

/// Why a record has no fields.
pub(super) struct Broken {
    pub(super) code: &'static str,
    pub(super) rule: String,
}

/// Reads records: lines, where a line end inside a quoted field does not count.
pub(super) struct Records<'a> {
    input: BufReader<Box<dyn Read + 'a>>,
    /// Lines read ahead.
    ahead: VecDeque<Vec<u8>>,
    member: Option<Arc<str>>,
    quote: Option<u8>,
    /// What may end a field, as far as is known: delimiters and line ends.
    ends: Ends,
    encoding: &'static encoding_rs::Encoding,
    /// What ends a line: a line feed (with or without a carriage return), or a carriage return alone.
    newline: u8,
    offset: u64,
}

impl<'a> Records<'a> {
    pub(super) fn open(
        input: &'a mut dyn Read,
        member: Option<Arc<str>>,
        declared: Encoding,
        quote: Option<u8>,
        delimiters: &[u8],
    ) -> Result<Self> {
        let mut sample = Vec::new();
        Read::take(&mut *input, SAMPLE).read_to_end(&mut sample)?;
        let (encoding, mark) = encoding_of(declared, &sample);
        let lone_returns = !sample.contains(&b'\n') && sample.contains(&b'\r');
        let newline = if lone_returns { b'\r' } else { b'\n' };
        let whole: Box<dyn Read + 'a> = Box::new(Cursor::new(sample).chain(input));
        let mut input = BufReader::with_capacity(64 << 10, whole);
        std::io::copy(&mut input.by_ref().take(mark as u64), &mut std::io::sink())?;
        Ok(Self {
            input,
            ahead: VecDeque::new(),
            member,
            quote,
            ends: Ends::of(delimiters),
            encoding,
            newline,
            offset: mark as u64,
        })
    }

    /// Says which delimiter the file has, once its header told.
    pub(super) fn set_delimiter(&mut self, delimiter: u8) {
        self.ends = Ends::of(&[delimiter]);
    }

    /// Reads the next record over the last one; false at the end.
    pub(super) fn next(&mut self, record: &mut Record) -> Result<bool> {
        let bytes = &mut record.bytes;
        bytes.clear();
        if !self.line(bytes)? {
            return Ok(false);
        }
        record.unclosed = match self.quote {
            Some(quote) if memchr::memchr(quote, bytes).is_some() => self.close(quote, bytes)?,
            _ => false,
        };
        record.start = self.offset;
        self.offset += bytes.len() as u64;
        self.trim_line_end(bytes);
        record.end = record.start + bytes.len() as u64;
        Ok(true)
    }

    /// Adds lines to a first one until its quotes are closed; says whether one is never closed.
    fn close(&mut self, quote: u8, bytes: &mut Vec<u8>) -> Result<bool> {
        let mut scan = Scan::default();
        scan.take(bytes, quote, self);
        let mut ends = vec![bytes.len()];
        while scan.quoted() || scan.stray {
            let begin = bytes.len();
            if begin < LONGEST && !scan.stray && self.line(bytes)? {
                ends.push(bytes.len());
                scan.take(&bytes[begin..], quote, self);
            } else {
                scan.stray = true;
            }
            // The quote belongs to its line only: a stray one must not take the lines after it along.
            if scan.stray {
                for line in ends.windows(2).rev() {
                    self.ahead.push_front(bytes[line[0]..line[1]].to_vec());
                }
                bytes.truncate(ends[0]);
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Adds one line with its end to some bytes; false when there is none.
    fn line(&mut self, bytes: &mut Vec<u8>) -> Result<bool> {
        if let Some(line) = self.ahead.pop_front() {
            bytes.extend_from_slice(&line);
            return Ok(true);
        }
        let begin = bytes.len();
        loop {
            let read = self.input.read_until(self.newline, bytes)?;
            if read == 0 || bytes.last() != Some(&self.newline) {
                break;
            }
            let end = bytes.len();
            let whole = (end - begin).is_multiple_of(2);
            if self.encoding == UTF_16LE {
                if whole {
                    continue;
                }
                if self.input.by_ref().take(1).read_to_end(bytes)? == 0 || bytes[end] == 0 {
                    break;
                }
            } else if self.encoding != UTF_16BE || (whole && bytes[end - 2] == 0) {
                break;
            }
        }
        Ok(bytes.len() > begin)
    }

    fn trim_line_end(&self, bytes: &mut Vec<u8>) {
        let width = self.width();
        while bytes.len() >= width {
            let at = bytes.len() - width;
            let unit = &bytes[at..];
            let end = match width {
                1 => matches!(unit, b"\n" | b"\r"),
                _ if self.encoding == UTF_16LE => matches!(unit, b"\n\0" | b"\r\0"),
                _ => matches!(unit, b"\0\n" | b"\0\r"),
            };
            if !end {
                break;
            }
            bytes.truncate(at);
        }
    }

    fn width(&self) -> usize {
        if self.encoding == UTF_16LE || self.encoding == UTF_16BE {
            2
        } else {
            1
        }
    }

    /// A text in the bytes of the file.
    pub(super) fn bytes_of(&self, text: &str) -> Vec<u8> {
        match self.encoding {
            e if e == UTF_16LE => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
            e if e == UTF_16BE => text.encode_utf16().flat_map(u16::to_be_bytes).collect(),
            other => other.encode(text).0.into_owned(),
        }
    }

    pub(super) fn locator(&self, record: &Record) -> Locator {
        Locator::Bytes {
            member: self.member.clone(),
            start: record.start,
            end: record.end,
        }
    }

    /// Text of some bytes, or the fault that they are.
    pub(super) fn text(&self, bytes: &[u8]) -> Result<String, Broken> {
        let mut text = String::new();
        self.decode(bytes, &mut text)?;
        Ok(text)
    }

    /// Writes the text of some bytes over `text`.
    fn decode(&self, bytes: &[u8], text: &mut String) -> Result<(), Broken> {
        text.clear();
        let plain =
            self.encoding == UTF_8 || (bytes.is_ascii() && self.encoding.is_ascii_compatible());
        let good = if plain {
            let found = std::str::from_utf8(bytes);
            found.is_ok_and(|found| {
                text.push_str(found);
                true
            })
        } else {
            let mut decoder = self.encoding.new_decoder_without_bom_handling();
            text.reserve(
                decoder
                    .max_utf8_buffer_length_without_replacement(bytes.len())
                    .unwrap_or(0),
            );
            let (result, _) = decoder.decode_to_string_without_replacement(bytes, text, true);
            result == DecoderResult::InputEmpty
        };
        if good {
            return Ok(());
        }
        Err(Broken {
            code: "undecodable_text",
            rule: format!("bytes that are no characters in {}", self.encoding.name()),
        })
    }

    /// Reads the fields of a record.
    pub(super) fn fields(
        &self,
        record: &Record,
        delimiter: u8,
        fields: &mut Fields,
    ) -> Result<(), Broken> {
        if record.unclosed {
            let rule = "a quote opens a field and is never closed".to_owned();
            return Err(Broken {
                code: "unclosed_quote",
                rule,
            });
        }
        self.decode(&record.bytes, &mut fields.text)?;
        fields.split(delimiter, self.quote);
        Ok(())
    }
}

/// Where a scan over a record's bytes stands.
#[derive(Default)]
struct Scan {
    state: State,
    /// A line end was met inside quotes.
    lines: u32,
    /// A quote of a field over several lines closes where no field ends.
    stray: bool,
}

#[derive(Default, PartialEq)]
enum State {
    #[default]
    FieldStart,
    Plain,
    Quoted,
    /// A quote was met inside quotes: it closes the field, or another follows.
    Closing,
}

impl Scan {
    fn quoted(&self) -> bool {
        self.state == State::Quoted
    }

    fn take(&mut self, line: &[u8], quote: u8, records: &Records<'_>) {
        let width = records.width();
        let double = records.encoding == SHIFT_JIS;
        let mut at = 0;
        while at + width <= line.len() {
            let byte = match width {
                1 => line[at],
                _ if records.encoding == UTF_16LE && line[at + 1] == 0 => line[at],
                _ if records.encoding == UTF_16BE && line[at] == 0 => line[at + 1],
                _ => 0xff,
            };
            at += width;
            if double && matches!(byte, 0x81..=0x9f | 0xe0..=0xfc) {
                at += 1; // the second byte may look like a delimiter
            }
            let ends = records.ends.has(byte);
            self.state = match self.state {
                State::Quoted | State::Closing if byte == quote => match self.state {
                    State::Quoted => State::Closing,
                    _ => State::Quoted,
                },
                State::Quoted => State::Quoted,
                State::Closing if !ends => {
                    self.stray |= self.lines > 0;
                    State::Plain
                }
                State::FieldStart if byte == quote => State::Quoted,
                _ if ends => State::FieldStart,
                _ => State::Plain,
            };
        }
        self.lines += 1;
    }
}

/// A set of ASCII characters.
#[derive(Clone, Copy)]
struct Ends(u128);

impl Ends {
    fn of(delimiters: &[u8]) -> Self {
        let all = delimiters.iter().chain(b"\n\r");
        Self(all.fold(0, |set, byte| set | 1 << (byte & 0x7f)))
    }

    const fn has(self, byte: u8) -> bool {
        byte.is_ascii() && self.0 & 1 << byte != 0
    }
}

/// A one-character setting: a character, or `tab`.
pub(super) fn character(setting: &str, field: &str) -> Result<u8> {
    match setting.as_bytes() {
        _ if setting == "tab" => Ok(b'\t'),
        [one] if one.is_ascii() => Ok(*one),
        _ => bail!("{field}: give one ASCII character, or tab"),
    }
}

/// The quote character that a format declares.
pub(super) fn quote(setting: Option<&str>) -> Result<Option<u8>> {
    match setting {
        Some("none") => Ok(None),
        Some(setting) => character(setting, "quote").map(Some),
        None => Ok(Some(b'"')),
    }
}
