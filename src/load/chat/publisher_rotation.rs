//! A closed loop's rotation: how many messages are on their way in each room, who has heard them, and who speaks next. Publishers of a
//! room take rotation. Knows numbers only.

use std::collections::VecDeque;

/// All rooms' rotation.
pub(super) struct PublisherRotation {
    rooms: Vec<RotationRoom>,
    /// Of each member that publishes, its place among its room's publishers.
    places: Vec<Option<u64>>,
    in_flight: usize,
    /// Rooms in which something may be said now.
    due: Vec<usize>,
}

struct RotationRoom {
    publishers: Vec<usize>,
    members: usize,
    /// The number of the oldest in flight.
    oldest: u64,
    flights: VecDeque<InFlightMessage>,
}

#[derive(Clone, Copy)]
struct InFlightMessage {
    /// Members to whom it has come.
    heard: usize,
    said_ns: u64,
}

impl PublisherRotation {
    /// MemberClient `m` is in room `m` modulo their number; `publishers` are those that can speak, and `members` those that hear.
    pub(super) fn new(
        rooms: usize,
        members: impl Iterator<Item = usize>,
        publishers: impl Iterator<Item = usize>,
        in_flight: usize,
    ) -> Self {
        let room = |_| RotationRoom { publishers: Vec::new(), members: 0, oldest: 0, flights: VecDeque::new() };
        let mut rotation =
            Self { rooms: (0..rooms).map(room).collect(), places: Vec::new(), in_flight, due: (0..rooms).collect() };
        for member in members {
            rotation.room(member).into_iter().for_each(|room| room.members += 1);
        }
        for publisher in publishers {
            let Some(room) = rotation.room(publisher) else { continue };
            let place = room.publishers.len() as u64;
            room.publishers.push(publisher);
            rotation.places.resize(rotation.places.len().max(publisher + 1), None);
            rotation.places.get_mut(publisher).into_iter().for_each(|kept| *kept = Some(place));
        }
        rotation
    }

    fn room(&mut self, member: usize) -> Option<&mut RotationRoom> {
        let number = member % self.rooms.len().max(1);
        self.rooms.get_mut(number)
    }

    /// A publisher's message, by its number among the publisher's, has come to one more member.
    #[inline]
    pub(super) fn hear(&mut self, publisher: usize, sequence: u64) {
        let Some(place) = self.places.get(publisher).copied().flatten() else { return };
        let number = publisher % self.rooms.len().max(1);
        let Some(room) = self.rooms.get_mut(number) else { return };
        let message = sequence.saturating_mul(room.publishers.len() as u64).saturating_add(place);
        let flight = message.checked_sub(room.oldest).and_then(|at| room.flights.get_mut(usize::try_from(at).ok()?));
        let Some(flight) = flight else { return };
        flight.heard += 1;
        if flight.heard >= room.members && room.land() {
            self.due.push(number);
        }
    }

    /// A member is no more, and nobody waits for it.
    pub(super) fn leave(&mut self, member: usize) {
        let number = member % self.rooms.len().max(1);
        let Some(room) = self.rooms.get_mut(number) else { return };
        room.members = room.members.saturating_sub(1);
        if room.land() {
            self.due.push(number);
        }
    }

    /// Waits no longer for what was said at `said_ns` or earlier.
    pub(super) fn expire(&mut self, said_ns: u64) {
        for (number, room) in self.rooms.iter_mut().enumerate() {
            let overdue = room.flights.iter().take_while(|flight| flight.said_ns <= said_ns).count();
            if overdue > 0 {
                room.flights.drain(..overdue);
                room.oldest += overdue as u64;
                room.land();
                self.due.push(number);
            }
        }
    }

    /// Whose turn it is to say something, if it is anybody's; it counts as said.
    pub(super) fn take(&mut self, now_ns: u64) -> Option<usize> {
        while let Some(number) = self.due.last().copied() {
            if let Some(room) = self.rooms.get_mut(number).filter(|room| room.flights.len() < self.in_flight)
                && let Some(count) = std::num::NonZeroU64::new(room.publishers.len() as u64)
            {
                let place = (room.oldest + room.flights.len() as u64) % count;
                room.flights.push_back(InFlightMessage { heard: 0, said_ns: now_ns });
                return usize::try_from(place).ok().and_then(|place| room.publishers.get(place).copied());
            }
            self.due.pop();
        }
        None
    }
}

impl RotationRoom {
    /// Takes what has come to all off the front; returns whether there was any.
    fn land(&mut self) -> bool {
        let landed = self.flights.iter().take_while(|flight| flight.heard >= self.members).count();
        self.flights.drain(..landed);
        self.oldest += landed as u64;
        landed > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(rotation: &mut PublisherRotation, now_ns: u64) -> Vec<usize> {
        let mut said: Vec<_> = std::iter::from_fn(|| rotation.take(now_ns)).collect();
        said.sort_unstable();
        said
    }

    #[test]
    fn the_next_is_said_when_the_oldest_has_come_to_all_and_publishers_take_turns() {
        // Rooms of 0 2 4 and 1 3 5; 0, 2 and 1 speak.
        let mut rotation = PublisherRotation::new(2, 0..6, 0..3, 2);
        assert_eq!(all(&mut rotation, 0), [0, 1, 1, 2], "two in each room");
        (0..3).for_each(|_| rotation.hear(2, 0));
        assert_eq!(all(&mut rotation, 0), [] as [usize; 0], "it is not the oldest");
        (0..2).for_each(|_| rotation.hear(0, 0));
        assert_eq!(all(&mut rotation, 0), [] as [usize; 0], "one has not heard it");
        rotation.hear(0, 0);
        assert_eq!(all(&mut rotation, 0), [0, 2], "both are through");
        rotation.hear(9, 0);
        rotation.hear(0, 77);
    }

    #[test]
    fn who_has_left_or_is_too_slow_is_not_waited_for() {
        let mut rotation = PublisherRotation::new(1, 0..3, 0..1, 1);
        assert_eq!(all(&mut rotation, 5), [0]);
        (0..2).for_each(|_| rotation.hear(0, 0));
        rotation.leave(2);
        assert_eq!(all(&mut rotation, 10), [0]);
        rotation.expire(9);
        assert_eq!(all(&mut rotation, 11), [] as [usize; 0]);
        rotation.expire(10);
        assert_eq!(all(&mut rotation, 11), [0]);
    }
}
