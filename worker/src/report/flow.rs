//! The run's counts as a flow: sources, what their rows became, records, customers.

use std::{collections::BTreeMap, fmt::Write as _};

use super::{
    RunSummary,
    chart::{colour, text},
    count,
};

const WIDTH: f64 = 960.0;
const NODE: f64 = 12.0;

#[derive(Clone, Copy)]
struct Node {
    x: f64,
    y: f64,
    tall: f64,
}

/// A band from one node's right edge to another's left edge.
fn band(
    out: &mut String,
    from: (f64, f64),
    to: (f64, f64),
    tall: (f64, f64),
    fill: &str,
    tip: &str,
) {
    let middle = f64::midpoint(from.0, to.0);
    let ((x0, y0), (x1, y1)) = (from, to);
    let (low0, low1) = (y0 + tall.0, y1 + tall.1);
    let _ = write!(
        out,
        "<path d=\"M{x0:.1} {y0:.1}C{middle:.1} {y0:.1} {middle:.1} {y1:.1} {x1:.1} {y1:.1}V{low1:.1}\
         C{middle:.1} {low1:.1} {middle:.1} {low0:.1} {x0:.1} {low0:.1}Z\" \
         fill=\"{fill}\" opacity=.35 data-tip=\"{}\"/>",
        text(tip)
    );
}

fn node(out: &mut String, at: Node, fill: &str, label: &str, n: u64, left: bool) {
    let (x, anchor) = if left {
        (at.x - 8.0, "end")
    } else {
        (at.x + NODE + 8.0, "start")
    };
    let y = at.y + at.tall / 2.0;
    let (label, n) = (text(label), count(n));
    let (above, below, tall) = (y - 2.0, y + 12.0, at.tall.max(1.5));
    let _ = write!(
        out,
        "<rect x={:.1} y={:.1} width={NODE} height={tall:.1} rx=2 fill=\"{fill}\" data-tip=\"{label}: {n}\"/>\
         <text x={x:.1} y={above:.1} text-anchor={anchor}>{label}</text>\
         <text class=soft x={x:.1} y={below:.1} text-anchor={anchor}>{n}</text>",
        at.x, at.y
    );
}

/// The flow. Heights follow the square root of the counts, so that a small source can be seen beside a big one;
/// the figures stand beside.
#[expect(clippy::cast_precision_loss, reason = "positions on a drawing")]
pub(super) fn flow(run: &RunSummary) -> String {
    let mut sources: BTreeMap<&str, (u64, u64, u64, u64)> = BTreeMap::new();
    for s in &run.streams {
        let sum = sources.entry(&s.source).or_default();
        *sum = (
            sum.0 + s.rows,
            sum.1 + s.accepted,
            sum.2 + s.quarantined,
            sum.3 + s.customer_records,
        );
    }
    if sources.is_empty() {
        return "<p class=note>Nothing came in.</p>".into();
    }
    let height = (sources.len() as f64 * 46.0).max(260.0) + 20.0;
    let roots: f64 = sources
        .values()
        .map(|s| (s.0 as f64).sqrt())
        .sum::<f64>()
        .max(1.0);
    let unit = (height - 20.0 - 26.0 * (sources.len() as f64 - 1.0)).max(60.0) / roots;
    let tall = |n: u64| ((n as f64).sqrt() * unit).max(2.0);
    let mut out = format!(
        "<svg role=img aria-label=\"from rows of sources to customers\" viewBox=\"0 0 {WIDTH} {height}\">"
    );
    let accepted: u64 = sources.values().map(|s| s.1).sum();
    let quarantined: u64 = sources.values().map(|s| s.2).sum();
    let middle: f64 = sources.values().map(|s| tall(s.1)).sum();
    let aside: f64 = sources
        .values()
        .filter(|s| s.2 > 0)
        .map(|s| tall(s.2))
        .sum();
    let clean = Node {
        x: 380.0,
        y: 20.0,
        tall: middle,
    };
    let bad = Node {
        x: 380.0,
        y: (20.0 + middle + 44.0).min(height - aside - 20.0),
        tall: aside,
    };
    let people = Node {
        x: 590.0,
        y: 40.0,
        tall: (middle * 0.6).max(40.0),
    };
    let ratio = if run.records == 0 {
        0.0
    } else {
        run.customers as f64 / run.records as f64
    };
    let golden = Node {
        x: 790.0,
        y: 40.0,
        tall: (people.tall * ratio).max(6.0),
    };
    let (mut y, mut into_clean, mut into_bad) = (10.0, clean.y, bad.y);
    let mut nodes = String::new();
    for (i, (source, (rows, good, wrong, _))) in sources.iter().enumerate() {
        let here = Node {
            x: 150.0,
            y,
            tall: tall(*rows).max(tall(*good)),
        };
        let fill = colour(i % 6);
        let share = if *wrong > 0 { tall(*wrong) } else { 0.0 };
        let good_tall = (here.tall - share).max(1.0);
        let tip = format!("{source}: {} rows cleaned", count(*good));
        band(
            &mut out,
            (here.x + NODE, here.y),
            (clean.x, into_clean),
            (good_tall, tall(*good)),
            &fill,
            &tip,
        );
        if *wrong > 0 {
            let tip = format!("{source}: {} rows in quarantine", count(*wrong));
            band(
                &mut out,
                (here.x + NODE, here.y + good_tall),
                (bad.x, into_bad),
                (share, share),
                "var(--bad)",
                &tip,
            );
        }
        into_clean += tall(*good);
        into_bad += share;
        node(&mut nodes, here, &fill, source, *rows, true);
        y += here.tall + 26.0;
    }
    let records = format!("{} customer records", count(run.records));
    band(
        &mut out,
        (
            clean.x + NODE,
            clean.y + (clean.tall - people.tall).max(0.0) / 2.0,
        ),
        (people.x, people.y),
        (people.tall, people.tall),
        "var(--c5)",
        &records,
    );
    let customers = format!(
        "{} records became {} customers",
        count(run.records),
        count(run.customers)
    );
    band(
        &mut out,
        (people.x + NODE, people.y),
        (golden.x, golden.y),
        (people.tall, golden.tall),
        "var(--accent)",
        &customers,
    );
    out.push_str(&nodes);
    node(
        &mut out,
        clean,
        "var(--c3)",
        "rows cleaned",
        accepted,
        false,
    );
    if quarantined > 0 {
        node(
            &mut out,
            bad,
            "var(--bad)",
            "quarantined",
            quarantined,
            false,
        );
    }
    node(
        &mut out,
        people,
        "var(--c5)",
        "customer records",
        run.records,
        false,
    );
    node(
        &mut out,
        golden,
        "var(--accent)",
        "customers",
        run.customers,
        false,
    );
    out.push_str("</svg>");
    out
}
