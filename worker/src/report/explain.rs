//! Pages that explain: a waterfall of a pair's score, the links of a customer.

use std::fmt::Write as _;

use musubi_identity::{ClusterExplanation, Explanation};

use super::{
    chart::{Bar, bars, text},
    graph::{self, Part},
    html::{begin, end, section},
};

/// The score of a pair, step by step.
#[must_use]
pub(crate) fn pair(found: &Explanation) -> String {
    let verdict = format!(
        "{:+.1} bits: one person with probability {:.4}.",
        found.weight, found.probability
    );
    let mut out = begin("Two records", &verdict);
    section(
        &mut out,
        "How the weight comes about",
        "Bits to the right speak for one person, bits to the left against. Every bit doubles or halves the odds.",
        &waterfall(found),
    );
    end(
        &mut out,
        &format!("Records {} and {}.", found.left, found.right),
    );
    out
}

/// Name, level, bits.
fn steps(found: &Explanation) -> Vec<(String, f64)> {
    let mut steps = vec![("before any comparison".to_owned(), found.prior)];
    for part in &found.comparisons {
        steps.push((format!("{}: {}", part.comparison, part.level), part.weight));
        if part.frequency.abs() >= 0.005 {
            let name = format!("{}: how frequent the value is", part.comparison);
            steps.push((name, part.frequency));
        }
    }
    if found.household.abs() >= 0.005 {
        steps.push(("as two of one household would".to_owned(), found.household));
    }
    steps
}

#[expect(clippy::cast_precision_loss, reason = "positions on a drawing")]
fn waterfall(found: &Explanation) -> String {
    let steps = steps(found);
    let (mut low, mut high, mut sum) = (0.0_f64, 0.0_f64, 0.0_f64);
    for (_, bits) in &steps {
        sum += bits;
        low = low.min(sum);
        high = high.max(sum);
    }
    let (left, width, row) = (300.0, 1020.0, 26.0);
    let span = (high - low).max(1.0);
    let x = |bits: f64| left + (bits - low) / span * (width - left - 70.0);
    let height = row * (steps.len() + 1) as f64 + 10.0;
    let mut out = format!(
        "<div class=scroll><svg role=img aria-label=\"parts of the match weight\" viewBox=\"0 0 {width} {height}\" style=\"min-width:640px\">"
    );
    let _ = write!(
        out,
        "<line class=zero x1={0:.1} x2={0:.1} y1=0 y2={height} />",
        x(0.0)
    );
    let mut at = 0.0;
    let total = ("match weight".to_owned(), found.weight);
    for (n, (name, bits)) in steps.iter().chain([&total]).enumerate() {
        let is_total = n == steps.len();
        let from = if is_total { 0.0 } else { at };
        let to = from + bits;
        at = to;
        let fill = match (is_total, *bits >= 0.0) {
            (true, _) => "var(--accent)",
            (false, true) => "var(--c1)",
            (false, false) => "var(--c5)",
        };
        let (y, begin, end) = (row * n as f64 + 4.0, x(from.min(to)), x(from.max(to)));
        let _ = write!(
            out,
            "<text x=0 y={:.1}>{}</text><rect x={begin:.1} y={y:.1} width={:.1} height=18 rx=2 fill=\"{fill}\" data-tip=\"{}: {bits:+.2} bits\"/>\
             <text class=soft x={:.1} y={:.1}>{bits:+.1}</text>",
            y + 14.0,
            text(name),
            (end - begin).max(1.0),
            text(name),
            end + 6.0,
            y + 14.0
        );
    }
    out.push_str("</svg></div>");
    out
}

/// The links of a customer, strongest first.
#[must_use]
pub(crate) fn customer(found: &ClusterExplanation) -> String {
    let lead = format!(
        "{} records, {} links.",
        found.records.len(),
        found.links.len()
    );
    let mut out = begin(&found.customer, &lead);
    if found.records.len() > 1 {
        section(
            &mut out,
            "Its graph",
            "Each dot is a record, each line a link. What the customer would fall into stands on two sides.",
            &graph::svg(found),
        );
    }
    let rows: Vec<Bar> = found
        .links
        .iter()
        .map(|link| {
            let mark = match Part::of(found, link) {
                Part::Weakest => " (holds the customer together least)",
                Part::Bridge => " (a bridge)",
                Part::Tree | Part::Spare => "",
            };
            Bar {
                label: text(&format!(
                    "{} – {}: {}{mark}",
                    short(&link.left),
                    short(&link.right),
                    link.rule
                )),
                size: f64::from(link.weight.max(0.0)),
                value: format!("{:+.1} bits", link.weight),
            }
        })
        .collect();
    section(
        &mut out,
        "Links",
        "Pairs of its records by match weight.",
        &bars(&rows, "var(--c1)"),
    );
    if let Some(split) = &found.weakest {
        let side = |records: &[String]| {
            let names: Vec<String> = records.iter().map(|r| text(&short(r))).collect();
            format!("<p class=sentence>{}</p>", names.join(", "))
        };
        let body = format!(
            "{}<p class=of>and</p>{}",
            side(&split.left),
            side(&split.right)
        );
        section(
            &mut out,
            "What it would fall into",
            &format!(
                "Two customers, without the links between these sides ({}).",
                split.links
            ),
            &body,
        );
    }
    end(&mut out, &format!("Customer {}.", found.customer));
    out
}

/// The beginning of a record id: enough to tell the records of a customer apart. Rows are short already.
pub(crate) fn short(id: &str) -> String {
    if id.len() < 32 {
        return id.to_owned();
    }
    format!("{}…", id.get(..8).unwrap_or(id))
}
