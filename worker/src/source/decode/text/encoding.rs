//! How the characters of a file are written: as declared, or as its first bytes tell.

use encoding_rs::{EUC_JP, SHIFT_JIS, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};
use musubi_api::source::Encoding;

/// The encoding of a file, and how many bytes its mark has.
pub(super) fn encoding_of(
    declared: Encoding,
    sample: &[u8],
) -> (&'static encoding_rs::Encoding, usize) {
    match encoding_rs::Encoding::for_bom(sample) {
        Some((encoding, mark)) if declared == Encoding::Auto || encoding != UTF_8 => {
            (encoding, mark)
        }
        Some((_, mark)) if declared == Encoding::Utf8 => (UTF_8, mark),
        _ => (detect(declared, sample), 0),
    }
}

/// Some bytes of a file as text; what is no character becomes a replacement character.
pub(crate) fn lossy(declared: Encoding, sample: &[u8], bytes: &[u8]) -> String {
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
