//! Whether probabilities mean what they say, as a chart and in words.

use std::fmt::Write as _;

use musubi_identity::evaluate::{Bin, Calibration};

use super::{chart::text, count};

/// Odds (log2) at which the axes end: one in a thousand is within them.
const MOST: f64 = 12.0;
const WIDTH: f64 = 460.0;
const LEFT: f64 = 48.0;
const FLOOR: f64 = 262.0;
const TOP: f64 = 12.0;

/// Share of the axis that a probability stands at. Odds are drawn, for most pairs are nearly certain.
fn place(probability: f64) -> f64 {
    let odds = (probability / (1.0 - probability)).log2();
    (odds.clamp(-MOST, MOST) + MOST) / (2.0 * MOST)
}

fn x(probability: f64) -> f64 {
    LEFT + place(probability) * (WIDTH - LEFT - 14.0)
}

fn y(probability: f64) -> f64 {
    FLOOR - place(probability) * (FLOOR - TOP)
}

/// The reliability diagram, with its table below.
#[must_use]
pub(crate) fn chart(found: &Calibration) -> String {
    let mut out = format!(
        "<svg role=img aria-label=\"share of pairs that are one person, by probability\" viewBox=\"0 0 {WIDTH} 300\">"
    );
    for tick in [0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999] {
        let _ = write!(
            out,
            "<line class=axis x1={LEFT} x2={WIDTH} y1={0:.1} y2={0:.1} /><text class=soft x={1} y={2:.1} text-anchor=end>{tick}</text>\
             <text class=soft x={3:.1} y={4} text-anchor=middle>{tick}</text>",
            y(tick),
            LEFT - 6.0,
            y(tick) + 4.0,
            x(tick),
            FLOOR + 18.0
        );
    }
    let _ = write!(
        out,
        "<line class=zero stroke-dasharray=\"4 4\" x1={:.1} y1={:.1} x2={:.1} y2={:.1} />",
        x(0.0),
        y(0.0),
        x(1.0),
        y(1.0)
    );
    for bin in &found.bins {
        let (at, seen) = (x(bin.predicted), bin.observed);
        let fill = if bin.is_off() {
            "var(--accent)"
        } else {
            "var(--c1)"
        };
        let tip = format!(
            "{}: said {:.4}, true {:.4} ({:.4} to {:.4}), {} pairs",
            range(bin),
            bin.predicted,
            seen.value,
            seen.low,
            seen.high,
            count(bin.pairs)
        );
        let _ = write!(
            out,
            "<line stroke=\"{fill}\" stroke-width=2 x1={at:.1} x2={at:.1} y1={:.1} y2={:.1} />\
             <circle cx={at:.1} cy={:.1} r=5 fill=\"{fill}\" data-tip=\"{}\"/>",
            y(seen.low),
            y(seen.high),
            y(seen.value),
            text(&tip)
        );
    }
    let _ = write!(
        out,
        "<text class=soft x={WIDTH} y=298 text-anchor=end>probability that was given →</text></svg>"
    );
    table(&mut out, found);
    out
}

fn table(out: &mut String, found: &Calibration) {
    out.push_str(
        "<details><summary>In figures</summary><div class=scroll><table><tr><th>probability<th class=n>pairs<th class=n>said\
         <th class=n>true<th class=n>interval</tr>",
    );
    for bin in &found.bins {
        let seen = bin.observed;
        let _ = write!(
            out,
            "<tr><td>{}<td class=n>{}<td class=n>{:.4}<td class=n>{:.4}<td class=n>{:.4} to {:.4}</tr>",
            range(bin),
            count(bin.pairs),
            bin.predicted,
            seen.value,
            seen.low,
            seen.high
        );
    }
    out.push_str("</table></div></details>");
}

/// `0.5 to 0.7`.
#[must_use]
pub(crate) fn range(bin: &Bin) -> String {
    format!("{} to {}", bin.from, bin.to)
}

/// How far off the probabilities are, in a sentence.
#[must_use]
pub(crate) fn sentence(found: &Calibration) -> String {
    let mut out = format!(
        "probabilities are off by {:.4} on the average (expected calibration error)",
        found.error
    );
    if let Some(bin) = found.worst().filter(|b| b.is_off()) {
        let _ = write!(
            out,
            "; most from {}: {:.3} was said, {:.3} of {} pairs are one person",
            range(bin),
            bin.predicted,
            bin.observed.value,
            count(bin.pairs)
        );
    }
    out
}
