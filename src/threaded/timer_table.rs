//! Services' timers: one table for the engine, because a callback about one connection may take back another's timer. Only who
//! uses timers ever touches it.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::engine::timers::Timers;
use crate::service::TimerId;
use crate::service::time::Timestamp;
use crate::service::{ConnId, ServiceId};

/// Pending timers by whose they are.
pub(super) struct Alarms(Mutex<Table>);

struct Table {
    owners: Timers<(ServiceId, ConnId)>,
    by_conn: BTreeSet<(ConnId, TimerId)>,
}

impl Alarms {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Table { owners: Timers::new(), by_conn: BTreeSet::new() }))
    }

    pub(super) fn set(&self, timer: TimerId, service: ServiceId, conn: ConnId) {
        let mut table = self.lock();
        table.owners.set(timer, (service, conn));
        table.by_conn.insert((conn, timer));
    }

    /// Takes a timer out, to be fired or not; nothing if it has been.
    pub(super) fn take(&self, timer: TimerId) -> Option<ServiceId> {
        let mut table = self.lock();
        let (service, conn) = table.owners.cancel(timer)?;
        table.by_conn.remove(&(conn, timer));
        Some(service)
    }

    pub(super) fn next_of(&self, conn: ConnId) -> Option<Timestamp> {
        self.lock().of(conn).next().map(|timer| timer.at())
    }

    /// What is due now, with the service it is of. What is set from now on is not among it, due at once or not.
    pub(super) fn due(&self, conn: ConnId, now: Timestamp) -> Vec<TimerId> {
        self.lock().of(conn).take_while(|timer| timer.at() <= now).collect()
    }

    pub(super) fn service_of(&self, timer: TimerId) -> Option<ServiceId> {
        self.lock().owners.get(timer).map(|(service, _)| *service)
    }

    pub(super) fn forget(&self, conn: ConnId) {
        let mut table = self.lock();
        let timers: Vec<_> = table.of(conn).collect();
        for timer in timers {
            table.owners.cancel(timer);
            table.by_conn.remove(&(conn, timer));
        }
    }

    /// Nothing panics with the lock held.
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn of(&self, conn: ConnId) -> impl Iterator<Item = TimerId> {
        let all = self.by_conn.range((conn, TimerId::MIN)..);
        all.take_while(move |(owner, _)| *owner == conn).map(|(_, timer)| *timer)
    }
}
