//! Charts as inline SVG, drawn here so that the page needs no library.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use super::{Sale, count, money};

/// Text for HTML.
pub(crate) fn text(text: &str) -> String {
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
pub(crate) struct Bar {
    /// HTML before the bar.
    pub(crate) label: String,
    /// Its length.
    pub(crate) size: f64,
    /// Text behind it.
    pub(crate) value: String,
}

/// Horizontal bars. Labels and values are HTML, so that they stay readable on a phone.
pub(crate) fn bars(bars: &[Bar], fill: &str) -> String {
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
            "<span class=label>{}</span><svg role=img aria-hidden=true viewBox=\"0 0 1000 16\" preserveAspectRatio=none>\
             <rect width=\"{width:.1}\" height=16 fill=\"{fill}\" data-tip=\"{}\"/></svg><span class=value>{}</span>",
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

/// What a day sold and what it gave back.
type Day = (i64, i64);

/// The scale of a drawing of days: money upwards, days to the right.
struct Scale {
    top: f64,
    bottom: f64,
    height: f64,
    left: f64,
    step: f64,
}

impl Scale {
    const UNDER: f64 = 26.0;
    const OVER: f64 = 12.0;

    fn y(&self, value: f64) -> f64 {
        let inner = self.height - Self::OVER - Self::UNDER;
        Self::OVER + (self.top - value) / (self.top - self.bottom) * inner
    }

    fn x(&self, place: usize) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a position on a drawing")]
        let place = place as f64;
        self.left + self.step * place
    }
}

/// A round number of which four or so reach `most`.
fn round_step(most: f64) -> f64 {
    let raw = (most / 4.0).max(1.0);
    let power = 10_f64.powf(raw.log10().floor());
    let factor = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .find(|f| f * power >= raw)
        .unwrap_or(10.0);
    factor * power
}

/// Sales by day, stacked by channel; what was returned hangs below the line. `width` is the drawing's, in
/// the pixels that its text is set for.
#[expect(clippy::cast_precision_loss, reason = "positions on a drawing")]
pub(super) fn stacked(sales: &[Sale], currency: &str, width: f64) -> String {
    let order = channels(sales);
    let days: BTreeSet<&str> = sales.iter().map(|s| s.date.as_str()).collect();
    let days: Vec<&str> = days.into_iter().collect();
    if days.is_empty() {
        return "<p class=note>No sales yet.</p>".into();
    }
    let mut by_day: BTreeMap<&str, Day> = BTreeMap::new();
    for sale in sales {
        let (up, down) = by_day.entry(&sale.date).or_default();
        *(if sale.amount >= 0 { up } else { down }) += sale.amount;
    }
    let most = by_day.values().map(|d| d.0).max().unwrap_or(0).max(1) as f64;
    let least = by_day.values().map(|d| d.1).min().unwrap_or(0) as f64;
    let tick = round_step(most / 10_000.0) * 10_000.0;
    let left = 54.0;
    let scale = Scale {
        top: (most / tick).ceil() * tick,
        bottom: least * 1.1,
        height: if width > 600.0 { 300.0 } else { 230.0 },
        left,
        step: (width - left) / days.len() as f64,
    };
    let mut out = format!(
        "<svg role=img aria-label=\"sales by day and channel\" viewBox=\"0 0 {width} {}\">",
        scale.height
    );
    let mut value = 0.0;
    while value <= scale.top {
        let class = if value == 0.0 { "zero" } else { "axis" };
        let _ = write!(
            out,
            "<line class={class} x1={left} x2={width} y1={0:.1} y2={0:.1} /><text class=soft x={1} y={2:.1} text-anchor=end>{3}</text>",
            scale.y(value),
            left - 8.0,
            scale.y(value) + 4.0,
            short(value / 10_000.0)
        );
        value += tick;
    }
    columns(&mut out, sales, &order, &days, &scale, currency);
    let every = days.len().div_ceil(if width > 600.0 { 14 } else { 5 });
    for (i, day) in days.iter().enumerate().step_by(every) {
        let _ = write!(
            out,
            "<text class=soft x={:.1} y={} text-anchor=middle>{}</text>",
            scale.x(i) + scale.step / 2.0,
            scale.height - 6.0,
            text(day.get(5..).unwrap_or(day))
        );
    }
    out.push_str("</svg>");
    out
}

#[expect(clippy::cast_precision_loss, reason = "positions on a drawing")]
fn columns(
    out: &mut String,
    sales: &[Sale],
    order: &[String],
    days: &[&str],
    scale: &Scale,
    currency: &str,
) {
    let (mut up, mut down) = (BTreeMap::<&str, f64>::new(), BTreeMap::<&str, f64>::new());
    let gap = (scale.step * 0.14).min(8.0);
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
                scale.x(place) + gap,
                scale.step - 2.0 * gap,
                scale.y(from.max(to)),
                scale.y(from.min(to)) - scale.y(from.max(to)),
                colour(c),
                text(&sale.date),
                text(channel),
                text(&money(currency, sale.amount))
            );
        }
    }
}

/// `1.2 M`, `340 k`.
fn short(n: f64) -> String {
    match n.abs() {
        a if a >= 1e6 => format!("{:.1} M", n / 1e6),
        a if a >= 1e4 => format!("{:.0} k", n / 1e3),
        a if a >= 1e3 => format!("{:.1} k", n / 1e3),
        _ => format!("{n:.0}"),
    }
}

/// Upright bars over a scale, one for each (label, count), in the colour that `fill` gives a label.
#[expect(clippy::cast_precision_loss, reason = "positions on a drawing")]
pub(crate) fn histogram(
    name: &str,
    bins: &[(String, u64)],
    fill: impl Fn(&str) -> &'static str,
) -> String {
    if bins.is_empty() {
        return "<p class=note>Nothing was compared yet.</p>".into();
    }
    let (width, height) = (460.0, 220.0);
    let floor = height - 26.0;
    let most = bins.iter().map(|b| b.1).max().unwrap_or(1).max(1) as f64;
    let step = width / bins.len() as f64;
    let mut out = format!("<svg role=img aria-label=\"{name}\" viewBox=\"-10 0 480 {height}\">");
    let every = bins.len().div_ceil(12);
    // Figures stand over the bars where there is room for them.
    let roomy = bins.len() <= 16;
    for (i, (label, n)) in bins.iter().enumerate() {
        // Square root: a bin of three stays visible beside one of thirty thousand.
        let tall = (*n as f64 / most).sqrt() * (floor - 24.0);
        let (x, middle) = (step * i as f64, step * (i as f64 + 0.5));
        let _ = write!(
            out,
            "<rect x={:.1} width={:.1} y={:.1} height={tall:.1} fill=\"{}\" rx=2 data-tip=\"{}: {}\"/>",
            x + step * 0.1,
            step * 0.8,
            floor - tall,
            fill(label),
            text(label),
            count(*n)
        );
        if roomy && *n > 0 {
            let figure = if *n < 10_000 {
                count(*n)
            } else {
                short(*n as f64)
            };
            let _ = write!(
                out,
                "<text class=soft x={middle:.1} y={:.1} text-anchor=middle font-size=11>{figure}</text>",
                floor - tall - 5.0
            );
        }
        if i % every == 0 {
            let _ = write!(
                out,
                "<text class=soft x={middle:.1} y={} text-anchor=middle>{}</text>",
                height - 8.0,
                text(label)
            );
        }
    }
    let _ = write!(
        out,
        "<line class=zero x1=0 x2={width} y1={floor} y2={floor} /></svg>"
    );
    out
}
