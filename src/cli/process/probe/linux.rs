//! Reading a process through `/proc` and its CPU-time clock.

use std::cell::{Ref, RefCell};
use std::time::Duration;

use nix::time::{ClockId, clock_getcpuclockid};
use nix::unistd::Pid;

use super::sample::{ProcessSample, SwitchCounts, choose_threads};

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

    pub(super) fn descriptors(&self) -> Option<u64> {
        self.files.fd_count().ok().map(|count| count as u64)
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
