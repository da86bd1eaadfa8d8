//! Memory: what this process has, and what it may have. Linux tells; elsewhere nothing is known.

use std::{
    fs,
    path::{Path, PathBuf},
};

use musubi_identity::Room;

fn status(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix(name));
    let kilobytes = line.and_then(|l| l.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) << 10
}

/// Memory of this process in bytes.
pub(crate) fn resident() -> u64 {
    status("VmRSS:")
}

/// The most memory that this process had, in bytes.
pub(crate) fn peak() -> u64 {
    status("VmHWM:")
}

/// Memory that this process may take in all, in bytes: what is free on the machine, within the limit of the pod; a
/// gigabyte where nobody says.
pub(crate) fn available() -> u64 {
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = memory.lines().find_map(|l| l.strip_prefix("MemAvailable:"));
    let kilobytes = line.and_then(|l| l.split_whitespace().next()?.parse::<u64>().ok());
    let free = kilobytes.map_or(1 << 30, |k| k << 10);
    own_limit().map_or(free, |limit| limit.min(free))
}

/// Room for training and matching: what the limit of the pod leaves, but for a tenth that is not theirs. As much as is of
/// use where there is no limit.
pub(crate) fn room() -> Room {
    match own_limit() {
        Some(limit) => Room((limit - limit / 10).saturating_sub(resident())),
        None => Room::default(),
    }
}

fn own_limit() -> Option<u64> {
    let own = fs::read_to_string("/proc/self/cgroup").ok()?;
    limit(Path::new("/sys/fs/cgroup"), &own)
}

/// The least limit of a process' group and of those around it, in bytes; nothing where none has one. `own` says which
/// group it is in, as `/proc/self/cgroup` does (control groups, version 2: Linux kernel documentation, cgroup-v2.rst).
fn limit(root: &Path, own: &str) -> Option<u64> {
    let group = own.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let mut groups: Vec<PathBuf> = vec![root.to_owned()];
    for part in Path::new(group) {
        groups.push(groups[groups.len() - 1].join(part));
    }
    let limits = groups.iter().filter_map(|group| {
        let limit = fs::read_to_string(group.join("memory.max")).ok()?;
        limit.trim().parse().ok()
    });
    limits.min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_limit_around_a_process_counts() {
        let root = tempfile::tempdir().expect("a folder");
        let inner = root.path().join("pods/one");
        fs::create_dir_all(&inner).expect("groups");
        let limited = |own: &str| limit(root.path(), own);
        assert_eq!(limited("0::/pods/one\n"), None);
        fs::write(inner.join("memory.max"), "max\n").expect("a limit");
        assert_eq!(limited("0::/pods/one\n"), None);
        fs::write(root.path().join("pods/memory.max"), "2147483648\n").expect("a limit");
        assert_eq!(limited("0::/pods/one\n"), Some(2 << 30));
        fs::write(inner.join("memory.max"), "1073741824\n").expect("a limit");
        assert_eq!(limited("0::/pods/one\n"), Some(1 << 30));
        assert_eq!(limited("0::/pods\n"), Some(2 << 30));
        // In a container, its group is the root of what it sees.
        fs::write(root.path().join("memory.max"), "536870912\n").expect("a limit");
        assert_eq!(limited("0::/\n"), Some(512 << 20));
        // Version 1 says otherwise, and nothing is known.
        assert_eq!(limited("4:memory:/pods/one\n"), None);
    }
}
