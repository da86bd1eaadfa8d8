//! A child process that cannot outlive the test.

use std::{
    io,
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::StartError;

/// A loopback port that was free a moment ago.
pub fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// The shell that guards: starts "$@", then blocks until standard input ends (the test dropped the
/// guard, or died), then stops exactly the process it started.
const GUARD: &str = r#"
sig=$1; shift
"$@" </dev/null &
child=$!
( while kill -0 "$child" 2>/dev/null; do sleep 1; done; kill -TERM $$ 2>/dev/null ) &
watch=$!
trap 'exit 1' TERM
read -r _ || true
kill "$watch" 2>/dev/null
kill "-$sig" "$child" 2>/dev/null
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
  kill -0 "$child" 2>/dev/null || exit 0
  sleep 0.1
done
kill -KILL "$child" 2>/dev/null
exit 0
"#;

/// A running server.
#[derive(Debug)]
pub(crate) struct Guarded {
    shell: Child,
    leash: Option<ChildStdin>,
}

impl Guarded {
    /// Starts `program` with its output in `log`; `signal` is how it is asked to stop.
    pub(crate) fn start(
        program: &Path,
        args: &[String],
        env: &[(&str, &str)],
        user: Option<(u32, u32)>,
        signal: &str,
        log: &Path,
    ) -> Result<Self, StartError> {
        let out = std::fs::File::create(log)?;
        let mut command = Command::new("sh");
        command
            .args(["-c", GUARD, "guard", signal])
            .arg(program)
            .args(args)
            .envs(env.iter().copied())
            .current_dir(log.parent().unwrap_or(Path::new("/")))
            .stdin(Stdio::piped())
            .stderr(out.try_clone()?)
            .stdout(out);
        #[cfg(unix)]
        if let Some((uid, gid)) = user {
            use std::os::unix::process::CommandExt;
            command.uid(uid).gid(gid);
        }
        let mut shell = command
            .spawn()
            .map_err(|e| StartError(format!("{}: {e}", program.display())))?;
        let leash = shell.stdin.take();
        Ok(Self { shell, leash })
    }

    /// Waits until `ready` says so; fails with the end of the log when the server died or is slow.
    pub(crate) fn wait(
        &mut self,
        what: &str,
        log: &Path,
        patience: Duration,
        mut ready: impl FnMut() -> bool,
    ) -> Result<(), StartError> {
        let start = Instant::now();
        while !ready() {
            let ended = self.shell.try_wait()?.is_some();
            if ended || start.elapsed() > patience {
                let text = std::fs::read_to_string(log).unwrap_or_default();
                let tail: Vec<_> = text.lines().rev().take(15).collect();
                let tail: Vec<_> = tail.into_iter().rev().collect();
                let how = if ended {
                    "ended"
                } else {
                    "is not ready in time"
                };
                return Err(StartError(format!("{what} {how}:\n{}", tail.join("\n"))));
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        drop(self.leash.take());
        let _ = self.shell.wait();
    }
}

/// Whether somebody listens.
pub(crate) fn listens(port: u16) -> bool {
    TcpStream::connect_timeout(&([127, 0, 0, 1], port).into(), Duration::from_millis(500)).is_ok()
}
