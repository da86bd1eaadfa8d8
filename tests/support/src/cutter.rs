//! A proxy that loses the connection to PostgreSQL at a message of the client that is chosen beforehand.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

/// Which side of the message the connection is lost on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// The server never sees the message.
    Before,
    /// The server does what the message says; its answer is lost.
    After,
}

/// The proxy: a port of 127.0.0.1 in front of another.
#[derive(Debug)]
pub struct Cutter {
    port: u16,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    seen: Vec<String>,
    cut: Option<(usize, Cut)>,
}

impl Cutter {
    /// Starts one. Its threads end with the test process.
    pub fn start(upstream: u16) -> io::Result<Self> {
        let state = Arc::<Mutex<State>>::default();
        let shared = Arc::clone(&state);
        let port =
            crate::serve::serve("127.0.0.1", move |client| serve(client, upstream, &shared))?;
        Ok(Self { port, state })
    }

    /// Port on 127.0.0.1.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Counts messages anew and cuts once, at the message of this number.
    pub fn cut(&self, cut: Option<(usize, Cut)>) {
        let seen = Vec::new();
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = State { seen, cut };
    }

    /// The messages since then, each as its kind and the SQL in it; the first of a connection is
    /// `connect`. The farewell of a client is not counted: it may come at any time, or not at all.
    #[must_use]
    pub fn seen(&self) -> Vec<String> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.seen.clone()
    }
}

impl State {
    fn decide(&mut self, label: String) -> Option<Cut> {
        let at = self.seen.len();
        self.seen.push(label);
        let cut = self.cut.take_if(|(k, _)| *k == at)?;
        Some(cut.1)
    }
}

fn serve(mut client: TcpStream, upstream: u16, state: &Mutex<State>) -> io::Result<()> {
    let mut server = TcpStream::connect(("127.0.0.1", upstream))?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let lost = Arc::new(AtomicBool::new(false));
    let (from, to, gone) = (server.try_clone()?, client.try_clone()?, Arc::clone(&lost));
    thread::spawn(move || answers(from, to, &gone));
    let mut first = true;
    while let Ok((kind, message)) = read(&mut client, first) {
        first = false;
        let fault = if kind == b'X' {
            None
        } else {
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            state.decide(label(kind, &message))
        };
        match fault {
            None => server.write_all(&message)?,
            Some(Cut::Before) => {
                client.shutdown(Shutdown::Both)?;
                return server.shutdown(Shutdown::Both);
            }
            Some(Cut::After) => {
                // The server reads the message, then the end; the client is cut off once the server is done.
                lost.store(true, Ordering::SeqCst);
                server.write_all(&message)?;
                return server.shutdown(Shutdown::Write);
            }
        }
    }
    server.shutdown(Shutdown::Write)
}

/// Brings answers back until the server is done, or loses them.
fn answers(mut server: TcpStream, mut client: TcpStream, lost: &AtomicBool) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let n = server.read(&mut buffer).unwrap_or(0);
        if n == 0 {
            return client.shutdown(Shutdown::Both);
        }
        if !lost.load(Ordering::SeqCst) {
            client.write_all(&buffer[..n])?;
        }
    }
}

/// A message whole, with its kind; the first of a connection has none.
fn read(client: &mut TcpStream, first: bool) -> io::Result<(u8, Vec<u8>)> {
    let head = if first { 4 } else { 5 };
    let mut message = vec![0; head];
    client.read_exact(&mut message)?;
    let kind = if first { 0 } else { message[0] };
    let length = message[head - 4..]
        .iter()
        .fold(0, |n, b| n << 8 | usize::from(*b));
    message.resize(head - 4 + length.max(4), 0);
    client.read_exact(&mut message[head..])?;
    Ok((kind, message))
}

fn label(kind: u8, message: &[u8]) -> String {
    let sql = || {
        let text = String::from_utf8_lossy(message.get(5..).unwrap_or_default()).into_owned();
        text.trim_matches('\0').to_owned()
    };
    match kind {
        0 => "connect".into(),
        b'Q' => format!("query {}", sql()),
        b'P' => format!("parse {}", sql()),
        b'B' => "bind".into(),
        b'C' => "close".into(),
        b'D' => "describe".into(),
        b'E' => "execute".into(),
        b'S' => "sync".into(),
        b'c' => "copy done".into(),
        b'd' => "copy data".into(),
        b'p' => "password".into(),
        other => char::from(other).to_string(),
    }
}
