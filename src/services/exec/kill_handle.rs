//! A handle by which any thread can kill a running command.
//!
//! The kernel may reuse a process id as soon as the process has been waited for. Invariant: the
//! process is signalled only while the lock is held, and the id is removed under the lock before
//! the process is waited for.

use std::io;
use std::process::Child;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// The kill handle of one command, from its request to its end.
#[derive(Debug, Default)]
pub(super) struct KillHandle {
    /// True once the command is cancelled. Set before the lock is tried, because the thread that
    /// holds the lock reads it afterwards.
    cancelled: AtomicBool,
    /// The leader of the command's process group, until it is waited for.
    leader: Mutex<Option<Pid>>,
}

impl KillHandle {
    /// Starts a command; returns `None` if it was cancelled.
    pub(super) fn start(&self, spawn: impl FnOnce() -> io::Result<Child>) -> io::Result<Option<Child>> {
        let mut leader = self.lock();
        if self.is_cancelled() {
            return Ok(None);
        }
        let child = spawn()?;
        *leader = Some(Pid::from_child(&child));
        drop(leader);
        if self.is_cancelled() {
            self.kill();
        }
        Ok(Some(child))
    }

    /// Kills the command and all processes of its process group.
    pub(super) fn kill(&self) {
        self.lock().iter().for_each(|leader| kill(*leader));
    }

    /// Removes the process id. Call this before waiting for the command.
    pub(super) fn release(&self) {
        *self.lock() = None;
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::SeqCst)
    }

    /// Prevents the command from starting.
    pub(super) fn set_cancelled(&self) {
        self.cancelled.store(true, Ordering::SeqCst);
    }

    /// Kills the command, or prevents it from starting. Does not wait while another thread starts
    /// it: that thread then kills it.
    pub(super) fn cancel(&self) {
        self.set_cancelled();
        match self.leader.try_lock() {
            Ok(leader) => leader.iter().for_each(|leader| kill(*leader)),
            Err(TryLockError::Poisoned(leader)) => leader.into_inner().iter().for_each(|leader| kill(*leader)),
            Err(TryLockError::WouldBlock) => {}
        }
    }

    /// Does the same as [`cancel`](Self::cancel), but waits for the lock: no process of the command
    /// is left when it returns.
    pub(super) fn cancel_now(&self) {
        self.set_cancelled();
        self.kill();
    }

    /// Locks the process id. Only the standard library's start of a process could panic while the
    /// lock is held.
    fn lock(&self) -> MutexGuard<'_, Option<Pid>> {
        self.leader.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Kills a process group and its leader.
pub(super) fn kill(leader: Pid) {
    // An error means that the processes have ended. The leader is killed by id as well, because it
    // may have joined another group of its session.
    let _ = kill_process_group(leader, Signal::KILL);
    let _ = kill_process(leader, Signal::KILL);
}
