//! What the machine says about itself and about this process (Linux; elsewhere the figures are left out).

use std::fs;

/// A line of facts about the machine.
pub(crate) fn facts() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model = field(&cpu, "model name")
        .unwrap_or("unknown processor")
        .to_owned();
    let memory = read("/proc/meminfo");
    let memory = field(&memory, "MemTotal").and_then(kilobytes).unwrap_or(0) >> 20;
    let load = read("/proc/loadavg");
    let load = load.split(' ').next().unwrap_or("?").to_owned();
    format!("{cores} cores of {model}, {memory} GiB of memory, load {load} at the start")
}

fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let line = text.lines().find(|l| l.starts_with(name))?;
    line.split_once(':').map(|(_, value)| value.trim())
}

fn kilobytes(value: &str) -> Option<u64> {
    value.split(' ').next()?.parse().ok()
}

/// Processor time of this process so far, in seconds.
pub(crate) fn cpu_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after = stat.rsplit(')').next().unwrap_or_default();
    let mut fields = after.split_whitespace().skip(11);
    let mut ticks = || {
        fields
            .next()
            .and_then(|f| f.parse::<f64>().ok())
            .unwrap_or(0.0)
    };
    // The kernel counts in hundredths of a second on every architecture that Rust runs on.
    (ticks() + ticks()) / 100.0
}

/// Peak memory of this process since [`forget_peak`], in megabytes.
pub(crate) fn peak_megabytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    field(&status, "VmHWM").and_then(kilobytes).unwrap_or(0) >> 10
}

/// Begins a new measurement of the peak. Where that is not allowed, peaks only grow.
pub(crate) fn forget_peak() {
    let _ = fs::write("/proc/self/clear_refs", "5");
}

/// Bytes of all files below a folder.
pub(crate) fn bytes(folder: &std::path::Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else {
        return 0;
    };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => bytes(&entry.path()),
            Ok(meta) => meta.len(),
            Err(_) => 0,
        })
        .sum()
}
