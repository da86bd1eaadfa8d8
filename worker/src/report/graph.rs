//! A customer as a graph: records are nodes, links are edges. As Graphviz, as Mermaid, and as a drawing for a page. Records
//! are named by their ids; no value of a person is in any of them.

use std::{collections::HashMap, f64::consts::TAU, fmt::Write as _};

use musubi_identity::{ClusterExplanation, Link};

use super::{chart::text, explain::short};

/// What a link is for the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// The weakest of the spanning tree.
    Weakest,
    /// Nothing goes around it.
    Bridge,
    /// One of the spanning tree.
    Tree,
    /// The others hold without it.
    Spare,
}

impl Part {
    /// What a link of this customer is.
    #[must_use]
    pub(crate) fn of(found: &ClusterExplanation, link: &Link) -> Self {
        if found.weakest.as_ref().is_some_and(|w| w.link == *link) {
            return Self::Weakest;
        }
        match (link.bridge, link.tree) {
            (true, _) => Self::Bridge,
            (false, true) => Self::Tree,
            (false, false) => Self::Spare,
        }
    }

    /// Its word in a table.
    #[must_use]
    pub(crate) fn word(self, link: &Link) -> &'static str {
        match self {
            Self::Weakest if link.bridge => "weakest, bridge",
            Self::Weakest => "weakest",
            Self::Bridge => "bridge",
            Self::Tree => "tree",
            Self::Spare => "",
        }
    }

    /// Colour on a page, colour anywhere, and width.
    const fn pen(self) -> (&'static str, &'static str, f64) {
        match self {
            Self::Weakest => ("var(--accent)", "#b3402b", 3.0),
            Self::Bridge => ("var(--c2)", "#c4891b", 2.5),
            Self::Tree => ("var(--c1)", "#2b6a8a", 2.0),
            Self::Spare => ("var(--c5)", "#8b8478", 1.0),
        }
    }
}

/// A text within quotes, for Graphviz and Mermaid.
fn quoted(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "'")
}

/// Side of the weakest link that each record is on.
fn sides(found: &ClusterExplanation) -> HashMap<&str, usize> {
    let split = found.weakest.iter();
    let sides = split.flat_map(|w| [(0, &w.left), (1, &w.right)]);
    sides
        .flat_map(|(side, records)| records.iter().map(move |r| (r.as_str(), side)))
        .collect()
}

/// As Graphviz reads it: `dot -Tsvg`.
#[must_use]
pub(crate) fn dot(found: &ClusterExplanation) -> String {
    let sides = sides(found);
    let mut out = format!(
        "graph \"{}\" {{\n  node [shape=box, style=\"rounded,filled\", fontname=\"sans-serif\"];\n  edge [fontname=\"sans-serif\", fontsize=10];\n",
        found.customer
    );
    for member in &found.records {
        let fill = match sides.get(member.record.as_str()) {
            Some(1) => "#fbe3d6",
            _ => "#e3eef4",
        };
        let _ = writeln!(
            out,
            "  \"{}\" [label=\"{}\\n{}\", fillcolor=\"{fill}\"];",
            member.record,
            short(&member.record),
            quoted(&member.source)
        );
    }
    for link in &found.links {
        let part = Part::of(found, link);
        let (_, colour, width) = part.pen();
        let style = if part == Part::Spare {
            ", style=dashed"
        } else {
            ""
        };
        let _ = writeln!(
            out,
            "  \"{}\" -- \"{}\" [label=\"{:+.1} {}\", color=\"{colour}\", penwidth={width}{style}];",
            link.left,
            link.right,
            link.weight,
            quoted(link.rule)
        );
    }
    out.push_str("}\n");
    out
}

/// As Mermaid reads it, which many pages and editors draw.
#[must_use]
pub(crate) fn mermaid(found: &ClusterExplanation) -> String {
    let mut out = String::from("graph LR\n");
    let mut number = HashMap::new();
    for (at, member) in found.records.iter().enumerate() {
        number.insert(member.record.as_str(), at);
        let _ = writeln!(
            out,
            "  r{at}[\"{}<br/>{}\"]",
            short(&member.record),
            quoted(&member.source)
        );
    }
    let mut styles = String::new();
    for (at, link) in found.links.iter().enumerate() {
        let part = Part::of(found, link);
        let line = if part == Part::Spare { "-.-" } else { "---" };
        let end = |record: &str| number.get(record).copied().unwrap_or(0);
        let _ = writeln!(
            out,
            "  r{} {line}|\"{:+.1} {}\"| r{}",
            end(&link.left),
            link.weight,
            quoted(link.rule),
            end(&link.right)
        );
        let (_, colour, width) = part.pen();
        let _ = writeln!(
            styles,
            "  linkStyle {at} stroke:{colour},stroke-width:{width}px"
        );
    }
    out + &styles
}

const WIDTH: f64 = 1020.0;
/// Links past which only those of the spanning tree are drawn.
const MANY: usize = 300;

/// As a drawing: the sides of the weakest link are circles beside each other.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "positions on a drawing")]
pub(crate) fn svg(found: &ClusterExplanation) -> String {
    let sides = sides(found);
    let side = |record: &str| sides.get(record).copied().unwrap_or(0);
    let of = |wanted: usize| {
        found
            .records
            .iter()
            .filter(move |m| side(&m.record) == wanted)
    };
    let counts = [of(0).count(), of(1).count()];
    // A record needs some room on its circle.
    let radius = |n: usize| {
        if n < 2 {
            0.0
        } else {
            (n as f64 * 9.0).clamp(56.0, 190.0)
        }
    };
    let most = radius(counts[0]).max(radius(counts[1]));
    let height = 2.0 * most + 90.0;
    let middle = |side: usize| match (side, counts[1]) {
        (_, 0) => WIDTH / 2.0,
        (0, _) => WIDTH * 0.27,
        _ => WIDTH * 0.73,
    };
    let mut at: HashMap<&str, (f64, f64)> = HashMap::new();
    for (wanted, n) in counts.into_iter().enumerate() {
        for (place, member) in of(wanted).enumerate() {
            // The first record of each side looks at the other side.
            let turn = place as f64 / n.max(1) as f64 * TAU;
            let turn = if wanted == 0 { turn } else { TAU / 2.0 - turn };
            let (x, y) = (turn.cos() * radius(n), turn.sin() * radius(n));
            at.insert(&member.record, (middle(wanted) + x, height / 2.0 + y));
        }
    }
    let mut out = format!(
        "<div class=scroll><svg role=img aria-label=\"records and the links between them\" viewBox=\"0 0 {WIDTH} {height}\" style=\"min-width:640px\">"
    );
    let all = found.links.len() <= MANY;
    // The strongest come first and the weakest link lies on top.
    for link in found.links.iter().filter(|l| all || l.tree) {
        let (Some(a), Some(b)) = (at.get(link.left.as_str()), at.get(link.right.as_str())) else {
            continue;
        };
        let part = Part::of(found, link);
        let (fill, _, width) = part.pen();
        let dashes = if part == Part::Spare {
            " stroke-dasharray=\"3 3\""
        } else {
            ""
        };
        let _ = write!(
            out,
            "<line stroke=\"{fill}\" stroke-width={width}{dashes} x1={:.1} y1={:.1} x2={:.1} y2={:.1} data-tip=\"{} – {}: {}, {:+.1} bits {}\"/>",
            a.0,
            a.1,
            b.0,
            b.1,
            text(&short(&link.left)),
            text(&short(&link.right)),
            link.rule,
            link.weight,
            part.word(link)
        );
    }
    let labels = found.records.len() <= 40;
    for member in &found.records {
        let Some((x, y)) = at.get(member.record.as_str()) else {
            continue;
        };
        let name = short(&member.record);
        let _ = write!(
            out,
            "<circle cx={x:.1} cy={y:.1} r=7 fill=\"var(--{})\" stroke=\"var(--card)\" stroke-width=2 data-tip=\"{}, {}: {} links\"/>",
            if side(&member.record) == 0 {
                "c1"
            } else {
                "c3"
            },
            text(&name),
            text(&member.source),
            member.links
        );
        if labels {
            let outward = if *x < middle(side(&member.record)) - 1.0 {
                ("end", -11.0)
            } else {
                ("start", 11.0)
            };
            let _ = write!(
                out,
                "<text class=soft x={:.1} y={:.1} text-anchor={}>{}</text>",
                x + outward.1,
                y - 9.0,
                outward.0,
                text(&name)
            );
        }
    }
    out.push_str("</svg></div>");
    out.push_str(KEY);
    if !all {
        out.push_str("<p class=note>Only the links of the spanning tree are drawn.</p>");
    }
    out
}

const KEY: &str = "<p class=key><span><i style=\"background:var(--accent)\"></i>weakest link</span>\
    <span><i style=\"background:var(--c2)\"></i>bridge: nothing goes around it</span>\
    <span><i style=\"background:var(--c1)\"></i>spanning tree</span><span><i style=\"background:var(--c5)\"></i>other links</span></p>";

#[cfg(test)]
mod tests {
    use musubi_identity::{Member, Split};

    use super::*;

    /// Three records in a triangle, and one behind a bridge.
    fn customer() -> ClusterExplanation {
        let link = |left: &str, right: &str, weight, tree, bridge| Link {
            left: left.into(),
            right: right.into(),
            rule: "email",
            weight,
            probability: 0.99,
            tree,
            bridge,
        };
        let member = |record: &str, links| Member {
            record: record.into(),
            source: "crm \"old\"".into(),
            links,
        };
        let weakest = link("3", "7", 4.0, true, true);
        ClusterExplanation {
            customer: "c1".into(),
            records: vec![
                member("1", 2),
                member("2", 2),
                member("3", 3),
                member("7", 1),
            ],
            links: vec![
                link("1", "2", 20.0, true, false),
                link("2", "3", 18.0, true, false),
                link("1", "3", 9.0, false, false),
                weakest.clone(),
            ],
            weakest: Some(Split {
                link: weakest,
                left: vec!["1".into(), "2".into(), "3".into()],
                right: vec!["7".into()],
                links: 1,
            }),
        }
    }

    #[test]
    fn graphviz_has_a_line_for_each_record_and_link() {
        let dot = dot(&customer());
        for line in [
            "graph \"c1\" {",
            "  \"7\" [label=\"7\\ncrm 'old'\", fillcolor=\"#fbe3d6\"];",
            "  \"1\" -- \"3\" [label=\"+9.0 email\", color=\"#8b8478\", penwidth=1, style=dashed];",
            "  \"3\" -- \"7\" [label=\"+4.0 email\", color=\"#b3402b\", penwidth=3];",
            "}",
        ] {
            assert!(dot.lines().any(|l| l == line), "{line} in {dot}");
        }
        assert_eq!(dot.matches(" -- ").count(), 4);
    }

    #[test]
    fn mermaid_styles_links_by_their_number() {
        let graph = mermaid(&customer());
        for line in [
            "  r3[\"7<br/>crm 'old'\"]",
            "  r0 -.-|\"+9.0 email\"| r2",
            "  r2 ---|\"+4.0 email\"| r3",
            "  linkStyle 3 stroke:#b3402b,stroke-width:3px",
        ] {
            assert!(graph.lines().any(|l| l == line), "{line} in {graph}");
        }
    }

    #[test]
    fn the_drawing_holds_every_record_once() {
        let mut found = customer();
        assert_eq!(svg(&found).matches("<circle").count(), 4);
        assert_eq!(svg(&found).matches("<line").count(), 4);
        // Of a crowd, only the tree is drawn.
        let spare = found.links[2].clone();
        found.links.extend(std::iter::repeat_n(spare, MANY));
        assert_eq!(svg(&found).matches("<line").count(), 3);
    }
}
