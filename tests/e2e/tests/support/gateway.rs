//! A gateway before the API server, which loses answers and holds back news on purpose.

use std::{
    collections::{BTreeMap, HashSet},
    convert::Infallible,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use futures::TryStreamExt as _;
use http_body_util::{BodyExt as _, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    Method, Request, Response,
    body::{Bytes, Frame, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use kube::{
    Client, Config,
    client::Body,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::mpsc};

use super::{
    ledger::{Calls, Ledger},
    soak,
};

/// How many answers are lost to calls of a kind that no Job rests on: events, conditions of sources. A longer series
/// loses all.
const FEW: usize = 2;

/// What it does to calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trick {
    /// A call that changes something is passed on, but its answer never comes; the same call is answered the next
    /// time.
    LoseAnswers,
    /// News of watches come so much later.
    HoldBack(Duration),
    /// What there is of a resource is told so much later.
    ListLate(&'static str, Duration),
    /// Nothing but counting them.
    None,
}

/// The gateway, as long as the test runs.
pub(crate) struct Gateway {
    /// What an operator connects with.
    pub(crate) kubeconfig: PathBuf,
    state: Arc<State>,
}

struct State {
    client: Client,
    trick: Trick,
    /// Calls whose answer was lost.
    lost: Mutex<HashSet<String>>,
    /// Of which kinds they were, and how many.
    kinds: Mutex<BTreeMap<String, usize>>,
    /// Every call.
    ledger: Mutex<Ledger>,
    /// Told of each answer that is lost.
    tell: mpsc::UnboundedSender<String>,
}

type Answer = UnsyncBoxBody<Bytes, kube::Error>;

impl Gateway {
    /// Opens one for those who connect with a kubeconfig. Each answer that is lost is told.
    pub(crate) async fn open(
        kubeconfig: &Path,
        trick: Trick,
    ) -> (Self, mpsc::UnboundedReceiver<String>) {
        let known = Kubeconfig::read_from(kubeconfig).expect("kubeconfig");
        let config = Config::from_custom_kubeconfig(known, &KubeConfigOptions::default()).await;
        let client = Client::try_from(config.expect("config")).expect("client");
        let (tell, lost) = mpsc::unbounded_channel();
        let state = Arc::new(State {
            client,
            trick,
            lost: Mutex::default(),
            kinds: Mutex::default(),
            ledger: Mutex::default(),
            tell,
        });
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.expect("a port");
        let port = listener.local_addr().expect("its port").port();
        tokio::spawn(serve(listener, state.clone()));
        let file = kubeconfig.with_file_name(format!("gateway-{port}"));
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "it",
            "clusters": [{ "name": "it", "cluster": { "server": format!("http://127.0.0.1:{port}") } }],
            "users": [{ "name": "it", "user": {} }],
            "contexts": [{ "name": "it", "context": { "cluster": "it", "user": "it" } }],
        });
        std::fs::write(&file, config.to_string()).expect("kubeconfig");
        let gateway = Self {
            kubeconfig: file,
            state,
        };
        (gateway, lost)
    }

    /// What was asked since an earlier count.
    pub(crate) fn calls_since(&self, earlier: &Calls) -> Calls {
        lock(&self.state.ledger).since(earlier)
    }

    /// How long answers took to begin since the last time this was asked, by what was called; sorted.
    pub(crate) fn answers(&self) -> BTreeMap<String, Vec<Duration>> {
        lock(&self.state.ledger).answers()
    }

    /// How many answers were lost, by method and resource.
    pub(crate) fn lost(&self) -> BTreeMap<String, usize> {
        lock(&self.state.kinds).clone()
    }
}

async fn serve(listener: TcpListener, state: Arc<State>) {
    while let Ok((stream, _)) = listener.accept().await {
        let state = state.clone();
        let answer = service_fn(move |request| {
            let state = state.clone();
            async move { Ok::<_, Infallible>(state.pass(request).await) }
        });
        tokio::spawn(async move {
            let conversation = http1::Builder::new().serve_connection(TokioIo::new(stream), answer);
            // Who was killed says no good-bye.
            let _ = conversation.await;
        });
    }
}

impl State {
    /// Whether the answer to a call is lost: each once; of those that no Job rests on, a few.
    fn loses(&self, kind: &str, call: String) -> bool {
        let rests = ["jobs", "configmaps", "customerpipelineruns"];
        let rests = rests.iter().any(|resource| kind.contains(resource));
        let mut kinds = lock(&self.kinds);
        let times = kinds.entry(kind.to_owned()).or_default();
        let loses =
            (rests || *times < soak::either(FEW, usize::MAX)) && lock(&self.lost).insert(call);
        *times += usize::from(loses);
        loses
    }

    /// Passes a call on.
    async fn pass(&self, request: Request<Incoming>) -> Response<Answer> {
        let (mut parts, body) = request.into_parts();
        let body = body.collect().await.expect("a request").to_bytes();
        parts.headers.remove(hyper::header::HOST);
        let (method, path) = (parts.method.clone(), parts.uri.path().to_owned());
        let query = parts.uri.query().unwrap_or_default();
        let watches = method == Method::GET && query.contains("watch=true");
        let kind = format!("{method} {}", resource(&path));
        let call = lock(&self.ledger).note(&method, &resource(&path), &path, watches, &body);
        // Each life has a lease of its own; that is lost once.
        let once = match resource(&path).as_str() {
            "leases" => kind.clone(),
            _ => format!("{method} {path} {}", essence(&body)),
        };
        if let Trick::ListLate(late, by) = self.trick
            && method == Method::GET
            && !watches
            && resource(&path) == late
        {
            tokio::time::sleep(by).await;
        }
        let request = Request::from_parts(parts, Body::from(body));
        let asked = Instant::now();
        let answer = self.client.send(request).await.expect("the API server");
        lock(&self.ledger).answered(call, asked.elapsed());
        let changes = method != Method::GET && answer.status().is_success();
        match self.trick {
            Trick::LoseAnswers if changes && self.loses(&kind, once) => {
                let _ = self.tell.send(kind);
                std::future::pending().await
            }
            Trick::HoldBack(late) if watches => answer.map(|body| delayed(body, late)),
            _ => answer.map(http_body_util::BodyExt::boxed_unsync),
        }
    }
}

/// Each piece of a body after so long, none overtaken by another.
fn delayed(body: Body, late: Duration) -> Answer {
    let pieces = body.into_data_stream();
    let (send, receive) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut pieces: Pin<Box<_>> = Box::pin(pieces);
        while let Ok(Some(piece)) = pieces.try_next().await {
            let due = tokio::time::Instant::now() + late;
            if send.send((due, piece)).is_err() {
                return;
            }
        }
    });
    let late = futures::stream::unfold(receive, |mut receive| async {
        let (due, piece) = receive.recv().await?;
        tokio::time::sleep_until(due).await;
        Some((Ok(Frame::data(piece)), receive))
    });
    StreamBody::new(late).boxed_unsync()
}

/// What a call asks for, without what is different each time: when it is asked, and of which version.
fn essence(body: &[u8]) -> String {
    let mut value: Value = serde_json::from_slice(body).unwrap_or_default();
    strip(&mut value);
    value.to_string()
}

fn strip(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| name != "resourceVersion" && !name.ends_with("Time"));
            fields.values_mut().for_each(strip);
        }
        Value::Array(items) => items.iter_mut().for_each(strip),
        _ => {}
    }
}

/// The resource of a path: `jobs`, `customerpipelineruns/status`.
fn resource(path: &str) -> String {
    let parts: Vec<&str> = path.split('/').collect();
    let after = parts
        .iter()
        .position(|p| *p == "namespaces")
        .map(|at| at + 2);
    let parts = after.and_then(|at| parts.get(at..)).unwrap_or_default();
    match parts {
        [resource, _, below, ..] => format!("{resource}/{below}"),
        [resource, ..] => (*resource).to_owned(),
        [] => path.to_owned(),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
