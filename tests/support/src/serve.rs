//! A port of this machine behind which a function serves each connection.

use std::{
    io,
    net::{TcpListener, TcpStream},
    sync::Arc,
    thread,
};

/// Listens on a free port of an address of this machine, which is given, and serves each connection in a thread of its
/// own. The threads end with the test process. What a connection fails with is the client's to find out.
pub(crate) fn serve(
    address: &str,
    each: impl Fn(TcpStream) -> io::Result<()> + Send + Sync + 'static,
) -> io::Result<u16> {
    let listener = TcpListener::bind((address, 0))?;
    let port = listener.local_addr()?.port();
    let each = Arc::new(each);
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let each = Arc::clone(&each);
            thread::spawn(move || each(client));
        }
    });
    Ok(port)
}
