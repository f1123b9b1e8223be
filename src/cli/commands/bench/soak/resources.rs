//! The resources of a server process, and their comparison with those before.

use serde::Serialize;

use crate::cli::process::ProcessProbe;
use crate::cli::report::figure;

/// Growth of the memory that is no leak: this part, and this many bytes.
const MEMORY_GROWTH: f64 = 0.25;
const MEMORY_SLACK_BYTES: u64 = 4 << 20;
/// Growth in threads that is no leak. Pools of worker threads start them when they are first
/// needed: by default 4 for all services and 4 for exec.
const POOL_THREADS: u64 = 8;

/// The resources of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Resources {
    pub(super) descriptors: u64,
    pub(super) threads: u64,
    pub(super) rss_bytes: u64,
}

impl Resources {
    pub(super) fn of(probe: &ProcessProbe) -> Option<Self> {
        let sample = probe.sample()?;
        Some(Self { descriptors: probe.descriptors()?, threads: sample.threads, rss_bytes: sample.rss_bytes })
    }

    /// Returns a line for each resource that exceeds what the process held `before`.
    pub(super) fn excess(&self, before: &Self) -> Vec<String> {
        let mut lines = Vec::new();
        for (name, before, after, slack) in [
            ("descriptors", before.descriptors, self.descriptors, 0),
            ("threads", before.threads, self.threads, POOL_THREADS),
        ] {
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

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of bytes")]
fn max_rss_bytes(before: u64) -> u64 {
    (figure::float(before) * (1.0 + MEMORY_GROWTH)) as u64 + MEMORY_SLACK_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_resource_that_grows_is_named() {
        let before = Resources { descriptors: 30, threads: 6, rss_bytes: 8 << 20 };
        assert!(before.excess(&before).is_empty());
        let less = Resources { descriptors: 29, threads: 14, rss_bytes: 14 << 20 };
        assert!(less.excess(&before).is_empty(), "a quarter and 4 MiB more");
        let more = Resources { descriptors: 31, threads: 15, rss_bytes: 15 << 20 };
        let lines = ["descriptors: 30 before, 31 after", "threads: 6 before, 15 after"];
        assert_eq!(more.excess(&before)[..2], lines);
        assert_eq!(more.excess(&before)[2], "memory: 8.00 MiB before, 15.0 MiB after");
    }
}
