//! Resource use of a process, read from outside.
//!
//! CPU time comes from the process's CPU-time clock (`clock_getcpuclockid(3)`): one system call, in
//! nanoseconds, ended threads included. The files in `/proc` are worse: `stat` counts ticks of 10
//! ms, and `task/*/schedstat` drops ended threads.
//!
//! Context switches are counted per thread only. Reading the files of 5,000 threads takes 250 ms.
//! The load would pause for that time, and the delay would count against the server. So at most
//! [`SAMPLED_THREADS`](sample::SAMPLED_THREADS) threads are read, and the count is scaled up.
//! Listing 5,000 threads takes 15 ms, so it is repeated only when the number of threads has
//! changed. A caller that takes one sample during warm-up avoids that delay in the measured time.
//! Switches of a thread that ended between two samples are not counted.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(not(target_os = "linux"))]
mod portable;
mod sample;

use std::time::Duration;

#[cfg(target_os = "linux")]
use linux::ProcessFiles;
#[cfg(not(target_os = "linux"))]
use portable::ProcessFiles;
pub(in crate::cli) use sample::{ProcessSample, ProcessUsage};

/// A reader of one process's resource use.
#[derive(Debug)]
pub(in crate::cli) struct ProcessProbe {
    process: ProcessFiles,
}

impl ProcessProbe {
    /// Opens a probe for the process `pid`; `None` if the process has ended or the system does not
    /// support it.
    pub(in crate::cli) fn open(pid: u32) -> Option<Self> {
        Some(Self { process: ProcessFiles::open(pid)? })
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

    /// Returns the number of open descriptors.
    pub(in crate::cli) fn descriptors(&self) -> Option<u64> {
        self.process.descriptors()
    }

    /// Returns the CPU time only.
    pub(in crate::cli) fn cpu(&self) -> Option<Duration> {
        self.process.cpu()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
                assert!(began.elapsed() < crate::guard::guard(), "the CPU clock does not advance");
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
