//! The table of a run's connections: those that are open, by slab key, and the planned ones, by
//! slot. Reconnecting gives a slot a new connection.

use super::connection::LoadConnection;
use crate::engine::slab::GenerationalSlab;

/// The connections of a run.
pub(super) struct Connections<C> {
    open: GenerationalSlab<LoadConnection<C>>,
    /// The planned connections, then the slow readers.
    slots: Vec<PlannedConnection>,
    /// Slots whose first connect has neither succeeded nor failed.
    pub(super) unresolved: usize,
    /// Slots of the connections that send, in the order of the send schedule.
    pub(super) senders: Vec<usize>,
}

/// A planned connection.
#[derive(Clone, Copy)]
struct PlannedConnection {
    /// Slab key of the current connection.
    key: Option<usize>,
    /// The first connect has succeeded or failed.
    is_resolved: bool,
    /// Open loop: number of the slot's next message in the schedule, while it has no connection.
    next_number: u64,
    /// The time since which the server's backlog has been full for this slot.
    backlog_full_since_ns: Option<u64>,
}

impl<C> Connections<C> {
    /// Creates the table of `count` planned connections and slow readers.
    pub(super) fn new(count: usize) -> Self {
        let slot =
            PlannedConnection { key: None, is_resolved: false, next_number: u64::MAX, backlog_full_since_ns: None };
        Self { open: GenerationalSlab::new(), slots: vec![slot; count], unresolved: count, senders: Vec::new() }
    }

    /// Returns the number of slots.
    pub(super) fn slots(&self) -> usize {
        self.slots.len()
    }

    /// Adds a connection to its slot; returns its key.
    pub(super) fn insert(&mut self, mut connection: LoadConnection<C>) -> usize {
        let index = connection.slot;
        if let Some(slot) = self.slots.get(index) {
            connection.next_number = slot.next_number;
        }
        let key = self.open.insert(connection);
        if let Some(slot) = self.slots.get_mut(index) {
            (slot.key, slot.backlog_full_since_ns) = (Some(key), None);
        }
        key
    }

    pub(super) fn remove(&mut self, key: usize) -> Option<LoadConnection<C>> {
        let connection = self.open.remove(key)?;
        if let Some(slot) = self.slots.get_mut(connection.slot) {
            (slot.key, slot.next_number) = (None, connection.next_number);
        }
        Some(connection)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, key: usize) -> Option<&mut LoadConnection<C>> {
        self.open.get_mut(key)
    }

    /// Returns the key of a slot's connection; `None` if it has none.
    #[inline]
    pub(super) fn key_of(&self, slot: usize) -> Option<usize> {
        self.slots.get(slot)?.key
    }

    /// Returns a slot's connection.
    pub(super) fn in_slot(&self, slot: usize) -> Option<&LoadConnection<C>> {
        self.open.get(self.key_of(slot)?)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &LoadConnection<C>> {
        self.open.iter().map(|(_, connection)| connection)
    }

    pub(super) fn keys(&self) -> Vec<usize> {
        self.open.iter().map(|(key, _)| key).collect()
    }

    /// Returns the number of established connections, without slow readers.
    pub(super) fn established(&self) -> usize {
        self.iter().filter(|connection| connection.is_established() && !connection.is_slow_reader).count()
    }

    /// Returns the number of the slot's next message in the schedule.
    pub(super) fn next_number(&self, slot: usize) -> u64 {
        let own = self.slots.get(slot).map_or(u64::MAX, |slot| slot.next_number);
        self.in_slot(slot).map_or(own, |connection| connection.next_number)
    }

    /// Sets the slots that send, each from its first message in the schedule.
    pub(super) fn set_senders(&mut self, senders: Vec<usize>) {
        self.senders = senders;
        for (number, index) in (0..).zip(&self.senders) {
            let Some(slot) = self.slots.get_mut(*index) else { continue };
            slot.next_number = number;
            if let Some(connection) = slot.key.and_then(|key| self.open.get_mut(key)) {
                connection.next_number = number;
            }
        }
    }

    /// Notes that the slot's first connect has succeeded or failed.
    pub(super) fn resolve(&mut self, slot: usize) {
        if let Some(slot) = self.slots.get_mut(slot)
            && !slot.is_resolved
        {
            slot.is_resolved = true;
            self.unresolved -= 1;
        }
    }

    /// Notes that the server's backlog is full for this slot; returns since when.
    pub(super) fn note_full_backlog(&mut self, slot: usize, now_ns: u64) -> u64 {
        self.slots.get_mut(slot).map_or(now_ns, |slot| *slot.backlog_full_since_ns.get_or_insert(now_ns))
    }

    /// Notes that the connect of this slot has failed.
    pub(super) fn forget_full_backlog(&mut self, slot: usize) {
        self.slots.get_mut(slot).into_iter().for_each(|slot| slot.backlog_full_since_ns = None);
    }
}
