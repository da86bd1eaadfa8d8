//! Charts as inline SVG, drawn here so that the page needs no library.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use super::{Sale, grouped};

/// Text for HTML.
pub(super) fn text(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// A colour of the page's palette.
pub(super) fn colour(at: usize) -> String {
    format!("var(--c{})", at.min(5))
}

/// One bar of [`bars`].
pub(super) struct Bar {
    /// HTML before the bar.
    pub(super) label: String,
    /// Its length.
    pub(super) size: f64,
    /// Text behind it.
    pub(super) value: String,
}

/// Horizontal bars. Labels and values are HTML, so that they stay readable on a phone.
pub(super) fn bars(bars: &[Bar], fill: &str) -> String {
    if bars.is_empty() {
        return "<p class=note>Nothing to show yet.</p>".into();
    }
    let longest = bars
        .iter()
        .map(|b| b.size)
        .fold(f64::MIN_POSITIVE, f64::max);
    let mut out = String::from("<div class=bars>");
    for bar in bars {
        let width = (bar.size / longest * 1000.0).max(0.0);
        let _ = write!(
            out,
            "<span class=label>{}</span><svg role=img aria-hidden=true viewBox=\"0 0 1000 14\" preserveAspectRatio=none>\
             <rect width=\"{width:.1}\" height=14 fill=\"{fill}\" data-tip=\"{}\"/></svg><span class=value>{}</span>",
            bar.label,
            text(&bar.value),
            text(&bar.value)
        );
    }
    out.push_str("</div>");
    out
}

/// Channels in the order of their colours: by sales, biggest first.
pub(super) fn channels(sales: &[Sale]) -> Vec<String> {
    let mut sums: BTreeMap<&str, i64> = BTreeMap::new();
    for sale in sales {
        *sums.entry(&sale.channel).or_default() += sale.amount;
    }
    let mut order: Vec<_> = sums.into_iter().collect();
    order.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
    order
        .into_iter()
        .map(|(channel, _)| channel.to_owned())
        .collect()
}

/// Sales by day, stacked by channel; what was returned hangs below the line.
#[expect(clippy::cast_precision_loss, reason = "positions on a drawing")]
pub(super) fn stacked(sales: &[Sale]) -> String {
    let order = channels(sales);
    let days: Vec<&str> = sales
        .iter()
        .map(|s| s.date.as_str())
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    if days.is_empty() {
        return "<p class=note>No sales yet.</p>".into();
    }
    let mut by_day: BTreeMap<&str, (i64, i64)> = BTreeMap::new();
    for sale in sales {
        let (up, down) = by_day.entry(&sale.date).or_default();
        if sale.amount >= 0 {
            *up += sale.amount
        } else {
            *down += sale.amount
        }
    }
    let top = by_day.values().map(|d| d.0).max().unwrap_or(0).max(1) as f64;
    let bottom = by_day.values().map(|d| d.1).min().unwrap_or(0) as f64;
    let (width, height, left) = (960.0, 260.0, 64.0);
    let y = |v: f64| 12.0 + (top - v) / (top - bottom) * (height - 40.0);
    let step = (width - left) / days.len() as f64;
    let mut out = format!(
        "<svg role=img aria-label=\"sales by day and channel\" viewBox=\"0 0 {width} {height}\">"
    );
    for part in 0..=3 {
        let value = top * f64::from(part) / 3.0;
        let _ = write!(
            out,
            "<line class=axis x1={left} x2={width} y1={0:.1} y2={0:.1} /><text class=soft x={1} y={2:.1} text-anchor=end>{3}</text>",
            y(value),
            left - 8.0,
            y(value) + 4.0,
            short(value / 10_000.0)
        );
    }
    let (mut up, mut down) = (BTreeMap::<&str, f64>::new(), BTreeMap::<&str, f64>::new());
    for (c, channel) in order.iter().enumerate() {
        for sale in sales
            .iter()
            .filter(|s| s.channel == *channel && s.amount != 0)
        {
            let place = days.binary_search(&sale.date.as_str()).unwrap_or(0);
            let base = if sale.amount > 0 { &mut up } else { &mut down }
                .entry(&sale.date)
                .or_default();
            let (from, to) = (*base, *base + sale.amount as f64);
            *base = to;
            let _ = write!(
                out,
                "<rect x={:.1} width={:.1} y={:.1} height={:.2} fill=\"{}\" data-tip=\"{} · {} · {}\"/>",
                left + step * place as f64 + step * 0.1,
                step * 0.8,
                y(from.max(to)),
                y(from.min(to)) - y(from.max(to)),
                colour(c),
                text(&sale.date),
                text(channel),
                grouped(sale.amount / 10_000)
            );
        }
    }
    let every = days.len().div_ceil(8);
    for (i, day) in days.iter().enumerate().step_by(every) {
        let _ = write!(
            out,
            "<text class=soft x={:.1} y={} text-anchor=middle>{}</text>",
            left + step * (i as f64 + 0.5),
            height - 6.0,
            text(day.get(5..).unwrap_or(day))
        );
    }
    out.push_str("</svg>");
    out
}

/// `1.2 M`, `340 k`.
fn short(n: f64) -> String {
    match n.abs() {
        a if a >= 1e6 => format!("{:.1} M", n / 1e6),
        a if a >= 1e3 => format!("{:.0} k", n / 1e3),
        _ => format!("{n:.0}"),
    }
}

/// Upright bars over a scale, one for each (label, count).
#[expect(clippy::cast_precision_loss, reason = "positions on a drawing")]
pub(super) fn histogram(name: &str, bins: &[(String, u64)], fill: &str) -> String {
    if bins.is_empty() {
        return "<p class=note>Nothing was compared yet.</p>".into();
    }
    let (width, height) = (460.0, 200.0);
    let most = bins.iter().map(|b| b.1).max().unwrap_or(1).max(1) as f64;
    let step = width / bins.len() as f64;
    let mut out = format!("<svg role=img aria-label=\"{name}\" viewBox=\"-10 0 480 {height}\">");
    let every = bins.len().div_ceil(10);
    for (i, (label, n)) in bins.iter().enumerate() {
        // Square root: a bin of three stays visible beside one of thirty thousand.
        let tall = (*n as f64 / most).sqrt() * (height - 40.0);
        let x = step * i as f64;
        let _ = write!(
            out,
            "<rect x={:.1} width={:.1} y={:.1} height={tall:.1} fill=\"{fill}\" rx=1 data-tip=\"{}: {}\"/>",
            x + step * 0.08,
            step * 0.84,
            height - 24.0 - tall,
            text(label),
            super::count(*n)
        );
        if i % every == 0 {
            let _ = write!(
                out,
                "<text class=soft x={:.1} y={} text-anchor=middle>{}</text>",
                x + step / 2.0,
                height - 6.0,
                text(label)
            );
        }
    }
    let _ = write!(
        out,
        "<line class=axis x1=0 x2={width} y1={0} y2={0} /></svg>",
        height - 24.0
    );
    out
}
