//! The run's counts as a flow: sources, what their rows became, records, customers.

use std::{collections::BTreeMap, fmt::Write as _};

use super::{
    RunSummary,
    chart::{Bar, bars, colour, text},
    count,
    quality::{FATES, fates},
};

const WIDTH: f64 = 1020.0;
/// Width of a node.
const NODE: f64 = 11.0;
/// What a node takes at least, for the two lines of its label.
const LABEL: f64 = 34.0;
/// Height that all sources share, without their gaps.
const TALL: f64 = 330.0;

/// The flow: a drawing on a wide page, a list of steps on a phone.
pub(super) fn flow(run: &RunSummary) -> String {
    if run.streams.is_empty() {
        return "<p class=note>Nothing came in.</p>".into();
    }
    format!(
        "<div class=wide>{}</div><div class=phone>{}</div>",
        drawing(run),
        steps(run)
    )
}

/// Rows of each source, and what became of them.
fn sources(run: &RunSummary) -> BTreeMap<&str, (u64, [u64; 5])> {
    let mut sources: BTreeMap<&str, (u64, [u64; 5])> = BTreeMap::new();
    for s in &run.streams {
        let (rows, sums) = sources.entry(&s.source).or_default();
        *rows += s.rows;
        for (sum, n) in sums.iter_mut().zip(fates(s)) {
            *sum += n;
        }
    }
    sources
}

#[expect(clippy::cast_precision_loss, reason = "lengths of bars")]
fn steps(run: &RunSummary) -> String {
    let bar = |label: String, n: u64| Bar {
        label,
        size: (n as f64).sqrt(),
        value: count(n),
    };
    let mut list: Vec<Bar> = sources(run)
        .into_iter()
        .map(|(source, (rows, _))| bar(text(source), rows))
        .collect();
    let accepted = run.streams.iter().map(|s| s.accepted).sum();
    list.push(bar("<b>rows accepted</b>".into(), accepted));
    list.push(bar("<b>customer records</b>".into(), run.records));
    list.push(bar("<b>customers</b>".into(), run.customers));
    bars(&list, "var(--c3)")
}

#[derive(Clone, Copy)]
struct Node {
    x: f64,
    y: f64,
    tall: f64,
}

/// A band of one thickness at each end, from a node's right edge to another's left edge.
fn band(out: &mut String, from: (f64, f64, f64), to: (f64, f64, f64), fill: &str, tip: &str) {
    let ((x0, y0, tall0), (x1, y1, tall1)) = (from, to);
    let middle = f64::midpoint(x0, x1);
    let (low0, low1) = (y0 + tall0, y1 + tall1);
    let _ = write!(
        out,
        "<path d=\"M{x0:.1} {y0:.1}C{middle:.1} {y0:.1} {middle:.1} {y1:.1} {x1:.1} {y1:.1}V{low1:.1}\
         C{middle:.1} {low1:.1} {middle:.1} {low0:.1} {x0:.1} {low0:.1}Z\" \
         fill=\"{fill}\" opacity=.32 data-tip=\"{}\"/>",
        text(tip)
    );
}

fn node(out: &mut String, at: Node, fill: &str, label: &str, n: u64, left: bool) {
    let (x, anchor) = if left {
        (at.x - 9.0, "end")
    } else {
        (at.x + NODE + 9.0, "start")
    };
    let middle = at.y + at.tall / 2.0;
    let (label, n) = (text(label), count(n));
    let _ = write!(
        out,
        "<rect x={:.1} y={:.1} width={NODE} height={:.1} rx=2.5 fill=\"{fill}\" data-tip=\"{label}: {n}\"/>\
         <text x={x:.1} y={:.1} text-anchor={anchor} font-size=13>{label}</text>\
         <text class=soft x={x:.1} y={:.1} text-anchor={anchor}>{n}</text>",
        at.x,
        at.y,
        at.tall.max(1.5),
        middle - 2.0,
        middle + 13.0
    );
}

/// Places nodes of these heights below each other, each with room for its label, in the middle of `height`.
fn column(x: f64, talls: &[f64], height: f64) -> Vec<Node> {
    let slots: f64 = talls.iter().map(|t| t.max(LABEL) + 8.0).sum();
    let mut y = (height - slots).max(0.0) / 2.0;
    let mut nodes = Vec::new();
    for tall in talls {
        let slot = tall.max(LABEL) + 8.0;
        nodes.push(Node {
            x,
            y: y + (slot - tall) / 2.0,
            tall: *tall,
        });
        y += slot;
    }
    nodes
}

/// The drawing. A source's height follows the square root of its rows, so that a small one can be seen beside
/// a big one; within it, fates have their share. The figures stand beside.
#[expect(clippy::cast_precision_loss, reason = "positions on a drawing")]
fn drawing(run: &RunSummary) -> String {
    let sources = sources(run);
    let roots: f64 = sources.values().map(|s| (s.0 as f64).sqrt()).sum();
    let unit = TALL / roots.max(1.0);
    let talls: Vec<f64> = sources
        .values()
        .map(|(rows, _)| ((*rows as f64).sqrt() * unit).max(2.0))
        .collect();
    // The thickness of each band: a fate's share of its source, a hair at least.
    let part = |tall: f64, rows: u64, n: u64| match n {
        0 => 0.0,
        n => (tall * n as f64 / rows.max(1) as f64).max(1.2),
    };
    let mut fate_talls = [0.0; 5];
    let mut fate_rows = [0_u64; 5];
    for ((rows, counts), tall) in sources.values().zip(&talls) {
        for (fate, n) in counts.iter().enumerate() {
            fate_talls[fate] += part(*tall, *rows, *n);
            fate_rows[fate] += n;
        }
    }
    let shown: Vec<usize> = (0..5).filter(|f| fate_rows[*f] > 0).collect();
    let fate_talls: Vec<f64> = shown.iter().map(|f| fate_talls[*f]).collect();
    let slots = |talls: &[f64]| talls.iter().map(|t| t.max(LABEL) + 8.0).sum::<f64>();
    let height = slots(&talls).max(slots(&fate_talls)) + 8.0;
    let left = column(120.0, &talls, height);
    let middle = column(430.0, &fate_talls, height);
    let mut out = format!(
        "<svg role=img aria-label=\"from rows of sources to customers\" viewBox=\"0 0 {WIDTH} {height:.0}\">"
    );
    let mut nodes = String::new();
    let mut into: Vec<f64> = middle.iter().map(|n| n.y).collect();
    for (i, ((source, (rows, counts)), here)) in sources.iter().zip(&left).enumerate() {
        let mut y = here.y;
        for (place, fate) in shown.iter().enumerate() {
            let n = counts[*fate];
            let thick = part(here.tall, *rows, n);
            if n == 0 {
                continue;
            }
            let target = (middle[place].x, into[place], thick);
            let fill = if *fate == 0 {
                colour(i % 5)
            } else {
                FATES[*fate].1.into()
            };
            let tip = format!("{source}: {} rows {}", count(n), FATES[*fate].0);
            band(&mut out, (here.x + NODE, y, thick), target, &fill, &tip);
            y += thick;
            into[place] += thick;
        }
        node(&mut nodes, *here, &colour(i % 5), source, *rows, true);
    }
    for (place, fate) in shown.iter().enumerate() {
        let (label, fill) = FATES[*fate];
        node(
            &mut nodes,
            middle[place],
            fill,
            label,
            fate_rows[*fate],
            false,
        );
    }
    if let Some(accepted) = middle.first().filter(|_| fate_rows[0] > 0) {
        people(&mut out, &mut nodes, run, *accepted, fate_rows[0]);
    }
    out.push_str(&nodes);
    out.push_str("</svg>");
    out
}

/// From accepted rows to records of customers, and to customers.
#[expect(clippy::cast_precision_loss, reason = "positions on a drawing")]
fn people(out: &mut String, nodes: &mut String, run: &RunSummary, from: Node, rows: u64) {
    let shrink = |tall: f64, n: u64, of: u64| {
        (tall * (n as f64 / of.max(1) as f64).min(1.0).sqrt()).max(3.0)
    };
    let centred = |x: f64, tall: f64| Node {
        x,
        y: from.y + (from.tall - tall) / 2.0,
        tall,
    };
    let records = centred(690.0, shrink(from.tall, run.records, rows));
    let customers = centred(890.0, shrink(records.tall, run.customers, run.records));
    let edge = |n: Node| (n.x + NODE, n.y, n.tall);
    let into = |n: Node| (n.x, n.y, n.tall);
    let part = centred(from.x, records.tall);
    let tip = format!("{} customer records", count(run.records));
    band(out, edge(part), into(records), "var(--c5)", &tip);
    let tip = format!(
        "{} records became {} customers",
        count(run.records),
        count(run.customers)
    );
    band(out, edge(records), into(customers), "var(--accent)", &tip);
    node(
        nodes,
        records,
        "var(--c5)",
        "customer records",
        run.records,
        false,
    );
    node(
        nodes,
        customers,
        "var(--accent)",
        "customers",
        run.customers,
        false,
    );
}
