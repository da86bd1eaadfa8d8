//! Where spans go: to a collector, in OpenTelemetry's protocol (OTLP) over HTTP, as its standard variables say.
//!
//! Nothing is sent unless one of them names a collector. A collector that does not answer costs a line in the log:
//! spans wait in a queue of bounded size, and at the end of a process no longer than [`LAST_WORDS`].

use std::{env, sync::Arc, time::Duration};

use hyper_rustls::HttpsConnectorBuilder;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response, hyper::HyperClient};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithHttpConfig as _};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{BatchSpanProcessor, SdkTracerProvider, SpanData, SpanProcessor as _},
};
use rustls::{ClientConfig, RootCertStore, crypto::CryptoProvider};
use tokio::runtime::Handle;

/// Variables that name a collector. The first is its base (`http://collector:4318`), the second a whole address.
pub const ENDPOINTS: [&str; 2] = [
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
];

/// How long the end of a process may wait for a collector.
pub const LAST_WORDS: Duration = Duration::from_secs(5);

/// Milliseconds after which a collector that does not answer is given up.
const TIMEOUT: &str = "OTEL_EXPORTER_OTLP_TIMEOUT";
/// How long that is when nobody says it, by the specification of OTLP.
const USUAL: Duration = Duration::from_secs(10);

/// Why spans cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A variable holds what cannot be used.
    #[error("the variables OTEL_EXPORTER_OTLP_…: {0}")]
    Settings(#[from] ExporterBuildError),
    /// No way to speak TLS.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
}

/// Whether a variable names a collector.
#[must_use]
pub fn wanted() -> bool {
    let set = |name: &&str| env::var_os(name).is_some_and(|value| !value.is_empty());
    ENDPOINTS.iter().any(set)
}

/// A queue of spans that a thread of its own sends to the collector.
#[derive(Debug)]
pub struct Outbox {
    processor: BatchSpanProcessor,
    resource: Resource,
}

impl Outbox {
    /// The one that the environment asks for; none when it names no collector. Has to be called in a Tokio runtime,
    /// which the sending needs for as long as it goes on.
    ///
    /// # Errors
    /// Variables that cannot be used.
    pub fn open(service: &'static str, tls: CryptoProvider) -> Result<Option<Self>, Error> {
        if !wanted() {
            return Ok(None);
        }
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Client::new(tls)?)
            .build()?;
        // OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES are looked at too.
        let resource = Resource::builder().with_service_name(service).build();
        let mut processor = BatchSpanProcessor::builder(exporter).build();
        processor.set_resource(&resource);
        Ok(Some(Self {
            processor,
            resource,
        }))
    }

    /// Sends a span, soon. One that the queue has no room for is dropped.
    pub fn send(&self, span: SpanData) {
        self.processor.on_end(span);
    }

    /// Sends what is left, and waits for it no longer than [`LAST_WORDS`]. Blocks.
    ///
    /// # Errors
    /// The collector did not take it in time.
    pub fn close(&self) -> OTelSdkResult {
        self.processor.shutdown_with_timeout(LAST_WORDS)
    }

    /// What makes spans, and sends them when they end.
    #[must_use]
    pub fn provider(self) -> SdkTracerProvider {
        SdkTracerProvider::builder()
            .with_span_processor(self.processor)
            .with_resource(self.resource)
            .build()
    }
}

/// An HTTP client for the thread that sends, which is none of Tokio's.
#[derive(Debug)]
struct Client {
    runtime: Handle,
    client: Arc<dyn HttpClient>,
}

impl Client {
    fn new(tls: CryptoProvider) -> Result<Self, Error> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let tls = ClientConfig::builder_with_provider(Arc::new(tls))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .build();
        let millis = env::var(TIMEOUT).ok().and_then(|text| text.parse().ok());
        let timeout = millis.map_or(USUAL, Duration::from_millis);
        Ok(Self {
            runtime: Handle::current(),
            client: Arc::new(HyperClient::new(connector, timeout, None)),
        })
    }
}

#[async_trait::async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = Arc::clone(&self.client);
        let sent = self
            .runtime
            .spawn(async move { client.send_bytes(request).await });
        sent.await?
    }
}
