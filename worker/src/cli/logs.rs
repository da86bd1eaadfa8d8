//! Logs on standard error: lines for people on a terminal, JSON for machines anywhere else.
//!
//! No log line holds a value of a person. Other libraries are heard up to level info only, whatever
//! `RUST_LOG` asks for: at debug some of them print what they carry.

use std::io::IsTerminal as _;

use tracing::Level;
use tracing_subscriber::{
    EnvFilter, Layer as _,
    filter::{FilterExt as _, filter_fn},
    fmt,
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

use crate::spans::{self, Spans};

/// How much is said when `RUST_LOG` does not say.
pub(super) fn level(verbose: u8, in_a_pod: bool) -> &'static str {
    match (verbose, in_a_pod) {
        (0, false) => "warn",
        (0, true) | (1, _) => "warn,musubi=info",
        (2, _) => "info,musubi=debug",
        (3.., _) => "info,musubi=trace",
    }
}

/// Starts logging, and gives what sends spans.
pub(super) fn start(verbose: u8, in_a_pod: bool) -> Spans {
    let wanted = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new(level(verbose, in_a_pod)));
    let discreet =
        filter_fn(|about| about.target().starts_with("musubi") || *about.level() <= Level::INFO);
    let heard = wanted.and(discreet);
    let lines = match std::io::stderr().is_terminal() {
        true => {
            let colour = std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
            fmt::layer()
                .compact()
                .with_target(false)
                .with_ansi(colour)
                .with_writer(std::io::stderr)
                .with_filter(heard)
                .boxed()
        }
        false => fmt::layer()
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_writer(std::io::stderr)
            .with_filter(heard)
            .boxed(),
    };
    let (spans, gathered) = spans::open(in_a_pod);
    // A second start in one process changes nothing.
    let _ = tracing_subscriber::registry()
        .with(lines)
        .with(gathered)
        .try_init();
    spans.logged();
    spans
}
