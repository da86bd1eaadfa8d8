//! `report.html`: how it went, on one page that asks for nothing from anywhere and shows no value of a person.

use std::{collections::BTreeMap, fmt::Write as _};

use musubi_identity::{Edge, Model, RuleStats, evaluate::Calibration};

use super::{Found, Stats, stats::Accuracy, summary::shell};
use crate::report::{
    chart::{Bar, bars, histogram, text},
    count,
    html::{begin, end, heading, section, strip},
    reliability,
};

pub(super) fn html(stats: &Stats, found: &Found) -> String {
    let files: Vec<&str> = stats.inputs.iter().map(|i| i.source.as_str()).collect();
    let lead = match stats.mode {
        "link" => "Who of one file is in the other.",
        _ => "Which records are one person.",
    };
    let mut out = begin(&files.join(" + "), lead);
    figures(&mut out, stats);
    if let Some(accuracy) = &stats.accuracy {
        heading(&mut out, "How right it is");
        out.push_str("<div class=pair>");
        section(
            &mut out,
            "Against the truth",
            "Intervals: 95 %, by resampling people.",
            &against(accuracy),
        );
        section(
            &mut out,
            "Precision and recall by threshold",
            "Of scored pairs, before they were put together; the dot is what was put together.",
            &curve(accuracy),
        );
        out.push_str("</div><div class=pair>");
        if let Some(calibration) = &accuracy.calibration {
            section(
                &mut out,
                "Whether probabilities mean what they say",
                "Of all scored pairs, the share that is one person by the probability that they were given, with 95 % intervals. \
                 On the dashed line, what is said is true. Axes by odds.",
                &calibrated(calibration),
            );
        }
        if !accuracy.thresholds.is_empty() {
            section(
                &mut out,
                "Other thresholds",
                "Pairs that are together, had --threshold been another.",
                &thresholds(accuracy, stats.threshold),
            );
        }
        out.push_str("</div>");
    } else {
        heading(&mut out, "How right it is");
        section(
            &mut out,
            "Nobody has said who is who",
            "So neither accuracy can be shown nor whether probabilities mean what they say.",
            &unknown(stats),
        );
    }
    heading(&mut out, "What was found");
    out.push_str("<div class=pair>");
    section(
        &mut out,
        "How sure the pairs are",
        "Pairs that were kept, by match weight: at 0 bits, one person and two are equally likely; every bit more doubles the odds. Heights by square root.",
        &histogram("pairs by match weight", &weights(&found.edges), |bin| {
            if bin.starts_with('-') {
                "var(--c5)"
            } else {
                "var(--c1)"
            }
        }),
    );
    section(
        &mut out,
        "Records of a person",
        "Clusters by how many records they have; heights by square root.",
        &histogram(
            "clusters by number of records",
            &sizes(stats),
            |_| "var(--c3)",
        ),
    );
    out.push_str("</div>");
    if !stats.guards.is_empty() {
        section(
            &mut out,
            "Links that were refused",
            "Something said one person, and more said two.",
            &guards(stats),
        );
    }
    heading(&mut out, "What it went by");
    section(
        &mut out,
        "Columns",
        "What each column was used as.",
        &columns(stats),
    );
    section(
        &mut out,
        "The model",
        "m: how often a level comes among pairs of one person; u: among pairs of strangers; weight: log2 of m / u, in bits.",
        &model(stats, &found.model),
    );
    section(
        &mut out,
        "Blocking rules",
        &format!(
            "Which pairs are compared at all. Pairs of one person that the rules make: {} ({}).",
            percent(stats.blocking_recall.value),
            if stats.blocking_recall.estimated {
                "estimated"
            } else {
                "counted by the truth"
            }
        ),
        &rules(&found.model, found.links()),
    );
    heading(&mut out, "The run");
    section(
        &mut out,
        "Processor seconds",
        "judge is what truth and estimates took.",
        &phases(stats),
    );
    let footer = format!(
        "musubi {}, model {}, threshold {}.",
        stats.musubi, stats.model, stats.threshold
    );
    end(&mut out, &footer);
    out
}

pub(super) fn percent(share: f64) -> String {
    format!("{:.2} %", share * 100.0)
}

fn figures(out: &mut String, stats: &Stats) {
    let f1 = stats
        .accuracy
        .as_ref()
        .map(|a| (format!("{:.4}", a.pairwise.f1), "F1 over pairs".to_owned()));
    let households = (count(stats.households), "households".to_owned());
    let figures = [
        (
            count(stats.clusters),
            format!("people, of {} records", count(stats.records)),
        ),
        (count(stats.links), "links between records".to_owned()),
        f1.unwrap_or(households),
        (
            percent(stats.blocking_recall.value),
            if stats.blocking_recall.estimated {
                "of the pairs of one person were compared, as estimated".to_owned()
            } else {
                "of the pairs of one person were compared".to_owned()
            },
        ),
        (
            format!("{:.1} s", stats.cpu_seconds),
            format!("of processor time for {} pairs", count(stats.pairs)),
        ),
    ];
    strip(out, &figures);
}

fn against(accuracy: &Accuracy) -> String {
    let mut out = String::from(
        "<div class=scroll><table><tr><th>over<th class=n>precision<th class=n>recall<th class=n>F1<th class=n>interval</tr>",
    );
    let i = &accuracy.intervals;
    for (name, q, interval) in [
        ("pairs", accuracy.pairwise, i.pairwise),
        ("records (B-cubed)", accuracy.b_cubed, i.b_cubed),
        ("exact clusters", accuracy.exact_clusters, i.exact_clusters),
    ] {
        let interval = if interval.high > 0.0 {
            format!("{:.4} to {:.4}", interval.low, interval.high)
        } else {
            "·".into()
        };
        let _ = write!(
            out,
            "<tr><td>{name}<td class=n>{:.4}<td class=n>{:.4}<td class=n>{:.4}<td class=n>{interval}</tr>",
            q.precision, q.recall, q.f1
        );
    }
    out.push_str("</table></div>");
    if let Some(share) = accuracy.within_household {
        let _ = write!(
            out,
            "<p class=note>{} of the pairs that are together are two members of one household.</p>",
            percent(share)
        );
    }
    out
}

fn curve(accuracy: &Accuracy) -> String {
    if accuracy.curve.is_empty() {
        return "<p class=note>No pair was kept.</p>".into();
    }
    let points = accuracy.curve.iter().map(|p| (p.recall, p.precision));
    let here = (accuracy.pairwise.recall, accuracy.pairwise.precision);
    // Good results are all in one corner: an axis begins where there is something to see.
    let begin = |least: f64| {
        [0.99, 0.9, 0.5]
            .into_iter()
            .find(|b| least >= *b)
            .unwrap_or(0.0)
    };
    let least = |values: &mut dyn Iterator<Item = f64>| values.fold(1.0, f64::min);
    let from_recall = begin(least(&mut points.clone().chain([here]).map(|p| p.0)));
    let from = begin(least(&mut points.clone().chain([here]).map(|p| p.1)));
    let (width, height, left, floor) = (460.0, 240.0, 44.0, 206.0);
    let x = |r: f64| left + (r - from_recall) / (1.0 - from_recall) * (width - left - 12.0);
    let y = |p: f64| floor - (p - from) / (1.0 - from) * (floor - 12.0);
    let mut out = format!(
        "<svg role=img aria-label=\"precision by recall\" viewBox=\"0 0 {width} {height}\">"
    );
    for step in 0..=4 {
        let at = from + (1.0 - from) * f64::from(step) / 4.0;
        let along = from_recall + (1.0 - from_recall) * f64::from(step) / 4.0;
        let _ = write!(
            out,
            "<line class=axis x1={left} x2={width} y1={0:.1} y2={0:.1} /><text class=soft x={1} y={2:.1} text-anchor=end>{at:.3}</text>\
             <text class=soft x={3:.1} y={4} text-anchor=middle>{along:.3}</text>",
            y(at),
            left - 6.0,
            y(at) + 4.0,
            x(along).min(width - 16.0),
            floor + 18.0
        );
    }
    let line: Vec<String> = points
        .clone()
        .map(|(r, p)| format!("{:.1},{:.1}", x(r.max(from_recall)), y(p.max(from))))
        .collect();
    let _ = write!(
        out,
        "<polyline fill=none stroke=\"var(--c1)\" stroke-width=2 points=\"{}\"/>",
        line.join(" ")
    );
    for p in &accuracy.curve {
        let _ = write!(
            out,
            "<circle cx={:.1} cy={:.1} r=5 fill=transparent data-tip=\"from {:.1} bits ({:.4}): precision {:.4}, recall {:.4}\"/>",
            x(p.recall.max(from_recall)),
            y(p.precision.max(from)),
            p.weight,
            p.probability,
            p.precision,
            p.recall
        );
    }
    let _ = write!(
        out,
        "<circle cx={:.1} cy={:.1} r=5 fill=\"var(--accent)\" data-tip=\"put together: precision {:.4}, recall {:.4}\"/>\
         <text class=soft x={:.1} y={} text-anchor=end>recall →</text></svg>",
        x(here.0.max(from_recall)),
        y(here.1.max(from)),
        here.1,
        here.0,
        width,
        height - 2.0
    );
    out
}

fn calibrated(calibration: &Calibration) -> String {
    format!(
        "{}<p class=note>In words: {}.</p>",
        reliability::chart(calibration),
        text(&reliability::sentence(calibration))
    )
}

/// How to find out, where there is no truth.
fn unknown(stats: &Stats) -> String {
    format!(
        "<p class=sentence>With a column of true persons: <code>--truth COLUMN</code>. Else label a sample of pairs:</p>\
         <pre>musubi evaluate --dedupe {0} --sample pairs.csv\nmusubi evaluate --dedupe {0} --labels pairs.csv</pre>",
        text(&shell(&stats.out))
    )
}

fn thresholds(accuracy: &Accuracy, own: f64) -> String {
    let mut out = String::from(
        "<div class=scroll><table><tr><th>threshold<th class=n>precision<th class=n>recall<th class=n>F1</tr>",
    );
    for t in &accuracy.thresholds {
        let used = if (t.threshold - own).abs() < 1e-9 {
            " (used)"
        } else {
            ""
        };
        let q = t.pairwise;
        let _ = write!(
            out,
            "<tr><td>{}{used}<td class=n>{:.4}<td class=n>{:.4}<td class=n>{:.4}</tr>",
            t.threshold, q.precision, q.recall, q.f1
        );
    }
    out.push_str("</table></div>");
    out
}

fn weights(edges: &[Edge]) -> Vec<(String, u64)> {
    let mut bins: BTreeMap<i32, u64> = BTreeMap::new();
    for edge in edges {
        #[expect(clippy::cast_possible_truncation, reason = "the number of a bin")]
        let bin = (edge.weight.clamp(-50.0, 50.0) / 2.0).floor() as i32;
        *bins.entry(bin).or_default() += 1;
    }
    let (Some(first), Some(last)) = (bins.keys().next(), bins.keys().last()) else {
        return Vec::new();
    };
    (*first..=*last)
        .map(|bin| ((bin * 2).to_string(), bins.get(&bin).copied().unwrap_or(0)))
        .collect()
}

fn sizes(stats: &Stats) -> Vec<(String, u64)> {
    const MOST: u64 = 15;
    let largest = stats.cluster_sizes.keys().last().copied().unwrap_or(0);
    (1..=largest.min(MOST))
        .map(|size| {
            let last = size == MOST && largest > MOST;
            let here = stats.cluster_sizes.iter();
            let here = here.filter(|(n, _)| **n == size || (last && **n > MOST));
            let label = if last {
                format!("{size}+")
            } else {
                size.to_string()
            };
            (label, here.map(|(_, n)| n).sum())
        })
        .collect()
}

#[expect(clippy::cast_precision_loss, reason = "lengths of bars")]
fn guards(stats: &Stats) -> String {
    let rows: Vec<Bar> = stats
        .guards
        .iter()
        .map(|(guard, n)| Bar {
            label: text(&word(guard)),
            size: *n as f64,
            value: count(*n),
        })
        .collect();
    bars(&rows, "var(--c2)")
}

/// The word of a guard.
pub(super) fn word(guard: &musubi_identity::Guard) -> String {
    let word = serde_json::to_value(guard).ok();
    let word = word.as_ref().and_then(|v| v.as_str()).unwrap_or_default();
    word.replace('_', " ")
}

fn columns(stats: &Stats) -> String {
    let mut out = String::from(
        "<div class=scroll><table><tr><th>file<th>column<th>used as<th>why<th class=n>filled</tr>",
    );
    for input in &stats.inputs {
        for column in &input.columns {
            let _ = write!(
                out,
                "<tr><td>{}<td>{}<td>{}<td>{}<td class=n>{} %</tr>",
                text(&input.source),
                text(&column.column),
                text(&column.role),
                text(&column.why),
                column.filled_percent
            );
        }
    }
    out.push_str("</table></div>");
    out
}

fn model(stats: &Stats, model: &Model) -> String {
    let mut out = String::from(
        "<div class=scroll><table><tr><th>comparison<th>level<th class=n>m<th class=n>u<th class=n>weight<th></tr>",
    );
    for parameters in model.comparisons.iter().filter(|p| p.used) {
        for (at, level) in parameters.levels.iter().enumerate() {
            let bits = (level.m / level.u).log2();
            let length = bits.abs().min(20.0) * 5.0;
            let (x, fill) = if bits < 0.0 {
                (100.0 - length, "var(--c5)")
            } else {
                (100.0, "var(--c1)")
            };
            let name = if at == 0 {
                parameters.comparison.as_str()
            } else {
                ""
            };
            let _ = write!(
                out,
                "<tr><td>{}<td>{}<td class=n>{:.4}<td class=n>{:.6}<td class=n>{bits:+.1}\
                 <td><svg aria-hidden=true viewBox=\"0 0 200 10\" style=\"min-width:160px;max-width:220px\">\
                 <rect x={x:.1} y=1 width={length:.1} height=8 fill=\"{fill}\"/><line class=zero x1=100 x2=100 y1=0 y2=10 /></svg></tr>",
                text(name),
                text(&level.level),
                level.m,
                level.u
            );
        }
    }
    out.push_str("</table></div>");
    for doubt in &stats.diagnostics {
        let _ = write!(
            out,
            "<p class=note><b>{}</b>: {}</p>",
            text(&doubt.parameter),
            text(&doubt.message)
        );
    }
    out
}

fn rules<'a>(model: &Model, links: impl Iterator<Item = &'a Edge>) -> String {
    let mut first: BTreeMap<&str, u64> = BTreeMap::new();
    for link in links {
        *first
            .entry(musubi_identity::rule_name(link.rule))
            .or_default() += 1;
    }
    let mut out = String::from(
        "<div class=scroll><table><tr><th>rule<th class=n>blocks<th class=n>largest<th class=n>pairs<th class=n>links it made first<th></tr>",
    );
    let row = |out: &mut String, r: &RuleStats| {
        let note = if r.idle {
            "left out: many pairs for what it alone would find".to_owned()
        } else if !r.hubs.is_empty() {
            format!("{} blocks are refined", count(r.hubs.len() as u64))
        } else {
            String::new()
        };
        let _ = write!(
            out,
            "<tr><td>{}<td class=n>{}<td class=n>{}<td class=n>{}<td class=n>{}<td>{note}</tr>",
            text(&r.rule),
            count(r.blocks),
            count(r.largest),
            count(r.pairs),
            count(first.get(r.rule.as_str()).copied().unwrap_or(0))
        );
    };
    let used = model.rules.iter().filter(|r| r.blocks > 0);
    used.for_each(|r| row(&mut out, r));
    out.push_str("</table></div>");
    out
}

fn phases(stats: &Stats) -> String {
    let rows: Vec<Bar> = stats
        .phases
        .iter()
        .map(|p| Bar {
            label: text(p.phase),
            size: p.cpu_seconds,
            value: format!("{:.2} s", p.cpu_seconds),
        })
        .collect();
    bars(&rows, "var(--c5)")
}
