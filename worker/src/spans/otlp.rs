//! Spans go to the collector that the environment names, in OpenTelemetry's protocol.

use std::{collections::HashMap, env};

use musubi_api::run::StageReport;
use musubi_traces::{Error, Outbox};
use opentelemetry::{
    propagation::TextMapPropagator as _,
    trace::{FutureExt as _, Status, TracerProvider as _},
};
use opentelemetry_sdk::{propagation::TraceContextPropagator, trace::SdkTracerProvider};
use tracing::{Level, Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::{Layer, filter::filter_fn, registry::LookupSpan};

/// What sends spans, when they are wanted.
pub(crate) struct Spans {
    opened: Result<Option<SdkTracerProvider>, Error>,
}

/// Opens what a pod's environment asks for, with the layer that gathers spans. Nothing of it can keep a shard from
/// its work.
pub(crate) fn open<S>(in_a_pod: bool) -> (Spans, Option<impl Layer<S>>)
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let tls = rustls::crypto::aws_lc_rs::default_provider();
    let outbox = match in_a_pod {
        true => Outbox::open("musubi-worker", tls),
        false => Ok(None),
    };
    let opened = outbox.map(|outbox| outbox.map(Outbox::provider));
    let provider = opened.as_ref().ok().and_then(Option::as_ref);
    // Events are for the log alone: they say more than counts.
    let ours = filter_fn(|about| {
        about.is_span() && about.target().starts_with("musubi") && *about.level() <= Level::INFO
    });
    let layer = provider.map(|provider| {
        tracing_opentelemetry::layer()
            .with_tracer(provider.tracer("musubi"))
            .with_location(false)
            .with_target(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_filter(ours)
    });
    (Spans { opened }, layer)
}

impl Spans {
    /// Once there are logs: says what is wrong.
    pub(crate) fn logged(&self) {
        if let Err(error) = &self.opened {
            tracing::warn!(%error, "no traces");
        }
    }

    /// Does some work as part of the trace that `TRACEPARENT` names.
    /// <https://opentelemetry.io/docs/specs/otel/context/env-carriers/>
    pub(crate) async fn of<F: Future>(&self, work: F) -> F::Output {
        let names = ["traceparent", "tracestate"];
        let said = names.map(|name| Some((name.to_owned(), env::var(name.to_uppercase()).ok()?)));
        let said: HashMap<String, String> = said.into_iter().flatten().collect();
        let parent = TraceContextPropagator::new().extract(&said);
        work.with_context(parent).await
    }

    /// Sends what is left, and waits a moment for that.
    pub(crate) async fn end(self) {
        let Ok(Some(provider)) = self.opened else {
            return;
        };
        let end = move || provider.shutdown_with_timeout(musubi_traces::LAST_WORDS);
        let ended = tokio::task::spawn_blocking(end).await;
        if let Ok(Err(error)) = ended {
            tracing::warn!(%error, "the collector of OTEL_EXPORTER_OTLP_… did not take all spans; nothing else is lost");
        }
    }
}

/// What a shard did.
pub(crate) fn counted(span: &Span, report: &StageReport) {
    span.set_attribute("reused", report.reused);
    for (name, n) in &report.counts {
        span.set_attribute(format!("count.{name}"), *n);
    }
}

/// A shard failed. Why stands in its log and its report: it may name an object.
pub(crate) fn failed(span: &Span) {
    span.set_status(Status::error("the shard failed: see its log"));
}
