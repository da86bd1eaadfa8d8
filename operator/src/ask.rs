//! `musubi-operator ask`: asks an operator how it is. The image has no other program that could.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use http_body_util::{BodyExt as _, Empty};
use hyper::{Request, body::Bytes, client::conn::http1, header::HOST};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// How long the answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Ask an operator for `/healthz`, `/readyz` or `/metrics`, and print its answer.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Name or address.
    host: String,
    /// Port.
    port: u16,
    /// Path.
    #[arg(default_value = "/readyz")]
    path: String,
}

/// Asks, and prints.
///
/// # Errors
/// No answer, or one that is not 200.
pub(crate) async fn run(args: Args) -> Result<()> {
    let Args { host, port, path } = &args;
    let asked = tokio::time::timeout(PATIENCE, ask(&args));
    let (status, text) = asked
        .await
        .with_context(|| format!("{host} port {port} gave no answer in {PATIENCE:?}"))?
        .with_context(|| format!("ask {host} port {port}"))?;
    print!("{text}");
    ensure!(status == 200, "{path} is answered with {status}");
    Ok(())
}

async fn ask(args: &Args) -> Result<(u16, String)> {
    let stream = TcpStream::connect((args.host.as_str(), args.port)).await?;
    let (mut sender, conversation) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(conversation);
    let request = Request::get(&args.path)
        .header(HOST, &args.host)
        .body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await?;
    let status = response.status().as_u16();
    let bytes = response.into_body().collect().await?.to_bytes();
    Ok((status, String::from_utf8_lossy(&bytes).into_owned()))
}
