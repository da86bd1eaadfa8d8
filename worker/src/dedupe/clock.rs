//! What phases take: time by the clock, processor time, memory (Linux tells; elsewhere the figures are zero).

use std::{fs, time::Instant};

use serde::Serialize;

use crate::memory::peak;

/// What a phase took.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Phase {
    /// Its name.
    pub phase: &'static str,
    /// Processor seconds over all threads.
    pub cpu_seconds: f64,
    /// Seconds by the clock.
    pub wall_seconds: f64,
    /// The most memory that the process had until its end, in bytes.
    pub peak_memory_bytes: u64,
}

/// A beginning.
#[derive(Clone, Copy)]
pub(super) struct Mark(Instant, f64, f64, f64);

/// Measures phases.
#[derive(Default)]
pub(super) struct Clock {
    pub(super) phases: Vec<Phase>,
}

impl Clock {
    /// Begins a phase.
    pub(super) fn begin(&self) -> Mark {
        let sum = |of: fn(&Phase) -> f64| self.phases.iter().map(of).sum();
        Mark(
            Instant::now(),
            cpu_seconds(),
            sum(|p| p.wall_seconds),
            sum(|p| p.cpu_seconds),
        )
    }

    /// Ends a phase; what the phases `within` took since it began is theirs.
    pub(super) fn end(&mut self, phase: &'static str, began: Mark, within: &[&str]) {
        let (mut wall, mut cpu) = (began.0.elapsed().as_secs_f64(), cpu_seconds() - began.1);
        if !within.is_empty() {
            wall -= self.phases.iter().map(|p| p.wall_seconds).sum::<f64>() - began.2;
            cpu -= self.phases.iter().map(|p| p.cpu_seconds).sum::<f64>() - began.3;
        }
        let (wall, cpu, peak) = (wall.max(0.0), cpu.max(0.0), peak());
        match self.phases.iter_mut().find(|p| p.phase == phase) {
            Some(known) => {
                known.wall_seconds += wall;
                known.cpu_seconds += cpu;
                known.peak_memory_bytes = peak;
            }
            None => self.phases.push(Phase {
                phase,
                cpu_seconds: cpu,
                wall_seconds: wall,
                peak_memory_bytes: peak,
            }),
        }
    }

    /// Runs a phase.
    pub(super) fn time<T>(&mut self, phase: &'static str, work: impl FnOnce() -> T) -> T {
        let began = self.begin();
        let done = work();
        self.end(phase, began, &[]);
        done
    }
}

/// Processor time of this process so far, in seconds.
pub(super) fn cpu_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after = stat.rsplit(')').next().unwrap_or_default();
    let ticks = after.split_whitespace().skip(11).take(2);
    let ticks: f64 = ticks.filter_map(|t| t.parse::<f64>().ok()).sum();
    // The kernel counts in hundredths of a second on every architecture that Rust runs on.
    ticks / 100.0
}

/// Bytes for people.
#[expect(clippy::cast_precision_loss, reason = "shown to people")]
pub(super) fn bytes(n: u64) -> String {
    match n {
        0..1_000_000 => format!("{:.0} kB", n as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.0} MB", n as f64 / 1e6),
        _ => format!("{:.1} GB", n as f64 / 1e9),
    }
}
