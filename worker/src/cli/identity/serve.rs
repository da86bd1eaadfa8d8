//! `musubi identity serve`: a process that stays, and answers a line with a line.

use std::{io::Write as _, process::ExitCode, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{Mutex, mpsc};

use crate::{
    cli::target::Target,
    lookup::{Desk, Fields, News, Open, Watcher},
    report::count,
};

/// Answer look-ups and take records in, a line of JSON each, until the input ends.
///
/// Reads requests from standard input and writes an answer to each to standard output, in order:
/// {"lookup": {FIELD: VALUE, …}}, {"add": {FIELD: VALUE, …}, "id": ID}, and {"refresh": true}, which looks for a newer
/// version at once. "ref" comes back with the answer. What goes wrong with a request is its answer, as "error". A newer
/// published version, and what others add, is noticed by itself; every answer names the version it is by. A record
/// that is added is safe in the lake before its answer is written.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  echo '{\"lookup\": {\"email\": \"m.sato@example.jp\"}}' | musubi identity serve\n  musubi identity serve -f examples/bento --refresh 10 < requests.jsonl > answers.jsonl"
)]
pub(super) struct Serve {
    #[command(flatten)]
    target: Target,
    /// Seconds between looks for a newer version.
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    refresh: u64,
}

/// A line of the input.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    #[serde(default)]
    lookup: Option<Fields>,
    #[serde(default)]
    add: Option<Fields>,
    #[serde(default)]
    id: Option<Value>,
    #[serde(default)]
    refresh: Option<bool>,
    #[serde(default, rename = "ref")]
    reference: Option<Value>,
}

/// Runs the command.
///
/// # Errors
/// When nothing is published, or the input cannot be read.
pub(super) async fn serve(args: Serve) -> Result<ExitCode> {
    let context = args.target.open()?;
    let begun = std::time::Instant::now();
    let desk = Desk::open(&context).await?;
    eprintln!(
        "ready: version {}, {} records, read in {:.1} s",
        desk.version(),
        count(desk.records() as u64),
        begun.elapsed().as_secs_f64()
    );
    let watcher = Arc::new(Mutex::new(Watcher::of(&desk)));
    let (sender, mut news) = mpsc::unbounded_channel();
    let (pause, watching) = (Duration::from_secs(args.refresh), watcher.clone());
    let watch = tokio::spawn(async move {
        loop {
            tokio::time::sleep(pause).await;
            let mut watcher = watching.lock().await;
            match watcher.look().await {
                Ok(News::Nothing) => {}
                Ok(found) => {
                    if sender.send(found).is_err() {
                        return;
                    }
                }
                Err(error) => tracing::warn!("looking for a newer version: {error:#}"),
            }
        }
    });
    let mut open = Open::new(desk);
    let mut lines = lines();
    let mut out = std::io::stdout();
    loop {
        let line = tokio::select! {
            biased;
            Some(found) = news.recv() => {
                open.follow(found);
                continue;
            }
            line = lines.recv() => line,
        };
        let Some(line) = line else { break };
        let line = line.context("read a request from standard input")?;
        if line.trim().is_empty() {
            continue;
        }
        let mut answer = match Request::read(&line) {
            Ok(request) => {
                let reference = request.reference.clone();
                let answered = answer(&mut open, request, &watcher, &mut news).await;
                let mut answer = answered.unwrap_or_else(|error| failure(&error));
                if let Some(reference) = reference {
                    answer["ref"] = reference;
                }
                answer
            }
            Err(error) => failure(&error),
        }
        .to_string();
        answer.push('\n');
        let written = out.write_all(answer.as_bytes()).and_then(|()| out.flush());
        match written {
            // Whoever read the answers has gone.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => break,
            done => done.context("write an answer to standard output")?,
        }
    }
    watch.abort();
    Ok(ExitCode::SUCCESS)
}

/// The lines of standard input.
fn lines() -> mpsc::Receiver<std::io::Result<String>> {
    let (sender, lines) = mpsc::channel(64);
    std::thread::spawn(move || {
        for line in std::io::stdin().lines() {
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    lines
}

fn failure(error: &anyhow::Error) -> Value {
    json!({ "error": format!("{error:#}") })
}

impl Request {
    /// Reads a line; an error says where it is wrong and not what stands there.
    fn read(line: &str) -> Result<Self> {
        const SHAPE: &str =
            "a request is {\"lookup\": {…}}, {\"add\": {…}, \"id\": …} or {\"refresh\": true}";
        let value: Value = serde_json::from_str(line)
            .map_err(|e| anyhow::anyhow!("no JSON at column {}; {SHAPE}", e.column()))?;
        let request: Self = serde_json::from_value(value)
            .map_err(|_| anyhow::anyhow!("not understood; {SHAPE}"))?;
        let asked = [
            request.lookup.is_some(),
            request.add.is_some(),
            request.refresh.is_some(),
        ];
        if asked.into_iter().filter(|asked| *asked).count() != 1 {
            bail!("one request a line; {SHAPE}");
        }
        Ok(request)
    }
}

async fn answer(
    open: &mut Open,
    request: Request,
    watcher: &Mutex<Watcher>,
    news: &mut mpsc::UnboundedReceiver<News>,
) -> Result<Value> {
    if let Some(record) = request.lookup {
        return Ok(serde_json::to_value(open.desk().lookup(record)?)?);
    }
    if let Some(record) = request.add {
        let id = match request.id {
            None | Some(Value::Null) => None,
            Some(Value::String(id)) => Some(id),
            Some(Value::Number(id)) => Some(id.to_string()),
            Some(_) => bail!("\"id\" is a text or a number"),
        };
        return Ok(serde_json::to_value(open.add(id, record).await?)?);
    }
    let found = watcher.lock().await.look().await;
    // What was found in the background came before.
    while let Ok(earlier) = news.try_recv() {
        open.follow(earlier);
    }
    open.follow(found?);
    let desk = open.desk();
    Ok(json!({
        "version": desk.version(),
        "records": desk.records(),
        "waiting": desk.waiting(),
    }))
}
