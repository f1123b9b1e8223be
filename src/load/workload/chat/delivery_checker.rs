//! The check that every member receives every id of its room once, in order, and with the same text
//! as the other members. Knows neither sockets nor clocks nor texts: the caller identifies the
//! source of each message.
//!
//! The check has two parts. Each member has a [`SequenceTracker`] of the ids that it has received.
//! Each room has a [`RoomLog`] of the first copy received with each id, and the copies of all other
//! members are compared with it. So the order of each publisher's messages is checked once, in the
//! log, instead of once for each member. An entry is released when all members have received a
//! later id.

use super::faults::{ChatFaults, FaultKind};
use super::message_stamp::MessageStamp;
use super::room_log::{CopyComparison, MessageSource, RoomLog};
use super::sequence_tracker::{Arrival, SequenceTracker};

/// Entries of all logs together, 32 MiB of them. A delivery to a member that lags further behind is
/// not compared.
const MAX_ENTRIES: usize = 1 << 20;

/// Entries that each log may have, however many rooms share the limit.
const MIN_ENTRIES: usize = 1024;

/// Violations of each kind that are kept with their details.
const MAX_VIOLATIONS: usize = 3;

/// The details of a violation, with the index of the room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ViolationSite {
    pub(super) kind: FaultKind,
    pub(super) member: usize,
    pub(super) room: usize,
    pub(super) id: u64,
}

/// The state of the check. Member `m` is in the room with index `m` modulo the number of rooms, and
/// publisher `m` is member `m`.
pub(super) struct DeliveryChecker {
    rooms: Vec<RoomLog>,
    members: Vec<MemberDeliveries>,
    /// For each publisher, the messages whose entries the room's log has released.
    publishers: Vec<SequenceTracker>,
    pub(super) faults: ChatFaults,
    pub(super) violations: Vec<ViolationSite>,
    /// Ids received by each member, duplicates excluded.
    pub(super) received: u64,
}

/// The deliveries to one member.
#[derive(Clone, Default)]
struct MemberDeliveries {
    is_present: bool,
    ids: SequenceTracker,
}

/// The deliveries outstanding at the end of a run.
#[derive(Default)]
pub(super) struct Outstanding {
    /// For each message that a part of the members has received: its due time, and the number of
    /// members without it.
    pub(super) partly_delivered: Vec<(u64, u64)>,
    /// All outstanding deliveries, including those of messages that no member has received.
    pub(super) deliveries: u64,
}

/// Returns the number of entries that the log of each room may have.
pub(super) fn max_entries(rooms: usize) -> usize {
    (MAX_ENTRIES / rooms.max(1)).max(MIN_ENTRIES)
}

impl DeliveryChecker {
    pub(super) fn new(members: usize, rooms: usize, publishers: usize) -> Self {
        Self {
            rooms: (0..rooms.max(1)).map(|_| RoomLog::new(max_entries(rooms))).collect(),
            members: vec![MemberDeliveries::default(); members],
            publishers: vec![SequenceTracker::starting_at(0); publishers],
            faults: ChatFaults::default(),
            violations: Vec::new(),
            received: 0,
        }
    }

    /// Adds a member: from now on it must receive every message of its room.
    pub(super) fn add_member(&mut self, member: usize) {
        if let Some(deliveries) = self.members.get_mut(member) {
            deliveries.is_present = true;
        }
    }

    /// Removes a member whose connection has ended; nothing more is required of it.
    pub(super) fn remove_member(&mut self, member: usize) {
        if let Some(deliveries) = self.members.get_mut(member) {
            deliveries.is_present = false;
        }
    }

    /// Returns true if the stamp's publisher publishes in this room.
    pub(super) fn is_publisher_of(&self, stamp: &MessageStamp, room: usize) -> bool {
        let publisher = stamp.publisher as usize;
        publisher < self.publishers.len() && publisher % self.rooms.len() == room
    }

    /// Checks one delivery; returns true if it is a message of this run, not corrupt, and new to
    /// the member.
    #[inline]
    pub(super) fn check_delivery(&mut self, member: usize, id: u64, source: MessageSource) -> bool {
        let index = member % self.rooms.len();
        let (Some(deliveries), Some(room)) = (self.members.get_mut(member), self.rooms.get_mut(index)) else {
            return false;
        };
        let arrival = deliveries.ids.record(id);
        if arrival == Arrival::Repeated {
            self.add_fault(FaultKind::Duplicated, member, index, id);
            return false;
        }
        self.received += 1;
        let comparison = room.compare(id, source, &mut self.publishers);
        if arrival == Arrival::Late {
            self.add_fault(FaultKind::Reordered, member, index, id);
        }
        match comparison {
            CopyComparison::Same => {}
            _ if source == MessageSource::Corrupt || comparison == CopyComparison::Differs => {
                self.add_fault(FaultKind::Corrupted, member, index, id);
                return false;
            }
            // The delivery has already been counted as reordered.
            _ if arrival == Arrival::Late => {}
            _ => self.add_fault(FaultKind::Uncompared, member, index, id),
        }
        matches!(source, MessageSource::Own(_))
    }

    pub(super) fn add_fault(&mut self, kind: FaultKind, member: usize, room: usize, id: u64) {
        self.add_faults(kind, 1, member, room, id);
    }

    fn add_faults(&mut self, kind: FaultKind, count: u64, member: usize, room: usize, id: u64) {
        self.faults.add(kind, count);
        if count > 0 && self.violations.iter().filter(|site| site.kind == kind).count() < MAX_VIOLATIONS {
            self.violations.push(ViolationSite { kind, member, room, id });
        }
    }

    /// Releases the entries before the last id that every member of the room has reached.
    pub(super) fn trim_logs(&mut self) {
        for index in 0..self.rooms.len() {
            let least =
                self.present_in(index).map(|(_, deliveries)| deliveries.ids.seen().map_or(0, |seen| seen.end)).min();
            if let (Some(room), Some(least)) = (self.rooms.get_mut(index), least) {
                room.release(least, &mut self.publishers);
            }
        }
        self.take_misnumbered();
    }

    /// Returns true if every member has received the last id of its room, and all messages sent
    /// have an id. `sent_by` returns the number of messages that a publisher has sent.
    pub(super) fn is_complete(&self, sent_by: impl Fn(usize) -> u64) -> bool {
        let (rooms, publishers) = (self.rooms.len(), self.publishers.len());
        self.rooms.iter().enumerate().all(|(index, room)| {
            let sent: u64 = (index..publishers).step_by(rooms).map(&sent_by).sum();
            let end = room.span.map(|(_, end)| end);
            let has_end = |deliveries: &MemberDeliveries| deliveries.ids.seen().map(|seen| seen.end) == end;
            room.own_ids >= sent && self.present_in(index).all(|(_, deliveries)| has_end(deliveries))
        })
    }

    /// Ends the check at the end of a run. Outstanding deliveries are missing if `is_final`: they
    /// were awaited long enough. `sent_by` returns the number of messages that a publisher has
    /// sent; `None` for one whose connection has ended, because its last messages may not have
    /// arrived.
    pub(super) fn finish(&mut self, is_final: bool, sent_by: impl Fn(usize) -> Option<u64>) -> Outstanding {
        let mut outstanding = Outstanding::default();
        for index in 0..self.rooms.len() {
            self.add_partly_delivered(index, &mut outstanding);
            let Some(room) = self.rooms.get_mut(index) else { continue };
            room.release(u64::MAX, &mut self.publishers);
            outstanding.deliveries += self.finish_members(index, is_final);
            outstanding.deliveries += self.finish_publishers(index, is_final, &sent_by);
        }
        self.take_misnumbered();
        outstanding
    }

    /// Counts the missing ids of a room's members; returns the number of outstanding deliveries.
    fn finish_members(&mut self, index: usize, is_final: bool) -> u64 {
        let Some((room, (start, end))) = self.rooms.get(index).and_then(|room| Some((room, room.span?))) else {
            return 0;
        };
        let first = room.first_own_id.unwrap_or(start);
        let mut outstanding = 0u64;
        let mut missing = Vec::new();
        for (member, deliveries) in self.present_in(index) {
            let seen = deliveries.ids.seen().unwrap_or(first..first);
            let (before, after) = (seen.start.saturating_sub(first), end.saturating_sub(seen.end));
            let tail = if is_final { after } else { 0 };
            outstanding = outstanding.saturating_add(after - tail);
            let count = before.saturating_add(deliveries.ids.missing()).saturating_add(tail);
            if count > 0 {
                let id = if before > 0 { first } else { deliveries.ids.first_missing().unwrap_or(seen.end) };
                missing.push((count, member, id));
            }
        }
        for (count, member, id) in missing {
            self.add_faults(FaultKind::Missing, count, member, index, id);
        }
        outstanding
    }

    /// Counts the messages of a room's publishers that no member has received; returns the number
    /// of outstanding deliveries.
    fn finish_publishers(&mut self, index: usize, is_final: bool, sent_by: impl Fn(usize) -> Option<u64>) -> u64 {
        // An id without a correct copy already counts as missing or corrupted, so as many messages
        // without an id are not counted again.
        let mut already_counted = self.rooms.get(index).map_or(0, |room| room.lost_ids);
        let members = self.members_of(index);
        let mut outstanding = 0u64;
        for publisher in (index..self.publishers.len()).step_by(self.rooms.len()) {
            let Some(sequence) = self.publishers.get(publisher) else { continue };
            let end = sequence.seen().map_or(0, |seen| seen.end);
            let after = sent_by(publisher).unwrap_or(end).saturating_sub(end);
            let tail = if is_final { after } else { 0 };
            outstanding = outstanding.saturating_add((after - tail).saturating_mul(members));
            let undelivered = sequence.missing().saturating_add(tail);
            let excused = undelivered.min(already_counted);
            already_counted -= excused;
            let id = sequence.first_missing().unwrap_or(end);
            self.add_faults(FaultKind::Unsaid, undelivered - excused, publisher, index, id);
        }
        outstanding
    }

    fn add_partly_delivered(&self, index: usize, outstanding: &mut Outstanding) {
        let Some(room) = self.rooms.get(index) else { return };
        let end = |deliveries: &MemberDeliveries| deliveries.ids.seen().map_or(0, |seen| seen.end);
        let mut ends: Vec<_> = self.present_in(index).map(|(_, deliveries)| end(deliveries)).collect();
        ends.sort_unstable();
        for (id, entry) in (room.base..).zip(&room.entries) {
            let members = ends.partition_point(|end| *end <= id) as u64;
            if let (Some(MessageSource::Own(stamp)), 1..) = (entry, members) {
                outstanding.partly_delivered.push((stamp.due_ns, members));
            }
        }
    }

    /// Counts the misnumbered messages that the logs have found.
    fn take_misnumbered(&mut self) {
        for index in 0..self.rooms.len() {
            let Some(room) = self.rooms.get_mut(index) else { continue };
            for stamp in std::mem::take(&mut room.misnumbered) {
                self.add_fault(FaultKind::Misnumbered, stamp.publisher as usize, index, stamp.sequence);
            }
        }
    }

    /// Returns how many of a publisher's messages at least one member has received. Valid after
    /// [`finish`](Self::finish).
    pub(super) fn delivered_of(&self, publisher: usize) -> u64 {
        self.publishers.get(publisher).and_then(SequenceTracker::seen).map_or(0, |seen| seen.end)
    }

    /// Returns the number of ids of all rooms, from the first received to the last.
    pub(super) fn ids(&self) -> u64 {
        self.rooms.iter().filter_map(|room| room.span).fold(0, |sum, (start, end)| sum.saturating_add(end - start))
    }

    /// Returns the number of members present in a room.
    pub(super) fn members_of(&self, room: usize) -> u64 {
        self.present_in(room).count() as u64
    }

    fn present_in(&self, room: usize) -> impl Iterator<Item = (usize, &MemberDeliveries)> {
        let members = self.members.iter().enumerate().skip(room).step_by(self.rooms.len());
        members.filter(|(_, deliveries)| deliveries.is_present)
    }
}

#[cfg(test)]
mod tests;
