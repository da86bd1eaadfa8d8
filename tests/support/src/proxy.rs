//! A small HTTP proxy that fails requests on purpose, to stand in front of a real storage server.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::TcpStream,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

/// What happens to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Answered with this status; the server never sees it.
    Status(u16),
    /// Passed on and done, but the answer is this status.
    DoneBut(u16),
    /// Never answered: the client runs into its time-out.
    Silence,
    /// Passed on and done, then the connection is cut before the answer.
    Cut,
    /// The connection is cut; the server never sees the request.
    Refuse,
    /// Passed on so much later.
    Late(Duration),
}

/// A rule: requests of this method whose path contains this fail so many times.
#[derive(Clone, Debug)]
pub struct Rule {
    /// `GET`, `PUT`, …
    pub method: &'static str,
    /// Part of the path; empty for any.
    pub path: String,
    /// How.
    pub fault: Fault,
    /// How many times.
    pub times: u32,
}

/// The proxy: a port in front of another port of the same address of this machine. The Host header passes
/// through unchanged, so signatures made for the proxy's address hold.
#[derive(Clone, Debug)]
pub struct Proxy {
    address: String,
    port: u16,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    plan: Mutex<Plan>,
    /// Told when requests are let go.
    let_go: Condvar,
}

#[derive(Debug, Default)]
struct Plan {
    rules: Vec<Rule>,
    /// What happens to every request that no rule is for.
    all: Option<Fault>,
    seen: Vec<String>,
    /// Requests of this method whose path contains this wait.
    holds: Vec<(&'static str, String)>,
}

/// Requests that wait, until this is dropped; then they are passed on.
#[derive(Debug)]
#[must_use]
pub struct Hold {
    state: Arc<State>,
    what: (&'static str, String),
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.state.plan().holds.retain(|held| *held != self.what);
        self.state.let_go.notify_all();
    }
}

impl State {
    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Proxy {
    /// Starts one on loopback. Its threads end with the test process.
    pub fn start(upstream: u16) -> io::Result<Self> {
        Self::start_at("127.0.0.1", upstream)
    }

    /// Starts one on an address of this machine, and no other.
    pub fn start_at(address: &str, upstream: u16) -> io::Result<Self> {
        let state = Arc::<State>::default();
        let (shared, server) = (Arc::clone(&state), address.to_owned());
        let port = crate::serve::serve(address, move |client| {
            serve(&client, (&server, upstream), &shared)
        })?;
        Ok(Self {
            address: address.to_owned(),
            port,
            state,
        })
    }

    /// `http://address:port`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}:{}", self.address, self.port)
    }

    /// Says what happens from now on to every request that no rule is for.
    pub fn all(&self, fault: Fault) {
        self.state.plan().all = Some(fault);
    }

    /// Takes that back.
    pub fn mend(&self) {
        self.state.plan().all = None;
    }

    /// Lets requests of this method whose path contains this wait.
    pub fn hold(&self, method: &'static str, path: &str) -> Hold {
        let what = (method, path.to_owned());
        self.state.plan().holds.push(what.clone());
        let state = Arc::clone(&self.state);
        Hold { state, what }
    }

    /// Adds a rule and forgets which requests were seen.
    pub fn fail(&self, method: &'static str, path: &str, fault: Fault, times: u32) {
        let mut plan = self.state.plan();
        plan.seen.clear();
        plan.rules.push(Rule {
            method,
            path: path.into(),
            fault,
            times,
        });
    }

    /// Number of requests of this method seen since the last rule.
    #[must_use]
    pub fn seen(&self, method: &str) -> usize {
        let plan = self.state.plan();
        plan.seen.iter().filter(|m| *m == method).count()
    }
}

fn decide(state: &State, method: &str, path: &str) -> Option<Fault> {
    let mut plan = state.plan();
    plan.seen.push(method.to_owned());
    let mut rules = plan.rules.iter_mut();
    let rule = rules.find(|r| r.times > 0 && r.method == method && path.contains(&r.path));
    let by_rule = rule.map(|rule| {
        rule.times -= 1;
        rule.fault
    });
    by_rule.or(plan.all)
}

/// Waits while requests like this are held.
fn wait(state: &State, method: &str, path: &str) {
    let is_held = |plan: &mut Plan| {
        let mut holds = plan.holds.iter();
        holds.any(|(m, part)| *m == method && path.contains(part))
    };
    let waited = state.let_go.wait_while(state.plan(), is_held);
    drop(waited.unwrap_or_else(PoisonError::into_inner));
}

/// One request per connection: simple, and the client opens another.
fn serve(client: &TcpStream, server: (&str, u16), state: &State) -> io::Result<()> {
    let mut from = BufReader::new(client);
    let (head, length) = read_head(&mut from)?;
    let mut first = head.split(' ');
    let (method, path) = (first.next().unwrap_or(""), first.next().unwrap_or(""));
    let fault = decide(state, method, path);
    let mut body = vec![0; length];
    if head.to_ascii_lowercase().contains("expect: 100-continue") {
        (&mut &*client).write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    from.read_exact(&mut body)?;
    wait(state, method, path);
    match fault {
        Some(Fault::Status(status)) => return answer(client, status),
        Some(Fault::Refuse) => return client.shutdown(std::net::Shutdown::Both),
        Some(Fault::Silence) => {
            thread::sleep(Duration::from_secs(30));
            return Ok(());
        }
        Some(Fault::Late(late)) => thread::sleep(late),
        _ => {}
    }
    let server = TcpStream::connect(server)?;
    (&mut &server).write_all(head.as_bytes())?;
    (&mut &server).write_all(&body)?;
    let mut reply = Vec::new();
    (&mut &server).read_to_end(&mut reply)?;
    match fault {
        Some(Fault::DoneBut(status)) => answer(client, status),
        Some(Fault::Cut) => client.shutdown(std::net::Shutdown::Both),
        _ => (&mut &*client).write_all(&reply),
    }
}

fn answer(mut client: &TcpStream, status: u16) -> io::Result<()> {
    let code = match status {
        403 => "AccessDenied",
        409 => "ConditionalRequestConflict",
        503 => "SlowDown",
        _ => "InternalError",
    };
    let body = format!("<Error><Code>{code}</Code><Message>injected fault</Message></Error>");
    let head = format!(
        "HTTP/1.1 {status} Injected\r\nContent-Type: application/xml\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    client.write_all(head.as_bytes())
}

/// The head, asking the server to close after its answer, and the length of the body.
/// The head of a request, and how long its body is.
pub(crate) fn read_head(from: &mut BufReader<&TcpStream>) -> io::Result<(String, usize)> {
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if from.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let lower = line.to_ascii_lowercase();
        if let Some(n) = lower.strip_prefix("content-length:") {
            length = n.trim().parse().map_err(io::Error::other)?;
        }
        if lower.starts_with("connection:") {
            continue;
        }
        if line == "\r\n" {
            head.push_str("Connection: close\r\n\r\n");
            return Ok((head, length));
        }
        head.push_str(&line);
    }
}
