//! The page: one file, no request to anywhere.

use std::fmt::Write as _;

use super::{
    Answer, Cell, ReportData,
    chart::{Bar, bars, channels, colour, histogram, stacked, text},
    count, duration, flow, grouped,
};

/// The page of a run.
#[must_use]
pub fn html(data: &ReportData) -> String {
    let run = &data.summary;
    let mut out = format!(
        "<!doctype html><html lang=en><head><meta charset=utf-8>\
         <meta http-equiv=Content-Security-Policy content=\"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\
         <meta name=viewport content=\"width=device-width, initial-scale=1\"><meta name=color-scheme content=\"light dark\">\
         <title>{0}: report</title><style>{1}</style></head><body><main><h1>{0}</h1><p class=lead>{2}</p>",
        text(&run.pipeline),
        include_str!("page.css"),
        text(&lead(data))
    );
    figures(&mut out, data);
    section(
        &mut out,
        "From sources to customers",
        "Rows that came in, what became of them, and whom they belong to.",
        &format!("<div class=scroll>{}</div>", flow::flow(run)),
    );
    out.push_str("<div class=pair>");
    section(
        &mut out,
        "Customers by channels",
        "Customers who bought, by every channel they bought through.",
        &combinations(data),
    );
    section(
        &mut out,
        "Quarantine by reason",
        "Rows set aside. They can be exported, mended and replayed.",
        &reasons(data),
    );
    out.push_str("</div>");
    section(
        &mut out,
        "Sales by channel and day",
        "Returns hang below the line.",
        &sales(data),
    );
    section(
        &mut out,
        "Quality of each source",
        "Share of the rows that were accepted.",
        &quality(data),
    );
    out.push_str("<div class=pair>");
    let weights: Vec<_> = data
        .weights
        .iter()
        .map(|(w, n)| (format!("{w:.0}"), *n))
        .collect();
    section(
        &mut out,
        "How sure the matches are",
        "Pairs by match weight in bits; heights by square root.",
        &histogram("pairs by match weight", &weights, "var(--c1)"),
    );
    let clusters: Vec<_> = data
        .clusters
        .iter()
        .map(|(size, n)| (size.to_string(), *n))
        .collect();
    section(
        &mut out,
        "Records of a customer",
        "Customers by how many records they have; heights by square root.",
        &histogram("customers by number of records", &clusters, "var(--c3)"),
    );
    out.push_str("</div>");
    for answer in &data.answers {
        question(&mut out, answer);
    }
    section(&mut out, "How long each stage took", "", &stages(data));
    let _ = write!(
        out,
        "<footer>Run {}. No value of a person is on this page.</footer></main><div id=tip></div><script>{}</script></body></html>",
        text(&run.run),
        include_str!("page.js")
    );
    out
}

fn lead(data: &ReportData) -> String {
    let version = data.summary.version.map_or_else(
        || "Nothing was published".into(),
        |v| format!("Version {v}"),
    );
    if data.as_of.is_empty() {
        version
    } else {
        format!("{version}, as of {}", data.as_of)
    }
}

fn section(out: &mut String, title: &str, note: &str, body: &str) {
    let note = if note.is_empty() {
        String::new()
    } else {
        format!("<p class=note>{}</p>", text(note))
    };
    let _ = write!(
        out,
        "<section><h2>{}</h2>{note}{body}</section>",
        text(title)
    );
}

/// An amount in the currency of most orders; a fraction is shown when there is one.
fn money(data: &ReportData, units: i64) -> String {
    let fraction = units.unsigned_abs() % 10_000;
    let mut amount = grouped(units / 10_000);
    if units < 0 && units > -10_000 {
        amount.insert(0, '-');
    }
    if fraction != 0 {
        let _ = write!(
            amount,
            ".{}",
            format!("{fraction:04}").trim_end_matches('0')
        );
    }
    match data.currency.as_str() {
        "jpy" => format!("¥{amount}"),
        other => format!("{amount} {}", other.to_uppercase()),
    }
}

fn figures(out: &mut String, data: &ReportData) {
    let run = &data.summary;
    let rows: u64 = run.streams.iter().map(|s| s.rows).sum();
    let bad: u64 = run.streams.iter().map(|s| s.quarantined).sum();
    let sales: i64 = data.sales.iter().map(|s| s.amount).sum();
    let figures = [
        (
            count(rows),
            format!("rows from {} streams", run.streams.len()),
        ),
        (count(bad), "rows in quarantine".to_owned()),
        (
            count(run.customers),
            format!("customers, of {} records", count(run.records)),
        ),
        (money(data, sales), "sales".to_owned()),
    ];
    out.push_str("<div class=figures>");
    for (figure, of) in figures {
        let _ = write!(
            out,
            "<div class=figure><b>{}</b><span>{}</span></div>",
            text(&figure),
            text(&of)
        );
    }
    out.push_str("</div>");
}

#[expect(clippy::cast_precision_loss, reason = "lengths of bars")]
fn combinations(data: &ReportData) -> String {
    let mut all: Vec<&String> = data.channels.iter().flat_map(|c| &c.0).collect();
    all.sort();
    all.dedup();
    let rows: Vec<_> = data
        .channels
        .iter()
        .take(10)
        .map(|(set, n)| {
            let dots: String = all
                .iter()
                .map(|c| {
                    if set.contains(c) {
                        "<i class=on></i>"
                    } else {
                        "<i></i>"
                    }
                })
                .collect();
            Bar {
                label: format!("<span class=dots>{dots}</span> {}", text(&set.join(" + "))),
                size: *n as f64,
                value: count(*n),
            }
        })
        .collect();
    bars(&rows, "var(--c1)")
}

#[expect(clippy::cast_precision_loss, reason = "lengths of bars")]
fn reasons(data: &ReportData) -> String {
    let mut sums = std::collections::BTreeMap::<&str, u64>::new();
    for (reason, n) in data.summary.streams.iter().flat_map(|s| &s.reasons) {
        *sums.entry(reason).or_default() += n;
    }
    let mut sums: Vec<_> = sums.into_iter().collect();
    sums.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
    if sums.is_empty() {
        return "<p class=note>No row was set aside.</p>".into();
    }
    let rows: Vec<_> = sums
        .iter()
        .map(|(reason, n)| Bar {
            label: text(reason),
            size: *n as f64,
            value: count(*n),
        })
        .collect();
    bars(&rows, "var(--bad)")
}

fn sales(data: &ReportData) -> String {
    let mut out = String::from("<div class=key>");
    for (i, channel) in channels(&data.sales).iter().enumerate() {
        let _ = write!(
            out,
            "<span><i style=\"background:{}\"></i>{}</span>",
            colour(i),
            text(channel)
        );
    }
    let _ = write!(
        out,
        "</div><div class=scroll>{}</div>",
        stacked(&data.sales)
    );
    let drawn: i64 = data.sales.iter().map(|s| s.amount).sum();
    let sources: i64 = data.source_totals.iter().map(|s| s.2).sum();
    out.push_str("<div class=scroll><table><tr><th>source<th class=n>orders<th class=n>total</tr>");
    for (source, orders, total) in &data.source_totals {
        let _ = write!(
            out,
            "<tr><td>{}<td class=n>{}<td class=n>{}</tr>",
            text(source),
            count(*orders),
            text(&money(data, *total))
        );
    }
    let verdict = if drawn == sources {
        format!(
            "<span class=equal>Equal to the last place: {}.</span>",
            text(&money(data, drawn))
        )
    } else {
        format!(
            "<span class=unequal>Not equal: the chart adds up to {} and the sources to {}.</span>",
            text(&money(data, drawn)),
            text(&money(data, sources))
        )
    };
    let _ = write!(out, "</table></div><p>{verdict}</p>");
    out
}

fn quality(data: &ReportData) -> String {
    let mut out = String::from(
        "<div class=scroll><table><tr><th>source<th>stream<th class=n>files<th class=n>rows<th class=n>accepted<th class=n>quarantined</tr>",
    );
    for s in &data.summary.streams {
        #[expect(clippy::cast_precision_loss, reason = "a percentage")]
        let share = 100.0 * s.accepted as f64 / (s.accepted + s.quarantined).max(1) as f64;
        let _ = write!(
            out,
            "<tr><td>{}<td>{}<td class=n>{}<td class=n>{}<td class=n>{share:.2} %<td class=n>{}</tr>",
            text(&s.source),
            text(&s.stream),
            count(s.files),
            count(s.rows),
            count(s.quarantined)
        );
    }
    out.push_str("</table></div>");
    out
}

fn question(out: &mut String, answer: &Answer) {
    let label = |row: &[Cell]| {
        row.first()
            .map(|c| text(&c.to_string()))
            .unwrap_or_default()
    };
    let rows: Vec<_> = answer
        .rows
        .iter()
        .filter_map(|row| match row.get(answer.shown) {
            Some(Cell::Number(n)) => Some(Bar {
                label: label(row),
                size: *n,
                value: Cell::Number(*n).to_string(),
            }),
            _ => None,
        })
        .collect();
    let shown = answer.columns.get(answer.shown).map_or("", String::as_str);
    let mut body = format!(
        "<p class=sentence>{}</p><p class=note>{}</p>{}",
        text(&answer.sentence),
        text(shown),
        bars(&rows, "var(--accent)")
    );
    if !answer.rows.is_empty() {
        body.push_str("<details><summary>All figures</summary><div class=scroll><table><tr>");
        let number = |at: usize| {
            answer
                .rows
                .iter()
                .any(|r| matches!(r.get(at), Some(Cell::Number(_))))
        };
        for (i, column) in answer.columns.iter().enumerate() {
            let _ = write!(
                body,
                "<th{}>{}",
                if number(i) { " class=n" } else { "" },
                text(column)
            );
        }
        for row in &answer.rows {
            body.push_str("<tr>");
            for (i, cell) in row.iter().enumerate() {
                let _ = write!(
                    body,
                    "<td{}>{}",
                    if number(i) { " class=n" } else { "" },
                    text(&cell.to_string())
                );
            }
        }
        body.push_str("</table></div></details>");
    }
    let _ = write!(
        body,
        "<details><summary>The SQL</summary><pre>{}</pre></details>",
        text(&answer.sql)
    );
    section(out, &answer.question, "", &body);
}

#[expect(clippy::cast_precision_loss, reason = "lengths of bars")]
fn stages(data: &ReportData) -> String {
    let rows: Vec<_> = data
        .summary
        .stages
        .iter()
        .map(|s| Bar {
            label: text(&s.stage),
            size: s.millis as f64,
            value: duration(s.millis),
        })
        .collect();
    bars(&rows, "var(--c5)")
}
