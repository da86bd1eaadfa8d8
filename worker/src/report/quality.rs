//! What became of the rows of each source, and why rows were set aside.

use std::{collections::BTreeMap, fmt::Write as _};

use super::{
    chart::{Bar, bars, text},
    count,
};
use crate::stage::accounts::Account;

/// The five fates of a row, with their colours.
pub(super) const FATES: [(&str, &str); 5] = [
    ("accepted", "var(--c3)"),
    ("duplicate", "var(--c1)"),
    ("superseded", "var(--c4)"),
    ("structural", "var(--c5)"),
    ("quarantined", "var(--bad)"),
];

pub(super) fn fates(a: &Account) -> [u64; 5] {
    [
        a.accepted,
        a.duplicate,
        a.superseded,
        a.structural,
        a.quarantined,
    ]
}

/// A bar a source, cut into the five fates; and all figures, by stream.
pub(super) fn quality(streams: &[Account]) -> String {
    let mut sources: BTreeMap<&str, (u64, [u64; 5])> = BTreeMap::new();
    for s in streams {
        let (rows, sums) = sources.entry(&s.source).or_default();
        *rows += s.rows;
        for (sum, n) in sums.iter_mut().zip(fates(s)) {
            *sum += n;
        }
    }
    let mut out = String::from("<div class=key>");
    for (fate, fill) in FATES {
        let _ = write!(
            out,
            "<span><i style=\"background:{fill}\"></i>{fate}</span>"
        );
    }
    out.push_str("</div><div class=bars>");
    for (source, (rows, counts)) in &sources {
        let _ = write!(
            out,
            "<span class=label>{}</span>{}<span class=value>{} rows</span>",
            text(source),
            parts(*rows, *counts),
            count(*rows)
        );
    }
    out.push_str("</div>");
    out.push_str(if streams.iter().all(Account::holds) {
        "<p class=\"verdict good\">For every stream, accepted, duplicate, superseded, structural and quarantined rows add up to the rows that came in.</p>"
    } else {
        "<p class=\"verdict bad\">The rows of a stream do not add up to what came in.</p>"
    });
    out.push_str("<details><summary>All figures</summary>");
    figures(&mut out, streams);
    out.push_str("</details>");
    out
}

#[expect(clippy::cast_precision_loss, reason = "lengths of bars")]
fn parts(rows: u64, counts: [u64; 5]) -> String {
    let mut out = String::from(
        "<svg role=img aria-hidden=true viewBox=\"0 0 1000 16\" preserveAspectRatio=none>",
    );
    let whole = rows.max(1) as f64;
    let mut x = 0.0;
    for ((fate, fill), n) in FATES.into_iter().zip(counts) {
        let width = 1000.0 * n as f64 / whole;
        let _ = write!(
            out,
            "<rect x={x:.1} width={width:.1} height=16 fill=\"{fill}\" data-tip=\"{fate}: {} ({:.2} %)\"/>",
            count(n),
            width / 10.0
        );
        x += width;
    }
    out.push_str("</svg>");
    out
}

fn figures(out: &mut String, streams: &[Account]) {
    out.push_str("<div class=scroll><table><tr><th>source<th>stream<th class=n>files<th class=n>replaced<th class=n>rows");
    for (fate, _) in FATES {
        let _ = write!(out, "<th class=n>{fate}");
    }
    for s in streams {
        let _ = write!(out, "<tr><td>{}<td>{}", text(&s.source), text(&s.stream));
        let [a, b, c, d, e] = fates(s);
        for n in [s.files, s.replaced, s.rows, a, b, c, d, e] {
            let _ = match n {
                0 => write!(out, "<td class=\"n zero\">·"),
                n => write!(out, "<td class=n>{}", count(n)),
            };
        }
    }
    out.push_str("</table></div>");
}

/// Rows in quarantine by reason, over all streams.
#[expect(clippy::cast_precision_loss, reason = "lengths of bars")]
pub(super) fn reasons(streams: &[Account]) -> String {
    let mut sums = BTreeMap::<&str, u64>::new();
    for (reason, n) in streams.iter().flat_map(|s| &s.reasons) {
        *sums.entry(reason).or_default() += n;
    }
    if sums.is_empty() {
        return "<p class=note>No row was set aside.</p>".into();
    }
    let mut sums: Vec<_> = sums.into_iter().collect();
    sums.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
    let rows: Vec<_> = sums
        .iter()
        .map(|(reason, n)| Bar {
            label: text(&reason.replace('_', " ")),
            size: *n as f64,
            value: count(*n),
        })
        .collect();
    bars(&rows, "var(--bad)")
}
