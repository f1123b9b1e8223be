//! The resources of a server, and their comparison with those before.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};
use switchboard::Limits;

use crate::cli::process::ProcessProbe;
use crate::cli::report::figure;

/// Growth of the memory that is no leak: this part, and this many bytes.
const MEMORY_GROWTH: f64 = 0.25;
const MEMORY_SLACK_BYTES: u64 = 4 << 20;
/// Threads of the exec service's pool in a soak.
pub(super) const EXEC_JOBS: usize = 4;

/// The resources of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Resources {
    pub(super) descriptors: u64,
    pub(super) threads: u64,
    pub(super) rss_bytes: u64,
    #[serde(flatten)]
    pub(super) gauges: Gauges,
}

/// The gauges of the server's statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Gauges {
    pub(super) open: u64,
    pub(super) buffered_bytes: u64,
    pub(super) shared_bytes: u64,
    pub(super) timers: u64,
    pub(super) jobs_queued: u64,
    pub(super) jobs_running: u64,
}

impl Resources {
    /// Returns the resources of the process and the last statistics that it has written.
    pub(super) fn of(probe: &ProcessProbe, stats_file: &Path) -> Option<Self> {
        let sample = probe.sample()?;
        let gauges = serde_json::from_slice(&fs::read(stats_file).ok()?).ok()?;
        let descriptors = probe.descriptors()?;
        Some(Self { descriptors, threads: sample.threads, rss_bytes: sample.rss_bytes, gauges })
    }

    /// Returns the counts, with the growth of each that is no leak.
    pub(super) fn counts(&self) -> [(&'static str, u64, u64); 8] {
        let Gauges { open, buffered_bytes, shared_bytes, timers, jobs_queued, jobs_running } = self.gauges;
        [
            ("descriptors", self.descriptors, 0),
            ("threads", self.threads, pool_threads()),
            ("connections", open, 0),
            ("bytes for connections", buffered_bytes, 0),
            ("bytes for several connections", shared_bytes, 0),
            ("timers", timers, 0),
            ("waiting jobs", jobs_queued, 0),
            ("running jobs", jobs_running, 0),
        ]
    }

    /// Returns a line for each resource that exceeds what the server held `before`.
    pub(super) fn excess(&self, before: &Self) -> Vec<String> {
        let mut lines = Vec::new();
        for ((name, before, _), (_, after, slack)) in before.counts().into_iter().zip(self.counts()) {
            if after > before + slack {
                lines.push(format!("{name}: {before} before, {after} after"));
            }
        }
        if self.rss_bytes > max_rss_bytes(before.rss_bytes) {
            let [before, after] = [before.rss_bytes, self.rss_bytes].map(|bytes| figure::bytes(figure::float(bytes)));
            lines.push(format!("memory: {before} before, {after} after"));
        }
        lines
    }
}

/// Returns the growth in threads that is no leak: pools start their threads when they are first
/// needed.
fn pool_threads() -> u64 {
    (Limits::default().workers + EXEC_JOBS) as u64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of bytes")]
fn max_rss_bytes(before: u64) -> u64 {
    (figure::float(before) * (1.0 + MEMORY_GROWTH)) as u64 + MEMORY_SLACK_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_resource_that_grows_is_named() {
        let gauges = Gauges { open: 0, buffered_bytes: 0, shared_bytes: 0, timers: 3, jobs_queued: 0, jobs_running: 0 };
        let before = Resources { descriptors: 30, threads: 6, rss_bytes: 8 << 20, gauges };
        assert!(before.excess(&before).is_empty());
        let less = Resources { descriptors: 29, threads: 14, rss_bytes: 14 << 20, gauges };
        assert!(less.excess(&before).is_empty(), "a quarter and 4 MiB more");
        let gauges = Gauges { open: 1, timers: 4, ..gauges };
        let more = Resources { descriptors: 31, threads: 15, rss_bytes: 15 << 20, gauges };
        let lines = [
            "descriptors: 30 before, 31 after",
            "threads: 6 before, 15 after",
            "connections: 0 before, 1 after",
            "timers: 3 before, 4 after",
            "memory: 8.00 MiB before, 15.0 MiB after",
        ];
        assert_eq!(more.excess(&before), lines);
    }
}
