//! The page: one file, no request to anywhere.

use std::fmt::Write as _;

use super::{
    Answer, Cell, ReportData, Unit,
    chart::{Bar, bars, channels, colour, histogram, stacked, text},
    collect::amount,
    count, duration, flow, money, quality,
};

/// The page of a run.
#[must_use]
pub fn html(data: &ReportData) -> String {
    let run = &data.summary;
    let mut out = begin(&run.pipeline, &lead(data));
    figures(&mut out, data);
    section(
        &mut out,
        "From sources to customers",
        "Rows that came in, what became of them, and whom they belong to. Heights follow the square root of the figures, so that small sources stay visible.",
        &flow::flow(run),
    );
    heading(&mut out, "Customers and sales");
    section(
        &mut out,
        "Sales by channel and day",
        "What was returned or cancelled hangs below the line.",
        &sales(data),
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
        "Records of a customer",
        "Customers by how many records of all sources they have; heights by square root.",
        &clusters(data),
    );
    out.push_str("</div>");
    heading(&mut out, "Five questions");
    for (answer, number) in data.answers.iter().zip(1..) {
        question(&mut out, answer, number, &data.currency);
    }
    heading(&mut out, "Can it be trusted?");
    section(
        &mut out,
        "Quality of each source",
        "Every row of every source is exactly one of the five.",
        &quality::quality(&run.streams),
    );
    out.push_str("<div class=pair>");
    section(
        &mut out,
        "Quarantine by reason",
        "Rows set aside. They can be exported, mended and replayed.",
        &quality::reasons(&run.streams),
    );
    section(
        &mut out,
        "How sure the matches are",
        "Pairs of records that were kept, by match weight: at 0 bits, one person and two are equally likely; every bit more doubles the odds. Heights by square root.",
        &histogram("pairs by match weight", &weights(data), |bin| {
            if bin.starts_with('-') {
                "var(--c5)"
            } else {
                "var(--c1)"
            }
        }),
    );
    out.push_str("</div>");
    heading(&mut out, "The run");
    out.push_str("<div class=pair>");
    section(&mut out, "How long each stage took", "", &stages(data));
    section(
        &mut out,
        "Rows of each table that was published",
        "",
        &tables(data),
    );
    out.push_str("</div>");
    end(&mut out, &format!("Run {}.", run.run));
    out
}

/// The beginning of a page: its title, and a sentence below it.
pub(crate) fn begin(title: &str, lead: &str) -> String {
    format!(
        "<!doctype html><html lang=en><head><meta charset=utf-8>\
         <meta http-equiv=Content-Security-Policy content=\"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\
         <meta name=viewport content=\"width=device-width, initial-scale=1\"><meta name=color-scheme content=\"light dark\">\
         <title>{0}</title><style>{1}</style></head><body><main>\
         <header><h1>{2}</h1><p class=lead>{3}</p></header>",
        text(&format!("{title}: one view of each customer")),
        include_str!("page.css"),
        text(title),
        text(lead)
    )
}

/// The end of a page, with what its footer says.
pub(crate) fn end(out: &mut String, footer: &str) {
    let _ = write!(
        out,
        "<footer>{} No value of a person is on this page.</footer></main><div id=tip></div><script>{}</script></body></html>",
        text(footer),
        include_str!("page.js")
    );
}

fn lead(data: &ReportData) -> String {
    let run = &data.summary;
    let mut sources: Vec<_> = run.streams.iter().map(|s| &s.source).collect();
    sources.dedup();
    let version = run.version.map_or_else(
        || "Nothing was published".into(),
        |v| format!("Version {v}, as of {}", data.as_of),
    );
    format!(
        "{} sources, one view of each customer. {version}.",
        sources.len()
    )
}

pub(crate) fn heading(out: &mut String, words: &str) {
    let _ = write!(out, "<h3>{}</h3>", text(words));
}

pub(crate) fn section(out: &mut String, title: &str, note: &str, body: &str) {
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

fn figures(out: &mut String, data: &ReportData) {
    let run = &data.summary;
    let sum = |of: fn(&crate::stage::accounts::Account) -> u64| -> u64 {
        run.streams.iter().map(of).sum()
    };
    #[expect(clippy::cast_precision_loss, reason = "shown to people")]
    let each = run.records as f64 / run.customers.max(1) as f64;
    let sales: i64 = data.sales.iter().map(|s| s.amount).sum();
    let buyers: u64 = data.channels.iter().map(|c| c.1).sum();
    let several: u64 = data
        .channels
        .iter()
        .filter(|c| c.0.len() > 1)
        .map(|c| c.1)
        .sum();
    let figures = [
        (
            count(run.customers),
            format!(
                "customers, of {} records ({each:.1} each)",
                count(run.records)
            ),
        ),
        (money(&data.currency, sales), "sales".to_owned()),
        (
            count(several),
            format!(
                "customers of several channels, of {} who bought",
                count(buyers)
            ),
        ),
        (
            count(sum(|s| s.rows)),
            format!("rows, from {} streams", run.streams.len()),
        ),
        (
            count(sum(|s| s.quarantined)),
            "rows in quarantine".to_owned(),
        ),
    ];
    strip(out, &figures);
}

/// Five large figures side by side, each with what it counts.
pub(crate) fn strip(out: &mut String, figures: &[(String, String)]) {
    out.push_str("<div class=figures>");
    for (figure, of) in figures {
        let _ = write!(
            out,
            "<div class=figure><b>{}</b><span>{}</span></div>",
            text(figure),
            text(of)
        );
    }
    out.push_str("</div>");
}

#[expect(clippy::cast_precision_loss, reason = "lengths of bars")]
fn combinations(data: &ReportData) -> String {
    let mut all: Vec<&String> = data.channels.iter().flat_map(|c| &c.0).collect();
    all.sort();
    all.dedup();
    let dot = |on: bool| if on { "<i class=on></i>" } else { "<i></i>" };
    let bar = |(set, n): &(Vec<String>, u64)| {
        let dots: String = all.iter().map(|c| dot(set.contains(c))).collect();
        Bar {
            label: format!("<span class=dots>{dots}</span> {}", text(&set.join(" + "))),
            size: *n as f64,
            value: count(*n),
        }
    };
    let rows: Vec<_> = data.channels.iter().take(10).map(bar).collect();
    bars(&rows, "var(--c1)")
}

fn clusters(data: &ReportData) -> String {
    const MOST: u64 = 15;
    let mut bins: Vec<(String, u64)> = Vec::new();
    let largest = data.clusters.iter().map(|c| c.0).max().unwrap_or(0);
    for size in 1..=largest.min(MOST) {
        let here = data
            .clusters
            .iter()
            .filter(|c| c.0 == size || (size == MOST && c.0 > MOST));
        let more = if size == MOST && largest > MOST {
            "+"
        } else {
            ""
        };
        bins.push((format!("{size}{more}"), here.map(|c| c.1).sum()));
    }
    histogram("customers by number of records", &bins, |_| "var(--c3)")
}

fn weights(data: &ReportData) -> Vec<(String, u64)> {
    let bins = data.weights.iter();
    bins.map(|(w, n)| (format!("{w:.0}"), *n)).collect()
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
        "</div><div class=wide>{}</div><div class=phone>{}</div>",
        stacked(&data.sales, &data.currency, 1020.0),
        stacked(&data.sales, &data.currency, 350.0)
    );
    let drawn: i64 = data.sales.iter().map(|s| s.amount).sum();
    let counted: i64 = data.source_totals.iter().map(|t| t.counted()).sum();
    let verdict = if drawn == counted {
        format!(
            "<p class=\"verdict good\">The chart adds up to {0}, and what the sources say they sold adds up to {0}: equal to the last place.</p>",
            text(&money(&data.currency, drawn))
        )
    } else {
        format!(
            "<p class=\"verdict bad\">Not equal: the chart adds up to {}, and what the sources say they sold to {}.</p>",
            text(&money(&data.currency, drawn)),
            text(&money(&data.currency, counted))
        )
    };
    out.push_str(&verdict);
    out.push_str(
        "<details><summary>How the sources add up</summary><p class=note>Added up from the clean rows of each source, apart from the table that the chart is drawn from. \
         An order that two sources tell of counts from one of them.</p><div class=scroll><table><tr><th>source<th class=n>orders told<th class=n>total told<th class=n>told by another source too<th class=n>counted from here</tr>",
    );
    let amount = |units: i64| text(&money(&data.currency, units));
    for t in &data.source_totals {
        let _ = write!(
            out,
            "<tr><td>{}<td class=n>{}<td class=n>{}<td class=n>{}<td class=n>{}</tr>",
            text(&t.source),
            count(t.orders),
            amount(t.total),
            if t.told_orders == 0 {
                "·".into()
            } else {
                format!(
                    "{} in {} orders",
                    amount(t.told_total),
                    count(t.told_orders)
                )
            },
            amount(t.counted())
        );
    }
    let _ = write!(
        out,
        "<tr class=sum><td>together<td class=n><td class=n><td class=n><td class=n>{}</tr></table></div></details>",
        amount(counted)
    );
    out
}

fn question(out: &mut String, answer: &Answer, number: u32, currency: &str) {
    let shown = |cell: &Cell| match answer.unit {
        Unit::Count => cell.to_string(),
        Unit::Money => amount(currency, cell),
        Unit::Percent => format!("{cell} %"),
    };
    let bar = |row: &Vec<Cell>| {
        let cell = row.get(answer.shown)?;
        Some(Bar {
            label: text(&row.first()?.to_string()),
            size: cell.number()?,
            value: shown(cell),
        })
    };
    let rows: Vec<_> = answer.rows.iter().filter_map(bar).collect();
    let column = answer.columns.get(answer.shown);
    let column = column.map_or("", |c| c.trim_end_matches(", %"));
    let mut body = format!(
        "<p class=sentence>{}</p><p class=of>{}</p>{}",
        text(&answer.sentence.replace(" %", "\u{a0}%")),
        text(column),
        bars(&rows, "var(--accent)")
    );
    if !answer.rows.is_empty() {
        body.push_str("<details><summary>All figures</summary>");
        figures_of(&mut body, answer);
        body.push_str("</details>");
    }
    let _ = write!(
        body,
        "<details class=sql><summary>The SQL</summary><pre>{}</pre></details>",
        text(&answer.sql)
    );
    let _ = write!(
        out,
        "<section><h2><span class=number>{number}</span>{}</h2>{body}</section>",
        text(&answer.question)
    );
}

fn figures_of(out: &mut String, answer: &Answer) {
    let number = |at: usize| {
        let mut cells = answer.rows.iter().filter_map(|r| r.get(at));
        cells.any(|c| c.number().is_some())
    };
    let class = |at: usize| if number(at) { " class=n" } else { "" };
    out.push_str("<div class=scroll><table><tr>");
    for (i, column) in answer.columns.iter().enumerate() {
        let _ = write!(out, "<th{}>{}", class(i), text(column));
    }
    for row in &answer.rows {
        out.push_str("<tr>");
        for (i, cell) in row.iter().enumerate() {
            let _ = write!(out, "<td{}>{}", class(i), text(&cell.to_string()));
        }
    }
    out.push_str("</table></div>");
}

#[expect(clippy::cast_precision_loss, reason = "lengths of bars")]
fn stages(data: &ReportData) -> String {
    let stages = data.summary.stages.iter();
    let rows: Vec<_> = stages
        .map(|s| Bar {
            label: text(&s.stage),
            size: s.millis as f64,
            value: duration(s.millis),
        })
        .collect();
    bars(&rows, "var(--c5)")
}

fn tables(data: &ReportData) -> String {
    let mut out = String::from("<div class=list>");
    for (table, rows) in &data.summary.tables {
        let _ = write!(
            out,
            "<div><span>{}</span><span>{}</span></div>",
            text(table),
            count(*rows)
        );
    }
    out.push_str("</div>");
    out
}
