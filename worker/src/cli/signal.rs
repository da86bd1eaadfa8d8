//! What happens when somebody asks the process to stop: Ctrl-C, or SIGTERM from a supervisor.

/// The process was asked to stop.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error(
    "interrupted; nothing half-done is visible. The same command goes on where this one stopped"
)]
pub struct Interrupted {
    /// Exit code by the custom of shells: 128 and the number of the signal.
    pub code: i32,
}

/// Ends when the process is asked to stop.
pub(super) async fn interrupted() -> Interrupted {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let Ok(mut term) = signal(SignalKind::terminate()) else {
            return std::future::pending().await;
        };
        tokio::select! {
            _ = tokio::signal::ctrl_c() => Interrupted { code: 130 },
            _ = term.recv() => Interrupted { code: 143 },
        }
    }
    #[cfg(not(unix))]
    {
        let _ = tokio::signal::ctrl_c().await;
        Interrupted { code: 130 }
    }
}
