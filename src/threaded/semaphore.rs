//! How many connections' threads may do a service's work at once.

use std::num::NonZeroUsize;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// A bound on work that is being done.
pub(super) struct Permits {
    /// How many more pieces may be begun; nothing once no more are.
    free: Mutex<Option<usize>>,
    changed: Condvar,
}

/// Leave to do one piece of work, for as long as it is held.
pub(super) struct Permit<'a>(&'a Permits);

impl Permits {
    pub(super) fn new(max: NonZeroUsize) -> Self {
        Self { free: Mutex::new(Some(max.get())), changed: Condvar::new() }
    }

    /// Waits for leave; nothing once there is none to be had any more.
    pub(super) fn take(&self) -> Option<Permit<'_>> {
        let none_free = |free: &mut Option<usize>| *free == Some(0);
        let mut free = self.changed.wait_while(self.lock(), none_free).unwrap_or_else(PoisonError::into_inner);
        *free = Some((*free)? - 1);
        Some(Permit(self))
    }

    /// From now on nobody begins, and nobody waits.
    pub(super) fn close(&self) {
        *self.lock() = None;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Option<usize>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if let Some(free) = self.0.lock().as_mut() {
            *free += 1;
        }
        self.0.changed.notify_one();
    }
}
