//! What holds a running command, so that it can be ended from another thread.
//!
//! A number of a process may be given to another as soon as somebody has waited for the first. So it is signalled only while
//! the leash is held, and the leash is let go of before the process is waited for.

use std::io;
use std::process::Child;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// One command's, from when it is asked for until it is over.
#[derive(Debug, Default)]
pub(super) struct Leash {
    /// Nobody wants the command any more. Set before the lock is tried: whoever has it looks here when it has done its part.
    cancelled: AtomicBool,
    /// The leader of the command's process group, while it has not been waited for.
    leader: Mutex<Option<Pid>>,
}

impl Leash {
    /// Starts a command; nothing if it is not wanted any more.
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

    /// Kills the command and all that it has started and that has stayed in its group.
    pub(super) fn kill(&self) {
        kill(*self.lock());
    }

    /// The command is about to be waited for.
    pub(super) fn let_go(&self) {
        *self.lock() = None;
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::SeqCst)
    }

    /// The command is not to begin any more.
    pub(super) fn give_up(&self) {
        self.cancelled.store(true, Ordering::SeqCst);
    }

    /// The command is to end, or not to begin. Does not wait for one that is being started: its thread sees to it.
    pub(super) fn cancel(&self) {
        self.give_up();
        match self.leader.try_lock() {
            Ok(leader) => kill(*leader),
            Err(TryLockError::Poisoned(leader)) => kill(*leader.into_inner()),
            Err(TryLockError::WouldBlock) => {}
        }
    }

    /// As [`cancel`](Self::cancel), and when it returns no process is left, even if the whole program ends now.
    pub(super) fn cancel_now(&self) {
        self.give_up();
        self.kill();
    }

    /// Nothing panics with the lock held but the standard library's own start of a process.
    fn lock(&self) -> MutexGuard<'_, Option<Pid>> {
        self.leader.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn kill(leader: Option<Pid>) {
    let Some(leader) = leader else { return };
    // All that can go wrong is that they have ended. A leader may have joined another group of its session.
    let _ = kill_process_group(leader, Signal::KILL);
    let _ = kill_process(leader, Signal::KILL);
}
