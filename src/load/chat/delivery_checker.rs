//! The checker that every member received every id of its room once, in order, and the same under each id. Knows no socket and no
//! clock, and no text: the caller says what a text is.
//!
//! Two things together are the checker. Each member has a [`SequenceTracker`] of the ids that came to it. Each room has a log of what was
//! first heard under each id, with which every other member's copy is compared, so that the order of each publisher's messages
//! has to be looked at once in the log and not once in each member. An entry is let go when all members are past it.

use super::faults::{ChatFaults, FaultKind};
use super::message_stamp::MessageStamp;
use super::room_log::{Compared, RoomLog};
use super::sequence_tracker::{Arrival, SequenceTracker};

/// Entries of all logs together, 32 MiB of them. A member that is so far behind the first is no longer compared.
const MAX_ENTRIES: usize = 1 << 20;
/// But each log may have so many.
const MIN_ENTRIES: usize = 1024;
/// Violations of each kind that are told by name.
const MAX_NAMED: usize = 3;

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MessageSource {
    /// One of the run's own.
    Ours(MessageStamp),
    /// MessageSource by somebody else who is in the room.
    Foreign,
    /// MessageSource to be the run's own, and is none.
    Spoiled,
}

/// A violation, with its room's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ViolationSite {
    pub(super) kind: FaultKind,
    pub(super) member: usize,
    pub(super) room: usize,
    pub(super) id: u64,
}

/// MemberClient `m` is in room `m` modulo their number, and so is publisher `m`, who is that member.
pub(super) struct DeliveryChecker {
    rooms: Vec<RoomLog>,
    seats: Vec<MemberDeliveries>,
    /// Of each publisher, which of its messages have an id, as far as the log has been let go.
    publishers: Vec<SequenceTracker>,
    pub(super) faults: ChatFaults,
    pub(super) named: Vec<ViolationSite>,
    /// Messages that came to a member for the first time.
    pub(super) received: u64,
}

/// One member's side.
#[derive(Clone, Default)]
struct MemberDeliveries {
    is_taken: bool,
    ids: SequenceTracker,
}

/// What a run that ends still waited for.
#[derive(Default)]
pub(super) struct Outstanding {
    /// When a message was due, and to how many members it has not come.
    pub(super) heard_of: Vec<(u64, u64)>,
    /// Deliveries that were awaited, those of messages that nobody heard included.
    pub(super) deliveries: u64,
}

impl DeliveryChecker {
    pub(super) fn new(members: usize, rooms: usize, publishers: usize) -> Self {
        let max_entries = (MAX_ENTRIES / rooms.max(1)).max(MIN_ENTRIES);
        Self {
            rooms: (0..rooms.max(1)).map(|_| RoomLog::new(max_entries)).collect(),
            seats: vec![MemberDeliveries::default(); members],
            publishers: vec![SequenceTracker::from(0); publishers],
            faults: ChatFaults::default(),
            named: Vec::new(),
            received: 0,
        }
    }

    /// From now on this member is to receive everything.
    pub(super) fn sit(&mut self, member: usize) {
        if let Some(seat) = self.seats.get_mut(member) {
            seat.is_taken = true;
        }
    }

    /// It has gone, and nothing more is asked of it.
    pub(super) fn rise(&mut self, member: usize) {
        if let Some(seat) = self.seats.get_mut(member) {
            seat.is_taken = false;
        }
    }

    /// Whether this can be a message of the room.
    pub(super) fn may_say(&self, stamp: &MessageStamp, room: usize) -> bool {
        let publisher = stamp.publisher as usize;
        publisher < self.publishers.len() && publisher % self.rooms.len() == room
    }

    /// A message came to a member; returns whether it is one of the run's own, unspoiled and for the first time.
    #[inline]
    pub(super) fn hear(&mut self, member: usize, id: u64, said: MessageSource) -> bool {
        let number = member % self.rooms.len();
        let (Some(seat), Some(room)) = (self.seats.get_mut(member), self.rooms.get_mut(number)) else { return false };
        let place = seat.ids.take(id);
        if place == Arrival::Again {
            self.note(FaultKind::Duplicated, member, number, id);
            return false;
        }
        self.received += 1;
        let compared = room.compare(id, said, &mut self.publishers);
        if place == Arrival::Late {
            self.note(FaultKind::Reordered, member, number, id);
        }
        match compared {
            Compared::Same => {}
            _ if said == MessageSource::Spoiled || compared == Compared::Differs => {
                self.note(FaultKind::Corrupted, member, number, id);
                return false;
            }
            // It is at fault already.
            _ if place == Arrival::Late => {}
            _ => self.note(FaultKind::Uncompared, member, number, id),
        }
        matches!(said, MessageSource::Ours(_))
    }

    pub(super) fn note(&mut self, kind: FaultKind, member: usize, room: usize, id: u64) {
        self.note_many(kind, 1, member, room, id);
    }

    fn note_many(&mut self, kind: FaultKind, count: u64, member: usize, room: usize, id: u64) {
        self.faults.add(kind, count);
        if count > 0 && self.named.iter().filter(|named| named.kind == kind).count() < MAX_NAMED {
            self.named.push(ViolationSite { kind, member, room, id });
        }
    }

    /// Lets go of what all members are past.
    pub(super) fn trim(&mut self) {
        for number in 0..self.rooms.len() {
            let least = self.seated(number).map(|(_, seat)| seat.ids.seen().map_or(0, |seen| seen.end)).min();
            if let (Some(room), Some(least)) = (self.rooms.get_mut(number), least) {
                room.release(least, &mut self.publishers);
            }
        }
        self.tell_orders();
    }

    /// Whether every member has come to its room's end, and that is the end of what was said: `said` of a publisher.
    pub(super) fn is_settled(&self, said: impl Fn(usize) -> u64) -> bool {
        let (rooms, publishers) = (self.rooms.len(), self.publishers.len());
        self.rooms.iter().enumerate().all(|(number, room)| {
            let said: u64 = (number..publishers).step_by(rooms).map(&said).sum();
            let end = room.span.map(|(_, end)| end);
            room.known >= said && self.seated(number).all(|(_, seat)| seat.ids.seen().map(|seen| seen.end) == end)
        })
    }

    /// The run is over. What never came is missing if nothing came for a while (`quiet`), and else was awaited. `said` of a
    /// publisher is how many messages it has sent, if that can be known: who was broken off may have sent some in vain.
    pub(super) fn close(&mut self, quiet: bool, said: impl Fn(usize) -> Option<u64>) -> Outstanding {
        let mut awaited = Outstanding::default();
        for number in 0..self.rooms.len() {
            self.await_heard_of(number, &mut awaited);
            let Some(room) = self.rooms.get_mut(number) else { continue };
            room.release(u64::MAX, &mut self.publishers);
            awaited.deliveries += self.close_seats(number, quiet);
            awaited.deliveries += self.close_publishers(number, quiet, &said);
        }
        self.tell_orders();
        awaited
    }

    /// Returns what was still awaited.
    fn close_seats(&mut self, number: usize, quiet: bool) -> u64 {
        let Some((room, (start, end))) = self.rooms.get(number).and_then(|room| Some((room, room.span?))) else {
            return 0;
        };
        let first = room.first_ours.unwrap_or(start);
        let mut awaited = 0u64;
        let mut missing = Vec::new();
        for (member, seat) in self.seated(number) {
            let seen = seat.ids.seen().unwrap_or(first..first);
            let (before, after) = (seen.start.saturating_sub(first), end.saturating_sub(seen.end));
            let tail = if quiet { after } else { 0 };
            awaited = awaited.saturating_add(after - tail);
            let count = before.saturating_add(seat.ids.missing()).saturating_add(tail);
            if count > 0 {
                let id = if before > 0 { first } else { seat.ids.first_missing().unwrap_or(seen.end) };
                missing.push((count, member, id));
            }
        }
        for (count, member, id) in missing {
            self.note_many(FaultKind::Missing, count, member, number, id);
        }
        awaited
    }

    /// Returns what was still awaited.
    fn close_publishers(&mut self, number: usize, quiet: bool, said: impl Fn(usize) -> Option<u64>) -> u64 {
        // Ids that came to nobody, or whole to nobody, are told of already.
        let mut told = self.rooms.get(number).map_or(0, |room| room.lost);
        let members = self.members_of(number);
        let mut awaited = 0u64;
        for publisher in (number..self.publishers.len()).step_by(self.rooms.len()) {
            let Some(sequence) = self.publishers.get(publisher) else { continue };
            let end = sequence.seen().map_or(0, |seen| seen.end);
            let after = said(publisher).unwrap_or(end).saturating_sub(end);
            let tail = if quiet { after } else { 0 };
            awaited = awaited.saturating_add((after - tail).saturating_mul(members));
            let unheard = sequence.missing().saturating_add(tail);
            let excused = unheard.min(told);
            told -= excused;
            let id = sequence.first_missing().unwrap_or(end);
            self.note_many(FaultKind::Unsaid, unheard - excused, publisher, number, id);
        }
        awaited
    }

    fn await_heard_of(&self, number: usize, awaited: &mut Outstanding) {
        let Some(room) = self.rooms.get(number) else { return };
        let mut ends: Vec<_> =
            self.seated(number).map(|(_, seat)| seat.ids.seen().map_or(0, |seen| seen.end)).collect();
        ends.sort_unstable();
        for (id, entry) in (room.base..).zip(&room.entries) {
            let members = ends.partition_point(|end| *end <= id) as u64;
            if let (Some(MessageSource::Ours(stamp)), 1..) = (entry, members) {
                awaited.heard_of.push((stamp.due_ns, members));
            }
        }
    }

    /// What logs have found out about their publishers.
    fn tell_orders(&mut self) {
        for number in 0..self.rooms.len() {
            let Some(room) = self.rooms.get_mut(number) else { continue };
            for stamp in std::mem::take(&mut room.misnumbered) {
                self.note(FaultKind::Misnumbered, stamp.publisher as usize, number, stamp.sequence);
            }
        }
    }

    /// How many of a publisher's messages have come to somebody, when the run is over.
    pub(super) fn heard_of(&self, publisher: usize) -> u64 {
        self.publishers.get(publisher).and_then(SequenceTracker::seen).map_or(0, |seen| seen.end)
    }

    /// Ids of all rooms, from the first that came to the last.
    pub(super) fn ids(&self) -> u64 {
        self.rooms.iter().filter_map(|room| room.span).fold(0, |sum, (start, end)| sum.saturating_add(end - start))
    }

    /// Members from whom everything was asked to the end.
    pub(super) fn members(&self) -> usize {
        self.seats.iter().filter(|seat| seat.is_taken).count()
    }

    /// Those of them who are in a room.
    pub(super) fn members_of(&self, room: usize) -> u64 {
        self.seated(room).count() as u64
    }

    fn seated(&self, room: usize) -> impl Iterator<Item = (usize, &MemberDeliveries)> {
        let seats = self.seats.iter().enumerate().skip(room).step_by(self.rooms.len());
        seats.filter(|(_, seat)| seat.is_taken)
    }
}

#[cfg(test)]
mod tests;
