//! Timers in the order of their deadlines. The caller passes the time: this module reads no clock.
//!
//! A timer's id is its place in the order, so cancelling removes it immediately. Invariant: the set
//! holds pending timers only, without cancelled entries.

use std::collections::{BTreeMap, BTreeSet};

use crate::service::time::Timestamp;
use crate::service::{ConnId, ServiceId, TimerId};

/// Pending timers, each with its owner's key.
pub(crate) struct Timers<K> {
    due: BTreeMap<TimerId, K>,
}

impl<K> Timers<K> {
    pub(crate) fn new() -> Self {
        Self { due: BTreeMap::new() }
    }

    /// Adds a timer.
    pub(crate) fn set(&mut self, id: TimerId, key: K) {
        self.due.insert(id, key);
    }

    /// Removes a timer; returns `None` if it has fired or was never set.
    pub(crate) fn cancel(&mut self, id: TimerId) -> Option<K> {
        self.due.remove(&id)
    }

    pub(crate) fn get(&self, id: TimerId) -> Option<&K> {
        self.due.get(&id)
    }

    pub(crate) fn len(&self) -> usize {
        self.due.len()
    }

    /// Returns the earliest deadline.
    pub(crate) fn next_deadline(&self) -> Option<Timestamp> {
        self.due.first_key_value().map(|(id, _)| id.at())
    }

    /// Removes and returns the earliest timer if it is due by `now`.
    pub(crate) fn take_due(&mut self, now: Timestamp) -> Option<(TimerId, K)> {
        self.take_due_until(now, u64::MAX)
    }

    /// Removes and returns the earliest timer if it is due by `now` and its number is at most
    /// `newest`.
    pub(crate) fn take_due_until(&mut self, now: Timestamp, newest: u64) -> Option<(TimerId, K)> {
        let first = self.due.first_entry()?;
        (first.key().at() <= now && first.key().number() <= newest).then(|| first.remove_entry())
    }
}

/// The service and the connection that a timer belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimerOwner {
    pub(crate) service: ServiceId,
    pub(crate) conn: ConnId,
}

/// The pending timers of services, by deadline and by connection: a connection's timers end with
/// it.
pub(crate) struct ServiceTimers {
    due: Timers<TimerOwner>,
    by_conn: BTreeSet<(ConnId, TimerId)>,
}

impl ServiceTimers {
    pub(crate) fn new() -> Self {
        Self { due: Timers::new(), by_conn: BTreeSet::new() }
    }

    pub(crate) fn set(&mut self, timer: TimerId, owner: TimerOwner) {
        self.due.set(timer, owner);
        self.by_conn.insert((owner.conn, timer));
    }

    /// Removes a timer, to fire or cancel it. Returns its owner, or `None` if it has fired or was
    /// cancelled.
    pub(crate) fn remove(&mut self, timer: TimerId) -> Option<TimerOwner> {
        let owner = self.due.cancel(timer)?;
        self.by_conn.remove(&(owner.conn, timer));
        Some(owner)
    }

    /// Removes and returns the earliest timer if it is due by `now` and its number is at most
    /// `newest`.
    pub(crate) fn take_due(&mut self, now: Timestamp, newest: u64) -> Option<(TimerId, TimerOwner)> {
        let (timer, owner) = self.due.take_due_until(now, newest)?;
        self.by_conn.remove(&(owner.conn, timer));
        Some((timer, owner))
    }

    pub(crate) fn owner(&self, timer: TimerId) -> Option<TimerOwner> {
        self.due.get(timer).copied()
    }

    pub(crate) fn cancel_all_of(&mut self, conn: ConnId) {
        while let Some(timer) = self.first_of(conn) {
            self.remove(timer);
        }
    }

    /// Returns the number of pending timers.
    pub(crate) fn len(&self) -> usize {
        self.due.len()
    }

    /// Returns the earliest deadline of all timers.
    pub(crate) fn next_deadline(&self) -> Option<Timestamp> {
        self.due.next_deadline()
    }

    /// Returns the earliest deadline of the connection's timers.
    pub(crate) fn next_of(&self, conn: ConnId) -> Option<Timestamp> {
        self.first_of(conn).map(|timer| timer.at())
    }

    /// Returns the connection's timers that are due by `now`.
    pub(crate) fn due_of(&self, conn: ConnId, now: Timestamp) -> Vec<TimerId> {
        self.timers_of(conn).take_while(|timer| timer.at() <= now).collect()
    }

    fn first_of(&self, conn: ConnId) -> Option<TimerId> {
        self.timers_of(conn).next()
    }

    fn timers_of(&self, conn: ConnId) -> impl Iterator<Item = TimerId> {
        let all = self.by_conn.range((conn, TimerId::MIN)..);
        all.take_while(move |(owner, _)| *owner == conn).map(|(_, timer)| *timer)
    }

    /// Returns the number of timers that belong to connections.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn of_connections(&self) -> usize {
        self.by_conn.iter().filter(|(conn, _)| *conn != ConnId::NONE).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    fn millis(amount: usize) -> Duration {
        Duration::from_millis(amount as u64)
    }

    proptest! {
        /// The model is an unordered list, searched in full.
        #[test]
        fn due_timers_fire_once_and_in_order(steps in prop::collection::vec((0u8..4, 0usize..50), 0..200)) {
            let start = Timestamp::START;
            let mut timers = Timers::new();
            let mut model: Vec<(TimerId, usize)> = Vec::new();
            let mut now = start;
            for (number, (what, amount)) in steps.into_iter().enumerate() {
                match what {
                    0 | 1 => {
                        let id = TimerId::new(now + millis(amount), number as u64);
                        timers.set(id, number);
                        model.push((id, number));
                    }
                    2 if !model.is_empty() => {
                        let (id, key) = model.remove(amount % model.len());
                        prop_assert_eq!(timers.cancel(id), Some(key));
                        prop_assert_eq!(timers.cancel(id), None);
                    }
                    _ => {
                        now = now + millis(amount);
                        model.sort();
                        while model.first().is_some_and(|(id, _)| id.at() <= now) {
                            prop_assert_eq!(timers.take_due(now), Some(model.remove(0)));
                        }
                        prop_assert!(timers.take_due(now).is_none());
                    }
                }
                prop_assert_eq!(timers.next_deadline(), model.iter().map(|(id, _)| id.at()).min());
            }
        }
    }
}
