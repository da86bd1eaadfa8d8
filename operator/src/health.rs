//! What a cluster asks of the operator over HTTP: whether it lives, whether it is ready, and its metrics.

use std::{
    convert::Infallible,
    net::{Ipv4Addr, Ipv6Addr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result};
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::CONTENT_TYPE,
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};

use crate::metrics::Metrics;

/// What Prometheus calls the text of its metrics.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// How long a caller may take to say what it wants.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is told.
#[derive(Clone)]
pub(crate) struct Health {
    pub(crate) metrics: Arc<Metrics>,
    /// One that stands by is ready; one that leads is once it knows what there is.
    ready: Arc<AtomicBool>,
}

impl Health {
    pub(crate) fn new() -> Self {
        Self {
            metrics: Arc::new(Metrics::new()),
            ready: Arc::default(),
        }
    }

    /// Says whether it is ready.
    pub(crate) fn ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Relaxed);
    }

    /// Takes a port on every address.
    ///
    /// # Errors
    /// The port is taken.
    pub(crate) async fn listen(port: u16) -> Result<TcpListener> {
        // It brings IPv4 along, where the machine has IPv6 at all.
        if let Ok(listener) = TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).await {
            return Ok(listener);
        }
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await;
        listener.with_context(|| format!("--port {port}: listen"))
    }

    /// Answers, until it is dropped.
    pub(crate) async fn serve(self, listener: TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    tokio::spawn(self.clone().converse(stream));
                }
                Err(error) => {
                    // Out of file descriptors, most likely: that passes.
                    tracing::warn!(%error, "accept");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }

    async fn converse(self, stream: TcpStream) {
        let answer = service_fn(|request: Request<Incoming>| {
            let response = self.answer(request.method(), request.uri().path());
            async move { Ok::<_, Infallible>(response) }
        });
        let conversation = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(PATIENCE)
            .serve_connection(TokioIo::new(stream), answer);
        if let Err(error) = conversation.await {
            tracing::debug!(%error, "a caller hung up");
        }
    }

    fn answer(&self, method: &Method, path: &str) -> Response<Full<Bytes>> {
        if !matches!(*method, Method::GET | Method::HEAD) {
            return said(StatusCode::METHOD_NOT_ALLOWED, "GET");
        }
        match path {
            "/healthz" => said(StatusCode::OK, "ok"),
            "/readyz" if self.ready.load(Ordering::Relaxed) => said(StatusCode::OK, "ok"),
            "/readyz" => said(StatusCode::SERVICE_UNAVAILABLE, "not ready yet"),
            "/metrics" => match self.metrics.text() {
                Ok(text) => {
                    let mut response = Response::new(Full::from(text));
                    let kind = hyper::header::HeaderValue::from_static(OPEN_METRICS);
                    response.headers_mut().insert(CONTENT_TYPE, kind);
                    response
                }
                Err(_) => said(StatusCode::INTERNAL_SERVER_ERROR, "metrics"),
            },
            _ => said(StatusCode::NOT_FOUND, "/healthz, /readyz, /metrics"),
        }
    }
}

fn said(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use hyper::Method;

    use super::Health;

    #[test]
    fn it_is_ready_when_it_says_so() {
        let health = Health::new();
        let status = |path: &str| health.answer(&Method::GET, path).status().as_u16();
        assert_eq!(status("/healthz"), 200);
        assert_eq!(status("/readyz"), 503);
        health.ready(true);
        assert_eq!(status("/readyz"), 200);
        assert_eq!(status("/metrics"), 200);
        assert_eq!(status("/debug"), 404);
        assert_eq!(health.answer(&Method::POST, "/metrics").status(), 405);
    }
}
