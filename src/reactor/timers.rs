//! The timers of the loop: its own deadlines, and the timers that services have set.

use std::collections::BTreeSet;

use crate::connection::TimerChange;
use crate::engine::slab::reserved_key;
use crate::engine::timers::Timers;
use crate::service::time::Timestamp;
use crate::service::{ConnId, ServiceId, TimerId};

/// The key of the drain deadline among the loop's deadlines.
pub(super) const DRAIN_KEY: usize = reserved_key(usize::MAX) - 1;

/// The key of the memory deadline: by then the buffered bytes must have fallen.
pub(super) const MEMORY_KEY: usize = reserved_key(usize::MAX) - 2;

/// The loop's own deadlines: at most one for each connection, source or reserved key.
pub(super) struct Deadlines {
    /// A timer's number is the key.
    timers: Timers<()>,
}

impl Deadlines {
    pub(super) fn new() -> Self {
        Self { timers: Timers::new() }
    }

    pub(super) fn set(&mut self, key: usize, at: Timestamp) {
        self.timers.set(TimerId::new(at, key as u64), ());
    }

    pub(super) fn cancel(&mut self, key: usize, at: Timestamp) {
        self.timers.cancel(TimerId::new(at, key as u64));
    }

    /// Sets a connection's timer, in place of a later one.
    pub(super) fn change(&mut self, key: usize, change: TimerChange) {
        if let Some(replaced) = change.replaced {
            self.cancel(key, replaced);
        }
        self.set(key, change.at);
    }

    pub(super) fn next(&self) -> Option<Timestamp> {
        self.timers.next_deadline()
    }

    /// Removes the earliest deadline if it is due by `now`, and returns its key.
    pub(super) fn take_due(&mut self, now: Timestamp) -> Option<usize> {
        let (id, ()) = self.timers.take_due(now)?;
        Some(usize::try_from(id.number()).unwrap_or(usize::MAX))
    }
}

/// The service and connection that a timer belongs to.
#[derive(Clone, Copy)]
pub(super) struct TimerOwner {
    pub(super) service: ServiceId,
    pub(super) conn: ConnId,
}

/// The timers that services have set.
pub(super) struct ServiceTimers {
    timers: Timers<TimerOwner>,
    /// The timers of connections, because they end with their connection.
    by_connection: BTreeSet<(ConnId, TimerId)>,
}

impl ServiceTimers {
    pub(super) fn new() -> Self {
        Self { timers: Timers::new(), by_connection: BTreeSet::new() }
    }

    pub(super) fn set(&mut self, id: TimerId, owner: TimerOwner) {
        if owner.conn != ConnId::NONE {
            self.by_connection.insert((owner.conn, id));
        }
        self.timers.set(id, owner);
    }

    pub(super) fn cancel(&mut self, id: TimerId) {
        if let Some(TimerOwner { conn, .. }) = self.timers.cancel(id) {
            self.by_connection.remove(&(conn, id));
        }
    }

    pub(super) fn cancel_all_of(&mut self, conn: ConnId) {
        while let Some(owned) = self.by_connection.range((conn, TimerId::MIN)..).next().copied()
            && owned.0 == conn
        {
            self.by_connection.remove(&owned);
            self.timers.cancel(owned.1);
        }
    }

    pub(super) fn next(&self) -> Option<Timestamp> {
        self.timers.next_deadline()
    }

    /// Removes and returns the earliest timer if it is due by `now` and its number is at most
    /// `newest`.
    pub(super) fn take_due(&mut self, now: Timestamp, newest: u64) -> Option<(TimerId, TimerOwner)> {
        let (id, owner) = self.timers.take_due_until(now, newest)?;
        self.by_connection.remove(&(owner.conn, id));
        Some((id, owner))
    }

    #[cfg(test)]
    pub(super) fn of_connections(&self) -> usize {
        self.by_connection.len()
    }
}
