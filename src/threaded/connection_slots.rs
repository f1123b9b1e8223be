//! How many connections are open, and threads at work.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::net::Notifier;
use crate::service::Peer;

/// Places for connections.
pub(super) struct Places {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    max: usize,
    open: usize,
    /// Of them, those whose service is being told that they end, and which end then.
    leaving: usize,
    /// No more newcomers are let in, so none has to wait.
    closed: bool,
}

impl Places {
    pub(super) fn new(max: usize) -> Self {
        Self { state: Mutex::new(State { max, ..State::default() }), changed: Condvar::new() }
    }

    /// Takes a place if there is one. Where all are taken and somebody is about to leave, the service may have been told so
    /// already, and so may the newcomer: it has not come too early.
    pub(super) fn take(&self) -> bool {
        let full = |state: &mut State| !state.closed && state.open >= state.max && state.leaving > 0;
        let mut state = self.changed.wait_while(self.lock(), full).unwrap_or_else(PoisonError::into_inner);
        let free = state.open < state.max;
        state.open += usize::from(free);
        free
    }

    /// Makes a place for a console, which takes nobody else's.
    pub(super) fn add(&self) {
        let mut state = self.lock();
        state.max += 1;
        state.open += 1;
    }

    /// Somebody begins to leave.
    pub(super) fn leave(&self) {
        self.lock().leaving += 1;
    }

    /// Somebody who was about to leave has to stay for a while.
    pub(super) fn stay(&self) {
        self.lock().leaving -= 1;
        self.changed.notify_all();
    }

    /// A place is free again, or gone with the console that it was made for.
    pub(super) fn free(&self, was_leaving: bool, peer: Peer) {
        let mut state = self.lock();
        state.max -= usize::from(peer == Peer::Console);
        state.open -= 1;
        state.leaving -= usize::from(was_leaving);
        drop(state);
        self.changed.notify_all();
    }

    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    pub(super) fn open(&self) -> usize {
        self.lock().open
    }

    /// Nothing panics with the lock held.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts threads at work, and tells when the last has gone home.
pub(super) struct Crew {
    at_work: Mutex<usize>,
    control: Arc<Notifier>,
}

/// One thread's presence.
pub(super) struct Shift(Arc<Crew>);

impl Crew {
    pub(super) fn new(control: Arc<Notifier>) -> Arc<Self> {
        Arc::new(Self { at_work: Mutex::new(0), control })
    }

    pub(super) fn begin(self: &Arc<Self>) -> Shift {
        *self.lock() += 1;
        Shift(Arc::clone(self))
    }

    pub(super) fn is_gone(&self) -> bool {
        *self.lock() == 0
    }

    fn lock(&self) -> MutexGuard<'_, usize> {
        self.at_work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Shift {
    fn drop(&mut self) {
        let mut at_work = self.0.lock();
        *at_work -= 1;
        if *at_work == 0 {
            self.0.control.notify();
        }
    }
}
