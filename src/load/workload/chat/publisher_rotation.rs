//! The closed loop of a chat load: the messages in flight in each room, the number of members that
//! have received each, and the publisher that sends next. The publishers of a room send in turn.
//! Knows only numbers.

use std::collections::VecDeque;

/// The rotation of publishers in all rooms.
pub(super) struct PublisherRotation {
    rooms: Vec<RotationRoom>,
    /// For each member that publishes, its place among the publishers of its room.
    places: Vec<Option<u64>>,
    /// Messages in flight in each room.
    in_flight: usize,
    /// Indices of rooms in which a message may be sent now.
    ready: Vec<usize>,
}

/// The rotation in one room.
struct RotationRoom {
    publishers: Vec<usize>,
    members: usize,
    /// Number of the oldest message in flight, among all messages of the room.
    oldest: u64,
    messages: VecDeque<InFlightMessage>,
}

/// A message that has not been delivered to all members.
#[derive(Clone, Copy)]
struct InFlightMessage {
    /// Members that have received it.
    delivered: usize,
    sent_ns: u64,
}

impl PublisherRotation {
    /// Creates the rotation. Member `m` is in the room with index `m` modulo the number of rooms.
    /// `members` are the members present, and `publishers` those of them that publish.
    pub(super) fn new(
        rooms: usize,
        members: impl Iterator<Item = usize>,
        publishers: impl Iterator<Item = usize>,
        in_flight: usize,
    ) -> Self {
        let room = |_| RotationRoom { publishers: Vec::new(), members: 0, oldest: 0, messages: VecDeque::new() };
        let mut rotation =
            Self { rooms: (0..rooms).map(room).collect(), places: Vec::new(), in_flight, ready: (0..rooms).collect() };
        for member in members {
            rotation.room_of(member).into_iter().for_each(|room| room.members += 1);
        }
        for publisher in publishers {
            let Some(room) = rotation.room_of(publisher) else { continue };
            let place = room.publishers.len() as u64;
            room.publishers.push(publisher);
            rotation.places.resize(rotation.places.len().max(publisher + 1), None);
            rotation.places.get_mut(publisher).into_iter().for_each(|kept| *kept = Some(place));
        }
        rotation
    }

    fn room_of(&mut self, member: usize) -> Option<&mut RotationRoom> {
        let index = member % self.rooms.len().max(1);
        self.rooms.get_mut(index)
    }

    /// Records that one more member has received message `sequence` of `publisher`.
    #[inline]
    pub(super) fn record_delivery(&mut self, publisher: usize, sequence: u64) {
        let Some(place) = self.places.get(publisher).copied().flatten() else { return };
        let index = publisher % self.rooms.len().max(1);
        let Some(room) = self.rooms.get_mut(index) else { return };
        let number = sequence.saturating_mul(room.publishers.len() as u64).saturating_add(place);
        let message = number.checked_sub(room.oldest).and_then(|at| room.messages.get_mut(usize::try_from(at).ok()?));
        let Some(message) = message else { return };
        message.delivered += 1;
        if message.delivered >= room.members && room.pop_delivered() {
            self.ready.push(index);
        }
    }

    /// Removes a member; messages no longer wait for it.
    pub(super) fn remove_member(&mut self, member: usize) {
        let index = member % self.rooms.len().max(1);
        let Some(room) = self.rooms.get_mut(index) else { return };
        room.members = room.members.saturating_sub(1);
        if room.pop_delivered() {
            self.ready.push(index);
        }
    }

    /// Gives up every message sent at `sent_ns` or earlier.
    pub(super) fn expire(&mut self, sent_ns: u64) {
        for (index, room) in self.rooms.iter_mut().enumerate() {
            let expired = room.messages.iter().take_while(|message| message.sent_ns <= sent_ns).count();
            if expired > 0 {
                room.messages.drain(..expired);
                room.oldest += expired as u64;
                room.pop_delivered();
                self.ready.push(index);
            }
        }
    }

    /// Returns the publisher that sends the next message; `None` if every room has enough in
    /// flight. The message counts as sent.
    pub(super) fn take_next(&mut self, now_ns: u64) -> Option<usize> {
        while let Some(index) = self.ready.last().copied() {
            if let Some(room) = self.rooms.get_mut(index).filter(|room| room.messages.len() < self.in_flight)
                && let Some(count) = std::num::NonZeroU64::new(room.publishers.len() as u64)
            {
                let place = (room.oldest + room.messages.len() as u64) % count;
                room.messages.push_back(InFlightMessage { delivered: 0, sent_ns: now_ns });
                return usize::try_from(place).ok().and_then(|place| room.publishers.get(place).copied());
            }
            self.ready.pop();
        }
        None
    }
}

impl RotationRoom {
    /// Removes delivered messages from the front; returns true if there was one.
    fn pop_delivered(&mut self) -> bool {
        let delivered = self.messages.iter().take_while(|message| message.delivered >= self.members).count();
        self.messages.drain(..delivered);
        self.oldest += delivered as u64;
        delivered > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take_all(rotation: &mut PublisherRotation, now_ns: u64) -> Vec<usize> {
        let mut publishers: Vec<_> = std::iter::from_fn(|| rotation.take_next(now_ns)).collect();
        publishers.sort_unstable();
        publishers
    }

    #[test]
    fn a_delivery_to_all_members_makes_room_for_the_next() {
        // Rooms with members 0 2 4 and 1 3 5; the publishers are 0, 2 and 1.
        let mut rotation = PublisherRotation::new(2, 0..6, 0..3, 2);
        assert_eq!(take_all(&mut rotation, 0), [0, 1, 1, 2], "two in each room");
        (0..3).for_each(|_| rotation.record_delivery(2, 0));
        assert_eq!(take_all(&mut rotation, 0), [] as [usize; 0], "it is not the oldest");
        (0..2).for_each(|_| rotation.record_delivery(0, 0));
        assert_eq!(take_all(&mut rotation, 0), [] as [usize; 0], "one member has not received it");
        rotation.record_delivery(0, 0);
        assert_eq!(take_all(&mut rotation, 0), [0, 2], "both are delivered");
        rotation.record_delivery(9, 0);
        rotation.record_delivery(0, 77);
    }

    #[test]
    fn leaving_and_expiry_make_room_for_the_next() {
        let mut rotation = PublisherRotation::new(1, 0..3, 0..1, 1);
        assert_eq!(take_all(&mut rotation, 5), [0]);
        (0..2).for_each(|_| rotation.record_delivery(0, 0));
        rotation.remove_member(2);
        assert_eq!(take_all(&mut rotation, 10), [0]);
        rotation.expire(9);
        assert_eq!(take_all(&mut rotation, 11), [] as [usize; 0]);
        rotation.expire(10);
        assert_eq!(take_all(&mut rotation, 11), [0]);
    }
}
