//! E-mail addresses.

use email_address::EmailAddress;

use crate::{normalised::Normalised, text};

/// Version of this normaliser; raised when any result changes.
pub const VERSION: u32 = 1;

/// Local parts that stand for "no address".
const PLACEHOLDERS: &[&str] = &[
    "test",
    "noreply",
    "no-reply",
    "no_reply",
    "donotreply",
    "do-not-reply",
    "dummy",
    "none",
    "null",
    "nomail",
    "no-mail",
    "noemail",
    "no-email",
    "unknown",
    "na",
    "n/a",
    "xxx",
    "xxxx",
    "aaa",
    "aaaa",
    "abc",
    "nashi",
    "nasi",
];

/// Domains that fold dots and plus tags of the local part.
const GMAIL: &[&str] = &["gmail.com", "googlemail.com"];

/// Lower case, NFKC, without `mailto:`, a display name, angle brackets and spaces. Invalid (and kept) when the
/// standard does not know its form (as `a..b@docomo.ne.jp`, which exists), when the domain has no dot, or when it is a placeholder (`test@…`, `noreply@…`).
/// Misspelt domains stay as they are.
#[must_use]
pub fn normalise(value: &str) -> Normalised<String> {
    let Some(folded) = text::present(value) else {
        return Normalised::absent();
    };
    let address = bare(&folded);
    if address.is_empty() {
        return Normalised::meaningless();
    }
    let valid = is_deliverable(&address);
    Normalised::judged(address, valid)
}

/// The mailbox behind an address, for matching: for Gmail without dots and plus tag, elsewhere without the plus tag.
/// Takes a normalised address.
#[must_use]
pub fn provider_folded(address: &str) -> String {
    let Some((local, domain)) = address.rsplit_once('@') else {
        return address.to_owned();
    };
    let base = local.split_once('+').map_or(local, |(base, _)| base);
    if base.is_empty() {
        return address.to_owned();
    }
    if GMAIL.contains(&domain) {
        return format!("{}@gmail.com", base.replace('.', ""));
    }
    format!("{base}@{domain}")
}

fn bare(folded: &str) -> String {
    if folded.bytes().all(|b| is_plain(b) || b == b'@') {
        return folded.to_ascii_lowercase();
    }
    let lower = folded.to_lowercase();
    let inner = match (lower.rfind('<'), lower.rfind('>')) {
        (Some(open), Some(close)) if open < close => &lower[open + 1..close],
        _ => lower.as_str(),
    };
    let mut rest = inner.trim();
    while let Some(stripped) = rest.strip_prefix("mailto:") {
        rest = stripped.trim_start();
    }
    let quoted: &[char] = &['"', '\'', ';', ',', '<', '>'];
    rest.trim_matches(quoted)
        .chars()
        .filter(|c| !c.is_whitespace())
        .collect()
}

/// What nearly every mailbox and host is written with.
const fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'+')
}

fn is_deliverable(address: &str) -> bool {
    let Some((local, domain)) = address.rsplit_once('@') else {
        return false;
    };
    let top_level = domain.rsplit_once('.').map_or("", |(_, top)| top);
    top_level.chars().count() >= 2
        && !top_level.bytes().all(|b| b.is_ascii_digit())
        && !PLACEHOLDERS.contains(&local)
        && (is_simple(local, domain) || EmailAddress::is_valid(address))
}

/// Whether an address is so plain that the standard's grammar need not be asked.
fn is_simple(local: &str, domain: &str) -> bool {
    let host = |label: &str| {
        let (first, last) = (label.bytes().next(), label.bytes().next_back());
        let ends = [first, last].map(|b| b.is_some_and(|b| b.is_ascii_alphanumeric()));
        ends == [true, true]
            && label.len() <= 63
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    local.len() <= 64
        && domain.len() <= 254
        && local.bytes().all(is_plain)
        && local.split('.').all(|atom| !atom.is_empty())
        && domain.split('.').all(host)
}
