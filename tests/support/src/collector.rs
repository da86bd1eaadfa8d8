//! A collector of traces: takes what programs send in OpenTelemetry's protocol over HTTP, and keeps it.

use std::{
    collections::BTreeMap,
    io::{self, BufReader, Read as _, Write as _},
    net::TcpStream,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use opentelemetry_proto::tonic::{
    collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse},
    common::v1::{KeyValue, any_value::Value},
    trace::v1::{self, ResourceSpans, status::StatusCode},
};
use prost::Message as _;

/// A span as it came. Ids are hex; the parent of a root is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// `service.name` of who sent it.
    pub service: String,
    /// Name.
    pub name: String,
    /// The trace.
    pub trace: String,
    /// The span.
    pub id: String,
    /// Its parent.
    pub parent: String,
    /// Attributes, as text.
    pub attributes: BTreeMap<String, String>,
    /// Whether it says that it failed.
    pub failed: bool,
    /// From when to when, in nanoseconds since 1970.
    pub time: (u64, u64),
}

/// A collector on a free port.
#[derive(Clone, Debug)]
pub struct Collector {
    address: String,
    port: u16,
    spans: Arc<Mutex<Vec<Span>>>,
}

impl Collector {
    /// Starts one on loopback. Its threads end with the test process.
    pub fn start() -> io::Result<Self> {
        Self::start_at("127.0.0.1")
    }

    /// Starts one on an address of this machine, and no other.
    pub fn start_at(address: &str) -> io::Result<Self> {
        let spans = Arc::<Mutex<Vec<Span>>>::default();
        let kept = Arc::clone(&spans);
        let port = crate::serve::serve(address, move |client| take(&client, &kept))?;
        Ok(Self {
            address: address.to_owned(),
            port,
            spans,
        })
    }

    /// What `OTEL_EXPORTER_OTLP_ENDPOINT` says.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}:{}", self.address, self.port)
    }

    /// What came so far.
    #[must_use]
    pub fn spans(&self) -> Vec<Span> {
        let spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
        spans.clone()
    }

    /// Waits until something holds for what came, and gives it, or what came when it took too long.
    #[must_use]
    pub fn until(&self, patience: Duration, holds: impl Fn(&[Span]) -> bool) -> Vec<Span> {
        let begun = Instant::now();
        loop {
            let spans = self.spans();
            if holds(&spans) || begun.elapsed() > patience {
                return spans;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// One request per connection.
fn take(mut client: &TcpStream, kept: &Mutex<Vec<Span>>) -> io::Result<()> {
    let mut from = BufReader::new(client);
    let (head, length) = crate::proxy::read_head(&mut from)?;
    let mut body = vec![0; length];
    from.read_exact(&mut body)?;
    let request = ExportTraceServiceRequest::decode(&body[..]);
    let ours = head.starts_with("POST /v1/traces ");
    let (status, answer) = match request {
        Ok(request) if ours => {
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.extend(request.resource_spans.into_iter().flat_map(of_service));
            (
                "200 OK",
                ExportTraceServiceResponse::default().encode_to_vec(),
            )
        }
        Ok(_) => ("404 Not Found", Vec::new()),
        Err(_) => ("400 Bad Request", Vec::new()),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/x-protobuf\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        answer.len()
    );
    client.write_all(head.as_bytes())?;
    client.write_all(&answer)
}

fn of_service(of: ResourceSpans) -> Vec<Span> {
    let resource = texts(of.resource.map(|r| r.attributes).unwrap_or_default());
    let service = resource.get("service.name").cloned().unwrap_or_default();
    let spans = of.scope_spans.into_iter().flat_map(|scope| scope.spans);
    spans.map(|span| seen(&service, span)).collect()
}

fn seen(service: &str, span: v1::Span) -> Span {
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect();
    let status = span.status.unwrap_or_default();
    Span {
        service: service.to_owned(),
        name: span.name,
        trace: hex(&span.trace_id),
        id: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        attributes: texts(span.attributes),
        failed: status.code() == StatusCode::Error,
        time: (span.start_time_unix_nano, span.end_time_unix_nano),
    }
}

fn texts(attributes: Vec<KeyValue>) -> BTreeMap<String, String> {
    let text = |value: Value| match value {
        Value::StringValue(text) => text,
        Value::IntValue(n) => n.to_string(),
        Value::BoolValue(b) => b.to_string(),
        other => format!("{other:?}"),
    };
    let said = attributes.into_iter();
    said.filter_map(|a| Some((a.key, text(a.value?.value?))))
        .collect()
}
