//! Samples of a process and the difference of two.

use std::collections::BTreeMap;
use std::ops::Sub;
use std::time::Duration;

/// Threads whose context switches are read. Reading 32 files takes less than a millisecond.
#[cfg(any(test, target_os = "linux"))]
pub(super) const SAMPLED_THREADS: usize = 32;

/// Resource use of a process: CPU time and switches since its start, memory and threads now.
#[derive(Clone, Debug)]
pub(in crate::cli) struct ProcessSample {
    /// CPU time of all its threads, user and system.
    pub(in crate::cli) cpu: Duration,
    /// Resident set size, private and shared. Older kernels count it per CPU and are off by a few
    /// pages. It excludes memory that the kernel holds for the process: socket buffers, page
    /// tables, kernel stacks.
    pub(in crate::cli) rss_bytes: u64,
    /// Largest resident set size so far.
    pub(in crate::cli) peak_rss_bytes: u64,
    pub(in crate::cli) threads: u64,
    pub(super) switches: SwitchCounts,
}

/// Resource use between two samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::cli) struct ProcessUsage {
    pub(in crate::cli) cpu: Duration,
    /// Growth of the resident set size.
    pub(in crate::cli) rss_growth_bytes: i64,
    /// Context switches of its threads, voluntary and involuntary; an estimate if it has more than
    /// [`SAMPLED_THREADS`] threads besides the first.
    pub(in crate::cli) context_switches: u64,
}

/// Context switches of the sampled threads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SwitchCounts {
    /// Switches of the main thread, which is not like the others: it accepts connections and they
    /// serve them.
    pub(super) first: u64,
    /// Switches of other threads, by thread id.
    pub(super) others: BTreeMap<i32, u64>,
}

impl Sub for &ProcessSample {
    type Output = ProcessUsage;

    fn sub(self, earlier: &ProcessSample) -> ProcessUsage {
        ProcessUsage {
            cpu: self.cpu.saturating_sub(earlier.cpu),
            rss_growth_bytes: self.rss_bytes.cast_signed().saturating_sub_unsigned(earlier.rss_bytes),
            context_switches: self.switches.since(&earlier.switches, self.threads),
        }
    }
}

impl SwitchCounts {
    /// Returns the switches since `earlier`, scaled to `threads` threads.
    fn since(&self, earlier: &Self, threads: u64) -> u64 {
        let first = self.first.saturating_sub(earlier.first);
        let others = threads.saturating_sub(1);
        if self.others.len() as u64 >= others {
            // A new thread started at zero.
            let of = |(id, now): (&i32, &u64)| now.saturating_sub(earlier.others.get(id).copied().unwrap_or(0));
            return first + self.others.iter().map(of).sum::<u64>();
        }
        // A thread missing from `earlier` may be an old one that was not sampled. Only threads in
        // both samples count.
        let of = |(id, now): (&i32, &u64)| earlier.others.get(id).map(|before| now.saturating_sub(*before));
        let in_both: Vec<u64> = self.others.iter().filter_map(of).collect();
        first + scaled(in_both.iter().sum(), others, in_both.len() as u64)
    }
}

/// Returns `count * by / over`, saturating.
fn scaled(count: u64, by: u64, over: u64) -> u64 {
    u64::try_from(u128::from(count) * u128::from(by) / u128::from(over.max(1))).unwrap_or(u64::MAX)
}

/// Returns at most [`SAMPLED_THREADS`] of the thread ids, spread over all of them. The choice
/// hardly changes when a few threads start or end.
#[cfg(any(test, target_os = "linux"))]
pub(super) fn choose_threads(mut threads: Vec<i32>) -> Vec<i32> {
    // Knuth's multiplicative hash.
    threads.sort_unstable_by_key(|id| id.cast_unsigned().wrapping_mul(2_654_435_769));
    threads.truncate(SAMPLED_THREADS);
    threads
}

#[cfg(test)]
mod tests {
    use super::*;

    fn switches(first: u64, others: &[(i32, u64)]) -> SwitchCounts {
        SwitchCounts { first, others: others.iter().copied().collect() }
    }

    #[test]
    fn few_threads_are_all_counted() {
        let earlier = switches(100, &[(2, 20), (3, 30)]);
        let later = switches(107, &[(3, 33), (4, 5)]);
        assert_eq!(later.since(&earlier, 3), 7 + 3 + 5, "thread 2 has ended, thread 4 is new");
        assert_eq!(switches(7, &[]).since(&SwitchCounts::default(), 1), 7);
    }

    #[test]
    fn many_threads_are_scaled_from_those_in_both_samples() {
        let earlier = switches(100, &[(2, 20), (3, 30), (9, 1)]);
        let later = switches(107, &[(2, 25), (3, 33), (4, 1_000)]);
        assert_eq!(later.since(&earlier, 101), 7 + (5 + 3) * 100 / 2);
        assert_eq!(later.since(&SwitchCounts::default(), 101), 107, "no thread is in both samples");
    }

    #[test]
    fn chosen_threads_are_stable_and_spread() {
        let mut few = choose_threads(vec![7, 5, 6]);
        few.sort_unstable();
        assert_eq!(few, [5, 6, 7]);
        let (many, fewer) = (choose_threads((1000..6000).collect()), choose_threads((1001..5999).collect()));
        assert_eq!(many.len(), SAMPLED_THREADS);
        assert!(many.iter().filter(|id| fewer.contains(id)).count() >= SAMPLED_THREADS - 2);
        let early = many.iter().filter(|id| **id < 3500).count();
        assert!((8..24).contains(&early), "{many:?}");
    }
}
