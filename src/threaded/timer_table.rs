//! The timers of services: one table for the engine, because a callback about one connection may
//! cancel another connection's timer. Services without timers never lock it.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::engine::timers::Timers;
use crate::service::TimerId;
use crate::service::time::Timestamp;
use crate::service::{ConnId, ServiceId};

/// Pending timers, in order of time and by connection.
pub(super) struct TimerTable(Mutex<OwnedTimers>);

struct OwnedTimers {
    owners: Timers<(ServiceId, ConnId)>,
    by_conn: BTreeSet<(ConnId, TimerId)>,
}

impl TimerTable {
    pub(super) fn new() -> Self {
        Self(Mutex::new(OwnedTimers { owners: Timers::new(), by_conn: BTreeSet::new() }))
    }

    pub(super) fn set(&self, timer: TimerId, service: ServiceId, conn: ConnId) {
        let mut table = self.lock();
        table.owners.set(timer, (service, conn));
        table.by_conn.insert((conn, timer));
    }

    /// Removes a timer, to fire or cancel it. Returns its service, or `None` if it has fired or was
    /// cancelled.
    pub(super) fn remove(&self, timer: TimerId) -> Option<ServiceId> {
        let mut table = self.lock();
        let (service, conn) = table.owners.cancel(timer)?;
        table.by_conn.remove(&(conn, timer));
        Some(service)
    }

    pub(super) fn next_of(&self, conn: ConnId) -> Option<Timestamp> {
        self.lock().timers_of(conn).next().map(|timer| timer.at())
    }

    /// Returns the connection's timers that are due now. Timers set later are not among them.
    pub(super) fn due(&self, conn: ConnId, now: Timestamp) -> Vec<TimerId> {
        self.lock().timers_of(conn).take_while(|timer| timer.at() <= now).collect()
    }

    pub(super) fn service_of(&self, timer: TimerId) -> Option<ServiceId> {
        self.lock().owners.get(timer).map(|(service, _)| *service)
    }

    pub(super) fn cancel_all_of(&self, conn: ConnId) {
        let mut table = self.lock();
        let timers: Vec<_> = table.timers_of(conn).collect();
        for timer in timers {
            table.owners.cancel(timer);
            table.by_conn.remove(&(conn, timer));
        }
    }

    /// Locks the table. No holder of the lock panics.
    fn lock(&self) -> MutexGuard<'_, OwnedTimers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OwnedTimers {
    fn timers_of(&self, conn: ConnId) -> impl Iterator<Item = TimerId> {
        let all = self.by_conn.range((conn, TimerId::MIN)..);
        all.take_while(move |(owner, _)| *owner == conn).map(|(_, timer)| *timer)
    }
}
