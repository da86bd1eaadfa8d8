//! Records of text: split on bytes, so that locators are exact, then decoded record by record.

use std::{
    collections::VecDeque,
    io::{BufRead, BufReader, Cursor, Read},
    sync::Arc,
};

use anyhow::{Result, bail};
use encoding_rs::{DecoderResult, EUC_JP, SHIFT_JIS, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};
use musubi_api::source::Encoding;
use musubi_clean::raw::Locator;

/// How much of a file is looked at to tell its encoding.
const SAMPLE: u64 = 1 << 20;
/// How many bytes a record with line ends in quotes may have before its quote counts as never closed.
const LONGEST: usize = 256 << 10;

/// One record of a file: its bytes without the line end, and where they stand.
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
    delimiters: Vec<u8>,
    encoding: &'static encoding_rs::Encoding,
    /// What ends a line: a line feed (with or without a carriage return), or a carriage return alone.
    newline: u8,
    offset: u64,
    /// Bytes of the last line: the next one will be about as long.
    usual: usize,
}

/// The fields of a record, as text. Used again from record to record.
#[derive(Default)]
pub(super) struct Fields {
    text: String,
    /// Where each field begins and ends in the text.
    spans: Vec<(usize, usize)>,
    /// Room for a record with quotes.
    unquoted: String,
}

impl Fields {
    pub(super) fn len(&self) -> usize {
        self.spans.len()
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &str> + Clone {
        let text = self.text.as_str();
        self.spans
            .iter()
            .map(move |(start, end)| &text[*start..*end])
    }

    /// A field, from 0.
    pub(super) fn get(&self, at: usize) -> &str {
        let (start, end) = self.spans[at];
        &self.text[start..end]
    }

    /// Adds fields.
    pub(super) fn extend<'f>(&mut self, fields: impl Iterator<Item = &'f str>) {
        for field in fields {
            let start = self.text.len();
            self.text.push_str(field);
            self.spans.push((start, self.text.len()));
        }
    }

    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.spans.clear();
    }

    pub(super) fn to_vec(&self) -> Vec<String> {
        self.iter().map(str::to_owned).collect()
    }

    /// Leaves the last field out.
    pub(super) fn pop(&mut self) {
        self.spans.pop();
    }

    /// Splits the text. A quote opens a field only at its start; a doubled quote inside quotes stands for one.
    fn split(&mut self, delimiter: char, quote: Option<char>) {
        self.spans.clear();
        let Some(quote) = quote.filter(|quote| self.text.contains(*quote)) else {
            let mut start = 0;
            for (at, _) in self.text.match_indices(delimiter) {
                self.spans.push((start, at));
                start = at + 1;
            }
            self.spans.push((start, self.text.len()));
            return;
        };
        let out = &mut self.unquoted;
        out.clear();
        let (mut begin, mut quoted, mut start) = (0, false, true);
        let mut chars = self.text.chars().peekable();
        while let Some(c) = chars.next() {
            if c == quote && (quoted || start) {
                if quoted && chars.peek() == Some(&quote) {
                    chars.next();
                    out.push(c);
                } else {
                    quoted = !quoted;
                }
                start = false;
            } else if c == delimiter && !quoted {
                self.spans.push((begin, out.len()));
                begin = out.len();
                start = true;
            } else {
                out.push(c);
                start = false;
            }
        }
        self.spans.push((begin, out.len()));
        std::mem::swap(&mut self.text, &mut self.unquoted);
    }
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
            delimiters: delimiters.to_vec(),
            encoding,
            newline,
            offset: mark as u64,
            usual: 0,
        })
    }

    /// Says which delimiter the file has, once its header told.
    pub(super) fn set_delimiter(&mut self, delimiter: u8) {
        self.delimiters = vec![delimiter];
    }

    /// The next record, or `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Record>> {
        let Some(mut bytes) = self.line()? else {
            return Ok(None);
        };
        let mut scan = Scan::default();
        let mut unclosed = false;
        if let Some(quote) = self.quote.filter(|quote| bytes.contains(quote)) {
            scan.take(&bytes, quote, self);
            let mut lines = vec![bytes.len()];
            while scan.quoted() || scan.stray {
                let more = if bytes.len() < LONGEST && !scan.stray {
                    self.line()?
                } else {
                    None
                };
                match more {
                    Some(line) => {
                        bytes.extend_from_slice(&line);
                        lines.push(line.len());
                        scan.take(&line, quote, self);
                    }
                    None => scan.stray = true,
                }
                // The quote belongs to its line only: a stray one must not take the lines after it along.
                if scan.stray {
                    let mut rest = bytes.split_off(lines[0]);
                    for length in lines.iter().skip(1).rev() {
                        self.ahead.push_front(rest.split_off(rest.len() - length));
                    }
                    unclosed = true;
                    break;
                }
            }
        }
        let start = self.offset;
        self.offset += bytes.len() as u64;
        self.trim_line_end(&mut bytes);
        let end = start + bytes.len() as u64;
        Ok(Some(Record {
            bytes,
            start,
            end,
            unclosed,
        }))
    }

    /// One line with its end.
    fn line(&mut self) -> Result<Option<Vec<u8>>> {
        if let Some(line) = self.ahead.pop_front() {
            return Ok(Some(line));
        }
        let mut bytes = Vec::with_capacity(self.usual);
        loop {
            let read = self.input.read_until(self.newline, &mut bytes)?;
            if read == 0 || bytes.last() != Some(&self.newline) {
                break;
            }
            let length = bytes.len();
            if self.encoding == UTF_16LE {
                if length % 2 == 0 {
                    continue;
                }
                if self.input.by_ref().take(1).read_to_end(&mut bytes)? == 0 || bytes[length] == 0 {
                    break;
                }
            } else if self.encoding != UTF_16BE || (length % 2 == 0 && bytes[length - 2] == 0) {
                break;
            }
        }
        self.usual = bytes.len();
        Ok((!bytes.is_empty()).then_some(bytes))
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
        fields.split(char::from(delimiter), self.quote.map(char::from));
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
        let mut at = 0;
        while at + width <= line.len() {
            let byte = match width {
                1 => line[at],
                _ if records.encoding == UTF_16LE && line[at + 1] == 0 => line[at],
                _ if records.encoding == UTF_16BE && line[at] == 0 => line[at + 1],
                _ => 0xff,
            };
            at += width;
            if records.encoding == SHIFT_JIS && matches!(byte, 0x81..=0x9f | 0xe0..=0xfc) {
                at += 1; // the second byte may look like a delimiter
            }
            let ends = records.delimiters.contains(&byte) || matches!(byte, b'\n' | b'\r');
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

/// The encoding of a file, and how many bytes its mark has.
fn encoding_of(declared: Encoding, sample: &[u8]) -> (&'static encoding_rs::Encoding, usize) {
    match encoding_rs::Encoding::for_bom(sample) {
        Some((encoding, mark)) if declared == Encoding::Auto || encoding != UTF_8 => {
            (encoding, mark)
        }
        Some((_, mark)) if declared == Encoding::Utf8 => (UTF_8, mark),
        _ => (detect(declared, sample), 0),
    }
}

/// Some bytes of a file as text; what is no character becomes a replacement character.
pub(super) fn lossy(declared: Encoding, sample: &[u8], bytes: &[u8]) -> String {
    let (encoding, _) = encoding_of(declared, sample);
    encoding.decode_without_bom_handling(bytes).0.into_owned()
}

/// The encoding of a text without a byte order mark.
pub(crate) fn detect(declared: Encoding, sample: &[u8]) -> &'static encoding_rs::Encoding {
    match declared {
        Encoding::Utf8 => UTF_8,
        Encoding::Cp932 => SHIFT_JIS,
        Encoding::EucJp => EUC_JP,
        Encoding::Utf16 => wide(sample).unwrap_or(UTF_16LE),
        Encoding::Latin1 => WINDOWS_1252,
        Encoding::Auto => {
            if let Some(wide) = wide(sample) {
                return wide;
            }
            if is_utf8(sample) {
                return UTF_8;
            }
            let mut detector =
                chardetng::EncodingDetector::new(chardetng::Iso2022JpDetection::Deny);
            detector.feed(sample, true);
            detector.guess(Some(b"jp"), chardetng::Utf8Detection::Allow)
        }
    }
}

/// UTF-16 without a mark: line ends and delimiters have a zero byte beside them, always on the same side.
fn wide(sample: &[u8]) -> Option<&'static encoding_rs::Encoding> {
    let zeros = |side: usize| {
        sample
            .iter()
            .skip(side)
            .step_by(2)
            .filter(|b| **b == 0)
            .count()
    };
    let (first, second) = (zeros(0), zeros(1));
    let enough =
        |many: usize, few: usize| many > 0 && many >= 20 * few && many * 50 >= sample.len();
    if enough(second, first) {
        return Some(UTF_16LE);
    }
    enough(first, second).then_some(UTF_16BE)
}

/// Whether a text is UTF-8, but for a few broken characters: one bad row must not turn all others to noise.
/// A character may be cut in two at the end of the sample.
fn is_utf8(sample: &[u8]) -> bool {
    let (mut good, mut broken) = (0_usize, 0_usize);
    let mut chunks = sample.utf8_chunks().peekable();
    while let Some(chunk) = chunks.next() {
        good += chunk.valid().chars().filter(|c| !c.is_ascii()).count();
        broken += usize::from(!chunk.invalid().is_empty() && chunks.peek().is_some());
    }
    good >= 4 * broken
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

#[cfg(test)]
mod tests {
    use super::Fields;

    #[test]
    fn fields_of_a_record() {
        let cases: [(&str, &[&str]); 6] = [
            ("a,b,c", &["a", "b", "c"]),
            ("a,,", &["a", "", ""]),
            (r#""a,b",c"#, &["a,b", "c"]),
            (r#""say ""hi""",x"#, &[r#"say "hi""#, "x"]),
            ("\"two\nlines\",x", &["two\nlines", "x"]),
            ("5\" pipe,x", &["5\" pipe", "x"]),
        ];
        for (text, expected) in cases {
            let mut fields = Fields {
                text: text.to_owned(),
                ..Fields::default()
            };
            fields.split(',', Some('"'));
            assert_eq!(fields.to_vec(), expected, "{text}");
        }
    }
}
