//! Waiting and waking in a build with `--cfg shuttle`, see [`crate::sync`].
//!
//! Descriptors stay real. But a thread that finds none of them ready sleeps at a lock that the
//! scheduler knows, until another thread may have changed that. No time passes: only an event ends
//! a wait, so a lost wake-up is a deadlock, even where the engine has a timeout as well.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use rustix::event::PollFd;

use super::notifier;
use crate::sync::{Condvar, Mutex, MutexGuard, PoisonError};

shuttle::lazy_static! {
    static ref SLEEPERS: Sleepers = Sleepers::default();
}

/// The threads that sleep.
#[derive(Default)]
struct Sleepers {
    /// Held between the look at the descriptors and the sleep.
    look: Mutex<()>,
    engine: Condvar,
    peers: Condvar,
}

impl Sleepers {
    fn look(&self) -> MutexGuard<'_, ()> {
        self.look.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self) {
        self.engine.notify_all();
        self.peers.notify_all();
    }
}

/// As [`wait`](super::wait::wait) of the other builds.
pub(crate) fn wait(poll_fds: &mut [PollFd<'_>], timeout: Option<Duration>) -> io::Result<usize> {
    let mut look = SLEEPERS.look();
    loop {
        let ready = super::wait::wait(poll_fds, Some(Duration::ZERO))?;
        if ready > 0 || timeout == Some(Duration::ZERO) {
            return Ok(ready);
        }
        // This thread may have written since its last wait.
        SLEEPERS.peers.notify_all();
        look = SLEEPERS.engine.wait(look).unwrap_or_else(PoisonError::into_inner);
    }
}

/// Waits on the thread of a test until `is_done`, which says so of what the engine has written or
/// called. If it has read something, the engine looks for room to write.
#[cfg(test)]
pub(crate) fn wait_until(mut is_done: impl FnMut() -> bool) {
    let mut look = SLEEPERS.look();
    while !is_done() {
        look = SLEEPERS.peers.wait(look).unwrap_or_else(PoisonError::into_inner);
    }
}

/// Wakes the engine's threads from within [`wait_until`], because a peer has read.
#[cfg(test)]
pub(crate) fn note_read() {
    SLEEPERS.engine.notify_all();
}

/// Wakes all that sleep, because a peer has written or closed, or a thread has ended.
#[cfg(test)]
pub(crate) fn wake_all() {
    let _look = SLEEPERS.look();
    SLEEPERS.wake();
}

/// As the platform's notifier.
pub(crate) struct Notifier(notifier::Notifier);

impl Notifier {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self(notifier::Notifier::new()?))
    }

    pub(crate) fn notify(&self) {
        let _look = SLEEPERS.look();
        self.0.notify();
        SLEEPERS.wake();
    }

    pub(crate) fn clear(&self) {
        self.0.clear();
    }
}

impl AsFd for Notifier {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
