//! Figures of this process from `/proc/self`, for the metrics.

use std::fs;

/// What the kernel says about this process; none where `/proc` does not tell.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct ProcessFigures {
    pub(super) open_descriptors: Option<u64>,
    pub(super) descriptors_max: Option<u64>,
    pub(super) resident_bytes: Option<u64>,
    pub(super) threads: Option<u64>,
}

impl ProcessFigures {
    /// As of now.
    pub(super) fn read() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        Self {
            // The listing itself has one open.
            open_descriptors: fs::read_dir("/proc/self/fd")
                .ok()
                .map(|entries| (entries.count() as u64).saturating_sub(1)),
            descriptors_max: rustix::process::getrlimit(rustix::process::Resource::Nofile).current,
            resident_bytes: field(&status, "VmRSS:").map(|kib| kib * 1024),
            threads: field(&status, "Threads:"),
        }
    }
}

/// The first number after `name` at the start of a line.
fn field(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_their_whole_name() {
        let status = "Name:\tx\nVmRSS:\t    4096 kB\nThreads:\t3\n";
        assert_eq!(field(status, "VmRSS:"), Some(4096));
        assert_eq!(field(status, "Threads:"), Some(3));
        assert_eq!(field(status, "VmSwap:"), None);
    }

    #[test]
    fn this_process_has_threads_and_descriptors() {
        let figures = ProcessFigures::read();
        assert!(figures.threads.is_some_and(|threads| threads >= 1));
        assert!(figures.open_descriptors.is_some_and(|count| count >= 3));
        assert!(figures.resident_bytes.is_some_and(|bytes| bytes > 0));
    }
}
