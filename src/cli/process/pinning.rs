//! CPUs of a server and its load. They run on different CPUs, because on a shared one the
//! measurement would include how each was scheduled.
//!
//! The load is one thread and gets the last CPU. The server gets all others. With one CPU, or on a
//! system without affinity calls, nothing is pinned.

use std::io;

use serde::Serialize;

/// An assignment of CPUs to server and load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct CpuAssignment {
    server: Vec<usize>,
    load: usize,
}

impl CpuAssignment {
    /// Divides the CPUs that this thread may use; `None` if there are fewer than two.
    pub(in crate::cli) fn divide() -> Option<Self> {
        Self::of(affinity::allowed().ok()?)
    }

    fn of(mut cpus: Vec<usize>) -> Option<Self> {
        let load = cpus.pop()?;
        (!cpus.is_empty()).then_some(Self { server: cpus, load })
    }

    /// Returns the server's CPUs.
    pub(in crate::cli) fn server(&self) -> &[usize] {
        &self.server
    }

    /// Returns the load's CPU.
    pub(in crate::cli) fn load(&self) -> usize {
        self.load
    }

    /// Pins the current thread to the load's CPU.
    ///
    /// # Errors
    /// The error of `sched_setaffinity(2)`.
    pub(in crate::cli) fn pin_load(&self) -> io::Result<()> {
        affinity::set(&[self.load])
    }

    /// Runs `start` with the current thread pinned to the server's CPUs, then restores the thread's
    /// affinity. Processes and threads that `start` creates inherit the server's CPUs. The current
    /// thread stays the parent of a process, as [`ServerProcess`](super::ServerProcess) needs.
    ///
    /// # Errors
    /// The error of `sched_setaffinity(2)`.
    pub(in crate::cli) fn on_server<T>(&self, start: impl FnOnce() -> T) -> io::Result<T> {
        let before = affinity::allowed()?;
        affinity::set(&self.server)?;
        let started = start();
        affinity::set(&before)?;
        Ok(started)
    }
}

/// CPUs of server and load, as a result records them.
#[derive(Clone, Debug, Serialize)]
pub(in crate::cli) struct PinnedCpus {
    pub(in crate::cli) server_cpus: Vec<usize>,
    pub(in crate::cli) load_cpu: usize,
}

impl From<&CpuAssignment> for PinnedCpus {
    fn from(pinning: &CpuAssignment) -> Self {
        Self { server_cpus: pinning.server().to_vec(), load_cpu: pinning.load() }
    }
}

#[cfg(target_os = "linux")]
mod affinity {
    use std::io;

    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

    /// Returns the CPUs that the current thread may use, in ascending order.
    pub(super) fn allowed() -> io::Result<Vec<usize>> {
        let set = sched_getaffinity(None)?;
        Ok((0..CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).collect())
    }

    pub(super) fn set(cpus: &[usize]) -> io::Result<()> {
        let mut set = CpuSet::new();
        for cpu in cpus {
            set.set(*cpu);
        }
        Ok(sched_setaffinity(None, &set)?)
    }
}

#[cfg(not(target_os = "linux"))]
mod affinity {
    use std::io;

    pub(super) fn allowed() -> io::Result<Vec<usize>> {
        Ok(Vec::new())
    }

    pub(super) fn set(_cpus: &[usize]) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn load_gets_the_last_cpu() {
        assert_eq!(CpuAssignment::of(vec![]), None);
        assert_eq!(CpuAssignment::of(vec![3]), None);
        assert_eq!(CpuAssignment::of(vec![0, 2]), Some(CpuAssignment { server: vec![0], load: 2 }));
        assert_eq!(CpuAssignment::of(vec![1, 2, 5]), Some(CpuAssignment { server: vec![1, 2], load: 5 }));
    }

    #[test]
    fn on_server_pins_children_and_restores_the_thread() {
        // On a thread of its own, because the test harness may reuse the test's thread.
        let test = std::thread::spawn(|| {
            let Some(pinning) = CpuAssignment::divide() else { return };
            let before = affinity::allowed().unwrap();
            let inside = pinning.on_server(|| std::thread::spawn(affinity::allowed).join().unwrap().unwrap()).unwrap();
            assert_eq!(inside, pinning.server());
            assert_eq!(affinity::allowed().unwrap(), before);
            pinning.pin_load().unwrap();
            assert_eq!(affinity::allowed().unwrap(), [pinning.load()]);
        });
        test.join().unwrap();
    }
}
