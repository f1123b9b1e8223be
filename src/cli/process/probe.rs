//! What a process has used, looked at from outside.
//!
//! Processor time comes from the process's own clock, see `clock_getcpuclockid(3)`: one system call, in nanoseconds, threads that have
//! ended included. The files of `/proc` have either ticks of ten milliseconds (`stat`) or forget the threads that ended
//! (`task/*/schedstat`).
//!
//! Context switches are counted by thread only. ProcessSample the files of 5,000 threads takes a quarter of a second, in which the load
//! would stand still, and the messages that waited would be charged to the server. So of many threads [`SAMPLED`] are looked at, and
//! the rest is taken to be like them. Only finding out which threads there are takes 15 ms for 5,000, so that is done anew only
//! when their number has changed: whoever looks once in the warm-up does not wait for it when it counts. What a thread did that
//! ended between two readings is not in the difference.

use std::collections::BTreeMap;
use std::ops::Sub;
use std::time::Duration;

/// Threads whose context switches are looked at. So many files are read in less than a millisecond.
const SAMPLED: usize = 32;

/// Looks at one process.
#[derive(Debug)]
pub(in crate::cli) struct ProcessProbe {
    process: system::Process,
}

/// All that a process has used since it started, and what it holds now.
#[derive(Clone, Debug)]
pub(in crate::cli) struct ProcessSample {
    /// Processor time of all its threads, in the kernel and outside.
    pub(in crate::cli) cpu: Duration,
    /// Memory that is its own or shared, and present; older kernels keep it by processor and are off by some pages. What the kernel holds on its behalf is not in it: socket buffers, page
    /// tables, the kernel stacks of threads.
    pub(in crate::cli) rss_bytes: u64,
    /// The most that it has been.
    pub(in crate::cli) peak_rss_bytes: u64,
    pub(in crate::cli) threads: u64,
    switches: Switches,
}

/// What was used between two readings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::cli) struct ProcessUsage {
    pub(in crate::cli) cpu: Duration,
    /// How much memory has grown.
    pub(in crate::cli) rss_growth_bytes: i64,
    /// Context switches of its threads, by their own will (they waited) or not. Estimated when there are many threads.
    pub(in crate::cli) context_switches: u64,
}

/// Context switches of some threads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Switches {
    /// Of the first thread, which is unlike all others: where there are others, it accepts, and they work.
    first: u64,
    /// Of others, by their ids.
    others: BTreeMap<i32, u64>,
}

impl ProcessProbe {
    /// A probe for the process `pid`; none where a system does not tell about others' processes.
    pub(in crate::cli) fn of(pid: u32) -> Option<Self> {
        Some(Self { process: system::Process::of(pid)? })
    }

    /// Looks at everything. Processor time is looked at last, so that what the looking costs the server is not in the difference
    /// between this reading and a later one.
    pub(in crate::cli) fn now(&self) -> Option<ProcessSample> {
        let mut reading = self.process.look()?;
        reading.cpu = self.cpu()?;
        Some(reading)
    }

    /// As [`now`](Self::now), with the processor time looked at first.
    pub(in crate::cli) fn at_end(&self) -> Option<ProcessSample> {
        let cpu = self.cpu()?;
        let mut reading = self.process.look()?;
        reading.cpu = cpu;
        Some(reading)
    }

    /// Processor time only.
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

impl Switches {
    /// Those between an earlier look and this one, for `threads` threads if those looked at are like all.
    fn since(&self, earlier: &Self, threads: u64) -> u64 {
        let first = self.first.saturating_sub(earlier.first);
        let others = threads.saturating_sub(1);
        if self.others.len() as u64 >= others {
            // A thread that was not there before has begun with nothing.
            let of = |(id, now): (&i32, &u64)| now.saturating_sub(earlier.others.get(id).copied().unwrap_or(0));
            return first + self.others.iter().map(of).sum::<u64>();
        }
        // Here it may have been there and not looked at, so only those count that were looked at twice.
        let of = |(id, now): (&i32, &u64)| earlier.others.get(id).map(|before| now.saturating_sub(*before));
        let twice: Vec<u64> = self.others.iter().filter_map(of).collect();
        first + scaled(twice.iter().sum(), others, twice.len() as u64)
    }
}

fn scaled(count: u64, by: u64, over: u64) -> u64 {
    u64::try_from(u128::from(count) * u128::from(by) / u128::from(over.max(1))).unwrap_or(u64::MAX)
}

/// At most [`SAMPLED`] of the threads' ids, strewn over all of them, and mostly the same when a few threads come or go.
fn sample(mut threads: Vec<i32>) -> Vec<i32> {
    // Knuth's multiplicative hash.
    threads.sort_unstable_by_key(|id| id.cast_unsigned().wrapping_mul(2_654_435_769));
    threads.truncate(SAMPLED);
    threads
}

#[cfg(target_os = "linux")]
mod system {
    use std::cell::{Ref, RefCell};
    use std::time::Duration;

    use nix::time::{ClockId, clock_getcpuclockid};
    use nix::unistd::Pid;

    use super::{ProcessSample, Switches, sample};

    #[derive(Debug)]
    pub(super) struct Process {
        files: procfs::process::Process,
        clock: ClockId,
        /// How many threads there were, and which of them are looked at.
        sample: RefCell<(u64, Vec<i32>)>,
    }

    impl Process {
        pub(super) fn of(pid: u32) -> Option<Self> {
            let pid = i32::try_from(pid).ok()?;
            let clock = clock_getcpuclockid(Pid::from_raw(pid)).ok()?;
            Some(Self { files: procfs::process::Process::new(pid).ok()?, clock, sample: RefCell::default() })
        }

        pub(super) fn cpu(&self) -> Option<Duration> {
            self.clock.now().ok().map(Duration::from)
        }

        /// Everything but the processor time.
        pub(super) fn look(&self) -> Option<ProcessSample> {
            let status = self.files.status().ok()?;
            Some(ProcessSample {
                cpu: Duration::ZERO,
                rss_bytes: status.vmrss? << 10,
                peak_rss_bytes: status.vmhwm? << 10,
                threads: status.threads,
                switches: Switches {
                    first: self.switches(self.files.pid())?.1,
                    others: self.others(status.threads)?.iter().filter_map(|tid| self.switches(*tid)).collect(),
                },
            })
        }

        /// Some of the threads besides the first, the same as before if there are as many as before.
        fn others(&self, count: u64) -> Option<Ref<'_, [i32]>> {
            if self.sample.borrow().0 != count {
                let threads = self.files.tasks().ok()?.filter_map(Result::ok).map(|task| task.tid);
                let others = threads.filter(|tid| *tid != self.files.pid()).collect();
                self.sample.replace((count, sample(others)));
            }
            Some(Ref::map(self.sample.borrow(), |(_, others)| &others[..]))
        }

        /// None when the thread has ended meanwhile.
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
    pub(super) struct Process;

    impl Process {
        pub(super) fn of(_pid: u32) -> Option<Self> {
            None
        }

        pub(super) fn cpu(&self) -> Option<Duration> {
            None
        }

        pub(super) fn look(&self) -> Option<ProcessSample> {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn switches(first: u64, others: &[(i32, u64)]) -> Switches {
        Switches { first, others: others.iter().copied().collect() }
    }

    #[test]
    fn of_few_threads_all_are_counted() {
        let earlier = switches(100, &[(2, 20), (3, 30)]);
        let later = switches(107, &[(3, 33), (4, 5)]);
        assert_eq!(later.since(&earlier, 3), 7 + 3 + 5, "the second has ended, the fourth is new");
        assert_eq!(switches(7, &[]).since(&Switches::default(), 1), 7);
    }

    #[test]
    fn of_many_threads_those_looked_at_twice_stand_for_all_but_the_first() {
        let earlier = switches(100, &[(2, 20), (3, 30), (9, 1)]);
        let later = switches(107, &[(2, 25), (3, 33), (4, 1_000)]);
        assert_eq!(later.since(&earlier, 101), 7 + (5 + 3) * 100 / 2);
        assert_eq!(later.since(&Switches::default(), 101), 107, "nobody was looked at twice");
    }

    #[test]
    fn a_sample_is_all_of_few_and_the_same_of_many() {
        let mut few = sample(vec![7, 5, 6]);
        few.sort_unstable();
        assert_eq!(few, [5, 6, 7]);
        let (many, fewer) = (sample((1000..6000).collect()), sample((1001..5999).collect()));
        assert_eq!(many.len(), SAMPLED);
        assert!(many.iter().filter(|id| fewer.contains(id)).count() >= SAMPLED - 2);
        let early = many.iter().filter(|id| **id < 3500).count();
        assert!((8..24).contains(&early), "{many:?}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_process_is_seen_to_work_and_its_threads_that_ended_are_not_forgotten() {
        let probe = ProcessProbe::of(std::process::id()).unwrap();
        let before = probe.now().unwrap();
        let work = std::thread::spawn(|| {
            let began = std::time::Instant::now();
            let own = ProcessProbe::of(std::process::id()).unwrap();
            let start = own.cpu().unwrap();
            while own.cpu().unwrap() < start + Duration::from_millis(30) {
                assert!(began.elapsed() < Duration::from_secs(20), "the clock stands still");
            }
        });
        work.join().unwrap();
        let after = probe.at_end().unwrap();
        assert!((&after - &before).cpu >= Duration::from_millis(30));
        assert!(after.threads >= 1 && after.rss_bytes > 0 && after.peak_rss_bytes >= after.rss_bytes, "{after:?}");
    }

    #[test]
    fn a_process_that_is_gone_has_no_reading() {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .arg("--list")
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let probe = ProcessProbe::of(child.id());
        child.wait().unwrap();
        assert!(probe.and_then(|probe| probe.now()).is_none());
    }
}
