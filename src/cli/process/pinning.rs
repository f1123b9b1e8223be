//! Which processors a server and its load run on. Apart, where there are two: on one, each would measure how the other was
//! scheduled.
//!
//! The load is one thread, so it gets one processor, the last; the server gets all others, however many it makes use of.
//! Nothing of this where there is one processor, or on a system that has no such calls.

use std::io;

use serde::Serialize;

/// A division of the processors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct CpuAssignment {
    server: Vec<usize>,
    load: usize,
}

impl CpuAssignment {
    /// Divides the processors that this thread may use; none where there is nothing to divide.
    pub(in crate::cli) fn divide() -> Option<Self> {
        Self::of(affinity::allowed().ok()?)
    }

    fn of(mut cpus: Vec<usize>) -> Option<Self> {
        let load = cpus.pop()?;
        (!cpus.is_empty()).then_some(Self { server: cpus, load })
    }

    /// The server's processors.
    pub(in crate::cli) fn server(&self) -> &[usize] {
        &self.server
    }

    /// The load's processor.
    pub(in crate::cli) fn load(&self) -> usize {
        self.load
    }

    /// Puts the current thread on the load's processor.
    ///
    /// # Errors
    /// What the operating system said.
    pub(in crate::cli) fn pin_load(&self) -> io::Result<()> {
        affinity::set(&[self.load])
    }

    /// Runs `start` with the current thread on the server's processors, which every process and thread that it starts inherits,
    /// and puts the thread back where it was. What it starts has the same thread for its parent, as [`Child`](super::ServerProcess)
    /// demands.
    ///
    /// # Errors
    /// What the operating system said.
    pub(in crate::cli) fn on_server<T>(&self, start: impl FnOnce() -> T) -> io::Result<T> {
        let before = affinity::allowed()?;
        affinity::set(&self.server)?;
        let started = start();
        affinity::set(&before)?;
        Ok(started)
    }
}

/// Processors of the server and of the load, where each has its own.
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

    /// The processors that the current thread may use, in ascending order.
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
    fn the_load_gets_the_last_processor_and_the_server_all_others() {
        assert_eq!(CpuAssignment::of(vec![]), None);
        assert_eq!(CpuAssignment::of(vec![3]), None);
        assert_eq!(CpuAssignment::of(vec![0, 2]), Some(CpuAssignment { server: vec![0], load: 2 }));
        assert_eq!(CpuAssignment::of(vec![1, 2, 5]), Some(CpuAssignment { server: vec![1, 2], load: 5 }));
    }

    #[test]
    fn what_is_started_inherits_and_the_thread_itself_goes_back() {
        // On a thread of its own, because the test's thread may be used again.
        let tried = std::thread::spawn(|| {
            let Some(pinning) = CpuAssignment::divide() else { return };
            let before = affinity::allowed().unwrap();
            let inside = pinning.on_server(|| std::thread::spawn(affinity::allowed).join().unwrap().unwrap()).unwrap();
            assert_eq!(inside, pinning.server());
            assert_eq!(affinity::allowed().unwrap(), before);
            pinning.pin_load().unwrap();
            assert_eq!(affinity::allowed().unwrap(), [pinning.load()]);
        });
        tried.join().unwrap();
    }
}
