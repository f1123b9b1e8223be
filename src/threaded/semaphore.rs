//! A semaphore: it bounds how many connection threads run a service's jobs at the same time.

use std::num::NonZeroUsize;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// A counting semaphore that can be closed.
pub(super) struct Semaphore {
    /// The number of free permits; `None` after [`close`](Semaphore::close).
    free: Mutex<Option<usize>>,
    changed: Condvar,
}

/// A permit, released on drop.
pub(super) struct SemaphorePermit<'a>(&'a Semaphore);

impl Semaphore {
    pub(super) fn new(max: NonZeroUsize) -> Self {
        Self { free: Mutex::new(Some(max.get())), changed: Condvar::new() }
    }

    /// Waits for a permit. Returns `None` if the semaphore is closed.
    pub(super) fn acquire(&self) -> Option<SemaphorePermit<'_>> {
        let is_exhausted = |free: &mut Option<usize>| *free == Some(0);
        let mut free = self.changed.wait_while(self.lock(), is_exhausted).unwrap_or_else(PoisonError::into_inner);
        *free = Some((*free)? - 1);
        Some(SemaphorePermit(self))
    }

    /// Closes the semaphore: no permit is given, and no thread waits any more.
    pub(super) fn close(&self) {
        *self.lock() = None;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Option<usize>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for SemaphorePermit<'_> {
    fn drop(&mut self) {
        if let Some(free) = self.0.lock().as_mut() {
            *free += 1;
        }
        self.0.changed.notify_one();
    }
}
