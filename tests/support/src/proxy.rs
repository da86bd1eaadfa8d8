//! A small HTTP proxy that fails requests on purpose, to stand in front of a real storage server.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::TcpStream,
    sync::{Arc, Mutex, PoisonError},
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
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    rules: Vec<Rule>,
    /// What happens to every request that no rule is for.
    all: Option<Fault>,
    seen: Vec<String>,
}

impl Proxy {
    /// Starts one on loopback. Its threads end with the test process.
    pub fn start(upstream: u16) -> io::Result<Self> {
        Self::start_at("127.0.0.1", upstream)
    }

    /// Starts one on an address of this machine, and no other.
    pub fn start_at(address: &str, upstream: u16) -> io::Result<Self> {
        let state = Arc::<Mutex<State>>::default();
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

    /// Says what happens to every request from now on, until something else is said.
    pub fn all(&self, fault: Option<Fault>) {
        let mut s = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        s.all = fault;
    }

    /// Adds a rule and forgets which requests were seen.
    pub fn fail(&self, method: &'static str, path: &str, fault: Fault, times: u32) {
        let mut s = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        s.seen.clear();
        s.rules.push(Rule {
            method,
            path: path.into(),
            fault,
            times,
        });
    }

    /// Number of requests of this method seen since the last rule.
    #[must_use]
    pub fn seen(&self, method: &str) -> usize {
        let s = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        s.seen.iter().filter(|m| *m == method).count()
    }
}

fn decide(state: &Mutex<State>, method: &str, path: &str) -> Option<Fault> {
    let mut s = state.lock().unwrap_or_else(PoisonError::into_inner);
    s.seen.push(method.to_owned());
    let all = s.all;
    let rule = s
        .rules
        .iter_mut()
        .find(|r| r.times > 0 && r.method == method && path.contains(&r.path));
    match rule {
        Some(rule) => {
            rule.times -= 1;
            Some(rule.fault)
        }
        None => all,
    }
}

/// One request per connection: simple, and the client opens another.
fn serve(client: &TcpStream, server: (&str, u16), state: &Mutex<State>) -> io::Result<()> {
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
