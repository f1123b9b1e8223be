//! A wait group: it counts threads that the control thread waits for.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::net::Notifier;

/// A count of running threads. The control thread is woken when it falls to zero.
pub(super) struct WaitGroup {
    running: Mutex<usize>,
    control: Arc<Notifier>,
}

/// One running thread, until it is dropped.
pub(super) struct WaitGuard(Arc<WaitGroup>);

impl WaitGroup {
    pub(super) fn new(control: Arc<Notifier>) -> Arc<Self> {
        Arc::new(Self { running: Mutex::new(0), control })
    }

    pub(super) fn enter(self: &Arc<Self>) -> WaitGuard {
        *self.lock() += 1;
        WaitGuard(Arc::clone(self))
    }

    pub(super) fn is_idle(&self) -> bool {
        *self.lock() == 0
    }

    fn lock(&self) -> MutexGuard<'_, usize> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for WaitGuard {
    fn drop(&mut self) {
        let mut running = self.0.lock();
        *running -= 1;
        if *running == 0 {
            self.0.control.notify();
        }
    }
}
