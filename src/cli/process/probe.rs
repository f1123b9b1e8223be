//! Resource use of a process, read from outside.
//!
//! CPU time comes from the process's CPU-time clock (`clock_getcpuclockid(3)`): one system call, in
//! nanoseconds, ended threads included. The files in `/proc` are worse: `stat` counts ticks of 10
//! ms, and `task/*/schedstat` drops ended threads.
//!
//! Context switches are counted per thread only. Reading the files of 5,000 threads takes 250 ms.
//! The load would pause for that time, and the delay would count against the server. So at most
//! [`SAMPLED_THREADS`] threads are read, and the count is scaled up. Listing 5,000 threads takes 15
//! ms, so it is repeated only when the number of threads has changed. A caller that takes one
//! sample during warm-up avoids that delay in the measured time. Switches of a thread that ended
//! between two samples are not counted.

use std::collections::BTreeMap;
use std::ops::Sub;
use std::time::Duration;

/// Threads whose context switches are read. Reading 32 files takes less than a millisecond.
const SAMPLED_THREADS: usize = 32;

/// A reader of one process's resource use.
#[derive(Debug)]
pub(in crate::cli) struct ProcessProbe {
    process: system::ProcessFiles,
}

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
    switches: SwitchCounts,
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
struct SwitchCounts {
    /// Switches of the main thread, which is not like the others: it accepts connections and they
    /// serve them.
    first: u64,
    /// Switches of other threads, by thread id.
    others: BTreeMap<i32, u64>,
}

impl ProcessProbe {
    /// Opens a probe for the process `pid`; `None` if the process has ended or the system does not
    /// support it.
    pub(in crate::cli) fn open(pid: u32) -> Option<Self> {
        Some(Self { process: system::ProcessFiles::open(pid)? })
    }

    /// Takes a sample at the start of an interval. The CPU time is read last, so that the cost of
    /// sampling lies before the interval.
    pub(in crate::cli) fn sample(&self) -> Option<ProcessSample> {
        let mut sample = self.process.sample_without_cpu()?;
        sample.cpu = self.cpu()?;
        Some(sample)
    }

    /// Takes a sample at the end of an interval, with the CPU time read first.
    pub(in crate::cli) fn final_sample(&self) -> Option<ProcessSample> {
        let cpu = self.cpu()?;
        let mut sample = self.process.sample_without_cpu()?;
        sample.cpu = cpu;
        Some(sample)
    }

    /// Returns the CPU time only.
    pub(in crate::cli) fn cpu(&self) -> Option<Duration> {
        self.process.cpu()
    }
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
fn choose_threads(mut threads: Vec<i32>) -> Vec<i32> {
    // Knuth's multiplicative hash.
    threads.sort_unstable_by_key(|id| id.cast_unsigned().wrapping_mul(2_654_435_769));
    threads.truncate(SAMPLED_THREADS);
    threads
}

#[cfg(target_os = "linux")]
mod system {
    use std::cell::{Ref, RefCell};
    use std::time::Duration;

    use nix::time::{ClockId, clock_getcpuclockid};
    use nix::unistd::Pid;

    use super::{ProcessSample, SwitchCounts, choose_threads};

    #[derive(Debug)]
    pub(super) struct ProcessFiles {
        files: procfs::process::Process,
        clock: ClockId,
        /// Number of threads at the last listing, and the chosen thread ids.
        chosen: RefCell<(u64, Vec<i32>)>,
    }

    impl ProcessFiles {
        pub(super) fn open(pid: u32) -> Option<Self> {
            let pid = i32::try_from(pid).ok()?;
            let clock = clock_getcpuclockid(Pid::from_raw(pid)).ok()?;
            Some(Self { files: procfs::process::Process::new(pid).ok()?, clock, chosen: RefCell::default() })
        }

        pub(super) fn cpu(&self) -> Option<Duration> {
            self.clock.now().ok().map(Duration::from)
        }

        /// Takes a sample with a CPU time of zero.
        pub(super) fn sample_without_cpu(&self) -> Option<ProcessSample> {
            let status = self.files.status().ok()?;
            Some(ProcessSample {
                cpu: Duration::ZERO,
                rss_bytes: status.vmrss? << 10,
                peak_rss_bytes: status.vmhwm? << 10,
                threads: status.threads,
                switches: SwitchCounts {
                    first: self.switches(self.files.pid())?.1,
                    others: self.others(status.threads)?.iter().filter_map(|tid| self.switches(*tid)).collect(),
                },
            })
        }

        /// Returns the chosen threads besides the main thread. They are chosen anew if the number
        /// of threads has changed.
        fn others(&self, count: u64) -> Option<Ref<'_, [i32]>> {
            if self.chosen.borrow().0 != count {
                let threads = self.files.tasks().ok()?.filter_map(Result::ok).map(|task| task.tid);
                let others = threads.filter(|tid| *tid != self.files.pid()).collect();
                self.chosen.replace((count, choose_threads(others)));
            }
            Some(Ref::map(self.chosen.borrow(), |(_, others)| &others[..]))
        }

        /// Returns the thread id and its context switches; `None` if the thread has ended.
        fn switches(&self, tid: i32) -> Option<(i32, u64)> {
            let status = self.files.task_from_tid(tid).ok()?.status().ok()?;
            Some((tid, status.voluntary_ctxt_switches? + status.nonvoluntary_ctxt_switches?))
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use std::time::Duration;

    use super::ProcessSample;

    #[derive(Debug)]
    pub(super) struct ProcessFiles;

    impl ProcessFiles {
        pub(super) fn open(_pid: u32) -> Option<Self> {
            None
        }

        pub(super) fn cpu(&self) -> Option<Duration> {
            None
        }

        pub(super) fn sample_without_cpu(&self) -> Option<ProcessSample> {
            None
        }
    }
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

    #[cfg(target_os = "linux")]
    #[test]
    fn cpu_time_includes_ended_threads() {
        let probe = ProcessProbe::open(std::process::id()).unwrap();
        let before = probe.sample().unwrap();
        let work = std::thread::spawn(|| {
            let began = std::time::Instant::now();
            let own = ProcessProbe::open(std::process::id()).unwrap();
            let start = own.cpu().unwrap();
            while own.cpu().unwrap() < start + Duration::from_millis(30) {
                assert!(began.elapsed() < Duration::from_secs(20), "the CPU clock does not advance");
            }
        });
        work.join().unwrap();
        let after = probe.final_sample().unwrap();
        assert!((&after - &before).cpu >= Duration::from_millis(30));
        assert!(after.threads >= 1 && after.rss_bytes > 0 && after.peak_rss_bytes >= after.rss_bytes, "{after:?}");
    }

    #[test]
    fn ended_process_has_no_sample() {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .arg("--list")
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let probe = ProcessProbe::open(child.id());
        child.wait().unwrap();
        assert!(probe.and_then(|probe| probe.sample()).is_none());
    }
}
